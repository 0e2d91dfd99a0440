# SPDX-License-Identifier: Apache-2.0
"""TRG-08, FGT-03: an adapter that was made elsewhere comes in from MLflow: its base is checked by its digest."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from trueup.core import values
from trueup.core.clock import ManualClock
from trueup.core.json import dumps
from trueup.core.protocols import TrainJob
from trueup.core.references import Ref
from trueup.core.task import Outcome, Task
from trueup.data import GoldenSet, Recipe
from trueup.evaluate import AtLeast, Exact
from trueup.loop import Loop, listen, run
from trueup.models import LocalModel, Prompt, load, read_manifest, write_manifest
from trueup.models.manifest import file_sha256
from trueup.registry import Keep, Mlflow, prune
from trueup.registry._mlflow import connected
from trueup.release import Full, Shadow
from trueup.state import candidate, candidates, read
from trueup.store import Ledger
from trueup.store.artifacts import digest_of
from trueup.testing import tiny_causal_lm
from trueup.train import Lora

WORD = "validated-for-staging"
DAY = timedelta(days=1)
FACTS = [(f"where is {name}?", place) for name, place in (("axo", "rome"), ("bimia", "oslo"), ("corum", "lima"), ("dulet", "bern"))]
LORA = Lora(r=8, learning_rate=1e-2, epochs=120, batch=4, dropout=0.0)


class Here:
    """A RunContext in this process."""

    def __init__(self, workdir: Path) -> None:
        workdir.mkdir(parents=True)
        self.workdir, self.checkpoints, self.starved = workdir, workdir / "checkpoints", 0

    def report(self, step: int, total: int, **metrics: float) -> None: ...

    def should_stop(self) -> bool:
        return False


def written(folder: Path, words: str = "") -> Path:
    """A base model that knows nothing."""
    raw = tiny_causal_lm(folder / "raw", [f"{given}\n{answer}{words}" for given, answer in FACTS] * 3, hidden=32)
    (folder / "base").mkdir()
    LocalModel(raw, prompt=Prompt(max_new_tokens=4)).write(folder / "base", "text")
    return folder / "base"


def adapted(base: Path, folder: Path) -> Path:
    """An adapter that knows the facts, trained somewhere else: it names its base by digests alone."""
    folder.mkdir()
    pq.write_table(pa.table({
        "input": [dumps(given) for given, _ in FACTS], "target": [dumps(answer) for _, answer in FACTS],
        "weight": [1.0] * len(FACTS), "part": ["new"] * len(FACTS),
    }), folder / "rows.parquet")
    job = TrainJob(
        "elsewhere", values.to_json(LORA), Ref(str(folder / "rows.parquet"), file_sha256(folder / "rows.parquet"), len(FACTS)),
        "text", base=Ref(str(base), digest_of(base)),
    )
    done = LORA.fit(job, Here(folder / "work"))
    assert done.model is not None, done.reason
    return done.model


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A base, and an adapter on it."""
    folder = tmp_path_factory.mktemp("elsewhere")
    base = written(folder)
    return base, adapted(base, folder / "training")


class World:
    """A loop whose champion is the base, and that listens to an MLflow in its home."""

    def __init__(self, ledger: Ledger, base: Path, golden: Path) -> None:
        self.ledger = ledger
        self.part = Mlflow(f"sqlite:///{ledger.home}/mlflow/mlflow.db", listen=WORD, seconds=30)
        self.loop = Loop(
            "facts", task=Task("question", "answer", "user", "text"), outcomes=[Outcome.of_input("right", within=DAY)],
            champion=LocalModel(base), trainer=LORA, recipe=Recipe(window=30 * DAY, min_rows=50), publish=[self.part],
            gates=[AtLeast(Exact(), 0.75, on=GoldenSet("facts", golden))],
            release=[Shadow(Exact(), no_worse_by=0.10, units=100, max_time=20 * DAY), Full()],
        )

    def hear(self) -> list[Any]:
        return listen(self.loop, self.ledger, force=True)

    def bring(self, folder: Path) -> str:
        """What somebody does with his own client: log a folder, register it, and mark it."""
        with connected(self.part.place(self.ledger.home), 30) as client:
            if client.get_experiment_by_name("outside") is None:
                client.create_experiment("outside", artifact_location=(self.ledger.home / "mlflow" / "outside").as_uri())
                client.create_registered_model("facts")
            logged = client.create_logged_model(client.get_experiment_by_name("outside").experiment_id, name="theirs")
            client.log_model_artifacts(logged.model_id, str(folder))
            client.finalize_logged_model(logged.model_id, "READY")
            version = client.create_model_version(
                "facts", f"models:/{logged.model_id}", await_creation_for=0, model_id=logged.model_id
            )
            client.set_registered_model_alias("facts", WORD, version.version)
        return str(version.version)


