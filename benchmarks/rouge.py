# SPDX-License-Identifier: Apache-2.0
"""ROUGE: documents per CPU second, beside rouge-score in the same run.

    python benchmarks/rouge.py [--docs 3000] [--repeat 3]

Documents are answers of about 100 words and their references: runs of film descriptions from
$TRUEUP_DATA where it is set, else words drawn with Zipf's frequencies; the answer keeps four words
in five of its reference, in another order of its parts. Times are CPU time of this process, the
best of the repeats; the scores are compared, and the run fails where they differ by 1e-4.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from rouge_score.rouge_scorer import RougeScorer

from trueup.core.protocols import Prediction
from trueup.evaluate import Rouge1, Rouge2, RougeL

OURS = {"rouge1": Rouge1(), "rouge2": Rouge2(), "rougeL": RougeL()}


def references(docs: int, rng: np.random.Generator) -> list[str]:
    if "TRUEUP_DATA" in os.environ:
        import pyarrow.parquet as pq

        path = Path(os.environ["TRUEUP_DATA"]) / "netflix_titles.parquet"
        texts = pq.read_table(path, columns=["description"])["description"].to_pylist()
        return [" ".join(texts[at] for at in rng.integers(len(texts), size=4)) for _ in range(docs)]
    weights = 1 / np.arange(1, 5_001)
    drawn = rng.choice(5_000, size=(docs, 100), p=weights / weights.sum())
    return [" ".join(f"w{word}" for word in row) for row in drawn]


def mangled(text: str, rng: np.random.Generator) -> str:
    kept = [word for word in text.split() if rng.random() < 0.8]
    at = int(rng.integers(len(kept)))
    return " ".join(kept[at:] + kept[:at])


def best(work: Callable[[], list[list[float]]], repeat: int) -> tuple[float, list[list[float]]]:
    times, found = [], []
    for _ in range(repeat):
        began = time.process_time()
        found = work()
        times.append(time.process_time() - began)
    return min(times), found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--docs", type=int, default=3_000)
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    truths = references(options.docs, rng)
    given = [mangled(text, rng) for text in truths]
    answers = [Prediction(text) for text in given]
    print(f"{options.docs:,} documents of {np.mean([len(text.split()) for text in truths]):.0f} words")
    for names in (["rougeL"], ["rouge1", "rouge2", "rougeL"]):
        oracle = RougeScorer(names, use_stemmer=False)

        def ours(names: list[str] = names) -> list[list[float]]:
            return [[float(x) for x in OURS[name].score(truths, answers, truths)] for name in names]  # type: ignore[arg-type]

        def theirs(names: list[str] = names, oracle: RougeScorer = oracle) -> list[list[float]]:
            scores = [oracle.score(truth, text) for truth, text in zip(truths, given, strict=True)]
            return [[score[name].fmeasure for score in scores] for name in names]

        mine, a = best(ours, options.repeat)
        peer, b = best(theirs, options.repeat)
        gap = float(np.abs(np.array(a) - np.array(b)).max())
        assert gap < 1e-4, gap
        print(
            f"{'+'.join(names):<24} {options.docs / mine:>9,.0f}/s   rouge-score {options.docs / peer:>7,.0f}/s"
            f"   ratio {peer / mine:.1f}   largest difference {gap:.1e}"
        )


if __name__ == "__main__":
    main()
