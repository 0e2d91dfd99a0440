# SPDX-License-Identifier: Apache-2.0
"""Steps hand each other references: where a thing lies, and what it is."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from trueup.core.records import from_plain, to_plain


class Ref(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A content-addressed thing: its URI, its SHA-256, and its number of rows where it has any.

    A folder's digest is that of its sorted list of (relative path, SHA-256).
    """

    uri: str
    sha256: str
    rows: int | None = None

    def to_json(self) -> dict[str, Any]:
        data: dict[str, Any] = to_plain(self)
        return data

    @classmethod
    def from_json(cls, data: Any) -> Ref:
        return from_plain(cls, data)

    def at(self, uri: object) -> Ref:
        """The same content where it lies at another URI."""
        return Ref(str(uri), self.sha256, self.rows)
