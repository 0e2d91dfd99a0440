# SPDX-License-Identifier: Apache-2.0
"""Writes docs/cli.md from the commands' own help: python docs/_cli.py"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from trueup.cli._main import trueup

PAGE = Path(__file__).with_name("cli.md")
HEAD = """\
# The command line

Written by `python docs/_cli.py` from the commands' own help; a test fails where the two differ.

Exit codes: 0 done, 1 a bug (for `why`: the evidence came out differently; for `demo` and `drill`: a scene did
not hold; for `registry publish` and `rebuild`: a registry was not reached), 2 a mistake in what was asked,
4 somebody else is at work or the state moved, 5 the ledger cannot
be read or written, or something in it is damaged, 6 training or a model failed, 130 interrupted.
"""


def text() -> str:
    """The whole page."""
    parts = [HEAD]
    for words, command in _commands(trueup, ("trueup",)):
        context = click.Context(
            command, info_name=" ".join(words), terminal_width=100, max_content_width=100,
            **trueup.context_settings,
        )
        parts.append(f"{'#' * (len(words) + 1)} {' '.join(words)}\n\n```\n{command.get_help(context)}\n```\n")
    return "\n".join(parts)


def _commands(command: click.Command, words: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield words, command
    if isinstance(command, click.Group):
        context = click.Context(command, info_name=words[-1])
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            if found is not None:
                yield from _commands(found, (*words, name))


if __name__ == "__main__":
    PAGE.write_text(text(), encoding="utf-8")
