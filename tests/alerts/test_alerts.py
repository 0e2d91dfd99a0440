# SPDX-License-Identifier: Apache-2.0
"""People are told what needs them, once, and no channel stands in the way (MON-01, MON-02)."""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from trueup.alerts import (
    Alert,
    AlertFile,
    AlertLog,
    Apprise,
    Channel,
    alert,
    delivery,
    mute,
    raised,
    tell,
    try_out,
)
from trueup.core.clock import to_us
from trueup.core.decisions import Decision
from trueup.core.errors import ArgumentError
from trueup.core.events import Event
from trueup.core.json import dumps
from trueup.core.secrets import Env
from trueup.core.values import value
from trueup.store import Ledger
from trueup.testing import check_value

MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
STATE: dict[str, Any] = {
    "champion": "c-old", "since": 0, "accepted": {}, "trained": None, "release": None, "waiting": None, "paused": None,
    "proposal": None, "tests": [],
}


NOTHING: dict[str, Any] = {
    "cut": 0, "now": 1, "parameters": {"state": STATE, "loop": "x"}, "result": {"when": [], "unless": []},
}


def decided(ledger: Ledger, kind: str, verdict: Any, reason: str = "because", actor: str = "trueup", **more: Any) -> Decision:
    generation, _ = ledger.state("l")
    state = {**STATE, **more.pop("state", {})}
    at = to_us(ledger.clock.now())
    return ledger.decide(Decision("l", at, kind, verdict, reason, state, subject="c-new", actor=actor, **more), expect=generation)


def later(ledger: Ledger, by: timedelta) -> None:
    ledger.clock.advance(by)  # type: ignore[attr-defined]


def lines(ledger: Ledger) -> list[dict[str, Any]]:
    path = ledger.home / "alerts.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def told(ledger: Ledger) -> list[tuple[str, str]]:
    alert(ledger, "l", [AlertFile()])
    return [(one["kind"], one["severity"]) for one in lines(ledger)]


# -- what people are told --------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "verdict", "more", "expected"), [
    ("stop", "REFUSE", {"evidence": {"step": "train"}}, ("failed", "error")),
    ("stop", "REFUSE", {"evidence": {"step": "cycle"}}, ("failed", "error")),
    ("stop", "REFUSE", {"evidence": {"step": "snapshot"}}, ("failed", "warning")),
    ("stop", "REFUSE", {"evidence": {"step": "gates"}}, ("refused", "warning")),
    ("refuse", "REFUSE", {}, ("refused", "warning")),
    ("invalid", "INVALID", {}, ("invalid", "error")),
    ("rollback", "ROLLBACK", {}, ("rollback", "error")),
    ("rollback", "ROLLBACK", {"actor": "ann"}, ("rollback", "warning")),
])
def test_mon_01_failures_refusals_and_rollbacks_are_told(
    ledger: Ledger, kind: str, verdict: str, more: dict[str, Any], expected: tuple[str, str]
) -> None:
    made = decided(ledger, kind, verdict, **more)
    assert told(ledger) == [expected]
    assert lines(ledger)[0]["command"] == f"trueup why {made.id}"
    assert "because" in lines(ledger)[0]["what"]


@pytest.mark.parametrize(("kind", "verdict"), [("promote", "PROMOTE"), ("look", "REST"), ("approve", "PASS"), ("start", "NOTE")])
def test_what_needs_nobody_is_not_told(ledger: Ledger, kind: str, verdict: str) -> None:
    decided(ledger, kind, verdict)
    assert told(ledger) == []


def test_looks_that_nobody_made_are_told(ledger: Ledger) -> None:
    """MON-01: a service that was down for a night says so once, when it is there again."""
    decided(ledger, "look", "REST", evidence={"missed": 7, "unattended": 0, "method": "look", **NOTHING})
    assert told(ledger) == [], "a training held them up: nobody has to do anything"
    decided(ledger, "look", "REST", evidence={"missed": 7, "unattended": 6, "method": "look", **NOTHING})
    assert told(ledger) == told(ledger) == [("missed", "warning")]
    assert "6 looks were missed" in lines(ledger)[0]["what"]
    assert lines(ledger)[0]["command"] == "trueup up"


def looked(ledger: Ledger, *, holds: bool = True, spend: bool = False, accepted: int = 0, trained: int | None = None) -> None:
    state = {**STATE, "accepted": {"falls:accuracy": accepted}, "trained": trained}
    result = {
        "when": [{"part": "falls", "holds": holds, "reason": "accuracy sank", "evidence": {"detector": "falls:accuracy"}}],
        "unless": [{"part": "spend", "holds": spend, "reason": "200.00 of 200.00 EUR spent", "evidence": {}}],
    }
    decided(ledger, "look", "TRAIN", evidence={
        "method": "look", "cut": 0, "now": 1, "parameters": {"state": state, "loop": "x"}, "result": result,
    })


