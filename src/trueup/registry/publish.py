# SPDX-License-Identifier: Apache-2.0
"""Publishing: what the ledger says is shown elsewhere, after the fact, and never in anybody's way.

A publisher is a projection: it can be deleted and made again, it decides nothing, and whatever it
raises is caught here, recorded once, and tried again later.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from trueup.core.clock import to_us
from trueup.core.errors import Busy, TrueupError
from trueup.core.events import Event
from trueup.core.files import write_whole
from trueup.core.json import dumps, sha256
from trueup.core.secrets import masked
from trueup.core.values import to_json
from trueup.registry.projection import Projection, projection
from trueup.state import PublishedRecord, PublishingRecord

if TYPE_CHECKING:
    from trueup.store import Ledger

Say = Callable[[str, int, int], None]
FIRST_US, LAST_US = 30_000_000, 3_600_000_000
"""Back-off: the first pause after a failure, doubled up to the last."""


@dataclass(frozen=True, slots=True)
class Change:
    """Something that was made, or with a dry run would be made, equal to the ledger."""

    what: str
    name: str
    words: str
    moved: bool = False


@dataclass(frozen=True, slots=True)
class Nomination:
    """A model that somebody marked for release, in a registry elsewhere.

    `key` names it for good: it is started once. `words` say what and who; `candidate` is set where
    it is one of ours; `source` is its lineage there.
    """

    key: str
    words: str
    by: str
    source: Mapping[str, Any]
    candidate: str | None = None


@dataclass(frozen=True, slots=True)
class Published:
    """What came of publishing to one target. `error` is set where it could not be reached, and
    `later` says until when (us since 1970) it is left alone."""

    target: str
    changes: tuple[Change, ...] = ()
    error: str | None = None
    later: int | None = None
    skipped: bool = False
    shown: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return {
            "target": self.target, "error": self.error, "later": self.later, "skipped": self.skipped,
            "changes": [
                {"what": one.what, "name": one.name, "words": one.words, "moved": one.moved} for one in self.changes
            ],
            "shown": dict(self.shown),
        }


@runtime_checkable
class Publisher(Protocol):
    """Shows a loop's trainings, models and aliases in a registry elsewhere (a value `publish.*`).

    Both calls may raise anything, and take long: they are made outside of every decision.
    """

    def publish(
        self, ledger: Ledger, shown: Projection, last: Mapping[str, Any], *, thorough: bool, dry: bool, say: Say
    ) -> Published:
        """Make the other side equal to `shown`: what is missing is made, what differs is set.

        `last` is what the last call gave as `shown` ({} for none). `thorough` trusts no record and
        compares all; `dry` changes nothing.
        """
        ...

    def nominations(self, ledger: Ledger, loop: str) -> Sequence[Nomination]:
        """The models that somebody there has marked for release; () where it does not listen."""
        ...

    def fetch(self, nomination: Nomination, ledger: Ledger, folder: Path) -> Path:
        """Bring a nominated model's folder here, under `folder`."""
        ...

    def target(self, ledger: Ledger) -> str:
        """Where it publishes to, for people: without a password."""
        ...


def deliver(
    ledger: Ledger, loop: str, publisher: Publisher, *, thorough: bool = False, dry: bool = False,
    force: bool = False, say: Say | None = None,
) -> Published:
    """Publish a loop to one target, unless nothing has changed there or its pause is not over.

    Never raises for what the other side does: a failure is in the result, recorded once as a
    signal named `publish` until it is over, and tried again after a pause that doubles from half a
    minute to an hour. `force` waits for no pause.
    """
    from trueup.store import lock

    where = masked(publisher.target(ledger))
    memory = _Memory(ledger, loop, publisher)
    try:
        with lock(ledger.home, f"publish-{loop}-{memory.name}"):
            pause = memory.pause()
            if pause is not None and not force and not dry:
                return Published(where, error=memory.error(), later=pause)
            shown = projection(ledger, loop)
            if shown is None or (memory.same(shown, publisher) and not (thorough or force or dry)):
                return Published(where, skipped=True)
            return _publish(ledger, loop, publisher, memory, shown, where, thorough, dry, say)
    except Busy:
        return Published(where, skipped=True)


def _publish(
    ledger: Ledger, loop: str, publisher: Publisher, memory: _Memory, shown: Projection, where: str,
    thorough: bool, dry: bool, say: Say | None,
) -> Published:
    last = _last(ledger, loop, memory.name)
    try:
        done = publisher.publish(ledger, shown, last, thorough=thorough, dry=dry, say=say or _silent)
    except Exception as error:  # another's server and library: whatever it is, the loop goes on
        words = told(error)
        if dry:
            return Published(where, error=words)
        return Published(where, error=words, later=memory.failed(words, where))
    if dry:
        return done
    if done.changes or done.shown != last:
        ledger.add(loop, f"{memory.name}/{len(ledger.records(loop, PublishedRecord)) + 1}", PublishedRecord(
            memory.name, shown.generation, dict(done.shown), [[one.what, one.name, one.words] for one in done.changes],
        ))
    for change in done.changes:
        if change.moved:
            _signal(ledger, loop, {"target": where, "moved": change.name, "words": change.words},
                    f"{memory.name}/{shown.mark}/{ledger.cut()}")  # fmt: skip
    memory.worked(shown, where)
    return done


