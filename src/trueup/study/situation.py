# SPDX-License-Identifier: Apache-2.0
"""What a loop and its log already say of the situation that a release is designed for (REL-10)."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from trueup.core.clock import to_us
from trueup.core.errors import DataError
from trueup.loop.plan import disagreement_of
from trueup.release import Interleave, Shadow, Situation, next_level
from trueup.state import read
from trueup.study.past import rate, traffic

if TYPE_CHECKING:
    from trueup.loop import Loop
    from trueup.store import Ledger

OUTPUTS = {"label": "label", "labels": "label", "text": "text", "number": "number"}


def situation(loop: Loop, ledger: Ledger, **known: Any) -> Situation:
    """The Situation of a loop, as far as its file and the last 30 days of its log tell; `known` goes before.

    Traffic and labels are counted, the outcome's rate and delay are those of the first outcome of the answers
    that has values, margin and level those of the loop's next test. Raises DataError without a log, where
    `units_a_day` is not known.
    """
    _, state = read(ledger, loop.name)
    carrier = loop.carrier
    label = carrier.label(loop.outcomes) if isinstance(carrier, Shadow) else next((one for one in loop.outcomes if one.label), None)
    seen = traffic(ledger, loop.name, "" if label is None else label.name)
    if not seen["units"] and "units_a_day" not in known:
        raise DataError(f"expected logged requests of {loop.name}, got none", cure="--traffic UNITS_A_DAY, or trueup import FILE")
    found: dict[str, Any] = {
        "units_a_day": seen["units"] / 30.0, "labels": seen["labelled"] / seen["units"] if seen["units"] else 0.0,
        "output": "ranking" if any(isinstance(one, Interleave) for one in loop.release) else OUTPUTS[loop.task.answers],
        "disagreement": disagreement_of(ledger, loop.name), "level": next_level(state.tests, loop.risk, to_us(ledger.clock.now())), "feedback": False,
    }
    if carrier is not None:
        found["margin"] = carrier.no_worse_by
    for one in loop.outcomes:
        if not one.label and (told := rate(ledger, loop.name, one)) is not None:
            found |= {"feedback": True, "base": told[0], "delay": max(one.within, timedelta(minutes=1))}
            break
    return Situation(**{**found, **known})
