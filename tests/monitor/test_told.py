# SPDX-License-Identifier: Apache-2.0
"""Scores of other tools gain a rate (TRU-03, TRG-07): told by signals, or computed in this process."""

import importlib.util
import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from trueup.core.errors import ArgumentError, Refused
from trueup.monitor import Evidently, told_drift
from trueup.store import Ledger

START = datetime(2026, 1, 1, tzinfo=UTC)
EDGES = np.quantile(np.random.default_rng(0).normal(size=100_000), np.linspace(0.1, 0.9, 9))


def days(n: int) -> list[datetime]:
    return [START + timedelta(days=at) for at in range(n)]


def psi(reference, batch) -> float:
    """The population stability index over ten bins, as tools compute it."""
    shares = [np.bincount(np.searchsorted(EDGES, part), minlength=10) / len(part) + 1e-4 for part in (reference, batch)]
    return float(((shares[1] - shares[0]) * np.log(shares[1] / shares[0])).sum())


def stream(rng, n: int, rows: int = 100, shift: float = 0.0) -> list[float]:
    reference = rng.normal(size=2_000)
    return [psi(reference, rng.normal(shift, size=rows)) for _ in range(n)]


def test_a_threshold_alarms_for_ever_and_the_ranked_score_at_its_rate() -> None:
    """120 streams of 365 daily scores with nothing moved: at most one alarm a year was asked for.

    PSI over .1 ("moderate drift") is the usual line; a batch of 100 rows crosses it again and again.
    """
    rng = np.random.default_rng(7)
    streams, first, crossed = 120, 40, []
    alarms = 0
    for seed in range(streams):
        scores = stream(rng, 365)
        crossed.append(sum(score > 0.1 for score in scores[first:]))
        alarms += told_drift(scores, days(365), calibration=first, false_alarms_per_year=1.0, seed=seed).alarm
    years = (365 - first) / 365.25
    assert np.mean(crossed) > 40            # the tool's own threshold: dozens of alarms a year
    allowed = streams * years
    assert alarms <= allowed                # E[alarms] <= rate * T, and a stream counts once here
    calm = sum(
        told_drift(stream(rng, 365), days(365), false_alarms_per_year=0.1, seed=seed).alarm for seed in range(streams)
    )
    assert calm <= 0.1 * allowed + 3 * np.sqrt(0.1 * allowed)


def test_a_change_is_found_and_times_matter_but_looking_does_not() -> None:
    rng = np.random.default_rng(3)
    scores = stream(rng, 80) + stream(rng, 20, shift=0.6)
    found = told_drift(scores, days(100), name="psi")
    assert found.alarm
    assert found.rated
    assert 80 <= (found.at / 1e6 - START.timestamp()) / 86_400 <= 95
    assert not told_drift(scores[:80], days(80)).alarm
    assert "psi: alarm since" in found.words()
    again = told_drift(scores, days(100), name="psi")
    assert again == found
    early = told_drift(scores[:30], days(30), name="psi")
    assert not early.alarm
    assert "30 of 40 scores for calibration so far" in early.words()


def test_scores_that_remember_state_no_rate() -> None:
    rng = np.random.default_rng(4)
    walk = np.cumsum(rng.normal(size=120))
    found = told_drift(walk.tolist(), days(120))
    assert not found.rated
    assert "no stated rate" in found.words()


def test_what_is_no_score_is_refused() -> None:
    for scores, times in (([1.0], days(2)), ([float("nan")], days(1))):
        with pytest.raises(ArgumentError):
            told_drift(scores, times)
    with pytest.raises(ArgumentError):
        told_drift([], [], calibration=5)


def test_evidently_takes_distances_and_says_what_to_install() -> None:
    with pytest.raises(ArgumentError, match="ks"):
        Evidently("price", method="ks")
    assert Evidently("price").name == "evidently psi price"
    if importlib.util.find_spec("evidently") is None:
        with pytest.raises(Refused, match="not installed"):
            Evidently("price").score([{"price": 1.0}], [{"price": 2.0}])


