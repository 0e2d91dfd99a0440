# SPDX-License-Identifier: Apache-2.0
"""TRU-06: a judge speaks of every unit, people of a random few, and a biased judge cannot promote."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from trueup.cli._main import trueup
from trueup.core.clock import SystemClock, to_us
from trueup.core.decisions import Decision
from trueup.core.errors import ArgumentError, NotFound, Refused
from trueup.core.events import Event, outcome
from trueup.core.json import dumps
from trueup.core.task import Outcome
from trueup.core.values import to_json
from trueup.evaluate import Accuracy
from trueup.loop import verify_receipt, why, write_receipt
from trueup.release import (
    Audit,
    Full,
    Shadow,
    Terms,
    answer_audit,
    audits_open,
    verdict_of,
)
from trueup.release.shadow.audits import asked
from trueup.state import define

from .conftest import Stand

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
JUDGED, LABEL = Outcome.of_input("judged", within=HOUR), Outcome.of_input("label", within=HOUR)
PARAMETERS: dict[str, Any] = {
    "level": 0.1, "horizon": 600, "margin": 0.05, "anchor": None, "creep": 0.1,
    "audit": {"share": 0.2, "outcome": "label", "scorer": None, "salt": "l/r-1/audit"},
}


def rows(rng: Any, n: int, *, effect: float, bias: float, answered: float = 1.0) -> list[list[Any]]:
    """Pairs of which people see `effect` for the challenger, and the judge sees `bias` more, by making
    ties wins; where `answered` is below 1, people are silent on units that the judge favours."""
    found = []
    for at in range(n):
        u = rng.random()
        y = (1.0, 0.0) if u < 0.1 + effect / 2 else (0.0, 1.0) if u > 0.9 + effect / 2 else (1.0, 1.0)
        favoured = y == (1.0, 1.0) and rng.random() < bias
        judged = (1.0, 0.0) if favoured else y
        drawn = asked(PARAMETERS["audit"], f"{rng.random()}")
        told = drawn and not (favoured and rng.random() > answered)
        found.append([f"c{at}", f"u{at}", *judged, None, bool(at % 2), drawn, *(y if told else (None, None)), None])
    return found


def promoted(reps: int, seed: int, parameters: dict[str, Any], **more: Any) -> float:
    rng = np.random.default_rng(seed)
    hits = 0
    for _ in range(reps):
        told = {"counts": {"units": 600, "labelled": 600}, "failed": 0, "rows": rows(rng, 600, **more)}
        hits += verdict_of("shadow", told, parameters, 0)["rejected"]
    return hits / reps


def test_tru_06_a_biased_judge_stays_at_its_level_and_alone_it_does_not() -> None:
    """Level .1, 200 repetitions of 600 units, seed 1: people see a challenger that is worse by exactly the
    margin, the judge one that is better by .2; control: the same judge without people."""
    ours = promoted(200, 1, PARAMETERS, effect=-0.05, bias=0.3)
    assert ours <= 0.1 + 2 * math.sqrt(0.09 / 200), ours
    alone = promoted(20, 1, {**PARAMETERS, "audit": None}, effect=-0.05, bias=0.3)
    assert alone == 1.0


def test_silence_on_what_the_judge_favours_does_not_promote_either() -> None:
    """Half of the audits of favoured units are not answered: the level holds for units that people answer for."""
    ours = promoted(200, 2, PARAMETERS, effect=-0.06, bias=0.1, answered=0.5)
    assert ours <= 0.1 + 2 * math.sqrt(0.09 / 200), ours


def test_a_better_challenger_is_found_and_a_judge_that_agrees_saves_labels() -> None:
    found = promoted(40, 3, {**PARAMETERS, "audit": {**PARAMETERS["audit"], "share": 0.3}}, effect=0.12, bias=0.02)
    assert found >= 0.9, found


class Court(Stand):
    """A stand whose judge labels every request, and favours the challenger on a share `bias` of them."""

    name = "l"

    def terms(self) -> Terms:
        return replace(super().terms(), outcomes=[JUDGED, LABEL])

    def judged(self, n: int, *, new: float, old: float, bias: float) -> None:
        made = []
        for _ in range(n):
            self.units += 1
            self.clock.advance(timedelta(seconds=1))
            now, ident = to_us(self.clock.now()), self.ids.new()
            truth = "new" if self.rng.random() < new else "other"
            said = truth if self.rng.random() < old else "wrong"
            judge = "new" if self.rng.random() < bias else truth
            made.append(Event(
                ident, self.name, "interaction", now, now, unit=f"u{self.units}", choice=ident, arm="champion",
                candidate=self.state.champion, input=dumps({"truth": truth}), output=dumps(said), seconds=0.01,
            ))
            made.append(outcome(self.name, ident, "judged", judge, ts=now, received=now))
        self.ledger.append(made)

    def people(self) -> int:
        """Whoever is asked answers, by the truth that stands in the input."""
        open_ = audits_open(self.ledger, self.name)
        for one in open_:
            answer_audit(self.ledger, self.name, one.choice, one.input["truth"], who="ann")  # type: ignore[index,call-overload]
        return len(open_)


@pytest.fixture
def court(tmp_path: Path) -> Iterator[Court]:
    audit = Audit(0.25, "label")
    made = Court(tmp_path / "home", [Shadow(Accuracy(), no_worse_by=0.05, units=1_200, outcome="judged", audit=audit), Full()])
    yield made
    made.ledger.close()


def last(court: Court) -> Decision:
    return court.ledger.decisions("l", newest=True, limit=1)[0]


def test_tru_06_a_release_asks_people_and_why_explains_both(court: Court) -> None:
    """The challenger is worse by .2, and the judge says it is better by .3: refused, and told why."""
    court.offer()
    court.advance()
    court.judged(1_200, new=0.5, old=0.7, bias=0.9)
    people = court.people()
    assert 230 < people < 370
    assert audits_open(court.ledger, "l") == []
    court.advance(2 * HOUR)
    decision = last(court)
    assert decision.verdict == "REFUSE", decision.reason
    found = why(court.ledger, decision.id)
    assert found.matches is True
    told = "\n".join(found.lines)
    assert "the bet is on their word" in told
    assert "PPI++" in told
    assert "the judge favoured the challenger by +0." in told
    result = decision.evidence["result"]
    assert result["new"] > result["old"] + 0.2          # in the judge's eyes
    told_of = result["segments"]["history"]["new"]      # on all units, and not where the judge alone would have ended it
    assert (result["n"], result["new"], result["old"]) == (1_200, told_of["challenger"]["mean"], told_of["champion"]["mean"])
    assert result["interval"][1] - result["interval"][0] < 0.2
    assert result["audits"]["ppi"]["interval"][1] < 0.0  # and in people's
    assert result["segments"]["history"]["new"]["champion"]["units"] == result["n"]


def test_the_same_judge_without_people_promotes(court: Court) -> None:
    """The control: the worse challenger of the test above, by the judge alone."""
    court.stages = [Shadow(Accuracy(), no_worse_by=0.05, units=1_200, outcome="judged"), Full()]
    court.offer()
    court.advance()
    court.judged(1_200, new=0.5, old=0.7, bias=0.9)
    assert [one.verdict for one in court.advance(2 * HOUR)][-1] == "PROMOTE"


def test_a_better_challenger_is_promoted_with_a_receipt_of_people(court: Court, tmp_path: Path) -> None:
    court.offer()
    court.advance()
    court.judged(1_200, new=0.95, old=0.6, bias=0.1)
    court.people()
    made = court.advance(2 * HOUR)
    assert made[-1].verdict == "PROMOTE", made[-1].reason
    assert why(court.ledger, made[-1].id).matches is True
    body = {"risk": to_json(court.risk), "release": to_json(court.stages)}
    define(court.ledger, "l", "d" * 64, body)
    path = write_receipt(court.ledger, made[-1])
    found = verify_receipt(path)
    assert found.says == "holds", found.lines
    told = json.loads(path.read_text("utf-8"))
    assert not any(f'"u{at}"' in json.dumps(told) for at in (1, 600, 1_200)), "units are hidden"


def test_audits_that_are_not_answered_give_no_verdict(court: Court) -> None:
    court.offer()
    court.advance()
    court.judged(1_200, new=0.95, old=0.6, bias=0.1)
    assert court.advance(2 * HOUR) == []
    court.judged(1, new=0.95, old=0.6, bias=0.1)
    court.advance(timedelta(days=8))
    assert last(court).verdict == "INVALID"
    assert "audits were answered" in last(court).reason


def test_only_the_drawn_requests_are_answered_and_only_while_a_shadow_asks(court: Court) -> None:
    with pytest.raises(NotFound, match="audits"):
        audits_open(court.ledger, "l")
    court.offer()
    court.advance()
    court.judged(40, new=0.9, old=0.6, bias=0.1)
    drawn = {one.choice for one in audits_open(court.ledger, "l")}
    other = next(row for row in court.ledger.scan("l", "interaction").column("id").to_pylist() if row not in drawn)
    with pytest.raises(Refused, match="random"):
        answer_audit(court.ledger, "l", other, "new", who="ann")


def test_the_command_lists_what_is_asked_and_takes_an_answer(court: Court) -> None:
    court.clock.advance(SystemClock().now() - court.clock.now() - timedelta(minutes=5))
    court.offer()
    court.advance()
    court.judged(40, new=0.9, old=0.6, bias=0.1)
    court.ledger.close()
    words = ["--home", str(court.ledger.home), "audit"]
    listed = json.loads(CliRunner().invoke(trueup, [*words, "--json"]).stdout)
    assert listed
    done = CliRunner().invoke(trueup, [*words, listed[0]["choice"], "new", "--as", "ann"])
    assert "written down" in done.output, done.output
    again = json.loads(CliRunner().invoke(trueup, [*words, "--json"]).stdout)
    assert [one["choice"] for one in again] == [one["choice"] for one in listed[1:]]
    assert "trueup audit CHOICE LABEL" in CliRunner().invoke(trueup, words).output


def test_a_loop_with_audits_that_cannot_work_is_told_so(court: Court) -> None:
    terms = court.terms()
    same = Shadow(Accuracy(), outcome="judged", audit=Audit(0.1, "judged"))
    assert "same label" in same.problems(terms)[0]
    unknown = Shadow(Accuracy(), outcome="judged", audit=Audit(0.1, "nobody"))
    assert "no label" in unknown.problems(terms)[0]
    late = Shadow(Accuracy(), outcome="judged", max_time=2 * HOUR, audit=Audit(0.1, "label"))
    assert late.problems(terms) == []
    assert late.pairs(300) == 3_000
    with pytest.raises(ArgumentError, match="share"):
        Audit(0.0, "label")
