# SPDX-License-Identifier: Apache-2.0
"""Beginning: init, demo, completion."""

from __future__ import annotations

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
@click.option("--force", is_flag=True, help="Write over files that are there.")
@as_json
def init_(kind: str, folder: Path, data: Path | None, model: str | None, force: bool, json_: bool) -> None:
    """Write a working loop into DIR.

    KIND is classify (a label for each input, by scikit-learn or XGBoost) or generate (a text, by an adapter
    on the language model of --model, which needs trueup[loop,lora]).
    """
    from trueup.loop.starting import start

    made = start(kind, folder, data, model=model, force=force)
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
        click.echo(f"  trueup import {data.resolve() if data else 'FILE'}")
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