def test_mon_02_an_alarm_is_told_once_until_it_has_been_answered(ledger: Ledger) -> None:
    for _ in range(5):
        looked(ledger)
        later(ledger, DAY)
        assert told(ledger) == [("alarm", "warning")]
    looked(ledger, accepted=to_us(ledger.clock.now()))
    assert told(ledger) == [("alarm", "warning")] * 2


def test_mon_02_money_that_is_spent_is_told_once_a_training(ledger: Ledger) -> None:
    for trained in (None, None, 5, 5):
        looked(ledger, holds=False, spend=True, trained=trained)
        assert alert(ledger, "l", [AlertFile()])
    assert [one["kind"] for one in lines(ledger)] == ["money", "money"]
    assert "200.00 of 200.00 EUR spent" in lines(ledger)[0]["what"]


def test_mon_02_risk_that_is_nearly_used_up_is_told_at_each_line(ledger: Ledger) -> None:
    ledger.put("l", "loop", "d", {"json": {"risk": {"wrong_promotion": 0.05, "per": "life"}}})
    release = {"loop": "d", "parameters": {}, "approval": None}
    tests: list[dict[str, Any]] = []
    for k, level in enumerate((0.03, 0.011, 0.002, 0.0035, 0.0025), 1):
        tests.append({"k": k, "level": level, "at": 1, "promoted": None})
        decided(ledger, "start", "NOTE", level=level, state={"release": release, "tests": list(tests)})
        tests[-1] = {**tests[-1], "promoted": False}
    assert told(ledger) == [("risk", "warning")] * 3
    assert [one["key"] for one in lines(ledger)] == ["risk/life/0/0.8", "risk/life/0/0.9", "risk/life/0/0.95"]
    assert lines(ledger)[0]["what"].startswith("82% of the life's risk of 0.05 is spent")


def waiting(ledger: Ledger, remind: timedelta | None = DAY, given: Sequence[Any] = ()) -> None:
    asked = {
        "by": "ann, ben", "candidate": "c-new", "since": to_us(ledger.clock.now()), "until": None, "needs": 2,
        "remind": None if remind is None else int(remind.total_seconds() * 1e6), "digest": "d" * 64,
    }
    said = {"given": list(given)} if given else None
    decided(ledger, "propose", "HOLD", state={"waiting": "c-new", "proposal": {"request": asked, "approval": said}})


def test_mon_02_a_waiting_approval_is_told_and_people_are_reminded(ledger: Ledger) -> None:
    """HIT-01: with the command that helps, once a day here, however often the loop looks."""
    waiting(ledger)
    for _ in range(3 * 24):
        alert(ledger, "l", [AlertFile()])
        later(ledger, timedelta(hours=1))
    assert [one["kind"] for one in lines(ledger)] == ["approval"] * 3
    assert lines(ledger)[0]["what"] == "c-new waits for ann, ben"
    assert lines(ledger)[2]["what"] == "c-new has waited 2.0 days for ann, ben"
    assert lines(ledger)[0]["command"] == 'trueup approve c-new -m "why"'
    waiting(ledger, given=[{"who": "ann"}, {"who": "ben"}])
    later(ledger, 5 * DAY)
    assert len(told(ledger)) == 3


def test_mon_02_lost_exposures_and_faults_of_clients_are_told_once_a_day(ledger: Ledger) -> None:
    def said(n: int, name: str, **facts: Any) -> None:
        now = to_us(ledger.clock.now())
        ledger.append([Event(f"s{n}", "l", "signal", now, now, name=name, extra=dumps(facts))])

    decided(ledger, "install", "PROMOTE")
    said(0, "exposures_lost", release="r-1", count=3)
    said(1, "exposures_lost", release="r-1", count=2)
    said(2, "client_fault", fault="ledger", count=9, message="disk full")
    said(3, "alert", what="the feed is late", severity="error", command="systemctl status feed", key="feed")
    said(4, "import", new=3)
    assert sorted(told(ledger)) == [("fault", "warning"), ("lost", "error"), ("told", "error")]
    assert "3 exposures of r-1" in lines(ledger)[0]["what"]
    assert lines(ledger)[2]["command"] == "systemctl status feed"
    later(ledger, DAY)
    said(5, "exposures_lost", release="r-1", count=1)
    assert len(told(ledger)) == 4


def test_what_is_older_than_a_week_is_not_told(ledger: Ledger) -> None:
    decided(ledger, "invalid", "INVALID")
    later(ledger, 8 * DAY)
    decided(ledger, "refuse", "REFUSE")
    assert told(ledger) == [("refused", "warning")]


# -- once, whatever is killed ------------------------------------------------------------------------


class Killed(BaseException):
    """The process dies here."""


