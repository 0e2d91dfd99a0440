# SPDX-License-Identifier: Apache-2.0
"""A soak: years of nightly looks on a simulated clock, and what they cost in time, memory and disk."""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from trueup.core.decisions import Decision
from trueup.core.json import dumps
from trueup.core.task import Outcome, Task
from trueup.testing import ManualClock, simulate, toy_rows
from trueup.testing.toys import KINDS, sentence

if TYPE_CHECKING:
    from trueup.client import Client
    from trueup.loop import Loop
    from trueup.loop.context import Progress
    from trueup.store import Ledger

DAY = timedelta(days=1)
START = datetime(2024, 1, 1, tzinfo=UTC)
SEASON = 90                 # days after which the words change, back and forth
NAME = "soak"
GROWN = 100_000_000
"""Bytes by which memory may grow from the first quarter of a soak to its end: the journal's tail, up
to 250,000 rows of it, is held in memory between two sealings, and may stand higher at the end."""
LOOK_BYTES = 8_000
"""What the Decision of a look may weigh, however long the loop has lived."""
STATUS = 0.5
"""Seconds that `trueup status` may take."""


@dataclass(frozen=True, slots=True)
class Night:
    """One night: CPU seconds of its run in this process (a training is another one), resident memory and
    the journal's bytes afterwards, and whether nothing but resting was decided."""

    seconds: float
    resident: int
    journal: int
    rested: bool


@dataclass
class Soak:
    """What years of nightly looks took."""

    home: Path
    nights: list[Night] = field(default_factory=list)
    events: int = 0
    decisions: int = 0
    promotions: int = 0
    trainings: int = 0
    look_bytes: int = 0
    last_look_bytes: int = 0
    status_seconds: float = 0.0
    seconds: float = 0.0

    def looks(self, part: slice) -> float:
        """The median CPU seconds of a night that rests, in a part of the time."""
        rested = [night.seconds for night in self.nights[part] if night.rested]
        return median(rested) if rested else 0.0

    @property
    def slower(self) -> float:
        """How much longer a night takes in the last quarter than in the second (1: as long)."""
        n = len(self.nights) // 4
        return self.looks(slice(-n, None)) / max(self.looks(slice(n, 2 * n)), 1e-9)

    @property
    def grown(self) -> int:
        """Bytes by which resident memory grew from the end of the first quarter to the end."""
        n = len(self.nights) // 4
        high = max(night.resident for night in self.nights[: n + 1])
        return max(night.resident for night in self.nights[-n:]) - high

    def to_json(self) -> dict[str, Any]:
        n = len(self.nights) // 4
        return {
            "nights": len(self.nights), "events": self.events, "decisions": self.decisions,
            "trainings": self.trainings, "promotions": self.promotions, "seconds": self.seconds,
            "look_ms": [1e3 * self.looks(slice(at * n, (at + 1) * n)) for at in range(4)],
            "slower": self.slower, "resident_mb": self.nights[-1].resident / 1e6, "grown_mb": self.grown / 1e6,
            "bytes_a_look": self.look_bytes, "bytes_of_the_last": self.last_look_bytes, "home_mb": size(self.home) / 1e6,
            "status_seconds": self.status_seconds,
        }


