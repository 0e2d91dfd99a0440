# SPDX-License-Identifier: Apache-2.0
"""What a loop would do now, and why, before it does it (TRU-11). Nothing is changed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from trueup.core.clock import from_us, to_us
from trueup.loop.context import Context
from trueup.loop.facts import SUPPOSED, LedgerFacts
from trueup.loop.look import Look, findings
from trueup.loop.queries import QUERIES
from trueup.release import Shadow, forecast_trial, next_level, waiting, waiting_words
from trueup.state import Cost, LoopState, read

if TYPE_CHECKING:
    from trueup.loop.definition import Loop
    from trueup.store import Ledger

DAY_US = 86_400_000_000
USUAL_DISAGREEMENT = 0.15


@dataclass(frozen=True, slots=True)
class Plan:
    """The evidence of every trigger against its line, what training would take, and what a
    release would need: rows, seconds, money, pairs and days at the present traffic. `days` is what
    the running shadow still needs at most, None where none runs or no label has come. `asks`
    says whom a candidate waits for."""

    loop: str
    at: datetime
    champion: str | None
    paused: str | None
    due: bool
    next_look: datetime
    look: Look
    rows: int
    new_rows: int
    min_rows: int
    seconds: float | None
    money: str | None
    release: str | None
    waiting: str | None
    forecast: dict[str, Any] | None
    days: float | None = None
    asks: str | None = None

    @property
    def trains(self) -> bool:
        """Whether a look now would train."""
        return self.paused is None and self.look.trains

    def to_json(self) -> dict[str, Any]:
        return {
            "loop": self.loop, "at": self.at.isoformat(), "champion": self.champion,
            "paused": self.paused, "trains": self.trains, "reason": self.look.reason,
            "due": self.due, "next_look": self.next_look.isoformat(), **self.look.to_json(),
            "rows": self.rows, "new_rows": self.new_rows, "min_rows": self.min_rows,
            "seconds": self.seconds, "money": self.money, "release": self.release,
            "waiting": self.waiting, "forecast": self.forecast, "days": self.days,
            "asks": self.asks,
        }


def plan(loop: Loop, ledger: Ledger, now: datetime | None = None) -> Plan:
    """What `run` would do at `now` (the ledger's clock where it is not given)."""
    now = now or ledger.clock.now()
    _, state = read(ledger, loop.name)
    state = _supposed(loop, state)
    cut, at = ledger.cut(), to_us(now)
    facts = LedgerFacts(loop, ledger, state, cut=cut, now=at)
    from trueup.loop.observe import last_look

    last = last_look(loop, ledger, state)
    looked = None if last is None else from_us(last)
    costs = ledger.records(loop.name, Cost, limit=1, newest=True)
    money = f"{costs[0].amount:.2f} {costs[0].currency}" if costs and costs[0].currency else None
    forecast = _forecast(loop, ledger, state, cut, at)
    asked = waiting(state)
    return Plan(
        loop=loop.name, at=now, champion=state.champion, paused=state.paused,
        due=looked is None or loop.look.due(looked, now) is not None, next_look=loop.look.next(now),
        look=findings(loop, ledger, state, cut=cut, now=at), rows=facts.rows(),
        new_rows=facts.rows(new=True), min_rows=loop.recipe.min_rows,
        seconds=costs[0].seconds if costs else None, money=money,
        release=_running(state), waiting=state.waiting,
        forecast=forecast, days=_days_left(state, forecast),
        asks=None if asked is None else waiting_words(*asked, at),
    )


def _supposed(loop: Loop, state: LoopState) -> LoopState:
    """A loop that observes installs nothing: where it would begin with its definition's model, that is supposed."""
    if loop.mode != "observe" or state.champion is not None or loop.champion is None:
        return state
    return replace(state, champion=SUPPOSED)


def _days_left(state: LoopState, forecast: dict[str, Any] | None) -> float | None:
    """Days until the running shadow or experiment has all that it means to score."""
    parameters = state.release.parameters if state.release else {}
    daily = forecast.get("labelled_units_a_day", forecast["units_a_day"]) if forecast else 0.0
    return parameters["horizon"] / daily if daily and "horizon" in parameters else None


def _running(state: LoopState) -> str | None:
    release = state.release
    if release is None:
        return None
    return f"{release.candidate} is in stage {release.stage + 1}, test {release.k} at level {release.level:.3g}"


def _forecast(loop: Loop, ledger: Ledger, state: LoopState, cut: int, at: int) -> dict[str, Any] | None:
    """Pairs that the next shadow needs, or units that an experiment needs, and days at the traffic of
    the last 30 days logged."""
    from trueup.stats import forecast

    carrier = loop.carrier
    if carrier is None:
        return None
    level = next_level(state.tests, loop.risk, at)
    if not isinstance(carrier, Shadow):
        needed = forecast_trial(Context(loop, ledger).terms(), carrier, ledger, state, level=level, cut=cut, now=at)
        return {"test": len(state.tests) + 1, "level": level, "margin": carrier.no_worse_by, **needed}
    share = disagreement_of(ledger, loop.name)
    seen = forecast(share, carrier.no_worse_by, level, seed=loop.seed)
    pairs = carrier.units or (seen.horizon and carrier.pairs(seen.horizon))
    traffic = ledger.query(QUERIES["traffic"], {
        "loop": loop.name, "name": carrier.label(loop.outcomes).name, "span": 30 * DAY_US, "now": at,
    }, cut=cut).to_pylist()[0]
    daily = traffic["labelled"] / 30.0
    return {
        "test": len(state.tests) + 1, "level": level, "disagreement": share,
        "margin": carrier.no_worse_by, "needed": seen.horizon, "power": seen.power, "pairs": pairs,
        "labelled_units_a_day": daily, "units_a_day": traffic["units"] / 30.0,
        "days": pairs / daily if pairs and daily else None,
    }


def disagreement_of(ledger: Ledger, loop: str) -> float:
    """The share on which the last release's models differed; .15 before the first."""
    for decision in ledger.decisions(loop, kind="start", newest=True, limit=1):
        found = decision.evidence.get("forecast")
        if found and "disagreement" in found:
            return float(found["disagreement"])
    return USUAL_DISAGREEMENT
