# SPDX-License-Identifier: Apache-2.0
"""Steps hand each other references: where a thing lies, and what it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from trueup.core.errors import DataError


@dataclass(frozen=True, slots=True)
class Ref:
    """A content-addressed thing: its URI, its SHA-256, and its number of rows where it has any.

    A folder's digest is that of its sorted list of (relative path, SHA-256).
    """

    uri: str
    sha256: str
    rows: int | None = None

    def to_json(self) -> dict[str, Any]:
        data: dict[str, Any] = {"uri": self.uri, "sha256": self.sha256}
        if self.rows is not None:
            data["rows"] = self.rows
        return data

    @classmethod
    def from_json(cls, data: Any) -> Ref:
        if not isinstance(data, dict) or not {"uri", "sha256"} <= data.keys() <= {"uri", "sha256", "rows"}:
            raise DataError(f"expected a reference {{uri, sha256, rows?}}, got {data!r:.200}")
        return cls(data["uri"], data["sha256"], data.get("rows"))
