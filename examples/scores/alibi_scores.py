# SPDX-License-Identifier: Apache-2.0
"""One score a batch by alibi-detect, in its own environment: python alibi_scores.py COLUMN reference.csv batch.csv ..."""

import json
import sys

import pandas
from alibi_detect.cd import KSDrift


def main(column: str, reference: str, *batches: str) -> None:
    drift = KSDrift(pandas.read_csv(reference)[[column]].to_numpy())
    for path in batches:
        found = drift.predict(pandas.read_csv(path)[[column]].to_numpy())
        print(json.dumps({"name": f"alibi-{column}", "value": float(found["data"]["distance"].max())}))


if __name__ == "__main__":
    main(*sys.argv[1:])
