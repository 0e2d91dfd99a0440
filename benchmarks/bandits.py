# SPDX-License-Identifier: Apache-2.0
"""Bandits and off-policy estimates: decisions a second, beside Vowpal Wabbit, MABWiser and obp in the same run.

    pip install --no-deps --target peers vowpalwabbit mabwiser 'pandas<3' pytz python-dateutil six
    make oracles                                     # obp
    python benchmarks/bandits.py --peers peers

Five arms, ten features, rewards of 0 or 1 that follow the context linearly. "One at a time": a
decision with its probabilities and the update by its reward, 4,000 times; "in batches": 100
decisions, then 100 updates. Off-policy: IPS, SNIPS and DR with their intervals on 10,000 rounds of
ten actions, and obp's three values of the same. CPU time of one thread, best of the rounds; peers
that are not installed are left out.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from trueup.stats import BetaThompson, LinTS, LinUCB, off_policy

ARMS, FEATURES, STEPS, BATCH = 5, 10, 4_000, 100
ORACLES = Path(__file__).resolve().parents[1] / ".venv-oracles"

Floats = Any
Play = Callable[[Floats, Floats], None]


def world(seed: int) -> tuple[Floats, Floats]:
    """Contexts (steps, features), and each arm's reward at each step (steps, arms)."""
    rng = np.random.default_rng(seed)
    contexts = rng.random((STEPS, FEATURES))
    chance = 0.2 + 0.6 * contexts @ rng.dirichlet(np.ones(FEATURES), size=ARMS).T
    return contexts, (rng.random((STEPS, ARMS)) < chance).astype(float)


def one_by_one(make: Callable[[], Any], context: bool = True) -> Play:
    def play(contexts: Floats, rewards: Floats) -> None:
        bandit, rng = make(), np.random.default_rng(0)
        for x, paid in zip(contexts, rewards, strict=True):
            given = (x,) if context else ()
            arm = bandit.decide(*given, rng).arm
            bandit.update(arm, float(paid[arm]), *given)

    return play


def in_batches(make: Callable[[], Any]) -> Play:
    def play(contexts: Floats, rewards: Floats) -> None:
        bandit, rng = make(), np.random.default_rng(0)
        for start in range(0, len(contexts), BATCH):
            x, paid = contexts[start : start + BATCH], rewards[start : start + BATCH]
            arms, _ = bandit.decide_many(x, rng)
            bandit.update_many(arms, paid[np.arange(len(x)), arms], x)

    return play


def mabwiser(size: int, policy: str) -> Play:
    from mabwiser.mab import MAB, LearningPolicy

    def play(contexts: Floats, rewards: Floats) -> None:
        learning = LearningPolicy.LinTS(alpha=0.3) if policy == "lints" else LearningPolicy.LinUCB(alpha=0.3)
        bandit = MAB(list(range(ARMS)), learning, seed=0)
        bandit.fit(list(range(ARMS)), [0.0] * ARMS, contexts[:ARMS])
        for start in range(0, len(contexts), size):
            x, paid = contexts[start : start + size], rewards[start : start + size]
            arms = np.atleast_1d(bandit.predict(x))
            bandit.partial_fit(arms, paid[np.arange(len(x)), arms], x)

    return play


def vowpal(contexts: Floats, rewards: Floats) -> None:
    from vowpalwabbit import Workspace

    space = Workspace(f"--cb_explore {ARMS} --epsilon 0.1 --quiet")
    for x, paid in zip(contexts, rewards, strict=True):
        text = "| " + " ".join(f"f{at}:{value:.4f}" for at, value in enumerate(x))
        p = space.predict(text)
        arm = int(np.argmax(p))
        space.learn(f"{arm + 1}:{-paid[arm]}:{p[arm]} {text}")
    space.finish()


def best(work: Callable[[], object], rounds: int) -> float:
    times = []
    for _ in range(rounds):
        began = time.process_time()
        work()
        times.append(time.process_time() - began)
    return min(times)


