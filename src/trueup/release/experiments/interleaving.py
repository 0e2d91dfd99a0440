# SPDX-License-Identifier: Apache-2.0
"""Interleaving: two rankers share one list, and clicks say which is preferred (REL-07)."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

from trueup.core.clock import from_us
from trueup.core.errors import ArgumentError, DataError
from trueup.core.json import digest, loads
from trueup.core.values import value
from trueup.release.experiments.design import WEEK, experiment_id, us
from trueup.release.experiments.trial import fallen
from trueup.release.queries import QUERIES
from trueup.release.stage import SETTLE_US, Ruling, Scene, Terms, Traits, gather

if TYPE_CHECKING:
    from trueup.store import Ledger

HOUR = timedelta(hours=1)


@value("stage.interleave")
class Interleave(Traits):
    """Mix the challenger's and the champion's ranking into one list, and credit the clicks.

    The application asks both models and shows what `client.interleave` gives; `outcome` names the
    outcome whose values are the items that were clicked. `method` is "team_draft", "balanced" or
    "probabilistic". One score a unit, from its first session: who earned more credit within
    `within` of it. `units` is the horizon N, in sessions with a logged list; `traffic` the share of
    all units that take part. Nothing passes before `min_time`; `max_time` ends it as REFUSE.

    It finds a preference in a sixth to a sixteenth of the sessions that an A/B needs, but it speaks
    of credit, not of what the loop is measured by: it carries no promise, and a Shadow or an AB must.
    """

    evidence = "interleaving"
    draws = True

    outcome: str
    method: Literal["team_draft", "balanced", "probabilistic"] = "team_draft"
    units: int = 5_000
    traffic: float = 1.0
    within: timedelta = HOUR
    min_time: timedelta = WEEK
    max_time: timedelta = 4 * WEEK

    def __post_init__(self) -> None:
        if self.method not in ("team_draft", "balanced", "probabilistic"):
            raise ArgumentError(f"expected a method team_draft, balanced or probabilistic, got {self.method!r}")
        if self.units < 1 or not 0.0 < self.traffic <= 1.0 or self.within <= timedelta(0):
            raise ArgumentError("expected units of at least 1, traffic above 0 and at most 1, and within above 0")
        if not timedelta(0) <= self.min_time < self.max_time:
            raise ArgumentError(f"expected 0 <= min_time < max_time, got {self.min_time!r} and {self.max_time!r}")

    def problems(self, terms: Terms) -> list[str]:
        known = [one for one in terms.outcomes if one.name == self.outcome]
        if not known:
            return [f"Interleave credits {self.outcome!r}, which is not among the outcomes"]
        if known[0].type != "label" or known[0].label:
            return [
                f"Interleave credits {self.outcome!r}, whose values must be the items that were clicked: declare "
                f"Outcome({self.outcome!r}, 'label')"
            ]
        return []

    def enter(self, scene: Scene) -> dict[str, Any]:
        experiment = experiment_id(scene)
        return {
            "release": experiment, "since": scene.now, "outcome": self.outcome, "method": self.method,
            "within": us(self.within), "level": scene.release.level, "horizon": self.units,
            "arms": {"interleaved": scene.release.candidate}, "guard": {"release": experiment},
            "parameters": {"interleaved": {
                "champion": scene.state.champion, "challenger": scene.release.candidate, "method": self.method,
            }},
            "slices": [{"start": 0.0, "stop": self.traffic, "pi": 1.0, "stage": 0, "weights": [["interleaved", 1.0]]}],
        }

    def rule(self, scene: Scene) -> Ruling:
        parameters = scene.release.parameters
        result, evidence = gather(scene, "interleaving", parameters)
        words = (
            f"{result['n']:,} of {parameters['horizon']:,} sessions: {result['wins']:,} for the challenger, "
            f"{result['losses']:,} for the champion; evidence {result['wealth']:.3g} against {1 / parameters['level']:.3g}"
        )
        counts = {key: result[key] for key in ("units", "matured", "clicks")}
        invalid = result["invalid"] or fallen(scene, parameters["release"], counts)
        if invalid:
            return Ruling("INVALID", f"{invalid}: {words}", evidence)
        age = from_us(scene.now) - from_us(parameters["since"])
        if result["rejected"]:
            if age < self.min_time:
                return Ruling("HOLD", f"{words}; waits for its minimum of {self.min_time}", evidence)
            return Ruling("PASS", words, evidence)
        if result["finished"] or age >= self.max_time:
            why = "the horizon is reached" if result["finished"] else f"{self.max_time} have passed"
            return Ruling("REFUSE", f"not shown to be preferred, and {why}: {words}", evidence)
        return Ruling("HOLD", words, evidence)


def interleaving_rows(
    ledger: Ledger, loop: str, parameters: dict[str, Any], cut: int, now: int
) -> dict[str, Any]:
    """What an interleaving's verdict rests on: {"rows", "units", "matured", "clicks", "invalid"}, a row
    (unit, score) a session that was shown."""
    known = {
        "loop": loop, "release": parameters["release"], "name": parameters["outcome"],
        "within": parameters["within"], "now": now - SETTLE_US,
    }
    rows = ledger.query(QUERIES["interleaved_sessions"], known, cut=cut).to_pylist()
    scores: list[list[Any]] = []
    invalid = None
    for row in rows:
        if row["output"] is None:  # never shown
            continue
        try:
            score = score_of(loads(row["output"]), [loads(item) for item in row["clicked"] or ()])
        except DataError as error:
            invalid = error.message
            break
        scores.append([row["unit"], score])
    lost = ledger.query(QUERIES["exposures_lost"], {"loop": loop, "release": parameters["release"]}, cut=cut).to_pylist()
    if lost[0]["n"]:
        invalid = "exposures were lost"
    return {
        "units": rows[0]["units"] if rows else 0, "matured": len(rows), "rows": scores,
        "clicks": sum(len(row["clicked"] or ()) for row in rows), "invalid": invalid,
    }


def interleaving_verdict(told: dict[str, Any], parameters: dict[str, Any]) -> dict[str, Any]:
    """The verdict from the scores alone; no ledger."""
    from trueup.stats import ScoreTest

    test = ScoreTest(parameters["level"], parameters["horizon"], bound=1.0)
    scores = told["rows"]
    for _, score in scores:
        test.update(float(score))
    return {
        "units": told["units"], "matured": told["matured"], "shown": len(scores), "n": test.n,
        "clicks": told["clicks"],
        "wins": sum(score > 0 for _, score in scores), "losses": sum(score < 0 for _, score in scores),
        "ties": sum(score == 0 for _, score in scores), "wealth": float(test.wealth),
        "rejected": bool(test.rejected), "finished": bool(test.finished), "crossed_at": test.crossed_at,
        "rows": digest(scores), "invalid": told["invalid"],
    }


def score_of(shown: Any, clicked: list[Any]) -> int:
    """The score of a session from its logged list; raises DataError where that is none.

    >>> score_of({"items": ["a", "b"], "teams": [1, 0]}, ["a"])
    1
    """
    from trueup.stats import Interleaved

    if not isinstance(shown, dict) or not isinstance(shown.get("items"), list) or not isinstance(shown.get("teams"), list) or (
        len(shown["items"]) != len(shown["teams"])
    ):
        raise DataError(f"a logged list is not what client.interleave gave: {shown!r:.80}")
    rankings = shown.get("rankings")
    pair = (tuple(rankings[0]), tuple(rankings[1])) if rankings else None
    mixed = Interleaved(tuple(shown["items"]), tuple(shown["teams"]), pair)
    return mixed.score({item for item in clicked if not isinstance(item, list | dict)})
