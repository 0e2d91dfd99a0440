# SPDX-License-Identifier: Apache-2.0
"""Shadow: the challenger answers fresh inputs, unseen, and is scored beside the champion (REL-01).

This is the gate that carries the promise: on fresh traffic, paired, at the release's own level.
The anchor is answered and scored beside it, so that small losses cannot add up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from trueup.core.clock import from_us
from trueup.core.errors import ArgumentError, DefinitionError
from trueup.core.events import Event, answer
from trueup.core.json import digest, loads
from trueup.core.protocols import Prediction, Predictor, Scorer, Unmeasured
from trueup.core.task import Outcome
from trueup.core.values import from_json, to_json, value
from trueup.release.queries import QUERIES
from trueup.release.stage import SETTLE_US, Ruling, Scene, Terms, gather, method

if TYPE_CHECKING:
    from trueup.store import Ledger

HOUR = timedelta(hours=1)
BATCH = 512
LOOK_BACK = 500      # logged inputs that the disagreement is read off, labels unread
COVERAGE = 0.95      # of the labelled units, those that every model has answered


@value("stage.shadow")
class Shadow:
    """Score challenger and champion on the same fresh units, out of the users' sight.

    `units` is the horizon N, in labelled pairs: None lets the forecast choose it when the stage is
    entered, from the disagreement on the last 500 inputs, labels unread. The stage ends with a
    crossing, or as REFUSE at N pairs or after `max_time`; `min_time` only delays the next stage.
    `no_worse_by` is the margin on the scorer's scale. Labels count that became known within the
    outcome's window after the exposure.
    """

    scorer: Scorer
    no_worse_by: float = 0.05
    units: int | None = None
    min_time: timedelta = HOUR
    max_time: timedelta = timedelta(days=7)
    outcome: str | None = None

    def __post_init__(self) -> None:
        if not 0.0 < self.no_worse_by < 1.0:
            raise ArgumentError(f"expected no_worse_by between 0 and 1, got {self.no_worse_by!r}")
        if self.units is not None and self.units < 1:
            raise ArgumentError(f"expected at least one unit, got {self.units!r}")
        if not timedelta(0) <= self.min_time < self.max_time:
            raise ArgumentError(
                f"expected 0 <= min_time < max_time, got {self.min_time!r} and {self.max_time!r}"
            )

    def label(self, outcomes: Sequence[Outcome]) -> Outcome:
        """The outcome that scores: the one named, or the loop's only label."""
        found = [one for one in outcomes if one.label and self.outcome in (None, one.name)]
        if len(found) != 1:
            names = [one.name for one in outcomes if one.label]
            raise DefinitionError(
                f"expected one label outcome for the shadow, got {self.outcome or names or 'none'}",
                cure="declare Outcome.of_input(name), and name it in Shadow(outcome=...)",
            )
        return found[0]

    def problems(self, terms: Terms) -> list[str]:
        named = [one for one in terms.outcomes if one.name == self.outcome]
        if named and not named[0].label:
            return [
                f"Shadow scores {self.outcome!r}, which is feedback on the answer that was shown: "
                "the challenger's answer was not shown; use a label of the input, or a canary"
            ]
        try:
            label = self.label(terms.outcomes)
        except DefinitionError as error:
            return [str(error)]
        if label.corrections_only:
            return [
                f"Shadow scores {label.name!r}, which arrives only where the champion was wrong: it "
                "would make any challenger look better; sample labels for right answers as well"
            ]
        if label.within >= self.max_time:
            return [
                f"Shadow ends after {self.max_time}, and labels of {label.name!r} count for "
                f"{label.within}: no unit would ever be complete; raise max_time"
            ]
        return []

    def enter(self, scene: Scene) -> dict[str, Any]:
        from trueup.stats import forecast

        label, release = self.label(scene.terms.outcomes), scene.release
        anchor = scene.state.anchor if scene.state.anchor != scene.state.champion else None
        creep = scene.terms.risk.creep or 2.0 * self.no_worse_by
        share, inputs = disagreement(scene, self.scorer)
        seen = forecast(
            disagreement=share, margin=self.no_worse_by, alpha=release.level, seed=scene.terms.seed
        )
        return {
            "candidate": release.candidate, "champion": scene.state.champion, "anchor": anchor,
            "since": scene.now, "label": label.name,
            "within": int(label.within.total_seconds() * 1e6), "scorer": to_json(self.scorer),
            "level": release.level, "horizon": self.units or seen.horizon or seen.max_horizon,
            "margin": self.no_worse_by, "creep": creep,
            "forecast": {
                "disagreement": share, "inputs": inputs, "pairs": seen.horizon, "power": seen.power,
            },
        }

    def rule(self, scene: Scene) -> Ruling:
        parameters = scene.release.parameters
        answer_inputs(scene, [parameters["candidate"], parameters["anchor"]])
        scene = replace(scene, cut=scene.ledger.cut())  # the answers just written count
        result, evidence = gather(scene, "shadow", parameters)
        age = from_us(scene.now) - from_us(parameters["since"])
        words = describe(result, parameters)
        proven = result["rejected"] and (result["anchor"] is None or result["anchor"]["rejected"])
        if result["coverage"] < COVERAGE and (proven or result["finished"]):
            return Ruling(
                "INVALID",
                f"the challenger was asked for only {result['coverage']:.0%} of the labelled units",
                evidence,
            )
        if proven:
            if age < self.min_time:
                return Ruling("HOLD", f"{words}; waits for its minimum of {self.min_time}", evidence)
            return Ruling("PASS", words, evidence, proven=True)
        if result["finished"] or age >= self.max_time:
            why = "the horizon is reached" if result["finished"] else f"{self.max_time} have passed"
            return Ruling("REFUSE", f"not shown to be no worse, and {why}: {words}", evidence)
        return Ruling("HOLD", words, evidence)


