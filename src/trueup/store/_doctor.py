# SPDX-License-Identifier: Apache-2.0
"""What is wrong with a home, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from trueup.core.clock import Clock, from_us, to_us
from trueup.core.errors import StoreError, TrueupError
from trueup.core.json import dumps, loads, sha256
from trueup.store import _files
from trueup.store.artifacts import Artifacts, mentioned
from trueup.store.journal import Ailment, Audit, Journal, Segment

MINUTE = 60_000_000
_RESTORE = "restore it from a backup of this home"


def examine(home: Path, journal: Journal, clock: Clock, *, deep: bool) -> list[Ailment]:
    """Look at everything at one moment of the ledger; [] where all is well."""
    found: list[Ailment] = []
    catalogue: list[Segment] = []
    named: set[str] = set()
    try:
        with journal.audit() as audit:
            found += audit.damage(deep=deep)
            if not found:
                catalogue = audit.segments()
                found += _decisions(audit)
                found += _events(audit, catalogue)
                found += _clock(audit, clock)
                named = mentioned(audit.mentions())
        # Files are read after the audit: a long transaction would keep a write-ahead log from ending.
        found += _segments(catalogue, home, deep)
        found += _artifacts(named, home, deep)
    except StoreError as error:
        found.append(Ailment("error", "unreadable", error.message, error.cure))
    return found


def _decisions(audit: Audit) -> Iterator[Ailment]:
    last: dict[str, tuple[int, str, int, str]] = {}
    for loop, generation, digest, previous, at, kind, verdict, subject, body in audit.chain():
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
    states = {loop: (generation, digest, body) for loop, generation, digest, body in audit.states()}
    for loop in sorted({*last, *states}):
        generation, digest, _, body = last.get(loop, (0, "", 0, ""))
        if states.get(loop) != (generation, digest, body):
            yield Ailment(
                "error", "unexplained-state", f"the state of {loop!r} is not that of its last decision", _RESTORE
            )


def _events(audit: Audit, catalogue: list[Segment]) -> Iterator[Ailment]:
    for one in audit.wrong_counts():
        yield Ailment(
            "error", "wrong-count", f"{one.loop!r} counts {one.counted} events of kind {one.kind}, got {one.stored}",
            _RESTORE,
        )
    ids = audit.sealed_ids()
    if ids.kept != ids.sealed - ids.left:
        yield Ailment(
            "error", "wrong-ids", f"expected {ids.sealed - ids.left} ids of sealed events, got {ids.kept}", _RESTORE
        )
    watermark = audit.watermark()
    for segment in catalogue:
        if segment.seq[1] > watermark:
            yield Ailment(
                "error", "watermark", f"segment {segment.sha256[:16]} reaches beyond the watermark", _RESTORE
            )


def _clock(audit: Audit, clock: Clock) -> Iterator[Ailment]:
    latest, now = audit.latest(), to_us(clock.now())
    if latest > now + MINUTE:
        yield Ailment(
            "warning", "clock", f"the ledger holds rows of {_moment(latest)}, and the clock says {_moment(now)}",
            "set the clock right (NTP); windows that end now miss these rows until then",
        )


def _segments(catalogue: list[Segment], home: Path, deep: bool) -> Iterator[Ailment]:
    known = set()
    for one in catalogue:
        path = _files.segment_path(home, one.sha256)
        known.add(path)
        what = f"segment {one.sha256[:16]} ({one.rows} rows of kind {one.kind} of {one.loop!r})"
        if not path.exists():
            yield Ailment("error", "missing-segment", f"{what} is missing: {path}", _RESTORE)
        elif path.stat().st_size != one.bytes or (deep and _digest_of_segment(path) != one.sha256):
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
