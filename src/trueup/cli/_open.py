# SPDX-License-Identifier: Apache-2.0
"""What the commands share: the home, the ledger, the loop, and how facts are printed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from trueup.core.errors import NotFound, UnknownName

if TYPE_CHECKING:
    from trueup.loop import Loop
    from trueup.store import Ledger

F = TypeVar("F", bound=Callable[..., Any])

as_json = click.option("--json", "json_", is_flag=True, help="Print the facts as JSON.")
loop_name = click.option("--loop", "loop_", metavar="NAME", help="Which loop, where there are several.")
as_name = click.option("--as", "name", metavar="NAME", help="Who says so. [default: the system's user, unverified]")
loop_file = click.argument(
    "file", type=click.Path(path_type=Path), default=Path("loop.py"), required=False
)


def home_of(ctx: click.Context, near: Path | None = None) -> Path:
    """The home: --home, TRUEUP_HOME, or .trueup beside the nearest loop file or pyproject.toml."""
    from trueup.client import find_home

    if ctx.find_root().obj is not None:
        return Path(ctx.find_root().obj)
    return find_home(near or Path.cwd())


@contextmanager
def open_ledger(ctx: click.Context, near: Path | None = None, *, create: bool = False) -> Iterator[Ledger]:
    """The ledger of the home; raises NotFound where there is none and none may be made."""
    from trueup.store import Ledger

    home = home_of(ctx, near)
    if not create and not (home / "journal.sqlite").exists():
        raise NotFound(
            f"expected a ledger in {home}, got none",
            cure="run or import something first, or name the home with --home",
        )
    with Ledger.open(home) as ledger:
        yield ledger


@contextmanager
def open_loop(
    ctx: click.Context, file: Path, name: str | None, *, create: bool = True
) -> Iterator[tuple[Loop, Ledger, Path]]:
    """A loop file's loop, the ledger of its home, and the file's folder."""
    from trueup.loop import load_loop

    loop = load_loop(file, name)
    base = (file if file.is_dir() else file.parent).resolve()
    with open_ledger(ctx, base, create=create) as ledger:
        yield loop, ledger, base


def only_loop(ledger: Ledger, name: str | None) -> str:
    """The home's only loop, or the one that was named."""
    known = ledger.loops()
    if name is not None and name not in known:
        raise UnknownName("loop", name, known)
    if name is not None:
        return name
    if len(known) != 1:
        raise NotFound(
            f"expected one loop in this home, got {len(known)}",
            cure=f"--loop {' or '.join(known)}" if known else "run a loop first",
        )
    return known[0]


def show_json(data: Any) -> None:
    click.echo(json.dumps(data, indent=2, ensure_ascii=False, default=str))


def _quiet(_what: str, _done: int, _total: int) -> None:
    """Nobody watches."""


@contextmanager
def progress(quiet: bool = False) -> Iterator[Callable[[str, int, int], None]]:
    """A progress bar on a terminal (or nothing): call it with (what, done, total)."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield _quiet
        return
    with Progress(
        SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(),
        console=console, transient=True,
    ) as bar:
        task = bar.add_task("starting", total=None)

        def say(what: str, done: int, total: int) -> None:
            bar.update(task, description=what, completed=done, total=total or None)

        yield say
