# SPDX-License-Identifier: Apache-2.0
"""What a bandit's floor buys: power against regret, by the code that a release runs.

Two arms, Thompson sampling renewed twenty times; the test that promotes looks after each unit. `python
benchmarks/floors.py` prints the table of docs/guarantees.md; `--reps` and `--seed` change it.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

from trueup.release import first_promotion, fitted
from trueup.route import Routing, Slice, assign

NAMES = ["champion", "challenger"]
UNITS, RENEWALS, LEVEL = 2_000, 20, 0.05
WORLDS = {"better by .08": (0.30, 0.38), "equal": (0.30, 0.30), "worse by .08": (0.38, 0.30)}
FLOORS = (0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5)


def played(rates: tuple[float, float], floor: float, salt: str, rng: Any) -> tuple[bool, float]:
    """Whether the challenger is promoted, and what was lost by unit against the better arm for all."""
    policy = {"kind": "thompson", "floor": floor, "explore": 0.3, "prior": rates[0], "features": []}
    rows: list[dict[str, Any]] = []
    for batch in range(RENEWALS):
        weights = fitted(policy, NAMES, rows)["weights"] if floor < 0.5 else [["challenger", 0.5]]
        pi = sum(p for _, p in weights)
        routing = Routing("a", "b", "r", salt, (Slice(0.0, 1.0, pi, weights=tuple(map(tuple, weights))),), arms={"challenger": "b"})
        for at in range(UNITS // RENEWALS):
            drawn = assign(routing, f"u{batch}-{at}")
            y = float(rng.random() < rates[drawn.arm == "challenger"])
            rows.append({"arm": drawn.arm, "shares": dict(drawn.probabilities), "y": y, "ts": 1, "within": 0, "context": None})  # type: ignore[arg-type]
    parameters = {
        "names": NAMES, "level": LEVEL, "horizon": UNITS, "margin": 0.0, "w": 0.3, "pi_range": None, "since": 0, "min_time": 0,
        "missing": "attrition",
    }
    lost = sum(max(rates) - rates[row["arm"] == "challenger"] for row in rows) / UNITS
    return first_promotion(parameters, rows) is not None, lost


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reps", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    print(f"{UNITS:,} units, level {LEVEL}, {RENEWALS} renewals, {asked.reps} repetitions, seed {asked.seed}")
    print("| floor | " + " | ".join(f"{name}: promoted, lost a 1,000 units" for name in WORLDS) + " |")
    for floor in FLOORS:
        cells = []
        for name, rates in WORLDS.items():
            rng = np.random.default_rng(asked.seed)
            found = [played(rates, floor, f"{name}/{floor}/{rep}", rng) for rep in range(asked.reps)]
            cells.append(f"{np.mean([won for won, _ in found]):.2f}, {1_000 * np.mean([lost for _, lost in found]):.1f}")
        print(f"| {floor:g} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
