# SPDX-License-Identifier: Apache-2.0
"""Views: what of a row is watched, as numbers. Each is fitted on rows that are not tested."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Callable, Sequence
from statistics import NormalDist
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, runtime_checkable

import numpy as np

from trueup.core import scalars
from trueup.core.errors import ArgumentError, DataError
from trueup.core.json import dumps
from trueup.core.values import value
from trueup.models.embedders import HashingEmbedder
from trueup.monitor.rows import Sample, text_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Matrix = NDArray[np.float32]

Fitted: TypeAlias = Callable[[Sample], "Matrix"]
_WORD = re.compile(r"\w\w+")
_GRID = np.linspace(0.001, 0.999, 999)
_NORMAL = np.array([NormalDist().inv_cdf(float(u)) for u in _GRID])
MOST_FIELDS, MOST_LEVELS = 64, 30


@runtime_checkable
class View(Protocol):
    """Something of a row. `features` is the number of random features that a witness takes."""

    @property
    def name(self) -> str: ...

    @property
    def features(self) -> int: ...

    def fit(self, rows: Sample) -> Fitted:
        """The numbers (n, d) of other rows, in the units of these."""
        ...


@value("view.numeric")
class Numeric:
    """The number in `field`, as its normal score among the reference, and whether it is missing."""

    field: str

    @property
    def name(self) -> str:
        return self.field

    @property
    def features(self) -> int:
        return 32

    def fit(self, rows: Sample) -> Fitted:
        return _numeric(_fields(rows, self.field), lambda more: _fields(more, self.field))


@value("view.category")
class Category:
    """One of a few values in `field`: the most frequent of the reference, any other, or none."""

    field: str

    @property
    def name(self) -> str:
        return self.field

    @property
    def features(self) -> int:
        return 64

    def fit(self, rows: Sample) -> Fitted:
        return _category([_levels(item, self.field) for item in rows.inputs], lambda more: [
            _levels(item, self.field) for item in more.inputs
        ])  # fmt: skip


@value("view.length")
class Length:
    """The number of words of a text: that in `field`, or (None) all that is text in an input."""

    field: str | None = None

    @property
    def name(self) -> str:
        return f"length of {self.field or 'text'}"

    @property
    def features(self) -> int:
        return 32

    def fit(self, rows: Sample) -> Fitted:
        def lengths(more: Sample) -> list[Any]:
            return [float(len(_WORD.findall(text_of(item, self.field)))) for item in more.inputs]

        return _numeric(lengths(rows), lengths)


@value("view.vocabulary")
class Vocabulary:
    """The share of words that at most two rows of the reference use, and the words by hash, of the
    text in `field`, or (None) of all that is text in an input."""

    field: str | None = None

    @property
    def name(self) -> str:
        return f"vocabulary of {self.field or 'text'}"

    @property
    def features(self) -> int:
        return 128

    def fit(self, rows: Sample) -> Fitted:
        used: Counter[str] = Counter()
        for item in rows.inputs:
            used.update(set(_WORD.findall(text_of(item, self.field).lower())))
        common = {word for word, times in used.items() if times > 2}
        hashed = HashingEmbedder(32)

        def look(more: Sample) -> Matrix:
            texts = [text_of(item, self.field) for item in more.inputs]
            words = [_WORD.findall(text.lower()) for text in texts]
            rare = np.array([
                sum(word not in common for word in each) / len(each) if each else 0.0 for each in words
            ])  # fmt: skip
            return np.column_stack([rare.reshape(-1) * 2.0, hashed.embed(texts)]).astype(np.float32)

        return look


def _hashing() -> Any:
    return HashingEmbedder()


@value("view.embedding")
class Embedding:
    """The vector that `embedder` gives to a text: to that in `field`, or (None) to all that is text in
    an input."""

    embedder: Any = dataclasses.field(default_factory=_hashing)
    field: str | None = None

    def __post_init__(self) -> None:
        if not callable(getattr(self.embedder, "embed", None)):
            raise ArgumentError(
                f"expected an embedder, got {self.embedder!r:.80}", cure="HashingEmbedder() needs no model"
            )

    @property
    def name(self) -> str:
        return f"embedding of {self.field or 'text'}"

    @property
    def features(self) -> int:
        return 256

    def fit(self, rows: Sample) -> Fitted:
        def look(more: Sample) -> Matrix:
            texts = [text_of(item, self.field) for item in more.inputs]
            return np.asarray(self.embedder.embed(texts), dtype=np.float32).reshape(len(texts), -1)

        return look


@value("view.vectors")
class Vectors:
    """Inputs that are vectors already, all of one length."""

    @property
    def name(self) -> str:
        return "vectors"

    @property
    def features(self) -> int:
        return 256

    def fit(self, rows: Sample) -> Fitted:
        def look(more: Sample) -> Matrix:
            try:
                found = np.asarray(more.inputs, dtype=np.float32)
            except (ValueError, TypeError) as error:
                raise DataError(f"expected vectors of one length: {error}") from None
            if found.ndim != 2 and len(found):
                raise DataError(f"expected vectors of one length, got shape {found.shape}")
            return found

        return look


@value("view.answers")
class Answers:
    """The answers that a model gave: labels as categories, numbers as numbers, texts as vectors."""

    @property
    def name(self) -> str:
        return "answers"

    @property
    def features(self) -> int:
        return 64

    def fit(self, rows: Sample) -> Fitted:
        given = [answer for answer in rows.answers if answer is not None]
        if not given:
            raise DataError("expected answers to compare, got rows without outputs")
        if all(isinstance(answer, int | float) and not isinstance(answer, bool) for answer in given):
            return _numeric(list(rows.answers), lambda more: list(more.answers))
        if len({dumps(answer) for answer in given}) > max(MOST_LEVELS, len(given) // 5):
            return lambda more: HashingEmbedder().embed([text_of(answer) for answer in more.answers])
        return _category([_levels_of(a) for a in rows.answers], lambda more: [_levels_of(a) for a in more.answers])


def views_of(rows: Sample, fields: Sequence[str] = ()) -> tuple[View, ...]:
    """A view for each field of structured inputs (`fields`, or all that occur, by name); length,
    vocabulary and embedding for texts; the vectors themselves. Raises DataError for anything else.
    """
    if isinstance(rows.inputs, np.ndarray):
        return (Vectors(),)
    items = [item for item in rows.inputs if item is not None]
    if items and all(isinstance(item, dict) for item in items):
        seen = sorted({key for item in items for key in item})
        missing = [name for name in fields if name not in seen]
        if missing:
            raise DataError(f"expected the fields {list(fields)} in the inputs, got none called {missing[0]!r}")
        if not fields and len(seen) > MOST_FIELDS:
            raise DataError(f"expected at most {MOST_FIELDS} fields, got {len(seen)}", cure="name the fields to watch")
        return tuple(view for name in (fields or seen) for view in _views_of(name, [i.get(name) for i in items]))
    if items and all(isinstance(item, str) for item in items):
        return (Length(), Vocabulary(), Embedding())
    if items and all(isinstance(item, list) for item in items):
        return (Vectors(),)
    raise DataError("expected inputs that are all mappings, texts or vectors; got " + (f"{items[0]!r:.80}" if items else "none"))


def _views_of(name: str, items: list[Any]) -> tuple[View, ...]:
    given = [item for item in items if item is not None]
    if given and all(isinstance(item, int | float) and not isinstance(item, bool) for item in given):
        return (Numeric(name),)
    if given and all(isinstance(item, str) for item in given):
        levels = len(set(given))
        if levels > MOST_LEVELS and levels > len(given) // 10:
            return (Length(name), Vocabulary(name))
    return (Category(name),)


def _fields(rows: Sample, name: str) -> list[Any]:
    return [item.get(name) if isinstance(item, dict) else None for item in rows.inputs]


def _finite(items: list[Any]) -> NDArray[np.float64]:
    """Numbers; NaN for whatever is none."""
    if set(map(type, items)) <= {float, int}:
        try:
            found = np.array(items, dtype=np.float64)
        except OverflowError:
            found = np.array([_plain(item) for item in items], dtype=np.float64)
    else:
        found = np.array([_plain(item) for item in items], dtype=np.float64)
    found[~np.isfinite(found)] = np.nan
    return found


def _plain(item: Any) -> float:
    found = None if isinstance(item, bool) else scalars.number(item)
    return found if found is not None and abs(found) < 1e300 else float("nan")


def _levels(item: Any, name: str) -> tuple[str, ...]:
    return _levels_of(item.get(name)) if isinstance(item, dict) else ()


def _levels_of(item: Any) -> tuple[str, ...]:
    if item is None:
        return ()
    if isinstance(item, list):
        return tuple(scalars.key(one) or dumps(one) for one in item)
    return (scalars.key(item) or dumps(item),)


def _numeric(reference: list[Any], of: Callable[[Sample], list[Any]]) -> Fitted:
    known = _finite(reference)
    known = np.sort(known[~np.isnan(known)])

    def look(more: Sample) -> Matrix:
        x = _finite(of(more))
        missing = np.isnan(x)
        x[missing] = 0.0
        if known.size:
            u = (np.searchsorted(known, x, "left") + np.searchsorted(known, x, "right")) / (2.0 * known.size)
            x = np.interp(u, _GRID, _NORMAL)
        x[missing] = 0.0
        return np.column_stack([x, 2.0 * missing]).astype(np.float32)

    return look


def _category(reference: list[tuple[str, ...]], of: Callable[[Sample], list[tuple[str, ...]]]) -> Fitted:
    counted = Counter(level for levels in reference for level in levels)
    names = sorted(counted, key=lambda level: (-counted[level], level))[:MOST_LEVELS]
    place = {level: at for at, level in enumerate(names)}

    def look(more: Sample) -> Matrix:
        given = of(more)
        found = np.zeros((len(given), len(names) + 2), dtype=np.float32)
        for at, levels in enumerate(given):
            if not levels:
                found[at, -1] = 1.0
            for level in levels:
                found[at, place.get(level, len(names))] = 1.0
        return found

    return look
