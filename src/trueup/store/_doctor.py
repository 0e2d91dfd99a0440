# SPDX-License-Identifier: Apache-2.0
"""What is wrong with a home, and what to do about it."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from trueup.core.clock import Clock, from_us, to_us
from trueup.core.errors import StoreError, TrueupError
from trueup.core.json import dumps, loads, sha256
from trueup.store import _database, _files, sql
from trueup.store.artifacts import Artifacts

SQL = sql.load("trueup.store", "sql/doctor.sql")
CATALOGUE = sql.load("trueup.store", "sql/sealing.sql")
URI = re.compile(r"artifacts/[0-9a-f]{2}/[0-9a-f]{64}(?:\.[A-Za-z0-9]{1,16})?")
LARGE_LOG = 256 << 20
MINUTE = 60_000_000
_RESTORE = "restore it from a backup of this home"


@dataclass(frozen=True, slots=True)
class Ailment:
    """One thing that is wrong (`error`), looks wrong (`warning`), or may be tidied (`note`)."""

    level: Literal["error", "warning", "note"]
    code: str
    message: str
    cure: str = ""


def examine(home: Path, path: Path, clock: Clock, *, busy: float, deep: bool) -> list[Ailment]:
    """Look at everything at one moment of the ledger; [] where all is well."""
    found: list[Ailment] = []
    catalogue: list[Any] = []
    named: set[str] = set()
    try:
        with (
            closing(_database.connect(path, busy=busy)) as connection,
            _database.transaction(connection, path, "BEGIN"),
        ):
            found += _file(connection, path, deep)
            if not found:
                found += _decisions(connection)
                found += _events(connection)
                found += _clock(connection, clock)
                catalogue = connection.execute(CATALOGUE["segments"]).fetchall()
                named = {uri for (body,) in connection.execute(SQL["mentions"]) for uri in URI.findall(body)}
        # Files are read after the transaction: a long one would keep the write-ahead log from ending.
        found += _segments(catalogue, home, deep)
        found += _artifacts(named, home, deep)
    except StoreError as error:
        found.append(Ailment("error", "unreadable", error.message, error.cure))
    return found


def _file(connection: sqlite3.Connection, path: Path, deep: bool) -> Iterator[Ailment]:
    for (line,) in connection.execute(SQL["integrity" if deep else "quick"]):
        if line != "ok":
            yield Ailment("error", "damaged", f"the journal is damaged: {line}", _RESTORE)
    log = path.with_name(path.name + "-wal")
    if log.exists() and log.stat().st_size > LARGE_LOG:
        yield Ailment(
            "warning", "large-log", f"the write-ahead log holds {log.stat().st_size >> 20} MB",
            "some process keeps a read open; close it, then seal",
        )


def _decisions(connection: sqlite3.Connection) -> Iterator[Ailment]:
    last: dict[str, tuple[int, str, int, str]] = {}
    for loop, generation, digest, previous, at, kind, verdict, subject, body in connection.execute(SQL["chain"]):
        before = last.get(loop, (0, None, at, ""))
        here = f"decision {digest[:16]} of {loop!r}"
        data = _read(body)
        if sha256(body) != digest:
            yield Ailment("error", "changed-decision", f"{here} is not what its digest says", _RESTORE)
        row = (loop, generation, previous, at, kind, verdict, subject)
        names = ("loop", "generation", "previous", "at", "kind", "verdict", "subject")
        if row != tuple(data.get(name) for name in names):
            yield Ailment("error", "changed-decision", f"{here} differs from its columns", _RESTORE)
        if generation != before[0] + 1:
            yield Ailment("error", "missing-decision", f"{here} follows generation {before[0]}", _RESTORE)
        elif previous != before[1]:
            yield Ailment("error", "broken-chain", f"{here} does not name the one before it", _RESTORE)
        if at < before[2]:
            yield Ailment("error", "time-runs-back", f"{here} is earlier than the one before it", _RESTORE)
        last[loop] = (generation, digest, at, dumps(data.get("state")))
    states = {loop: (generation, digest, body) for loop, generation, digest, body in connection.execute(SQL["states"])}
    for loop in sorted({*last, *states}):
        generation, digest, _, body = last.get(loop, (0, "", 0, ""))
        if states.get(loop) != (generation, digest, body):
            yield Ailment(
                "error", "unexplained-state", f"the state of {loop!r} is not that of its last decision", _RESTORE
            )


def _events(connection: sqlite3.Connection) -> Iterator[Ailment]:
    for loop, kind, said, found in connection.execute(SQL["wrong_counters"]):
        yield Ailment("error", "wrong-count", f"{loop!r} counts {said} events of kind {kind}, got {found}", _RESTORE)
    kept, sealed, left = connection.execute(SQL["sealed_ids"]).fetchone()
    if kept != sealed - left:
        yield Ailment(
            "error", "wrong-ids", f"expected {sealed - left} ids of sealed events, got {kept}", _RESTORE
        )
    for (digest,) in connection.execute(SQL["beyond_watermark"]):
        yield Ailment("error", "watermark", f"segment {digest[:16]} reaches beyond the watermark", _RESTORE)


def _clock(connection: sqlite3.Connection, clock: Clock) -> Iterator[Ailment]:
    latest = connection.execute(SQL["latest"]).fetchone()[0]
    now = to_us(clock.now())
    if latest > now + MINUTE:
        yield Ailment(
            "warning", "clock", f"the ledger holds rows of {_moment(latest)}, and the clock says {_moment(now)}",
            "set the clock right (NTP); windows that end now miss these rows until then",
        )


def _segments(catalogue: list[Any], home: Path, deep: bool) -> Iterator[Ailment]:
    known = set()
    for digest, loop, kind, rows, size, *_ in catalogue:
        path = home / "segments" / digest[:2] / f"{digest}.parquet"
        known.add(path)
        what = f"segment {digest[:16]} ({rows} rows of kind {kind} of {loop!r})"
        if not path.exists():
            yield Ailment("error", "missing-segment", f"{what} is missing: {path}", _RESTORE)
        elif path.stat().st_size != size or (deep and _digest_of_segment(path) != digest):
            yield Ailment("error", "damaged-segment", f"{what} is not what its name says: {path}", _RESTORE)
    yield from _orphans(home / "segments", known)


def _digest_of_segment(path: Path) -> str:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from trueup.store.digest import LogicalDigest

    try:
        with pq.ParquetFile(path) as file:
            whole = LogicalDigest(file.schema_arrow)
            for batch in file.iter_batches():
                whole.update(batch)
        return whole.hexdigest()
    except (OSError, pa.ArrowException):
        return "unreadable"


def _artifacts(named: set[str], home: Path, deep: bool) -> Iterator[Ailment]:
    store = Artifacts(home)
    here = {ref.uri: ref for ref in store.stored()}
    for uri in sorted(named - here.keys()):
        yield Ailment("error", "missing-artifact", f"{uri} is named in the ledger, and missing", _RESTORE)
    for ref in here.values() if deep else ():
        try:
            store.verify(ref)
        except TrueupError as error:
            yield Ailment("error", "damaged-artifact", error.message, error.cure)
    known = {home / uri for uri in named}
    yield from _orphans(home / "artifacts", known)


def _orphans(folder: Path, known: set[Path]) -> Iterator[Ailment]:
    if not folder.is_dir():
        return
    lost = [path for path in folder.glob("[0-9a-f][0-9a-f]/*") if path not in known]
    lost += folder.glob(f"{_files.TEMPORARY}*")
    if lost:
        yield Ailment(
            "note", "orphans", f"{len(lost)} in {folder} that no row refers to, such as {min(lost).name}",
            "harmless: left by work that was killed, or not referred to yet",
        )


def _read(body: str) -> dict[str, Any]:
    try:
        found = loads(body)
    except TrueupError:
        return {}
    return found if isinstance(found, dict) else {}


def _moment(us: int) -> str:
    return from_us(us).isoformat(timespec="seconds")
