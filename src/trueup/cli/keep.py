# SPDX-License-Identifier: Apache-2.0
"""Keeping a home in order: prune, backup, restore, migrate, doctor."""

from __future__ import annotations

import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import click

from trueup.cli._open import (
    as_json,
    home_of,
    loop_name,
    only_loop,
    open_ledger,
    progress,
    show_json,
)


@click.command("prune")
@loop_name
@click.option("--last", type=click.IntRange(min=0), help="So many of the newest stay. [default: the loop's Keep, else 5]")
@click.option("--weekly", type=click.IntRange(min=0), help="The newest of each of so many weeks stays. [default: the loop's Keep, else 8]")
@click.option("--monthly", type=click.IntRange(min=0), help="The newest of each of so many months stays. [default: the loop's Keep, else 24]")
@click.option("--keep-days", type=float, help="What is younger stays. [default: the loop's Keep, else 30]")
@click.option("--dry", is_flag=True, help="Say what would go and why the rest stays, and leave it.")
@as_json
@click.pass_context
def prune_(
    ctx: click.Context, loop_: str | None, last: int | None, weekly: int | None, monthly: int | None,
    keep_days: float | None, dry: bool, json_: bool,
) -> None:
    """Throw away models that never served and that nothing holds. Facts and Decisions stay.

    Whatever ever served a user stays for good, and can be restored: trueup rollback --to CANDIDATE.
    """
    from trueup.loop.keeping import keep_of
    from trueup.registry import prune

    asked: dict[str, Any] = {"last": last, "weekly": weekly, "monthly": monthly, "days": keep_days}
    with open_ledger(ctx) as ledger:
        name = only_loop(ledger, loop_)
        keep = replace(keep_of(ledger, name), **{part: n for part, n in asked.items() if n is not None})
        done = prune(ledger, name, keep, dry=dry)
    if json_:
        show_json({"loop": name, **done.to_json()})
        return
    word = "would go" if dry else "gone"
    for ident in done.candidates:
        click.echo(f"{ident}  {_mb(done.sizes[ident])}  {word}: it never served, and nothing holds it")
    for ident, why in done.kept.items():
        click.echo(f"{ident}  {_mb(done.sizes.get(ident, 0))}  stays: {why}")
    for ident in done.snapshots:
        click.echo(f"{ident}  its rows {word}: only what goes learned from them")
    stays = sum(done.sizes.get(ident, 0) for ident in done.kept)
    click.echo(
        f"{len(done.candidates)} candidates and {len(done.folders)} folders {word}, {_mb(done.bytes).strip()}; "
        f"{len(done.kept)} stay, {_mb(stays).strip()}"
    )


def _mb(size: int) -> str:
    return f"{size / 1e6:>10,.1f} MB" if size >= 100_000 else f"{size / 1e3:>10,.1f} kB"


@click.command("backup")
@click.argument("dest", type=click.Path(path_type=Path, file_okay=False), required=False)
@click.option("--dry", is_flag=True, help="Say what would be copied, and copy nothing.")
@as_json
@click.pass_context
def backup_(ctx: click.Context, dest: Path | None, dry: bool, json_: bool) -> None:
    """Copy the home to DEST, whole at one moment, while others go on writing.

    DEST is a folder beside the home (its name and -backup) where it is not given; name one on
    another disk. Into a folder of earlier backups only what is new is copied.
    """
    from trueup.registry import backup

    home = home_of(ctx).absolute()
    folder = dest or home.with_name(f"{home.name}-backup")
    with open_ledger(ctx) as ledger, progress(quiet=json_) as say:
        done = backup(ledger, folder, dry=dry, progress=say)
    if json_:
        show_json(done.to_json())
        return
    word = "would be copied" if dry else "copied"
    click.echo(f"{done.files} files {word}, {_mb(done.bytes).strip()}; {done.known} lay there already")
    for loop, generation in done.manifest["loops"].items():
        click.echo(f"  {loop}: up to generation {generation}")
    if not dry:
        click.echo(f"{done.folder / done.name}")
        click.echo(f"  trueup restore {done.folder} --to HOME")


@click.command("restore")
@click.argument("source", type=click.Path(path_type=Path, exists=True))
@click.option("--to", type=click.Path(path_type=Path, file_okay=False), help="The home to make. [default: the home of --home]")
@click.option("--force", is_flag=True, help="Put a home that is there aside.")
@click.option("--dry", is_flag=True, help="Verify the backup where it lies, and restore nothing.")
@as_json
@click.pass_context
def restore_(ctx: click.Context, source: Path, to: Path | None, force: bool, dry: bool, json_: bool) -> None:
    """Make a home from a backup; SOURCE is its folder (the newest backup) or a backup-*.json in it.

    Every file is compared with its digest, and the whole examined, before it takes its place.
    """
    from trueup.store import restore

    with progress(quiet=json_) as say:
        done = restore(source, to or home_of(ctx), force=force, dry=dry, progress=say)
    if json_:
        show_json(done.to_json())
        return
    word = "verified" if dry else "restored, verified"
    click.echo(f"{done.name} of {done.manifest['made']}: {done.files} files {word}, {_mb(done.bytes).strip()}")
    for loop, generation in done.manifest["loops"].items():
        click.echo(f"  {loop}: up to generation {generation}")
    if done.aside is not None:
        click.echo(f"what was there before lies in {done.aside}")
    if not dry:
        click.echo(f"{done.home}")


@click.command("migrate")
@click.option("--dry", is_flag=True, help="Say which steps there are, and take none.")
@as_json
@click.pass_context
def migrate_(ctx: click.Context, dry: bool, json_: bool) -> None:
    """Bring the home to this version's schema; its journal is copied to backups/ first."""
    from trueup.store import migrate

    done = migrate(home_of(ctx), dry=dry)
    if json_:
        show_json(done.to_json())
        return
    for step in done.steps:
        click.echo(f"{'would do' if dry else 'done'}: {step}")
    if not done.steps:
        click.echo(f"schema {done.after}: nothing to do")
    elif dry:
        click.echo(f"from schema {done.before} to {done.after}")
    else:
        click.echo(f"from schema {done.before} to {done.after}; the journal as it was: {done.backup}")


@click.command("doctor")
@click.option("--quick", is_flag=True, help="Do not read every file to compare its digest, and ask no registry.")
@as_json
@click.pass_context
def doctor_(ctx: click.Context, quick: bool, json_: bool) -> None:
    """What is wrong with this home, and what to do about it. Exit 5 where something is.

    Registries are asked whether they are there, and how far behind; channels of alerts are looked at.
    Nothing is changed or sent.
    """
    from trueup.loop.outside import outside
    from trueup.registry import ailments

    with open_ledger(ctx) as ledger:
        found = [*ailments(ledger, deep=not quick), *outside(ledger, ask=not quick)]
    if json_:
        show_json([asdict(one) for one in found])
    else:
        colours = {"error": "red", "warning": "yellow", "note": "white"}
        for one in found:
            click.secho(f"{one.level}: {one.message}", fg=colours[one.level])
            if one.cure:
                click.echo(f"  cure: {one.cure}")
        if not found:
            click.secho(f"all is well in {ledger.home}", fg="green")
    sys.exit(5 if any(one.level == "error" for one in found) else 0)
