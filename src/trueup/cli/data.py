# SPDX-License-Identifier: Apache-2.0
"""The data commands: import, snapshot, golden."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from trueup.cli._open import (
    as_json,
    loop_file,
    loop_name,
    only_loop,
    open_ledger,
    open_loop,
    progress,
    show_json,
)
from trueup.core.errors import DefinitionError, UnknownName

if TYPE_CHECKING:
    from trueup.data import GoldenSet, Mapping, Proposal, Snapshot
    from trueup.loop import Loop


@click.command("import")
@click.argument("data", metavar="FILE", type=click.Path(path_type=Path))
@click.argument("file", metavar="[LOOPFILE]", type=click.Path(path_type=Path), default=Path("loop.py"), required=False)
@loop_name
@click.option(
    "--map", "maps", metavar="PART=COLUMN", multiple=True,
    help="What a column is: input=a,b unit=... ts=... known=... key=... keep=... OUTCOME=...; PART= for none. "
    "How it is written: day-first=date, month-first=, excel-days=, years=, yyyymm=, seconds=, decimal-comma=price, "
    "decimal-point=, text=zip.",
)
@click.option("--yes", is_flag=True, help="Do not ask whether the mapping is right.")
@as_json
@click.pass_context
def import_(
    ctx: click.Context, data: Path, file: Path, loop_: str | None, maps: tuple[str, ...], yes: bool, json_: bool
) -> None:
    """Bring past requests and labels in, from JSON lines, CSV or Parquet."""
    from trueup.data import certain, import_file
    from trueup.models import features_of

    with open_loop(ctx, file, loop_) as (loop, ledger, _):
        asking = not (yes or json_) and sys.stdin.isatty()
        proposal = proposed(data, loop, maps, ask=asking)
        if not json_:
            for text in (*proposal.mapping.lines(), *(f"note: {note}" for note in proposal.notes)):
                click.echo(f"  {text}")
        mapping = certain(proposal, data.name)
        if asking:
            click.confirm("Import with this mapping (--map changes it)?", default=True, abort=True)
        with progress(json_) as say:
            done = import_file(
                ledger, data, loop.name, mapping, task=loop.task, outcomes=loop.outcomes, features=features_of(loop.trainer),
                progress=lambda at, of: say(f"importing {data.name}", at, of),
            )
    if json_:
        from trueup.core.values import to_json

        show_json({"loop": loop.name, **asdict(done), "mapping": to_json(mapping), "notes": [*proposal.notes]})
        return
    click.echo(f"{done.rows:,} rows, {done.new:,} of them new, {done.labels:,} new outcomes")
    if done.quarantined:
        click.secho(f"{done.quarantined:,} rows set aside, with their lines and reasons: {done.quarantine}", fg="yellow")


def proposed(data: Path, loop: Loop, maps: tuple[str, ...], *, ask: bool = False) -> Proposal:
    """The mapping of a file with what was said on the command line; what it leaves open is asked for."""
    from dataclasses import replace

    from trueup.data import propose, settled
    from trueup.models import features_of

    features = features_of(loop.trainer)
    first = propose(data, loop.task, loop.outcomes, features)
    while True:
        found = settled(data, mapped(first.mapping, maps, loop), loop.task, loop.outcomes, features)
        said = {text.partition("=")[0] for text in maps}
        open_ = [doubt for doubt in first.doubts if "ts=" in doubt.cures and "ts" not in said]
        doubts = (*open_, *found.doubts)
        notes = dict.fromkeys((*(note for note in first.notes if note.partition(":")[0] not in found.mapping.spelled), *found.notes))
        if not doubts or not ask:
            return replace(found, doubts=doubts, notes=tuple(notes))
        click.echo(f"  {doubts[0].words}")
        maps = (*maps, click.prompt("  Which", type=click.Choice(doubts[0].cures)))


def mapped(mapping: Mapping, maps: tuple[str, ...], loop: Loop) -> Mapping:
    """The mapping with the parts that were named on the command line."""
    from trueup.data import with_maps

    return with_maps(mapping, maps, [one.name for one in loop.outcomes])


@click.command("quarantine")
@loop_file
@loop_name
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="How many rows to show of each kind.")
@as_json
@click.pass_context
def quarantine_(ctx: click.Context, file: Path, loop_: str | None, limit: int, json_: bool) -> None:
    """The rows that were set aside, and why: of imports, of logged requests, of feedback."""
    from trueup.loop.quarantine import quarantined

    with open_loop(ctx, file, loop_, create=False) as (loop, ledger, _):
        found = quarantined(loop, ledger)
    if json_:
        show_json(asdict(found))
        return
    for title, rows in found.parts():
        click.echo(f"{title}: {len(rows):,} rows")
        for reason, n in found.reasons(rows)[:limit] if len(rows) > limit else ():
            click.echo(f"  {n:>8,}  {reason}")
        for row in rows[:limit]:
            click.echo(f"  {row.place}: {row.reason}")
            click.echo(f"    {row.raw[:160]}")
        if len(rows) > limit:
            click.echo(f"  ... {len(rows) - limit:,} more: --limit {len(rows)}, or --json")
    for words in found.outcomes:
        click.secho(words, fg="yellow")
    if not found.parts() and not found.outcomes:
        click.echo("nothing is set aside")


# -- snapshot -------------------------------------------------------------------------------------


@click.group("snapshot")
def snapshot_() -> None:
    """The datasets that models were trained on."""


def _row(one: Snapshot) -> dict[str, Any]:
    made = one.manifest
    return {
        "id": one.id, "loop": one.loop, "created": made["created"], "rows": made["rows"]["total"],
        "parts": made["rows"]["parts"], "window": made["window"], "cut": made["cut"],
    }


@snapshot_.command("list")
@loop_name
@as_json
@click.pass_context
def list_(ctx: click.Context, loop_: str | None, json_: bool) -> None:
    """All Snapshots, the oldest first."""
    from trueup.data import list_snapshots
    from trueup.loop.context import moment

    with open_ledger(ctx) as ledger:
        names = [only_loop(ledger, loop_)] if loop_ else ledger.loops()
        found = [_row(one) for name in names for one in list_snapshots(ledger, name)]
    if json_:
        show_json(found)
        return
    for row in found:
        parts = ", ".join(f"{n:,} {part}" for part, n in row["parts"].items())
        click.echo(f"{moment(row['created'])}  {row['id']}  {row['loop']}  {row['rows']:,} rows ({parts})")
    if not found:
        click.echo("no Snapshot yet: a training builds one")


@snapshot_.command("show")
@click.argument("id_", metavar="ID")
@loop_name
@as_json
@click.pass_context
def show_(ctx: click.Context, id_: str, loop_: str | None, json_: bool) -> None:
    """One Snapshot: its rows, recipe, sources, and the funnel that it came out of."""
    from trueup.data import load
    from trueup.loop.context import moment

    with open_ledger(ctx) as ledger:
        one = load(ledger, id_, loop_)
    made = one.manifest
    if json_:
        show_json({"id": one.id, "data": one.data.to_json(), **made})
        return
    since = made["window"]["since"]
    click.echo(f"{one.id} of {one.loop}, built {moment(made['created'])} at cut {made['cut']:,}")
    click.echo(f"window   {'all history' if since is None else moment(since)} to {moment(made['window']['until'])}")
    for name in ("parts", "cohorts", "arms", "classes"):
        if made["rows"][name]:
            click.echo(f"{name:<8} {', '.join(f'{key} {n:,}' for key, n in made['rows'][name].items())}")
    for source in made["sources"]:
        click.echo(f"source   {source['file']} ({source['rows']:,} rows, {source['digest'][:16]})")
    for golden in made["golden"]:
        click.echo(f"golden   {golden['name']} ({golden['items']:,} items, {golden['digest'][:16]}) left out")
    click.echo(f"recipe   {made['recipe_digest'][:16]}, seed {made['seed']}, rows {made['logical_digest'][:16]}")
    for text in one.funnel.lines():
        click.echo(f"  {text}")


@snapshot_.command("diff")
@click.argument("before")
@click.argument("after")
@loop_name
@as_json
@click.pass_context
def diff_(ctx: click.Context, before: str, after: str, loop_: str | None, json_: bool) -> None:
    """What changed from one Snapshot to another: rows, cohorts, recipe, code."""
    from trueup.data import diff, load

    with open_ledger(ctx) as ledger:
        found = diff(load(ledger, before, loop_), load(ledger, after, loop_))
    if json_:
        show_json(found.to_json())
        return
    for text in found.lines():
        click.echo(text)


@snapshot_.command("verify")
@click.argument("id_", metavar="ID")
@loop_name
@as_json
@click.pass_context
def verify_(ctx: click.Context, id_: str, loop_: str | None, json_: bool) -> None:
    """Read a Snapshot's rows and compare them with its manifest. Exit 5 where they differ."""
    from trueup.data import load, verify

    with open_ledger(ctx) as ledger:
        ident = load(ledger, id_, loop_).id
        faults = verify(ledger, ident, loop_)
    if json_:
        show_json({"id": ident, "faults": faults})
    else:
        for text in faults or [f"{ident} is what its manifest says"]:
            click.secho(text, fg="red" if faults else "green")
    sys.exit(5 if faults else 0)


