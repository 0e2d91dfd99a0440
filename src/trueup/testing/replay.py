# SPDX-License-Identifier: Apache-2.0
"""Replay: logged history is served again as if it were live, each answer given before its label."""

from __future__ import annotations

import heapq
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trueup.client import Client, connect
from trueup.core.clock import ManualClock, from_us, to_us, utc
from trueup.core.decisions import Decision
from trueup.core.errors import DataError, Refused
from trueup.core.events import Event, outcome
from trueup.core.ids import Ids
from trueup.core.json import Json, dumps
from trueup.core.protocols import Prediction, Predictor
from trueup.loop import Loop, run
from trueup.store import Ledger
from trueup.study import Logged, history
from trueup.testing.simulate import Simulation

if TYPE_CHECKING:
    from trueup.loop.context import Progress

__all__ = ["Logged", "Served", "history", "replay"]

MARK = "replay.json"
BATCH = 5_000


class Served:
    """Traffic for `trueup.testing.simulate`: logged inputs are asked again, in the order of `ts`.

    For each input the clock is moved to its moment, the client chooses for its unit, the chosen
    candidate's model answers, and the answer is logged; a label is given at the moment at which it
    became known. What lies at or after `until` is left for the next call, so that a look at that
    moment knows nothing of it. A candidate answers all inputs up to the next look at once. An
    input that a model cannot answer is logged with its error.
    """

    def __init__(self, rows: Sequence[Logged]) -> None:
        self.rows = sorted(rows, key=lambda row: row.ts)
        self.done = 0
        self._late: list[tuple[int, int, Event]] = []
        self._order = count()
        self._ledger: Ledger | None = None
        self._models: dict[str, Predictor] = {}

    def play(self, client: Client, clock: ManualClock, until: datetime) -> None:
        """Serve everything before `until`."""
        ledger = self._open(client, clock)
        end = to_us(until)
        batch: list[Event] = []
        for event in self._events(client, clock, self._due(end), end):
            batch.append(event)
            if len(batch) >= BATCH:
                ledger.append(batch)
                batch = []
        if batch:
            ledger.append(batch)
        if clock.now() < until:
            clock.move_to(until)

    def close(self) -> None:
        """Close the ledger that answers are logged to."""
        if self._ledger is not None:
            self._ledger.close()
            self._ledger = None

    def _due(self, end: int) -> list[Logged]:
        start = self.done
        while self.done < len(self.rows) and self.rows[self.done].ts < end:
            self.done += 1
        return self.rows[start : self.done]

    def _events(
        self, client: Client, clock: ManualClock, rows: list[Logged], end: int
    ) -> Iterator[Event]:
        """Interactions and labels in the order of their time, with the clock moved along."""
        answers = _Answers(rows, lambda ident: self._model(client, ident))
        for place, row in enumerate(rows):
            yield from self._labels(row.ts)
            clock.move_to(max(clock.now(), from_us(row.ts)))
            choice = client.choose(row.unit)
            given, error = answers.of(choice.candidate, place)
            yield Event(
                id=choice.id, loop=client.loop, kind="interaction", ts=row.ts, received=max(row.ts, 1),
                unit=row.unit, choice=choice.id, arm=choice.arm, candidate=choice.candidate,
                propensity=choice.propensity, generation=choice.generation, release=choice.release,
                input=dumps(row.input), output=None if given is None else dumps(given.value), error=error,
                keep=row.keep,
            )
            for name, label, known in row.labels:
                at = max(known, row.ts, 1)
                said = outcome(client.loop, choice.id, name, label, ts=at, received=at, unit=row.unit)
                heapq.heappush(self._late, (at, next(self._order), said))
        yield from self._labels(end - 1)

    def _labels(self, upto: int) -> Iterator[Event]:
        while self._late and self._late[0][0] <= upto:
            yield heapq.heappop(self._late)[2]

    def _model(self, client: Client, ident: str) -> Predictor:
        """The model of a candidate; the loop's own code is trusted, as its file is."""
        from trueup.models import load, with_parameters
        from trueup.state import candidate

        if ident not in self._models:
            assert self._ledger is not None
            found = candidate(self._ledger, client.loop, ident)
            model = load(self._ledger.artifacts.path(found.model), trust_code=True)
            self._models[ident] = with_parameters(model, found.parameters)
        return self._models[ident]

    def _open(self, client: Client, clock: ManualClock) -> Ledger:
        if self._ledger is None:
            self._ledger = Ledger.open(client.home, clock=clock, create=False)
        return self._ledger


class _Answers:
    """What candidates answer to some inputs: all of them at the first question for one."""

    def __init__(self, rows: list[Logged], model: Callable[[str], Predictor]) -> None:
        self._inputs, self._model = [row.input for row in rows], model
        self._given: dict[str, list[tuple[Prediction | None, str | None]]] = {}

    def of(self, candidate: str | None, place: int) -> tuple[Prediction | None, str | None]:
        if candidate is None:
            return None, None
        if candidate not in self._given:
            self._given[candidate] = self._ask(self._model(candidate))
        return self._given[candidate][place]

    def _ask(self, model: Predictor) -> list[tuple[Prediction | None, str | None]]:
        try:
            return [(given, None) for given in model.predict(self._inputs)]
        except Exception:  # whatever a model raises on one input must not take the others with it
            return [self._one(model, given) for given in self._inputs]

    @staticmethod
    def _one(model: Predictor, given: Json) -> tuple[Prediction | None, str | None]:
        try:
            return model.predict([given])[0], None
        except Exception as error:
            return None, f"{type(error).__name__}: {error}"[:200]


