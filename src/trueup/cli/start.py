# SPDX-License-Identifier: Apache-2.0
"""Beginning: init, demo, completion."""

from __future__ import annotations

import shlex
import sys
from importlib import import_module
from pathlib import Path

import click

from trueup.cli._open import as_json, show_json

_SHELLS = ("bash", "zsh", "fish")


@click.command("init")
@click.argument("kind", metavar="KIND")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path, file_okay=False))
@click.option("--data", type=click.Path(path_type=Path), help="JSON lines, CSV or Parquet with right answers.")
@click.option("--model", metavar="MODEL", help="generate: a language model's folder, or its id on the hub.")
@click.option("--target", metavar="COLUMN", help="classify: the column of right answers.")
@click.option("--time", metavar="COLUMN", help="classify: when a row happened.")
@click.option("--unit", metavar="COLUMN", help="classify: who asked: a user, a customer.")
@click.option("--ignore", metavar="COLUMN", multiple=True, help="classify: a column that is not learned from.")
@click.option("--map", "maps", metavar="HOW=COLUMN", multiple=True, help="classify: how a column is written, as `import` takes it.")
@click.option("--force", is_flag=True, help="Write over files that are there.")
@as_json
def init_(
    kind: str, folder: Path, data: Path | None, model: str | None, target: str | None, time: str | None, unit: str | None,
    ignore: tuple[str, ...], maps: tuple[str, ...], force: bool, json_: bool,
) -> None:
    """Write a working loop into DIR.

    KIND is classify (a label for each input, by scikit-learn or XGBoost) or generate (a text, by an adapter
    on the language model of --model, which needs trueup[loop,lora]). classify prints what it takes each column
    for, and why; where it is unsure it asks, or stops with the flag that answers.
    """
    from trueup.loop.starting import start
    from trueup.loop.starting.guess import Said, Unsure

    said: Said | None = Said(target, time, unit, ignore, maps)
    said = None if said == Said() else said
    try:
        made = start(kind, folder, data, model=model, force=force, said=said)
    except Unsure as unsure:
        if json_ or not sys.stdin.isatty():
            raise
        click.echo(unsure.message)
        target = click.prompt("Which", type=click.Choice(unsure.choices))
        made = start(kind, folder, data, model=model, force=force, said=Said(target, time, unit, ignore, maps))
    severe = [problem for problem in made.problems if problem.severe]
    if json_:
        show_json(made.to_json())
    else:
        for path in made.files:
            click.echo(f"wrote {path}")
        for note in made.notes:
            click.echo(f"  {note}")
        for problem in made.problems:
            click.secho(f"  {problem}", fg="red" if problem.severe else "yellow")
        click.echo("next:")
        click.echo(f"  cd {folder}")
        more = "".join(f" --map {shlex.quote(one)}" for one in made.maps)
        click.echo(f"  trueup import {shlex.quote(str(data.resolve())) if data else 'FILE'}{more}")
        click.echo("  trueup run --train    # and `trueup approve` what it names: the loop asks before each release")
    sys.exit(2 if severe else 0)


@click.command("demo")
@click.argument("name", type=click.Choice(["films", "news"]), default="films", required=False)
@click.option("--daily", is_flag=True, help="Of news: summaries by a teacher, an hour in shadow, then the swap.")
@click.option("--seed", type=click.IntRange(min=0), help="Of everything random in it. [default: that of the world]")
@as_json
@click.pass_context
def demo_(ctx: click.Context, name: str, daily: bool, seed: int | None, json_: bool) -> None:
    """A simulated world, played whole: rest, promotion, a flood, a rollback.

    films (the default): a year of a genre classifier, in a minute. news: five weeks of a language model
    that learns each week's news, in three minutes; it needs trueup[lora,text], and downloads nothing.
    """
    if daily and name != "news":
        raise click.UsageError("--daily is a form of the demo news: trueup demo news --daily")
    play = getattr(import_module(f"trueup.lab.{name}"), "daily" if daily else "demo")
    root = ctx.find_root()
    named = root.get_parameter_source("home") is click.core.ParameterSource.COMMANDLINE
    account = play(root.obj if named else None, quiet=json_, seed=seed)
    if json_:
        show_json(account.to_json())
    sys.exit(0 if account.holds else 1)


@click.command("completion")
@click.argument("shell", type=click.Choice(_SHELLS))
@click.pass_context
def completion_(ctx: click.Context, shell: str) -> None:
    """Print the completion script of a shell: eval "$(trueup completion bash)"."""
    from click.shell_completion import get_completion_class

    found = get_completion_class(shell)
    assert found is not None
    click.echo(found(ctx.find_root().command, {}, "trueup", "_TRUEUP_COMPLETE").source())