def test_mon_01_nothing_is_told_twice_in_file_and_log_when_killed_anywhere(
    ledger: Ledger, hook: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The file: exactly once; the log: at most once; a webhook: at least once."""
    decided(ledger, "invalid", "INVALID")
    channels: list[Channel] = [AlertFile(), AlertLog(), Apprise(hook.url)]
    caplog.set_level(logging.INFO, "trueup.alerts")
    usual = ledger.put
    for nth in range(8):  # killed before the nth write of a record
        left = iter(range(nth))

        def put(*given: Any, left: Any = left) -> bool:
            if next(left, None) is None:
                raise Killed
            return usual(*given)

        with monkeypatch.context() as patch:
            patch.setattr(ledger, "put", put)
            try:
                alert(ledger, "l", channels)
            except Killed:
                continue
    alert(ledger, "l", channels)
    assert len(lines(ledger)) == 1
    assert len([one for one in caplog.records if "invalid" in one.getMessage()]) <= 1
    assert len(hook.taken) >= 1
    taken = len(hook.taken)
    for _ in range(3):
        assert [one.sent for one in alert(ledger, "l", channels)] == [0, 0, 0]
    assert (len(lines(ledger)), len(hook.taken)) == (1, taken)


def test_what_is_decided_while_people_are_told_pushes_nothing_out(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """MON-01: a Decision that comes between reading the state and reading the Decisions."""
    first = decided(ledger, "invalid", "INVALID")
    with monkeypatch.context() as late:
        usual, came = ledger.state, []

        def state(loop: str) -> Any:
            late.undo()
            found = usual(loop)
            came.append(decided(ledger, "rollback", "ROLLBACK"))
            return found

        late.setattr(ledger, "state", state)
        alert(ledger, "l", [AlertFile()])
    alert(ledger, "l", [AlertFile()])
    assert {one["key"] for one in lines(ledger)} == {f"invalid/{first.id}", f"rollback/{came[0].id}"}


def test_a_torn_line_is_cut(ledger: Ledger) -> None:
    decided(ledger, "invalid", "INVALID")
    alert(ledger, "l", [AlertFile()])
    path = ledger.home / "alerts.jsonl"
    path.write_bytes(path.read_bytes() + b'{"key":"inval')
    decided(ledger, "rollback", "ROLLBACK")
    assert told(ledger) == [("invalid", "error"), ("rollback", "error")]


CHILD = """
import sys
from trueup.alerts import AlertFile, Apprise, alert
from trueup.store import Ledger
with Ledger.open(sys.argv[1]) as ledger:
    print("up", flush=True)
    while True:
        alert(ledger, "l", [AlertFile(), Apprise(sys.argv[2])])
"""


@pytest.mark.chaos
def test_mon_01_twenty_kills_and_every_alert_stands_once(tmp_path: Path, hook: Any) -> None:
    home = tmp_path / "home"
    with Ledger.open(home) as ledger:
        for n in range(20):
            child = subprocess.Popen([sys.executable, "-c", CHILD, str(home), hook.url], stdout=subprocess.PIPE, text=True)
            assert child.stdout is not None
            assert child.stdout.readline() == "up\n"
            decided(ledger, "invalid", "INVALID", reason=f"n{n}")
            end = time.monotonic() + 0.002 * n
            while time.monotonic() < end:
                os.sched_yield()
            child.send_signal(signal.SIGKILL)
            child.wait()
            child.stdout.close()
        alert(ledger, "l", [AlertFile(), Apprise(hook.url)])
        keys = [one["key"] for one in lines(ledger)]
        assert len(keys) == len(set(keys)) == 20
        sent = "\n".join(one["message"] for one in hook.taken)
        assert [n for n in range(20) if f": n{n} (" not in sent] == []
        assert len(hook.taken) <= 41, "a kill repeats one message at most"


# -- channels that fail ----------------------------------------------------------------------------


@pytest.fixture
def nobody() -> Iterator[int]:
    """A port on which nobody listens, and which nobody else gets meanwhile."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield int(taken.getsockname()[1])


def test_a_dead_channel_blocks_nothing_and_is_tried_again_later(ledger: Ledger, hook: Any, nobody: int) -> None:
    dead = Apprise(f"json://127.0.0.1:{nobody}/none")
    decided(ledger, "invalid", "INVALID")
    channels: list[Channel] = [dead, AlertFile(), Apprise(hook.url)]
    made = alert(ledger, "l", channels)
    assert [one.sent for one in made] == [0, 1, 1]
    assert made[0].error == "expected json:// to take 1 alerts, got a refusal or no answer"
    waits = []
    for _ in range(12):
        (failure,) = ledger.records("l", "alert_failure", newest=True, limit=1)
        waits.append((failure["retry"] - failure["at"]) // 60_000_000)
        assert alert(ledger, "l", channels)[0].error == made[0].error, "it waits for its turn"
        assert ledger.records("l", "alert_failure", newest=True, limit=1) == [failure]
        later(ledger, timedelta(microseconds=failure["retry"] - failure["at"]))
        alert(ledger, "l", channels)
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 360, 360, 360]
    assert len(hook.taken) == 1


def test_a_channel_that_comes_back_gets_what_it_missed(ledger: Ledger, hook: Any) -> None:
    hook.status = 500
    channels = [Apprise(hook.url)]
    decided(ledger, "invalid", "INVALID")
    decided(ledger, "rollback", "ROLLBACK")
    assert alert(ledger, "l", channels)[0].sent == 0
    hook.status = 200
    assert alert(ledger, "l", channels)[0].sent == 0
    later(ledger, MINUTE)
    assert alert(ledger, "l", channels)[0].sent == 2
    (message,) = hook.taken
    assert message["title"] == "Trueup l: 2 alerts"
    assert message["message"].count("trueup why") == 2
    assert message["type"] == "failure"


@value("test.alert_raises")
class Raises:
    """A channel of one's own that is broken."""

    level: str = "info"

    @property
    def promise(self) -> str:
        return "at least once"

    def send(self, alerts: Sequence[Alert], home: Path) -> None:
        raise ZeroDivisionError(alerts[0].what)


def test_a_channel_of_ones_own_may_raise_anything(ledger: Ledger) -> None:
    decided(ledger, "invalid", "INVALID")
    made = alert(ledger, "l", [Raises(), AlertFile()])  # type: ignore[list-item]
    assert [(one.sent, one.error) for one in made] == [(0, "ZeroDivisionError"), (1, None)]


def test_secrets_are_masked(ledger: Ledger, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setenv("ALERTS_URL", "json://ann:hush-hush@127.0.0.1:1/token-of-mine")
    channel = Apprise(Env("ALERTS_URL"))
    check_value(channel)
    decided(ledger, "invalid", "INVALID")
    (made,) = alert(ledger, "l", [channel])
    assert made.error is not None
    said = [repr(channel), made.error, made.channel, caplog.text, *(dumps(row) for row in ledger.records("l", "alert_failure"))]
    assert not any(secret in text for text in said for secret in ("hush-hush", "token-of-mine"))
    for url in ("slack://token/of/mine", "json://ann:hush@host/x", "nothing"):
        with pytest.raises(ArgumentError, match="as a secret") as caught:
            Apprise(url)
        assert "hush" not in str(caught.value)


def test_channels_take_what_reaches_their_level(ledger: Ledger, hook: Any) -> None:
    decided(ledger, "refuse", "REFUSE")
    alert(ledger, "l", [Apprise(hook.url, level="error")])
    assert hook.taken == []
    decided(ledger, "invalid", "INVALID")
    alert(ledger, "l", [Apprise(hook.url, level="error")])
    assert len(hook.taken) == 1
    with pytest.raises(ArgumentError, match="info, warning, error"):
        AlertLog(level="loud")  # type: ignore[arg-type]


def test_alerts_are_muted_for_a_while(ledger: Ledger) -> None:
    mute(ledger, "l", "refused", span=DAY, reason="known", who="ann")
    decided(ledger, "refuse", "REFUSE")
    decided(ledger, "invalid", "INVALID")
    assert told(ledger) == [("invalid", "error")]
    assert [(one["kind"], one["muted"], len(one["sent"])) for one in raised(ledger, "l")] == [
        ("invalid", False, 1), ("refused", True, 0),
    ]
    later(ledger, DAY)
    decided(ledger, "refuse", "REFUSE")
    assert told(ledger) == [("invalid", "error"), ("refused", "warning")]


def test_a_test_is_sent_now_and_recorded_nowhere(ledger: Ledger, hook: Any) -> None:
    made = try_out(ledger, "l", [Apprise(hook.url), AlertFile()])
    assert [one.sent for one in made] == [1, 1]
    assert "this is a test" in hook.taken[0]["title"]
    assert raised(ledger, "l") == []


def test_what_no_row_says_can_be_told(ledger: Ledger) -> None:
    one = Alert("missed/1", "l", "missed", "warning", "two looks were missed", to_us(ledger.clock.now()), "trueup up loop.py")
    assert tell(ledger, one)
    assert not tell(ledger, one)
    assert told(ledger) == [("missed", "warning")]


def test_a_look_without_news_writes_nothing(ledger: Ledger) -> None:
    decided(ledger, "invalid", "INVALID")
    alert(ledger, "l", [AlertFile()])
    version = ledger.version()
    for _ in range(5):
        alert(ledger, "l", [AlertFile(), AlertLog()][:1])
    assert ledger.version() == version
    assert delivery.BATCH == 20
