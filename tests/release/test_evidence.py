# SPDX-License-Identifier: Apache-2.0
"""What may count as evidence: nothing that comes late, nothing that only one side had to bear."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from trueup.core.clock import to_us
from trueup.core.errors import MissingDependency
from trueup.core.events import Event, outcome
from trueup.core.json import dumps
from trueup.core.protocols import Unmeasured
from trueup.core.values import value
from trueup.evaluate import Accuracy, Custom
from trueup.release import Canary, Full, Risk, Shadow, recompute
from trueup.state import decide, read

DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)


def fussy(given: Any, answer: Any, label: Any) -> float | Unmeasured:
    """A scorer that falls over the challenger's answers."""
    if answer == "new":
        raise ValueError("what is this?")
    return float(answer == label)


@value("score.test.wild")
class Wild:
    """A third party's scorer: raises on one label, and leaves [0, 1] on another."""

    @property
    def name(self) -> str:
        return "wild"

    def score(self, inputs: Any, answers: Any, labels: Any) -> list[float]:
        if "raise" in labels:
            raise RuntimeError("no such label")
        return [2.0 if label == "out" else float(answer.value == label)
                for answer, label in zip(answers, labels, strict=True)]  # fmt: skip


def kinds(decisions: Any) -> list[tuple[str, str]]:
    return [(one.kind, one.verdict) for one in decisions]


def look(stand: Any, method: str = "shadow") -> dict[str, Any]:
    return recompute(stand.ledger, "l", {
        "method": method, "parameters": stand.state.release.parameters, "cut": stand.ledger.cut(),
        "now": to_us(stand.clock.now()),
    })  # fmt: skip


def rows(
    stand: Any, n: int, *, truth: str = "new", said: str | None = "new", ts: int | None = None,
    received: int | None = None,
) -> list[Event]:
    """n labelled units that the champion answered with `said` (None: it erred)."""
    made = []
    for _ in range(n):
        stand.units += 1
        stand.clock.advance(timedelta(seconds=1))
        now, ident = to_us(stand.clock.now()), stand.ids.new()
        made.append(Event(
            ident, "l", "interaction", ts or now, received or now, unit=f"u{stand.units}", choice=ident,
            arm="champion", candidate=stand.state.champion, input=dumps("x"),
            output=None if said is None else dumps(said), error="down" if said is None else None,
        ))
        made.append(outcome("l", ident, "label", truth, ts=ts or now, received=ts or now))
    return made


def started(stand: Any, *stages: Any) -> None:
    stand.stages = stages or stand.stages
    stand.offer()
    assert kinds(stand.advance()) == [("start", "NOTE")]


def test_outages_of_the_champion_do_not_speak_for_the_challenger(stand: Any) -> None:
    """A shadow bears no outages: pairs that the champion did not answer are left out."""
    started(stand)
    stand.ledger.append(rows(stand, 200, truth="old", said="old") + rows(stand, 300, truth="new", said=None))
    stand.advance(2 * HOUR)
    assert stand.state.tests[-1].promoted is not True
    result = look(stand)
    assert (result["n"], result["new"], result["old"]) == (200, 0.0, 1.0)


@pytest.mark.parametrize(("lost", "verdict"), [(10, "PASS"), (11, None)], ids=["95.2 %", "94.8 %"])
def test_a_shadow_under_95_percent_coverage_gives_no_verdict(stand: Any, lost: int, verdict: str | None) -> None:
    """REL-01: the same 200 pairs, won by the challenger; one unit more that cannot be scored."""
    started(stand, Shadow(Accuracy(), no_worse_by=0.05, units=400, max_time=7 * DAY), Full())
    stand.ledger.append(rows(stand, 200, truth="new", said="old") + rows(stand, lost, said=None))
    made = stand.advance(2 * HOUR)
    result = look(stand) if verdict is None else made[0].evidence["result"]
    assert (result["rejected"], result["unscored"]) == (True, lost)
    if verdict is not None:
        assert made[0].verdict == verdict
        return
    assert result["coverage"] < 0.95
    assert made == []
    ended = stand.advance(7 * DAY)
    assert kinds(ended) == [("invalid", "INVALID")]
    assert "only 94.8% of the labelled units could be scored, under 95%" in ended[0].reason
    assert recompute(stand.ledger, "l", ended[0].evidence) == ended[0].evidence["result"]
    assert stand.state.champion == stand.champion


def test_an_answer_that_the_scorer_cannot_read_is_a_wrong_answer(stand: Any) -> None:
    """Where the champion's answer could be scored, the challenger's must count: 0, not left out."""
    started(stand, Shadow(Custom(fussy), no_worse_by=0.05, units=400, max_time=7 * DAY), Full())
    stand.ledger.append(rows(stand, 100, truth="old", said="old"))
    stand.clock.advance(2 * HOUR)
    stand.advance()
    result = look(stand)
    assert (result["n"], result["new"], result["old"]) == (100, 0.0, 1.0)


