# SPDX-License-Identifier: Apache-2.0
"""MLflow as a projection of the ledger: one suite over a local file and a real tracking server."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from trueup.core.clock import ManualClock
from trueup.models import load
from trueup.registry import Mlflow, Published, deliver, projection
from trueup.registry._mlflow import connected, versions
from trueup.release import reject
from trueup.state import aliases, candidates, decide, read
from trueup.store import Ledger

from .conftest import Where


def named(uri: str, **more: Any) -> Mlflow:
    """A part with names that no other test uses."""
    name = f"toys-{uuid.uuid4().hex[:12]}"
    return Mlflow(uri, experiment=name, model=name, seconds=30, **more)


def told(done: Published) -> list[tuple[str, str]]:
    assert done.error is None, done.error
    return [(one.what, one.name) for one in done.changes]


def picture(part: Mlflow, home: Path) -> dict[str, Any]:
    """Everything of a loop that MLflow shows, but for its own ids and times."""
    with connected(part.place(home), 30) as client:
        experiment = client.get_experiment_by_name(part.experiment)
        runs = client.search_runs([experiment.experiment_id], max_results=1000, order_by=["attributes.start_time ASC"])
        model = client.get_registered_model(part.model)
        own = {run.info.run_id: run.data.tags["trueup.training"] for run in runs}
        logged = client.search_logged_models([experiment.experiment_id], max_results=100)
        return {
            "runs": [
                {
                    "name": run.info.run_name, "status": run.info.status, "times": (run.info.start_time, run.info.end_time),
                    "metrics": run.data.metrics, "params": run.data.params,
                    "tags": {key: text for key, text in run.data.tags.items() if key.startswith("trueup.")},
                    "data": [(one.dataset.name, one.dataset.digest, one.dataset.profile, one.dataset.source) for one in run.inputs.dataset_inputs],
                    "models": len(run.outputs.model_outputs) if run.outputs else 0,
                }
                for run in runs
            ],
            "versions": [
                (str(one.version), one.tags, one.description, own.get(one.run_id)) for one in versions(client, part.model)
            ],
            "models": sorted((one.name, str(one.status), own.get(one.source_run_id)) for one in logged),
            "aliases": {name: str(version) for name, version in model.aliases.items()},
        }  # fmt: skip


def test_a_loop_is_shown(where: Where, ledger: Ledger, home: Path, tmp_path: Path) -> None:
    """REG-01, REG-02: a run a training, its Snapshot as the dataset, a version a candidate, the aliases."""
    part = named(where(home))
    deliver(ledger, "toys", part)
    seen = picture(part, home)
    known = candidates(ledger, "toys")
    first, released, refused = (one.id for one in known)
    assert [run["status"] for run in seen["runs"]] == ["FINISHED", "FINISHED"]
    for run, one in zip(seen["runs"], known[1:], strict=True):
        snapshot = ledger.get("toys", "snapshot", one.snapshot or "")
        assert snapshot is not None
        assert [data[:2] for data in run["data"]] == [(one.snapshot, snapshot["data"]["sha256"][:32])]
        assert {"seconds", "attempts", "gates", "gates.passed"} <= run["metrics"].keys()
        assert {name: run["metrics"][name] for name in one.metrics} == one.metrics
        assert run["params"]["trainer"] == "trainer.sklearn"
        assert run["models"] == 1
        assert run["name"] == run["tags"]["trueup.candidate"] == one.id
    assert [tags["trueup.candidate"] for _, tags, _, _ in seen["versions"]] == [first, released, refused]
    assert [tags["trueup.stands"] for _, tags, _, _ in seen["versions"]] == ["champion", "challenger", "refused"]
    lineage = seen["versions"][1][1]
    assert lineage["trueup.parent"] == first
    assert lineage["trueup.snapshot"] == known[1].snapshot
    assert lineage["trueup.model"] == known[1].model.sha256
    assert set(lineage["trueup.decisions"].split()) == {one.id for one in ledger.decisions("toys", subject=released)}
    assert seen["aliases"] == {"champion": "1", "challenger": "2"}
    with connected(part.place(home), 30) as client:
        version = client.get_model_version_by_alias(part.model, "challenger")
        from trueup.registry._mlflow import download

        folder = download(client, part.place(home), part.model or "", version.version, tmp_path / "there")
    own = ledger.artifacts.path(known[1].model)
    names = {file.relative_to(own).as_posix() for file in own.rglob("*") if file.is_file()}
    assert {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()} == names | {"requirements.txt"}
    assert load(folder).predict(["w0x1 w0x2 w0x3"])[0].value == "animal"
    assert "scikit-learn==" in (folder / "requirements.txt").read_text("utf-8")


def test_a_database_whose_making_was_killed_is_made_anew(
    ledger: Ledger, home: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """REG-02: half of MLflow's tables would never be opened again."""
    import mlflow.store.db.utils as utils

    def killed(_: Any) -> None:
        raise KeyboardInterrupt

    uri = f"sqlite:///{home / 'new' / 'mlflow.db'}"
    with monkeypatch.context() as patch:
        patch.setattr(utils, "_upgrade_db", killed)
        with pytest.raises(KeyboardInterrupt):
            deliver(ledger, "toys", named(uri))
    assert not (home / "new" / "mlflow.db").exists()
    assert (home / "new" / ".mlflow.db.part").exists()
    done = deliver(ledger, "toys", named(uri), force=True)
    assert done.error is None
    assert done.changes