def logged(n: int, actions: int) -> dict[str, Floats]:
    """Rounds that a soft policy logged, another policy, and a model of the rewards."""
    rng = np.random.default_rng(3)
    mine, new = (np.exp(rng.normal(size=(n, actions))) for _ in range(2))
    mine, new = mine / mine.sum(axis=1, keepdims=True), new / new.sum(axis=1, keepdims=True)
    model = rng.random((n, actions))
    action = (mine.cumsum(axis=1) < rng.random((n, 1))).sum(axis=1).clip(0, actions - 1)
    rows = np.arange(n)
    return {
        "action": action, "reward": (rng.random(n) < model[rows, action]).astype(float), "pscore": mine[rows, action],
        "new": new, "model": model,
    }


def estimates(rounds: int) -> None:
    data = logged(10_000, 10)
    rows, action, new, model = np.arange(10_000), data["action"], data["new"], data["model"]

    def ours() -> Any:
        w = new[rows, action] / data["pscore"]
        return off_policy(w, data["reward"], q_logged=model[rows, action], q_new=(new * model).sum(axis=1))

    mine = best(ours, 20 * rounds)
    print(f"\n  off-policy, IPS + SNIPS + DR with intervals: {1e3 * mine:.2f} ms")
    sys.path.append(str(ORACLES))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from obp.ope.estimators import (
                DoublyRobust,
                InverseProbabilityWeighting,
                SelfNormalizedInverseProbabilityWeighting,
            )
    except ImportError as error:
        print(f"  obp: left out ({error})")
        return
    given = {
        "reward": data["reward"], "action": action, "position": np.zeros(10_000, dtype=int), "pscore": data["pscore"],
        "action_dist": new[:, :, None],
    }

    def theirs() -> tuple[float, float, float]:
        return (
            InverseProbabilityWeighting().estimate_policy_value(**given),
            SelfNormalizedInverseProbabilityWeighting().estimate_policy_value(**given),
            DoublyRobust().estimate_policy_value(**given, estimated_rewards_by_reg_model=model[:, :, None]),
        )

    found, said = ours(), theirs()
    for mine_, other in zip((found.ips, found.snips, found.dr), said, strict=True):
        assert abs(mine_.value - other) < 1e-9, (mine_.value, other)
    taken = best(theirs, 20 * rounds)
    print(f"  obp, the three values alone, equal within 1e-9: {1e3 * taken:.2f} ms, {taken / mine:.1f} x ours")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--peers", type=Path, help="folder that pip installed the peers into")
    options = parser.parse_args()
    if options.peers is not None:
        sys.path.append(str(options.peers))
    contexts, rewards = world(options.seed)
    plays: dict[str, Callable[[], Play]] = {
        "Trueup, Thompson without a context": lambda: one_by_one(lambda: BetaThompson(ARMS), context=False),
        "Trueup, LinTS": lambda: one_by_one(lambda: LinTS(ARMS, FEATURES, explore=0.3)),
        "Trueup, LinUCB": lambda: one_by_one(lambda: LinUCB(ARMS, FEATURES, explore=0.3)),
        "Vowpal Wabbit, cb_explore": vowpal_there,
        "MABWiser, LinTS": lambda: mabwiser(1, "lints"),
        "MABWiser, LinUCB": lambda: mabwiser(1, "linucb"),
        "Trueup, LinTS, in batches": lambda: in_batches(lambda: LinTS(ARMS, FEATURES, explore=0.3)),
        "Trueup, LinUCB, in batches": lambda: in_batches(lambda: LinUCB(ARMS, FEATURES, explore=0.3)),
        "MABWiser, LinTS, in batches": lambda: mabwiser(BATCH, "lints"),
        "MABWiser, LinUCB, in batches": lambda: mabwiser(BATCH, "linucb"),
    }
    print(f"{ARMS} arms, {FEATURES} features: decisions with their updates, a CPU second")
    for name, make in plays.items():
        try:
            play = make()
        except ImportError as error:
            print(f"  {name:<36} left out ({error})")
            continue
        taken = best(lambda play=play: play(contexts, rewards), options.rounds)  # type: ignore[misc]
        print(f"  {name:<36} {STEPS / taken:>10,.0f}", flush=True)
    estimates(options.rounds)


def vowpal_there() -> Play:
    import vowpalwabbit  # noqa: F401

    return vowpal


if __name__ == "__main__":
    main()
