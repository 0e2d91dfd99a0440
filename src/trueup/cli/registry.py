# SPDX-License-Identifier: Apache-2.0
"""The registry: what the ledger knows of models, and its projections elsewhere."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from trueup.cli._open import as_json, loop_file, loop_name, open_loop, progress, show_json
from trueup.core.errors import NotFound

if TYPE_CHECKING:
    from trueup.registry import Published

dry_option = click.option("--dry", is_flag=True, help="Say what would be made or set, and leave it.")


@click.group("registry")
def registry_() -> None:
    """The loop's models and their names, here and in MLflow."""


@registry_.command("show")
@loop_name
@as_json
@click.pass_context
def show_(ctx: click.Context, loop_: str | None, json_: bool) -> None:
    """List the candidates with their names, where they stand, and where they are published."""
    from trueup.cli._open import only_loop, open_ledger
    from trueup.registry import projection, troubles
    from trueup.state import PublishedRecord, aliases

    with open_ledger(ctx) as ledger:
        name = only_loop(ledger, loop_)
        found, bad = projection(ledger, name), troubles(ledger, name)
        known, records = aliases(ledger, name), ledger.records(name, PublishedRecord)
    names: dict[str, list[str]] = {}
    for alias, ident in known.items():
        names.setdefault(ident, []).append(alias)
    versions = found.versions if found is not None else ()
    if json_:
        show_json({
            "loop": name, "aliases": known, "not_published": bad, "published": records[-1].at if records else None,
            "candidates": [{"candidate": one.candidate, "tags": dict(one.tags), "about": one.about} for one in versions],
        })
        return
    for one in versions:
        said = f" [{', '.join(names[one.candidate])}]" if one.candidate in names else ""
        click.echo(f"{one.candidate}  {one.tags['trueup.stands']}{said}  {one.about}")
    for trouble in bad:
        click.secho(f"not published to {trouble['target']}: {trouble['error']}", fg="yellow")
    if not versions:
        click.echo(f"{name} has no candidates yet")


@registry_.command("publish")
@loop_file
@loop_name
@dry_option
@as_json
@click.pass_context
def publish_(ctx: click.Context, file: Path, loop_: str | None, dry: bool, json_: bool) -> None:
    """Show what is new wherever Loop(publish=[...]) says, now. Exit 1 where a target is not reached."""
    _publish(ctx, file, loop_, thorough=False, dry=dry, json_=json_)


@registry_.command("rebuild")
@loop_file
@loop_name
@dry_option
@as_json
@click.pass_context
def rebuild_(ctx: click.Context, file: Path, loop_: str | None, dry: bool, json_: bool) -> None:
    """Compare everything with the ledger, and make again what is missing: after MLflow was lost."""
    _publish(ctx, file, loop_, thorough=True, dry=dry, json_=json_)


def _publish(ctx: click.Context, file: Path, name: str | None, *, thorough: bool, dry: bool, json_: bool) -> None:
    from trueup.loop import publish

    with open_loop(ctx, file, name, create=False) as (loop, ledger, _), progress(json_) as say:
        if not loop.publish:
            raise NotFound(
                f"expected a registry that {loop.name} is published to, got none",
                cure="write publish=[Mlflow()] into the loop (from trueup.registry import Mlflow)",
            )
        done = publish(loop, ledger, progress=say, force=True, thorough=thorough, dry=dry)
    if json_:
        show_json([one.to_json() for one in done])
    else:
        for one in done:
            _tell(one, dry)
    sys.exit(1 if any(one.error for one in done) else 0)


def _tell(one: Published, dry: bool) -> None:
    from trueup.cli.look import published_lines

    for text in published_lines(one):
        click.secho(text, fg="yellow" if one.error else None)
    if dry:
        for change in one.changes:
            click.echo(f"  would be: {change.what} {change.name}: {change.words}")