class Visitors:
    """Some hundred units a day who ask once; half of them are labelled the day after.

    Models are asked once a day for all; `choose`, `log` and `feedback` are called for each.
    """

    def __init__(self, seed: int, units: int, season: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.units, self.season = units, season
        self.asked, self.played = 0, 0.0
        self._due: list[tuple[str, str]] = []

    def play(self, client: Client, clock: ManualClock, until: datetime) -> None:
        moved = bool((clock.now() - START).days // self.season % 2)
        clock.move_to(clock.now() + (until - clock.now()) / 2)
        for ident, kind in self._due:
            client.feedback(ident, "kind", kind)
        kinds = self.rng.integers(0, len(KINDS), self.units).tolist()
        texts = [sentence(self.rng, kind, moved=moved) for kind in kinds]
        choices = [client.choose(f"u{self.asked + at}") for at in range(self.units)]
        self.asked += self.units
        places: dict[str | None, list[int]] = {}
        for at, choice in enumerate(choices):
            places.setdefault(choice.candidate, []).append(at)
        for those in places.values():
            answers = client.load(choices[those[0]]).predict([texts[at] for at in those])
            for at, answer in zip(those, answers, strict=True):
                client.log(choices[at], texts[at], answer.value, seconds=0.01)
        self._due = [(choice.id, KINDS[kind]) for choice, kind in zip(choices[::2], kinds[::2], strict=True)]
        client.flush()
        self.played = time.process_time()


def soak(
    home: Path, *, nights: int = 730, units: int = 900, seed: int = 0, progress: Progress | None = None
) -> Soak:
    """Play so many nights of a toy loop in `home`, an empty folder, and measure each.

    The words of the world change every 90 days, so that the loop trains, proves and promotes all
    the time; 730 nights of 900 units are two years and a million events.
    """
    made = Soak(home)
    visitors = Visitors(seed, units, SEASON)
    golden = _golden(home)
    began = time.perf_counter()
    sizes: list[int] = []

    def after(ledger: Ledger, decisions: list[Decision]) -> None:
        took = time.process_time() - visitors.played
        rested = all((one.kind, one.verdict) == ("look", "REST") for one in decisions)
        looks = [one for one in decisions if one.kind == "look"]
        made.decisions += len(decisions)
        made.trainings += sum(one.verdict == "TRAIN" for one in looks)
        made.promotions += sum(one.verdict == "PROMOTE" for one in decisions)
        sizes.extend(len(dumps(asdict(one))) for one in looks)
        _approve(ledger)
        journal = sum(file.stat().st_size for file in ledger.home.glob("journal.sqlite*"))
        made.nights.append(Night(took, resident(), journal, rested))
        if progress is not None:
            progress("nights", len(made.nights), nights)

    with simulate(
        _loop(golden), visitors, seed, start=START, until=START + nights * DAY, home=home / "home", after=after,
        remember=False,
    ) as simulation:
        made.seconds = time.perf_counter() - began
        made.look_bytes, made.last_look_bytes = round(sum(sizes) / max(1, len(sizes))), max(sizes[-7:], default=0)
        made.events = sum(simulation.ledger.count(NAME, kind) for kind in ("interaction", "outcome", "assignment"))
    made.status_seconds = _status(home / "home")
    return made


def _loop(golden: Path) -> Loop:
    from trueup.curate import CapPerUnit, Deduplicate
    from trueup.data import GoldenSet, Recipe
    from trueup.evaluate import Accuracy, AtLeast
    from trueup.loop import Loop
    from trueup.models import ConstantModel
    from trueup.release import Approval, Canary, Full, Shadow
    from trueup.train import Sklearn
    from trueup.triggers import Cron, Falls, NothingNew

    return Loop(
        NAME, task=Task("sentence", "kind", "user"), outcomes=[Outcome.of_input("kind", within=2 * DAY)],
        champion=ConstantModel("animal"), look=Cron("daily"), when=[Falls(Accuracy(), below=0.75), Cron("monthly")], unless=[NothingNew()],
        recipe=Recipe(window=14 * DAY, min_rows=100, curate=[CapPerUnit(0.05), Deduplicate()]),
        trainer=Sklearn("logistic"), gates=[AtLeast(Accuracy(), 0.4, on=GoldenSet("core", golden))],
        release=[
            Shadow(Accuracy(), no_worse_by=0.10, max_time=20 * DAY),
            Canary(0.25, 0.5, step=2 * DAY, lag=timedelta(minutes=5), window=timedelta(hours=1)),
            Approval(by="owners"), Full(),
        ],
        when_busy="wait",
    )


def _golden(home: Path) -> Path:
    home.mkdir(parents=True, exist_ok=True)
    path = home / "golden.jsonl"
    rows = {given: kind for moved in (False, True) for given, kind in toy_rows(150, 100 + moved, moved=moved)}
    path.write_text("".join(json.dumps({"input": given, "target": kind}) + "\n" for given, kind in rows.items()))
    return path


def _approve(ledger: Ledger) -> None:
    from trueup.release import approve
    from trueup.state import read

    release = read(ledger, NAME)[1].release
    if release is not None and "by" in release.parameters and release.approval is None:
        approve(ledger, NAME, release.candidate, who="soak", reason="no worse in shadow and canary")


def _status(home: Path) -> float:
    """Seconds of `trueup status` in a fresh interpreter: the best of five."""
    import subprocess

    code = f"from trueup.cli import main; main(['--home', {str(home)!r}, 'status'])"
    took = []
    for _ in range(5):
        began = time.perf_counter()
        subprocess.run(
            [sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        took.append(time.perf_counter() - began)
    return min(took)


def resident() -> int:
    """Bytes of this process in memory; its peak where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    except OSError:  # pragma: no cover
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return pages * os.sysconf("SC_PAGE_SIZE")


def size(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
