# SPDX-License-Identifier: Apache-2.0
"""Running a training job: in a process of its own, within limits, tried again, safe to run twice."""

from __future__ import annotations

import fcntl
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, Protocol

from trueup.core import values
from trueup.core.errors import (
    ArgumentError,
    Busy,
    Held,
    ModelError,
    TrainingError,
    TrainingRetryable,
    TrueupError,
)
from trueup.core.files import write_whole
from trueup.core.json import digest, dumps, loads
from trueup.core.money import Spend
from trueup.core.protocols import TrainJob, TrainResult
from trueup.core.references import Ref
from trueup.models import read_manifest
from trueup.train import code
from trueup.train.fitting import words
from trueup.train.watch import GRACE, OUTCOME, Ended, Meter, Progress, Stop, watch

DONE = "done.json"
TRIED = "tried.json"
CHECKPOINTS, STARVED, SPENT = "checkpoints", "starved", "spent"
_MEMORY_TRIES = 2

Kind = Literal["completed", "retry", "memory", "time", "money", "signal", "nonsense", "failed", "stop"]
_AGAIN: tuple[Kind, ...] = ("retry", "memory", "signal")


class Artifacts(Protocol):
    """Where data and models are kept, by digest."""

    def put_tree(self, folder: Path) -> Ref: ...

    def path(self, ref: Ref) -> Path: ...


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try: how it ended and why, its seconds of wall time, its peak of resident megabytes.

    `kind` is completed; retry (it asked for it), memory, signal (these are tried again); time, money,
    nonsense, failed (these are not). `waited` is the pause before it in seconds. `stderr` is the
    end of what it wrote.
    """

    kind: Kind
    reason: str
    seconds: float
    megabytes: int
    waited: float
    stderr: str


@dataclass(frozen=True, slots=True)
class Trained:
    """What a job gave: its result, the model where there is one, every attempt in order.

    `again` is True where an earlier run had finished the same job and nothing was trained.
    """

    result: TrainResult
    model: Ref | None
    attempts: tuple[Attempt, ...]
    key: str
    again: bool = False

    def require(self) -> Ref:
        """The model; raises TrainingError, or TrainingRetryable where another day may cure it."""
        if self.model is not None:
            return self.model
        last = self.attempts[-1] if self.attempts else None
        kind = TrainingRetryable if last is not None and last.kind in _AGAIN else TrainingError
        raise kind(f"no model after {len(self.attempts)} attempts: {self.result.reason}")


def job_key(job: TrainJob) -> str:
    """The job's identity: its trainer and the code of it, rows, seed and start, wherever they lie and
    at any budget."""
    data = job.to_json()
    del data["budget"], data["data"]["uri"]
    for name in ("init", "base"):
        if data[name]:
            del data[name]["uri"]
    trainer = values.kinds().get(str(job.trainer.get("kind")))
    data["code"] = code.of(trainer) if trainer else None
    return digest(data)


def run(
    job: TrainJob, artifacts: Artifacts, *, workdir: Path, price: Spend | None = None, retries: int = 1,
    retry_delay: float = 300.0, backoff: float = 2.0, sleep: Callable[[float], None] = time.sleep,
    progress: Progress = lambda *_: None, nice: int = 10, base: Path | None = None,
    stop: Stop = lambda: False,
) -> Trained:
    """Train, and keep the model; a job that an earlier run finished is not trained again.

    The trainer runs in a process of its own at low priority, within `job.budget`; its children
    are killed with it, and it dies with this process. Where it asks for another try, is killed by
    a signal or runs out of memory (this once only), it gets up to `retries` more, after
    `retry_delay` seconds, then `backoff` times as many. Its model is loaded and asked a few
    training inputs before it counts. The attempts, and the moment before which there is no other,
    are kept: a run that is killed while it waits goes on waiting when it is called again.

    Once `stop` says so the training gets a SIGTERM, and ten seconds where its trainer keeps
    checkpoints, and Held is raised; the same call again goes on. An attempt that was stopped counts for nothing.
    One that is over its seconds is ended in the same way, which ends the job ("failed") and leaves its
    checkpoint to a run with more of them.

    Where `job.budget` has a limit in money, all attempts together may take as long as it lasts at
    `price` per hour, killed runs of the same job included; then the training is stopped like that,
    which ends the job ("failed") and leaves its checkpoint to a run with more money.

    What a trainer leaves in its folder of checkpoints outlives its attempts and this process; the
    next run of the same job goes on from there. It is thrown away when the job is done, or failed
    for a reason that another try does not cure.

    `base` is the folder that relative paths of the trainer's JSON stand under (the loop file's),
    where it was written with one.

    A training that fails is a result (`status` "failed", with a plain reason), not an exception;
    see `Trained.require`. Raises Busy where another process trains the same job, ArgumentError
    for bad limits, DefinitionError for money without a price, and whatever `artifacts` raises.
    """
    _check(job, retries, retry_delay, backoff)
    lasts = job.budget.paid(price)
    key = job_key(job)
    home = Path(workdir).absolute() / key[:16]
    home.mkdir(parents=True, exist_ok=True)
    with _alone(home):
        found = _finished(home, artifacts, key)
        if found is not None:
            return found
        for rest in home.glob("attempt-*"):
            shutil.rmtree(rest, ignore_errors=True)
        attempts, waited = _tried(home, key)
        if waited:
            sleep(waited)
        while True:
            folder = Path(tempfile.mkdtemp(prefix="attempt-", dir=home))
            try:
                order = _order(job, artifacts, nice, base) | _kept(home)
                attempt, result = _attempt(order, job, folder, progress, stop, Meter(home / SPENT, lasts))
                if attempt.kind == "stop":
                    raise Held(attempt.reason)
                attempts.append(replace(attempt, waited=waited))
                if result is not None:
                    return _keep(result, artifacts, home, key, attempts)
            finally:
                shutil.rmtree(folder, ignore_errors=True)
            if attempt.kind == "memory":
                write_whole(home / STARVED, str(int(order["starved"]) + 1))
            starved = sum(each.kind == "memory" for each in attempts)
            if attempt.kind not in _AGAIN or len(attempts) > retries or starved >= _MEMORY_TRIES:
                status: Literal["retry", "failed"] = "retry" if attempt.kind in _AGAIN else "failed"
                reason = attempt.reason
                (home / TRIED).unlink(missing_ok=True)
                if attempt.kind in ("nonsense", "failed"):
                    _clean(home)
                return Trained(TrainResult(status, reason=reason), None, tuple(attempts), key)
            waited = retry_delay * backoff ** (len(attempts) - 1)
            write_whole(home / TRIED, dumps({
                "key": key, "again": time.time() + waited, "waits": waited,
                "attempts": [asdict(each) for each in attempts],
            }))
            sleep(waited)


def _tried(home: Path, key: str) -> tuple[list[Attempt], float]:
    """The attempts of a run that was killed before its next one, and the rest of the wait for it."""
    try:
        body = loads((home / TRIED).read_bytes())
        if body["key"] == key:
            left = min(float(body["waits"]), max(0.0, float(body["again"]) - time.time()))
            return [Attempt(**each) for each in body["attempts"]], left
    except (OSError, KeyError, TypeError, ValueError, TrueupError):
        pass
    return [], 0.0


def _check(job: TrainJob, retries: int, delay: float, backoff: float) -> None:
    if not job.budget.seconds > 0 or not job.budget.megabytes > 0:
        raise ArgumentError(f"expected a budget above 0 seconds and megabytes, got {job.budget!r}")
    if retries < 0 or not delay >= 0 or not backoff >= 1:
        raise ArgumentError(
            f"expected retries >= 0, retry_delay >= 0 and backoff >= 1, got {retries!r}, {delay!r}, {backoff!r}"
        )


def _attempt(
    order: dict[str, Any], job: TrainJob, folder: Path, progress: Progress, stop: Stop, meter: Meter
) -> tuple[Attempt, TrainResult | None]:
    def end(kind: Kind, reason: str, ended: Ended) -> Attempt:
        return Attempt(kind, reason, round(ended.seconds, 3), ended.megabytes, 0.0, ended.stderr)

    ended = watch(
        order, folder, threads=int(job.trainer.get("threads") or 1),
        budget=job.budget, progress=progress, stop=stop, grace=_grace(job, order["base"]), meter=meter,
    )
    if ended.why == "memory":
        reason = (
            f"expected at most {job.budget.megabytes} MB of memory, got {ended.megabytes}; "
            "cure: raise Loop(budget=Budget(megabytes=...)), or train on fewer rows"
        )
        return end("memory", reason, ended), None
    said = _outcome(folder)
    if ended.why == "time" and (said is None or said["status"] != "completed"):
        reason = (
            f"expected an end within {job.budget.seconds:g} s, got none; "
            "cure: raise Loop(budget=Budget(seconds=...)): it goes on from its checkpoint, where its trainer keeps one"
        )
        return end("time", reason, ended), None
    if ended.why == "stop" and (said is None or said["status"] != "completed"):
        return end("stop", "the training was asked to stop", ended), None
    if ended.why == "money" and (said is None or said["status"] != "completed"):
        money: Any = job.budget.money
        reason = (
            f"expected an end within {money.amount:g} {money.currency}, got none in {meter.before + ended.seconds:.1f} s; "
            "cure: raise Loop(budget=Budget(money=...)): it goes on from its checkpoint"
        )
        return end("money", reason, ended), None
    if ended.code < 0 and said is None:
        name = signal.Signals(-ended.code).name
        return end("signal", f"the training was killed by {name}", ended), None
    if said is None:
        return end("nonsense", f"the training ended with exit {ended.code} and left no outcome", ended), None
    if said["status"] != "completed":
        return end(said["status"], said["reason"], ended), None
    model = folder / said["model"]
    try:
        read_manifest(model)
    except ModelError as error:
        return end("nonsense", words(error), ended), None
    facts = dict(said["facts"]) | {"seconds": round(ended.seconds, 3), "megabytes": ended.megabytes}
    return end("completed", "", ended), TrainResult("completed", model, said["metrics"], facts)


def _grace(job: TrainJob, base: str | None) -> float:
    """How long a training that is asked to stop may take: no time where it keeps no checkpoint."""
    try:
        trainer: Any = values.from_json(dict(job.trainer), Path(base) if base else None)
        return 0.0 if trainer.capabilities.resume == "none" else GRACE
    except Exception:  # it is for the training itself to say what is wrong with its trainer
        return GRACE


def _order(job: TrainJob, artifacts: Artifacts, nice: int, base: Path | None) -> dict[str, Any]:
    """The job with local paths, and where the trainer's class is found."""
    local = replace(
        job, data=job.data.at(artifacts.path(job.data)),
        init=job.init.at(artifacts.path(job.init)) if job.init else None,
        base=job.base.at(artifacts.path(job.base)) if job.base else None,
    )
    order: dict[str, Any] = {"job": local.to_json(), "nice": nice, "base": str(Path(base).resolve()) if base else None}
    trainer = values.kinds().get(str(job.trainer.get("kind")))
    if trainer is not None:
        file = getattr(sys.modules.get(trainer.__module__), "__file__", None)
        order |= {"module": trainer.__module__, "file": file}
    return order


