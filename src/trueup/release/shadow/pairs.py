# SPDX-License-Identifier: Apache-2.0
"""A shadow's evidence: pairs of answers to the same units, scored from the ledger's rows alone."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from trueup.core.errors import TrueupError
from trueup.core.events import answer
from trueup.core.json import digest, loads
from trueup.core.protocols import Prediction, Scorer, Unmeasured
from trueup.core.values import from_json, to_json
from trueup.release.experiments.segments import Segments
from trueup.release.queries import QUERIES
from trueup.release.shadow.asking import ask, loaded, measured
from trueup.release.shadow.audits import ASKED, BASE, NEW, OLD, audited
from trueup.release.shadow.audits import asked as people_asked
from trueup.release.stage import SETTLE_US, Scene

if TYPE_CHECKING:
    from trueup.store import Ledger

BATCH = 512
LOOK_BACK = 500      # logged inputs that the disagreement is read off, labels unread
USUAL = 0.15         # the disagreement that is assumed where nothing is logged
KNOWN = 5            # where a row has whether its unit was there before the shadow
Row = dict[str, Any]


def disagreement(scene: Scene, scorer: Scorer) -> tuple[float, int]:
    """How far the challenger's answers are from the champion's on the last logged inputs, and on how
    many: the mean of 1 - score(challenger, champion's answer), labels unread."""
    rows = scene.ledger.query(
        QUERIES["last_answers"],
        {"loop": scene.terms.loop, "candidate": scene.state.champion, "last": LOOK_BACK}, cut=scene.cut,
    ).to_pylist()
    model = loaded(scene.terms, scene.release.candidate)
    if not rows:
        return USUAL, 0
    answers = ask(model, [loads(row["input"]) for row in rows])
    both = [(loads(row["input"]), given, loads(row["output"]))
            for row, given in zip(rows, answers, strict=False) if isinstance(given, Prediction)]
    lost = len(answers) - len(both)
    scores = measured(scorer, *(list(part) for part in zip(*both, strict=True))) if both else []
    near = [score for score in scores if not isinstance(score, Unmeasured)]
    return min(1.0, (sum(1.0 - score for score in near) + lost) / max(len(near) + lost, 1)), len(rows)


def answer_inputs(scene: Scene) -> None:
    """Let the challenger and the anchor answer the units that can be scored now, if they have not.

    A model that fails on many inputs in a row is left alone until the next look.
    """
    parameters = scene.release.parameters
    _, rows = _read(scene.ledger, scene.terms.loop, parameters, scene.cut, scene.now)
    for candidate, asked in ((parameters["candidate"], "asked"), (parameters["anchor"], "asked_anchor")):
        left = [row for row in rows if not row[asked]]
        if candidate is None or not left:
            continue
        model = loaded(scene.terms, candidate)
        for start in range(0, len(left), BATCH):
            batch = left[start : start + BATCH]
            answers = ask(model, [loads(row["input"]) for row in batch])
            scene.ledger.append([
                answer(
                    scene.terms.loop, row["choice"], candidate,
                    given.value if isinstance(given, Prediction) else None, ts=scene.now, unit=row["unit"],
                    error=given if isinstance(given, str) else None, release=scene.release.id,
                )
                for row, given in zip(batch, answers, strict=False)
            ])
            if len(answers) < len(batch):
                break


def changed(parameters: dict[str, Any]) -> str | None:
    """What is wrong with the scorer that a shadow began with: its code is another, or gone."""
    try:
        same = to_json(from_json(parameters["scorer"])) == parameters["scorer"]
    except TrueupError as error:
        return f"the scorer cannot be read any more: {error.message}"
    return None if same else "the scorer's code is not the one that the shadow began with"


def shadow_scores(
    ledger: Ledger, loop: str, parameters: dict[str, Any], cut: int, now: int
) -> dict[str, Any]:
    """What a shadow's verdict rests on: {"counts", "failed", "rows"}, a row (choice, unit, score of the
    challenger, of the champion, of the anchor, whether the unit was there before) a unit, None where
    there is no score; with audits also whether people were asked, and their scores of the three."""
    counts, rows = _read(ledger, loop, parameters, cut, now)
    anchored = parameters["anchor"] is not None
    asked = list(takewhile(lambda row: row["asked"] and (row["asked_anchor"] or not anchored), rows))
    scorer: Scorer = from_json(parameters["scorer"])
    new, old = _scores(scorer, asked, "new"), _scores(scorer, asked, "output")
    base = _scores(scorer, asked, "anchor") if anchored else [None] * len(asked)
    kept = [
        [row["choice"], row["unit"], *scores, bool(row["known"])]
        for row, *scores in zip(asked, new, old, base, strict=True)
    ]
    if audit := parameters.get("audit"):
        people: Scorer = from_json(audit["scorer"])
        columns = [_scores(people, asked, name, "truth") for name in ("new", "output")]
        columns.append(_scores(people, asked, "anchor", "truth") if anchored else [None] * len(asked))
        for one, *scores in zip(kept, *columns, strict=True):
            drawn = people_asked(audit, one[0])
            one += [drawn, *(scores if drawn else (None, None, None))]
    return {"counts": counts, "failed": sum(row["new"] is None for row in asked), "rows": kept}


def shadow_verdict(told: dict[str, Any], parameters: dict[str, Any]) -> dict[str, Any]:
    """The verdict from the scores alone; no ledger, no model.

    A pair without the champion's answer is left out (the challenger bears no outages in a shadow),
    and so is one whose champion's answer cannot be scored; where it can, and the challenger's
    cannot or is missing, the challenger scores 0. The anchor is treated as the champion is.
    """
    anchored, audit = parameters["anchor"] is not None, parameters.get("audit")
    asked = told["rows"]
    new, old, base = ([row[at] for row in asked] for at in (2, 3, 4))
    base = base if anchored else []
    people = [score for row in asked for score in row[NEW:]] if audit else []
    outside = next((score for score in (*new, *old, *base, *people) if score is not None and not 0.0 <= score <= 1.0), None)
    if outside is not None:
        asked, new, old, base = [], [], [], []
    pairs = list(_both(new, old))
    seen = [[row[0], *scores] for row, *scores in zip(asked, new, old, base or new, strict=True)]
    if audit:
        seen = [[*one, *row[ASKED:]] for one, row in zip(seen, asked, strict=True)]
    result = {
        **told["counts"], "unscored": len(told["rows"]) - len(pairs), "failed": told["failed"],
        "coverage": len(pairs) / len(told["rows"]) if told["rows"] else None,
        "rows": digest(seen),
        **_paired(pairs, parameters, parameters["margin"]),
        "anchor": _paired(list(_both(new, base)), parameters, parameters["creep"]) if anchored else None,
        "invalid": None if outside is None else f"the scorer gave {outside!r}, outside [0, 1]",
    }
    if audit:  # people's word decides; the judge's means stay to be seen
        found = audited(asked, parameters, parameters["margin"], 3, OLD)
        result |= {**_means(pairs[: found["n"]]), **found}
        if anchored:
            found = audited(asked, parameters, parameters["creep"], 4, BASE)
            result["anchor"] |= {**_means(list(_both(new, base))[: found["n"]]), **found}
    if all(len(row) > KNOWN for row in told["rows"]):
        result["segments"] = _segments(asked, result["n"])
    result["exhausted"] = len(told["rows"]) == _most(parameters)
    return result


def _segments(rows: list[list[Any]], n: int) -> dict[str, Any]:
    """The pairs that were tested, of units that were there before and of new ones (VAL-11)."""
    segments = Segments(())
    for row in [row for row in rows if row[3] is not None][:n]:
        for arm, y in (("challenger", row[2] or 0.0), ("champion", row[3])):
            segments.add({"arm": arm, "y": y, "known": row[KNOWN], "context": None})
    return segments.result()


def _read(
    ledger: Ledger, loop: str, parameters: dict[str, Any], cut: int, now: int
) -> tuple[dict[str, int], list[Row]]:
    """How many units are complete and labelled, and the first of the labelled ones."""
    names = ("candidate", "champion", "anchor", "since", "label", "within")
    audit = parameters.get("audit")
    known = {
        "loop": loop, "now": now - SETTLE_US, "most": _most(parameters), "audit": audit and audit["outcome"],
        **{name: parameters[name] for name in names},
    }
    rows: list[Row] = ledger.query(QUERIES["shadow_rows"], known, cut=cut).to_pylist()
    counts = {name: rows[0][name] for name in ("units", "labelled")}
    return counts, [row for row in rows if row["choice"] is not None]


def _most(parameters: dict[str, Any]) -> int:
    """Labelled units that are read at most: half of them may turn out not to make a pair."""
    return 2 * int(parameters["horizon"])


def _scores(scorer: Scorer, rows: list[Row], column: str, label: str = "label") -> list[float | None]:
    """A score a row; None where there is no answer, no label, or the scorer cannot measure it."""
    there = [at for at, row in enumerate(rows) if row[column] is not None and row[label] is not None]
    scores = measured(
        scorer, [loads(rows[at]["input"]) for at in there],
        [Prediction(loads(rows[at][column])) for at in there], [loads(rows[at][label]) for at in there],
    )
    found: list[float | None] = [None] * len(rows)
    for at, score in zip(there, scores, strict=True):
        found[at] = None if isinstance(score, Unmeasured) else score
    return found


def _both(new: list[float | None], old: list[float | None]) -> Iterator[tuple[float, float]]:
    """The pairs that count: the other's answer was scored; the challenger's, or 0."""
    for mine, other in zip(new, old, strict=True):
        if other is not None:
            yield (0.0 if mine is None else mine), other


def _paired(pairs: list[tuple[float, float]], parameters: dict[str, Any], margin: float) -> dict[str, Any]:
    import numpy as np

    from trueup.stats import PairedTest

    new, old = (np.array([pair[side] for pair in pairs], dtype=float) for side in (0, 1))
    test = PairedTest(parameters["level"], parameters["horizon"], margin).run(new, old)
    return {
        "n": test.n, "wealth": float(test.wealth), "rejected": bool(test.rejected),
        "finished": bool(test.finished), "crossed_at": test.crossed_at, **_means(pairs[: test.n]),
    }


def _means(pairs: list[tuple[float, float]]) -> dict[str, Any]:
    """What the pairs that a test has taken say, for people."""
    import numpy as np

    new, old = (np.array([pair[side] for pair in pairs], dtype=float) for side in (0, 1))
    return {
        "new": float(new.mean()) if pairs else 0.0, "old": float(old.mean()) if pairs else 0.0,
        "disagreement": float((new != old).mean()) if pairs else 0.0,
        "interval": _interval(new - old),
    }


def _interval(differences: Any) -> list[float] | None:
    """A 95 % confidence sequence of the difference, for people; it decides nothing."""
    from trueup.stats import mean_interval

    n = len(differences)
    if n < 20:
        return None
    found = mean_interval(float(differences.mean()), float(differences.std(ddof=1)) / n**0.5, n)
    return [found.low, found.high]
