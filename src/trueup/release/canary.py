# SPDX-License-Identifier: Apache-2.0
"""Canary: a growing share of units gets the challenger, and harm sends it back (REL-02, REL-03).

A step proves nothing: it holds, goes on, or rolls back.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from trueup.core.errors import ArgumentError
from trueup.core.json import digest
from trueup.core.values import value
from trueup.release.queries import QUERIES
from trueup.release.stage import SETTLE_US, Opening, Ruling, Scene, Terms, Traits, gather

if TYPE_CHECKING:
    from trueup.state import Release
    from trueup.store import Ledger

MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
SAMPLE_RATIO_LEVEL = 0.001
LOOK_BACK = 2_000    # the champion's requests behind its frozen 95th percentile


@value("stage.canary")
class Canary(Traits):
    """Serve the challenger to cumulative shares of the units, each step a fresh slice.

    `shares` are cumulative shares of all units, `step` the time that each takes. Inside a slice an
    arm is drawn with probability `pi`. A unit is followed up from its first request: it failed if
    that request erred, or was not answered within `lag`; its burden is the share of its requests
    within `window` that failed; it was slow if its first request took longer than the champion's
    95th percentile, frozen when the canary began. `tolerance` is the tolerated ratio of failing
    units (.25: a quarter more), `tolerance_abs` the tolerated difference of burden and slowness.
    `units` is the number of units that the canary means to look at; being wrong about it costs
    power only. A step that saw fewer than `least` units mature goes on waiting: silence is no
    evidence that nothing broke.
    """

    evidence = "canary"
    draws = True
    guards = True

    shares: Sequence[float] = (0.01, 0.05, 0.25)
    step: timedelta = DAY
    pi: float = 0.5
    lag: timedelta = 5 * MINUTE
    window: timedelta = 60 * MINUTE
    tolerance: float = 0.25
    tolerance_abs: float = 0.01
    units: int = 5_000
    least: int = 20

    def __init__(
        self, *cumulative: float, shares: Sequence[float] = (), step: timedelta = DAY, pi: float = 0.5,
        lag: timedelta = 5 * MINUTE, window: timedelta = 60 * MINUTE, tolerance: float = 0.25,
        tolerance_abs: float = 0.01, units: int = 5_000, least: int = 20,
    ) -> None:
        put = object.__setattr__
        put(self, "shares", tuple(cumulative or shares or (0.01, 0.05, 0.25)))
        put(self, "step", step)
        put(self, "pi", pi)
        put(self, "lag", lag)
        put(self, "window", window)
        put(self, "tolerance", tolerance)
        put(self, "tolerance_abs", tolerance_abs)
        put(self, "units", units)
        put(self, "least", least)
        if not 0.0 < pi < 1.0:
            raise ArgumentError(f"expected pi between 0 and 1, got {pi!r}")
        if list(self.shares) != sorted(set(self.shares)) or not self.shares[0] > 0.0:
            raise ArgumentError(f"expected shares that rise from above 0, got {self.shares!r}")
        if self.shares[-1] > pi:
            raise ArgumentError(
                f"expected shares of at most pi = {pi:g} (every unit enrolled), got {self.shares[-1]!r}"
            )
        if step <= timedelta(0) or lag <= timedelta(0) or window < timedelta(0):
            raise ArgumentError("expected step and lag above 0, and a window of at least 0")

    def problems(self, terms: Terms) -> list[str]:
        if sum(isinstance(stage, Canary) for stage in terms.stages) > 1:
            return ["a release can have one Canary, which draws each unit once: name all shares in it"]
        return []

    def slices(self, upto: int) -> list[dict[str, Any]]:
        """The slices of units that are open after `upto` further steps: [start, stop) and pi."""
        edges = [0.0, *(share / self.pi for share in self.shares[: upto + 1])]
        return [
            {"start": low, "stop": high, "pi": self.pi, "stage": at}
            for at, (low, high) in enumerate(pairwise(edges))
        ]

    def opening(self, parameters: dict[str, Any]) -> Opening:
        return Opening(self.slices(0), parameters)

    def enter(self, scene: Scene) -> dict[str, Any]:
        serving = sum(stage.draws for stage in scene.terms.stages)
        beta = scene.terms.risk.needless_rollback / max(1, serving)
        return {
            "release": scene.release.id, "lag": _us(self.lag),
            "window": _us(self.window), "tolerance": self.tolerance,
            "tolerance_abs": self.tolerance_abs, "units": self.units, "pi": self.pi,
            "levels": {"count": beta / 4, "burden": beta / 4, "latency": beta / 2},
            "p95": champion_p95(scene),
        }

    def rule(self, scene: Scene) -> Ruling:
        release = scene.release
        seen = watch(scene, release.parameters)
        if seen.call != "HOLD" or scene.now < release.stepped + _us(self.step):
            return seen
        matured, wanted = seen.evidence["result"]["units"], self.least * (release.step + 1)
        if matured < wanted:
            return Ruling("HOLD", f"too thin, {wanted} units are wanted by now: {seen.reason}", seen.evidence)
        if release.step + 1 < len(self.shares):
            share = self.shares[release.step + 1]
            return Ruling(
                "HOLD", f"no harm seen, on to {share:.0%} of the units: {seen.reason}", seen.evidence,
                slices=self.slices(release.step + 1),
            )
        return Ruling("PASS", f"no harm seen: {seen.reason}", seen.evidence)


_NAMES = {"count": "failing units", "burden": "failing requests", "latency": "slow requests"}


def _us(span: timedelta) -> int:
    return int(span.total_seconds() * 1e6)


def watch(scene: Scene, parameters: dict[str, Any]) -> Ruling:
    """What the units that the challenger serves say: ROLLBACK, INVALID, or HOLD for no harm seen."""
    result, evidence = gather(scene, "canary", parameters)
    words = describe(result)
    if result["invalid"]:
        return Ruling("INVALID", f"{result['invalid']}: {words}", evidence)
    harm = [name for name in ("count", "burden", "latency") if result[name]["rejected"]]
    if harm:
        return Ruling("ROLLBACK", f"harm in {_NAMES[harm[0]]}: {words}", evidence)
    return Ruling("HOLD", words, evidence)


def watched(release: Release) -> tuple[str | None, dict[str, Any] | None]:
    """The kind of evidence, and its parameters, that guards a release beside its present stage."""
    return ("canary", release.guard) if release.guard is not None else (None, None)


def describe(result: dict[str, Any]) -> str:
    """A canary's result in a sentence."""
    new, old = result["challenger"], result["champion"]
    return (
        f"{result['units']:,} units matured; failing {new['failed']} of {new['units']} against "
        f"{old['failed']} of {old['units']}, slow {new['slow']} against {old['slow']}"
    )


