# SPDX-License-Identifier: Apache-2.0
"""Runs on DBOS: a cycle is a workflow of its stages, in SQLite in the home, or in Postgres by URL.

The ledger is the record. A stage performs its steps through the ledger, so that the engine's
database may be deleted at any time, and what it holds is taken only where it is of the very run
that the ledger names. Two hazards of the engine are met here:

- A second process that launches on one database runs a live workflow twice. So one process holds a
  file lock around the launch, everybody else uses the client, and each launch is an executor of its
  own: nothing is recovered by the engine itself, a run goes on when its loop's keeper drives it.
- A changed application version strands its pending runs. So the version is our pipeline's, and a run
  of another version is begun anew from what the ledger has recorded of it.

A stage that is held raises no Exception, and leaves its workflow pending, with nothing recorded.

While a server is away the engine asks it again and again, and the run waits: what its stage gave is
recorded once the server is back. Nobody else does: whoever stops or holds the run leaves its thread
behind, which enters no stage any more.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trueup.core.errors import Busy, Conflict, Held, MissingDependency, StoreError
from trueup.loop import Context
from trueup.loop.pipeline import Pipeline, Step, attempt, follow
from trueup.service.place import OFF, URL, Place, quiet, version_of
from trueup.state import read
from trueup.store import lock

LOCK = "durable"
REST = 60.0  # seconds without a run after which a service lets go of the engine
AWAY = 2.0   # seconds after which an engine that does not record what a stage gave is taken to be away
RECORDED = 2.0  # seconds that an engine is given to record how a run ended
CLOSING = 10.0  # seconds that letting go of it takes at most
_OPEN = ("PENDING", "ENQUEUED", "DELAYED", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED")

Say = Callable[[str, str], Any]


class _Later(Held):
    """A stage met something that passes by itself: its workflow stays pending."""


class EngineFailed(Exception):
    """The engine has given a run up: it is performed without it."""


@dataclass(slots=True)
class _Live:
    """A run that is driven in this process. `since` is when the engine took over, None while a stage of
    ours is at work; `left` says that nobody waits for it any more."""

    context: Context
    pipeline: Pipeline
    run: Mapping[str, Any]
    guard: threading.Lock = field(default_factory=threading.Lock)
    done: threading.Event = field(default_factory=threading.Event)
    entered: bool = False
    left: bool = False
    since: float | None = None
    result: dict[str, Any] | None = None
    raised: BaseException | None = None


class Durable:
    """Drives pipelines on DBOS, launched when the first run needs it. One a process, one a home.

    `url` is a Postgres server's (`postgresql://...`), or None for SQLite in the home. Where the
    engine cannot be launched the run is performed here and now, and `say(loop, words)` says so.
    Raises MissingDependency where the extra is not installed, Busy where another process has it.
    """

    def __init__(self, home: Path, url: str | None = None, *, say: Say = lambda *_: None) -> None:
        try:
            import dbos  # noqa: F401
        except ModuleNotFoundError:
            raise MissingDependency("dbos", "durable") from None
        self.home, self._say = Path(home), say
        self.place = Place.of(self.home, url)
        self._live: dict[str, _Live] = {}
        self._launching = threading.Lock()
        self._held = ExitStack()
        self._launched, self._ended = False, 0.0
        self.stuck = False
        """After `close`: whether threads of the engine still wait for a server that is away."""

    def __enter__(self) -> Durable:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __call__(self, context: Context, pipeline: Pipeline, run: Mapping[str, Any]) -> dict[str, Any]:
        """The last stage's output: a `Drive`."""
        live = _Live(context, pipeline, run)
        with self._launching:  # from here on `rest` leaves the engine alone
            if self._live.setdefault(run["id"], live) is not live:
                raise Busy(f"expected run {run['id']} to be free, got it driven already in this process")
        try:
            try:
                self._launch(context, pipeline, run["id"])
                self._submit(live)
                return self._await(live)
            except (Busy, Conflict, StoreError):
                raise
            except Exception as error:  # the ledger is the record: the run does not need the engine
                words = self.place.masked(f"{type(error).__name__}: {error}")[:300]
                self._say(context.loop.name, f"{self.place} cannot be used, this run is performed in process: {words}")
                with live.guard:
                    live.entered = live.left = True
                return follow(context, pipeline, run)
        finally:
            del self._live[run["id"]]
            self._ended = time.monotonic()

    def rest(self, after: float = REST) -> bool:
        """Let go of the engine where it has driven nothing for so many seconds, since its threads ask its
        database several times a second for as long as it is launched; whether it did."""
        if not self._launching.acquire(blocking=False):  # a server that does not answer holds up nobody
            return False
        try:
            if not self._launched or self._live or time.monotonic() - self._ended < after:
                return False
            self._destroy()
        finally:
            self._launching.release()
        return True

    def close(self) -> None:
        """Let go of the engine and of its lock; what runs stays pending."""
        with self._launching:
            thread = threading.Thread(target=self._destroy, name="durable-close", daemon=True)
            thread.start()
            until = time.monotonic() + CLOSING
            for one in (thread, *(one for one in threading.enumerate() if one.name.startswith("dbos-executor"))):
                one.join(max(0.1, until - time.monotonic()))
                self.stuck |= one.is_alive()

    def _destroy(self) -> None:
        if self._launched:
            from dbos import DBOS

            global _CURRENT
            _CURRENT = None
            DBOS.destroy()
            self._launched = False
        self._held.close()

    # -- the engine --------------------------------------------------------------------------------

    def _launch(self, context: Context, pipeline: Pipeline, ident: str) -> None:
        with self._launching:
            if self._launched:
                return
            from dbos import DBOS

            global _CURRENT
            if _CURRENT is not None:
                raise Busy(f"expected one engine a process, got one for {_CURRENT.home} as well")
            with ExitStack() as held:
                held.enter_context(lock(self.home, LOCK))
                quiet()
                workflow()
                DBOS(config=self.place.config(pipeline))
                try:
                    DBOS.launch()
                    self._tidy(context, ident)
                except BaseException:
                    DBOS.destroy()
                    raise
                self._held = held.pop_all()
            _CURRENT, self._launched = self, True

    def _submit(self, live: _Live) -> None:
        """Begin the run's workflow, or go on with one that an earlier process left: in a thread of its
        own, since the engine asks a server that is away for as long as it is."""
        _, state = read(live.context.ledger, live.context.loop.name)

        def act() -> None:
            try:
                self._begin(live, state.champion or "")
            except BaseException as error:
                live.raised = error
                live.done.set()

        live.since = time.monotonic()
        threading.Thread(target=act, name="durable-begin", daemon=True).start()

    def _begin(self, live: _Live, champion: str) -> None:
        from dbos import DBOS, SetWorkflowID

        ident, name = live.run["id"], live.context.loop.name
        version = version_of(live.pipeline)
        found = DBOS.get_workflow_status(ident)
        if found is not None:
            same = found.app_version == version and list(found.input["args"] if found.input else ()) == [ident, champion]
            if same and found.status in _OPEN:
                self._say(name, f"run {ident} goes on where it stopped ({found.status.lower()} in {self.place})")
                DBOS.resume_workflow(ident)
                return
            if found.app_version != version:
                self._say(name, f"run {ident} was begun by {found.app_version}, and {version} finishes it")
            DBOS.delete_workflow(ident)
        with SetWorkflowID(ident):
            DBOS.start_workflow(workflow(), ident, champion)

    def _await(self, live: _Live) -> dict[str, Any]:
        shown = False
        while not live.done.wait(0.1):
            with live.guard:
                away = live.since is not None and time.monotonic() - live.since > AWAY
                if live.context.stopping() and (away or not live.entered):
                    live.entered = live.left = True  # nobody may begin it, or go on with it, any more
                    raise Held(f"waiting for {self.place}")
            if away and not shown:
                live.context.show(f"waiting for {self.place}", 0, 0)
            shown = away
        if live.raised is not None:
            raise live.raised
        assert live.result is not None
        recorded = threading.Thread(target=self._recorded, args=(live.run["id"],), name="durable-end", daemon=True)
        recorded.start()
        recorded.join(RECORDED)
        return live.result

    def _recorded(self, ident: str) -> None:
        """Give the engine a moment to record how a run ended."""
        from dbos import DBOS

        with suppress(Exception):  # it has ended: what the engine says of it is for people
            until = time.monotonic() + RECORDED
            while time.monotonic() < until:
                found = DBOS.get_workflow_status(ident)
                if found is None or found.status not in _OPEN:
                    return
                time.sleep(0.05)

    def _tidy(self, context: Context, ident: str) -> None:
        """Take out of the engine what the ledger has ended, and say so: killed at the very end, or
        abandoned."""
        from dbos import DBOS

        states = [read(context.ledger, name)[1] for name in context.ledger.loops()]
        known = {ident, *(state.cycle.id for state in states if state.cycle)}
        for one in DBOS.list_workflows(status=list(_OPEN)):
            if one.workflow_id not in known:
                DBOS.delete_workflow(one.workflow_id)
                self._say("", f"run {one.workflow_id} had ended in the ledger: taken out of {self.place}")

    # -- within a workflow -------------------------------------------------------------------------

    def enter(self, ident: str) -> _Live:
        """The run behind a workflow; Held where nobody here drives it, or it runs already."""
        live = self._live.get(ident)
        if live is None:
            raise Held(f"nobody drives {ident}")
        with live.guard:
            if live.entered:
                raise Held(f"{ident} runs already")
            live.entered, live.since = True, time.monotonic()
        return live

    def stage(self, live: _Live, step: Step, data: dict[str, Any]) -> dict[str, Any]:
        """Perform one stage of a run."""
        with live.guard:
            if live.left:
                raise Held("nobody waits for it any more")
            live.since = None
        try:
            return attempt(live.context, live.run["id"], step, data)
        except (Busy, Conflict, StoreError) as error:
            raise _Later(str(error)) from error
        finally:
            live.since = time.monotonic()