def test_what_is_shown_already_is_left_alone(where: Where, ledger: Ledger, home: Path, clock: ManualClock) -> None:
    """REG-01: a second publishing, and a rebuild, change nothing; without a change it asks nobody."""
    part = named(where(home))
    assert told(deliver(ledger, "toys", part))
    before = picture(part, home)
    assert deliver(ledger, "toys", part).skipped
    clock.advance(part.every)
    assert told(deliver(ledger, "toys", part)) == []
    assert told(deliver(ledger, "toys", part, thorough=True)) == []
    assert picture(part, home) == before
    assert len(ledger.records("toys", "published")) == 1


def test_a_dry_run_says_what_it_would_do_and_does_nothing(where: Where, ledger: Ledger, home: Path) -> None:
    part = named(where(home))
    would = told(deliver(ledger, "toys", part, dry=True))
    assert {what for what, _ in would} == {"run", "version", "alias"}
    with connected(part.place(home), 30) as client:
        assert client.get_experiment_by_name(part.experiment) is None
    did = told(deliver(ledger, "toys", part))
    assert set(would) <= set(did)
    reject(ledger, "toys", candidates(ledger, "toys")[1].id, reason="no")
    would = told(deliver(ledger, "toys", part, dry=True))
    assert ("alias", "challenger") in would
    assert told(deliver(ledger, "toys", part)) == would


def course(ledger: Ledger) -> list[Callable[[], object]]:
    """Decisions that move every alias."""
    first, released, refused = (one.id for one in candidates(ledger, "toys"))

    def move(**changes: Any) -> object:
        generation, state = read(ledger, "toys")
        return decide(ledger, "toys", generation, replace(state, **changes), kind="x", verdict="NOTE", reason="moved")

    def validate() -> object:
        state = read(ledger, "toys")[1]
        assert state.release is not None
        return move(release=replace(state.release, validated=True))

    return [
        lambda: move(waiting=refused), validate,
        lambda: reject(ledger, "toys", released, reason="no"), lambda: move(champion=released, waiting=None),
        lambda: move(champion=first),
    ]  # fmt: skip


def test_a_rebuild_gives_what_was_published_step_by_step(where: Where, ledger: Ledger, home: Path) -> None:
    """REG-01, REG-02: aliases follow every Decision; MLflow's database can be lost and is made again."""
    part, other = named(where(home)), named(where(home))
    numbers = {one.id: str(at + 1) for at, one in enumerate(candidates(ledger, "toys"))}
    assert told(deliver(ledger, "toys", part))
    for step in course(ledger):
        step()
        assert told(deliver(ledger, "toys", part)) != []
        names = {name: numbers[ident] for name, ident in aliases(ledger, "toys").items() if name != "anchor"}
        assert picture(part, home)["aliases"] == names
    seen = picture(part, home)
    deliver(ledger, "toys", other, thorough=True)
    assert picture(other, home) == seen
    with connected(part.place(home), 30) as client:
        client.delete_registered_model(part.model)
    done = deliver(ledger, "toys", part, thorough=True)
    assert {what for what, _ in told(done)} == {"model", "version", "alias"}
    assert picture(part, home) == seen


def test_a_database_that_was_deleted_is_made_again(ledger: Ledger, home: Path, migrated: Path) -> None:
    """REG-01: the ordinary publishing sees that it is another database, and trusts no record."""
    part = Mlflow()
    told(deliver(ledger, "toys", part))
    shown = replace(part, experiment="toys", model="toys")
    before = picture(shown, home)
    for file in (home / "mlflow").rglob("*"):
        if file.is_file():
            file.unlink()
    (home / "mlflow" / "mlflow.db").write_bytes(migrated.read_bytes())
    told(deliver(ledger, "toys", part, force=True))
    assert picture(shown, home) == before


class Killed(BaseException):
    """What stops a publishing between two requests."""


