# SPDX-License-Identifier: Apache-2.0
"""The client of one loop: choose, log, feedback."""

from __future__ import annotations

import os
import weakref
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

from trueup.client._checks import error_of, extra_of, held, moment_of, name_of, seconds_of, text_of
from trueup.client._faults import Faults, Notice
from trueup.client._home import find_home
from trueup.client._models import Models
from trueup.client._source import Source
from trueup.client._view import View
from trueup.client._writer import QueueWriter, SyncWriter, Writer
from trueup.client.choice import Choice, Mixed
from trueup.core.clock import Clock, SystemClock, to_us
from trueup.core.errors import ArgumentError, DataError, Refused
from trueup.core.events import Event
from trueup.core.events import outcome as outcome_event
from trueup.core.ids import Ids
from trueup.route import Assigned, assign, position

if TYPE_CHECKING:
    from trueup.core.protocols import Predictor

Acknowledge = Literal["sync", "enqueue"]
PATIENCE = 10.0
"""Seconds that a closing client gives the ledger to take what is queued."""


def connect(
    loop: str, home: Path | str | None = None, *, clock: Clock | None = None, ids: Ids | None = None,
    acknowledge: Acknowledge = "sync", url: str | None = None,
) -> Client:
    """The client of a loop, in process, over the ledger in `home` (see `find_home`).

    With acknowledge="sync" a call returns when its event is durable; with "enqueue" it returns at
    once, and a thread writes (`flush` waits for it). A ledger that cannot be opened now is tried
    again later: the champion serves until then. Raises ArgumentError or Refused for a mistake in
    the arguments only.

    >>> client = connect("news")                                    # doctest: +SKIP
    >>> choice = client.choose("user-1")                            # doctest: +SKIP
    >>> client.log(choice, "a long article", "a summary")           # doctest: +SKIP
    >>> client.feedback(choice.id, "thumbs_up", True)               # doctest: +SKIP
    """
    if url is not None:
        raise Refused(
            f"expected a ledger on this machine, got url={url!r:.80}: Trueup does not speak HTTP yet",
            cure="leave url out, and give home or set TRUEUP_HOME",
        )
    if acknowledge not in ("sync", "enqueue"):
        raise ArgumentError(f"expected acknowledge 'sync' or 'enqueue', got {acknowledge!r:.80}")
    if home is not None and not isinstance(home, str | os.PathLike):
        raise ArgumentError(f"expected home as a folder, got {home!r:.80}")
    place = find_home() if home is None else Path(home).expanduser().absolute()
    return Client(loop, place, clock=clock, ids=ids, acknowledge=acknowledge)


