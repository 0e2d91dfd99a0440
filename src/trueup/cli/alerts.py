# SPDX-License-Identifier: Apache-2.0
"""Alerts: what people were told, whether the channels work, and silence for a while."""

from __future__ import annotations

import re
import sys
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path

import click

from trueup.cli._open import (
    as_json,
    as_name,
    loop_file,
    loop_name,
    only_loop,
    open_ledger,
    open_loop,
    show_json,
)
from trueup.core.errors import ArgumentError

_SPAN = re.compile(r"(\d+)([mhdw])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


@click.group("alerts", invoke_without_command=True)
@click.pass_context
def alerts_(ctx: click.Context) -> None:
    """What people were told: list, test the channels, accept, mute."""
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_)


@alerts_.command("list")
@click.option("--last", default=20, show_default=True, type=click.IntRange(1, 200), help="How many, newest first.")
@loop_name
@as_json
@click.pass_context
def list_(ctx: click.Context, last: int = 20, loop_: str | None = None, json_: bool = False) -> None:
    """The last alerts, newest first, and which channels have had them."""
    from trueup.alerts import raised
    from trueup.loop.context import moment

    with open_ledger(ctx) as ledger:
        found = raised(ledger, only_loop(ledger, loop_), last)
    if json_:
        show_json(found)
        return
    colours = {"error": "red", "warning": "yellow", "info": "white"}
    for one in found:
        word = click.style(f"{one['severity']:<8}", fg=colours[one["severity"]])
        where = "muted" if one["muted"] else ", ".join(one["sent"]) or "not sent yet"
        click.echo(f"{moment(one['happened'])}  {word}  {one['what']}")
        click.echo(f"    {one['command']}  [{where}; {one['id']}]")
    if not found:
        click.echo("nobody was told anything yet")


@alerts_.command("test")
@loop_file
@loop_name
@as_json
@click.pass_context
def test_(ctx: click.Context, file: Path, loop_: str | None, json_: bool) -> None:
    """Send a test to every channel of a loop now; exits 7 where one does not take it."""
    from trueup.alerts import try_out

    with open_loop(ctx, file, loop_) as (loop, ledger, _):
        found = try_out(ledger, loop.name, loop.alerts)
    if json_:
        show_json([one.to_json() for one in found])
    else:
        for one in found:
            click.secho(f"{one.channel}: {one.error or 'took it'}", fg="red" if one.error else "green")
    sys.exit(7 if any(one.error for one in found) else 0)


@alerts_.command("accept")
@click.argument("detector")
@click.option("--reason", "-m", required=True, help="Why; it is recorded with the Decision.")
@as_name
@loop_name
@as_json
@click.pass_context
def accept_(ctx: click.Context, detector: str, reason: str, name: str | None, loop_: str | None, json_: bool) -> None:
    """An alarm is understood: its detector (business:revenue) counts afresh from now on."""
    from trueup.release import accept, told_as

    with open_ledger(ctx) as ledger:
        made = accept(ledger, only_loop(ledger, loop_), detector, reason=reason, who=told_as(name, None))
    if json_:
        show_json(asdict(made))
    else:
        click.echo(f"{made.reason}  ({made.id})")


@alerts_.command("mute")
@click.argument("pattern", metavar="KIND")
@click.option("--for", "span", required=True, metavar="SPAN", help="How long: 90m, 12h, 7d, 2w.")
@click.option("--reason", "-m", required=True, help="Why; it is recorded.")
@loop_name
@as_json
@click.pass_context
def mute_(ctx: click.Context, pattern: str, span: str, reason: str, loop_: str | None, json_: bool) -> None:
    """Send no alerts of a kind (failed, alarm, ...), or of a key's beginning, for a while; they are still listed."""
    from trueup.alerts import mute
    from trueup.loop.context import moment
    from trueup.release import whoami

    found = _SPAN.fullmatch(span)
    if found is None:
        raise ArgumentError(f"expected a span such as 90m, 12h, 7d or 2w, got {span!r}")
    with open_ledger(ctx) as ledger:
        made = mute(
            ledger, only_loop(ledger, loop_), pattern, span=timedelta(**{_UNITS[found[2]]: int(found[1])}),
            reason=reason, who=whoami(),
        )
    if json_:
        show_json(made)
    else:
        click.echo(f"{pattern} is muted until {moment(made['until'])}: {reason}")
