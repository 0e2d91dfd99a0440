# SPDX-License-Identifier: Apache-2.0
"""Drift: false alarms, delay and cost of our monitors beside those of others, on the same rows.

    python benchmarks/drift.py                # ours and the naive recipe: a minute
    python benchmarks/drift.py --peers DIR    # and evidently and alibi-detect, each in a side
                                              # environment made in DIR (minutes, and much to load)

Each false-alarm row is one stream of 200 batches in which nothing changes; times are CPU seconds
of one process. A peer that cannot be installed is left out with a line that says so.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
import venv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from trueup.core.json import dumps
from trueup.models import HashingEmbedder
from trueup.monitor import (
    Batches,
    Embedding,
    ScoreDrift,
    Vectors,
    mean_drift,
    sample,
    views_of,
    watch,
)
from trueup.stats import embedding_shift
from trueup.testing import toy_rows

DAY = 86_400_000_000

PEER = '''
import sys, time, warnings
warnings.filterwarnings("ignore")
import numpy as np
d = np.load(sys.argv[2]); ref, batches, a, b = d["ref"], d["batches"], d["a"], d["b"]
start = time.process_time()
if sys.argv[1] == "alibi-detect":
    from alibi_detect.cd import KSDrift
    test = KSDrift(ref, p_val=0.05)
    hits = sum(test.predict(x)["data"]["is_drift"] for x in batches)
    start = time.process_time()
    KSDrift(a, p_val=0.05).predict(b)
    what = "KSDrift, Bonferroni .05"
else:
    import pandas as pd
    from evidently import Report
    from evidently.presets import DataDriftPreset
    frame = lambda x: pd.DataFrame(x, columns=[f"x{i}" for i in range(x.shape[1])])
    hits, first = 0, frame(ref)
    def drifted(x):
        found = Report([DataDriftPreset()]).run(frame(x), first).dict()["metrics"]
        counts = [m["value"]["count"] for m in found if isinstance(m["value"], dict) and "count" in m["value"]]
        return counts[0] > 0
    batches = batches[:: int(sys.argv[3])]
    hits = sum(drifted(x) for x in batches)
    start = None
    what = "DataDriftPreset, any column"
seconds = "" if start is None else f"; 2 x 10k x 384: {time.process_time() - start:.2f} s"
print(f"  {sys.argv[1]:>14}: {hits} of {len(batches)} batches ({what}){seconds}")
'''


def timed(rows, start, per_day):
    """Vectors, dictionaries or texts with times, one unit each."""
    n = len(rows)
    plain = isinstance(rows, np.ndarray)
    table = pa.table({
        "input": ["0"] * n if plain else [dumps(one) for one in rows],
        "ts": (start * DAY + np.arange(n) * (DAY / per_day)).astype(np.int64),
    })  # fmt: skip
    return replace(sample(table), inputs=rows.astype(np.float32)) if plain else table


def topics(rng, n, drift=0.0, dimension=384):
    centres = np.random.default_rng(7).normal(size=(21, dimension)) / dimension**0.5
    kinds = np.where(rng.random(n) < drift, 20, rng.integers(0, 20, n))
    x = centres[kinds] + rng.normal(size=(n, dimension)) / dimension**0.5
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def columns(rng, n, k=20):
    x = rng.normal(size=(n, k))
    x[:, k // 2 :] = np.exp(x[:, k // 2 :])
    return x


def as_rows(x):
    return [{f"x{j:02d}": v for j, v in enumerate(row)} for row in x.tolist()]


def shift_norm(reference, batch):
    return float(np.linalg.norm(np.mean(reference, axis=0) - np.mean(batch, axis=0)))


def false_alarms(rng, streams):
    print(f"no drift, 200 daily batches, 1 alarm a year promised (.55 a stream), {streams} streams")
    print(f"{'':>22} {'alarms a stream':>16} {'mean-shift norm > .1':>22}")
    for size in (50, 100, 500):
        ours, naive = [], []
        for _ in range(streams):
            ref, new = topics(rng, 4000), topics(rng, 200 * size)
            found = watch([Vectors()], timed(ref, -8, 500), timed(new, 0, size), batches=Batches(rows=size))
            ours.append(found[0].alarm)
            naive += [shift_norm(ref, new[at * size : (at + 1) * size]) > 0.1 for at in range(200)]
        print(f"{f'embeddings, n {size}':>22} {np.mean(ours):>16.2f} {200 * np.mean(naive):>15.0f} of 200")
    for size in (100, 500):
        ours = []
        for _ in range(streams):
            ref, new = timed(as_rows(columns(rng, 2000)), -8, 250), timed(as_rows(columns(rng, 200 * size)), 0, size)
            found = watch(views_of(sample(ref)), ref, new, batches=Batches(rows=size))
            ours.append(sum(one.alarm for one in found))
        print(f"{f'20 columns, n {size}':>22} {np.mean(ours):>16.2f}")


def detection(rng, reps):
    print(f"\ndetection, {reps} reps: batches of 500 until the alarm (median, worst)")
    for drift in (0.05, 0.15):
        delays = []
        for _ in range(reps):
            new = np.concatenate([topics(rng, 1500), topics(rng, 10_000, drift)])
            found = watch(
                [Vectors()], timed(topics(rng, 4000), -8, 500), timed(new, 0, 500),
                batches=Batches(rows=500, most=500), false_alarms_per_year=365 / 1000,
            )[0]  # fmt: skip
            delays.append(np.inf if found.at is None else np.ceil(found.at / DAY - 3 - 1e-9))
        print(f"  {drift:.0%} of a new topic, 384 dimensions: {np.median(delays):.0f}, {max(delays):.0f}")
    from datetime import UTC, datetime, timedelta

    start = datetime(2026, 1, 1, tzinfo=UTC)
    known = [start + timedelta(days=365.25 * at / 100_000) for at in range(11_000)]
    for after in (0.13, 0.20):
        delays = []
        for _ in range(reps * 4):
            values = 1.0 - np.r_[rng.random(1000) < 0.10, rng.random(6000) < after]
            low, high = 1000, 7000
            while low < high:  # an alarm is held, so that its moment can be searched for
                middle = (low + high) // 2
                held = mean_drift(values[:middle], known[:middle], floor=0.90).alarm
                low, high = (low, middle) if held else (middle + 1, high)
            delays.append(low - 1000)
        print(f"  error .10 to {after:.2f}, one alarm in 100,000 rows: {np.median(delays):.0f} rows")


def cost(rng):
    print("\ncost, CPU seconds")
    a, b = topics(rng, 10_000), topics(rng, 10_000)

    def show(words, call):
        start = time.process_time()
        call()
        print(f"  {words}: {time.process_time() - start:.2f}")

    show("one look, 2 x 10k x 384, with p-value", lambda: embedding_shift(a, b, np.random.default_rng(0)))
    texts = [text for text, _ in toy_rows(54_000, 1)]
    show("HashingEmbedder, 10k short texts", lambda: HashingEmbedder().embed(texts[:10_000]))
    old, new = timed(texts[:4000], -8, 500), timed(texts[4000:], 0, 5000)
    show("a look over 50k texts, from JSON", lambda: watch([Embedding()], old, new))
    old, new = timed(as_rows(columns(rng, 4000)), -8, 500), timed(as_rows(columns(rng, 50_000)), 0, 5000)
    views = views_of(sample(old))
    show("a look over 50k rows of 20 columns, from JSON", lambda: watch(views, old, new))
    show("the same with a metric of one's own", lambda: watch([ScoreDrift(first_mean)], old, new))


def first_mean(batch):
    return float(np.mean([row["x00"] for row in batch]))


def peers(folder, rng):
    print("\npeers, 20 columns, batches of 500 rows, no drift")
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(
        folder / "rows.npz", ref=columns(rng, 2000), batches=columns(rng, 200 * 500).reshape(200, 500, 20),
        a=topics(rng, 10_000).astype(np.float32), b=topics(rng, 10_000).astype(np.float32),
    )  # fmt: skip
    for name in ("alibi-detect", "evidently"):
        home = folder / name
        try:
            if not (home / "bin" / "python").exists():
                venv.create(home, with_pip=True)
                subprocess.run([home / "bin" / "pip", "-q", "install", name, "pandas<3"], check=True, timeout=900, capture_output=True)
            subprocess.run([home / "bin" / "python", "-c", PEER, name, folder / "rows.npz", "10"], check=True, timeout=900)
        except (subprocess.SubprocessError, OSError) as error:
            print(f"  {name:>14}: left out ({type(error).__name__})")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--streams", type=int, default=5)
    parser.add_argument("--reps", type=int, default=12)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--peers", type=Path, help="folder for the peers' side environments")
    args = parser.parse_args()
    rng = np.random.default_rng(args.seed)
    false_alarms(rng, args.streams)
    detection(rng, args.reps)
    cost(rng)
    sys.stdout.flush()
    if args.peers:
        peers(args.peers, rng)
    else:
        print("\npeers left out: --peers DIR installs and runs them")


if __name__ == "__main__":
    main()
