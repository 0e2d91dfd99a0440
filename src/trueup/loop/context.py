# SPDX-License-Identifier: Apache-2.0
"""What the steps of a run work with: the loop, the ledger, and a way to say how far they are."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import UNSET, UnsetType

from trueup.core.clock import Clock, from_us
from trueup.core.errors import Held, NotFound
from trueup.core.protocols import Predictor
from trueup.core.records import from_plain, to_plain
from trueup.release import Terms
from trueup.state import candidate, define, defined

if TYPE_CHECKING:
    from trueup.loop.definition import Loop
    from trueup.store import Ledger

Progress = Callable[[str, int, int], None]
Stop = Callable[[], bool]


@dataclass(frozen=True, slots=True)
class Place:
    """Where work is done: the home's folder, the loop's name, the digest of its definition, and the folder of its
    loop file."""

    home: str
    loop: str
    definition: str
    base: str | UnsetType = UNSET


class Context:
    """A loop at work on a ledger: what a tick and every step of a cycle get.

    >>> spec = {"home": "/srv/news/.trueup", "loop": "news", "definition": "3f1c..."}
    >>> with Context.open(spec) as context:  # doctest: +SKIP
    ...     judged = gates(context, data)
    """

    def __init__(
        self, loop: Loop, ledger: Ledger, *, base: Path | None = None, progress: Progress | None = None,
        stop: Stop | None = None,
    ) -> None:
        self._opened: Ledger | None = None
        self.loop, self.ledger, self.base = loop, ledger, base
        self._stop = stop
        self._end, self._seconds = math.inf, math.inf
        self.digest = loop.digest(base)
        self._progress = progress
        self._predictors: dict[str, Predictor] = {}

    @classmethod
    def open(
        cls, spec: Mapping[str, Any], *, progress: Progress | None = None, stop: Stop | None = None,
        clock: Clock | None = None,
    ) -> Context:
        """The work that `spec` describes, opened anywhere the home can be reached: a step of an engine begins so.

        `spec` is what `Context.spec()` gave: {"home": its folder, "loop": its name, "definition": the digest
        of the definition, "base"?: the folder of the loop file, for functions and parts of its own}. Close it, or
        use it in a `with`. Raises DataError for another spec, NotFound where there is no ledger, or none
        that holds this definition.
        """
        from trueup.loop.files import load_folder
        from trueup.store import Ledger

        where = from_plain(Place, dict(spec))
        base = None if where.base is UNSET else Path(where.base)
        if base is not None:
            load_folder(base)
        ledger = Ledger.open(where.home, clock=clock, create=False)
        try:
            loop = pinned(ledger, where.loop, where.definition, base)
            made = cls(loop, ledger, base=base, progress=progress, stop=stop)
        except BaseException:
            ledger.close()
            raise
        made.digest, made._opened = where.definition, ledger
        return made

    def spec(self) -> dict[str, Any]:
        """What `Context.open` needs to do the same work in another process, as JSON. The definition has to be
        recorded in the home, as `tick` and `pin` do."""
        base = UNSET if self.base is None else str(self.base.absolute())
        found: dict[str, Any] = to_plain(Place(str(self.ledger.home), self.loop.name, self.digest, base))
        return found

    def close(self) -> None:
        """Close the ledger, where `open` has opened it."""
        if self._opened is not None:
            self._opened.close()

    def __enter__(self) -> Context:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def say(self, what: str, done: int, total: int) -> None:
        """Tell whoever watches what is being done, and how far it is (total 0: unknown).

        A place where work may stop: raises Held where somebody has asked for that.
        """
        if self.stopping():
            raise Held(what)
        if time.monotonic() > self._end:
            raise TimeoutError(f"expected an end within {self._seconds:g} s, got none at {what!r}")
        self.show(what, done, total)

    def show(self, what: str, done: int, total: int) -> None:
        """`say`, where work must not stop."""
        if self._progress is not None:
            self._progress(what, done, total)

    def within(self, seconds: float | None) -> Context:
        """The same work, which raises TimeoutError where it says how far it is after so long."""
        if seconds is None:
            return self
        made = self._again(self.loop, self.digest)
        made._end, made._seconds = time.monotonic() + seconds, seconds
        return made

    def stopping(self) -> bool:
        """Whether the work is asked to stop at the next safe place."""
        return self._stop is not None and self._stop()

    def wait(self, what: str, seconds: float) -> None:
        """Pass some time before another try; raises Held as soon as the work is asked to stop."""
        end = time.monotonic() + seconds
        self.show(f"{what}: another try at {from_us(time.time_ns() // 1000 + int(seconds * 1e6)):%H:%M:%S} UTC", 0, 0)
        while (left := end - time.monotonic()) > 0:
            if self.stopping():
                raise Held("waiting")
            time.sleep(min(left, 0.1))

    def model(self, ident: str) -> Predictor:
        """The model of a candidate, loaded once, with the candidate's parameters where it takes any."""
        from trueup.models import with_parameters

        if ident not in self._predictors:
            found = candidate(self.ledger, self.loop.name, ident)
            self._predictors[ident] = with_parameters(_loaded(self.ledger.artifacts.path(found.model)), found.parameters)
        return self._predictors[ident]

    def predictor(self, ident: str) -> Predictor:
        """The model of a candidate whose answers are to be judged; raises Refused where the candidate has
        parameters and its model takes none."""
        from trueup.models import require_parameters

        found = candidate(self.ledger, self.loop.name, ident)
        if found.parameters:
            require_parameters(_loaded(self.ledger.artifacts.path(found.model)), found.parameters, ident)
        return self.model(ident)

    def terms(self) -> Terms:
        """What a release of this loop runs under."""
        carrier = self.loop.carrier
        return Terms(
            loop=self.loop.name, digest=self.digest, stages=self.loop.release, risk=self.loop.risk,
            outcomes=self.loop.outcomes, predictor=self.predictor,
            margin=carrier.no_worse_by if carrier else 0.0, seed=self.loop.seed, mode=self.loop.mode,
            proposal=self.loop.proposal, unit=self.loop.task.unit, population=self.loop.population,
        )

    def under(self, digest: str) -> Context:
        """The same work under the definition with this digest: what was begun goes on as it began.

        Raises NotFound or DefinitionError where that definition cannot be read any more.
        """
        if digest == self.digest:
            return self
        loop = pinned(self.ledger, self.loop.name, digest, self.base)
        return self._again(loop, digest)

    def _again(self, loop: Loop, digest: str) -> Context:
        made = Context(loop, self.ledger, base=self.base, progress=self._progress, stop=self._stop)
        made.digest, made._predictors = digest, self._predictors
        made._end, made._seconds = self._end, self._seconds
        return made

    def pin(self) -> None:
        """Record the definition, so that what was decided under it can be explained later."""
        define(self.ledger, self.loop.name, self.digest, self.loop.to_json(self.base))


