# SPDX-License-Identifier: Apache-2.0
"""Releases of a champion against itself: logged units drawn anew, ruled on as a release rules.

Drawn by the router's hash under a new salt for each release, ruled on by the stages' own
parameters and verdicts. What a unit did is what it did in the log, whichever arm it is drawn to:
between the arms there is no difference but chance. No ledger is written: a whole one would take
seconds a release.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from trueup.core.clock import to_us
from trueup.core.errors import NotFound
from trueup.core.values import from_json
from trueup.lab.drills._log import Row, Traffic, traffic_of
from trueup.release import (
    AB,
    Bandit,
    Canary,
    Interleave,
    Scene,
    Shadow,
    Terms,
    first_promotion,
    fitted,
    score_of,
    verdict_of,
)
from trueup.route import Routing, assign
from trueup.state import Release, read

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trueup.store import Ledger

    Floats = NDArray[np.float64]

LOOKS = 100          # of the z-test that is looked at on the way
RENEWALS = 20        # of a bandit's probabilities in one release
STAGES = (Shadow, Canary, AB, Bandit, Interleave)
EVER = 2**62         # a moment after all windows
Z = tuple[bool, bool]


@dataclass(frozen=True)
class Played:
    """One release: its verdict, which stage gave it, what the gates said, and by stage what a z-test on
    the same units would have said, looked at once and LOOKS times."""

    verdict: str
    stage: str
    rejected: tuple[str, ...] = ()
    z: Mapping[str, Z] = field(default_factory=dict)


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
        z: dict[str, Z] = {}
        for at, (stage, parameters) in enumerate(self.stages):
            name = type(stage).__name__
            found, told = self._stage(stage, parameters, f"aa/{self.seed}/{number}/{at}", rng)
            if told is not None:
                z[name] = told
            if found == "PASS" and not isinstance(stage, Canary):
                rejected.append(name)
            if found != "PASS":
                return Played(found, name, tuple(rejected), z)
        return Played("PROMOTE" if rejected else "PASS", "", tuple(rejected), z)

    def _stage(self, stage: Any, parameters: dict[str, Any], salt: str, rng: np.random.Generator) -> tuple[str, Z | None]:
        if isinstance(stage, Shadow):
            return self._shadow(parameters, rng), None
        if isinstance(stage, Canary):
            return self._canary(stage, parameters, salt, rng), None
        if isinstance(stage, Interleave):
            return self._interleave(parameters, rng)
        return self._experiment(stage, parameters, salt, rng)

    def _drawn(self, n: int, rng: np.random.Generator) -> Iterator[tuple[str, int]]:
        """Units as they come: each once, in a new order, and once more under a new name when all came."""
        done = 0
        while done < n:
            for place in rng.permutation(len(self.traffic))[: n - done].tolist():
                unit = self.traffic.units[place]
                yield (f"{unit}" if done < len(self.traffic) else f"{unit}\0{done}"), place
                done += 1

    def _routing(self, salt: str, slices: Sequence[Mapping[str, Any]], names: Sequence[str] = ()) -> Routing:
        made = self.terms.population.routing(self.terms.loop, salt)
        arms = {"arms": dict.fromkeys(names, "aa")} if list(names) not in ([], ["challenger"]) else {}
        return Routing.from_json({
            "champion": "aa", "challenger": "aa", "release": "aa", "slices": list(slices), **made, **arms, "salt": salt,
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

    def _experiment(
        self, stage: AB | Bandit, parameters: dict[str, Any], salt: str, rng: np.random.Generator
    ) -> tuple[str, Z]:
        """An A/B, or a bandit whose probabilities are renewed on the way: the verdict on all of its units,
        and promoted if a look after any one of them promotes."""
        rows = self._units(stage, parameters, salt, rng)
        z = _z_tests([(row["arm"] != "champion", row["as_logged"]) for row in rows], parameters["level"])
        told = {
            "rows": rows, "invalid": None, "outcome": _told([row["y"] for row in rows]),
            "harms": [_told(self._values(guard, parameters, rows)) for guard in parameters["harms"]],
        }
        found = verdict_of("experiment", told, {**parameters, "policy": None}, EVER)
        if found["invalid"]:
            return "INVALID", z
        if any(one["rejected"] for one in found["harms"].values()):
            return "ROLLBACK", z
        return _harm(rows, parameters["guard"]) or ("PASS" if _promotes(parameters, rows) else "REFUSE"), z

    def _units(
        self, stage: AB | Bandit, parameters: dict[str, Any], salt: str, rng: np.random.Generator
    ) -> list[Row]:
        """The experiment's units as they are drawn, in order, each with what it did."""
        names, horizon = parameters["names"], parameters["horizon"]
        values = self._of(stage.outcome.name, parameters)
        worse = _thinned(values, stage.no_worse_by, rng)
        first, last = parameters["since"], parameters["since"] + int(stage.max_time.total_seconds() * 1e6)
        within = int(stage.outcome.within.total_seconds() * 1e6)
        routing = self._routing(salt, _whole(parameters["slices"]), names[1:])
        renew = max(1, horizon // RENEWALS) if isinstance(stage, Bandit) else horizon + 1
        rows: list[Row] = []
        for number, (unit, place) in enumerate(self._drawn(horizon, rng)):
            if number and number % renew == 0 and isinstance(stage, Bandit):
                part = stage.part(fitted(parameters["policy"], names, rows))
                routing = self._routing(salt, _whole([part]), names[1:])
            context = self.traffic.contexts[place]
            drawn = assign(routing, unit, context)
            if not drawn.enrolled or drawn.propensity is None:
                continue
            pi = drawn.propensity
            shares = drawn.probabilities or (("champion", 1.0 - pi), (names[1], pi))
            y = float((values if drawn.arm == "champion" else worse)[place])
            rows.append({
                **self._row(unit, place, drawn.arm, 1.0 - dict(shares)["champion"]), "shares": dict(shares), "place": place,
                "y": None if math.isnan(y) else y, "as_logged": float(values[place]), "told": int(not math.isnan(y)),
                "ts": first + (last - first) * number // horizon, "within": within, "known": True, "context": context,
            })
        return rows

    def _of(self, name: str, parameters: Mapping[str, Any]) -> Floats:
        return (self.traffic.firsts if parameters["moves"] else self.traffic.outcomes)[name]

    def _values(self, guard: Mapping[str, Any], parameters: Mapping[str, Any], rows: list[Row]) -> list[float | None]:
        """What the units did by a business guardrail's outcome."""
        values = self._of(from_json(guard["outcome"]).name, parameters)
        return [None if math.isnan(values[row["place"]]) else float(values[row["place"]]) for row in rows]

    def _interleave(self, parameters: dict[str, Any], rng: np.random.Generator) -> tuple[str, Z]:
        """The champion's ranking is mixed with itself, and clicked as it was in the log."""
        from trueup.stats import interleave

        there = [one for one in self.traffic.lists[parameters["outcome"]] if one is not None]
        rows: list[list[Any]] = []
        for at, place in enumerate(rng.integers(0, len(there), size=parameters["horizon"]).tolist()):
            items, clicked = there[place]
            mixed = interleave(items, items, len(items), rng, parameters["method"])
            shown = {"items": list(mixed.items), "teams": list(mixed.teams)}
            if mixed.rankings is not None:
                shown["rankings"] = [list(ranking) for ranking in mixed.rankings]
            rows.append([str(at), score_of(shown, clicked)])
        told = {"rows": rows, "units": len(rows), "matured": len(rows), "clicks": 0, "invalid": None}
        found = verdict_of("interleaving", told, parameters, EVER)
        return ("PASS" if found["rejected"] else "REFUSE"), _signs([score for _, score in rows], parameters["level"])

    def _shadow(self, parameters: dict[str, Any], rng: np.random.Generator) -> str:
        """Both answers are the champion's. Where people audit a judge, the judge sees no difference, and the
        people whom a coin asks see a challenger that is worse by the margin."""
        audit, traffic = parameters.get("audit"), self.traffic
        there = np.flatnonzero(~np.isnan(traffic.scores) & ~(np.isnan(traffic.truths) if audit else False))
        places = there[rng.integers(0, len(there), size=parameters["horizon"])]
        old = (traffic.truths if audit else traffic.scores)[places]
        new = _thinned(old, parameters["margin"], rng)
        base = old if parameters["anchor"] is not None else [None] * len(old)
        rows: list[list[Any]] = []
        for at, scores in enumerate(zip(new.tolist(), old.tolist(), list(base), strict=True)):
            judged = [float(traffic.scores[places[at]])] * 2
            asked = audit is not None and bool(rng.random() < audit["share"])
            people = [asked, *(scores if asked else (None, None, None))]
            rows.append([str(at), str(at), *([*judged, None if scores[2] is None else judged[0]] if audit else scores), True, *(people if audit else [])])
        told = {"counts": {"units": len(rows), "labelled": len(rows)}, "failed": 0, "rows": rows}
        found = verdict_of("shadow", told, parameters, EVER)
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
    left = [type(stage).__name__ for stage in terms.stages if not isinstance(stage, STAGES)]
    now, cut = to_us(ledger.clock.now()), ledger.cut()
    release = Release(
        id="aa", candidate=state.champion, k=1, level=terms.risk.wrong_promotion, started=now, stage=0, entered=now,
        loop=terms.digest,
    )
    found = []
    for at, stage in enumerate(terms.stages):
        if not isinstance(stage, STAGES):
            continue
        scene = Scene(ledger, terms, state, replace(release, stage=at), cut, now)
        if isinstance(stage, AB | Bandit):  # its arms are candidates; here all of them are the champion
            parameters = stage.begin(scene, dict.fromkeys(stage.arms or ("challenger",), state.champion))
        else:
            parameters = stage.enter(scene)
        if "horizon" in parameters:
            parameters["horizon"] = min(parameters["horizon"], most)
        found.append((stage, parameters))
    traffic = traffic_of(ledger, terms, [stage for stage, _ in found], state.champion, cut)
    return Against(terms, found, traffic, seed, most, [name for name in left if name not in ("Full", "Approval")])


def _thinned(values: Floats, margin: float, rng: np.random.Generator) -> Floats:
    """The same outcomes, worse by exactly the margin in the mean: some become 0, drawn by a coin."""
    mean = float(np.nanmean(values))
    if margin <= 0.0 or mean <= 0.0:
        return values
    return np.where(rng.random(len(values)) < min(1.0, margin / mean), np.where(np.isnan(values), math.nan, 0.0), values)


def _harm(rows: list[Row], parameters: dict[str, Any]) -> str | None:
    found = verdict_of("canary", {"rows": rows, "invalid": None}, parameters, EVER)
    if found["invalid"]:
        return "INVALID"
    return "ROLLBACK" if any(found[name]["rejected"] for name in ("count", "burden", "latency")) else None


def _promotes(parameters: dict[str, Any], rows: list[Row]) -> bool:
    """Whether a look after any one of the units would have promoted, once the minimum time is over."""
    return first_promotion(parameters, rows) is not None


def _told(ys: Sequence[float | None]) -> dict[str, Any]:
    """Outcomes in the form that an experiment's verdict reads."""
    return {"y": list(ys), "told": [int(y is not None) for y in ys], "wrong": None}


def _whole(slices: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The same slices of all units: those that take no part would only be drawn in vain."""
    return [{**part, "start": 0.0, "stop": 1.0} for part in slices]


def _signs(scores: Sequence[int], level: float) -> Z:
    """The same of a sign test of credit."""
    from scipy.special import ndtri

    signs = np.asarray(scores, dtype=float)
    at = np.unique(np.linspace(len(signs) / LOOKS, len(signs), LOOKS).astype(int)) - 1
    at = at[at >= 9]
    decided = np.cumsum(signs * signs)[at]
    z = np.where(decided > 4, np.abs(np.cumsum(signs)[at]) / np.sqrt(np.maximum(decided, 1.0)), 0.0)
    line = float(ndtri(1.0 - level / 2.0))
    return bool(z[-1] > line), bool((z > line).any())


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
