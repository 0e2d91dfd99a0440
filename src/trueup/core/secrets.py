# SPDX-License-Identifier: Apache-2.0
"""Secrets are references: their value never stands in a repr, a hash, a log or JSON."""

from __future__ import annotations

import os
import re
from pathlib import Path

from trueup.core.errors import NotFound
from trueup.core.values import value

_IN_URI = re.compile(r"(?<=://)[^/\s@'\"]+@")
_IN_QUERY = re.compile(r"(?i)((?:token|secret|password|passwd|pwd|key|signature|sig|credential)[\w-]*=)[^&\s'\"]+")
_IN_HEADER = re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9+/=._~-]{6,}")


def masked(text: str) -> str:
    """A text without the passwords and tokens that stand in it: in URIs, queries and headers.

    >>> masked("https://ada:s3cret@mlflow.internal/?token=abc")
    'https://***@mlflow.internal/?token=***'
    """
    return _IN_HEADER.sub(r"\1 ***", _IN_QUERY.sub(r"\1***", _IN_URI.sub("***@", text)))


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
