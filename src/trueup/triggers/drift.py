# SPDX-License-Identifier: Apache-2.0
"""Drift: what is asked, or answered, has moved, with a stated rate of false alarms (TRG-03)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from trueup.core.errors import ArgumentError
from trueup.core.protocols import Facts, Finding
from trueup.core.values import kind_of, value

if TYPE_CHECKING:
    import pyarrow as pa

    from trueup.monitor import Found, Monitor, View

BEFORE = timedelta(days=28)  # of requests, where the champion learned from none
RUNS, LAST = 10, 1_000  # runs of answers that stand for a champion; rows whose words are compared
SHOWN, WORDS = 5, 5


def _hashing() -> Any:
    from trueup.models import HashingEmbedder

    return HashingEmbedder()


def _batches() -> Any:
    from trueup.monitor import Batches

    return Batches()


@value("trigger.drift")
class Drift:
    """Holds once requests (or answers) are no longer what the champion learned from.

    `of` is an embedder (the texts of the inputs), or field names, views and monitors: `("price",
    "genre")`, `(Numeric("price"),)`, `(Answers(),)`, `(ScoreDrift(psi),)`. The reference are the
    requests of the span of time that the champion's Snapshot learned from: labelled or not, as
    they came, since a Snapshot that was curated, or labelled by choice, differs from requests by
    its making. `reference="training"` takes the Snapshot's rows themselves. Without a Snapshot it
    is the 28 days before the champion's start. Of answers, the champion's
    first ten runs.

    While rows (cut by `batches`) are exchangeable, alarms come at most `false_alarms_per_year`
    (this detector's share of the loop's, split over its columns) times a year in expectation,
    however often one looks (`trueup.monitor.watch`). It fires on evidence AND effect: the AUC must
    reach `effect`: 1/2 is no change; 15 % of a new topic give at most .575. Where the conditions
    of the rate do not hold the words say "no stated rate"; with `unrated="rest"` it then never
    fires. A champion that is promoted is a new reference. `seed` draws the halves of the reference
    and breaks ties.
    """

    of: Any = field(default_factory=_hashing)
    effect: float = 0.53
    reference: Literal["requests", "training"] = "requests"
    batches: Any = field(default_factory=_batches)
    unrated: Literal["fire", "rest"] = "fire"
    seed: int = 0

    def __post_init__(self) -> None:
        if isinstance(self.of, str):
            raise ArgumentError(f"expected field names, got {self.of!r}", cure=f"write Drift(({self.of!r},))")
        if isinstance(self.of, tuple) and not self.of:
            raise ArgumentError("expected something to watch, got ()")
        if not 0.5 <= self.effect < 1.0:
            raise ArgumentError(f"expected an effect (AUC) from .5 to 1, got {self.effect!r}")
        if self.reference not in ("requests", "training"):
            raise ArgumentError(f"expected reference requests or training, got {self.reference!r}")
        if self.unrated not in ("fire", "rest"):
            raise ArgumentError(f"expected unrated fire or rest, got {self.unrated!r}")

    @property
    def detector(self) -> str:
        """The name under which its alarms are accepted."""
        return f"drift:{','.join(_name(part) for part in (self.of if isinstance(self.of, tuple) else (self.of,)))}"

    def look(self, facts: Facts) -> Finding:
        from trueup.monitor import watch

        since = facts.reference(self.detector)
        if since is None:
            return Finding(False, "drift: no champion to compare with yet", {"n": 0})
        old, new, words = self._rows(facts, since)
        if not old.num_rows or not new.num_rows:
            missing = "no reference" if not old.num_rows else f"nothing yet to compare with {words}"
            return Finding(False, f"drift: {missing}", {"n": new.num_rows})
        found = watch(
            self._monitors(old), old, new, since=since, batches=self.batches, seed=self.seed,
            false_alarms_per_year=facts.false_alarms_per_year,
        )
        felt = [one for one in found if one.alarm and self._felt(one) and (one.rated or self.unrated == "fire")]
        top = sorted(found, key=lambda one: (one not in felt, not one.alarm, -one.evidence))
        evidence: dict[str, Any] = {
            "detector": self.detector, "n": new.num_rows, "reference": {"rows": old.num_rows, "of": words},
            "false_alarms_per_year": facts.false_alarms_per_year, "effect": self.effect, "columns": len(found),
            "found": [one.to_json() for one in top[:SHOWN]],
        }  # fmt: skip
        if felt:
            evidence["words"] = _moved_words(old, new)
        return Finding(bool(felt), _reason(top, felt, self.effect), evidence)

    def _felt(self, found: Found) -> bool:
        return found.unit != "auc" or found.effect >= self.effect

    def _rows(self, facts: Facts, since: datetime) -> tuple[pa.Table, pa.Table, str]:
        """Reference, current rows, and what the reference is."""
        import pyarrow as pa
        import pyarrow.compute as pc

        champion, learned = facts.learned()
        new = facts.requests(since)
        if isinstance(self.of, tuple) and any(_is_answers(part) for part in self.of):
            mine = new.filter(pc.and_(pc.equal(new["candidate"], champion), pc.is_valid(new["output"])))
            mine = mine.sort_by([("received", "ascending"), ("seq", "ascending")]) if mine.num_rows else mine
            first = RUNS * self.batches.rows
            return mine.slice(0, first), mine.slice(first), f"the first {first:,} answers of {champion}"
        if learned is not None:
            learned = learned.filter(pc.equal(learned["part"], "new"))
        if learned is None or not learned.num_rows:
            old = facts.requests(since - BEFORE, since)
            return _by_ts(old), new, f"the requests of the {BEFORE.days} days before"
        if self.reference == "training":
            return _by_ts(learned), new, f"the training rows of {champion}"
        from trueup.core.clock import from_us

        first, last = (from_us(pc.min_max(learned["ts"])[key].as_py()) for key in ("min", "max"))
        old = facts.requests(first - timedelta(microseconds=1), last)
        assert isinstance(old, pa.Table)
        return _by_ts(old), new, f"the requests of {first:%Y-%m-%d} to {last:%Y-%m-%d}"

    def _monitors(self, old: pa.Table) -> list[Monitor | View]:
        from trueup.monitor import Embedding, Sample, sample, views_of

        if not isinstance(self.of, tuple):
            return [Embedding(self.of)]
        rows: Sample | None = None
        found: list[Monitor | View] = []
        for part in self.of:
            if not isinstance(part, str):
                found.append(part)
                continue
            rows = rows or sample(old, self.batches, most=self.batches.reference)
            found.extend(views_of(rows, [part]))
        return found


def _reason(top: list[Found], felt: list[Found], effect: float) -> str:
    if felt:
        more = f" (and {len(felt) - 1} more)" if len(felt) > 1 else ""
        return f"drift: {felt[0].words()}{more}"
    first = top[0]
    small = f"; below the effect of {effect:g}" if first.alarm and first.unit == "auc" and first.effect < effect else ""
    return f"drift: {first.words()}{small}"


def _moved_words(old: pa.Table, new: pa.Table) -> list[Mapping[str, Any]]:
    """The words that moved most, between the reference and what came last."""
    from trueup.monitor import sample
    from trueup.monitor.slices import words

    recent = sample(new)
    recent = recent.take(slice(-LAST, None))
    moved = words(sample(old, most=2 * LAST), recent, WORDS)
    return [{"word": word, "before": before, "now": now} for word, before, now in moved]


def _by_ts(rows: pa.Table) -> pa.Table:
    """The rows in the order in which they were asked."""
    names = [name for name in ("input", "ts", "unit", "output") if name in rows.column_names]
    return rows.select(names).sort_by("ts")


def _is_answers(part: Any) -> bool:
    part = getattr(part, "view", part)
    return hasattr(type(part), "__kind__") and kind_of(part) == "view.answers"


def _name(part: Any) -> str:
    return part if isinstance(part, str) else str(getattr(part, "name", kind_of(part)))
