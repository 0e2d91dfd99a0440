# SPDX-License-Identifier: Apache-2.0
"""The command line: commands are imported when they are called, so that each starts fast.

Exit codes: 0 done, 1 a bug, 2 a mistake in what was asked, 4 somebody else is at work or the state
moved, 5 the ledger cannot be read or written, 6 training or a model failed,
7 a channel did not take a message, 130 interrupted.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from trueup.core.errors import MissingDependency, TrueupError, of_disk
from trueup.core.version import __version__

_COMMANDS = {
    "init": "start", "demo": "start",
    "check": "look", "plan": "look", "run": "look", "status": "look", "why": "look",
    "up": "service", "runs": "service",
    "alerts": "alerts", "approve": "people", "reject": "people", "pause": "people", "resume": "people", "rollback": "people",
    "anchor": "people", "audit": "people",
    "import": "data", "snapshot": "data", "golden": "data", "quarantine": "data",
    "backtest": "study", "advise": "study", "forecast": "study", "slices": "study", "whatif": "study", "receipt": "study", "verify": "study",
    "prune": "keep", "backup": "keep", "restore": "keep", "migrate": "keep", "doctor": "keep",
    "recommend": "experiments", "offer": "experiments",
    "registry": "registry", "drill": "drills", "completion": "start",
}
_GROUPS = {
    "Everyday": ("init", "check", "plan", "run", "up", "status", "runs", "why"),
    "People": ("approve", "reject", "pause", "resume", "rollback", "anchor", "audit", "alerts"),
    "Data": ("import", "snapshot", "golden", "quarantine"),
    "Study": ("backtest", "advise", "forecast", "slices", "whatif", "receipt", "verify"),
    "Keep": ("prune", "backup", "restore", "migrate", "doctor", "registry"),
    "Experiments": ("recommend", "offer"),
    "Learn": ("demo", "drill", "completion"),
}

_EXTRAS = {
    **dict.fromkeys(("adbc_driver_sqlite", "cryptography", "duckdb", "numpy", "pyarrow", "scipy", "sklearn", "skops"), "loop"),
    "mlflow": "mlflow", "xgboost": "classic",
    **dict.fromkeys(("peft", "safetensors", "tokenizers", "torch", "transformers"), "lora"),
}
"""What the base package comes without, and the extra that brings it."""


class Commands(click.Group):
    """Finds a command in the module that defines it, and names the nearest where there is none."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, _home_first(args))

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in _COMMANDS:
            return None
        module = import_module(f"trueup.cli.{_COMMANDS[name]}")
        found: click.Command = getattr(module, f"{name}_")
        return found

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        if args and not args[0].startswith("-") and args[0] not in _COMMANDS:
            from trueup.core.errors import UnknownName

            raise UnknownName("command", args[0], _COMMANDS)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for title, names in _GROUPS.items():
            with formatter.section(title):
                formatter.write_dl([
                    (name, command.get_short_help_str(200))
                    for name in names if (command := self.get_command(ctx, name)) is not None
                ])


def _home_first(args: list[str]) -> list[str]:
    """`trueup status --home DIR` is `trueup --home DIR status`: people write it in either place."""
    end = args.index("--") if "--" in args else len(args)
    for at, one in enumerate(args[:end]):
        width = 2 if one == "--home" else 1 if one.startswith("--home=") else 0
        if width and at + width <= end:
            return [*args[at : at + width], *args[:at], *args[at + width :]]
    return args


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="trueup")
@click.option(
    "--home", type=click.Path(path_type=Path, file_okay=False), envvar="TRUEUP_HOME",
    help="Where the ledger lies. [default: .trueup beside the loop file or pyproject.toml]",
)
@click.pass_context
def trueup(ctx: click.Context, home: Path | None) -> None:
    """Keep a model in production true: retrain it, and release only what is shown to be no worse."""
    ctx.obj = home


def main(args: list[str] | None = None) -> None:
    """Run a command and exit with its code; a user's mistake prints without a traceback."""
    try:
        code = trueup.main(args=args, prog_name="trueup", standalone_mode=False)
    except click.exceptions.Abort:
        sys.exit(130)
    except KeyboardInterrupt:
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except TrueupError as error:
        _show(error)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        sys.exit(0)
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in _EXTRAS:
            raise
        missing = MissingDependency(package, _EXTRAS[package])
        _show(missing)
        sys.exit(missing.exit_code)
    except OSError as error:
        _show(of_disk(error))
        sys.exit(of_disk(error).exit_code)
    sys.exit(code if isinstance(code, int) else 0)


def _show(error: TrueupError) -> None:
    click.secho(f"{error.code} {error.message}", fg="red", err=True)
    if error.cure:
        click.echo(f"  cure: {error.cure}", err=True)
