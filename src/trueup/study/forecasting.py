# SPDX-License-Identifier: Apache-2.0
"""Before an experiment starts: how long, what it can detect, how much of the promise is left (TRU-09)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trueup.core.clock import to_us
from trueup.loop.plan import disagreement_of
from trueup.release import Shadow, next_level
from trueup.state import read
from trueup.study.past import rate, traffic

if TYPE_CHECKING:
    from trueup.loop import Loop
    from trueup.store import Ledger

DAYS = (7, 14, 28, 91)
POWER = 0.95
MOST = 50_000   # units; more of them would show a little more than is said


@dataclass(frozen=True, slots=True)
class Outlook:
    """What the next release can tell, and when.

    `level` is the next test's; `left` what the promise still holds after it, all later tests
    together. `shadow` and `ab` hold, for each span of days, the smallest true advantage over the
    margin that is shown with a power of .95 (None: none), and the days that an equally good
    challenger needs (None: no end can be told). An A/B is told where an outcome of the answers has values.
    """

    loop: str
    test: int
    level: float
    left: float
    per: str
    shadow: dict[str, Any] | None
    ab: tuple[dict[str, Any], ...]

    def to_json(self) -> dict[str, Any]:
        return {"loop": self.loop, "test": self.test, "level": self.level, "left": self.left, "per": self.per, "shadow": self.shadow, "ab": list(self.ab)}

    def lines(self) -> list[str]:
        """The outlook for people."""
        out = [f"{self.loop}: test {self.test} would run at level {self.level:.3g}; {self.left:.3g} of the promise is left for all later ones (per {self.per})"]
        if self.shadow is None:
            out.append("shadow: none in this loop")
        else:
            one = self.shadow
            out.append(
                f"shadow: {one['pairs'] or 'too many'} pairs at margin {one['margin']:g} if they are equally good and disagree on {one['disagreement']:.3f}; "
                f"{one['daily']:.1f} labelled units a day: {_days(one['days'])}"
            )
            out += _detectable(one)
        for one in self.ab:
            out.append(
                f"A/B of {one['outcome']}: {one['base']:.4f} now; {one['units'] or 'too many'} units at 50/50 and margin {one['margin']:g} if they are equally good; "
                f"{one['daily']:.1f} units a day: {_days(one['days'])}"
            )
            out += _detectable(one)
        if not self.ab:
            out.append("A/B: no outcome of the answers that were shown has values yet")
        return out


def outlook(loop: Loop, ledger: Ledger, *, days: Sequence[int] = DAYS, margin: float | None = None) -> Outlook:
    """What the loop's traffic can tell, in days, before a release starts; nothing is changed.

    Pairs and units are those of the last 30 days logged. Powers are simulated with the very bets
    that decide. `margin` of an A/B is the shadow's, or .02.
    """
    from trueup.stats import Levels

    _, state = read(ledger, loop.name)
    now = to_us(ledger.clock.now())
    level, test = next_level(state.tests, loop.risk, now), len(state.tests) + 1
    levels = Levels(loop.risk.wrong_promotion, loop.risk.per)
    spent = sum(levels.share(k) for k in range(1, test + 1))
    left = level if loop.risk.per == "release" else loop.risk.wrong_promotion * max(0.0, 1.0 - spent)
    wide = margin or (loop.carrier.no_worse_by if loop.carrier else 0.02)
    ab = tuple(
        found for one in loop.outcomes if not one.label and (found := _ab(loop, ledger, one, level, wide, days)) is not None
    )
    return Outlook(loop.name, test, level, left, loop.risk.per, _shadow(loop, ledger, level, days), ab)


def _shadow(loop: Loop, ledger: Ledger, level: float, days: Sequence[int]) -> dict[str, Any] | None:
    from trueup.stats import forecast, paired_pass_probability

    carrier = loop.carrier
    if carrier is None:
        return None
    shadow = carrier if isinstance(carrier, Shadow) else None
    label = loop.label if shadow is None else shadow.label(loop.outcomes)
    audits = shadow.audit.share if shadow is not None and shadow.audit is not None else 1.0
    share = disagreement_of(ledger, loop.name)
    daily = traffic(ledger, loop.name, label.name)["labelled"] / 30.0
    seen = forecast(share, carrier.no_worse_by, level, seed=loop.seed)

    def power(n: int, effect: float) -> float:
        return paired_pass_probability(n, share, carrier.no_worse_by, level, effect, reps=200, seed=loop.seed, exact=False)

    pairs = seen.horizon if seen.horizon is None or shadow is None else shadow.pairs(seen.horizon)
    return {
        "margin": carrier.no_worse_by, "disagreement": share, "pairs": pairs, "power": seen.power, "daily": daily,
        "days": pairs / daily if pairs and daily else None,
        "detectable": {str(span): _least(power, daily * span * audits, share, carrier.no_worse_by) for span in days},
    }


def _ab(loop: Loop, ledger: Ledger, outcome: Any, level: float, margin: float, days: Sequence[int]) -> dict[str, Any] | None:
    from trueup.stats import ab_power, forecast_ab

    seen = rate(ledger, loop.name, outcome)
    if seen is None:
        return None
    base, daily = seen[0], seen[1] / 30.0

    def power(n: int, effect: float) -> float:
        return ab_power(n, base, effect, margin, level, reps=100, seed=loop.seed, exact=False)

    equal = forecast_ab(base, 0.0, margin, level, reps=100, max_horizon=MOST, seed=loop.seed, exact=False).horizon
    return {
        "outcome": outcome.name, "base": base, "margin": margin, "units": equal, "daily": daily,
        "days": equal / daily if equal and daily else None,
        "detectable": {str(span): _least(power, daily * span, 1.0 - base, margin) for span in days},
    }


def _least(power: Callable[[int, float], float], available: float, most: float, margin: float) -> float | None:
    """The smallest advantage that so many units can show with power .95, by bisection to a hundredth of what
    is looked for; None where none can. The same draws serve every advantage, so that power only rises with it."""
    n = min(int(available), MOST)
    if n < 1 or power(n, most) < POWER:
        return None
    if power(n, 0.0) >= POWER:
        return 0.0
    low, high = 0.0, most
    while high - low > max(0.01 * high, 0.001 * margin, 1e-5):
        middle = 0.5 * (low + high)
        low, high = (low, middle) if power(n, middle) >= POWER else (middle, high)
    return high


def _detectable(one: dict[str, Any]) -> list[str]:
    return [
        f"  in {span} days: " + ("nothing can be shown" if least is None else "an equally good challenger" if least == 0.0 else f"a challenger that is better by {least:.3g}")
        for span, least in one["detectable"].items()
    ]


def _days(days: float | None) -> str:
    return "no end can be told" if days is None else f"{days:.0f} days"
