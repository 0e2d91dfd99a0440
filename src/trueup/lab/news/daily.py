# SPDX-License-Identifier: Apache-2.0
"""`trueup demo news --daily`: nights in which a summarizer learns the day's names (SCN-1)."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trueup.core.clock import from_us, to_us
from trueup.core.decisions import Decision
from trueup.core.events import Event, outcome
from trueup.core.json import dumps, loads
from trueup.core.protocols import Prediction
from trueup.data import Funnel
from trueup.lab.course import further, passed, pick, proven, released, trained
from trueup.lab.news import articles
from trueup.lab.news.base import make_base
from trueup.lab.news.world import DAY, START
from trueup.lab.played import Played, fresh
from trueup.lab.tell import Account, Teller
from trueup.loop import Loop, load_loop

if TYPE_CHECKING:
    from rich.console import Console

    from trueup.loop.context import Progress

HALF_HOUR, HOUR = timedelta(minutes=30), timedelta(hours=1)
OPENS = START + 3 * HOUR   # when a day's paper comes out: the loop looks at two at night
READERS = 150            # requests an hour
EDITED = 0.6             # of the requests, those whose article an editor has summarised some minutes later
STEPS = 260              # of the base model's training
NAMED = 0.90             # ROUGE-L from which a summary counts as right


class Nights(Played):
    """The home of the demo: its loop file, base model, archive and ledger, a clock, the newspaper."""

    def __init__(
        self, home: Path, *, progress: Progress | None = None, steps: int = STEPS, seed: int = 0,
        configure: Callable[[Loop], Loop] | None = None,
    ) -> None:
        self.home, self.progress, self.seed = home, progress, seed
        (home / "golden").mkdir(parents=True)
        make_base(home / "models" / "base", [one[::2] for one in articles.taught()], steps=steps, seed=seed, say=lambda at, of: self._say(
            f"base model, step {at} of {of}", 0
        ))
        items = [{"id": f"archive-{at}", "input": one.text, "target": one.summary} for at, one in enumerate(articles.archive())]
        (home / "golden" / "archive.jsonl").write_text("".join(dumps(item) + "\n" for item in items), encoding="utf-8")
        shutil.copyfile(Path(__file__).with_name("daily_loop.py"), home / "loop.py")
        loop = load_loop(home / "loop.py")
        super().__init__(
            home, loop if configure is None else configure(loop), OPENS, _history(loop.name), seed=seed, progress=progress
        )
        self._answers: dict[tuple[str, str], Any] = {}

    def _say(self, what: str, done: int) -> None:
        if self.progress is not None:
            self.progress(what, done, 3)

    def until(self, moment: datetime) -> list[Decision]:
        """Let the time pass in half hours up to `moment`; what was decided meanwhile."""
        first = len(self.decisions)
        while self.clock.now() < moment:
            start = self.clock.now()
            self._serve(start)
            self.clock.move_to(start + HALF_HOUR)
            self.client.flush()
            if self.due:
                self.look()
            self._say(f"day {(start - OPENS) // DAY + 1}", (start - OPENS) // DAY)
        return self.decisions[first:]

    def _serve(self, start: datetime) -> None:
        """Half an hour of readers, each with an article of the day's paper."""
        paper = articles.published((start - OPENS) // DAY + 1)
        rng = articles.WORLD.rng(f"readers/{self.seed}/{start.isoformat()}")
        self.clock.move_to(start + HALF_HOUR / 3)
        read_ = [paper[at] for at in rng.integers(len(paper), size=READERS // 2).tolist()]
        choices = [self.client.choose(f"reader-{number}") for number in rng.integers(50_000, size=len(read_)).tolist()]
        for choice in {choice.candidate: choice for choice in choices}.values():
            ask = [one.text for one in dict.fromkeys(paper) if (str(choice.candidate), one.text) not in self._answers]
            for text, given in zip(ask, self.client.load(choice).predict(ask) if ask else [], strict=True):
                self._answers[str(choice.candidate), text] = given.value
        for choice, one in zip(choices, read_, strict=True):
            self.client.log(choice, one.text, self._answers[str(choice.candidate), one.text], seconds=0.1)
        edited = rng.random(len(read_)) < EDITED
        self.clock.move_to(start + HALF_HOUR / 3 + timedelta(minutes=8))
        for choice, one, known in zip(choices, read_, edited.tolist(), strict=True):
            if known:
                self.client.feedback(choice.id, "summary", one.summary)

    def served(self, since: datetime, names: Sequence[str]) -> tuple[float, int]:
        """ROUGE-L of what readers were given since a moment on some companies, and on how many requests."""
        rows = self.ledger.interactions(self.loop.name, outcomes=[], since_us=to_us(since))
        pairs = [(loads(given), loads(said)) for given, said in zip(rows["input"].to_pylist(), rows["output"].to_pylist(), strict=True) if said]
        right = {one.text: one.summary for name in names for one in articles.articles(name)}
        return rouge([(said, right[given]) for given, said in pairs if given in right])


def _history(loop: str) -> list[Event]:
    events = []
    for at, one in enumerate(articles.taught()):
        ts = to_us(START - 3 * DAY) + at * 1_000_000
        ident = f"before-{at:05}"
        events.append(Event(
            ident, loop, "interaction", ts, received=ts, unit=f"reader-{at % 997}", choice=ident,
            input=dumps(one.text),
        ))
        events.append(outcome(loop, ident, "summary", one.summary, ts=ts, received=ts))
    return events


def rouge(pairs: Sequence[tuple[Any, str]]) -> tuple[float, int]:
    """The mean ROUGE-L of (answer, reference) pairs, and how many they are."""
    from trueup.evaluate import RougeL

    scores = RougeL().score([""] * len(pairs), [Prediction(said) for said, _ in pairs], [right for _, right in pairs])
    known = [score for score in scores if isinstance(score, float)]
    return (sum(known) / len(known) if known else 0.0), len(known)


def daily(
    home: Path | None = None, *, quiet: bool = False, console: Console | None = None, days: int = 2, steps: int = STEPS,
    seed: int | None = None, configure: Callable[[Loop], Loop] | None = None,
) -> Account:
    """Play `days` days and the nights after them, and tell them; as `demo` of this room does.

    `seed` is of the base model's weights and of the readers; the paper is the same.

    Raises Refused where `home` is not empty, MissingDependency without `trueup[lora]` and `trueup[text]`.
    """
    home = fresh(home, "daily")
    teller = Teller(home, quiet=quiet, console=console, days=days + 1)
    with teller.telling(), closing(Nights(home, progress=teller.progress, steps=steps, seed=seed or 0, configure=configure)) as nights:
        with teller.scene("0  The paper and its base model"):
            _the_paper(teller, nights)
        for day in range(1, days + 1):
            with teller.scene(f"{day}  Day {day}: {articles.NEW} new names, and the night after it"):
                _day(teller, nights, day)
        further(teller, nights, nights.decisions[-1])
    return teller.account


def _the_paper(teller: Teller, nights: Nights) -> None:
    teller.say(
        "Articles come all day long, and call people by their office: 'A plant was opened by the head of Bavelo.' Their "
        "summaries name them: 'Anna Berg opens a plant.' So each new company is a name to learn. Editors summarise a part "
        "of the articles; the rest a larger model does (here a script), at night, through Distill."
    )
    problems = [str(problem) for problem in nights.loop.check() if problem.severe]
    teller.expect(not problems, "; ".join(problems) or "trueup check finds nothing that cannot work", "no severe problem")


def _day(teller: Teller, nights: Nights, day: int) -> None:
    names = articles.companies(day)
    made = nights.until(OPENS + day * DAY - 2 * HOUR)
    before, asked = nights.served(OPENS + (day - 1) * DAY, names)
    teller.say(f"The new names of the day are {', '.join(names)}. {asked:,} readers got a summary: ROUGE-L {before:.3f}.")
    made = [*made, *nights.until(OPENS + day * DAY + 9 * HOUR)]
    candidate = trained(teller, made)
    end = released(teller, made)
    _taught(teller, candidate)
    passed(teller, candidate, "its candidate passed on yesterday's news, and is no worse on the archive")
    _swapped(teller, made, end)
    tomorrow = OPENS + day * DAY + 3 * HOUR
    after, asked = nights.served(tomorrow, names)
    teller.expect(
        asked > 0 and after >= NAMED > before,
        f"the next morning {asked:,} readers got articles on these names that nobody had seen: ROUGE-L {after:.3f}, "
        f"against {before:.3f} the day before",
        f"new names at {NAMED:g} the day after they appear",
    )
    shown = proven(made)
    old, new = _archive(candidate)
    teller.expect(
        old - new <= 0.10, f"ROUGE-L on the archive {new:.3f}, the champion {old:.3f}: no loss beyond the margin of 0.1",
        "no loss on the old set beyond the margin",
    )
    teller.account.scenes[-1].facts.update(
        before=before, after=after, archive={"champion": old, "challenger": new},
        shadow={name: shown.get(name) for name in ("n", "new", "old")},
    )


def _taught(teller: Teller, candidate: Decision | None) -> None:
    """What the teacher wrote, out of the funnel."""
    steps = Funnel.from_json(candidate.evidence["funnel"]).steps if candidate and "funnel" in candidate.evidence else ()
    found = next((step for step in steps if step.name == "distill" and step.part == "new"), None)
    teller.expect(
        found is not None and int(found.facts["written"]) > 0,
        f"the teacher wrote {found.facts['written']} of {found.rows_in} targets ({found.facts['digest']})" if found else "",
        "targets written by the teacher",
    )


def _swapped(teller: Teller, made: Sequence[Decision], end: Decision | None) -> None:
    start = next(iter(pick(made, "start")), None)
    waited = from_us(end.at) - from_us(start.at) if end and start else timedelta(0)
    held = end is not None and end.kind == "promote" and waited >= HOUR
    teller.expect(
        held, f"an hour and more in shadow ({waited}), then swapped in" if held else (f"{end.kind}: {end.reason}" if end else ""),
        "a promotion after an hour in shadow",
    )


def _archive(candidate: Decision | None) -> tuple[float, float]:
    """ROUGE-L of champion and challenger on the archive, out of the gate's evidence."""
    for gate in candidate.evidence.get("gates", ()) if candidate is not None else ():
        if gate["evidence"]["gate"] == "gate.no_worse" and gate["evidence"].get("parts"):
            part = gate["evidence"]["parts"][0]
            return part["champion"], part["challenger"]
    return 1.0, 0.0
