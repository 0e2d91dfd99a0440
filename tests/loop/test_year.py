# SPDX-License-Identifier: Apache-2.0
"""The whole cycle on the toy world, each verdict reached by its own evidence."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from trueup.core.decisions import Decision
from trueup.loop import Loop, why
from trueup.registry import reigns
from trueup.release import approve
from trueup.state import read
from trueup.store import Ledger
from trueup.testing import ToyTraffic, simulate, toy_history, toy_rows

DAY = timedelta(days=1)
START = datetime(2026, 1, 1, tzinfo=UTC)


def approving(ledger: Ledger, made: list[Decision]) -> None:
    _, state = read(ledger, "toys")
    if state.release is not None and "by" in state.release.parameters and state.release.approval is None:
        approve(ledger, "toys", state.release.candidate, reason="looks right", who="ada")


def seeded(home: Path, rows: int = 400) -> Path:
    from trueup.core.clock import ManualClock

    with Ledger.open(home, clock=ManualClock(START)) as ledger:
        ledger.append(toy_history("toys", toy_rows(rows, seed=9), START))
    return home


def test_a_world_that_moves_is_learned_proven_and_promoted(
    make_loop: Callable[..., Loop], tmp_path: Path
) -> None:
    """TRG-02, TRN-03, EVL-05, REL-01 to REL-03, REG-03, REG-05, TRU-01, TRU-14."""
    loop = make_loop()
    assert not [problem for problem in loop.check() if problem.severe]
    traffic = ToyTraffic(1, units_a_day=150, moves=START + 6 * DAY)
    with simulate(
        loop, traffic, start=START, until=START + 35 * DAY, home=seeded(tmp_path / "home"), after=approving
    ) as made:
        kinds = made.kinds()
        print(*[f"{d.kind} {d.verdict} {d.reason}" for d in made.decisions], sep="\n")
        assert kinds[0] == ("look", "TRAIN")
        assert kinds[1] == ("install", "PROMOTE")
        assert ("look", "REST") in kinds[2:8]
        assert ("promote", "PROMOTE") in kinds
        assert len(reigns(made.ledger, "toys")) >= 2
        for decision in made.ledger.decisions("toys"):
            explained = why(made.ledger, decision.id)
            assert explained.matches is not False, explained.lines
        promoted = next(d for d in made.decisions if d.kind == "promote")
        print(*why(made.ledger, promoted.id).lines, sep="\n")
        assert why(made.ledger, promoted.id).matches is True
