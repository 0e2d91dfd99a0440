# SPDX-License-Identifier: Apache-2.0
"""The store: durable events beside plain SQLite, the window join beside a cursor, import, opening.

    python benchmarks/store.py [events] [join] [import] [open]      (default: all)

World: events of about 800 bytes (a request with its answer). `events`: 4 writing processes of 16
threads each, every thread waits for its own events to be on the disk; the peer is SQLite with
`synchronous=FULL` and its own busy handler, group-committed within a process by the same threads.
`join`: 1M requests over 30 days and 300k outcomes, 90 % sealed; the window of 7 days with the
latest outcome, to Arrow; the peer is a SQLite cursor over the same rows with the indexes that it
asks for. `import`: a million events in calls of 10,000. `open`: a new process opens that ledger
and counts.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import resource
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from trueup.core import Event, Ids
from trueup.core.events import outcome
from trueup.store import Ledger

PROCESSES, THREADS, SECONDS = 4, 16, 4.0
TEXT = "A long week in the mountains turned into something that nobody had planned for. " * 5
DAY = 86_400_000_000


def request(ids: Ids, number: int, ts: int | None = None) -> Event:
    return Event(
        id=ids.new(), loop="bench", kind="interaction", ts=ts or number + 1, unit=f"user-{number % 50_000}",
        arm="champion", candidate="c-0123456789abcdef", propensity=0.5, generation=3,
        input=json.dumps({"text": f"{number} {TEXT}"}), output='["drama","comedy"]', seconds=0.01,
    )


@contextmanager
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="trueup-bench-", dir=os.environ.get("BENCH_DIR")) as made:
        yield Path(made)


# -- durable events -------------------------------------------------------------------------------


class Peer:
    """SQLite FULL, one connection a process, the busy handler only; the same rows and index."""

    COLUMNS = ("id", "loop", "kind", "ts", "received", "unit", "choice", "arm", "candidate", "propensity",
               "generation", "release", "name", "value", "key", "input", "output", "error", "seconds", "keep", "extra")

    def __init__(self, home: Path) -> None:
        self._connection = sqlite3.connect(
            home / "peer.sqlite", isolation_level=None, timeout=60, check_same_thread=False
        )
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=FULL")
        self._connection.execute(
            f"CREATE TABLE IF NOT EXISTS event (seq INTEGER PRIMARY KEY, {','.join(self.COLUMNS)}, UNIQUE (id, kind))"
        )
        self._insert = (
            f"INSERT OR IGNORE INTO event ({','.join(self.COLUMNS)}) VALUES ({','.join('?' * len(self.COLUMNS))})"
        )
        self._queue: list[tuple[list[Event], threading.Event]] = []
        self._new = threading.Condition()
        threading.Thread(target=self._write, daemon=True).start()

    def append(self, events: list[Event]) -> None:
        done = threading.Event()
        with self._new:
            self._queue.append((events, done))
            self._new.notify()
        done.wait()

    def _write(self) -> None:
        while True:
            with self._new:
                while not self._queue:
                    self._new.wait()
                batch, self._queue = self._queue, []
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.executemany(self._insert, [event for events, _ in batch for event in events])
            self._connection.execute("COMMIT")
            for _, done in batch:
                done.set()


def clients(kind: str, home: Path, size: int, start: Any, results: Any) -> None:
    store: Any = Ledger.open(home) if kind == "trueup" else Peer(home)
    waits: list[list[float]] = [[] for _ in range(THREADS)]
    end = [0.0]

    def client(number: int) -> None:
        ids, made = Ids(), 0
        events = [request(ids, at) for at in range(size)]
        start.wait()
        while time.perf_counter() < end[0]:
            batch = [event._replace(id=ids.new()) for event in events]
            began = time.perf_counter()
            store.append(batch)
            waits[number].append(time.perf_counter() - began)
            made += 1

    threads = [threading.Thread(target=client, args=(number,)) for number in range(THREADS)]
    store.append([request(Ids(), 1)])
    end[0] = time.perf_counter() + 1e9
    for thread in threads:
        thread.start()
    start.wait()
    end[0] = time.perf_counter() + SECONDS
    for thread in threads:
        thread.join()
    results.put([wait for some in waits for wait in some])


def durable(kind: str, size: int) -> tuple[float, float, float]:
    """(events a second, p50 ms, p99 ms) of one store."""
    with folder() as home:
        if kind == "trueup":
            Ledger.open(home).close()
        else:
            Peer(home)
        context = multiprocessing.get_context("spawn")
        start, results = context.Barrier(PROCESSES * (THREADS + 1)), context.Queue()
        workers = [
            context.Process(target=clients, args=(kind, home, size, start, results)) for _ in range(PROCESSES)
        ]
        for worker in workers:
            worker.start()
        waits = sorted(wait for _ in workers for wait in results.get())
        for worker in workers:
            worker.join()
    at = lambda share: 1e3 * waits[int(share * (len(waits) - 1))]  # noqa: E731
    return len(waits) * size / SECONDS, at(0.5), at(0.99)


def events() -> None:
    print(f"durable events, {PROCESSES} processes x {THREADS} waiting clients")
    for size in (1, 10):
        ours, peer = durable("trueup", size), durable("peer", size)
        for name, (rate, middle, tail) in (("trueup", ours), ("sqlite", peer)):
            print(f"  {size:>2} a call  {name}  {rate:>9,.0f}/s   p50 {middle:6.1f} ms   p99 {tail:6.1f} ms")
        print(f"  {size:>2} a call  ratio {ours[0] / peer[0]:.2f} in rate, {peer[2] / ours[2]:.1f} in p99")


# -- import, opening, join -------------------------------------------------------------------------


def fill(home: Path, requests: int, *, feedback: int = 0, seal: float = 0.0) -> float:
    """Seconds to append the world in calls of 10,000."""
    ids, month = Ids(), 30 * DAY
    spent = 0.0
    step = max(1, requests // feedback) if feedback else 0
    with Ledger.open(home) as ledger:
        for first in range(0, requests, 10_000):
            batch = [request(ids, at, 1 + at * month // requests) for at in range(first, min(requests, first + 10_000))]
            labels = [
                outcome("bench", one.id, "label", at % 2 == 0, ts=one.ts + 1)
                for at, one in enumerate(batch) if step and at % step == 0
            ]
            began = time.perf_counter()
            ledger.append(batch)
            if labels:
                ledger.append(labels)
            spent += time.perf_counter() - began
            if seal and first + 10_000 == int(requests * seal):
                began = time.perf_counter()
                done = ledger.seal()
                print(f"  sealed {done.rows:,} rows into {done.segments} files in {time.perf_counter() - began:.1f} s")
    return spent


def import_() -> None:
    script = (
        "import sys; sys.path.insert(0, {here!r}); from store import fill; from pathlib import Path;"
        "spent = fill(Path({home!r}), 1_000_000);"
        "print(spent, open('/proc/self/status').read().split('VmHWM:')[1].split()[0])"
    )
    with folder() as home:
        here = str(Path(__file__).parent)
        out = subprocess.run(
            [sys.executable, "-c", script.format(here=here, home=str(home))], check=True, capture_output=True, text=True
        ).stdout.split()
        print(f"import of 1,000,000 events: {1e6 / float(out[0]):,.0f}/s, peak {float(out[1]) / 1024:.0f} MB")
        opening(home)


def opening(home: Path) -> None:
    script = (
        "import time; began = time.perf_counter(); from trueup.store import Ledger; from pathlib import Path;"
        "ledger = Ledger.open(Path({home!r}), create=False); n = ledger.count('bench', 'interaction'); ledger.state('bench');"
        "print(n, time.perf_counter() - began)"
    )
    times = []
    for _ in range(5):
        out = subprocess.run(
            [sys.executable, "-c", script.format(home=str(home))], check=True, capture_output=True, text=True
        ).stdout.split()
        times.append(float(out[1]))
    print(f"import, open and count on {int(out[0]):,} events in a new process: {min(times) * 1e3:.0f} ms (best of 5)")


def best(work: Callable[[], Any], times: int = 3) -> tuple[float, Any]:
    found = []
    for _ in range(times):
        began = time.perf_counter()
        answer = work()
        found.append(time.perf_counter() - began)
    return min(found), answer


def join() -> None:
    print("window of 7 days out of 1M requests over 30 days and 300k outcomes, to Arrow")
    window = (20 * DAY, 27 * DAY)
    with folder() as home:
        fill(home, 1_000_000, feedback=333_333, seal=0.9)
        with Ledger.open(home) as ledger:
            began = time.perf_counter()
            ledger.query("SELECT count(*) FROM event")
            print(f"  first catch-up with the journal's tail: {time.perf_counter() - began:.2f} s")
            names = ["label"]
            ours, table = best(lambda: ledger.interactions(
                "bench", outcomes=names, since_us=window[0], until_us=window[1]))
            whole, _ = best(lambda: ledger.query(
                "SELECT i.arm, count(*), avg(o.value) FROM event i JOIN event o ON o.choice = i.id AND o.kind = 'outcome' "
                "WHERE i.kind = 'interaction' GROUP BY i.arm"))
            cursor, rows = peer_join(home, ledger, window)
        assert rows == table.num_rows, (rows, table.num_rows)
        print(f"  trueup {ours:.2f} s, SQLite cursor {cursor:.2f} s, ratio {cursor / ours:.1f}; {rows:,} rows, {table.nbytes >> 20} MB")
        print(f"  full join and aggregate: {whole:.2f} s")


def peer_join(home: Path, ledger: Ledger, window: tuple[int, int]) -> tuple[float, int]:
    import pyarrow as pa

    peer = sqlite3.connect(home / "peer.sqlite", isolation_level=None)
    names = list(Peer.COLUMNS)
    peer.execute(f"CREATE TABLE event (seq INTEGER PRIMARY KEY, {','.join(names)})")
    peer.execute("BEGIN")
    for kind in ("interaction", "outcome"):
        for batch in ledger.batches("bench", kind, columns=["seq", *names]):
            peer.executemany(
                f"INSERT INTO event VALUES ({','.join('?' * (len(names) + 1))})",
                zip(*(column.to_pylist() for column in batch.columns), strict=True),
            )
    peer.execute("COMMIT")
    peer.execute("CREATE INDEX by_time ON event (kind, ts)")
    peer.execute("CREATE INDEX by_choice ON event (choice, name) WHERE kind = 'outcome'")
    columns = ["seq", "id", "ts", "received", "unit", "arm", "candidate", "propensity", "generation", "release", "input", "output", "error", "seconds", "keep"]

    def ask() -> Any:
        rows = peer.execute(
            f"SELECT {','.join('i.' + name for name in columns)}, o.output, o.value, max(o.received), min(o.received) "
            "FROM event i LEFT JOIN event o ON o.choice = i.id AND o.kind = 'outcome' AND o.name = 'label' "
            "WHERE i.kind = 'interaction' AND i.ts >= ? AND i.ts < ? GROUP BY i.seq", window
        ).fetchall()
        return pa.table({str(at): column for at, column in enumerate(zip(*rows, strict=True))})

    spent, table = best(ask, 2)
    peer.close()
    return spent, table.num_rows


def main() -> None:
    wanted = sys.argv[1:] or ["events", "import", "join"]
    works = {"events": events, "import": import_, "open": import_, "join": join}
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores, SQLite {sqlite3.sqlite_version}")
    for name in wanted:
        works[name]()
    print(f"peak of this process {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10} MB")


if __name__ == "__main__":
    main()
