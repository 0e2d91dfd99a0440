# SPDX-License-Identifier: Apache-2.0
"""TRG-07, TRU-03: a score that another tool says by a signal, from the client to the trigger."""

from contextlib import closing
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import numpy as np
import pytest

from trueup.client import connect
from trueup.core.clock import ManualClock, to_us
from trueup.core.errors import ArgumentError
from trueup.loop.facts import LedgerFacts
from trueup.state import LoopState
from trueup.store import Ledger
from trueup.testing import check_trigger
from trueup.triggers import Told

START = datetime(2026, 1, 1, tzinfo=UTC)


def facts(ledger: Ledger, when, since: datetime = START) -> LedgerFacts:
    loop = SimpleNamespace(
        name="l", when=when, watch=(), false_alarms_per_year=1.0, label=SimpleNamespace(name="y"), mode="act",
        recipe=SimpleNamespace(curate=()),
    )
    state = LoopState(champion="c", since=to_us(since))
    return LedgerFacts(loop, ledger, state, cut=ledger.cut(), now=to_us(ledger.clock.now()))


def test_it_keeps_the_contract_and_refuses_what_it_cannot_be() -> None:
    check_trigger(Told("psi"))
    for wrong in ({"name": ""}, {"name": "psi", "calibration": 3}, {"name": "psi", "above": float("nan")}, {"name": "psi", "field": ""}):
        with pytest.raises(ArgumentError):
            Told(**wrong)


def test_a_told_score_holds_once_it_has_become_larger_and_matters(tmp_path) -> None:
    """`client.signal("psi", value=...)` from a cron of its own; a training answers the alarm."""
    rng, clock = np.random.default_rng(2), ManualClock(START)
    with closing(Ledger.open(tmp_path, clock=clock)) as ledger, connect("l", tmp_path, clock=clock) as client:

        def said(n: int, mean: float) -> None:
            for score in rng.normal(mean, 0.02, n):
                clock.advance(timedelta(days=1))
                client.signal("psi", value=float(score))

        said(60, 0.15)
        client.signal("psi", value="broken")
        quiet = Told("psi").look(facts(ledger, [Told("psi")]))
        assert not quiet.holds
        assert quiet.evidence["without a number"] == 1
        said(15, 0.22)
        found = Told("psi").look(facts(ledger, [Told("psi")]))
        assert found.holds
        assert found.evidence["detector"] == "told:psi"
        assert found.evidence["statistic"] >= found.evidence["threshold"]
        small = Told("psi", above=0.5).look(facts(ledger, [Told("psi")]))
        assert not small.holds
        assert "below 0.5" in small.reason
        said(3, 0.22)
        answered = Told("psi").look(facts(ledger, [Told("psi")], since=clock.now() - timedelta(days=3)))
        assert not answered.holds
        assert "of 40 scores for calibration" in answered.reason