def replay(
    loop: Loop, ledger: Ledger, home: Path, *, since: datetime | None = None,
    until: datetime | None = None, every: timedelta | None = None, base: Path | None = None,
    approve: bool = True, after: Callable[[Ledger, list[Decision]], Any] | None = None,
    progress: Progress | None = None, seed: int = 0,
) -> Simulation:
    """Run a loop over its logged past, in a home of its own, as if it had been live since `since`.

    `ledger` holds the past (see `trueup import`). What lies before `since` (None: nothing does) is
    there from the beginning, as imported rows are; the rest, before `until`, is served again. The
    loop is run at each moment of its schedule, or once `every`, and a last time when the last
    label is in: nothing is decided on silence after that. The replay acts, whatever the loop's mode, and where
    a release waits for an approval, whoever's, it is given by "replay", unless `approve` is False. `progress(what, done, total)` counts inputs. The result's ledger is open: close it.

    `home` is made anew: a replay that lies there is thrown away; anything else is Refused. Raises
    DataError where there is nothing to replay.
    """
    rows = history(loop, ledger, until=until)
    loop = _by_itself(loop)
    start = utc(since) if since is not None else from_us(rows[0].ts if rows else 0)
    past = [row for row in rows if row.ts < to_us(start)]
    rows = rows[len(past) :]
    if not rows:
        raise DataError(
            f"expected logged inputs of {loop.name} to replay, got none{f' since {start:%Y-%m-%d}' if past else ''}",
            cure="trueup import FILE brings the past in; --since and --until choose a part of it",
        )
    _clear(home)
    clock = ManualClock(start)
    made = Simulation(Ledger.open(home, clock=clock), home)
    (home / MARK).write_text(dumps({"loop": loop.name, "since": start.isoformat()}) + "\n")
    made.ledger.append(list(_as_imported(loop.name, past)))
    traffic = Served(rows)
    last = max([rows[-1].ts, *(known for row in rows for _, _, known in row.labels)])
    end = loop.look.next(from_us(last))
    client: Client | None = None
    try:
        while True:
            _look(loop, made, base, approve, after)
            if progress is not None:
                progress(f"{loop.name} {clock.now():%Y-%m-%d}", traffic.done, len(rows))
            if clock.now() >= end:
                return made
            client = client or connect(
                loop.name, home, clock=clock, ids=Ids(clock, seed), acknowledge="enqueue"
            )
            due = loop.look.next(clock.now()) if every is None else clock.now() + every
            traffic.play(client, clock, min(due, end))
            client.flush()
    except BaseException:
        made.ledger.close()
        raise
    finally:
        if client is not None:
            client.close()
        traffic.close()


def _by_itself(loop: Loop) -> Loop:
    """The loop as a replay can run it: nobody's signature is to be had for the past."""
    from trueup.release import Approval

    stages = [replace(one, by="replay", needs=1) if isinstance(one, Approval) and one.approvers else one for one in loop.release]
    return loop if loop.mode == "act" and stages == list(loop.release) else replace(loop, mode="act", release=stages)


def _look(
    loop: Loop, made: Simulation, base: Path | None, approve: bool,
    after: Callable[[Ledger, list[Decision]], Any] | None,
) -> None:
    """One run, and another after an approval, as a person would have it."""
    found = run(loop, made.ledger, base=base)
    if approve and (given := _approved(loop, made.ledger)) is not None:
        found += [given, *run(loop, made.ledger, base=base)]
    made.decisions.extend(found)
    if after is not None:
        after(made.ledger, found)


def _approved(loop: Loop, ledger: Ledger) -> Decision | None:
    from trueup.release import approve
    from trueup.state import read

    _, state = read(ledger, loop.name)
    release = state.release
    if release is None or state.paused or "by" not in release.parameters or release.approval:
        return None
    return approve(
        ledger, loop.name, release.candidate, who="replay", reason="a replay approves what reaches a person"
    )


def _as_imported(loop: str, past: list[Logged]) -> Iterator[Event]:
    """Facts without a candidate: nobody was served by this loop yet."""
    for place, row in enumerate(past):
        ident = f"past-{place:08d}"
        yield Event(
            id=ident, loop=loop, kind="interaction", ts=row.ts, received=max(row.ts, 1), unit=row.unit,
            choice=ident, input=dumps(row.input), keep=row.keep,
        )
        for name, label, known in row.labels:
            yield outcome(loop, ident, name, label, ts=known, received=max(known, 1), unit=row.unit)


def _clear(home: Path) -> None:
    if (home / MARK).is_file():
        shutil.rmtree(home)
    elif home.exists() and any(home.iterdir()):
        raise Refused(
            f"expected an empty folder for the replay, got files of something else in {home}",
            cure="name another folder, or move these files away",
        )
