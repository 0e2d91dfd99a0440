# SPDX-License-Identifier: Apache-2.0
"""What obp's estimators say of its own logged data, as JSON; run in the oracles' environment."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import numpy as np
import obp
from obp.ope.estimators import (
    DoublyRobust,
    InverseProbabilityWeighting,
    SelfNormalizedInverseProbabilityWeighting,
)

LOGS = Path(obp.__file__).parent / "dataset" / "obd"


def logged(policy, campaign):
    """Rounds of a campaign that a policy logged: item, position, click and propensity."""
    with (LOGS / policy / campaign / f"{campaign}.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    take = {"item_id": int, "position": int, "click": float, "propensity_score": float}
    data = {name: np.array([kind(row[name]) for row in rows]) for name, kind in take.items()}
    data["position"] -= data["position"].min()
    return data


def policy_of(data, items, positions):
    """Items by the clicks that they had at each position, softly: a policy that differs from the log's."""
    clicks, shown = np.ones((items, positions)), np.full((items, positions), 20.0)
    np.add.at(clicks, (data["item_id"], data["position"]), data["click"])
    np.add.at(shown, (data["item_id"], data["position"]), 1.0)
    rate = clicks / shown
    weight = np.exp(40.0 * rate)
    return rate, weight / weight.sum(axis=0)


def values(policy, campaign):
    data, other = logged(policy, campaign), logged("bts" if policy == "random" else "random", campaign)
    items = int(max(data["item_id"].max(), other["item_id"].max())) + 1
    positions = int(max(data["position"].max(), other["position"].max())) + 1
    rate, chance = policy_of(other, items, positions)
    n, rows = len(data["click"]), np.arange(len(data["click"]))
    given = {
        "reward": data["click"], "action": data["item_id"], "position": data["position"],
        "pscore": data["propensity_score"], "action_dist": np.broadcast_to(chance, (n, items, positions)),
    }
    model = np.broadcast_to(rate, (n, items, positions))
    new = chance[data["item_id"], data["position"]]
    every = chance[:, data["position"]].T
    return {
        "ips": InverseProbabilityWeighting().estimate_policy_value(**given),
        "snips": SelfNormalizedInverseProbabilityWeighting().estimate_policy_value(**given),
        "dr": DoublyRobust().estimate_policy_value(**given, estimated_rewards_by_reg_model=model),
        "w": (new / data["propensity_score"]).tolist(), "r": data["click"].tolist(),
        "q_logged": model[rows, data["item_id"], data["position"]].tolist(),
        "q_new": (every * rate[:, data["position"]].T).sum(axis=1).tolist(),
    }


if __name__ == "__main__":
    json.dump({name: values(*name.split("/")) for name in sys.argv[1:]}, sys.stdout)
