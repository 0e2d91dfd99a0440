# SPDX-License-Identifier: Apache-2.0
"""Steps hand each other references: where a thing lies, and what it is."""

from __future__ import annotations

from typing import Any, NoReturn

from trueup.core.errors import DataError


class Ref:
    """A content-addressed thing: its URI, its SHA-256, and its number of rows where it has any.

    A folder's digest is that of its sorted list of (relative path, SHA-256). It never changes, compares
    and hashes by its content, and its JSON leaves `rows` out where there are none.
    """

    __slots__ = ("rows", "sha256", "uri")
    uri: str
    sha256: str
    rows: int | None

    def __init__(self, uri: str, sha256: str, rows: int | None = None) -> None:
        for name, given in (("uri", uri), ("sha256", sha256), ("rows", rows)):
            object.__setattr__(self, name, given)

    def at(self, uri: object) -> Ref:
        """The same content where it lies at another URI."""
        return Ref(str(uri), self.sha256, self.rows)

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

    def __setattr__(self, name: str, given: object) -> NoReturn:
        raise AttributeError(f"a Ref does not change: its {name} was to become {given!r:.80}")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ref) and self._all() == other._all()

    def __hash__(self) -> int:
        return hash(self._all())

    def __repr__(self) -> str:
        return f"Ref({self.uri!r}, {self.sha256!r}, {self.rows!r})"

    def __reduce__(self) -> tuple[type[Ref], tuple[str, str, int | None]]:
        return Ref, self._all()

    def _all(self) -> tuple[str, str, int | None]:
        return self.uri, self.sha256, self.rows