def test_an_anchor_that_gives_no_answer_is_not_beaten_by_that(stand: Any, tmp_path: Path) -> None:
    """TRU-04: a pair without the anchor's answer is left out of the anchor's test."""
    weak = stand.model("weak", tmp_path)
    generation, state = read(stand.ledger, "l")
    decide(stand.ledger, "l", generation, replace(state.serve(weak, 1), anchor=stand.champion),
           kind="promote", verdict="PROMOTE", reason="t")
    anchor, usual = stand.champion, stand.predictor

    class Dead:
        def predict(self, inputs: Any) -> Any:
            raise RuntimeError("dead")

    stand.predictor = lambda ident: Dead() if ident == anchor else usual(ident)
    started(stand, Shadow(Accuracy(), no_worse_by=0.05, units=300, max_time=7 * DAY), Full())
    stand.ledger.append(rows(stand, 320, truth="new", said="weak"))
    for _ in range(5):
        assert stand.advance(2 * HOUR) == []
    result = look(stand)
    assert result["rejected"]
    assert (result["anchor"]["n"], result["anchor"]["rejected"]) == (0, False)
    assert kinds(stand.advance(7 * DAY)) == [("refuse", "REFUSE")]


def test_an_anchor_that_cannot_be_loaded_ends_the_release(stand: Any, tmp_path: Path) -> None:
    weak = stand.model("weak", tmp_path)
    generation, state = read(stand.ledger, "l")
    decide(stand.ledger, "l", generation, replace(state.serve(weak, 1), anchor="c-gone"),
           kind="promote", verdict="PROMOTE", reason="t")
    started(stand)
    stand.ledger.append(rows(stand, 20, truth="new", said="weak"))
    made = stand.advance(2 * HOUR)
    assert kinds(made) == [("invalid", "INVALID")]
    assert "c-gone cannot be loaded" in made[0].reason


def test_a_candidate_that_cannot_be_loaded_is_stopped_and_spends_nothing(stand: Any) -> None:
    stand.offer("c-gone")
    made = stand.advance()
    assert kinds(made) == [("stop", "REFUSE")]
    assert "c-gone cannot be loaded" in made[0].reason
    assert stand.state.waiting is None
    assert stand.state.tests == ()


def test_what_this_machine_lacks_is_said_and_decides_nothing(stand: Any) -> None:
    def lacks(ident: str) -> Any:
        raise MissingDependency("xgboost", "loop")

    usual, stand.predictor = stand.predictor, lacks
    stand.offer()
    with pytest.raises(MissingDependency):
        stand.advance()
    stand.predictor = usual
    assert kinds(stand.advance()) == [("start", "NOTE")]


@pytest.mark.parametrize("answers", ["raises", "too few", "no json"])
def test_a_challenger_that_never_answers_is_refused_and_not_asked_for_ever(stand: Any, answers: str) -> None:
    asked = []

    class Broken:
        def predict(self, inputs: Any) -> Any:
            asked.append(len(inputs))
            if answers == "raises":
                raise RuntimeError("no")
            from trueup.core.protocols import Prediction

            return [Prediction(object())] * len(inputs) if answers == "no json" else []  # type: ignore[arg-type]

    usual, challenger = stand.predictor, stand.challenger
    stand.predictor = lambda ident: Broken() if ident == challenger else usual(ident)
    stand.labelled(300, new=0.5, old=0.5)
    started(stand)
    assert stand.state.release.parameters["forecast"]["disagreement"] == 1.0
    stand.ledger.append(rows(stand, 300))
    stand.clock.advance(2 * HOUR)
    asked.clear()
    stand.advance()
    assert len(asked) < 40
    made = stand.advance(7 * DAY)
    assert kinds(made) == [("refuse", "REFUSE")]
    assert made[0].evidence["result"]["new"] == 0.0


def test_one_bad_input_takes_no_other_with_it(stand: Any) -> None:
    class Picky:
        def __init__(self, inner: Any) -> None:
            self.inner = inner

        def predict(self, inputs: Any) -> Any:
            if "bad" in inputs:
                raise RuntimeError("bad input")
            return self.inner.predict(inputs)

    usual = stand.predictor
    stand.predictor = lambda ident: Picky(usual(ident))
    started(stand)
    made = rows(stand, 100)
    made[100] = made[100]._replace(input=dumps("bad"))
    stand.ledger.append(made)
    stand.advance(2 * HOUR)
    result = look(stand)
    assert (result["n"], result["failed"], result["new"]) == (100, 1, 0.99)


def test_a_scorer_that_raises_scores_the_others(stand: Any) -> None:
    started(stand, Shadow(Wild(), no_worse_by=0.05, units=400, max_time=7 * DAY), Full())
    stand.ledger.append(rows(stand, 60) + rows(stand, 5, truth="raise"))
    assert kinds(stand.advance(2 * HOUR)) == []
    result = look(stand)
    assert (result["n"], result["unscored"]) == (60, 5)


def test_a_score_outside_its_bounds_is_invalid(stand: Any) -> None:
    started(stand, Shadow(Wild(), no_worse_by=0.05, units=400, max_time=7 * DAY), Full())
    stand.ledger.append(rows(stand, 60) + rows(stand, 1, truth="out"))
    made = stand.advance(2 * HOUR)
    assert kinds(made) == [("invalid", "INVALID")]
    assert "outside [0, 1]" in made[0].reason
    assert recompute(stand.ledger, "l", made[0].evidence) == made[0].evidence["result"]


