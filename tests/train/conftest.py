# SPDX-License-Identifier: Apache-2.0
"""Rows and jobs for the tests of this room."""

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from trueup.core import values
from trueup.core.json import dumps
from trueup.core.protocols import Budget, TrainJob
from trueup.core.references import Ref
from trueup.models.manifest import file_sha256
from trueup.store.artifacts import Artifacts


class Here:
    """A RunContext in this process."""

    def __init__(self, workdir: Path) -> None:
        self.workdir = workdir
        self.steps: list[tuple[int, int]] = []
        self.stop = False

    def report(self, step: int, total: int, **metrics: float) -> None:
        self.steps.append((step, total))

    def should_stop(self) -> bool:
        return self.stop


PLOTS = {
    "sea": ["ship sails the deep sea", "a sailor and a storm at sea", "harbour and waves", "the captain sinks"],
    "war": ["soldiers march to the front", "a general loses the war", "tanks and trenches", "the soldier returns"],
    "love": ["two lovers meet in paris", "a wedding and a letter", "kisses in the rain", "the bride runs away"],
}


@pytest.fixture
def store(tmp_path):
    """The artifacts of a home, as a ledger has them."""
    return Artifacts(tmp_path / "home")


@pytest.fixture
def stored(store):
    """The same job with its data among the artifacts."""
    return lambda job: replace(job, data=store.put_file(Path(job.data.uri)))


@pytest.fixture
def here(tmp_path):
    folder = tmp_path / "here"
    folder.mkdir()
    return Here(folder)


@pytest.fixture
def make_job(tmp_path):
    """Write rows, and give the job that trains on them."""

    def make(trainer, rows, output="label", *, weights=None, init=None, seed=1, budget=None, name="rows"):
        table = pa.table({
            "input": pa.array([dumps(x) for x, _ in rows], pa.string()),
            "target": pa.array([dumps(y) for _, y in rows], pa.string()),
            "weight": pa.array([1.0] * len(rows) if weights is None else weights, pa.float64()),
            "part": pa.array(["new"] * len(rows), pa.string()),
        })
        path = tmp_path / f"{name}.parquet"
        pq.write_table(table, path)
        return TrainJob(
            "films", values.to_json(trainer), Ref(str(path), file_sha256(path), len(rows)), output,
            seed=seed, init=init, budget=budget or Budget(seconds=60, megabytes=1500),
        )

    return make


@pytest.fixture
def rows():
    return [
        (f"{plot} {n}", label) for n in range(6) for label, plots in PLOTS.items() for plot in plots
    ]


@pytest.fixture
def many_rows(rows):
    """The same with lists of labels; every row also carries "film"."""
    return [(text, ["film", label] + (["wet"] if label == "sea" else [])) for text, label in rows]