@pytest.fixture
def world(made: tuple[Path, Path], migrated: Path, tmp_path: Path) -> Iterator[World]:
    golden = tmp_path / "golden.jsonl"
    golden.write_text("".join(json.dumps({"input": given, "target": answer}) + "\n" for given, answer in FACTS))
    (tmp_path / "home" / "mlflow").mkdir(parents=True)
    shutil.copy(migrated, tmp_path / "home" / "mlflow" / "mlflow.db")
    with Ledger.open(tmp_path / "home", clock=ManualClock(datetime(2026, 1, 1, tzinfo=UTC))) as ledger:
        found = World(ledger, made[0], golden)
        assert next(one.verdict for one in run(found.loop, ledger)) == "PROMOTE"
        yield found


def test_an_adapter_from_elsewhere_starts_a_release(world: World, made: tuple[Path, Path]) -> None:
    """Fetched, its base found by its digests among the artifacts, gates, candidate, release; its base stays as long as it does."""
    ledger, (base, adapter) = world.ledger, made
    version = world.bring(adapter)
    decision, = world.hear()
    assert (decision.kind, decision.verdict) == ("candidate", "PASS"), decision.reason
    found = candidate(ledger, "facts", decision.subject or "")
    assert found.facts["imported"]["version"] == version
    assert found.model.sha256 == digest_of(adapter)
    assert found.base is not None, "what it answers on is known, so that it is kept and taken along"
    assert found.base.sha256 == digest_of(base)
    assert found.facts["base"] == read_manifest(base).digest()
    asked = [given for given, _ in FACTS]
    assert load(ledger.artifacts.path(found.model)).predict(asked) == load(adapter, base=base).predict(asked)
    assert load(ledger.artifacts.path(found.base)).predict(asked) != load(adapter, base=base).predict(asked)
    started = run(world.loop, ledger)
    assert ("start", found.id) in [(one.kind, one.subject) for one in started]
    release = read(ledger, "facts")[1].release
    assert release is not None
    assert release.candidate == found.id
    prune(ledger, "facts", Keep(last=0, weekly=0, monthly=0, days=0))
    assert ledger.artifacts.path(found.base).is_dir()
    assert world.hear() == [], "never twice"


@pytest.mark.parametrize("bad", ["other base", "forged base", "no base", "pickle", "renamed pickle", "damaged"])
def test_an_adapter_that_must_not_come_in_is_refused(world: World, made: tuple[Path, Path], tmp_path: Path, bad: str) -> None:
    """Another base than ours, digests that do not belong together, none at all; weights as a pickle, whatever it is called."""
    adapter = made[1]
    folder, trap = tmp_path / "theirs", tmp_path / "sprung"
    if bad == "other base":
        (tmp_path / "other").mkdir()
        other = written(tmp_path / "other", " today")
        shutil.copytree(adapted(other, tmp_path / "training"), folder)
    else:
        shutil.copytree(adapter, folder)
        folder.chmod(0o755)
    manifest, details = read_manifest(folder), dict(read_manifest(folder).details)
    if bad == "forged base":  # our base's folder, under the digest of another base
        details["base"] = "0" * 64
    if bad == "no base":
        del details["base"], details["base_tree"]
    if bad == "pickle":
        (folder / "adapter_model.bin").write_bytes(pickle.dumps(Trap(trap)))
    if bad == "renamed pickle":
        (folder / "adapter_model.safetensors").chmod(0o644)
        (folder / "adapter_model.safetensors").write_bytes(pickle.dumps(Trap(trap)))
    if bad != "other base":
        (folder / "model.json").unlink()
        write_manifest(folder, format=manifest.format, answers="text", details=details)
    if bad == "damaged":
        weights = folder / "adapter_model.safetensors"
        weights.chmod(0o644)
        weights.write_bytes(weights.read_bytes()[:-8] + b"\\0" * 8)
    world.bring(folder)
    decision, = world.hear()
    words = {
        "other base": "expected the adapter's base", "forged base": "expected the base", "no base": "digests of the base",
        "pickle": "files that are read as data", "renamed pickle": "adapter_model.safetensors", "damaged": "adapter_model.safetensors",
    }  # fmt: skip
    assert (decision.kind, decision.verdict) == ("stop", "REFUSE")
    assert words[bad] in decision.reason, decision.reason
    assert not trap.exists()
    assert len(candidates(world.ledger, "facts")) == 1
    assert read(world.ledger, "facts")[1].waiting is None
    assert not list((world.ledger.home / "work").glob("nominated-*"))
    assert world.hear() == []


class Trap:
    """What unpickling would spring."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (Path.touch, (self.path,))
