# SPDX-License-Identifier: Apache-2.0
"""What is wrong outside of a home: registries that are away or behind, channels that reach nobody.

Registries are asked and compared, and nothing is changed there; channels are looked at, and nothing is sent.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from trueup.core.clock import from_us
from trueup.core.errors import TrueupError
from trueup.core.values import from_json
from trueup.loop.context import moment

if TYPE_CHECKING:
    from trueup.store import Ailment, Ledger


def outside(ledger: Ledger, *, ask: bool = True) -> list[Ailment]:
    """What is wrong with the registries and the channels that the loops' last definitions name.

    Without `ask` no registry is asked, and only what is known of it is said. A loop that observes is
    shown in none.
    """
    from trueup.alerts import AlertFile, AlertLog, Apprise
    from trueup.registry import Mlflow
    from trueup.state import definition

    assert all((AlertFile, AlertLog, Apprise, Mlflow)), "their kinds are registered: no other room is needed here"
    found: list[Ailment] = []
    for loop in ledger.loops():
        _, body = definition(ledger, loop) or ("", {})
        if body.get("mode") != "observe":
            found += _registries(ledger, loop, body, ask)
        found += _channels(ledger, loop, body)
    return found


def _registries(ledger: Ledger, loop: str, definition: Mapping[str, Any], ask: bool) -> Iterator[Ailment]:
    from trueup.registry import deliver, troubles
    from trueup.store import Ailment

    if not ask:
        for one in troubles(ledger, loop):
            yield Ailment(
                "warning", "registry-away", f"{loop} is not shown in {one['target']} since {moment(one['at'])}: {one['error']}",
                "trueup registry publish",
            )
        return
    for data in definition.get("publish", ()):
        part, wrong = _read(loop, "registry", data)
        if wrong is not None:
            yield wrong
            continue
        done = deliver(ledger, loop, part, dry=True)
        if done.error is not None:
            yield Ailment("warning", "registry-away", f"{loop} cannot be shown in {done.target}: {done.error}", "trueup registry publish")
        elif done.changes:
            counts = ", ".join(f"{n} {what}" for what, n in sorted(Counter(one.what for one in done.changes).items()))
            yield Ailment(
                "note", "registry-behind", f"{done.target} is behind {loop} by {len(done.changes)} ({counts})",
                "trueup up does it by itself; trueup registry publish at once",
            )


def _channels(ledger: Ledger, loop: str, definition: Mapping[str, Any]) -> Iterator[Ailment]:
    from trueup.alerts import failing, name_of
    from trueup.store import Ailment

    for data in definition.get("alerts", ()):
        part, wrong = _read(loop, "channel", data)
        if wrong is not None:
            yield wrong
            continue
        try:
            getattr(part, "check", lambda _: None)(ledger.home)
        except Exception as error:  # a channel of one's own may raise anything
            words = error.message if isinstance(error, TrueupError) else type(error).__name__
            cure = error.cure if isinstance(error, TrueupError) else ""
            yield Ailment("warning", "channel-wrong", f"{loop}: alerts cannot go to {name_of(part)}: {words}", cure or "trueup alerts test")
        failed = failing(ledger, loop, part)
        if failed is not None:
            yield Ailment(
                "warning", "channel-failing",
                f"{loop}: {name_of(part)} has failed {failed['failures']} times, at last {moment(failed['at'])}: {failed['error']}; "
                f"tried again {from_us(failed['retry']):%Y-%m-%d %H:%M}", "trueup alerts test",
            )


def _read(loop: str, what: str, data: Mapping[str, Any]) -> tuple[Any, Ailment | None]:
    from trueup.store import Ailment

    try:
        return from_json(data), None
    except TrueupError as error:  # a part of one's own: it stands in the loop file, or is not installed
        words = f"{loop}: the {what} {data.get('kind')} cannot be looked at here: {error.message}"
        return None, Ailment("note", f"{what}-unknown", words, error.cure)
