# SPDX-License-Identifier: Apache-2.0
"""TRG-08: a version that people mark in MLflow comes in, passes the gates, and is released."""

from __future__ import annotations

import os
import pickle
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from trueup.core.clock import ManualClock
from trueup.core.errors import DefinitionError
from trueup.loop import Loop, listen, publish, run
from trueup.models import ConstantModel, FunctionModel, write_manifest
from trueup.registry import Mlflow
from trueup.registry._mlflow import connected
from trueup.release import pause, reject, resume
from trueup.state import candidate, candidates, read, register
from trueup.store import Ledger

from .conftest import Where, toy_loop

WORD = "validated-for-staging"


def shout(inputs: Any) -> Any:
    """A model that is code."""
    return ["animal" for _ in inputs]


class World:
    """A loop that listens, and people who register models from outside."""

    def __init__(self, ledger: Ledger, home: Path, where: Where) -> None:
        name = f"toys-{uuid.uuid4().hex[:12]}"
        self.ledger, self.home = ledger, home
        self.part = Mlflow(where(home), experiment=name, model=name, listen=WORD, seconds=30)
        self.loop: Loop = toy_loop(home.parent, publish=[self.part])
        self.outside = f"{name}-outside"

    def hear(self) -> list[Any]:
        return listen(self.loop, self.ledger, base=self.home.parent, force=True)

    def register(self, folder: Path, name: str | None = None) -> str:
        """What somebody does with his own client: log a folder, and register it."""
        model = name or self.part.model
        with connected(self.part.place(self.home), 30) as client:
            if client.get_experiment_by_name(self.outside) is None:
                path = self.home / "mlflow" / "outside"
                store = path.as_uri() if self.part.place(self.home).startswith("sqlite") else None
                client.create_experiment(self.outside, artifact_location=store)
            experiment = client.get_experiment_by_name(self.outside).experiment_id
            logged = client.create_logged_model(experiment, name="theirs")
            client.log_model_artifacts(logged.model_id, str(folder))
            client.finalize_logged_model(logged.model_id, "READY")
            if name is not None:
                client.create_registered_model(name)
            made = client.create_model_version(
                model, f"models:/{logged.model_id}", await_creation_for=0, model_id=logged.model_id
            )
        return str(made.version)

    def mark(self, version: str, *, tag: str | None = None, name: str | None = None) -> None:
        with connected(self.part.place(self.home), 30) as client:
            if tag is None:
                client.set_registered_model_alias(name or self.part.model, WORD, version)
            else:
                client.set_model_version_tag(name or self.part.model, version, tag, WORD if tag == "stage" else "true")


@pytest.fixture
def world(ledger: Ledger, home: Path, where: Where) -> Iterator[World]:
    """A loop whose challenger has just been rejected, and that is published."""
    reject(ledger, "toys", candidates(ledger, "toys")[1].id, reason="start afresh")
    made = World(ledger, home, where)
    assert publish(made.loop, ledger)[0].error is None
    return made


def theirs(world: World, folder: Path, at: int = 1) -> Path:
    """A copy of a trained model, as somebody else's."""
    import shutil

    made = candidates(world.ledger, "toys")[at].model
    shutil.copytree(world.ledger.artifacts.path(made), folder)
    folder.chmod(0o755)
    return folder


def test_a_marked_version_from_outside_is_released(world: World, tmp_path: Path, clock: ManualClock) -> None:
    """TRG-08: alias set, folder fetched and checked, gates, candidate, release; never twice."""
    ledger = world.ledger
    assert world.hear() == []
    folder = theirs(world, tmp_path / "model")
    (folder / "notes.pkl").write_bytes(pickle.dumps("not named by the manifest: stays behind"))
    version = world.register(folder)
    assert world.hear() == []
    world.mark(version)
    decision, = world.hear()
    assert (decision.kind, decision.verdict) == ("candidate", "PASS"), decision.reason
    assert f"version {version} of {world.part.model} in MLflow has the alias {WORD}" in decision.reason
    assert decision.actor.startswith("mlflow: ")
    assert decision.evidence["gates"][0]["passed"]
    made = candidate(ledger, "toys", decision.subject or "")
    assert made.facts["imported"]["version"] == version
    assert made.parent == read(ledger, "toys")[1].champion
    assert read(ledger, "toys")[1].waiting == made.id
    assert not list((ledger.artifacts.path(made.model)).glob("*.pkl"))
    assert world.hear() == []
    started = run(world.loop, ledger, base=world.home.parent)
    assert ("start", made.id) in [(one.kind, one.subject) for one in started]
    clock.advance(world.part.every)
    assert publish(world.loop, ledger)[0].error is None
    with connected(world.part.place(world.home), 30) as client:
        challenger = client.get_model_version_by_alias(world.part.model, "challenger")
        assert str(challenger.version) == version, "the very version that was marked is the challenger"
        assert challenger.tags["trueup.candidate"] == made.id
        assert "trueup.imported" in challenger.tags
    reject(ledger, "toys", made.id, reason="no")
    assert world.hear() == []


