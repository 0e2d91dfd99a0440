# SPDX-License-Identifier: Apache-2.0
"""Releases of a champion against itself: logged units drawn anew, ruled on as a release rules.

Drawn by the router's hash under a new salt for each release, ruled on by the stages' own
parameters, verdicts and tests. What a unit did is what it did in the log, whichever arm it is
drawn to: between the arms there is no difference but chance. No ledger is written: a whole one
would take seconds a release.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from trueup.core.clock import to_us
from trueup.core.errors import DataError, NotFound
from trueup.core.json import loads
from trueup.core.protocols import Prediction, Unmeasured
from trueup.core.task import Outcome
from trueup.core.values import from_json
from trueup.release import AB, Canary, Shadow, measured, read
from trueup.release.canary import canary_verdict
from trueup.release.experiment import half_refreshed, sample_ratio
from trueup.release.exposed import Row
from trueup.release.pairs import shadow_verdict
from trueup.release.stage import SETTLE_US, Scene, Terms
from trueup.release.state import Release
from trueup.route import Routing, assign

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trueup.store import Ledger

    Floats = NDArray[np.float64]

LOGGED = 50_000      # the champion's last requests that are drawn from
LEAST = 200          # units without which there is nothing to draw
LOOKS = 100          # of the z-test that is looked at on the way
STAGES = (Shadow, Canary, AB)


@dataclass(frozen=True)
class Traffic:
    """What each unit did: outcomes on [0, 1] with 1 the best (nan: none), by name; whether its first
    request failed, the share of its requests that did, the seconds of the first; and, for a shadow,
    the score of the champion's answer (nan: none)."""

    units: list[str]
    outcomes: Mapping[str, Floats]
    failed: NDArray[np.bool_]
    burden: Floats
    seconds: Floats
    scores: Floats

    def __len__(self) -> int:
        return len(self.units)


@dataclass(frozen=True)
class Played:
    """One release: its verdict, which stage gave it, what the carrying gates said, and what a z-test on
    the same units would have said, looked at once and LOOKS times."""

    verdict: str
    stage: str
    rejected: tuple[str, ...] = ()
    z_once: bool | None = None
    z_peeked: bool | None = None