ROOT = Path(__file__).resolve().parents[2]
CALM, MOVED, ROWS = 80, 20, 100


def batches(folder: Path) -> list[str]:
    """A reference and 100 batches of a price, of which the last 20 have moved by .6 standard deviations."""
    rng = np.random.default_rng(11)
    paths = []
    for at, (n, mean) in enumerate([(2_000, 0.0), *[(ROWS, 0.0)] * CALM, *[(ROWS, 0.6)] * MOVED]):
        path = folder / f"{at:03d}.csv"
        path.write_text("price\n" + "".join(f"{x:.6f}\n" for x in rng.normal(mean, 1.0, n)))
        paths.append(str(path))
    return paths


@pytest.mark.parametrize("tool", ["nannyml", "alibi"])
def test_scores_of_another_tool_gain_a_rate(tool: str, tmp_path: Path) -> None:
    """The script of docs/scores.md with the tool itself, in a process that sees nothing but its packages."""
    site = ROOT / f".venv-{tool}"
    if not (site / ".done").exists():
        pytest.skip(f"the packages of {tool} are not installed: make scores")
    done = subprocess.run(
        [sys.executable, "-S", "-W", "ignore", str(ROOT / f"examples/scores/{tool}_scores.py"), "price", *batches(tmp_path)],
        capture_output=True, text=True, check=False, timeout=250,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONPATH": str(site), "NML_DISABLE_USAGE_LOGGING": "1"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    said = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    scores = [one["value"] for one in said]
    assert len(scores) == CALM + MOVED
    assert {one["name"] for one in said} == {f"{tool}-price"}
    calm = told_drift(scores[:CALM], days(CALM))
    assert (calm.alarm, calm.rated) == (False, True)
    found = told_drift(scores, days(len(scores)))
    assert found.alarm
    assert found.at is not None
    assert CALM <= (found.at / 1e6 - START.timestamp()) / 86_400 < CALM + 10


def test_what_a_tool_says_becomes_signals_of_a_loop(tmp_path: Path) -> None:
    lines = "".join(json.dumps({"name": "nannyml-price", "value": 0.1 * at}) + "\n" for at in range(3))
    with Ledger.open(tmp_path / "home"):
        pass
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples/scores/tell.py"), "films"], input=lines, capture_output=True, text=True, check=False,
        timeout=60, env={**os.environ, "TRUEUP_HOME": str(tmp_path / "home"), "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    with Ledger.open(tmp_path / "home") as ledger:
        said = [(row["name"], json.loads(row["extra"])["value"]) for row in ledger.scan("films", "signal").to_pylist() if row["name"] == "nannyml-price"]
    assert said == [("nannyml-price", 0.0), ("nannyml-price", 0.1), ("nannyml-price", 0.2)]


def test_evidently_itself_is_ranked() -> None:
    """Its own number of its own code, in a process with its packages."""
    site = str(Path(__file__).resolve().parents[2] / ".venv-evidently")
    if not Path(site, "evidently").is_dir():
        pytest.skip("Evidently's packages are not installed: make evidently")
    code = (
        "import json, numpy as np; from trueup.monitor import Evidently, Terms, Batches, sample\n"
        "rng = np.random.default_rng(1)\n"
        "def rows(n, mean=0.0): return [{'price': float(x)} for x in rng.normal(mean, 1, n)]\n"
        "one = Evidently('price')\n"
        "watch = one.begin(sample(rows(6_000)), Terms(batches=Batches(rows=100)))\n"
        "watch.observe(sample(rows(1_000)), 0.1); calm = watch.found\n"
        "watch.observe(sample(rows(1_000, 1.0)), 0.1)\n"
        "print(json.dumps([calm.alarm, calm.rated, watch.found.alarm, one.score(rows(1_000), rows(100, 1.0))]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=False, timeout=200,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([*sys.path, site])},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    calm, rated, alarm, number = json.loads(done.stdout.splitlines()[-1])
    assert (calm, rated, alarm) == (False, True, True)
    assert number > 0.5
