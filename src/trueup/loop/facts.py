# SPDX-License-Identifier: Apache-2.0
"""What a loop's past says, read from the ledger at one cut."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from trueup.core.clock import Moments, from_us, to_us
from trueup.core.errors import NotFound
from trueup.core.json import loads, loads_all
from trueup.core.protocols import Prediction, Scorer, Unmeasured
from trueup.core.task import Outcome
from trueup.loop.queries import QUERIES
from trueup.release import measured
from trueup.state import Cost, LoopState

if TYPE_CHECKING:
    import pyarrow as pa

    from trueup.loop.definition import Loop
    from trueup.store import Ledger


SUPPOSED = "the definition's model"
"""The champion of a loop that observes and has none: what was logged without a candidate counts as its answers."""


class LedgerFacts:
    """Facts over a ledger: the same cut and moment give the same answers, for ever."""

    def __init__(self, loop: Loop, ledger: Ledger, state: LoopState, *, cut: int, now: int) -> None:
        self.loop = loop.name
        self.now = from_us(now)
        self.last_trained = None if state.trained is None else from_us(state.trained)
        detectors = sum(hasattr(part, "detector") and getattr(part, "rated", True) for part in (*loop.when, *loop.watch))
        self.false_alarms_per_year = loop.false_alarms_per_year / max(1, detectors)
        self._ledger, self._state, self._cut, self._target = ledger, state, cut, loop.label
        self._blind = state.champion is None and loop.mode != "observe"
        self._taught = any(hasattr(step, "teach") for step in loop.recipe.curate)

    def _query(self, query: str, **parameters: Any) -> list[dict[str, Any]]:
        known = {"loop": self.loop, "now": to_us(self.now), **parameters}
        rows: list[dict[str, Any]] = self._ledger.query(
            QUERIES[query], known, cut=self._cut
        ).to_pylist()
        return rows

    @property
    def _champion(self) -> str | None:
        """Whose answers are read: the champion's; of a loop that observes, those of whatever serves."""
        return None if self._state.champion == SUPPOSED else self._state.champion

    def rows(self, *, new: bool = False) -> int:
        after = self._state.trained_cut if new else None
        after = -1 if after is None else after
        if self._taught:
            found = self._query("logged_rows", after=after)
        else:
            query = "fit_rows" if after < 0 else "new_rows"
            found = self._query(query, target=self._target.name, after=after)
        return int(found[0]["n"])

    def outcomes(
        self, name: str, since: datetime | None = None
    ) -> tuple[Sequence[float], Sequence[datetime]]:
        if self._blind:
            return [], []
        rows = self._query("outcome_values", since=_us(since), name=name, candidate=self._champion)
        return [row["value"] for row in rows], Moments([row["known"] for row in rows])

    def scores(
        self, scorer: Scorer, since: datetime | None = None
    ) -> tuple[Sequence[float], Sequence[datetime]]:
        rows = [] if self._blind else self._query(
            "served_answers", since=_us(since), name=self._target.name, candidate=self._champion
        )
        if not rows:
            return [], []
        scores = measured(
            scorer, _Parsed([row["input"] for row in rows]),
            [Prediction(output) for output in loads_all([row["output"] for row in rows])],
            loads_all([row["label"] for row in rows]),
        )
        kept = [
            (score, row["known"]) for score, row in zip(scores, rows, strict=True)
            if not isinstance(score, Unmeasured) and 0.0 <= score <= 1.0
        ]
        return [score for score, _ in kept], Moments([known for _, known in kept])

    def signals(self, name: str, since: datetime | None = None) -> Sequence[Mapping[str, Any]]:
        rows = self._query("signals", since=_us(since), name=name)
        return [loads(row["extra"]) if row["extra"] else {} for row in rows]

    def numbers(
        self, name: str, field: str, since: datetime | None = None
    ) -> tuple[Sequence[float], Sequence[datetime]]:
        rows = self._query("signals", since=_us(since), name=name)
        said = [loads(row["extra"]).get(field) if row["extra"] else None for row in rows]
        values = [float(one) if isinstance(one, int | float) and not isinstance(one, bool) else math.nan for one in said]
        return values, [from_us(row["received"]) for row in rows]

    def spent(self, currency: str, since: datetime | None = None) -> float:
        first = -1 if since is None else to_us(since)
        return sum(
            cost.amount for cost in self._ledger.records(self.loop, Cost)
            if cost.currency == currency and first < cost.spent < to_us(self.now)
        )

    def reference(self, detector: str) -> datetime | None:
        at = self._state.accepted.get(detector)
        since = self._state.since
        latest = max((moment for moment in (at, since) if moment is not None), default=None)
        return None if latest is None else from_us(latest)

    def accepted(self, detector: str) -> datetime | None:
        at = self._state.accepted.get(detector)
        return None if at is None else from_us(at)

    def served(self, outcome: Outcome | None, since: datetime | None = None) -> tuple[Sequence[float], Sequence[datetime]]:
        if outcome is None:
            rows = self._query("failures", since=_us(since))
            return [row["value"] for row in rows], Moments([row["known"] for row in rows])
        rows = self._query(
            "outcomes_served", since=_us(since), name=outcome.name, absent=outcome.absent,
            within=int(outcome.within.total_seconds() * 1e6),
        )
        values = [outcome.scaled(min(max(row["value"], outcome.low), outcome.high)) for row in rows]
        return values, Moments([row["known"] for row in rows])

    def requests(self, since: datetime | None = None, until: datetime | None = None) -> pa.Table:
        import pyarrow.compute as pc

        found = self._ledger.interactions(
            self.loop, outcomes=[], cut=self._cut, since_us=None if since is None else to_us(since) + 1,
            until_us=None if until is None else to_us(until) + 1,
        )
        return found.filter(pc.less_equal(found["received"], to_us(self.now)))

    def learned(self) -> tuple[str | None, pa.Table | None]:
        from trueup.data import snapshot
        from trueup.state import candidate

        champion = self._state.champion
        try:
            ident = None if champion is None else candidate(self._ledger, self.loop, champion).snapshot
        except NotFound:
            ident = None
        return champion, None if ident is None else snapshot.load(self._ledger, ident, self.loop).rows()


class _Parsed(Sequence[Any]):
    """JSON texts, parsed when they are asked for: few scorers read the inputs."""

    def __init__(self, texts: list[str]) -> None:
        self._texts = texts

    def __len__(self) -> int:
        return len(self._texts)

    def __getitem__(self, at: Any) -> Any:
        if isinstance(at, slice):
            return loads_all(self._texts[at])
        return loads(self._texts[at])


def _us(since: datetime | None) -> int:
    """A moment in microseconds; the beginning of time for None."""
    return -1 if since is None else to_us(since)