def test_marks_are_aliases_tags_and_stages_on_several_models(world: World, tmp_path: Path) -> None:
    """TRG-08: a tag by its name or its value; another registered model; one that is marked off is not."""
    import dataclasses

    name = f"{world.part.model}-lab"
    world.loop = dataclasses.replace(world.loop, publish=[dataclasses.replace(world.part, listen_to=[name])])
    one = world.register(theirs(world, tmp_path / "a"), name)
    with connected(world.part.place(world.home), 30) as client:
        client.set_model_version_tag(name, one, WORD, "false")
    assert world.hear() == []
    world.mark(one, tag="stage", name=name)
    decision, = world.hear()
    assert decision.verdict == "PASS"
    assert f"of {name} in MLflow has the tag stage={WORD}" in decision.reason


def test_a_version_of_ours_starts_again(world: World) -> None:
    """TRG-08: a candidate that was rejected is released again because somebody says so; the champion is not."""
    first, rejected, _ = (one.id for one in candidates(world.ledger, "toys"))
    world.mark("2")
    decision, = world.hear()
    assert (decision.verdict, decision.subject) == ("PASS", rejected)
    world.mark("1", tag=WORD)
    decision, = world.hear()
    assert (decision.verdict, decision.subject) == ("REFUSE", first)
    assert "serves already" in decision.reason
    assert len(candidates(world.ledger, "toys")) == 3


@pytest.mark.parametrize("bad", ["code", "pickle", "nothing", "damaged", "numbers", "weak"])
def test_what_must_not_come_in_is_refused(world: World, tmp_path: Path, bad: str) -> None:
    """TRG-08: code, pickles, folders without a manifest, damage, other answers; and a model below the gates."""
    folder = tmp_path / "model"
    folder.mkdir()
    trap = tmp_path / "sprung"
    if bad == "code":
        FunctionModel(shout).write(folder, "label")
    elif bad == "pickle":
        (folder / "model.pkl").write_bytes(pickle.dumps(Trap(trap)))
        write_manifest(folder, format="sklearn", answers="label", labels=["animal"])
    elif bad == "nothing":
        (folder / "model.pkl").write_bytes(pickle.dumps(Trap(trap)))
    elif bad == "weak":
        ConstantModel("plant").write(folder, "label")
    elif bad == "numbers":
        ConstantModel(3.0).write(folder, "number")
    else:
        ConstantModel("plant").write(folder, "label")
        (folder / "model.json").write_text((folder / "model.json").read_text("utf-8").replace("plant", "stone", 1)[:-20], "utf-8")
    before = {one.id for one in candidates(world.ledger, "toys")}
    world.mark(world.register(folder))
    decision, = world.hear()
    words = {
        "code": "which runs code", "pickle": "files that are read as data", "nothing": "a folder with model.json",
        "damaged": "model.json", "numbers": "a model that answers label, got number", "weak": "gates: ",
    }  # fmt: skip
    assert (decision.kind, decision.verdict) == ("stop", "REFUSE")
    assert words[bad] in decision.reason
    assert not trap.exists()
    assert len({one.id for one in candidates(world.ledger, "toys")} - before) == (bad == "weak")
    assert read(world.ledger, "toys")[1].waiting is None
    assert not list((world.home / "work").glob("nominated-*"))
    assert world.hear() == []


class Trap:
    """What unpickling would spring."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (os.mkdir, (str(self.path),))


def test_a_paused_loop_takes_nothing_up_and_hears_later(world: World, tmp_path: Path) -> None:
    world.mark(world.register(theirs(world, tmp_path / "model")))
    pause(world.ledger, "toys", reason="holidays")
    assert world.hear() == []
    resume(world.ledger, "toys", reason="back")
    assert [one.verdict for one in world.hear()] == ["PASS"]


def test_a_kill_after_the_decision_starts_nothing_twice(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TRG-08: killed between any two writes, the mark is decided once."""
    world.mark(world.register(theirs(world, tmp_path / "model")))
    put = Ledger.put

    class Killed(BaseException):
        pass

    def dying(self: Ledger, loop: str, kind: str, ident: str, body: Any) -> bool:
        if kind == "nominated":
            raise Killed
        return put(self, loop, kind, ident, body)

    monkeypatch.setattr(Ledger, "put", dying)
    with pytest.raises(Killed):
        world.hear()
    monkeypatch.undo()
    again, = world.hear()
    said = [one for one in world.ledger.decisions("toys") if one.evidence.get("nomination")]
    assert [one.id for one in said] == [again.id]
    assert world.hear() == []


@pytest.mark.parametrize("word", ["champion", "challenger", " "])
def test_a_word_that_is_set_by_itself_is_no_mark(word: str) -> None:
    """TRG-08: listening for our own aliases would release for ever."""
    with pytest.raises(DefinitionError):
        Mlflow(listen=word)


def test_a_version_of_ours_is_not_gated_by_answers_without_its_parameters(world: World) -> None:
    """It differs from the champion in parameters that its model does not take: gates would test nothing."""
    ledger = world.ledger
    champion = candidate(ledger, "toys", str(read(ledger, "toys")[1].champion))
    made = register(ledger, "toys", champion.model, parent=champion.id, parameters={"threshold": 0.9})
    assert publish(world.loop, ledger)[0].error is None
    with connected(world.part.place(world.home), 30) as client:
        versions = client.search_model_versions(f"name='{world.part.model}'")
        world.mark(next(str(one.version) for one in versions if one.tags.get("trueup.candidate") == made.id))
    decision, = world.hear()
    assert (decision.verdict, decision.subject) == ("REFUSE", made.id)
    assert "which answers the same whatever they are" in decision.reason
