# SPDX-License-Identifier: Apache-2.0
"""The real command line, in a process of its own; and a CSV of one's own."""

from __future__ import annotations

import csv
import os
import random
import subprocess
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

MAIN = "from trueup.cli import main; main()"
WORDS = {
    "billing": ["invoice", "charge", "refund", "card", "payment", "money", "bank", "receipt"],
    "delivery": ["parcel", "late", "courier", "package", "address", "tracking", "lost", "box"],
    "account": ["password", "login", "email", "locked", "profile", "reset", "username", "settings"],
}
COMMON = ["the", "my", "please", "i", "need", "help", "with", "a", "problem", "about", "this", "not", "working", "today", "again"]

Cli = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def cli() -> Cli:
    """`cli("import", file, cwd=folder)`: a run of the command, its exit code checked (`code`)."""

    def run(*args: object, cwd: Path, code: int | None = 0) -> subprocess.CompletedProcess[str]:
        env = {name: text for name, text in os.environ.items() if name != "TRUEUP_HOME"}
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", MAIN, *map(str, args)], cwd=cwd, text=True, capture_output=True,
            stdin=subprocess.DEVNULL, timeout=110, check=False,
            env={**env, "OMP_NUM_THREADS": "1", "NO_COLOR": "1"},
        )
        assert code is None or done.returncode == code, f"{done.returncode}: {done.stdout}\n{done.stderr}"
        return done

    return run


def tickets(path: Path, n: int, *, seed: int = 0, broken: Sequence[str] = ()) -> Path:
    """Support tickets of the last 28 days, with a label, and some broken lines."""
    rng = random.Random(seed)
    start = datetime.now(UTC) - timedelta(days=28)
    with path.open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file)
        out.writerow(["ticket_id", "created_at", "user_id", "subject", "channel", "urgency", "label"])
        for at in range(n):
            kind = rng.choices(list(WORDS), [5, 3, 2])[0]
            words = [rng.choice(WORDS[kind]) if rng.random() < 0.35 else rng.choice(COMMON) for _ in range(12)]
            moment = start + timedelta(days=27 * at / n)
            out.writerow([
                f"t{at}", moment.isoformat(timespec="seconds"), f"u{rng.randrange(n)}", " ".join(words),
                rng.choice(["mail", "web", "phone"]), round(rng.random(), 3), kind,
            ])
        file.writelines(f"{line}\r\n" for line in broken)
    return path


@pytest.fixture
def csv_file(tmp_path: Path) -> Path:
    return tickets(tmp_path / "tickets.csv", 1_200, broken=["only,two"])
