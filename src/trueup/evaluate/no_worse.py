# SPDX-License-Identifier: Apache-2.0
"""NoWorse: the challenger must be shown to be no worse than the champion, overall and by slice."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from trueup.core.errors import ArgumentError, DataError, ModelError
from trueup.core.json import digest
from trueup.core.protocols import Answer, GateResult, Measured, Scorer, Unmeasured
from trueup.core.values import value
from trueup.evaluate.items import Items, ask, disagreement, groups, order
from trueup.evaluate.summary import UNMEASURED_LIMIT, difference, reasons
from trueup.stats import PairedTest, needed_items, paired_pass_probability

HOPELESS = 0.2


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the items that is tested by itself: all of them, or a slice."""

    by: str
    name: str
    margin: float
    places: NDArray[np.intp]
    needed: int

    @property
    def words(self) -> str:
        return f"{self.by} {self.name}" if self.by else "overall"

    @property
    def too_small(self) -> bool:
        return self.places.size < self.needed


@value("gate.no_worse")
class NoWorse:
    """The paired bet on a golden set: `NoWorse(Accuracy(), by=0.05, on=core, slices={"genre": 0.10})`.

    Passing rejects "the challenger is worse by `by` or more" on the scale of `scorer`, at the
    working level `level`; both models answer every item, in an order that is fixed by the set and the seed. `slices=True`
    tests each slice of the set at the same margin, a mapping gives each slicing its own; all must
    pass (intersection-union: no correction). A slice with fewer items than its margin needs in
    full agreement is too small: it is not tested, and named in the result and in `notes`; with
    `small_slices="refuse"` it fails the gate, and `check` names it. `least` makes that more: a slice
    of fewer items is too small, whatever its margin (a test that could be passed, but hardly is). Without a champion there is
    nothing to be worse than. More than 5 % unmeasured pairs fails.
    """

    scorer: Scorer
    by: float
    on: Any
    level: float = 0.05
    slices: bool | Mapping[str, float] | None = None
    small_slices: Literal["report", "refuse"] = "report"
    least: int = 0

    def __post_init__(self) -> None:
        if not isinstance(self.scorer, Scorer):
            raise ArgumentError(
                f"expected a scorer (one score an answer), got {self.scorer!r:.80}; "
                "a metric of a whole set has no pairs: use it in AtLeast"
            )
        margins = {"by": self.by}
        if isinstance(self.slices, Mapping):
            margins |= {f"the margin of slices {name!r}": item for name, item in self.slices.items()}
        elif self.slices not in (None, True, False):
            raise ArgumentError(f"expected slices None, True or {{name: margin}}, got {self.slices!r:.80}")
        for name, margin in margins.items():
            if isinstance(margin, bool) or not isinstance(margin, int | float) or not 0 < margin < 1:
                raise ArgumentError(f"expected {name} in (0, 1), got {margin!r}; the loss you would accept")
        if not 0 < self.level < 1:
            raise ArgumentError(f"expected a level in (0, 1), got {self.level!r}; 0.05 is usual")
        if self.small_slices not in ("report", "refuse"):
            raise ArgumentError(f"expected small_slices report or refuse, got {self.small_slices!r}")

    # -- before anything runs ---------------------------------------------------------------------

    def check(self, items: Items, *, disagreement: float = 0.15) -> list[str]:
        """Why no good candidate could pass: too few items, or next to no chance to."""
        try:
            parts = list(self._parts(items))
        except DataError as error:
            return [error.message]
        problems = [
            self._too_small(items, part)
            for part in parts
            if part.too_small and (not part.by or self.small_slices == "refuse")
        ]
        if len(parts) > 1 and all(part.too_small for part in parts if part.by):
            problems.append(f"golden set {items.name}: no slice is large enough to be tested")
        if not problems and (chance := self._chance(parts, disagreement)) < HOPELESS:
            problems.append(
                f"golden set {items.name}: {self._chance_words(parts, chance, disagreement)}; "
                "widen a margin, or add items"
            )
        return problems

    def notes(self, items: Items, *, disagreement: float = 0.15) -> list[str]:
        """The chance of an equally good candidate, and the slices that are too small to be tested."""
        try:
            parts = list(self._parts(items))
        except DataError:
            return []
        chance = self._chance(parts, disagreement)
        said = [f"golden set {items.name}: {self._chance_words(parts, chance, disagreement)}"]
        return said + [
            self._too_small(items, part) + ": not tested" for part in parts if part.by and part.too_small
        ]

    def pass_probability(self, items: Items, *, disagreement: float = 0.15, effect: float = 0.0) -> float:
        """The probability that a challenger of this effect passes (see `paired_pass_probability`).

        The parts are taken as independent, which is a little too low: slices overlap with the whole.
        """
        return self._chance(list(self._parts(items)), disagreement, effect)

    def _too_small(self, items: Items, part: Part) -> str:
        where = f", {part.words}" if part.by else ""
        return (
            f"golden set {items.name}{where}: {part.places.size} items, margin {part.margin:g}, "
            f"level {self.level:g} needs at least {part.needed} items" + ("" if part.needed == self.least else " in full agreement")
        )

    def _chance(self, parts: list[Part], share: float, effect: float = 0.0) -> float:
        known: dict[tuple[int, float], float] = {}
        for part in parts:
            key = (part.places.size, part.margin)
            if part.too_small and part.by and self.small_slices == "report":
                continue
            if key not in known:
                known[key] = 0.0 if part.too_small else paired_pass_probability(
                    part.places.size, share, part.margin, self.level, effect
                )  # fmt: skip
        tested = [p for p in parts if not (p.too_small and p.by and self.small_slices == "report")]
        return math.prod(known[p.places.size, p.margin] for p in tested)

    def _chance_words(self, parts: list[Part], chance: float, share: float) -> str:
        tested = sum(not part.too_small for part in parts)
        by_slice = f" in all {tested} parts" if tested > 1 else ""
        return (
            f"an equally good candidate passes with probability {chance:.2f}{by_slice}, "
            f"if it answers {share:.0%} of the items differently"
        )

    def _parts(self, items: Items) -> Iterator[Part]:
        everything = np.arange(len(items.inputs))
        yield Part("", "", self.by, everything, needed_items(self.by, self.level))
        for by, margin in self._margins(items).items():
            for name, places in groups(items, by).items():
                yield Part(by, name, margin, places, max(self.least, needed_items(margin, self.level)))

    def _margins(self, items: Items) -> dict[str, float]:
        if isinstance(self.slices, Mapping):
            return {name: float(margin) for name, margin in self.slices.items()}
        return dict.fromkeys(items.slices, self.by) if self.slices else {}

    # -- the gate ---------------------------------------------------------------------------------

    def judge(
        self, challenger: Answer, champion: Answer | None, items: Items, *, seed: int
    ) -> GateResult:
        """Score both models on every item and bet, overall and slice by slice."""
        evidence: dict[str, Any] = {
            "gate": "gate.no_worse", "measure": self.scorer.name, "set": items.name,
            "digest": items.digest, "level": self.level, "margin": self.by, "seed": seed,
        }  # fmt: skip
        if champion is None:
            return GateResult(True, "there is no champion yet to be worse than", evidence)
        try:
            parts = list(self._parts(items))
            answers = {"challenger": ask("challenger", challenger, items), "champion": ask("champion", champion, items)}
        except (ModelError, DataError) as failure:
            return GateResult(False, failure.message, evidence)
        evidence["disagreement"] = disagreement(answers["challenger"], answers["champion"])
        new, champ = (
            self.scorer.score(items.inputs, answers[who], items.targets) for who in ("challenger", "champion")
        )
        row = order(items, seed)
        evidence["pairs"] = pairs_digest(items, new, champ, row)
        results = [
            self._test(part, new, champ, row) for part in parts
            if not (part.by and part.too_small and self.small_slices == "report")
        ]  # fmt: skip
        skipped = [part for part in parts if part.by and part.too_small and self.small_slices == "report"]
        evidence |= {"parts": results, "too_small": [
            {"by": part.by, "slice": part.name, "n": int(part.places.size), "needed": part.needed, "margin": part.margin}
            for part in skipped
        ]}  # fmt: skip
        failed = [result for result in results if not result["passed"]]
        return GateResult(not failed, self._reason(items, results, failed, skipped), evidence)

    def _test(
        self, part: Part, new: list[Measured], champ: list[Measured], row: NDArray[np.intp]
    ) -> dict[str, Any]:
        inside = np.zeros(row.size, bool)
        inside[part.places] = True
        pairs, missing = [], []
        for i in row[inside[row]]:
            a, b = new[i], champ[i]
            if isinstance(a, Unmeasured) or isinstance(b, Unmeasured):
                missing.append(a if isinstance(a, Unmeasured) else b)
            else:
                pairs.append((a, b))
        result: dict[str, Any] = {
            "by": part.by, "slice": part.name, "margin": part.margin, "n": int(part.places.size),
            "n_measured": len(pairs), "unmeasured": reasons(missing), "needed": part.needed,
            "passed": False, "wealth": 1.0, "crossed_at": None, "challenger": None, "champion": None,
            "difference": None,
        }  # fmt: skip
        if not pairs:
            return result
        scores = np.asarray(pairs, np.float64)
        test = PairedTest(self.level, len(pairs), part.margin).run(scores[:, 0], scores[:, 1])
        enough = len(missing) <= UNMEASURED_LIMIT * part.places.size
        return result | {
            "passed": bool(test.rejected and enough and not (part.by and part.too_small)), "wealth": float(test.wealth), "crossed_at": test.crossed_at,
            "challenger": float(scores[:, 0].mean()), "champion": float(scores[:, 1].mean()),
            "difference": list(difference(scores[:, 0], scores[:, 1])),
        }  # fmt: skip

    def _reason(
        self, items: Items, results: list[dict[str, Any]], failed: list[dict[str, Any]], skipped: list[Part]
    ) -> str:
        words = f"{self.scorer.name} on {items.name}: "
        if failed:
            words += "not shown to be no worse: " + "; ".join(_numbers(result) for result in failed[:5])
            words += f" (and {len(failed) - 5} more)" if len(failed) > 5 else ""
        else:
            tested = len(results) - 1
            words += f"no worse, {_numbers(results[0])}"
            words += f"; and in each of {tested} slices" if tested else ""
            if results[0]["champion"] < results[0]["margin"]:
                words += "; the champion scores less than the margin, so that nothing could be worse by it: AtLeast asks for more"
        if skipped:
            named = ", ".join(f"{part.words} ({part.places.size} of {part.needed})" for part in skipped[:5])
            words += f"; too small to test: {named}" + (f" and {len(skipped) - 5} more" if len(skipped) > 5 else "")
        return words


def _numbers(result: dict[str, Any]) -> str:
    where = f"{result['by']} {result['slice']}: " if result["by"] else ""
    missing = result["n"] - result["n_measured"]
    lost = f", {missing} unmeasured ({', '.join(result['unmeasured'])})" if missing else ""
    if result["difference"] is None:
        return f"{where}nothing measured{lost}"
    mean, low, high = (100 * part for part in result["difference"])
    return (
        f"{where}{result['challenger']:.3f} against {result['champion']:.3f} ({mean:+.1f} pp [{low:+.1f}, {high:+.1f}]), "
        f"margin {100 * result['margin']:g} pp, n={result['n_measured']}{lost}"
    )


def pairs_digest(
    items: Items, new: list[Measured], champ: list[Measured], row: NDArray[np.intp]
) -> str:
    """SHA-256 of the scored pairs in their order: what the verdict can be recomputed from."""

    def plain(score: Measured) -> float | str:
        return score.reason if isinstance(score, Unmeasured) else float(score)

    ids = items.ids
    return digest([[ids[i], plain(new[i]), plain(champ[i])] for i in row.tolist()])