# -- golden ---------------------------------------------------------------------------------------


@click.group("golden")
def golden_() -> None:
    """The items that judge candidates and never train them."""


def _sets(loop: Loop, name: str | None) -> list[GoldenSet]:
    """The golden files that the loop's gates name, or the one of this name."""
    from trueup.data import GoldenSet

    found = [one for one in loop.golden() if isinstance(one, GoldenSet)]
    if name is not None and name not in [one.name for one in found]:
        raise UnknownName("golden set", name, [one.name for one in found])
    return [one for one in found if name in (None, one.name)]


def _only(loop: Loop, name: str | None) -> GoldenSet:
    found = _sets(loop, name)
    if len(found) != 1:
        raise DefinitionError(
            f"expected one golden set in {loop.name}, got {len(found)}",
            cure=f"--set {' or '.join(one.name for one in found)}" if found else "name one in a gate: AtLeast(..., on=GoldenSet(...))",
        )
    return found[0]


set_name = click.option("--set", "set_", metavar="NAME", help="Which golden set, where there are several.")


@golden_.command("add")
@click.argument("items", metavar="ITEMS", type=click.Path(path_type=Path))
@loop_file
@loop_name
@set_name
@as_json
@click.pass_context
def add_(
    ctx: click.Context, items: Path, file: Path, loop_: str | None, set_: str | None, json_: bool
) -> None:
    """Add items from a file of JSON lines {"input": ..., "target": ...}; all or none."""
    from trueup.data import add_items
    from trueup.data.golden import read_items

    with open_loop(ctx, file, loop_) as (loop, ledger, _):
        one = _only(loop, set_)
        added = add_items(one, read_items(items), ledger=ledger, loop=loop.name)
        size = len(one.load())
    if json_:
        show_json({"set": one.name, "added": added, "items": size})
    else:
        click.echo(f"{added:,} items added to {one.name}, which has {size:,} now")


