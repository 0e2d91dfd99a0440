# SPDX-License-Identifier: Apache-2.0
"""What `trueup doctor` says of registries and channels: nothing is sent, and nothing is changed there."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from trueup.alerts import Alert, AlertFile, AlertLog, Apprise, alert, tell
from trueup.core.clock import ManualClock, to_us
from trueup.core.secrets import Env
from trueup.core.task import Outcome, Task
from trueup.loop import Loop, run
from trueup.loop.outside import outside
from trueup.models import ConstantModel
from trueup.registry import Mlflow
from trueup.state import define
from trueup.store import Ledger
from trueup.train import Sklearn

START = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(tmp_path / "home", clock=ManualClock(START)) as opened:
        yield opened


@pytest.fixture
def loop() -> Loop:
    return Loop(
        "toys", task=Task("sentence", "kind", "user"), outcomes=[Outcome.of_input("kind")], trainer=Sklearn(),
        champion=ConstantModel("animal"),
    )


@pytest.fixture
def nobody() -> Iterator[str]:
    """A port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{probe.getsockname()[1]}"


def test_what_is_well_is_not_mentioned(loop: Loop, ledger: Ledger) -> None:
    assert outside(ledger) == []
    run(loop, ledger)
    assert outside(ledger) == []


def test_a_channel_that_cannot_reach_anybody_is_named(
    loop: Loop, ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MON-01: a secret that is not set, a URL that Apprise does not know, a file in no folder."""
    monkeypatch.delenv("ALERTS_URL", raising=False)
    monkeypatch.setenv("OTHER_URL", "carrier-pigeon://hunter-two@coop")
    channels = [Apprise(Env("ALERTS_URL")), Apprise(Env("OTHER_URL")), AlertFile(tmp_path / "none" / "alerts.jsonl"), AlertLog()]
    run(replace(loop, alerts=channels), ledger)
    found = outside(ledger)
    assert [(one.level, one.code) for one in found] == [("warning", "channel-wrong")] * 3
    assert "ALERTS_URL" in found[0].message
    assert "got one of carrier-pigeon://" in found[1].message
    assert found[2].cure == f"mkdir -p {tmp_path / 'none'}"
    assert "hunter-two" not in str(found)
    assert not (tmp_path / "none").exists()


def test_a_channel_whose_last_delivery_failed_is_named(loop: Loop, ledger: Ledger, nobody: str) -> None:
    here = replace(loop, alerts=[Apprise(f"json://{nobody}/hook")])
    run(here, ledger)
    assert outside(ledger) == [], "nothing was sent yet, and nothing is now"
    tell(ledger, Alert("told/x", "toys", "told", "error", "something", to_us(ledger.clock.now()), "trueup status"))
    alert(ledger, "toys", here.alerts)
    (found,) = outside(ledger)
    assert (found.level, found.code, found.cure) == ("warning", "channel-failing", "trueup alerts test")
    assert "has failed 1 times, at last 2026-03-01 12:00: expected json:// to take 1 alerts" in found.message


def test_a_registry_that_is_away_is_named_and_left_alone_where_nobody_asks(
    loop: Loop, ledger: Ledger, nobody: str
) -> None:
    here = replace(loop, publish=[Mlflow(f"http://{nobody}", seconds=1, budget=1)])
    run(here, ledger)
    version = ledger.version()
    (found,) = outside(ledger)
    assert (found.level, found.code) == ("warning", "registry-away")
    assert f"toys cannot be shown in http://{nobody}" in found.message
    assert outside(ledger, ask=False) == []
    assert ledger.version() == version, "nothing is recorded of it"
    assert outside_of(replace(here, mode="observe"), ledger) == []


def outside_of(loop: Loop, ledger: Ledger) -> list[object]:
    """Of a loop whose last definition is this one."""
    define(ledger, loop.name, loop.digest(), loop.to_json())
    return list(outside(ledger))