def describe(result: dict[str, Any], parameters: dict[str, Any]) -> str:
    """A shadow's result in a sentence."""
    anchor = result["anchor"]
    words = (
        f"{result['n']:,} of {parameters['horizon']:,} pairs: challenger {result['new']:.3f}, champion "
        f"{result['old']:.3f}; evidence {result['wealth']:.3g} against {1 / parameters['level']:.3g}"
    )
    if anchor is not None:
        words += f"; against the anchor {anchor['wealth']:.3g}"
    return words


def disagreement(scene: Scene, scorer: Scorer) -> tuple[float, int]:
    """How far the challenger's answers are from the champion's on the last logged inputs: the mean
    of 1 - score(challenger, champion's answer), labels unread; .15 where nothing is logged."""
    rows = scene.ledger.query(
        QUERIES["last_answers"],
        {"loop": scene.terms.loop, "candidate": scene.state.champion, "last": LOOK_BACK}, cut=scene.cut,
    ).to_pylist()
    if not rows:
        return 0.15, 0
    inputs = [loads(row["input"]) for row in rows]
    outputs = [loads(row["output"]) for row in rows]
    answers, _ = ask(scene.terms.predictor(scene.release.candidate), inputs)
    pairs = [(one, given, shown) for one, given, shown in zip(inputs, answers, outputs, strict=True)
             if given is not None]
    if not pairs:
        return 1.0, len(rows)
    scores = scorer.score(*(list(part) for part in zip(*pairs, strict=True)))
    near = [score for score in scores if not isinstance(score, Unmeasured)]
    lost = len(rows) - len(pairs)
    return min(1.0, (sum(1.0 - score for score in near) + lost) / max(len(near) + lost, 1)), len(rows)


def ask(predictor: Predictor, inputs: list[Any]) -> tuple[list[Prediction | None], list[str | None]]:
    """Answers, or None and the error's text: one bad input must not take the others with it."""
    try:
        return list(predictor.predict(inputs)), [None] * len(inputs)
    except Exception as error:  # a challenger may fail in any way
        if len(inputs) == 1:
            return [None], [f"{type(error).__name__}: {error}"[:200]]
    middle = len(inputs) // 2
    left, right = ask(predictor, inputs[:middle]), ask(predictor, inputs[middle:])
    return left[0] + right[0], left[1] + right[1]


def answer_inputs(scene: Scene, candidates: list[str | None]) -> int:
    """Let the candidates answer every unit's first fresh input that they have not answered yet."""
    done = 0
    parameters = scene.release.parameters
    for candidate in candidates:
        if candidate is None:
            continue
        rows = scene.ledger.query(
            QUERIES["unanswered"],
            {"loop": scene.terms.loop, "champion": parameters["champion"],
             "since": parameters["since"], "candidate": candidate},
            cut=scene.cut,
        ).to_pylist()
        for start in range(0, len(rows), BATCH):
            batch = rows[start : start + BATCH]
            answers, errors = ask(
                scene.terms.predictor(candidate), [loads(row["input"]) for row in batch]
            )
            scene.ledger.append([
                _event(scene, candidate, row, given, error)
                for row, given, error in zip(batch, answers, errors, strict=True)
            ])
            done += len(batch)
    return done