@dataclass
class Against:
    """A loop's stages with the parameters that they would be entered with, and its logged units."""

    terms: Terms
    stages: list[tuple[Any, dict[str, Any]]]
    traffic: Traffic
    seed: int
    most: int
    left_out: list[str] = field(default_factory=list)

    def one(self, number: int) -> Played:
        """The release with this number: the same number gives the same release."""
        rng = np.random.default_rng([self.seed, number])
        rejected: list[str] = []
        z: tuple[bool, bool] | None = None
        for at, (stage, parameters) in enumerate(self.stages):
            name = type(stage).__name__
            salt = f"aa/{self.seed}/{number}/{at}"
            if isinstance(stage, Shadow):
                found = self._shadow(parameters, rng)
            elif isinstance(stage, Canary):
                found = self._canary(stage, parameters, salt, rng)
            else:
                found, z = self._ab(stage, parameters, salt, rng)
            if found == "PASS" and not isinstance(stage, Canary):
                rejected.append(name)
            if found != "PASS":
                return Played(found, name, tuple(rejected), *(z or (None, None)))
        return Played("PROMOTE" if rejected else "PASS", "", tuple(rejected), *(z or (None, None)))

    def _drawn(self, n: int, rng: np.random.Generator) -> Iterator[tuple[str, int]]:
        """Units as they come: each once, in a new order, and once more under a new name when all came."""
        done = 0
        while done < n:
            for place in rng.permutation(len(self.traffic))[: n - done].tolist():
                unit = self.traffic.units[place]
                yield (f"{unit}" if done < len(self.traffic) else f"{unit}\0{done}"), place
                done += 1

    def _routing(self, salt: str, slices: Sequence[Mapping[str, Any]]) -> Routing:
        made = self.terms.population.routing(self.terms.loop, salt)
        return Routing.from_json({
            "champion": "aa", "challenger": "aa", "release": "aa", "slices": list(slices), **made, "salt": salt,
        })

    def _canary(self, stage: Canary, parameters: dict[str, Any], salt: str, rng: np.random.Generator) -> str:
        steps = len(stage.shares)
        routings = [self._routing(salt, stage.slices(at)) for at in range(steps)]
        arrivals = min(4 * self.most, int(stage.units * stage.pi * steps / sum(stage.shares)))
        rows = []
        for number, (unit, place) in enumerate(self._drawn(arrivals, rng)):
            drawn = assign(routings[number * steps // arrivals], unit)
            if drawn.enrolled:
                rows.append(self._row(unit, place, drawn.arm, drawn.propensity))
        return _harm(rows, parameters) or "PASS"

    def _ab(
        self, stage: AB, parameters: dict[str, Any], salt: str, rng: np.random.Generator
    ) -> tuple[str, tuple[bool, bool]]:
        part = {name: value for name, value in parameters["slices"][0].items() if name != "weights"}
        routing = self._routing(salt, [{**part, "start": 0.0, "stop": 1.0}])
        horizon = parameters["horizon"]
        rows, scored = [], []
        values = self.traffic.outcomes[stage.outcome.name]
        worse = _thinned(values, stage.no_worse_by, rng)
        first, last = parameters["since"], parameters["since"] + int(stage.max_time.total_seconds() * 1e6)
        ys: list[tuple[bool, float]] = []
        for number, (unit, place) in enumerate(self._drawn(horizon, rng)):
            drawn = assign(routing, unit)
            if not drawn.enrolled or drawn.propensity is None:
                continue
            rows.append(self._row(unit, place, drawn.arm, drawn.propensity))
            y = float((worse if drawn.arm == "challenger" else values)[place])
            ys.append((drawn.arm == "challenger", float(values[place])))
            pi = drawn.propensity
            scored.append({
                "unit": unit, "arm": drawn.arm, "pi": pi, "shares": {"champion": 1.0 - pi, "challenger": pi},
                "y": None if math.isnan(y) else y, "told": int(not math.isnan(y)), "place": place,
                "ts": first + (last - first) * number // horizon, "within": 0,
            })
        z = _z_tests(ys, parameters["level"])
        if broken := _broken(parameters, scored):
            return broken, z
        if harm := _harm(rows, parameters["guard"]) or self._harms(parameters, scored):
            return harm, z
        return ("PASS" if _promotes(parameters, scored) else "REFUSE"), z

    def _harms(self, parameters: dict[str, Any], scored: list[Row]) -> str | None:
        """The business guardrails, on what the units did in the log."""
        from trueup.stats import HarmTest

        for guard in parameters["harms"]:
            outcome: Outcome = from_json(guard["outcome"])
            test = HarmTest(guard["level"], guard["tolerance"], parameters["horizon"])
            for one in scored:
                y = float(self.traffic.outcomes[outcome.name][one["place"]])
                if not math.isnan(y):
                    test.update(int(one["arm"] != "champion"), 1.0 - y, one["pi"])
            if test.rejected:
                return "ROLLBACK"
        return None

    def _shadow(self, parameters: dict[str, Any], rng: np.random.Generator) -> str:
        there = np.flatnonzero(~np.isnan(self.traffic.scores))
        places = there[rng.integers(0, len(there), size=parameters["horizon"])]
        old = self.traffic.scores[places]
        new = _thinned(old, parameters["margin"], rng)
        base = old if parameters["anchor"] is not None else [None] * len(old)
        rows = [[str(at), str(at), *scores] for at, scores in enumerate(zip(new.tolist(), old.tolist(), list(base), strict=True))]
        found = shadow_verdict({"counts": {"units": len(rows), "labelled": len(rows)}, "failed": 0, "rows": rows}, parameters)
        if found["invalid"]:
            return "INVALID"
        return "PASS" if found["rejected"] and (found["anchor"] is None or found["anchor"]["rejected"]) else "REFUSE"

    def _row(self, unit: str, place: int, arm: str, pi: float | None) -> Row:
        seconds = float(self.traffic.seconds[place])
        return {
            "unit": unit, "arm": arm, "pi": pi, "ts": 0, "failed": bool(self.traffic.failed[place]),
            "burden": float(self.traffic.burden[place]), "seconds": None if math.isnan(seconds) else seconds,
            "requests": 1, "late": 0,
        }


def against(ledger: Ledger, terms: Terms, *, seed: int, most: int) -> Against:
    """The champion of a ledger against itself. `most` bounds the units of a stage.

    Levels are the loop's, as for a first release of a promise per release: each simulated release is
    tested at the whole of `wrong_promotion`. Raises NotFound without a champion, and DataError without enough
    of its log.
    """
    _, state = read(ledger, terms.loop)
    if state.champion is None:
        raise NotFound("expected a champion, got none", cure="run the loop until it has installed one")
    stages = [stage for stage in terms.stages if isinstance(stage, STAGES)]
    names = [type(stage).__name__ for stage in terms.stages if not isinstance(stage, STAGES)]
    now, cut = to_us(ledger.clock.now()), ledger.cut()
    release = Release(
        id="aa", candidate=state.champion, k=1, level=terms.risk.wrong_promotion, started=now, stage=0, entered=now,
        loop=terms.digest,
    )
    found = []
    for at, stage in enumerate(terms.stages):
        if isinstance(stage, STAGES):
            asked = replace(stage, arms={}) if isinstance(stage, AB) and stage.arms else stage
            parameters = asked.enter(Scene(ledger, terms, state, replace(release, stage=at), cut, now))
            if "horizon" in parameters:
                parameters["horizon"] = min(parameters["horizon"], most)
            found.append((asked, parameters))
    traffic = _traffic(ledger, terms, stages, state.champion, cut)
    left = [name for name in names if name not in ("Full", "Approval")]
    return Against(terms, found, traffic, seed, most, left)


def _traffic(ledger: Ledger, terms: Terms, stages: Sequence[Any], champion: str, cut: int) -> Traffic:
    outcomes = {stage.outcome.name: stage.outcome for stage in stages if isinstance(stage, AB)}
    for stage in stages:
        if isinstance(stage, AB):
            outcomes |= {guard.outcome.name: guard.outcome for guard in stage.guardrails.outcomes}
    shadow = next((stage for stage in stages if isinstance(stage, Shadow)), None)
    label = None if shadow is None else shadow.label(terms.outcomes)
    asked = [*outcomes, *([label.name] if label is not None and label.name not in outcomes else [])]
    rows = [
        row for row in ledger.interactions(terms.loop, outcomes=asked, cut=cut).to_pylist()[-4 * LOGGED :]
        if row["unit"] is not None and row["candidate"] == champion
    ][-LOGGED:]
    units: dict[str, list[Row]] = {}
    for row in sorted(rows, key=lambda row: (row["ts"], row["seq"])):
        units.setdefault(row["unit"], []).append(row)
    if len(units) < LEAST:
        raise DataError(
            f"expected at least {LEAST} units that the champion answered, got {len(units)}",
            cure="log more requests with their units, or run the drill without --loop",
        )
    mine = list(units.values())
    return Traffic(
        list(units),
        {name: np.array([_outcome(part, outcome) for part in mine]) for name, outcome in outcomes.items()},
        np.array([part[0]["error"] is not None for part in mine]),
        np.array([sum(row["error"] is not None for row in part) / len(part) for part in mine]),
        np.array([math.nan if part[0]["seconds"] is None else part[0]["seconds"] for part in mine]),
        np.full(len(mine), math.nan) if shadow is None or label is None else _scores(shadow, label, [part[0] for part in mine]),
    )


def _outcome(rows: list[Row], outcome: Outcome) -> float:
    """A unit's outcome, as an experiment scores it: the mean over its requests, on [0, 1]."""
    told = [row[f"{outcome.name}_value"] for row in rows]
    if outcome.absent is not None:
        told = [outcome.absent if one is None else one for one in told]
    values = [min(max(float(one), outcome.low), outcome.high) for one in told if one is not None]
    return outcome.scaled(math.fsum(values) / len(values)) if values else math.nan


def _scores(shadow: Shadow, label: Outcome, rows: list[Row]) -> Floats:
    found = np.full(len(rows), math.nan)
    there = [at for at, row in enumerate(rows) if row["output"] is not None and row[label.name] is not None]
    scores = measured(
        shadow.scorer, [loads(rows[at]["input"]) for at in there],
        [Prediction(loads(rows[at]["output"])) for at in there], [loads(rows[at][label.name]) for at in there],
    )
    for at, score in zip(there, scores, strict=True):
        if not isinstance(score, Unmeasured):
            found[at] = score
    if len(there) < LEAST:
        raise DataError(f"expected at least {LEAST} labelled answers of the champion, got {len(there)}")
    return found


def _thinned(values: Floats, margin: float, rng: np.random.Generator) -> Floats:
    """The same outcomes, worse by exactly the margin in the mean: some become 0, drawn by a coin."""
    mean = float(np.nanmean(values))
    if margin <= 0.0 or mean <= 0.0:
        return values
    return np.where(rng.random(len(values)) < min(1.0, margin / mean), np.where(np.isnan(values), math.nan, 0.0), values)


def _harm(rows: list[Row], parameters: dict[str, Any]) -> str | None:
    found = canary_verdict({"rows": rows, "invalid": None}, parameters, 2**62)
    if found["invalid"]:
        return "INVALID"
    return "ROLLBACK" if any(found[name]["rejected"] for name in ("count", "burden", "latency")) else None


def _broken(parameters: dict[str, Any], scored: list[Row]) -> str | None:
    complete = [one for one in scored if one["y"] is not None]
    parts = [scored] if parameters["missing"] == "worst" else [scored, complete]
    alarms = any(sample_ratio(parameters, part)[1] for part in parts)
    return "INVALID" if alarms or half_refreshed(scored, parameters["names"]) else None


def _promotes(parameters: dict[str, Any], scored: list[Row]) -> bool:
    """Whether a look after any one of the units would have promoted, once the minimum time is over."""
    from trueup.stats import ArmTest

    test = ArmTest(parameters["level"], parameters["horizon"], parameters["margin"], parameters["w"])
    may = parameters["since"] + parameters["min_time"]
    for one in scored:
        y = one["y"]
        if y is None:
            if parameters["missing"] != "worst":
                continue
            y = float(one["arm"] == "champion")
        ripe = one["ts"] + one["within"] + SETTLE_US >= may
        test.update_of(1, int(one["arm"] != "champion"), y, pi_arm=one["pi"], pi_champion=1.0 - one["pi"], may_end=ripe)
        if ripe and test.promotes:
            return True
    return False


def _z_tests(ys: list[tuple[bool, float]], level: float) -> tuple[bool, bool]:
    """Whether a two-sided z-test at this level finds a difference: at the end, and at any of LOOKS looks."""
    from scipy.special import ndtri

    told = [(arm, y) for arm, y in ys if not math.isnan(y)]
    arm, y = np.array([one for one, _ in told], dtype=float), np.array([one for _, one in told])
    at = np.unique(np.linspace(len(y) / LOOKS, len(y), LOOKS).astype(int)) - 1
    at = at[at >= 9]

    def sides(weight: Floats) -> tuple[Floats, Floats, Floats]:
        n = np.maximum(np.cumsum(weight)[at], 1.0)
        mean = np.cumsum(weight * y)[at] / n
        return n, mean, np.cumsum(weight * y * y)[at] / n - mean * mean

    (n1, mean1, var1), (n0, mean0, var0) = sides(arm), sides(1.0 - arm)
    spread = np.sqrt(np.maximum(var1 / n1 + var0 / n0, 1e-12))
    z = np.where((n1 > 4) & (n0 > 4), np.abs(mean1 - mean0) / spread, 0.0)
    line = float(ndtri(1.0 - level / 2.0))
    return bool(z[-1] > line), bool((z > line).any())
