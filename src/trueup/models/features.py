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

from trueup.core import scalars, values
from trueup.core.errors import ArgumentError, DataError
from trueup.core.json import Json
from trueup.core.json import digest as digest_json
from trueup.core.values import value

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

# Raised whenever the same inputs would give other numbers; a test holds the numbers of each version.
# Version 2: a missing number is not 0; 1, 1.0, "1" and true are one category; a number may come as text.
# Models of version 1 go on answering by its rules. Where only words are read, the two are the same.
VERSION = 2
_WORD = re.compile(r"\w\w+")
_CACHED_WORDS = 500_000


@value("features.hashed")
class Features:
    """Hashed words, hashed categories and plain numbers of an input, without any state.

    `transform` gives a CSR matrix (n, columns) of float32. The first ``2**bits`` columns are
    hashed (XXH3, 64 bits, seed 0): words of two or more characters in lower case, runs of up to
    `ngrams` words, and the first `prefix` letters of longer words (0: none), each as
    ``1 + ln(count)``, scaled to length 1 by row; then a 1 for each category, and for each number that is
    missing. After them comes one column a numeric field, as ``sign(x) * ln(1 + |x|)``; a 0 is stored, so
    that trees tell it from a missing one.

    Parameters:
        text: fields whose words are counted together. With no field of any sort, the input
            itself is the text.
        numeric: fields that hold a finite number (a text may spell it plainly) or a boolean.
        categorical: fields that hold a text, a number or a boolean; 1, 1.0, "1" and true are one category.
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
        return self.version_at(VERSION)

    def version_at(self, version: int) -> str:
        """As `version`, of an earlier version of this code."""
        same = not self.numeric and not self.categorical
        return digest_json({"features": values.to_json(self), "version": 1 if same else version})

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields that are read, each once; none where the input itself is the text."""
        return tuple(dict.fromkeys((*self.text, *self.numeric, *self.categorical)))

    def transform(self, inputs: Sequence[Json], version: int = VERSION) -> csr_matrix:
        """One row an input, in order: CSR, float32, column indices sorted. `version` is that of the code
        whose numbers are wanted, 1 or 2."""
        rows = _Rows()
        for number, item in enumerate(inputs):
            try:
                self._row(item, rows, version)
            except _Unfit as fault:
                raise DataError(f"{fault.words('row ' + str(number))}", cure=fault.cure) from None
            rows.end()
        return rows.matrix(int(2**self.bits), len(self.numeric), version)

    def fault(self, item: Json) -> str | None:
        """What is wrong with an input, in words without its values; None where it can be read."""
        try:
            self._row(item, _Rows(), VERSION)
        except _Unfit as fault:
            return fault.reason
        return None

    def _row(self, item: Json, rows: _Rows, version: int) -> None:
        if not self.fields:
            if not isinstance(item, str):
                raise _Unfit("a text as input", "", item, "name the fields, as in Features(text=('title',))")
            self._text(item, rows.words)
            return
        if not isinstance(item, Mapping):
            raise _Unfit("a mapping with fields as input", "", item, "use Features() without fields where the input is a text")
        for field in self.text:
            self._text(_text_of(field, item.get(field)), rows.words)
        for field in self.categorical:
            name = _category_of(field, item.get(field), version)
            if name is not None:
                rows.extras.columns.append(_hash(f"{field}={name}") & ((1 << self.bits) - 1))
        for place, field in enumerate(self.numeric):
            x = _number_of(field, item.get(field), version)
            if x is not None:
                rows.numbers.columns.append(place)
                rows.numbers.numbers.append(math.copysign(math.log1p(abs(x)), x))
            elif version > 1:
                rows.extras.columns.append(_hash(f"{field} is missing") & ((1 << self.bits) - 1))

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


class _Unfit(Exception):
    """A part of an input that cannot be read."""

    def __init__(self, wanted: str, field: str, item: Any, cure: str = "") -> None:
        super().__init__(wanted)
        self._wanted, self._field, self._item, self.cure = wanted, field, item, cure

    def words(self, where: str) -> str:
        field = f" field {self._field!r} of" if self._field else ""
        return f"expected {self._wanted} in{field} {where}, got {_short(self._item)}"

    @property
    def reason(self) -> str:
        where = f"{self._field} is" if self._field else "the input is"
        return f"{where} {_kind_of(self._item)}, not {self._wanted.removesuffix(' as input')}"


def _short(item: Any) -> str:
    try:
        return f"{item!r:.80}"
    except (ValueError, RecursionError):  # more digits, or deeper, than Python writes
        return _kind_of(item)


def _kind_of(item: Any) -> str:
    if isinstance(item, float) and not math.isfinite(item):
        return "not finite"
    kinds = {bool: "a boolean", int: "a number", float: "a number", str: "a text", list: "a list", dict: "a mapping"}
    return "null" if item is None else kinds.get(type(item), type(item).__name__)


class _Rows:
    """What is read of inputs, row by row: words, categories, numbers."""

    def __init__(self) -> None:
        self.words, self.extras, self.numbers = _Entries(), _Entries(), _Entries()

    def end(self) -> None:
        for part in (self.words, self.extras, self.numbers):
            part.end_row()

    def matrix(self, hashed: int, numeric: int, version: int) -> csr_matrix:
        from scipy.sparse import hstack

        matrix = _weighted(self.words.matrix(hashed))
        if self.extras.columns:
            matrix = matrix + self.extras.matrix(hashed)
        if not numeric:
            return matrix
        numbers = self.numbers.matrix(numeric)
        if version == 1:  # where a 0 was as good as missing
            numbers.eliminate_zeros()
        return hstack([matrix, numbers], format="csr", dtype=np.float32)


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


def _text_of(field: str, item: Any) -> str:
    if item is None:
        return ""
    if not isinstance(item, str):
        raise _Unfit("a text", field, item)
    return item


def _category_of(field: str, item: Any, version: int) -> str | None:
    if item is None:
        return None
    if isinstance(item, float) and not math.isfinite(item):
        raise _Unfit("a category", field, item)
    if version == 1 and isinstance(item, bool | int | float):
        return f"{type(item).__name__}:{item}"
    name = scalars.key(item) if version > 1 else item if isinstance(item, str) else None
    if name is None:
        raise _Unfit("a text, number or boolean", field, item)
    return name


def _number_of(field: str, item: Any, version: int) -> float | None:
    if item is None or (version > 1 and scalars.missing(item)):
        return None
    x = scalars.number(item) if version > 1 or not isinstance(item, str) else None
    if x is None and isinstance(item, int | float):
        raise _Unfit("a finite number", field, item, "leave the field out, or set it to null, where the number is not known")
    if x is None:
        raise _Unfit("a number", field, item)
    return x