def _event(
    scene: Scene, candidate: str, row: dict[str, Any], given: Prediction | None, error: str | None
) -> Event:
    return answer(
        scene.terms.loop, row["choice"], candidate, None if given is None else given.value,
        ts=scene.now, unit=row["unit"], error=error, release=scene.release.id,
    )


@method("shadow")
def shadow_result(
    ledger: Ledger, loop: str, parameters: dict[str, Any], cut: int, now: int
) -> dict[str, Any]:
    """Score the complete units in the order of their exposure, from the ledger's rows alone."""
    names = ("candidate", "champion", "anchor", "since", "label", "within")
    rows = ledger.query(
        QUERIES["shadow_rows"], {"loop": loop, "now": now - SETTLE_US, **{name: parameters[name] for name in names}}, cut=cut
    ).to_pylist()
    labelled = [row for row in rows if row["label"] is not None]
    anchored = parameters["anchor"] is not None
    asked = [row for row in labelled if row["asked"] and (row["asked_anchor"] or not anchored)]
    scorer: Scorer = from_json(parameters["scorer"])
    new, old = _scores(scorer, asked, "new"), _scores(scorer, asked, "output")
    kept = [at for at in range(len(asked)) if new[at] is not None and old[at] is not None]
    y_new = np.array([new[at] for at in kept], dtype=float)
    y_old = np.array([old[at] for at in kept], dtype=float)
    result = {
        "units": len(rows), "labelled": len(labelled), "unscored": len(asked) - len(kept),
        "coverage": len(asked) / len(labelled) if labelled else 1.0,
        "failed": sum(row["new"] is None for row in asked),
        "rows": digest([[asked[at]["choice"], new[at], old[at]] for at in kept]),
        **_paired(y_new, y_old, parameters, parameters["margin"]),
        "anchor": None,
    }
    if anchored:
        base = _scores(scorer, asked, "anchor")
        y_base = np.array([base[at] or 0.0 for at in kept], dtype=float)
        result["anchor"] = _paired(y_new, y_base, parameters, parameters["creep"])
        result["finished"] = result["finished"] and result["anchor"]["finished"]
    return result


def _scores(scorer: Scorer, rows: list[dict[str, Any]], column: str) -> list[float | None]:
    """Scores in [0, 1]; no answer is a wrong answer; None where the scorer cannot measure."""
    there = [at for at, row in enumerate(rows) if row[column] is not None]
    found: list[float | None] = [0.0] * len(rows)
    if there:
        scores = scorer.score(
            [loads(rows[at]["input"]) for at in there],
            [Prediction(loads(rows[at][column])) for at in there],
            [loads(rows[at]["label"]) for at in there],
        )
        for at, score in zip(there, scores, strict=True):
            found[at] = None if isinstance(score, Unmeasured) else float(score)
    return found


def _paired(y_new: Any, y_old: Any, parameters: dict[str, Any], margin: float) -> dict[str, Any]:
    from trueup.stats import PairedTest

    test = PairedTest(parameters["level"], parameters["horizon"], margin).run(y_new, y_old)
    scored = slice(0, test.n)
    return {
        "n": test.n, "wealth": float(test.wealth), "rejected": bool(test.rejected),
        "finished": bool(test.finished), "crossed_at": test.crossed_at,
        "new": float(y_new[scored].mean()) if test.n else 0.0,
        "old": float(y_old[scored].mean()) if test.n else 0.0,
        "disagreement": float((y_new[scored] != y_old[scored]).mean()) if test.n else 0.0,
        "interval": _interval((y_new - y_old)[scored]),
    }


def _interval(differences: Any) -> list[float] | None:
    """A 95 % confidence sequence of the difference, for people; it decides nothing."""
    from trueup.stats import mean_interval

    n = len(differences)
    if n < 20:
        return None
    found = mean_interval(float(differences.mean()), float(differences.std(ddof=1)) / n**0.5, n)
    return [found.low, found.high]
