# SPDX-License-Identifier: Apache-2.0
"""From the ledger to people: what is new since the cursor, to every channel that has not had it.

Everything stands in records: `alert` (one a key), `alert_cursor` (how far the ledger was read),
`alert_sent` (one a channel and key), `alert_failure` (a channel that did not take them) and
`alert_mute`. A process may be killed anywhere: what is promised then stands in docs/design/alerts.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from trueup.alerts.alert import Alert, at_least
from trueup.alerts.channels import Channel
from trueup.alerts.reading import DAY_US, of_decision, of_report, of_signal, of_state
from trueup.core.clock import to_us
from trueup.core.errors import Busy, TrueupError
from trueup.core.json import loads
from trueup.core.values import digest, kind_of

if TYPE_CHECKING:
    from trueup.store import Ledger

KEPT_US = 7 * DAY_US
BATCH, LATEST = 20, 200
FIRST_WAIT_US, LONGEST_WAIT_US = 60_000_000, 6 * 3_600_000_000


@dataclass(frozen=True, slots=True)
class Delivered:
    """What became of some alerts in a channel: how many it took, and why not all."""

    channel: str
    sent: int
    error: str | None = None

    def to_json(self) -> dict[str, Any]:
        return {"channel": self.channel, "sent": self.sent, "error": self.error}


def alert(ledger: Ledger, loop: str, channels: Sequence[Channel]) -> list[Delivered]:
    """Raise what is new in a loop's ledger, and bring every channel what it has not had.

    Blocks nothing: a channel that fails is tried again later (after a minute, then twice as long each
    time, six hours at most), and where another process is at it, this one leaves it to that. What is
    older than a week is not sent any more.
    """
    from trueup.store import lock

    try:
        with lock(ledger.home, f"alerts-{loop}"):
            now = to_us(ledger.clock.now())
            _read(ledger, loop, now)
            return [_bring(ledger, loop, channel, now) for channel in channels]
    except Busy:
        return []


def tell(ledger: Ledger, one: Alert) -> bool:
    """Raise an alert that no row of the ledger says; False where one of its key was raised before."""
    if ledger.get(one.loop, "alert", one.key) is not None:
        return False
    body = one.to_json()
    body["happened"] = body.pop("at")  # a record's own `at` is when it was written
    return ledger.put(one.loop, "alert", one.key, {**body, "muted": muted(ledger, one)})


def raised(ledger: Ledger, loop: str, limit: int = 20) -> list[dict[str, Any]]:
    """The last alerts, newest first, each with `sent` (the channels that have had it) and `muted`."""
    sent: dict[str, list[str]] = {}
    for row in ledger.records(loop, "alert_sent", newest=True, limit=10 * LATEST):
        sent.setdefault(row["key"], []).append(row["channel"])
    return [{**row, "sent": sent.get(row["key"], [])} for row in ledger.records(loop, "alert", newest=True, limit=limit)]


def mute(ledger: Ledger, loop: str, pattern: str, *, span: timedelta, reason: str, who: str) -> dict[str, Any]:
    """Send no alerts of a kind, or whose key begins so, for a while; they are still listed."""
    now = to_us(ledger.clock.now())
    body = {"pattern": pattern, "until": now + span // timedelta(microseconds=1), "reason": reason, "who": who}
    ledger.put(loop, "alert_mute", f"{pattern}@{now}", body)
    return body


def muted(ledger: Ledger, one: Alert) -> bool:
    """Whether a person has muted alerts like this one."""
    now = to_us(ledger.clock.now())
    return any(
        now < row["until"] and (one.kind == row["pattern"] or one.key.startswith(row["pattern"]))
        for row in ledger.records(one.loop, "alert_mute", newest=True, limit=LATEST)
    )


def try_out(ledger: Ledger, loop: str, channels: Sequence[Channel]) -> list[Delivered]:
    """Send a test to every channel now, recorded nowhere."""
    at = to_us(ledger.clock.now())
    one = Alert(f"test/{at}", loop, "test", "error", "this is a test of the channel, nothing happened", at, "trueup alerts list")
    return [Delivered(name_of(channel), *_try(ledger, channel, [one])) for channel in channels]


def name_of(channel: Channel) -> str:
    """A channel in words, without its secrets."""
    return f"{kind_of(channel).removeprefix('alert.')}-{digest(channel)[:8]}"


def failing(ledger: Ledger, loop: str, channel: Channel) -> dict[str, Any] | None:
    """How a channel fails, where it took nothing since: {"error", "failures", "at", "retry"} (us since 1970)."""
    return _failed(ledger, loop, name_of(channel))


# -- what is new ------------------------------------------------------------------------------------


def _read(ledger: Ledger, loop: str, now: int) -> None:
    """Raise what came after the cursor, then move the cursor: killed in between, the keys are the same."""
    found = ledger.records(loop, "alert_cursor", newest=True, limit=1)
    cursor = found[0] if found else {"generation": 0, "signals": 0, "seq": 0}
    generation, state = ledger.state(loop)
    signals, cut = ledger.count(loop, "signal"), ledger.cut()
    for one in of_state(loop, state, now):
        tell(ledger, one)
    for report in ledger.records(loop, "report", newest=True, limit=1):
        if report["now"] > now - KEPT_US:
            for one in of_report(loop, report, state):
                tell(ledger, one)
    if (generation, signals) == (cursor["generation"], cursor["signals"]):
        return
    for one in _new(ledger, loop, cursor, signals, cut, now):
        if one.at > now - KEPT_US:
            tell(ledger, one)
    ledger.put(loop, "alert_cursor", f"{generation}-{signals}", {"generation": generation, "signals": signals, "seq": cut})


def _new(ledger: Ledger, loop: str, cursor: dict[str, Any], signals: int, cut: int, now: int) -> Iterator[Alert]:
    for decision in ledger.decisions(loop, after=cursor["generation"]):
        yield from of_decision(decision, _promise(ledger, loop, decision.state))
    if signals == cursor["signals"]:
        return
    rows = ledger.scan(
        loop, "signal", cut=cut, since_us=max(0, now - KEPT_US), columns=["seq", "name", "extra", "received", "release"]
    )
    for row in rows.to_pylist():
        if row["seq"] > cursor["seq"]:
            facts = loads(row["extra"]) if row["extra"] else {}
            one = of_signal(loop, row["name"], facts, row["received"], row["release"])
            if one is not None:
                yield one


def _promise(ledger: Ledger, loop: str, state: dict[str, Any]) -> dict[str, Any] | None:
    release = state.get("release")
    body = ledger.get(loop, "loop", release["loop"]) if release else None
    return None if body is None else body["json"]["risk"]


# -- to the channels --------------------------------------------------------------------------------


def _bring(ledger: Ledger, loop: str, channel: Channel, now: int) -> Delivered:
    name = name_of(channel)
    waiting = _waiting(ledger, loop, channel, name, now)
    failed = _failed(ledger, loop, name)
    if not waiting or (failed is not None and now < failed["retry"]):
        return Delivered(name, 0, failed["error"] if failed and waiting else None)
    if channel.promise == "at most once":
        waiting = [one for one in waiting if _sent(ledger, loop, name, one)]
    sent, error = _try(ledger, channel, waiting)
    if error is not None:
        failures = (failed["failures"] if failed else 0) + 1
        wait = min(LONGEST_WAIT_US, FIRST_WAIT_US << min(failures - 1, 20))
        ledger.put(loop, "alert_failure", f"{name}/{now}", {
            "channel": name, "error": error, "failures": failures, "retry": now + wait,
        })
    elif channel.promise != "at most once":
        for one in waiting:
            _sent(ledger, loop, name, one)
    return Delivered(name, sent, error)


def _waiting(ledger: Ledger, loop: str, channel: Channel, name: str, now: int) -> list[Alert]:
    """What the channel has not had, oldest first, a message's worth."""
    found = []
    for row in ledger.records(loop, "alert", newest=True, limit=LATEST):
        one = Alert.from_json({**row, "at": row["happened"]})
        if one.at < now - KEPT_US or row["muted"] or not at_least(one.severity, channel.level):
            continue
        if ledger.get(loop, "alert_sent", f"{name}/{one.key}") is None:
            found.append(one)
    return found[::-1][:BATCH]


def _sent(ledger: Ledger, loop: str, name: str, one: Alert) -> bool:
    return ledger.put(loop, "alert_sent", f"{name}/{one.key}", {"channel": name, "key": one.key})


def _failed(ledger: Ledger, loop: str, name: str) -> dict[str, Any] | None:
    """The channel's last failure, where nothing was sent since."""
    for row in ledger.records(loop, "alert_failure", newest=True, limit=LATEST):
        if row["channel"] == name:
            for sent in ledger.records(loop, "alert_sent", newest=True, limit=LATEST):
                if sent["channel"] == name:
                    return row if row["at"] > sent["at"] else None
            return row
    return None


def _try(ledger: Ledger, channel: Channel, alerts: Sequence[Alert]) -> tuple[int, str | None]:
    """How many alerts a channel took, and why not, without its secrets."""
    if not alerts:
        return 0, None
    try:
        channel.send(alerts, ledger.home)
    except TrueupError as error:
        return 0, error.message
    except Exception as error:  # a channel of one's own may raise anything, and must block nothing
        return 0, type(error).__name__
    return len(alerts), None
