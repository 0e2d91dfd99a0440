# SPDX-License-Identifier: Apache-2.0
"""The decision framework: stages, reasons, numbers (REL-10)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from click.testing import CliRunner

from trueup.cli._main import trueup
from trueup.core.errors import ArgumentError
from trueup.release import Situation, recommend
from trueup.stats import forecast

WEEK = timedelta(days=7)


def names(**known: object) -> list[str]:
    return [one.stage for one in recommend(Situation(**known)).stages]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("known", "stages"),
    [
        ({"units_a_day": 5_000, "labels": 0.5}, ["Shadow", "Canary", "Full"]),
        ({"units_a_day": 5_000, "labels": 0.5, "risk": "high"}, ["Shadow", "Canary", "Approval", "Full"]),
        ({"units_a_day": 5_000, "labels": 0.5, "reversible": False}, ["Shadow", "Canary", "Approval", "Full"]),
        ({"units_a_day": 5_000, "margin": 0.03}, ["Canary", "AB", "Full"]),
        ({"units_a_day": 5_000, "margin": 0.03, "output": "ranking"}, ["Canary", "Interleave", "AB", "Full"]),
        ({"units_a_day": 9_000, "margin": 0.03, "arms": 4, "delay": timedelta(hours=1)}, ["Canary", "Bandit", "Full"]),
        ({"units_a_day": 20}, ["golden set", "Approval", "Full"]),
        ({"units_a_day": 5_000, "labels": 0.5, "propensities": True}, ["off-policy", "Shadow", "Canary", "Full"]),
        ({"units_a_day": 5_000, "feedback": False}, ["golden set", "Approval", "Full"]),
    ],
)
def test_rel_10_what_a_situation_asks_for(known: dict[str, object], stages: list[str]) -> None:
    assert names(**known) == stages


def test_the_numbers_are_those_of_the_test_that_would_run() -> None:
    found = recommend(Situation(units_a_day=5_000, labels=0.5))
    shadow = found.stages[0]
    exact = forecast(0.15, 0.02, 0.009, max_horizon=60_000, seed=1).horizon
    assert shadow.units == pytest.approx(exact, rel=0.05)  # stakes in 250 groups: ten times faster
    assert shadow.days == pytest.approx((shadow.units or 0) / 2_500 + 1)
    assert found.carrier == "Shadow"


def test_too_little_traffic_says_so_and_runs_no_underpowered_test() -> None:
    found = recommend(Situation(units_a_day=20))
    assert found.carrier is None
    text = "\n".join(found.lines())
    assert "a golden set and a person decide" in text
    assert "an underpowered one proves nothing" in text


def test_an_experiment_lasts_a_full_week_whatever_the_traffic() -> None:
    ab = next(one for one in recommend(Situation(units_a_day=10**7, margin=0.05)).stages if one.stage == "AB")
    assert ab.days == 7.0


def test_the_command_prints_reasons_and_what_to_write() -> None:
    done = CliRunner().invoke(trueup, ["recommend", "--traffic", "20", "--no-feedback"])
    assert done.exit_code == 0, done.output
    assert "release=[Approval(by='owners'), Full()]" in done.output
    done = CliRunner().invoke(trueup, ["recommend", "--traffic", "20", "--no-feedback", "--json"])
    assert '"carrier": null' in done.output


@pytest.mark.parametrize("wrong", [{"units_a_day": -1}, {"labels": 2.0}, {"output": "song"}, {"risk": "none"}, {"arms": 0}])
def test_what_is_no_situation_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ArgumentError):
        Situation(**{"units_a_day": 100, **wrong})  # type: ignore[arg-type]