@lru_cache(maxsize=4)
def _loaded(folder: Path) -> Predictor:
    """A model of the artifacts, whose path is its digest: kept from one run to the next."""
    from trueup.models import load

    return load(folder, trust_code=True)


def know_kinds() -> None:
    """Register the kinds of every room that a definition, or a piece of evidence, may name."""
    rooms = (
        "alerts", "models", "curate", "data", "train", "evaluate", "registry", "monitor", "triggers", "release", "loop",
    )
    for room in rooms:
        found = import_module(f"trueup.{room}")
        for name in found.__all__:  # a room may load its modules when they are asked for
            getattr(found, name)


def pinned(ledger: Ledger, name: str, digest: str, base: Path | None = None) -> Loop:
    """The definition with this digest, as it was when it was used."""
    from trueup.core.values import from_json

    know_kinds()
    body = defined(ledger, name, digest)
    if body is None:
        raise NotFound(f"expected the definition {digest[:12]} of {name}, which this ledger does not hold")
    found: Loop = from_json(body, base)
    return found


def moment(us: int) -> str:
    """A moment for people, to the minute, in UTC."""
    return f"{from_us(us):%Y-%m-%d %H:%M}"


def plain(part: Any) -> str:
    """A part of a loop by its kind, for people: `rows`, `falls`."""
    return str(getattr(type(part), "__kind__", type(part).__name__)).rpartition(".")[2].replace("_", " ")
