# SPDX-License-Identifier: Apache-2.0
"""The journal's file: connections, their errors in our words, creation and migration.

Never open or copy this file or its -shm by other means than this process's one SQLite library:
closing any other descriptor of them drops the locks that SQLite holds for the whole process, and a
writer elsewhere may then take them. (A second SQLite library within the process, such as the one
inside the ADBC driver, is such other means.) The -wal carries no locks.
"""

from __future__ import annotations

import re
import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from importlib.resources import files
from pathlib import Path

from trueup.core.errors import (
    Busy,
    DataError,
    ForeignLedger,
    NewerLedger,
    StoreError,
    StoreFull,
    TrueupError,
)
from trueup.core.files import make_folder, sync_folder, sync_path
from trueup.core.version import __version__
from trueup.store import _files, sql

SQL = sql.load("trueup.store.sqlite", "sql/opening.sql")
APPLICATION = 0x54525550  # "TRUP"
_DAMAGED = "restore it from a backup (see `backups/` in this home), or put it aside and start a new home"


def connect(path: Path, *, busy: float, read_only: bool = False) -> sqlite3.Connection:
    """A connection to the journal; a commit is on the disk when it returns (`synchronous=FULL`)."""
    with errors(path):
        mode = "ro" if read_only else "rw"
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode={mode}", uri=True, timeout=busy, isolation_level=None,
            check_same_thread=False, cached_statements=256,
        )  # fmt: skip
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA temp_store=MEMORY")
        if sys.platform == "darwin":  # pragma: no cover
            connection.execute("PRAGMA fullfsync=1")
            connection.execute("PRAGMA checkpoint_fullfsync=1")
        return connection


@contextmanager
def errors(path: Path) -> Iterator[None]:
    """Turn SQLite's errors into ours."""
    try:
        yield
    except sqlite3.Error as error:
        raise told(error, path) from error


def told(error: sqlite3.Error, path: Path) -> TrueupError:
    """SQLite's error as one of ours, with its cure."""
    code = getattr(error, "sqlite_errorcode", 0)
    if code & 0xFF == sqlite3.SQLITE_FULL or code in (
        sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE, sqlite3.SQLITE_IOERR_TRUNCATE
    ):
        return StoreFull(f"expected room for {path}, got: {error}")
    if code & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return Busy(
            f"expected to write {path}, got: another program has held it locked for too long",
            cure="close the program that has the file open in a transaction, then try again",
        )
    if code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return ForeignLedger(f"expected a whole ledger in {path}, got: {error}", cure=_DAMAGED)
    if code & 0xFF == sqlite3.SQLITE_TOOBIG:
        return DataError(f"expected less than a gigabyte of text in a row, got: {error}")
    if code & 0xFF == sqlite3.SQLITE_READONLY:
        return StoreError(f"expected to write {path}, got: {error}", cure="check the file's owner")
    return StoreError(f"expected to use {path}, got: {error}", cure="run `trueup doctor`")


@contextmanager
def transaction(connection: sqlite3.Connection, path: Path, begin: str = "BEGIN IMMEDIATE") -> Iterator[None]:
    """All or nothing; with errors in our words."""
    with errors(path):
        connection.execute(begin)
        try:
            yield
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


def prepare(home: Path, path: Path, *, busy: float, steps: dict[int, str] | None = None) -> Path | None:
    """Create the journal, or bring it to this version; refuses what is foreign, damaged or newer.

    The caller holds the home's lock for this. Before a migration the file is copied to
    `backups/`, and the copy's path is returned; each step is one transaction.
    """
    kept = None
    steps = steps or migrations()
    _refuse_emptied(home, path)
    with errors(path):
        if not path.exists():
            # SQLite makes the file; only its name has to be made durable here.
            sqlite3.connect(path, timeout=busy).close()
        with closing(connect(path, busy=busy)) as connection:
            version = _version(connection, path, max(steps))
            if version == max(steps):
                return None
            if version:
                kept = back_up(path, home, version, busy=busy)
            connection.execute("PRAGMA journal_mode=WAL")
            for number in sorted(step for step in steps if step > version):
                with transaction(connection, path):
                    for statement in statements(steps[number]):
                        connection.execute(statement)
                    _note(connection, number)
                    connection.execute(f"PRAGMA application_id={APPLICATION}")
                    connection.execute(f"PRAGMA user_version={number}")
    sync_folder(path.parent)
    return kept