def test_a_kill_between_any_two_requests_makes_nothing_double(
    ledger: Ledger, home: Path, where: Where, monkeypatch: pytest.MonkeyPatch
) -> None:
    """REG-01: after every k-th change that MLflow is asked for, the publishing dies and is begun again."""
    import mlflow

    clean, part = named(where(home)), named(where(home))
    told(deliver(ledger, "toys", clean))
    left = [0]

    def dying(call: Callable[..., Any]) -> Callable[..., Any]:
        def asked(*args: Any, **more: Any) -> Any:
            found = call(*args, **more)
            left[0] -= 1
            if left[0] == 0:
                raise Killed
            return found

        return asked

    for name in (
        "create_experiment", "create_run", "log_batch", "log_inputs", "set_terminated", "set_tag", "create_logged_model",
        "log_model_artifacts", "finalize_logged_model", "log_outputs", "create_registered_model", "create_model_version",
        "set_registered_model_alias", "set_model_version_tag",
    ):  # fmt: skip
        monkeypatch.setattr(mlflow.MlflowClient, name, dying(getattr(mlflow.MlflowClient, name)))
    deaths = 0
    while True:
        left[0] = deaths + 1  # a process lives for one request more than the one before it
        try:
            done = deliver(ledger, "toys", part)
            break
        except Killed:
            deaths += 1
    assert deaths >= 5
    assert done.error is None
    assert picture(part, home) == picture(clean, home)


def test_an_alias_that_somebody_moved_is_put_back_and_told(
    where: Where, ledger: Ledger, home: Path, clock: ManualClock
) -> None:
    """REG-02: the ledger decides; MLflow shows."""
    part = named(where(home))
    deliver(ledger, "toys", part)
    with connected(part.place(home), 30) as client:
        client.set_registered_model_alias(part.model, "champion", "3")
        client.set_registered_model_alias(part.model, "production-validated", "3")
        client.set_registered_model_alias(part.model, "mine", "2")
    clock.advance(part.every)
    done = deliver(ledger, "toys", part)
    assert sorted(told(done)) == [("alias", "champion"), ("alias", "production-validated")]
    assert all(one.moved for one in done.changes)
    assert "version 3" in done.changes[0].words
    assert picture(part, home)["aliases"] == {"champion": "1", "challenger": "2", "mine": "2"}
    signals = ledger.scan("toys", "signal").to_pylist()
    assert sum("somebody had moved it" in (one["extra"] or "") for one in signals if one["name"] == "publish") == 2


def test_doubles_that_a_slow_success_left_are_taken_away(where: Where, ledger: Ledger, home: Path) -> None:
    """REG-01: a request that timed out may have been done all the same."""
    part = named(where(home))
    deliver(ledger, "toys", part)
    before = picture(part, home)
    with connected(part.place(home), 30) as client:
        experiment = client.get_experiment_by_name(part.experiment).experiment_id
        known = before["runs"][0]["tags"]
        client.create_run(experiment, start_time=9 * 10**12, tags={
            name: known[name] for name in ("trueup.loop", "trueup.training")
        })
        source = versions(client, part.model)[1]
        logged, = client.search_logged_models([experiment], f"tags.`trueup.candidate` = '{source.tags['trueup.candidate']}'")
        client.create_model_version(
            part.model, f"models:/{logged.model_id}", run_id=source.run_id, tags=source.tags,
            description=source.description, await_creation_for=0, model_id=logged.model_id,
        )
    assert told(deliver(ledger, "toys", part, thorough=True)) == [("run", known["trueup.training"]), ("version", "4")]
    assert picture(part, home) == before


def test_two_homes_never_share_a_name(where: Where, ledger: Ledger, home: Path, tmp_path: Path) -> None:
    """REG-02: a loop of the same name in another home would move our champion."""
    part = named(where(home))
    deliver(ledger, "toys", part)
    with Ledger.open(tmp_path / "other", clock=ManualClock(ledger.clock.now())) as other:
        from .conftest import toy_loop

        other_loop = toy_loop(tmp_path, champion=None)
        from trueup.loop import run
        from trueup.models import ConstantModel

        run(replace(other_loop, champion=ConstantModel("plant")), other)
        done = deliver(other, "toys", replace(part, uri=part.place(home)))
        assert "another home" in (done.error or "")
        with connected(part.place(home), 30) as client:
            client.create_registered_model(f"{part.model}-x")
            experiment = client.get_experiment_by_name(part.experiment).experiment_id
            logged = client.create_logged_model(experiment)
            client.create_model_version(
                f"{part.model}-x", f"models:/{logged.model_id}", await_creation_for=0, model_id=logged.model_id
            )
        done = deliver(other, "toys", Mlflow(part.place(home), experiment=f"{part.model}-x", model=f"{part.model}-x"))
        assert "somebody else has filled" in (done.error or "")


def test_nothing_of_a_request_is_published(ledger: Ledger) -> None:
    """REG-01: 400 requests are in the ledger; the projection holds none of their inputs."""
    assert ledger.count("toys", "interaction") >= 400
    assert "w0x" not in repr(projection(ledger, "toys"))


def test_telemetry_is_off(ledger: Ledger, home: Path, migrated: Path) -> None:
    before = dict(os.environ)
    with connected(f"sqlite:///{migrated}", 5):
        from mlflow.telemetry.utils import is_telemetry_disabled

        assert is_telemetry_disabled()
        assert os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "0"
    after = {key: text for key, text in os.environ.items() if key not in ("DO_NOT_TRACK", "MLFLOW_DISABLE_TELEMETRY")}
    assert after == {key: text for key, text in before.items() if key in after}
    assert is_telemetry_disabled()
