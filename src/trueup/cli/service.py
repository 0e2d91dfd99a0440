# SPDX-License-Identifier: Apache-2.0
"""The service, and the runs that it performs: up, runs."""

from __future__ import annotations

import json
import os
import re
import sys
from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from trueup.cli._open import as_json, home_of, loop_name, only_loop, open_ledger, show_json

if TYPE_CHECKING:
    from trueup.service import Line, Service

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


class Duration(click.ParamType):  # type: ignore[type-arg]  # click 8.1 has no arguments
    """`90s`, `10m`, `1.5h`, `2d`."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhdw])", str(value).strip())
        if match is None:
            self.fail(f"expected a duration such as 90s, 10m, 1.5h or 2d, got {value!r}", param, ctx)
        return timedelta(**{_UNITS[match[2]]: float(match[1])})


@click.command("up")
@click.argument("files", type=click.Path(path_type=Path), nargs=-1)
@click.option("--once", is_flag=True, help="Do what is due, trainings included, and end.")
@click.option("--for", "lasting", type=Duration(), help="End after so long: 90s, 10m, 1.5h, 2d.")
@click.option(
    "--durable", metavar="URL", envvar="TRUEUP_DURABLE_URL",
    help="Keep runs on this Postgres server (postgresql://...); off: in process. [default: SQLite in the home]",
)
@as_json
@click.pass_context
def up_(
    ctx: click.Context, files: tuple[Path, ...], once: bool, lasting: timedelta | None, durable: str | None, json_: bool,
) -> None:
    """Keep the loops of these files for months: look, train, release, tell. Ctrl-C stops it cleanly."""
    from trueup.service import up
    from trueup.service.view import View

    files = files or (Path("loop.py"),)
    home = home_of(ctx, (files[0] if files[0].is_dir() else files[0].parent).resolve())
    view = View() if sys.stdout.isatty() and not json_ and not once else None

    def tell(line: Line) -> None:
        if view is not None:
            view.tell(line)
        else:
            click.echo(json.dumps(line.to_json(), ensure_ascii=False) if json_ else str(line))

    kept: list[Service] = []

    def watch(service: Service) -> None:
        kept.append(service)
        if view is not None:
            view.watch(service)

    with view.shown() if view is not None else nullcontext():
        up(files, home, once=once, lasting=lasting, durable=durable, tell=tell, watch=watch)
    if kept[0].stuck:  # the engine's threads wait for a server that is away: they are left as a kill leaves them
        sys.stdout.flush()
        os._exit(0)


@click.group("runs", invoke_without_command=True)
@click.option("--last", type=click.IntRange(1), default=20, show_default=True, help="How many of each loop.")
@loop_name
@as_json
@click.pass_context
def runs_(ctx: click.Context, last: int, loop_: str | None, json_: bool) -> None:
    """Every training run: what it is at, or how it ended. A run is never dropped in silence."""
    if ctx.invoked_subcommand is not None:
        return
    from trueup.loop.context import moment
    from trueup.service import runs

    with open_ledger(ctx) as ledger:
        names = [only_loop(ledger, loop_)] if loop_ else ledger.loops()
        found = [run for name in names for run in runs(ledger, name, last=last)]
    if json_:
        show_json([run.to_json() for run in found])
        return
    for run in found:
        click.echo(f"{moment(run.began)}  {run.id}  {run.loop}  {run.state:<10}  {run.reason}"[:240])
    if not found:
        click.echo("no run has begun in this home yet")


@runs_.command("show")
@click.argument("id_", metavar="ID")
@loop_name
@as_json
@click.pass_context
def show_(ctx: click.Context, id_: str, loop_: str | None, json_: bool) -> None:
    """A run by its id, or the beginning of it: its steps, with their seconds, and its failed tries."""
    from trueup.loop.context import moment
    from trueup.service import steps_of

    with open_ledger(ctx) as ledger:
        found = steps_of(ledger, id_, loop_)
    if json_:
        show_json(found.to_json())
        return
    run = found.run
    click.echo(f"{run.id} of {run.loop}, begun {moment(run.began)} by pipeline {run.pipeline}: {run.state}: {run.reason}")
    for step in found.steps:
        click.echo(f"  {moment(step.at)}  {step.step:<10} {step.seconds:.1f} s")
    for retry in found.retries:
        click.echo(f"  {retry.step} failed, and was tried again after {retry.waits:.0f} s: {retry.reason}")
    if run.decision:
        click.echo(f"trueup why {run.decision} says more")


@runs_.command("abandon")
@click.argument("id_", metavar="ID")
@click.option("--reason", "-m", required=True, help="Why; it is recorded with the Decision.")
@loop_name
@as_json
@click.pass_context
def abandon_(ctx: click.Context, id_: str, reason: str, loop_: str | None, json_: bool) -> None:
    """Give up an unfinished run: its rows stay new for the next one."""
    from dataclasses import asdict

    from trueup.service import abandon

    with open_ledger(ctx) as ledger:
        made = abandon(ledger, id_, reason=reason, loop=loop_)
    if json_:
        show_json(asdict(made))
    else:
        click.echo(f"{made.evidence['cycle']} is abandoned: {reason}  ({made.id})")
