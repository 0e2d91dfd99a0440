# SPDX-License-Identifier: Apache-2.0
"""Which segment moved, and the rows that moved most (VAL-09, VAL-11)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from trueup.core.errors import DataError
from trueup.core.json import dumps
from trueup.monitor.memory import _upper
from trueup.monitor.rows import Sample, text_of
from trueup.stats import RandomFeatures, benjamini_hochberg, embedding_shift, median_distance

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

LEAST, MOST_SEGMENTS, MOST_TEXT, WORDS = 50, 40, 400, 10
_WORD = re.compile(r"\w\w+")
WITHOUT_HISTORY = "without history"


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of the rows: its share then and now, and how far it moved within itself.

    `p` is of one look, for share and shift together (the smaller, doubled); `moved` holds after
    Benjamini-Hochberg over all segments. `auc` is None where there were too few rows to look.
    """

    by: str
    name: str
    before: float
    now: float
    rows: int
    auc: float | None
    p: float
    moved: bool = False

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Segment:
        try:
            return cls(**data)
        except TypeError as error:
            raise DataError(f"expected the keys {[one.name for one in fields(cls)]}: {error}") from None


@dataclass(frozen=True, slots=True)
class Example:
    """A row that moved far: its text (cut), and the share of reference rows that lie less far out."""

    text: str
    unit: str | None
    beyond: float


def segments(
    old: Sample, new: Sample, by: Sequence[str], matrices: tuple[Any, Any], *, q: float = 0.05, seed: int = 0
) -> list[Segment]:
    """Every value of the fields `by`, and units with and without history, furthest moved first.

    `matrices` are the rows as numbers (n, d): of `old`, of `new`.
    """
    cuts: list[tuple[str, list[str], list[str]]] = [(name, _levels(old, name), _levels(new, name)) for name in by]
    seen = {unit for unit in old.units if unit is not None}
    if seen:
        cuts.append(("units", ["with history"] * len(old), [
            "with history" if unit in seen else WITHOUT_HISTORY for unit in new.units
        ]))  # fmt: skip
    rng = np.random.default_rng(seed)
    found = []
    for name, before, now in cuts:
        a, b = np.array(before, dtype=object), np.array(now, dtype=object)
        counted = Counter(now)
        counted.update(before)
        for level, _ in counted.most_common(MOST_SEGMENTS):
            found.append(_segment(name, level, a == level, b == level, matrices, rng))
    if not found:
        return []
    moved = benjamini_hochberg([one.p for one in found], q).tolist()
    made = [Segment(**{**asdict(one), "moved": bool(flag)}) for one, flag in zip(found, moved, strict=True)]
    return sorted(made, key=lambda one: (not one.moved, one.p, one.by, one.name))


def _segment(by: str, level: str, a: Any, b: Any, matrices: tuple[Any, Any], rng: np.random.Generator) -> Segment:
    n, m = int(a.sum()), int(b.sum())
    before, now = n / max(len(a), 1), m / max(len(b), 1)
    ps, auc = [], None
    if by != "units":  # units without history are new by definition, so their share is no evidence
        pooled = (n + m) / max(len(a) + len(b), 1)
        se = (pooled * (1 - pooled) * (1 / max(len(a), 1) + 1 / max(len(b), 1))) ** 0.5
        ps.append(2.0 * _upper(abs(before - now) / se) if se > 0 else 1.0)
    old = matrices[0] if by == "units" else matrices[0][a]
    if len(old) >= LEAST and m >= LEAST:
        shift = embedding_shift(old, matrices[1][b], rng, features=128)
        auc = shift.auc
        ps.append(shift.p)
    p = min(1.0, min(ps, default=1.0) * max(len(ps), 1))
    return Segment(by, level, before, now, m, auc, max(p, 0.0))


def _levels(rows: Sample, name: str) -> list[str]:
    found = [item.get(name) if isinstance(item, dict) else None for item in rows.inputs]
    return ["none" if one is None else one if isinstance(one, str) else dumps(one) for one in found]


def furthest(old: Sample, new: Sample, matrices: tuple[Any, Any], *, most: int = 20, seed: int = 0) -> list[Example]:
    """The `most` new rows that lie furthest in the direction in which the rows moved.

    The direction for each half of the rows is made of the other half, so that no row is chosen
    for pointing at itself.
    """
    if min(len(old), len(new)) < 16:
        return []
    rng = np.random.default_rng(seed)
    reference, current = (np.asarray(one, dtype=np.float32) for one in matrices)
    phi = RandomFeatures(median_distance(reference), reference.shape[1], 256, seed)
    base, now = phi(reference), phi(current)
    centre = base.mean(axis=0)
    cov = np.cov(base, rowvar=False)
    lift = max(0.1 * float(np.trace(cov)) / 256, 1e-12) * np.eye(256)
    coin = rng.permutation(len(now)) % 2 == 0
    beyond = np.empty(len(now))
    for half in (coin, ~coin):
        direction = np.linalg.solve(cov + lift, (now[~half].mean(axis=0) - centre).astype(np.float64))
        ordered = np.sort(base @ direction)
        scores = now[half] @ direction
        beyond[half] = np.searchsorted(ordered, scores) / len(ordered) + 1e-6 * np.tanh(scores / (np.std(ordered) + 1e-12))
    order = np.argsort(-beyond, kind="stable")[:most]
    return [Example(_text(new.inputs[at]), new.units[at], float(min(max(beyond[at], 0.0), 1.0))) for at in order.tolist()]


def words(old: Sample, new: Sample, most: int = WORDS) -> list[tuple[str, float, float]]:
    """Words whose share of rows grew or fell the most beyond chance: (word, before, now)."""
    before, now = _counts(old), _counts(new)
    n, m = max(len(old), 1), max(len(new), 1)
    scored = []
    for word in before.keys() | now.keys():
        a, b = before[word] / n, now[word] / m
        pooled = (before[word] + now[word]) / (n + m)
        z = (b - a) / max((pooled * (1 - pooled) * (1 / n + 1 / m)) ** 0.5, 1e-12)
        if abs(z) > 4.0:
            scored.append((-abs(z), word, a, b))
    return [(word, a, b) for _, word, a, b in sorted(scored)[:most]]


def _counts(rows: Sample) -> Counter[str]:
    found: Counter[str] = Counter()
    if isinstance(rows.inputs, np.ndarray):
        return found
    for item in rows.inputs:
        found.update(set(_WORD.findall(text_of(item).lower())))
    return found


def _text(item: Any) -> str:
    if isinstance(item, np.ndarray):
        words = " ".join(f"{x:.3g}" for x in item[:8].tolist())
        return f"[{words}{' ...' if len(item) > 8 else ''}]"
    text = item if isinstance(item, str) else dumps(item)
    return text if len(text) <= MOST_TEXT else text[: MOST_TEXT - 1] + "…"
