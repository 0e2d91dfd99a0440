# SPDX-License-Identifier: Apache-2.0
"""Failure drills: drill."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from trueup.cli._open import as_json, open_loop, show_json


@click.command("drill")
@click.argument("name", required=False)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of everything random in it.")
@click.option("--releases", type=click.IntRange(min=20), help="aa: how many releases are simulated. [default: 400]")
@click.option(
    "--form", type=click.Choice(["ab", "bandit", "contextual", "interleave"]),
    help="aa: the experiment of the drill's own release. [default: ab]",
)
@click.option(
    "--loop", "file", type=click.Path(exists=True, path_type=Path),
    help="aa: a loop file, whose stages and whose champion's log in its home are taken.",
)
@as_json
@click.pass_context
def drill_(
    ctx: click.Context, name: str | None, seed: int, releases: int | None, form: str | None, file: Path | None, json_: bool
) -> None:
    """Inject a failure and see the loop survive it; without NAME, list the drills.

    Exit 1 where something that must be seen was not. A drill plays in a new temporary home, or in
    that of --home, which must be empty (with --loop it is the loop's, which is only read).
    """
    from trueup.lab.drills import drills, find, play

    if name is None:
        if json_:
            show_json([one.to_json() for one in drills().values()])
            return
        for one in drills().values():
            click.echo(f"{click.style(one.name, bold=True):<30}{one.id:<8}{one.failure}")
            click.echo(f"{'':<22}{one.seen}")
        return
    found = find(name)
    root = ctx.find_root()
    named = root.get_parameter_source("home") is click.core.ParameterSource.COMMANDLINE
    if form is not None and file is not None:
        raise click.UsageError("--form is of the drill's own release: leave it out with --loop, whose stages are taken.")
    options: dict[str, Any] = {name: given for name, given in (("releases", releases), ("form", form)) if given is not None}
    with ExitStack() as stack:
        if file is not None:
            options["loop"] = stack.enter_context(open_loop(ctx, file, None, create=False))
        account = play(
            found, root.obj if named and file is None else None, seed=seed, quiet=json_, options=options,
        )
    if json_:
        show_json({"drill": found.to_json(), "seed": seed, **account.to_json()})
    sys.exit(0 if account.holds else 1)
