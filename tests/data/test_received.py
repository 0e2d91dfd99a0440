# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from trueup.core.clock import to_us
from trueup.core.decisions import Decision
from trueup.core.json import dumps
from trueup.core.task import Outcome, Task
from trueup.data import Mapping, import_file, read_events
from trueup.store import Ledger

DAY = timedelta(days=1)
TASK = Task(input="text", output="label", unit="user")
GENRE = Outcome.of_input("genre")
MAPPING = Mapping(input="text", ts="when", known="known", outcomes={"genre": "label"})


def write(path: Path, *rows: tuple[str, object, object]) -> Path:
    lines = [
        dumps({"text": text, "when": when.isoformat(), "known": known.isoformat(), "label": "drama"})  # type: ignore[attr-defined]
        for text, when, known in rows
    ]
    path.write_text("\n".join(lines) + "\n")
    return path


def received(ledger: Ledger, kind: str) -> list[int]:
    return sorted(ledger.scan("films", kind)["received"].to_pylist())


def test_facts_are_received_when_they_became_known(ledger: Ledger, tmp_path: Path) -> None:
    """ING-02: a past that is imported reads as it would have been read then."""
    now = ledger.clock.now()
    path = write(tmp_path / "a.jsonl", ("a", now - 9 * DAY, now - 3 * DAY), ("b", now + DAY, now + 2 * DAY))
    import_file(ledger, path, "films", MAPPING, task=TASK, outcomes=[GENRE])
    assert received(ledger, "interaction") == [to_us(now - 9 * DAY), to_us(now)]
    assert received(ledger, "outcome") == [to_us(now - 3 * DAY), to_us(now)]
    assert received(ledger, "signal") == [to_us(now)]


def test_nothing_is_dated_back_past_the_start_of_a_running_release(ledger: Ledger, tmp_path: Path) -> None:
    now = ledger.clock.now()
    state = {"release": {"started": to_us(now - 5 * DAY)}}
    ledger.decide(
        Decision(loop="films", at=to_us(now), kind="start", verdict="NOTE", reason="", state=state), expect=0
    )
    path = write(tmp_path / "a.jsonl", ("a", now - 9 * DAY, now - 6 * DAY), ("b", now - 4 * DAY, now - 2 * DAY))
    import_file(ledger, path, "films", MAPPING, task=TASK, outcomes=[GENRE])
    assert received(ledger, "interaction") == [to_us(now - 4 * DAY), to_us(now)]
    assert received(ledger, "outcome") == [to_us(now - 2 * DAY), to_us(now)]


def test_events_can_be_read_without_an_import(ledger: Ledger, tmp_path: Path) -> None:
    now = ledger.clock.now()
    path = write(tmp_path / "a.jsonl", ("a", now - 9 * DAY, now - 6 * DAY), ("b", now - 4 * DAY, now - 2 * DAY))
    with path.open("a") as file:
        file.write("broken\n")
    read = list(read_events(path, "films", MAPPING, task=TASK, outcomes=[GENRE], now_us=to_us(now)))
    assert [fact.input for fact, _ in read] == ['"a"', '"b"']
    import_file(ledger, path, "films", MAPPING, task=TASK, outcomes=[GENRE])
    assert {fact.id for fact, _ in read} == set(ledger.scan("films", "interaction")["id"].to_pylist())