def _kept(home: Path) -> dict[str, Any]:
    """What attempts leave to each other: the folder of checkpoints, and how many ate too much."""
    folder = home / CHECKPOINTS
    folder.mkdir(exist_ok=True)
    try:
        starved = int((home / STARVED).read_text())
    except (OSError, ValueError):
        starved = 0
    return {"checkpoints": str(folder), "starved": starved}


def _clean(home: Path) -> None:
    shutil.rmtree(home / CHECKPOINTS, ignore_errors=True)
    for name in (STARVED, SPENT):
        (home / name).unlink(missing_ok=True)


def _outcome(folder: Path) -> dict[str, Any] | None:
    try:
        data = loads((folder / OUTCOME).read_bytes())
        return dict(data) if isinstance(data, dict) else None
    except (OSError, TrueupError):
        return None


def _keep(
    result: TrainResult, artifacts: Artifacts, home: Path, key: str, attempts: list[Attempt]
) -> Trained:
    assert result.model is not None
    model = artifacts.put_tree(result.model)
    kept = replace(result, model=artifacts.path(model))
    body = {
        "key": key, "model": model.to_json(), "metrics": dict(result.metrics),
        "facts": dict(result.facts), "attempts": [asdict(each) for each in attempts],
    }
    write_whole(home / DONE, dumps(body))
    (home / TRIED).unlink(missing_ok=True)
    _clean(home)
    return Trained(kept, model, tuple(attempts), key)


def _finished(home: Path, artifacts: Artifacts, key: str) -> Trained | None:
    """What an earlier run left, if its model is still there and whole."""
    try:
        body: Mapping[str, Any] = loads((home / DONE).read_bytes())
        if body["key"] != key:
            return None
        model = Ref.from_json(body["model"])
        folder = artifacts.path(model)
        read_manifest(folder)
        attempts = tuple(Attempt(**each) for each in body["attempts"])
        result = TrainResult("completed", folder, body["metrics"], body["facts"])
    except (OSError, KeyError, TypeError, TrueupError):
        return None
    return Trained(result, model, attempts, key, again=True)


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    with (home / "lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Busy(
                f"expected nobody at work on the training {home.name}, but another process trains it",
                cure="wait for it to end",
            ) from None
        yield
