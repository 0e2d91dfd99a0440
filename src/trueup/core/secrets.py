# SPDX-License-Identifier: Apache-2.0
"""Secrets are references: their value never stands in a repr, a hash, a log or JSON."""

from __future__ import annotations

import os
from pathlib import Path

from trueup.core.errors import NotFound
from trueup.core.values import value


@value("secret.env")
class Env:
    """A secret in the environment variable `name`."""

    name: str

    def reveal(self) -> str:
        """The secret itself; raises NotFound where it is not set."""
        try:
            return os.environ[self.name]
        except KeyError:
            raise NotFound(
                f"expected the environment variable {self.name}, which is not set",
                cure=f"export {self.name}=...",
            ) from None


@value("secret.file")
class File:
    """A secret in the file at `path`, without the line's end."""

    path: Path

    def reveal(self) -> str:
        """The secret itself; raises NotFound where the file cannot be read."""
        try:
            return Path(self.path).read_text(encoding="utf-8").rstrip("\r\n")
        except OSError as error:
            raise NotFound(f"expected a readable secret file, got {self.path}: {error.strerror}") from None