_CURRENT: Durable | None = None
_WORKFLOW: list[Any] = []


def workflow() -> Any:
    """The one workflow, registered once a process: (run, champion at its beginning) -> output."""
    if not _WORKFLOW:
        from dbos import DBOS

        _WORKFLOW.append(DBOS.workflow(name="trueup-run", max_recovery_attempts=None)(_run))
    return _WORKFLOW[0]


def _run(ident: str, _champion: str) -> dict[str, Any]:
    durable = _CURRENT
    if durable is None:
        raise Held("the engine is being closed")
    live = durable.enter(ident)
    try:
        live.result = _stages(durable, live)
    except _Later as later:
        live.raised = later.__cause__
        raise
    except Held as held:
        live.raised = held
        raise
    except BaseException as error:  # the engine's own, such as a workflow that somebody has cancelled
        live.raised = error if isinstance(error, Exception) else EngineFailed(f"{type(error).__name__}: {error}")
        raise
    finally:
        live.done.set()
    return live.result


def _stages(durable: Durable, live: _Live) -> dict[str, Any]:
    from dbos import DBOS

    outputs: dict[str, Any] = {}
    for step in live.pipeline.steps:
        data = live.pipeline.inputs(step, live.run, outputs)
        outputs[step.name] = DBOS.run_step({"name": step.name}, durable.stage, live, step, data)
    last: dict[str, Any] = outputs[live.pipeline.steps[-1].name]
    return last


def driver(home: Path, url: str | None, say: Say) -> Durable | None:
    """What drives a service's runs: the engine by URL, by TRUEUP_DURABLE_URL, or on SQLite; None,
    after saying so, where it is off or not installed."""
    asked = url or os.environ.get(URL) or None
    if asked == OFF:
        say("", "runs are performed in process")
        return None
    try:
        return Durable(home, asked, say=say)
    except MissingDependency as missing:
        if asked is not None:
            raise
        say("", f"runs are performed in process: DBOS is not installed ({missing.cure})")
        return None
