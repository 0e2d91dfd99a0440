# SPDX-License-Identifier: Apache-2.0
"""One score a batch by NannyML, in its own environment: python nannyml_scores.py COLUMN reference.csv batch.csv ..."""

import json
import sys

import nannyml
import pandas


def main(column: str, reference: str, *batches: str) -> None:
    known = pandas.read_csv(reference)
    for path in batches:
        batch = pandas.read_csv(path)
        drift = nannyml.UnivariateDriftCalculator(column_names=[column], continuous_methods=["wasserstein"], chunk_size=len(batch))
        found = drift.fit(known).calculate(batch).filter(period="analysis").to_df()
        print(json.dumps({"name": f"nannyml-{column}", "value": float(found[(column, "wasserstein", "value")].iloc[-1])}))


if __name__ == "__main__":
    main(*sys.argv[1:])
