# SPDX-License-Identifier: Apache-2.0
"""Whatever breaks, the champion serves; nothing is explored that cannot be recorded; and it is said."""

import json
import logging
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from trueup.client import Client, connect
from trueup.core.errors import StoreError
from trueup.route import assign
from trueup.store import Ledger

BOTH = pytest.mark.parametrize("acknowledge", ["sync", "enqueue"])


def facts(rows: Any, name: str) -> list[dict[str, Any]]:
    return [json.loads(row["extra"]) for row in rows("signal") if row["name"] == name]


@BOTH
def test_a_home_that_cannot_be(tmp_path: Path, caplog: pytest.LogCaptureFixture, acknowledge: Any) -> None:
    """No ledger at all: the application starts, and everyone gets the champion."""
    (tmp_path / "file").write_text("not a folder")
    with caplog.at_level(logging.WARNING, "trueup.client"):
        client = connect("news", tmp_path / "file" / "home", acknowledge=acknowledge)
        for _ in range(100):
            assert client.choose("u")[1:3] == ("champion", None)
    assert [record.message.split(":")[1].strip() for record in caplog.records] == ["routing"]
    if acknowledge == "sync":
        with pytest.raises(StoreError):
            client.log(client.choose("u"), 1, 1)
        client.close()


def test_a_ledger_that_comes_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What could not be said is said when there is a ledger to say it to."""
    monkeypatch.setattr("trueup.client._source.RETRY", 0.01)
    (tmp_path / "home").write_text("in the way")
    with connect("news", tmp_path / "home") as client:
        client.choose("u")
        (tmp_path / "home").unlink()
        time.sleep(0.02)
        client.log(client.choose("u"), 1, 1)
        with Ledger.open(tmp_path / "home") as ledger:
            signals = ledger.scan("news", "signal").to_pylist()
    assert {json.loads(row["extra"])["fault"] for row in signals} >= {"routing"}


@pytest.mark.parametrize(
    "state", [None, 3, [], {}, {"champion": 3}, {"champion": "c-9", "slices": [{"start": 0}]},
              {"champion": "c-9", "surprise": 1}, "routing"]
)
def test_a_malformed_state_enrols_nobody(
    home: Path, ledger: Ledger, decide: Any, half: Any, rows: Any, state: Any
) -> None:
    """The last champion that was known serves; what would have been explored is counted as lost."""
    decide(half)
    challenged = next(u for u in map(str, range(99)) if assign(half, u).arm == "challenger")
    with connect("news", home) as client:
        assert client.choose(challenged).arm == "challenger"
        decide(state)
        client.refresh()
        choice = client.choose(challenged)
        assert (choice.arm, choice.candidate, choice.propensity) == ("champion", "c-1", None)
        assert len(rows("assignment")) == 1
        decide(half)
        client.refresh()
        assert client.choose(challenged).arm == "challenger"
    assert facts(rows, "exposures_lost") == [{"release": "r-1", "count": 1}]
    assert facts(rows, "client_fault")[0]["fault"] == "routing"


def test_a_full_disk_in_sync(
    home: Path, ledger: Ledger, decide: Any, half: Any, rows: Any, full_disk: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TRU-02: an assignment that cannot be recorded is not made, and the first write says how many."""
    monkeypatch.setattr("trueup.client._writer.monotonic", lambda: 0.0)  # the second after which one is tried again never ends
    decide(half)
    with connect("news", home) as client:
        before = client.choose("u-0")
        assert before.propensity == 0.5
        with full_disk():
            for i in range(50):
                choice = client.choose(f"u-{i}")
                assert (choice.arm, choice.candidate, choice.propensity) == ("champion", "c-1", None)
            with pytest.raises(StoreError, match=r"expected|full|disk|space"):
                client.log(before, "in", "out")
            assert client.choose("u-1").propensity is None
        assert client.choose("u-1").propensity is None, "nobody is enrolled before a write succeeds"
        client.log(before, "in", "out")
        after = client.choose("u-1")
        assert after.propensity == 0.5
    assert [row["id"] for row in rows("assignment")] == [before.id, after.id]
    assert [row["id"] for row in rows("interaction")] == [before.id]
    assert facts(rows, "exposures_lost") == [{"release": "r-1", "count": 52}]
    assert [row["release"] for row in rows("signal") if row["name"] == "exposures_lost"] == ["r-1"]
    assert "write" in {fact["fault"] for fact in facts(rows, "client_fault")}


def test_an_application_that_only_chooses_recovers(
    home: Path, ledger: Ledger, decide: Any, half: Any, rows: Any, full_disk: Any
) -> None:
    decide(half)
    with connect("news", home) as client:
        with full_disk():
            assert client.choose("u").propensity is None
        end = time.monotonic() + 30
        while client.choose("u").propensity is None:
            assert time.monotonic() < end
            time.sleep(0.05)
    assert facts(rows, "exposures_lost")[0]["count"] >= 1


