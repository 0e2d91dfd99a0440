# SPDX-License-Identifier: Apache-2.0
"""Golden sets: curated items that judge candidates and never train them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trueup.core.clock import to_us
from trueup.core.errors import ArgumentError, DataError, NotFound
from trueup.core.json import Json, digest, dumps, loads, sha256
from trueup.core.values import value
from trueup.store import sql

if TYPE_CHECKING:
    from trueup.store import Ledger

HISTORY = "history"
"""The slice of units by whether they were there before: a word that experiments use as well."""
QUERIES = sql.load("trueup.data", "queries.sql")
MOST_LINES = 1_000_000
SHOWN = 5


@dataclass(frozen=True, slots=True)
class GoldenItems:
    """The items of a golden set, in order.

    `slices` maps a slice's field to one value an item (None where the item has none). `digest` is
    that of the items, whatever the file's white space. `row_ids` are the ledger's rows that the
    items are, for a rolling set; empty for a file. `units` are those that the items name.
    """

    name: str
    inputs: Sequence[Json]
    targets: Sequence[Json]
    slices: Mapping[str, Sequence[str | None]]
    digest: str
    ids: Sequence[str]
    row_ids: frozenset[str] = field(default=frozenset())
    units: Sequence[str | None] = ()

    def __len__(self) -> int:
        return len(self.inputs)


@value("golden")
class GoldenSet:
    """A file of golden items: JSON lines of `{"input": ..., "target": ..., "id"?, slice fields}`.

    `name` is what gates and Decisions call it, `path` the file (write it under the loop file's folder).
    `slices` are fields by which results are split; each stands beside the input, or within it. The slice
    `history` is there without a field, where items name their `"unit"`: "new" are items of units that
    the ledger had heard nothing of before the item's `"at"` (a time in ISO form; without it, before
    the gate looks), "known" the others (VAL-11).
    """

    name: str
    path: Path
    slices: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.name:
            raise ArgumentError(f"expected a name for the golden set {self.path}")
        object.__setattr__(self, "path", Path(self.path))

    def load(self) -> GoldenItems:
        """The items; raises DataError with the lines' numbers, NotFound without a file."""
        return golden_items(self.name, read_items(self.path), self.slices, str(self.path))

    def items(
        self, ledger: Ledger, *, loop: str, target: str, cut: int, now_us: int, seed: int = 0
    ) -> GoldenItems:
        """The items at a cut of the ledger, with the history of their units where it is a slice."""
        raw = read_items(self.path)
        found = golden_items(self.name, raw, self.slices, str(self.path))
        dated = HISTORY in self.slices and any(found.units)
        if not dated or any(item.get(HISTORY) is not None for item in raw):
            return found
        first = first_asked(ledger, loop, cut)
        history = tuple(
            None if unit is None else "known" if first.get(unit, now_us) < _moment(item, now_us) else "new"
            for unit, item in zip(found.units, raw, strict=True)
        )
        return replace(found, slices={**found.slices, HISTORY: history})


def first_asked(ledger: Ledger, loop: str, cut: int) -> dict[str, int]:
    """When each unit asked something for the first time, in microseconds since 1970."""
    rows = ledger.query(QUERIES["first_asked"], {"loop": loop}, cut=cut)
    return dict(zip(*(rows[name].to_pylist() for name in ("unit", "ts")), strict=True))


def _moment(item: Mapping[str, Any], now_us: int) -> int:
    if item.get("at") is None:
        return now_us
    try:
        at = datetime.fromisoformat(str(item["at"]))
    except ValueError:
        raise DataError(f"expected the time of golden item {item['id']!r} in ISO form, got {item['at']!r:.80}") from None
    return to_us(at if at.tzinfo else at.replace(tzinfo=UTC))


def golden_items(
    name: str, items: Sequence[Mapping[str, Any]], slices: Sequence[str], where: str
) -> GoldenItems:
    """Items that were checked, with their slices looked up beside and within the input."""
    if not items:
        raise DataError(f"expected at least one item in {where}, got none")
    found: dict[str, list[str | None]] = {}
    for field_name in slices:
        found[field_name] = [_slice(item, field_name) for item in items]
        dated = field_name == HISTORY and any(item.get("unit") is not None for item in items)
        if all(part is None for part in found[field_name]) and not dated:
            raise DataError(
                f"expected the slice {field_name!r} in {where}, no item has it",
                cure=f"add the field {field_name!r} to the items, or take it out of slices",
            )
    return GoldenItems(
        name=name,
        inputs=tuple(item["input"] for item in items),
        targets=tuple(item["target"] for item in items),
        slices={key: tuple(values) for key, values in found.items()},
        digest=digest([dict(item) for item in items]),
        ids=tuple(str(item["id"]) for item in items),
        units=tuple(None if item.get("unit") is None else str(item["unit"]) for item in items),
    )


def read_items(path: Path) -> list[dict[str, Any]]:
    """The items of a file, each with an id; raises DataError naming the first lines at fault."""
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise NotFound(
            f"expected a golden file at {path}: {error.strerror}",
            cure="trueup golden add writes one, line by line",
        ) from None
    if len(lines) > MOST_LINES:
        raise DataError(f"expected at most {MOST_LINES:,} golden items, got {len(lines):,} in {path}")
    items: list[dict[str, Any]] = []
    faults: list[str] = []
    seen: dict[str, int] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            item = checked_item(loads(line.decode("utf-8-sig" if number == 1 else "utf-8")))
            for key in (f"input {sha256(dumps(item['input']))}", f"id {item['id']}"):
                if seen.setdefault(key, number) != number:
                    raise DataError(f"the same {key.partition(' ')[0]} as line {seen[key]}")
            items.append(item)
        except (DataError, UnicodeError, RecursionError) as error:
            reason = error.message if isinstance(error, DataError) else f"not UTF-8: {error}"
            faults.append(f"line {number}: {reason}")
    if faults:
        more = f" (and {len(faults) - SHOWN} more)" if len(faults) > SHOWN else ""
        raise DataError(
            f"expected golden items in {path}: " + "; ".join(faults[:SHOWN]) + more,
            cure='each line is one JSON object {"input": ..., "target": ...}',
        )
    return items


def checked_item(data: Any) -> dict[str, Any]:
    """An item with its id; raises DataError where it has no input or target, or is not JSON."""
    if not isinstance(data, dict):
        raise DataError(f"expected an object, got {type(data).__name__}")
    for key in ("input", "target"):
        if data.get(key) is None or data[key] == "":
            raise DataError(f"expected {key!r}, got " + ("null" if key in data else "no such key"))
    try:
        dumps(data).encode()
    except UnicodeError:
        raise DataError("expected Unicode text, got a lone surrogate") from None
    ident = data.get("id")
    return {**data, "id": str(ident) if ident is not None else "g-" + sha256(dumps(data["input"]))[:16]}


def _slice(item: Mapping[str, Any], name: str) -> str | None:
    inside = item["input"]
    found = item.get(name)
    if found is None and isinstance(inside, Mapping):
        found = inside.get(name)
    if found is None:
        return None
    return found if isinstance(found, str) else dumps(found)
