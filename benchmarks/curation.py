# SPDX-License-Identifier: Apache-2.0
"""Curation: documents per CPU second, beside a plain Python set in the same run.

    python benchmarks/curation.py [--docs 20000] [--repeat 3]

World: documents of 30 to 90 words over a vocabulary of 20,000 with Zipf's frequencies, 1,000 golden
items of 5 to 60 words, 200 planted leaks (13 words of an item within a longer row, or a whole
short item). Times are CPU time of this process, the best of the repeats.
"""

from __future__ import annotations

import argparse
import random
import re
import time
from collections.abc import Callable
from json import loads
from typing import Any

import numpy as np
import pyarrow as pa

from trueup.core.json import dumps
from trueup.curate import ROWS, CapPerUnit, Deduplicate, GoldenIndex, exclude_golden


def world(docs: int, *, curly: bool) -> tuple[pa.Table, list[str], set[str]]:
    rng = random.Random(7)
    numbers = np.random.default_rng(7)
    letters = "abcdefghijklmnopqrstuvwxyz"
    vocabulary = ["".join(rng.choices(letters, k=rng.randint(2, 9))) for _ in range(20_000)]
    weights = 1 / np.arange(1, 20_001)
    weights /= weights.sum()

    def text(low: int, high: int) -> str:
        words = [vocabulary[n] for n in numbers.choice(20_000, rng.randint(low, high), p=weights)]
        return " ".join(words)

    golden = [text(5, 60) for _ in range(1_000)]
    inputs = [text(30, 90).capitalize() + (" — “quoted”." if curly else ".") for _ in range(docs)]
    leaks = set()
    for place in rng.sample(range(docs), 200):
        words = rng.choice(golden).split()
        if len(words) < 8:
            inputs[place] = " ".join(words).upper() + "!"
        else:
            size = min(13, len(words))
            start = rng.randrange(len(words) - size + 1)
            mine = inputs[place].split()
            inputs[place] = " ".join([*mine[:20], *words[start : start + size], *mine[20:]])
        leaks.add(f"r{place}")
    rows = {
        "row_id": [f"r{n}" for n in range(docs)], "ts": range(docs), "known": range(docs),
        "unit": [f"u{n % 2000}" for n in range(docs)], "input": [dumps(text) for text in inputs],
        "target": ['"a"'] * docs, "weight": [1.0] * docs, "arm": ["champion"] * docs,
        "candidate": ["c"] * docs, "cohort": ["x"] * docs, "part": ["new"] * docs,
    }
    return pa.table(rows, schema=ROWS), golden, leaks


def plain_set(rows: pa.Table, golden: list[str]) -> set[str]:
    """The peer: every 13-gram of every row looked up in a set, short items by their whole text."""
    words_of = re.compile(r"\w+").findall
    grams, whole = set(), set()
    for item in golden:
        words = words_of(item.lower())
        whole.add(" ".join(words))
        for start in range(len(words) - 12):
            grams.add(" ".join(words[start : start + 13]))
    found = set()
    for ident, text in zip(rows["row_id"].to_pylist(), rows["input"].to_pylist(), strict=True):
        words = words_of(loads(text).lower())
        if " ".join(words) in whole or any(
            " ".join(words[start : start + 13]) in grams for start in range(len(words) - 12)
        ):
            found.add(ident)
    return found


def best(repeat: int, call: Callable[[], Any]) -> tuple[float, Any]:
    seconds, result = float("inf"), None
    for _ in range(repeat):
        start = time.process_time()
        result = call()
        seconds = min(seconds, time.process_time() - start)
    return seconds, result


def decontamination(docs: int, repeat: int, *, curly: bool) -> None:
    rows, golden, leaks = world(docs, curly=curly)
    everything = set(rows["row_id"].to_pylist())
    peer_s, peer = best(repeat, lambda: plain_set(rows, golden))
    index_s, index = best(1, lambda: GoldenIndex({"core": golden}))
    ours_s, done = best(repeat, lambda: exclude_golden(rows, index))
    ours = everything - set(done.rows["row_id"].to_pylist())
    print(f"13-gram decontamination, {docs:,} documents, {'non-ASCII' if curly else 'ASCII'}")
    print(f"  plain set   {docs / peer_s:>9,.0f} docs/CPU s   planted leaks found {len(peer & leaks)}/200")
    print(
        f"  trueup      {docs / ours_s:>9,.0f} docs/CPU s   planted leaks found {len(ours & leaks)}/200"
        f"   others {len(ours - leaks)}   index of 1,000 items {index_s * 1e3:.0f} ms"
    )
    print(f"  ratio       {peer_s / ours_s:>9.2f}")


def steps(docs: int, repeat: int) -> None:
    rows, _, _ = world(docs, curly=False)
    twice = pa.concat_tables([rows, rows])
    for step in (Deduplicate(), CapPerUnit(0.01)):
        seconds, done = best(repeat, lambda step=step: step.curate(twice, 0))  # type: ignore[misc]
        print(
            f"{step!r:<28} {twice.num_rows / seconds:>9,.0f} docs/CPU s"
            f"   {twice.num_rows:,} -> {done.rows.num_rows:,} rows"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--docs", type=int, default=20_000)
    parser.add_argument("--repeat", type=int, default=3)
    given = parser.parse_args()
    decontamination(given.docs, given.repeat, curly=False)
    decontamination(given.docs, given.repeat, curly=True)
    steps(given.docs, given.repeat)
