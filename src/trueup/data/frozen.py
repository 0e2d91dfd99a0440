# SPDX-License-Identifier: Apache-2.0
"""Golden sets and the ledger: freezing one, counting its uses, adding to it while it is free."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trueup.core.errors import DataError, Refused
from trueup.core.files import write_whole
from trueup.core.json import digest, dumps
from trueup.data.golden import GoldenItems, GoldenSet, checked_item, read_items

if TYPE_CHECKING:
    from trueup.store import Ledger


def frozen_digest(ledger: Ledger, loop: str, name: str) -> str | None:
    """The digest that a golden set was frozen at, or None."""
    record = ledger.get(loop, "golden", name)
    return None if record is None else str(record["digest"])


def check_frozen(ledger: Ledger, loop: str, items: GoldenItems) -> None:
    """Raise DataError where a frozen set's items are no longer those that were frozen."""
    frozen = frozen_digest(ledger, loop, items.name)
    if frozen is not None and frozen != items.digest:
        raise DataError(
            f"expected the golden set {items.name!r} as it was frozen, {frozen[:16]}, "
            f"got {items.digest[:16]}",
            cure="restore the file as it was, or use the changed one under a new name",
        )


def freeze(ledger: Ledger, loop: str, golden: GoldenSet | GoldenItems) -> str:
    """Record the set's digest: from now on a change of its items is an error. Gives the digest.

    Freezing the same items again changes nothing; other items under the same name raise DataError.
    """
    items = _loaded(golden)
    body = {"name": items.name, "digest": items.digest, "items": len(items)}
    if not ledger.put(loop, "golden", items.name, body):
        check_frozen(ledger, loop, items)
    return items.digest


def use(
    ledger: Ledger, loop: str, golden: GoldenSet | GoldenItems, purpose: str, candidate: str
) -> int:
    """Count one use of a golden set, and give the number of uses so far.

    The same purpose for the same candidate is one use, however often a step is run again. Raises
    DataError where the set is frozen and its items have changed.
    """
    items = _loaded(golden)
    check_frozen(ledger, loop, items)
    body = {"name": items.name, "digest": items.digest, "purpose": purpose, "candidate": candidate}
    ledger.put(loop, "golden_use", "gu-" + digest(body)[:16], body)
    return uses(ledger, loop, items.name)


def uses(ledger: Ledger, loop: str, name: str) -> int:
    """How often candidates were judged on this set: the more, the less it says of the next one."""
    return sum(record["name"] == name for record in ledger.records(loop, "golden_use"))


def add_items(
    golden: GoldenSet,
    items: Iterable[Mapping[str, Any]],
    *,
    ledger: Ledger | None = None,
    loop: str = "",
) -> int:
    """Append items to the set's file, all or none; the number that were not there yet.

    Items whose input and target are there already are left out; the same input with another target
    raises DataError. A set that is frozen in the ledger is refused.
    """
    frozen = None if ledger is None else frozen_digest(ledger, loop, golden.name)
    if frozen is not None:
        raise Refused(
            f"the golden set {golden.name!r} is frozen at {frozen[:16]}: nothing can be added",
            cure="copy the file, add to the copy, and use it under a new name",
        )
    path = Path(golden.path)
    present = read_items(path) if path.exists() else []
    targets = {dumps(item["input"]): dumps(item["target"]) for item in present}
    ids = {item["id"] for item in present}
    fresh = []
    for number, given in enumerate(items, 1):
        item = checked_item(dict(given))
        key, target = dumps(item["input"]), dumps(item["target"])
        if targets.get(key, target) != target:
            raise DataError(
                f"expected one target an input, got another one in item {number}: {key[:80]}",
                cure="correct the item in the file by hand",
            )
        if key in targets:
            continue
        if item["id"] in ids:
            raise DataError(f"expected a new id in item {number}, got {item['id']!r} again")
        targets[key] = target
        ids.add(item["id"])
        fresh.append(item)
    if fresh:
        before = path.read_bytes() if path.exists() else b""
        if before and not before.endswith(b"\n"):
            before += b"\n"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, before + b"".join(dumps(item).encode() + b"\n" for item in fresh))
    return len(fresh)


def _loaded(golden: GoldenSet | GoldenItems) -> GoldenItems:
    return golden.load() if isinstance(golden, GoldenSet) else golden
