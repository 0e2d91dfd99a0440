# SPDX-License-Identifier: Apache-2.0
"""Features: an input becomes one row of numbers, by the same code in training and in serving."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
import xxhash

from trueup.core import values
from trueup.core.errors import ArgumentError, DataError
from trueup.core.json import Json
from trueup.core.json import digest as digest_json
from trueup.core.values import value

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

# Raised whenever the same inputs would give other numbers; a test holds the numbers of each version.
VERSION = 1
_WORD = re.compile(r"\w\w+")
_CACHED_WORDS = 500_000


@value("features.hashed")
class Features:
    """Hashed words, hashed categories and plain numbers of an input, without any state.

    `transform` gives a CSR matrix (n, columns) of float32. The first ``2**bits`` columns are
    hashed (XXH3, 64 bits, seed 0): words of two or more characters in lower case, runs of up to
    `ngrams` words, and the first `prefix` letters of longer words (0: none), each as
    ``1 + ln(count)``, scaled to length 1 by row; then a 1 for each category. After them comes one
    column a numeric field, as ``sign(x) * ln(1 + |x|)``.

    Parameters:
        text: fields whose words are counted together. With no field of any sort, the input
            itself is the text.
        numeric: fields that hold a finite number or a boolean.
        categorical: fields that hold a text, a number or a boolean.
        bits: 8 to 22.
        ngrams: 1 to 3.
        prefix: 0, or 2 to 12.

    A field that is missing or null is empty. Raises DataError with the row's number where a field
    has another type, or a number is not finite.

    >>> Features(bits=10).transform(["a quiet film", "a loud film"]).shape
    (2, 1024)
    """

    text: tuple[str, ...] = ()
    numeric: tuple[str, ...] = ()
    categorical: tuple[str, ...] = ()
    bits: int = 16
    ngrams: int = 1
    prefix: int = 5

    def __post_init__(self) -> None:
        for name in ("text", "numeric", "categorical"):
            fields = getattr(self, name)
            if not isinstance(fields, tuple) or not all(isinstance(field, str) for field in fields):
                raise ArgumentError(
                    f"expected {name} as a tuple of field names, got {fields!r}",
                    cure=f'write {name}=("title",) with the comma',
                )
        for name, low, high in (("bits", 8, 22), ("ngrams", 1, 3), ("prefix", 0, 12)):
            number = getattr(self, name)
            if not isinstance(number, int) or not low <= number <= high:
                raise ArgumentError(f"expected {name} from {low} to {high}, got {number!r}")
        if self.prefix == 1:
            raise ArgumentError("expected prefix 0, or 2 to 12, got 1")

    @property
    def columns(self) -> int:
        """The number of columns of the matrix."""
        return int(2**self.bits) + len(self.numeric)

    @property
    def version(self) -> str:
        """SHA-256 of the settings and of the version of this code: equal means equal numbers."""
        return digest_json({"features": values.to_json(self), "version": VERSION})

    def transform(self, inputs: Sequence[Json]) -> csr_matrix:
        """One row an input, in order: CSR, float32, column indices sorted."""
        plain = not (self.text or self.numeric or self.categorical)
        words, extras = _Entries(), _Entries()
        for number, item in enumerate(inputs):
            if plain:
                if not isinstance(item, str):
                    raise DataError(
                        f"expected a text as input in row {number}, got {item!r:.80}",
                        cure="name the fields, as in Features(text=('title',))",
                    )
                self._text(item, words)
            else:
                self._fields(number, item, words, extras)
            words.end_row()
            extras.end_row()
        matrix = _weighted(words.matrix(self.columns))
        return matrix + extras.matrix(self.columns) if extras.columns else matrix

    def _fields(self, number: int, item: Json, words: _Entries, extras: _Entries) -> None:
        if not isinstance(item, Mapping):
            raise DataError(
                f"expected a mapping with fields as input in row {number}, got {item!r:.80}",
                cure="use Features() without fields where the input is a text",
            )
        for field in self.text:
            self._text(_text_of(number, field, item.get(field)), words)
        for field in self.categorical:
            name = _category_of(number, field, item.get(field))
            if name is not None:
                extras.columns.append(_hash(f"{field}={name}") & ((1 << self.bits) - 1))
                extras.numbers.append(1.0)
        for place, field in enumerate(self.numeric):
            x = _number_of(number, field, item.get(field))
            if x is not None:
                extras.columns.append(2**self.bits + place)
                extras.numbers.append(math.copysign(math.log1p(abs(x)), x))

    def _text(self, text: str, words: _Entries) -> None:
        found = _WORD.findall(text.lower())
        words.columns.extend(map(_places(self.bits, 0).__getitem__, found))
        if self.prefix:
            longer = [word for word in found if len(word) > self.prefix]
            words.columns.extend(map(_places(self.bits, self.prefix).__getitem__, longer))
        for n in range(2, self.ngrams + 1):
            runs = map(" ".join, zip(*(found[i:] for i in range(n)), strict=False))
            words.columns.extend(map(_places(self.bits, 0).__getitem__, runs))


@runtime_checkable
class _Reads(Protocol):
    @property
    def features(self) -> Features: ...


def features_of(part: Any) -> Features | None:
    """The features that a trainer or a model reads an input by; None where it has none."""
    return part.features if isinstance(part, _Reads) and isinstance(part.features, Features) else None


class _Places(dict[str, int]):
    """The column of a word (or of its first letters), remembered: few words make most of any text."""

    def __init__(self, bits: int, prefix: int) -> None:
        super().__init__()
        self._mask = (1 << bits) - 1
        self._prefix = prefix

    def __missing__(self, word: str) -> int:
        if len(self) >= _CACHED_WORDS:
            self.clear()
        text = "<" + word[: self._prefix] if self._prefix else word
        place = self[word] = _hash(text) & self._mask
        return place


@cache
def _places(bits: int, prefix: int) -> _Places:
    return _Places(bits, prefix)


def _hash(text: str) -> int:
    return int(xxhash.xxh3_64_intdigest(text.encode("utf-8", "surrogatepass")))


class _Entries:
    """The entries of a CSR matrix, gathered row by row; without numbers, each entry is a 1."""

    def __init__(self) -> None:
        self.columns: list[int] = []
        self.numbers: list[float] = []
        self._ends = [0]

    def end_row(self) -> None:
        self._ends.append(len(self.columns))

    def matrix(self, columns: int) -> csr_matrix:
        from scipy.sparse import csr_matrix

        numbers = (
            np.asarray(self.numbers, dtype=np.float32)
            if self.numbers
            else np.ones(len(self.columns), dtype=np.float32)
        )
        indices = np.asarray(self.columns, dtype=np.int32)
        ends = np.asarray(self._ends, dtype=np.int32)
        matrix = csr_matrix((numbers, indices, ends), shape=(len(ends) - 1, columns))
        matrix.sum_duplicates()
        return matrix


def _weighted(counts: csr_matrix) -> csr_matrix:
    """1 + ln(count), each row scaled to length 1; in place."""
    counts.data = (1.0 + np.log(counts.data)).astype(np.float32)
    lengths = np.zeros(counts.shape[0])
    rows = np.repeat(np.arange(counts.shape[0]), np.diff(counts.indptr))
    np.add.at(lengths, rows, counts.data.astype(np.float64) ** 2)
    counts.data = (counts.data / np.sqrt(lengths)[rows]).astype(np.float32)
    return counts


def _text_of(number: int, field: str, item: Any) -> str:
    if item is None:
        return ""
    if not isinstance(item, str):
        raise DataError(f"expected a text in field {field!r} of row {number}, got {item!r:.80}")
    return item


def _category_of(number: int, field: str, item: Any) -> str | None:
    if item is None:
        return None
    if isinstance(item, float) and not math.isfinite(item):
        raise DataError(f"expected a category in field {field!r} of row {number}, got {item!r}")
    if not isinstance(item, str | int | float):
        raise DataError(
            f"expected a text, number or boolean in field {field!r} of row {number}, got {item!r:.80}"
        )
    return item if isinstance(item, str) else f"{type(item).__name__}:{item}"


def _number_of(number: int, field: str, item: Any) -> float | None:
    if item is None:
        return None
    if not isinstance(item, bool | int | float):
        raise DataError(f"expected a number in field {field!r} of row {number}, got {item!r:.80}")
    try:
        x = float(item)
    except OverflowError:
        x = math.inf
    if not math.isfinite(x):
        raise DataError(
            f"expected a finite number in field {field!r} of row {number}, got {x!r}",
            cure="leave the field out, or set it to null, where the number is not known",
        )
    return x
