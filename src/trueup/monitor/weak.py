# SPDX-License-Identifier: Apache-2.0
"""Where answers are worse than elsewhere: segments that a search finds and fresh rows confirm (VAL-09)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations, pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from trueup.core.errors import DataError
from trueup.core.json import dumps
from trueup.monitor.memory import _upper
from trueup.monitor.rows import Rows, Sample, coins, sample, text_of, unit_keys
from trueup.monitor.slices import _WORD, Example, _text
from trueup.stats import benjamini_hochberg

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]
    Mask = NDArray[np.bool_]

MOST_ROWS = 50_000
LEVELS, WORDS, BINS = 40, 300, 4   # of a field; of all texts; of a number
PAIRED, TESTED = 30, 60            # conditions that are joined in pairs; segments that go to the test
HOPE = 2.0                         # standard errors that a segment must lack in the search
GAIN = 0.02                        # by which two conditions must be worse than each alone
METHOD = (
    "Rows are split by their units: segments are searched for in one half and tested in the other, so that the scores are not "
    "those of the luckiest of many. Of the segments named here, at most {q:.0%} are expected to be no worse than the rest."
)


@dataclass(frozen=True, slots=True)
class Weak:
    """A segment whose answers are worse than those of all other rows.

    `where` are its conditions; `rows` counts all of its rows. `score`, `rest` and `interval` (95 %, of
    `score - rest`) are means of the half that was not searched, with errors by unit; `p` is one-sided.
    `examples` are its rows with the lowest scores, `beyond` being 1 - score.
    """

    where: tuple[str, ...]
    rows: int
    score: float
    rest: float
    interval: tuple[float, float]
    p: float
    examples: tuple[Example, ...] = ()

    @property
    def name(self) -> str:
        """The conditions in words."""
        return " and ".join(self.where)


@dataclass(frozen=True, slots=True)
class WeakSlices:
    """What `weak_slices` found, the worst first: of how many rows, at which mean, among how many segments."""

    rows: int
    mean: float
    searched: int
    tested: int
    q: float
    found: tuple[Weak, ...]

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "found": [{"name": one.name, **asdict(one)} for one in self.found]}


@dataclass(frozen=True, slots=True)
class _Part:
    where: tuple[str, ...]
    mask: Mask


def weak_slices(
    rows: Rows, scores: ArrayLike, *, fields: Mapping[str, Sequence[str]] | None = None, by: Sequence[str] | None = None,
    shown: Sequence[str] | None = None, least: int = 50, q: float = 0.1, most: int = 20, seed: int = 0,
) -> WeakSlices:
    """Segments of rows whose mean score is below that of all other rows.

    `scores` has a number in [0, 1] a row of `rows` (nan: none), 1 the best. Segments are levels of the
    inputs' fields, quarters of numbers and of lengths, words of texts, of `fields` (a name to a text a
    row: the answer, the arm), and pairs of these. `by` names the inputs' fields to look at (None:
    all). `shown` is what an example shows of each row (None: its input). A segment has `least` rows or
    more; so has the rest.

    Null of each segment: its rows score no worse than the rest. Guarantee (asymptotic, by units):
    of the segments that are named at most a share `q` is expected to be no worse (Benjamini-Hochberg),
    whatever the search did, since it saw other units. Raises DataError for fewer than 4 x `least` rows
    with a score, or a number of scores that is not that of the rows.
    """
    known = sample(rows)
    values = np.asarray(scores, dtype=np.float64)
    if len(values) != len(known):
        raise DataError(f"expected a score a row, got {len(values)} for {len(known)} rows")
    kept = np.flatnonzero(np.isfinite(values))
    if len(kept) > MOST_ROWS:
        kept = kept[np.arange(MOST_ROWS) * len(kept) // MOST_ROWS]
    if len(kept) < 4 * least:
        raise DataError(f"expected at least {4 * least} rows with a score, got {len(kept)}")
    known, values = known.take(kept), values[kept]
    more = {name: [texts[at] for at in kept.tolist()] for name, texts in (fields or {}).items()}
    texts = [_text(item) for item in known.inputs] if shown is None else [_text(shown[at]) for at in kept.tolist()]
    search = coins(known, seed)
    units = np.unique(np.array(unit_keys(known)), return_inverse=True)[1]
    parts = [one for one in _parts(known, more, by) if _fair(one.mask, least)]
    hoped = _search(parts, values, search, units, least)
    ps = [_upper(-_gap(part.mask, values, ~search, units).z) for part in hoped]
    named = benjamini_hochberg(ps, q).tolist() if ps else []
    found = [
        _weak(part, p, known, texts, values, ~search, units, most) for part, p, flag in zip(hoped, ps, named, strict=True) if flag
    ]
    found.sort(key=lambda one: one.score - one.rest)
    return WeakSlices(len(kept), float(values.mean()), len(parts), len(hoped), q, tuple(found[:most]))


def _weak(
    part: _Part, p: float, known: Sample, texts: list[str], values: Floats, held: Mask, units: Any, most: int
) -> Weak:
    gap = _gap(part.mask, values, held, units)
    difference = gap.inside - gap.outside
    places = np.flatnonzero(part.mask)
    worst: dict[str, int] = {}
    for at in places[np.argsort(values[places], kind="stable")].tolist():
        worst.setdefault(texts[at], at)
        if len(worst) == most:
            break
    return Weak(
        part.where, int(part.mask.sum()), gap.inside, gap.outside,
        (difference - 1.96 * gap.error, difference + 1.96 * gap.error), p,
        tuple(Example(said, known.units[at], float(1.0 - values[at])) for said, at in worst.items()),
    )


def _fair(mask: Mask, least: int) -> bool:
    return bool(mask.sum() >= least and (~mask).sum() >= least)


def _search(parts: list[_Part], values: Floats, here: Mask, units: Any, least: int) -> list[_Part]:
    """The segments that look worst in this half, single conditions and pairs of them."""

    def standing(part: _Part) -> float:
        return _gap(part.mask, values, here, units).z

    def mean(mask: Mask) -> float:
        return float(values[mask & here].mean()) if (mask & here).any() else 1.0

    singles = sorted((standing(part), at, part) for at, part in enumerate(parts))
    found = [(z, part) for z, _, part in singles if z < -HOPE]
    for a, b in combinations([part for z, part in found[:PAIRED]], 2):
        both = _Part(tuple(sorted((*a.where, *b.where))), a.mask & b.mask)
        if not _fair(both.mask, least) or mean(both.mask) > min(mean(a.mask), mean(b.mask)) - GAIN:
            continue
        if (z := standing(both)) < -HOPE:
            found.append((z, both))
    found.sort(key=lambda one: (one[0], one[1].where))
    kept, taken = [], np.zeros(len(values), dtype=bool)
    for _, part in found:  # what is weak only because a weaker segment lies in it is no finding of its own
        if _gap(part.mask, values, here & ~taken, units).z < -HOPE:
            kept.append(part)
            taken |= part.mask
    return kept[:TESTED]


class _Gap(NamedTuple):
    """Means inside and outside of a segment, and the standard error of their difference."""

    inside: float
    outside: float
    error: float

    @property
    def z(self) -> float:
        """The difference in standard errors."""
        return (self.inside - self.outside) / self.error


def _gap(mask: Mask, values: Floats, held: Mask, units: Any) -> _Gap:
    """The gap among the rows that are `held`; none (0) where fewer than ten lie on a side.

    Rows of one unit go together (the sandwich of Liang and Zeger, 1986); the error is no less than
    half a row of the segment.
    """
    a, b = mask & held, ~mask & held
    n, m = int(a.sum()), int(b.sum())
    if min(n, m) < 10:
        return _Gap(0.0, 0.0, 1.0)
    inside, outside = values[a].mean(), values[b].mean()
    pull = np.zeros(len(values))
    pull[a] = (values[a] - inside) / n
    pull[b] = -(values[b] - outside) / m
    total = np.bincount(units[held], weights=pull[held])
    return _Gap(float(inside), float(outside), max(float(np.sqrt((total**2).sum())), 0.5 / n))


def _parts(rows: Sample, more: Mapping[str, Sequence[str]], by: Sequence[str] | None) -> Iterator[_Part]:
    """Every segment of one condition."""
    objects = [item if isinstance(item, dict) else {"input": item} for item in rows.inputs]
    names = list(dict.fromkeys(name for item in objects for name in item)) if by is None else list(by)
    for name in names:
        yield from _field(name, [item.get(name) for item in objects])
    for name, texts in more.items():
        yield from _levels_of(name, list(texts))


def _field(name: str, values: list[Any]) -> Iterator[_Part]:
    numbers = [isinstance(one, int | float) and not isinstance(one, bool) for one in values]
    missing = np.array([one is None for one in values], dtype=bool)
    if any(numbers) and all(number or gone for number, gone in zip(numbers, missing, strict=True)):
        yield from _quarters(name, np.array([float(one) if one is not None else np.nan for one in values]))
        return
    texts = ["none" if one is None else one if isinstance(one, str) else text_of(one) or dumps(one) for one in values]
    if len(set(texts)) <= max(LEVELS, len(texts) // 50):
        yield from _levels_of(name, texts)
        return
    yield from _quarters(f"length of {name}", np.array([float(len(text)) for text in texts]))
    yield from _words(name, texts)
    if missing.any():
        yield _Part((f"{name} is missing",), missing)


def _levels_of(name: str, texts: list[str]) -> Iterator[_Part]:
    levels, codes, counts = np.unique(np.array(texts), return_inverse=True, return_counts=True)
    for at in np.argsort(-counts, kind="stable")[:LEVELS].tolist():
        yield _Part((f"{name} = {str(levels[at])[:60]}",), codes == at)


def _quarters(name: str, values: Floats) -> Iterator[_Part]:
    there = values[np.isfinite(values)]
    edges = np.unique(np.quantile(there, np.linspace(0.0, 1.0, BINS + 1)))
    for low, high in pairwise(edges.tolist()):
        last = high == float(edges[-1])
        inside = (values >= low) & ((values <= high) if last else (values < high))
        words = f"{low:g} <= {name} {'<=' if last else '<'} {high:g}"
        yield _Part((words,), inside)


def _words(name: str, texts: list[str]) -> Iterator[_Part]:
    places: dict[str, list[int]] = {}
    for at, text in enumerate(texts):
        for word in set(_WORD.findall(text.lower())):
            places.setdefault(word, []).append(at)
    for word, where in sorted(places.items(), key=lambda one: (-min(len(one[1]), len(texts) - len(one[1])), one[0]))[:WORDS]:
        mask = np.zeros(len(texts), dtype=bool)
        mask[where] = True
        yield _Part((f"{name} has {word!r}",), mask)
