# SPDX-License-Identifier: Apache-2.0
"""TRN-12, REG-01: what was pruned here goes from MLflow too: our copy of its files, and nothing else."""

from __future__ import annotations

import shutil
import uuid
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from trueup.core.clock import ManualClock
from trueup.core.errors import Refused
from trueup.registry import Keep, Mlflow, deliver, prune
from trueup.registry._mlflow import TAG, connected, discard, versions
from trueup.release import reject
from trueup.state import candidate, candidates
from trueup.store import Ledger

from .conftest import Where

NOTHING = Keep(last=0, weekly=0, monthly=0, days=0)


def files(part: Mlflow, home: Path) -> dict[str, list[str]]:
    """The files of each candidate of ours, as MLflow lists them."""
    with connected(part.place(home), 30) as client:
        found: dict[str, list[str]] = {}
        for one in versions(client, str(part.model)):
            model = client.get_logged_model(one.source.removeprefix("models:/"))
            found[one.tags[TAG]] = sorted(each.path for each in client.list_logged_model_artifacts(model.model_id))
        return found


def test_the_copies_of_what_was_pruned_go_and_the_versions_stay(
    ledger: Ledger, home: Path, where: Where, clock: ManualClock
) -> None:
    name = f"pruned-{uuid.uuid4().hex[:12]}"
    part = Mlflow(where(home), experiment=name, model=name, seconds=30)
    champion, challenger, refused = (one.id for one in candidates(ledger, "toys"))
    reject(ledger, "toys", challenger, reason="no")
    assert deliver(ledger, "toys", part).error is None
    before = files(part, home)
    assert all("model.json" in one for one in before.values())
    kept = ledger.artifacts.path(candidate(ledger, "toys", refused).model)
    shutil.copytree(kept, home.parent / "aside")
    clock.advance(timedelta(days=1))
    assert set(prune(ledger, "toys", NOTHING).candidates) == {challenger, refused}

    foretold = deliver(ledger, "toys", part, dry=True, force=True)
    assert {one.name for one in foretold.changes if one.what == "files"} == {challenger, refused}
    assert files(part, home) == before, "a dry run deletes nothing"
    done = deliver(ledger, "toys", part, force=True)
    assert done.error is None
    assert [one.words for one in done.changes if one.what == "files"] == ["deleted: it was pruned"] * 2
    assert files(part, home) == {champion: before[champion], challenger: [], refused: []}
    with connected(part.place(home), 30) as client:
        told = {one.tags[TAG]: one.tags.get("trueup.pruned") for one in versions(client, name)}
    assert told == {champion: None, challenger: "true", refused: "true"}
    clock.advance(timedelta(hours=1))
    assert deliver(ledger, "toys", part, force=True, thorough=True).changes == (), "once"

    shutil.copytree(home.parent / "aside", kept)  # the same training gave the same model again
    clock.advance(timedelta(hours=1))
    again = deliver(ledger, "toys", part, force=True, thorough=True)
    assert [one.words for one in again.changes if one.what == "files"] == ["brought again"]
    assert files(part, home)[refused] == before[refused]


def test_a_kill_between_deleting_and_saying_so_deletes_again(
    ledger: Ledger, home: Path, where: Where, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trueup.registry._mlflow_sync import Sync

    name = f"pruned-{uuid.uuid4().hex[:12]}"
    part = Mlflow(where(home), experiment=name, model=name, seconds=30)
    reject(ledger, "toys", candidates(ledger, "toys")[1].id, reason="no")
    assert deliver(ledger, "toys", part).error is None
    clock.advance(timedelta(days=1))
    prune(ledger, "toys", NOTHING)

    class Killed(BaseException):
        pass

    def dying(*_: Any) -> None:
        raise Killed

    monkeypatch.setattr(Sync, "_tags", dying)
    with pytest.raises(Killed):  # the champion's tags are looked at first: nothing was deleted yet
        deliver(ledger, "toys", part, force=True)
    own = Sync._files

    def and_dies(self: Sync, *given: Any) -> None:
        own(self, *given)
        if given[1].model is None:
            raise Killed

    monkeypatch.undo()
    monkeypatch.setattr(Sync, "_files", and_dies)
    with pytest.raises(Killed):
        deliver(ledger, "toys", part, force=True)
    monkeypatch.undo()
    assert deliver(ledger, "toys", part, force=True).error is None
    assert sum(one == [] for one in files(part, home).values()) == 2


@pytest.mark.parametrize("place", ["file:///etc", "/etc", "file:///srv/m-1/artifacts", "http://elsewhere/m-1"])
def test_a_servers_word_deletes_nothing_of_this_machine(place: str) -> None:
    """A server that says that a model's files lie in a folder here, or anywhere that is not its own."""
    logged = SimpleNamespace(model_id="m-1", name="ours", artifact_location=place)
    with pytest.raises(Refused, match="in a folder of their own"):
        discard(None, "https://mlflow.internal", logged)
    if "m-1" not in place:
        with pytest.raises(Refused):
            discard(None, "sqlite:////tmp/mlflow.db", logged)
