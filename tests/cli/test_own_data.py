# SPDX-License-Identifier: Apache-2.0
"""From one's own file to a first verdict, through the real command line."""

from __future__ import annotations

import json
import os
import re
import resource
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq
import pytest


def test_from_a_csv_to_a_first_verdict_and_all_that_can_be_asked_of_it(cli, tmp_path, csv_file) -> None:
    """TRU-11, ING-02, VER-01, EVL-04: init, import, run --train, approve, run, then the questions one asks."""
    folder = tmp_path / "tickets"
    made = cli("init", "classify", "tickets", "--data", csv_file.name, cwd=tmp_path).stdout
    assert "held out 240 of 1,200 rows" in made
    assert cli("check", cwd=folder).stdout.endswith("tickets can work\n")
    done = cli("import", csv_file, cwd=folder).stdout
    assert "1,200 rows, 1,200 of them new, 1,200 new outcomes" in done
    assert "1 rows set aside" in done
    said = cli("run", "--train", cwd=folder).stdout
    assert "the first champion, named by the loop's definition" in said
    assert "accuracy on core: no worse" in said
    asked = re.search(r"trueup approve (c-\w+)", said)
    assert asked, said
    cli("approve", asked[1], "-m", "better than the commonest answer", cwd=folder)
    said = cli("run", cwd=folder).stdout
    assert "forecast: " in said
    assert " pairs if they are equally good, at a disagreement of " in said
    plan = json.loads(cli("plan", "--json", cwd=folder).stdout)
    assert plan["release"].startswith("c-")
    assert plan["forecast"]["days"] > 1

    snapshot = json.loads(cli("snapshot", "list", "--json", cwd=folder).stdout)[0]
    assert snapshot["rows"] == 960
    shown = cli("snapshot", "show", snapshot["id"][:8], cwd=folder).stdout
    assert "same input as golden core" in shown
    assert "tickets.csv (1,200 rows" in shown
    assert "is what its manifest says" in cli("snapshot", "verify", snapshot["id"], cwd=folder).stdout
    assert "960 kept, 0 added" in cli("snapshot", "diff", snapshot["id"], snapshot["id"], cwd=folder).stdout

    golden = json.loads(cli("golden", "show", "--json", cwd=folder).stdout)[0]
    assert (golden["items"], golden["uses"], golden["frozen"]) == (240, 1, None)
    assert golden["slices"] == {"class": ["account", "billing", "delivery"]}
    assert golden["digest"][:16] in cli("golden", "freeze", cwd=folder).stdout
    extra = tmp_path / "extra.jsonl"
    extra.write_text('{"input": {"subject": "a new one"}, "target": "billing"}\n')
    assert "is frozen" in cli("golden", "add", extra, cwd=folder, code=2).stderr

    assert "stays: served users" in cli("prune", "--dry", cwd=folder).stdout
    assert "all is well" in cli("doctor", cwd=folder).stdout


def elec2() -> Path:
    root = Path(__file__).resolve().parents[2]
    return Path(os.environ.get("TRUEUP_DATA", root.parent / "shared" / "data")) / "elec2.parquet"


def reached(cli, folder: Path, rows: pa.Table) -> float:
    """From a CSV to a first verdict, three commands; the processor's seconds that they took."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    folder.mkdir()
    pc.write_csv(rows, folder / "elec2.csv")
    assert "2 classes" in cli("init", "classify", "prices", "--data", "elec2.csv", cwd=folder).stdout
    assert f"{rows.num_rows:,} rows" in cli("import", folder / "elec2.csv", cwd=folder / "prices").stdout
    said = cli("run", "--train", cwd=folder / "prices").stdout
    assert "accuracy on core: no worse" in said
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@pytest.mark.data
@pytest.mark.skipif(not elec2().is_file(), reason="needs elec2.parquet in TRUEUP_DATA")
def test_real_numbers_reach_a_verdict_and_eight_times_the_rows_take_less_than_four_times_the_work(cli, tmp_path: Path) -> None:
    """45,312 rows of prices and demands, class UP or DOWN, in less than a minute on two quiet cores. What is held
    here is what holds on any machine: the processor's time grows far slower than the rows."""
    rows = pq.read_table(elec2())
    few = reached(cli, tmp_path / "few", rows.slice(0, rows.num_rows // 8))
    whole = reached(cli, tmp_path / "whole", rows)
    print(f"{rows.num_rows // 8:,} rows: {few:.1f} s of processor time; {rows.num_rows:,} rows: {whole:.1f} s")
    assert whole < 4 * few