@golden_.command("freeze")
@loop_file
@loop_name
@set_name
@as_json
@click.pass_context
def freeze_(ctx: click.Context, file: Path, loop_: str | None, set_: str | None, json_: bool) -> None:
    """Record the set's digest: from now on a change of its items is an error."""
    from trueup.data import freeze

    with open_loop(ctx, file, loop_) as (loop, ledger, _):
        one = _only(loop, set_)
        digest = freeze(ledger, loop.name, one)
    if json_:
        show_json({"set": one.name, "digest": digest})
    else:
        click.echo(f"{one.name} is frozen at {digest[:16]}")


@golden_.command("show")
@loop_file
@loop_name
@set_name
@as_json
@click.pass_context
def show_golden(ctx: click.Context, file: Path, loop_: str | None, set_: str | None, json_: bool) -> None:
    """The golden sets: items, slices, whether frozen, how often used, and what their gates can tell."""
    from trueup.data import frozen_digest, uses

    found: list[dict[str, Any]] = []
    with open_loop(ctx, file, loop_) as (loop, ledger, _):
        for one in _sets(loop, set_):
            items = one.load()
            gates = [gate for gate in loop.gates if gate.on == one]
            found.append({
                "set": one.name, "file": str(one.path), "items": len(items), "digest": items.digest,
                "frozen": frozen_digest(ledger, loop.name, one.name), "uses": uses(ledger, loop.name, one.name),
                "slices": {name: sorted({part for part in parts if part is not None}) for name, parts in items.slices.items()},
                "notes": [text for gate in gates for text in (*gate.check(items), *gate.notes(items))],
            })
    if json_:
        show_json(found)
        return
    for row in found:
        state = f"frozen at {row['frozen'][:16]}" if row["frozen"] else "not frozen"
        click.echo(f"{row['set']}: {row['items']:,} items, {row['digest'][:16]}, {state}, {row['uses']} uses  {row['file']}")
        for name, parts in row["slices"].items():
            click.echo(f"  slices by {name}: {', '.join(parts[:20])}{' ...' if len(parts) > 20 else ''}")
        for text in dict.fromkeys(row["notes"]):
            click.echo(f"  {text}")
    if not found:
        click.echo("no golden set: only fresh traffic judges a candidate")
