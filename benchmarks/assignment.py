# SPDX-License-Identifier: Apache-2.0
"""Microseconds per assignment: ours beside the GrowthBook and OpenFeature SDKs, in the same run.

    python benchmarks/assignment.py            # makes a temporary environment for the peers
    python benchmarks/assignment.py --peers PYTHON   # uses an interpreter that has them

The peers are installed by name with pip; one that is not available is said so and left out.
Every figure is the best of the rounds; rounds of all contestants alternate.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

SRC = Path(__file__).resolve().parents[1] / "src"
PEERS = ("growthbook", "openfeature-sdk")
UNITS = [f"user-{i}" for i in range(2_000)]
ROUNDS = 7
Contestants = dict[str, Callable[[str], Any]]


def measure(contestants: Contestants) -> dict[str, float]:
    """The best time of each in microseconds a call; rounds alternate between contestants."""
    best = dict.fromkeys(contestants, float("inf"))
    for _ in range(ROUNDS):
        for name, call in contestants.items():
            began = time.perf_counter()
            for unit in UNITS:
                call(unit)
            best[name] = min(best[name], (time.perf_counter() - began) / len(UNITS) * 1e6)
    return best


def canary() -> Any:
    from trueup.route import Routing, raise_share

    routing = Routing("c-1", "c-2", "r-1", "exp-1")
    for stage, share in enumerate((0.01, 0.05, 0.25)):
        routing = raise_share(routing, share, stage=stage)
    return routing


def ours() -> Contestants:
    from trueup.route import assign, position

    routing = canary()
    return {
        "trueup position (the bare hash)": lambda unit: position("exp-1", unit),
        "trueup assign, canary of three slices": lambda unit: assign(routing, unit),
    }


def growthbook() -> Contestants:
    from growthbook import Experiment, GrowthBook

    experiment = Experiment(key="exp-1", variations=["champion", "challenger"], weights=[0.75, 0.25])
    rule = {"variations": ["champion", "challenger"], "weights": [0.75, 0.25], "key": "exp-1", "coverage": 1}
    features = {"model": {"defaultValue": "champion", "rules": [rule]}}
    exposures: list[Any] = []
    plain = GrowthBook(features=features)
    logging_ = GrowthBook(
        features=features, on_experiment_viewed=lambda experiment, result, *_: exposures.append(result)
    )

    def run(unit: str) -> Any:
        plain.set_attributes({"id": unit})
        return plain.run(experiment)

    def feature(unit: str) -> Any:
        plain.set_attributes({"id": unit})
        return plain.eval_feature("model")

    def exposed(unit: str) -> Any:
        logging_.set_attributes({"id": unit})
        return logging_.eval_feature("model")

    return {
        "growthbook run": run,
        "growthbook feature rule": feature,
        "growthbook feature rule + exposure callback": exposed,
    }


def openfeature() -> Contestants:
    from openfeature import api
    from openfeature.evaluation_context import EvaluationContext
    from openfeature.flag_evaluation import FlagResolutionDetails, Reason
    from openfeature.hook import Hook
    from openfeature.provider import AbstractProvider, Metadata
    from openfeature.provider.in_memory_provider import InMemoryFlag, InMemoryProvider

    from trueup.route import assign

    routing = canary()

    class Ours(AbstractProvider):
        def get_metadata(self) -> Any:
            return Metadata("trueup")

        def resolve_string_details(self, flag_key: str, default_value: str, evaluation_context: Any = None) -> Any:
            drawn = assign(routing, evaluation_context.targeting_key)
            return FlagResolutionDetails(drawn.candidate, variant=drawn.arm, reason=Reason.SPLIT)

        def _other(self, flag_key: str, default_value: Any, evaluation_context: Any = None) -> Any:
            return FlagResolutionDetails(default_value)

        resolve_boolean_details = resolve_integer_details = _other
        resolve_float_details = resolve_object_details = _other

    class Exposure(Hook):
        def __init__(self) -> None:
            self.seen: list[Any] = []

        def after(self, hook_context: Any, details: Any, hints: Any) -> None:
            self.seen.append((hook_context.evaluation_context.targeting_key, details.variant))

    flag = InMemoryFlag("champion", {"champion": "c-1", "challenger": "c-2"})
    api.set_provider(InMemoryProvider({"model": flag}), "memory")
    api.set_provider(Ours(), "ours")
    memory, own, hooked = api.get_client("memory"), api.get_client("ours"), api.get_client("ours")
    hooked.add_hooks([Exposure()])

    def details(client: Any) -> Callable[[str], Any]:
        return lambda unit: client.get_string_details("model", "c-1", EvaluationContext(unit))

    return {
        "openfeature client, in-memory provider": details(memory),
        "openfeature client, assign as provider": details(own),
        "openfeature client, assign as provider + exposure hook": details(hooked),
    }


def choosing() -> Contestants:
    """`choose` over a real ledger: outside an experiment, and with its assignments queued."""
    from trueup.client import connect
    from trueup.core import Decision, SystemClock, to_us
    from trueup.store import Ledger

    home = Path(tempfile.mkdtemp(prefix="trueup-bench-"))
    clock = SystemClock()
    with Ledger.open(home) as ledger:
        for loop, routing in (("idle", {"champion": "c-1"}), ("canary", canary().to_json())):
            ledger.decide(Decision(loop, to_us(clock.now()), "route", "NOTE", "", {"routing": routing}), expect=0)
    idle, running = connect("idle", home, acknowledge="enqueue"), connect("canary", home, acknowledge="enqueue")

    def full(unit: str) -> None:
        choice = running.choose(unit)
        running.log(choice, {"title": "a film", "year": 2019}, "drama", seconds=0.01)
        running.feedback(choice.id, "genre", "drama")

    def flushed(unit: str) -> Any:
        if unit == UNITS[0]:
            running.flush()
        return running.choose(unit)

    def full_flushed(unit: str) -> None:
        if unit == UNITS[0]:
            running.flush()
        full(unit)

    return {
        "trueup choose, no experiment": idle.choose,
        "trueup choose, canary, assignments queued": flushed,
        "trueup choose + log + feedback, canary, queued": full_flushed,
    }


def worker() -> None:
    """In the peers' environment: print what could be measured, as JSON."""
    logging.disable(logging.CRITICAL)
    contestants, missing = ours(), []
    for name, make in (("growthbook", growthbook), ("openfeature-sdk", openfeature)):
        try:
            contestants |= make()
        except ImportError as error:
            missing.append(f"{name}: {error}")
    print(json.dumps({"us": measure(contestants), "missing": missing}))