class Client:
    """Chooses an arm for a unit, and writes down what happened. Safe to share between threads.

    `choose` never raises: on any fault the champion serves, the fact is logged once a minute under
    "trueup.client", and told to the ledger as a signal when it can be written again. The other
    methods raise UserError for a mistake of the caller; a failing store raises StoreError with
    acknowledge="sync", and is retried and counted with "enqueue".
    """

    def __init__(
        self, loop: str, home: Path, *, clock: Clock | None = None, ids: Ids | None = None,
        acknowledge: Acknowledge = "sync", queue: int = 10_000, patience: float = 1.0,
    ) -> None:
        self.loop = name_of("the loop's name", loop)
        self.home = home
        self._clock = clock or SystemClock()
        self._given_ids = ids
        self._acknowledge = acknowledge
        self._queue, self._patience = queue, patience
        self._start()
        self.refresh()
        _CLIENTS.add(self)

    # -- the three calls --------------------------------------------------------------------------

    def choose(self, unit: str, context: Mapping[str, Any] | None = None) -> Choice:
        """Who answers a request of this unit. Never raises.

        A unit of a running experiment gets the arm that its hash says, once its assignment is
        recorded (queued, with acknowledge="enqueue"); where it cannot be, the champion serves, and
        nobody is enrolled until a write succeeds. `context` is JSON, kept with the assignment: the
        features of a contextual bandit, and the segments that an experiment reports. A unit whose
        arm is set by hand (an override) gets it, flagged, and is counted nowhere.
        """
        try:
            return self._choose(unit, context)
        except Exception as error:
            self._faults.report("choose", error)
            routing = self._view.routing
            return Choice(
                Ids().new(), "champion", routing.champion, routing.parameters["champion"], None,
                routing.generation, routing.release, unit if isinstance(unit, str) else None,
            )

    def log(
        self, choice: Choice, input: Any, output: Any = None, *, error: str | None = None,  # noqa: A002
        seconds: float | None = None, keep: bool = True, ts: datetime | int | None = None,
        propensity: float | None = None,
    ) -> None:
        """Write down a request and its answer, or its error.

        `input` and `output` are JSON values; `seconds` is what the answer took; `keep=False` means:
        never train on this. `propensity` is the probability, above 0 and at most 1, with which this
        answer was shown to this request, where the application explores (`explore` gives it); rows
        can be weighted by it (`ImportanceWeights`). A choice is one interaction: logging it twice
        changes nothing. An input or output that JSON cannot hold (NaN, bytes, a number of 5,000 digits) raises
        nothing: the request is counted without it, and the reason is told (`trueup quarantine`).
        """
        if not isinstance(keep, bool):
            raise ArgumentError(f"expected keep as True or False, got {keep!r:.80}")
        _checked(choice)
        unfit: dict[str, str] = {}
        given, answer = held("input", input, unfit), None if output is None else held("output", output, unfit)
        for reason in unfit.values():
            self._faults.report("log", reason)
        self._write(Event(
            id=choice.id, loop=self.loop, kind="interaction", ts=self._moment(ts), received=self._now(), unit=choice.unit,
            choice=choice.id, arm=choice.arm, candidate=choice.candidate,
            propensity=choice.propensity, generation=choice.generation, release=choice.release,
            input=given, output=answer, error=error_of(error), seconds=seconds_of(seconds), keep=keep,
            extra=extra_of(propensity, unfit),
        ))

    def feedback(
        self, choice_id: str, outcome: str, value: Any, key: str | None = None,
        ts: datetime | int | None = None,
    ) -> None:
        """Write down how it went: before or after the log, late, twice, or as a correction.

        The same (choice, outcome, key) is one fact; without a key the value is the key, so that
        saying the same twice is saying it once, and saying something else is a correction. A value that
        JSON cannot hold is left out, and told as a fault.
        """
        name_of("the choice's id", choice_id)
        name_of("the outcome's name", outcome)
        try:
            event = outcome_event(
                self.loop, choice_id, outcome, value, ts=self._moment(ts), received=self._now(),
                key=None if key is None else name_of("the key", key),
            )
        except (DataError, OverflowError, RecursionError, UnicodeEncodeError) as error:
            unfit: dict[str, str] = {}
            held(f"the outcome {outcome}", value, unfit)
            self._faults.report("feedback", next(iter(unfit.values()), f"expected a number that a float can hold: {error}"))
            return
        self._write(event)

    # -- the others -------------------------------------------------------------------------------

    def expose(self, choice: Choice, *, ts: datetime | int | None = None) -> None:
        """Write down that the unit saw the answer, where that is not when it was logged."""
        _checked(choice)
        self._write(Event(
            id=choice.id, loop=self.loop, kind="exposure", ts=self._moment(ts), received=self._now(), unit=choice.unit,
            choice=choice.id, arm=choice.arm, candidate=choice.candidate,
            propensity=choice.propensity, generation=choice.generation, release=choice.release,
        ))

    def interleave(
        self, choice: Choice, challenger: Sequence[Any], champion: Sequence[Any], length: int
    ) -> Mixed:
        """One list of at most `length` items out of two rankings, best first, for a choice of the arm
        "interleaved" (whose parameters name both candidates, and the method). Show `items`, log
        `output` as the answer, and give the clicked items as feedback. The coins follow from the
        choice's id, so that asking again gives the same list. Raises ArgumentError for a ranking with
        repetitions.
        """
        import numpy as np

        from trueup.stats import interleave

        method = _checked(choice).parameters.get("method", "team_draft")
        rng = np.random.default_rng(position("interleave", choice.id))
        mixed = interleave(list(challenger), list(champion), length, rng, method)
        output: dict[str, Any] = {"items": list(mixed.items), "teams": list(mixed.teams)}
        if mixed.rankings is not None:
            output["rankings"] = [list(ranking) for ranking in mixed.rankings]
        return Mixed(list(mixed.items), output)

    def signal(self, name: str, **facts: Any) -> None:
        """Write down something that the system has to say."""
        self._write(self._signal(name_of("the signal's name", name), facts))

    def load(self, choice: Choice, *, trust_code: bool = False, candidate: str | None = None) -> Predictor:
        """The model of the chosen candidate; kept, so that only the first call of a candidate loads it.
        A model that takes parameters answers with the candidate's.

        `candidate` is another one's id: an interleaved choice names two in its parameters.

        `trust_code` allows models that are code (functions, commands), as a trusted loop makes them.

        Raises NotFound where there is no candidate, StoreError or ModelError where it cannot be read.
        """
        return self._models.get(candidate or _checked(choice).candidate, trust_code=trust_code)

    def refresh(self) -> None:
        """Read the routing state now, rather than within 10 ms of its change. Never raises."""
        self._view.refresh(to_us(self._clock.now()), force=True)

    def flush(self, timeout: float = 30.0) -> None:
        """Wait until all that was queued is durable; raises StoreError if it cannot be written."""
        self._writer.flush(timeout)

    def close(self) -> None:
        """Write what is queued, for at most 10 seconds, and close the ledger."""
        self._finalizer()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- how --------------------------------------------------------------------------------------

    def _start(self) -> None:
        self._ids = self._given_ids or Ids(self._clock)
        self._faults = Faults(self.loop)
        self._source = Source(self.home, self._clock)
        self._view = View(self.loop, self._source, self._faults)
        self._models = Models(self.loop, self._source)
        signals = _Signals(self.loop, self._clock, self._ids)
        self._signal = signals.event
        self._writer: Writer
        if self._acknowledge == "sync":
            self._writer = SyncWriter(self._source, self._faults, signals)
        else:
            self._writer = QueueWriter(
                self._source, self._faults, signals, bound=self._queue, patience=self._patience
            )
        self._finalizer = weakref.finalize(self, _shut, self._writer, self._source)

    def _choose(self, unit: str, context: Mapping[str, Any] | None) -> Choice:
        us = to_us(self._clock.now())
        view = self._view
        if monotonic() >= view.due or us >= view.due_us:
            view.refresh(us)
        routing = view.routing
        ident = self._ids.at(us)
        named: str | None = unit
        try:
            drawn = assign(routing, unit, context)
        except ArgumentError as error:
            self._faults.report("unit", error)
            drawn, named = routing.cuts.outside, None
        choice = Choice(
            ident, drawn.arm, drawn.candidate, routing.parameters[drawn.arm], drawn.propensity,
            routing.generation, routing.release, named,
        )
        if drawn.override:
            self._writer.offer(self._assignment(choice, drawn, us, context))
        if drawn.enrolled and not (
            view.trusted and self._writer.offer(self._assignment(choice, drawn, us, context))
        ):
            self._faults.lost_exposure(routing.release)
            return choice._replace(
                arm="champion", candidate=routing.champion, propensity=None,
                parameters=routing.parameters["champion"],
            )
        return choice

    def _assignment(
        self, choice: Choice, drawn: Assigned, us: int, context: Mapping[str, Any] | None
    ) -> Event:
        facts: dict[str, Any] = {"stage": drawn.stage}
        if drawn.probabilities is not None:
            facts["probabilities"] = dict(drawn.probabilities)
        if drawn.override:
            facts["override"] = True
        extra = text_of("facts", facts) if len(facts) > 1 else f'{{"stage":{drawn.stage}}}'
        if context is not None:
            try:
                extra = text_of("context", {**facts, "context": context})
            except DataError as error:
                self._faults.report("context", error)
        return Event(
            id=choice.id, loop=self.loop, kind="assignment", ts=us, received=us, unit=choice.unit, choice=choice.id,
            arm=choice.arm, candidate=choice.candidate, propensity=choice.propensity,
            generation=choice.generation, release=choice.release, extra=extra,
        )

    def _now(self) -> int:
        return to_us(self._clock.now())

    def _moment(self, ts: datetime | int | None) -> int:
        return self._now() if ts is None else moment_of(ts)

    def _write(self, event: Event) -> None:
        if not self._finalizer.alive:
            raise Refused("expected an open client, got a closed one", cure="connect again")
        self._writer.write(event)