def test_a_full_disk_in_enqueue_loses_nothing_that_fits(
    home: Path, ledger: Ledger, decide: Any, half: Any, rows: Any, full_disk: Any
) -> None:
    """What is queued waits for room on the disk; flush says that it waits; nobody is enrolled."""
    decide(half)
    with connect("news", home, acknowledge="enqueue") as client:
        first = client.choose("u-0")
        client.flush()
        with full_disk():
            logged = [client.choose(f"u-{i}") for i in range(20)]
            for choice in logged:
                client.log(choice, "in", "out")
            with pytest.raises(StoreError, match=r"expected to write .* queued events"):
                client.flush()
            paused = client.choose("u-1")
            assert (paused.arm, paused.propensity) == ("champion", None)
        client.flush()
        assert client.choose("u-1").propensity == 0.5
    assert {row["id"] for row in rows("interaction")} == {choice.id for choice in logged}
    assert first.id in {row["id"] for row in rows("assignment")}
    recorded = {row["id"] for row in rows("assignment")}
    assert all((choice.propensity is None) == (choice.id not in recorded) for choice in logged)
    lost = sum(fact["count"] for fact in facts(rows, "exposures_lost"))
    assert lost == 1 + sum(choice.propensity is None for choice in logged)


def test_a_full_queue(home: Path, ledger: Ledger, decide: Any, half: Any, rows: Any, full_disk: Any) -> None:
    """A log waits for room for a bounded time, and is counted as lost; a choice does not wait."""
    decide(half)
    sent = 0
    with Client("news", home, acknowledge="enqueue", queue=10, patience=0.2) as client:
        with full_disk():
            while ("events_lost", "outcome") not in client._faults._waiting:
                client.feedback("c", "n", sent)
                sent += 1
                assert sent < 100
            began = time.monotonic()
            for i in range(100):
                assert client.choose(f"u-{i}").propensity is None
            assert time.monotonic() - began < 10, "half of what it would take to wait each time"
        client.flush()
    assert facts(rows, "events_lost") == [{"kind": "outcome", "count": 1}]
    assert sum(fact["count"] for fact in facts(rows, "exposures_lost")) == 100
    assert len(rows("outcome")) == sent - 1


def test_closing_on_a_full_disk_says_what_is_lost(
    home: Path, ledger: Ledger, full_disk: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trueup.client.client.PATIENCE", 0.2)
    client = connect("news", home, acknowledge="enqueue")
    with full_disk(), caplog.at_level(logging.WARNING, "trueup.client"):
        client.feedback("c", "n", 1)
        client.close()
    assert "1 events will not be in the ledger" in caplog.text


def test_a_fault_is_told_once_a_minute(
    home: Path, ledger: Ledger, rows: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr("trueup.client._faults.time.monotonic", lambda: now[0])
    with connect("news", home) as client, caplog.at_level(logging.WARNING, "trueup.client"):
        caplog.clear()
        for _ in range(10):
            client.choose("")
        client.log(client.choose("u"), 1, 1)
        client.choose("")
        client.log(client.choose("u"), 1, 1)
        assert [r.message for r in caplog.records if "unit" in r.message][1:] == []
        now[0] += 61
        client.choose("")
        client.log(client.choose("u"), 1, 1)
        assert len([r for r in caplog.records if ": unit:" in r.message]) == 2
    told = [fact for fact in facts(rows, "client_fault") if fact["fault"] == "unit"]
    assert [fact["count"] for fact in told] == [10, 2]


def test_a_handler_that_raises_is_not_the_applications_problem(home: Path, ledger: Ledger) -> None:
    class Broken(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise RuntimeError("broken")

    handler = Broken()
    logging.getLogger("trueup.client").addHandler(handler)
    try:
        with connect("news", home) as client:
            assert client.choose("").arm == "champion"
    finally:
        logging.getLogger("trueup.client").removeHandler(handler)


def test_a_ledger_that_was_removed(home: Path, ledger: Ledger, decide: Any, half: Any) -> None:
    """A home that vanished under a client is neither written to as if it were there, nor made anew."""
    decide(half)
    with connect("news", home) as client:
        assert client.choose("u").propensity == 0.5
        shutil.move(home, home.with_name("away"))
        for _ in range(3):
            assert client.choose("u").arm == "champion"
        with pytest.raises(StoreError):
            client.log(client.choose("u"), 1, 1)
        assert not home.exists()
        shutil.move(home.with_name("away"), home)
        end = time.monotonic() + 30
        while client.choose("u").propensity is None:
            assert time.monotonic() < end
            time.sleep(0.05)


def test_a_ledger_closed_underneath(home: Path, ledger: Ledger, decide: Any, half: Any) -> None:
    decide(half)
    with connect("news", home) as client:
        with client._source.use() as its:
            its.close()
        time.sleep(0.02)
        for i in range(20):
            assert client.choose(f"u-{i}").arm == "champion"
        with pytest.raises(StoreError):
            client.log(client.choose("u"), 1, 1)
