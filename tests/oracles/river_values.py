# SPDX-License-Identifier: Apache-2.0
"""What river says of streams that stand in a file, as JSON; run in the oracles' environment."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from river import drift, linear_model


def ridge(contexts, rewards, ridge):
    """Mean and variance of a Bayesian linear regression at the last context, learned from the others."""
    model = linear_model.BayesianLinearRegression(alpha=ridge, beta=1.0)
    for x, y in zip(contexts[:-1], rewards, strict=True):
        model.learn_one({str(i): v for i, v in enumerate(x)}, y)
    last = {str(i): v for i, v in enumerate(contexts[-1])}
    found = model.predict_one(last, with_dist=True)
    return {"mean": found.mu, "variance": found.sigma**2}


def delays(streams, change):
    """Rows from the change until ADWIN alarms (None: never); an alarm before it is not counted."""
    found = []
    for stream in streams:
        detector, at = drift.ADWIN(), None
        for i, x in enumerate(stream):
            detector.update(x)
            if detector.drift_detected and i >= change:
                at = i - change
                break
        found.append(at)
    return found


if __name__ == "__main__":
    given = json.loads(Path(sys.argv[1]).read_text())
    json.dump({"ridge": ridge(**given["ridge"]), "delays": delays(given["streams"], given["change"])}, sys.stdout)
