# SPDX-License-Identifier: Apache-2.0
"""The service: up."""

from __future__ import annotations

import json
import re
import sys
from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from trueup.cli._open import as_json, home_of

if TYPE_CHECKING:
    from trueup.service import Line

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
@as_json
@click.pass_context
def up_(ctx: click.Context, files: tuple[Path, ...], once: bool, lasting: timedelta | None, json_: bool) -> None:
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

    with view.shown() if view is not None else nullcontext():
        up(files, home, once=once, lasting=lasting, tell=tell, watch=view.watch if view else None)