def champion_p95(scene: Scene) -> float | None:
    """The champion's 95th percentile of seconds over its last 2,000 requests; None without any."""
    rows = scene.ledger.query(
        QUERIES["slowest"],
        {"loop": scene.terms.loop, "candidate": scene.state.champion, "last": LOOK_BACK}, cut=scene.cut,
    ).to_pylist()
    return None if not rows or rows[0]["p95"] is None else float(rows[0]["p95"])


def canary_rows(
    ledger: Ledger, loop: str, parameters: dict[str, Any], cut: int, now: int
) -> dict[str, Any]:
    """What a canary's verdict rests on: {"rows", "invalid"}, a row a matured unit."""
    names = ("release", "lag", "window")
    rows = ledger.query(
        QUERIES["canary_rows"], {"loop": loop, "now": now - SETTLE_US, **{name: parameters[name] for name in names}}, cut=cut
    ).to_pylist()
    for row in rows:
        kept = row.pop("kept")
        if kept is not None:  # of several challengers together
            row["pi"] = 1.0 - float(kept)
    return {"rows": rows, "invalid": _broken(ledger, loop, parameters, rows, cut)}


def canary_verdict(told: dict[str, Any], parameters: dict[str, Any], now: int) -> dict[str, Any]:
    """The findings from the units alone; no ledger."""
    rows, tests, ratio = told["rows"], _tests(parameters), _ratio()
    invalid = told["invalid"] or outside((row["pi"] for row in rows), parameters.get("pi_range"))
    p95 = parameters["p95"]
    complete = now - SETTLE_US - parameters["window"] - parameters["lag"]
    result: dict[str, Any] = {"units": len(rows), "p95": p95, "lag": parameters["lag"] / 1e6}
    if invalid is None:
        for row in rows:
            arm, pi = int(row["arm"] != "champion"), float(row["pi"])
            ratio.update(arm, pi)
            if row["failed"]:
                tests["count"].update(arm, pi)
            if row["ts"] <= complete:
                tests["burden"].update(arm, float(row["burden"]), pi)
            if p95 is not None:
                slow = row["seconds"] is None or row["seconds"] > p95
                tests["latency"].update(arm, float(slow), pi)
        if ratio.alarm:
            invalid = "the arms are not drawn as logged (sample-ratio alarm)"
    for guard, test in tests.items():
        result[guard] = {
            "wealth": float(test.wealth), "line": 1.0 / parameters["levels"][guard],
            "rejected": bool(test.rejected), "crossed_at": test.crossed_at, "n": test.n,
        }
    for side in ("challenger", "champion"):
        result[side] = _arm([row for row in rows if (row["arm"] == "champion") == (side == "champion")], p95)
    result["sample_ratio"] = {"wealth": float(ratio.wealth), "line": 1.0 / SAMPLE_RATIO_LEVEL}
    result["late"] = sum(row["late"] for row in rows)
    result["invalid"] = invalid
    result["rows"] = digest([
        [row["unit"], row["arm"], row["pi"], row["failed"], row["burden"], row["seconds"]] for row in rows
    ])
    return result