def nominated(ledger: Ledger, loop: str, publisher: Publisher, *, force: bool = False) -> Sequence[Nomination]:
    """What is marked for release at a target; nothing while it cannot be reached, or was asked
    within its `every` (unless `force`)."""
    memory = _Memory(ledger, loop, publisher)
    if memory.pause() is not None or (memory.recent("asked", publisher) and not force):
        return ()
    try:
        found = publisher.nominations(ledger, loop)
    except Exception as error:
        memory.failed(told(error), masked(publisher.target(ledger)))
        return ()
    memory.asked()
    return found


def missed(ledger: Ledger, loop: str, publisher: Publisher, error: Exception) -> None:
    """Record that a target could not be reached, and leave it alone for a while."""
    _Memory(ledger, loop, publisher).failed(told(error), masked(publisher.target(ledger)))


def troubles(ledger: Ledger, loop: str) -> list[dict[str, Any]]:
    """The targets that could not be reached when it was last tried: {"target", "error", "at"}."""
    latest = {record.name: record for record in ledger.records(loop, PublishingRecord)}
    return [{"target": one.target, "error": one.error, "at": one.at} for one in latest.values() if one.error]


def told(error: BaseException) -> str:
    """An error in a line, with its cure where it has one, without a password."""
    if isinstance(error, TrueupError):
        words = f"{error.message}: {error.cure}" if error.cure else error.message
    else:
        words = f"{type(error).__name__}: {error}"
    return masked(" ".join(words.split()))[:500]


def _silent(_what: str, _done: int, _total: int) -> None:
    """Nobody watches."""


def _last(ledger: Ledger, loop: str, name: str) -> dict[str, Any]:
    shown = (record.shown for record in ledger.records(loop, PublishedRecord, newest=True) if record.target == name)
    return next(shown, {})


def _signal(ledger: Ledger, loop: str, extra: Mapping[str, Any], about: str) -> None:
    """Say it to triggers and alerts, once."""
    now = to_us(ledger.clock.now())
    ident = sha256(dumps([loop, "publish", about, dict(extra)]))[:32]
    ledger.append([Event(ident, loop, "signal", now, name="publish", extra=dumps(dict(extra)))])


class _Memory:
    """What is remembered of a target between two calls, in a small file: when it was last seen, and
    until when it is left alone. It may be deleted: then it is asked once more."""

    def __init__(self, ledger: Ledger, loop: str, publisher: Publisher) -> None:
        self.ledger, self.loop = ledger, loop
        self.name = sha256(dumps([to_json(publisher), masked(publisher.target(ledger))]))[:12]
        self.path = ledger.home / "publish" / f"{loop}-{self.name}.json"
        self.data: dict[str, Any] = {}
        with suppress(OSError, ValueError):
            read = json.loads(self.path.read_text("utf-8"))
            self.data = read if isinstance(read, dict) else {}
        self.now = to_us(ledger.clock.now())

    def pause(self) -> int | None:
        """Until when the target is left alone, if it is."""
        until = self.data.get("until")
        if not isinstance(until, int) or not self.now < until <= self.now + LAST_US:
            return None
        return until

    def error(self) -> str | None:
        return str(self.data["error"]) if self.data.get("error") else None

    def same(self, shown: Projection, publisher: Publisher) -> bool:
        """Whether this very state was shown, and looked at not long ago."""
        return self.data.get("mark") == shown.mark and self.recent("seen", publisher)

    def recent(self, what: str, publisher: Publisher) -> bool:
        """Whether the target was asked within the publisher's `every`."""
        every, at = getattr(publisher, "every", None), self.data.get(what)
        return every is not None and isinstance(at, int) and 0 <= self.now - at < every.total_seconds() * 1e6

    def asked(self) -> None:
        self._write({**self.data, "asked": self.now})

    def worked(self, shown: Projection, where: str) -> None:
        self._write({"mark": shown.mark, "seen": self.now, "asked": self.data.get("asked")})
        self._turn(where, None)

    def failed(self, error: str, where: str) -> int:
        """Until when it is left alone now."""
        tries = int(self.data.get("tries") or 0) + 1
        until: int = self.now + min(LAST_US, FIRST_US * 2 ** min(tries - 1, 12))
        self._write({"tries": tries, "until": until, "error": error})
        self._turn(where, error)
        return until

    def _turn(self, where: str, error: str | None) -> None:
        """Record it where the target began to fail, or works again: once."""
        mine = [record for record in self.ledger.records(self.loop, PublishingRecord) if record.name == self.name]
        before = mine[-1].error if mine else None
        if bool(before) == bool(error):
            return
        about = f"{self.name}/{len(mine) + 1}"
        self.ledger.add(self.loop, about, PublishingRecord(self.name, where, error))
        _signal(self.ledger, self.loop, {"target": where, "error": error}, about)

    def _write(self, data: dict[str, Any]) -> None:
        with suppress(OSError):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(self.path, json.dumps(data))
            self.data = data
