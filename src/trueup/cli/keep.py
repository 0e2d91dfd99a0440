# SPDX-License-Identifier: Apache-2.0
"""Keeping a home in order: prune, doctor."""

from __future__ import annotations

import sys
from dataclasses import asdict

import click

from trueup.cli._open import as_json, loop_name, only_loop, open_ledger, show_json


@click.command("prune")
@loop_name
@click.option("--keep-days", type=float, default=30.0, show_default=True, help="What is younger stays.")
@click.option("--dry", is_flag=True, help="Say what would go, and leave it.")
@as_json
@click.pass_context
def prune_(ctx: click.Context, loop_: str | None, keep_days: float, dry: bool, json_: bool) -> None:
    """Throw away models that were refused and never served. Facts and Decisions stay."""
    from trueup.registry.retention import prune

    with open_ledger(ctx) as ledger:
        name = only_loop(ledger, loop_)
        done = prune(ledger, name, keep_days=keep_days, dry=dry)
    if json_:
        show_json({"loop": name, **done.to_json()})
        return
    word = "would go" if dry else "gone"
    for ident in done.candidates:
        click.echo(f"{ident}  {word}")
    for ident, why in done.kept.items():
        click.echo(f"{ident}  stays: {why}")
    click.echo(f"{len(done.candidates)} candidates and {len(done.folders)} folders {word}, {done.bytes / 1e6:,.1f} MB")


@click.command("doctor")
@click.option("--quick", is_flag=True, help="Do not read every file to compare its digest.")
@as_json
@click.pass_context
def doctor_(ctx: click.Context, quick: bool, json_: bool) -> None:
    """What is wrong with this home, and what to do about it. Exit 5 where something is."""
    from trueup.registry.retention import ailments

    with open_ledger(ctx) as ledger:
        found = ailments(ledger, deep=not quick)
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