def current(path: Path, *, busy: float) -> bool:
    """Whether a journal is there in this version; refuses what is foreign, damaged or newer."""
    return schema_of(path, busy=busy) == max(migrations())


def schema_of(path: Path, *, busy: float) -> int:
    """The schema of a journal, 0 where there is none yet; refuses what is foreign, damaged or newer."""
    if not path.exists() or path.stat().st_size == 0:
        return 0
    with closing(connect(path, busy=busy)) as connection, errors(path):
        return _version(connection, path, max(migrations()))


def copy(path: Path, target: Path, *, busy: float) -> None:
    """A whole copy of the journal at one moment, while others write; not yet synced.

    One read transaction, so that no write in between begins it anew; writers are not held up.
    """
    with errors(path), closing(connect(path, busy=busy)) as connection, closing(sqlite3.connect(target)) as made:
        connection.backup(made)


def migrations() -> dict[int, str]:
    """The numbered steps from nothing to this version's schema."""
    found = files("trueup.store.sqlite").joinpath("migrations").iterdir()
    numbered = [(re.match(r"(\d{4})_\w+\.sql$", step.name), step) for step in found]
    return {int(match[1]): step.read_text("utf-8") for match, step in numbered if match}


def statements(script: str) -> Iterator[str]:
    """The statements of a script, one by one, so that a transaction can hold them all."""
    whole = ""
    for line in script.splitlines(keepends=True):
        whole += line
        if sqlite3.complete_statement(whole):
            yield whole
            whole = ""


def _version(connection: sqlite3.Connection, path: Path, newest: int) -> int:
    ours = connection.execute("PRAGMA application_id").fetchone()[0] == APPLICATION
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if not ours:
        tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if tables or version:
            raise ForeignLedger(
                f"expected a Trueup ledger in {path}, got the SQLite database of another program",
                cure="choose another TRUEUP_HOME",
            )
        return 0
    if version > newest:
        by = _migrated_by(connection)
        raise NewerLedger(
            f"expected a ledger of schema {newest} or older in {path}, got schema {version}"
            + (f", written by Trueup {by}" if by else ""),
            cure=f"pip install 'trueup>={by}'" if by else "install the newer Trueup that wrote it: pip install --upgrade trueup",
        )
    return version


def _note(connection: sqlite3.Connection, schema: int) -> None:
    """Record which Trueup makes this step, where the ledger has the place for it."""
    if connection.execute(SQL["has_migrations"]).fetchone()[0]:
        connection.execute(SQL["add_migration"], (schema, __version__, time.time_ns() // 1_000))


def _migrated_by(connection: sqlite3.Connection) -> str | None:
    """The Trueup that brought the ledger to its schema, where it says so."""
    if not connection.execute(SQL["has_migrations"]).fetchone()[0]:
        return None
    found = connection.execute(SQL["migrated_by"]).fetchone()
    return str(found[0]) if found else None


def _refuse_emptied(home: Path, path: Path) -> None:
    """An empty file beside a history is a truncated ledger, not a new one."""
    if path.exists() and path.stat().st_size > 0:
        return
    for folder in ("segments", "artifacts"):
        if any((home / folder).glob("[0-9a-f][0-9a-f]/*")):
            raise ForeignLedger(
                f"expected the journal of {home} in {path}, got "
                f"{'an empty file' if path.exists() else 'no file'} beside a filled {folder}/",
                cure=_DAMAGED,
            )


def back_up(path: Path, home: Path, version: int, *, busy: float) -> Path:
    """A copy of the journal in `backups/`. Segments and artifacts never change, so that the
    journal is all that a migration can spoil."""
    folder = home / "backups"
    with _files.told("a backup"):
        make_folder(folder)
        made = _files.temporary(folder)
        try:
            copy(path, made, busy=busy)
            sync_path(made)
            stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
            final = folder / f"journal-v{version}-{stamp}.sqlite"
            _files.place(made, final)
        finally:
            _files.discard(made)
    return final
