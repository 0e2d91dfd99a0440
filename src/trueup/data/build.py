# SPDX-License-Identifier: Apache-2.0
"""From the ledger to a Snapshot, by a recipe: a pure function of the cut, the recipe and the code.

The rows whose label became known within the window are the new ones; they go through the recipe's
steps, then golden items are excluded. Old rows for replay are drawn from those before the window,
go through the same steps, and are drawn again to their number: so the share holds after curation,
and a flood among the new rows that the steps remove buys no old ones. A step that limits a share
limits it of the rows that are drawn, before, within and after the draw.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trueup.core.clock import from_us
from trueup.core.errors import ArgumentError, DataError
from trueup.core.json import digest
from trueup.core.protocols import Curated
from trueup.curate import ROWS, Deduplicate, Distill, GoldenIndex, Step, exclude_golden, run_step
from trueup.curate.rows import normal, take
from trueup.curate.steps import step_name
from trueup.data.draw import draw
from trueup.data.fit import Fit, set_aside
from trueup.data.frozen import check_frozen
from trueup.data.funnel import Funnel, FunnelStep
from trueup.data.golden import GoldenItems, GoldenSet
from trueup.data.labelled import labelled
from trueup.data.manifest import manifest_of, window_start, write
from trueup.data.recipe import Recipe
from trueup.data.snapshot import Snapshot
from trueup.data.taught import distil, distiller

if TYPE_CHECKING:
    from trueup.store import Ledger


_NONE: Mapping[str, Any] = {}


@dataclass(frozen=True, slots=True)
class Built:
    """A Snapshot, or why there is none, and the funnel in either case."""

    snapshot: Snapshot | None
    funnel: Funnel
    refusal: str | None = None


def build(
    recipe: Recipe,
    ledger: Ledger,
    *,
    loop: str,
    target: str,
    cut: int,
    now_us: int,
    golden: Iterable[GoldenSet | GoldenItems] = (),
    seed: int = 0,
    parents: Sequence[str] = (),
    after: int | None = None,
    after_us: int | None = None,
    fit: Fit | None = None,
    progress: Callable[[str, int], None] | None = None,
) -> Built:
    """Build the dataset of a loop at a cut of its ledger; `target` is the outcome to be learned.

    The same arguments over the same ledger give the same Snapshot, byte for byte of its manifest
    and of its rows' digest. `golden` are the sets that must not train, rolling ones included.
    `parents` are ids of earlier Snapshots. Where the model to go on from has learned from a Snapshot
    at the cut `after`, only rows that could not be seen there, or whose label has changed since, are
    new; those that could are old, and replay draws from them. `after_us` is the same for a past that is
    lived through again, where the moment tells what could be seen, and not the cut. Rows that do not
    `fit` the task and the features (None: all do) are set aside, counted with their reasons. `progress(step,
    rows)` is told of each step. Too few rows, one class only, an empty window and a gate that refuses are no errors but a refusal.
    """
    sets = _held_out(golden, ledger, loop)
    work = _Work(recipe, seed, sets, progress, after, after_us, fit)
    try:
        rows = work.run(ledger, loop, target, cut, now_us)
    except _Refusal as refusal:
        return Built(None, Funnel(tuple(work.steps)), str(refusal))
    funnel = Funnel(tuple(work.steps))
    manifest = manifest_of(
        recipe, ledger, rows, funnel, loop=loop, target=target, cut=cut, now_us=now_us, seed=seed
    )
    manifest["golden"] = [{"name": s.name, "digest": s.digest, "items": len(s)} for s in sets]
    manifest["parents"] = list(parents)
    if after is not None:
        manifest["after"] = after
    if after_us is not None:
        manifest["after_us"] = after_us
    return Built(write(ledger, manifest, rows), funnel)


def preview(
    recipe: Recipe, ledger: Ledger, *, loop: str, target: str, cut: int, now_us: int,
    golden: Iterable[GoldenSet | GoldenItems] = (), seed: int = 0, after: int | None = None, fit: Fit | None = None,
) -> Built:
    """What `build` would give, without writing it: the funnel, and the refusal where there would be
    one. Raises ArgumentError for a recipe with a teacher: what it would write is not known."""
    if teaches(recipe):
        raise ArgumentError("expected a recipe without a teacher, got one that would have to be asked")
    work = _Work(recipe, seed, _held_out(golden, ledger, loop), None, after, None, fit)
    try:
        work.run(ledger, loop, target, cut, now_us)
    except _Refusal as refusal:
        return Built(None, Funnel(tuple(work.steps)), str(refusal))
    return Built(None, Funnel(tuple(work.steps)))


def teaches(recipe: Recipe) -> bool:
    """Whether a teacher of the recipe writes targets."""
    return distiller(recipe) is not None


def _held_out(golden: Iterable[GoldenSet | GoldenItems], ledger: Ledger, loop: str) -> list[GoldenItems]:
    """The items of the golden sets, as they were frozen."""
    sets = [given.load() if isinstance(given, GoldenSet) else given for given in golden]
    for items in sets:
        check_frozen(ledger, loop, items)
    return sets


class _Refusal(Exception):
    pass


class _Work:
    """The steps of one build, and the funnel that they leave."""

    def __init__(
        self,
        recipe: Recipe,
        seed: int,
        sets: Sequence[GoldenItems],
        progress: Callable[[str, int], None] | None,
        after: int | None,
        after_us: int | None,
        fit: Fit | None,
    ) -> None:
        self.recipe, self.seed, self.progress, self.after, self.after_us = recipe, seed, progress, after, after_us
        self.fit, self.unfit = fit, ""
        self.teacher = distiller(recipe)
        self.steps: list[FunnelStep] = []
        self.golden = [s.name for s in sets]
        self.index = GoldenIndex({s.name: s.inputs for s in sets}, {s.name: s.targets for s in sets})
        judged = frozenset[str]().union(*(s.row_ids for s in sets))
        self.judged = pa.array(sorted(judged), pa.string())

    def run(self, ledger: Ledger, loop: str, target: str, cut: int, now_us: int) -> pa.Table:
        """All the steps; raises _Refusal."""
        recipe = self.recipe
        rows, dropped = labelled(
            ledger, loop, target, cut=cut, now_us=now_us, arms=recipe.arms, cohort=recipe.cohort,
            unlabelled=self.teacher is not None,
        )
        self.teach = partial(distil, ledger, loop, now_us=now_us)
        self._note("labelled", rows.num_rows + sum(dropped.values()), rows, dropped)
        seen = None
        if self.after is not None or self.after_us is not None:
            seen, _ = labelled(
                ledger, loop, target, cut=cut if self.after is None else self.after,
                now_us=now_us if self.after_us is None else self.after_us, arms=recipe.arms, cohort=recipe.cohort,
                unlabelled=self.teacher is not None,
            )
        new, old = self._window(rows, now_us, seen)
        new = self._curate(new, "new", recipe.curate)
        if recipe.max_rows is not None and new.num_rows > recipe.max_rows:
            before, new = new.num_rows, draw(new, recipe.max_rows, self.seed, "max_rows")
            self._note("max_rows", before, new, {"not drawn": before - new.num_rows})
        if new.num_rows < recipe.min_rows:
            raise _Refusal(f"Not enough data: {new.num_rows:,} rows, {recipe.min_rows:,} wanted{self.unfit}")
        rows = new if recipe.replay is None else self._replay(new, old)
        rows = rows.sort_by([("ts", "ascending"), ("row_id", "ascending")]).combine_chunks()
        if pc.count_distinct(rows["target"]).as_py() == 1:
            only = rows["target"][0].as_py()
            raise _Refusal(f"One class only: all {rows.num_rows:,} rows say {only[:80]}")
        return rows

    def _window(self, rows: pa.Table, now_us: int, seen: pa.Table | None) -> tuple[pa.Table, pa.Table]:
        since = window_start(self.recipe, now_us)
        inside = np.ones(rows.num_rows, dtype=bool)
        if since is not None:
            inside = pc.greater(rows["known"], since).to_numpy().astype(bool)
        fresh = inside if seen is None else inside & ~_repeated(rows, seen)
        new, old = take(rows, fresh), take(rows, ~fresh)
        gone = {"older than the window": int(np.count_nonzero(~inside)), "seen already": int(np.count_nonzero(inside & ~fresh))}
        self._note("window", rows.num_rows, new, gone)
        if not new.num_rows:
            begin = "the beginning" if since is None else _day(since)
            raise _Refusal(
                f"Empty window: no {'unseen ' if seen is not None else ''}label became known from {begin} to {_day(now_us)}, "
                f"{old.num_rows:,} before"
            )
        return new, old

    def _curate(self, rows: pa.Table, part: str, steps: Sequence[Step]) -> pa.Table:
        unlabelled = self.teacher is not None
        rows = self._fitting(rows, part)
        for step in steps:
            if isinstance(step, Distill):  # no golden item goes to a teacher
                rows, unlabelled = self._exclude(rows, part), False
            try:
                if isinstance(step, Distill):
                    done = self.teach(step, rows)
                else:
                    done = run_step(step, rows, self.seed, unlabelled=unlabelled)
            except DataError as error:
                which = "" if part == "new" else f" (rows for {part})"
                raise _Refusal(f"{step_name(step)} refused{which}: {error.message}") from error
            self._note(step_name(step), rows.num_rows, done.rows, done.dropped, facts=done.facts, part=part)
            rows = done.rows
        return self._exclude(rows, part)

    def _fitting(self, rows: pa.Table, part: str) -> pa.Table:
        """The rows that fit the task and the features; the step stands in the funnel where others were set aside."""
        if self.fit is None:
            return rows
        kept, reasons = set_aside(rows, self.fit)
        if reasons:
            self._note("fit", rows.num_rows, kept, reasons, part=part)
            most, n = max(reasons.items(), key=lambda pair: pair[1])
            self.unfit = f"; {rows.num_rows - kept.num_rows:,} set aside, {n:,} of them: {most} (trueup quarantine)"
        return kept

    def _exclude(self, rows: pa.Table, part: str) -> pa.Table:
        if not self.golden:
            return rows
        judged = pc.is_in(rows["row_id"], self.judged).to_numpy().astype(bool)
        done = exclude_golden(take(rows, ~judged) if len(judged) else rows, self.index)
        dropped = dict(done.dropped)
        if judged.any():
            dropped["judges candidates in this cycle"] = int(np.count_nonzero(judged))
        self._note("golden", rows.num_rows, done.rows, dropped, facts={"sets": ", ".join(self.golden)}, part=part)
        return done.rows

    def _replay(self, new: pa.Table, old: pa.Table) -> pa.Table:
        replay = self.recipe.replay
        assert replay is not None
        wanted = round(replay.share * new.num_rows)
        size = 4 * wanted + 1_000
        salt = _salt(new)
        held = self._among(old, size)
        pool = draw(held, size, self.seed, salt, by=replay.by, each=replay.each)
        over = {"over a limit": old.num_rows - held.num_rows, "not drawn": held.num_rows - pool.num_rows}
        self._note("replay pool", old.num_rows, pool, over, part="replay")
        pool = _in_part(pool, "replay")
        if pool.num_rows:
            pool = self._curate(pool, "replay", _shared(self.recipe.curate, min(wanted, pool.num_rows)))
        latest = any(isinstance(step, Deduplicate) and step.keep == "latest" for step in self.recipe.curate)
        distinct = _not_in(pool, new, latest=latest)
        drawn = draw(distinct.rows, wanted, self.seed, salt, by=replay.by, each=replay.each)
        dropped = {**distinct.dropped, "not drawn": distinct.rows.num_rows - drawn.num_rows}
        before = drawn.num_rows
        for step in self.recipe.curate:
            if hasattr(step, "again"):
                drawn = step.again(drawn, self.seed).rows
        dropped["over a limit"] = before - drawn.num_rows
        facts = {"wanted": wanted}
        self._note("replay", pool.num_rows, drawn, dropped, facts=facts, part="replay")
        return pa.concat_tables([new, drawn])

    def _among(self, rows: pa.Table, n: int) -> pa.Table:
        """What may stand among `n` old rows: no flood crowds the others out of the pool."""
        for step in _shared(self.recipe.curate, min(n, rows.num_rows)):
            if hasattr(step, "among"):
                rows = run_step(step, rows, self.seed, unlabelled=self.teacher is not None).rows
        return rows

    def _note(
        self,
        name: str,
        rows_in: int,
        rows: pa.Table,
        dropped: Mapping[str, int] = _NONE,
        *,
        facts: Mapping[str, Any] = _NONE,
        part: str = "new",
    ) -> None:
        reasons = {reason: int(n) for reason, n in dropped.items() if n}
        self.steps.append(FunnelStep(name, rows_in, rows.num_rows, reasons, dict(facts), part))
        if self.progress is not None:
            self.progress(name, rows.num_rows)


def _salt(new: pa.Table) -> str:
    """What the draw of old rows depends on beside the seed: the new ones, so that each training
    rehearses others, and the same training the same."""
    return "replay/" + digest(sorted(new["row_id"].to_pylist()))


def _shared(steps: Sequence[Step], n: int) -> list[Step]:
    """The steps for a draw of `n` rows: those that limit a share, as limits of it."""
    return [step.among(n) if hasattr(step, "among") else step for step in steps]


def _repeated(rows: pa.Table, seen: pa.Table) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Which rows stand among `seen` with the same target."""
    known = dict(zip(seen["row_id"].to_pylist(), seen["target"].to_pylist(), strict=True))
    pairs = zip(rows["row_id"].to_pylist(), rows["target"].to_pylist(), strict=True)
    return np.array([ident in known and known[ident] == target for ident, target in pairs], dtype=bool)


def _day(us: int) -> str:
    return f"{from_us(us):%Y-%m-%d %H:%M}"


def _in_part(rows: pa.Table, part: str) -> pa.Table:
    place = ROWS.get_field_index("part")
    return rows.set_column(place, ROWS.field(place), pa.array([part] * rows.num_rows, pa.string()))


def _not_in(old: pa.Table, new: pa.Table, *, latest: bool = False) -> Curated:
    """The old rows whose input and target no new row repeats; with `latest`, whose input none does:
    the new target has taken the old one's place."""
    if not old.num_rows:
        return Curated(old)
    names = ("input",) if latest else ("input", "target")
    theirs = set(zip(*(normal(new[name]).to_pylist() for name in names), strict=True))
    mine = zip(*(normal(old[name]).to_pylist() for name in names), strict=True)
    keep = np.array([key not in theirs for key in mine], dtype=bool)
    gone = int(np.count_nonzero(~keep))
    return Curated(take(old, keep), {"repeats a new row": gone} if gone else {})