def outside(shares: Iterable[float], pi_range: Sequence[float] | None) -> str | None:
    """Why units drawn with these probabilities do not belong to a test with a declared range, if they do not."""
    if pi_range is None:
        return None
    low, high = pi_range
    far = next((pi for pi in shares if not low * (1 - 1e-12) <= pi <= high * (1 + 1e-12)), None)
    return None if far is None else f"an assignment came with a propensity of {far:g}, outside the declared [{low:g}, {high:g}]"


def _tests(parameters: dict[str, Any]) -> dict[str, Any]:
    from trueup.stats import ErrorCount, HarmTest

    levels, units = parameters["levels"], parameters["units"]
    low, high = parameters.get("pi_range") or (None, None)
    count = ErrorCount(levels["count"], parameters["tolerance"], pi_min=low, pi_max=high)
    harm = {
        name: HarmTest(levels[name], parameters["tolerance_abs"], units, pi_min=low, pi_max=high)
        for name in ("burden", "latency")
    }
    return {"count": count, **harm}


def _ratio() -> Any:
    from trueup.stats import SampleRatio

    return SampleRatio(SAMPLE_RATIO_LEVEL)


def _broken(
    ledger: Ledger, loop: str, parameters: dict[str, Any], rows: list[dict[str, Any]], cut: int
) -> str | None:
    """Why no verdict may be drawn from these rows."""
    if any(row["pi"] is None or not 0.0 < row["pi"] < 1.0 for row in rows):
        return "an assignment came without its propensity"
    if any(row["arms"] > 1 for row in rows) and not parameters.get("moves"):
        return "a unit was seen in two arms"
    known = {"loop": loop, "release": parameters["release"]}
    lost = ledger.query(QUERIES["exposures_lost"], known, cut=cut).to_pylist()[0]["n"]
    return "exposures were lost" if lost else None


def _arm(rows: list[dict[str, Any]], p95: float | None) -> dict[str, Any]:
    import numpy as np

    slow = [row["seconds"] is None or row["seconds"] > p95 for row in rows] if p95 is not None else []
    return {
        "units": len(rows),
        "failed": sum(bool(row["failed"]) for row in rows),
        "slow": sum(slow),
        "requests": float(np.mean([row["requests"] for row in rows])) if rows else 0.0,
        "burden": float(np.mean([row["burden"] for row in rows])) if rows else 0.0,
    }
