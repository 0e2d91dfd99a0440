# SPDX-License-Identifier: Apache-2.0
"""SQL by name: statements stand in `.sql` files under a line `-- name: append_event` and a comment."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType

from trueup.core.errors import DefinitionError

_NAME = re.compile(r"^-- name:[ \t]*([a-z_][a-z0-9_]*)[ \t]*$", re.MULTILINE)


@cache
def load(package: str, path: str) -> Mapping[str, str]:
    """The statements of a `.sql` file of a package, by name.

    Raises DefinitionError for text before the first name, a name used twice, one without a
    comment that says what it does, or one without a statement.
    """
    return MappingProxyType(parse(files(package).joinpath(path).read_text("utf-8"), path))


def parse(text: str, path: str = "<sql>") -> dict[str, str]:
    """The statements of a text, by name; comment lines and the closing semicolon are left out."""
    head, *rest = _NAME.split(text)
    if any(line.strip() and not line.startswith("--") for line in head.splitlines()):
        raise DefinitionError(f"expected only comments before the first name, got {path}: {head:.80}")
    found: dict[str, str] = {}
    for name, body in zip(rest[::2], rest[1::2], strict=True):
        lines = body.strip().splitlines()
        comment = [line for line in lines if line.startswith("--")]
        statement = "\n".join(line for line in lines if not line.startswith("--")).strip().rstrip(";").rstrip()
        if name in found:
            raise DefinitionError(f"expected each name once, got {name!r} twice in {path}")
        if not comment or not statement:
            raise DefinitionError(
                f"expected a comment and a statement under {name!r} in {path}, got {body.strip():.80}"
            )
        found[name] = statement
    return found