def test_a_scorer_whose_code_changed_on_the_way_is_invalid(stand: Any) -> None:
    started(stand, Shadow(Custom(fussy), no_worse_by=0.05, units=400, max_time=7 * DAY), Full())
    generation, state = read(stand.ledger, "l")
    scorer = {"kind": "score.custom", "function": {**state.release.parameters["scorer"]["function"], "source": "0"}}
    release = replace(state.release, parameters={**state.release.parameters, "scorer": scorer})
    decide(stand.ledger, "l", generation, replace(state, release=release), kind="step", verdict="HOLD", reason="t")
    made = stand.advance(HOUR)
    assert kinds(made) == [("invalid", "INVALID")]
    assert "scorer" in made[0].reason


def test_an_interaction_that_is_told_after_its_window_changes_no_past_look(stand: Any) -> None:
    """Units are ordered by exposure: one that is logged late must not slip in before others."""
    started(stand)
    begun = to_us(stand.clock.now())
    stand.ledger.append(rows(stand, 50))
    stand.advance(3 * HOUR)
    before = look(stand)
    late = rows(stand, 40, truth="other", said="other", ts=begun + 1, received=to_us(stand.clock.now()))
    stand.ledger.append(late)
    stand.advance()
    assert look(stand)["rows"] == before["rows"]


def test_seconds_that_are_told_after_the_lag_change_no_past_look(stand: Any) -> None:
    """A request that was unanswered when its unit matured stays slow, as it stays failed."""
    stand.offer()
    stand.labelled(300, new=0.9, old=0.8)
    stand.advance()
    stand.labelled(400, new=0.9, old=0.8)
    stand.advance(2 * HOUR)
    assert "levels" in stand.state.release.parameters
    stand.served(60, lost=1.0)
    stand.advance(20 * MINUTE)
    before = look(stand, "canary")
    now = to_us(stand.clock.now())
    stand.ledger.append([
        Event(row["id"], "l", "interaction", row["ts"], now, unit=row["unit"], choice=row["id"], arm=row["arm"],
              candidate=row["candidate"], propensity=row["propensity"], release=row["release"], seconds=0.01,
              output='"new"', input='"x"')
        for row in stand.ledger.scan("l", "assignment").to_pylist()
    ])  # fmt: skip
    after = look(stand, "canary")
    assert after["latency"] == before["latency"]
    assert after["rows"] == before["rows"]


def test_a_first_assignment_without_propensity_is_not_mended_by_a_second(stand: Any) -> None:
    started(stand, Canary(0.5, step=HOUR), Full())
    now, release = to_us(stand.clock.now()), stand.state.release.id
    one = Event("x1", "l", "assignment", now, now, unit="odd", arm="challenger", propensity=None, release=release)
    stand.ledger.append([one, one._replace(id="x2", propensity=0.5)])
    assert kinds(stand.advance(10 * MINUTE)) == [("invalid", "INVALID")]


def test_exposures_lost_by_an_earlier_release_do_not_end_this_one(stand: Any) -> None:
    started(stand, Canary(0.5, step=HOUR), Full())
    stand.served(20)
    now = to_us(stand.clock.now())
    stand.ledger.append([Event("s1", "l", "signal", now, now, name="exposures_lost", release="r-earlier")])
    assert kinds(stand.advance(10 * MINUTE)) == []


def test_a_shadow_asks_only_for_labelled_units_and_no_more_than_it_can_use(stand: Any) -> None:
    """Traffic may be a thousand times the horizon: a look must not answer all of it."""
    started(stand, Shadow(Accuracy(), no_worse_by=0.05, units=50, max_time=7 * DAY), Full())
    unlabelled = [row for row in rows(stand, 500) if row.kind == "interaction"]
    stand.ledger.append(unlabelled + rows(stand, 300, truth="old", said="old"))
    made = stand.advance(2 * HOUR)
    assert kinds(made) == [("refuse", "REFUSE")]
    result = made[0].evidence["result"]
    assert (result["units"], result["labelled"], result["n"]) == (800, 300, 50)
    assert stand.ledger.count("l", "answer") <= 100


def test_a_wide_margin_makes_the_anchor_no_error(stand: Any, tmp_path: Path) -> None:
    """Twice a margin of .6 is all there is to lose: the anchor cannot be further below."""
    weak = stand.model("weak", tmp_path)
    generation, state = read(stand.ledger, "l")
    decide(stand.ledger, "l", generation, replace(state.serve(weak, 1), anchor=stand.champion),
           kind="promote", verdict="PROMOTE", reason="t")
    stand.risk = Risk()
    started(stand, Shadow(Accuracy(), no_worse_by=0.6, units=100, max_time=7 * DAY), Full())
    stand.ledger.append(rows(stand, 100, truth="new", said="weak"))
    assert kinds(stand.advance(2 * HOUR))[-1] == ("promote", "PROMOTE")
