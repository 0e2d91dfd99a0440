# SPDX-License-Identifier: Apache-2.0
"""Cold starts beside a bare interpreter, and what the base package brings onto a disk.

    python benchmarks/imports.py                  # a ledger of a million events
    python benchmarks/imports.py --events 10000

Every start is a fresh interpreter with its files in the system's cache; rounds of all contestants
alternate, and the median and the best are printed. `numpy` and `pyarrow` stand beside ours: they
are what a light path must not load.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from statistics import median

from trueup.core.decisions import Decision
from trueup.core.events import Event
from trueup.state import LoopState
from trueup.store import Ledger

SRC = Path(__file__).resolve().parents[1] / "src"
BASE = ("click", "cronsim", "rich", "pygments", "markdown-it-py", "mdurl", "xxhash")
BATCH = 50_000
WARM_UP = 2


def fill(home: Path, events: int) -> float:
    """A ledger with so many interactions and one Decision; the seconds that it took."""
    began = time.perf_counter()
    text = '"a plot of a film, some words long, as a description has them"'
    with Ledger.open(home) as ledger:
        for first in range(0, events, BATCH):
            ledger.append([
                Event(f"i-{n}", "films", "interaction", n + 1, unit=f"user-{n % 9973}", choice=f"i-{n}", arm="champion",
                      candidate="c-1", generation=1, input=text, output='"Dramas"', seconds=0.01)
                for n in range(first, min(events, first + BATCH))
            ])  # fmt: skip
        state = LoopState().serve("c-1", 1).to_json()
        ledger.decide(Decision("films", 0, "install", "PROMOTE", "the first champion", state=state), expect=0)
        ledger.seal()
    return time.perf_counter() - began


def contestants(home: Path) -> dict[str, str]:
    """What is started, as the code of an interpreter."""
    cli = "from trueup.cli import main; main({})"
    return {
        "bare interpreter": "pass",
        "import click": "import click",
        "import numpy": "import numpy",
        "import pyarrow": "import pyarrow",
        "import trueup": "import trueup",
        "from trueup import connect": "from trueup import connect",
        "trueup --help": cli.format(["--help"]),
        "trueup status": cli.format(["--home", str(home), "status"]),
    }


def start(code: str) -> float:
    """Seconds from start to end of a fresh interpreter; it must succeed."""
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(SRC)},
    )  # fmt: skip
    return time.perf_counter() - began


def size(name: str) -> int | None:
    """Bytes that an installed package takes, its compiled files included; None where it is not there."""
    try:
        files = distribution(name).files or []
    except PackageNotFoundError:
        return None
    paths = [Path(str(file.locate())) for file in files]
    return sum(path.stat().st_size for path in paths if path.is_file())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=15)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        print(f"{given.events:,} events written in {fill(home, given.events):.1f} s")
        codes = contestants(home)
        times: dict[str, list[float]] = {name: [] for name in codes}
        for round_ in range(given.rounds + WARM_UP):
            for name, code in codes.items():
                took = start(code)
                if round_ >= WARM_UP:
                    times[name].append(took)
    bare = median(times["bare interpreter"])
    print(f"\n{'start':<28}{'median':>9}{'best':>9}{'beyond bare':>13}")
    for name, all_ in times.items():
        print(f"{name:<28}{median(all_) * 1e3:>6.0f} ms{min(all_) * 1e3:>6.0f} ms{(median(all_) - bare) * 1e3:>10.0f} ms")
    sizes = {name: size(name) for name in BASE}
    print(f"\n{'installed':<28}{'MB':>9}")
    for name, found in sizes.items():
        print(f"{name:<28}{'not there' if found is None else f'{found / 1e6:.2f}':>9}")
    ours = sum(path.stat().st_size for path in (SRC / "trueup").rglob("*") if path.suffix in (".py", ".sql", ".txt"))
    print(f"{'trueup itself, sources':<28}{ours / 1e6:>9.2f}")
    print(f"{'base package in all':<28}{(ours + sum(found or 0 for found in sizes.values())) / 1e6:>9.2f}")


if __name__ == "__main__":
    main()