class _Signals:
    """Makes signals of notices; holds no client, so that a forgotten client can be closed."""

    def __init__(self, loop: str, clock: Clock, ids: Ids) -> None:
        self._loop, self._clock, self._ids = loop, clock, ids

    def __call__(self, notices: list[Notice]) -> list[Event]:
        return [self.event(notice.name, notice.facts()) for notice in notices]

    def event(self, name: str, facts: Mapping[str, Any]) -> Event:
        release = facts.get("release")
        return Event(
            id=self._ids.new(), loop=self._loop, kind="signal", ts=to_us(self._clock.now()), name=name,
            release=release if isinstance(release, str) else None, extra=text_of("facts", dict(facts)),
        )


def _checked(choice: Choice) -> Choice:
    if not isinstance(choice, Choice):
        raise ArgumentError(
            f"expected a choice, got {choice!r:.80}", cure="pass what client.choose(unit) gave back"
        )
    return choice


def _shut(writer: Writer, source: Source) -> None:
    writer.close(PATIENCE)
    source.close()


# -- forks ------------------------------------------------------------------------------------------

_CLIENTS: weakref.WeakSet[Client] = weakref.WeakSet()
_OF_THE_PARENT: list[Any] = []
"""What a forked child inherited, and must neither use nor close."""


def _before_fork() -> None:
    for client in list(_CLIENTS):
        client._source.pause()


def _in_parent() -> None:
    for client in list(_CLIENTS):
        client._source.resume()


def _in_child() -> None:
    for client in list(_CLIENTS):
        _OF_THE_PARENT.append((client._source, client._writer))
        if client._finalizer.detach() is not None:
            client._start()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_in_parent, after_in_child=_in_child)