def with_peers(python: str) -> dict[str, Any]:
    done = subprocess.run(
        [python, str(Path(__file__).resolve()), "--worker"], capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(SRC)},
    )
    if done.returncode:
        return {"us": measure(ours()), "missing": [f"peers: {done.stderr.strip().splitlines()[-1:]}"]}
    return dict(json.loads(done.stdout.splitlines()[-1]))


def side_environment(folder: str) -> str:
    """A fresh environment with what of the peers pip can install; its interpreter."""
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = str(Path(folder) / "bin" / "python")
    for package in ("xxhash", *PEERS):
        done = subprocess.run([python, "-m", "pip", "install", "-q", package], capture_output=True, text=True, check=False)
        if done.returncode:
            print(f"{package}: not available here")
    return python


def report(us: dict[str, float], missing: list[str]) -> None:
    base = us["trueup assign, canary of three slices"]
    for name, time_ in us.items():
        print(f"{time_:9.2f} us  {time_ / base:7.1f} x  {name}")
    for line in missing:
        print(f"not measured: {line}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", help="an interpreter that has the peers installed")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.worker:
        worker()
        return
    sys.path.insert(0, str(SRC))
    with tempfile.TemporaryDirectory(prefix="trueup-peers-") as folder:
        result = with_peers(given.peers or side_environment(folder))
    report({**result["us"], **measure(choosing())}, result["missing"])


if __name__ == "__main__":
    main()
