# SPDX-License-Identifier: Apache-2.0
"""What would this candidate have earned on what was logged? From propensities, or not at all (TRU-05)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from trueup.core.errors import DataError, Refused
from trueup.core.json import dumps, loads, sha256
from trueup.core.task import Outcome
from trueup.store import sql

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trueup.loop import Loop
    from trueup.stats import OffPolicy
    from trueup.store import Ledger

    Floats = NDArray[np.float64]

QUERIES = sql.load("trueup.study", "queries.sql")
UNSUPPORTED = 0.05
"""The largest share of answers that no arm could have shown; more would bias the value by as much."""


@dataclass(frozen=True, slots=True)
class WhatIf:
    """The value of a candidate, had it served everybody whom an experiment drew, and of the champion.

    `value` and `champion` hold IPS, SNIPS and DR with intervals; `refused` says why they must not be
    used (None: they may, for a plan; a promotion is decided by a release). `unsupported` is the share
    of requests on which the candidate answers what no arm could have shown.
    """

    candidate: str
    outcome: str
    rows: int
    units: int
    value: OffPolicy
    champion: OffPolicy
    unsupported: float
    refused: str | None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def lines(self) -> list[str]:
        """The answer for people, the verdict first."""
        first = f"refused: {self.refused}" if self.refused else (
            f"{self.candidate}: {self.outcome} {_told(self.value.snips)} by SNIPS, champion {_told(self.champion.snips)}"
        )
        out = [first, f"{self.rows:,} drawn requests of as many units; effective sample size {self.value.ess:.0f}, largest weight {self.value.max_weight:.3g}"]
        for name in ("ips", "snips", "dr"):
            mine, theirs = getattr(self.value, name), getattr(self.champion, name)
            if mine is not None:
                out.append(f"  {name.upper():<6} {_told(mine)}   champion {_told(theirs)}")
        out.append(f"  {self.unsupported:.1%} of the requests got an answer from it that no arm could have shown")
        out.append("  outcomes on [0, 1], 1 being best; it plans, and promotes nothing")
        return out


def whatif(loop: Loop, ledger: Ledger, candidate: str, *, outcome: str | None = None) -> WhatIf:
    """Estimate a candidate's value from logged propensities: IPS, SNIPS and DR side by side.

    Only requests that an experiment drew by chance can tell (each unit's first). A candidate that was an arm is
    weighed by the probability of that arm. One that never served is asked for its answers: where it
    gives what was shown, the request counts with the probability of that answer, over both arms;
    answers of models that have changed since, or are drawn by chance, break this. What parameters do (a
    prompt, a threshold) is the application's and no model's: a candidate with other parameters than
    the arms had counts where an arm had its model and its parameters, and is refused elsewhere. DR's model of the
    outcome is fitted on other units (two folds).

    `refused` is set below an effective sample size of 100, where more than 5 % of its answers had no
    support, and where the estimators disagree. Raises DataError where nothing was drawn, Refused for a
    label (it says nothing of what was shown: score it with a backtest), and for parameters that no arm had.
    """
    from trueup.state import candidate as registered
    from trueup.stats import off_policy

    found = _outcome(loop, outcome)
    ident = registered(ledger, loop.name, candidate).id
    rows = ledger.query(QUERIES["explored"], {"loop": loop.name, "name": found.name, "since": -1}).to_pylist()
    if len(rows) < 2:
        raise DataError(
            f"expected requests of {loop.name} that an experiment drew, with {found.name!r}, got {len(rows)}",
            cure="a canary, an A/B or a bandit logs propensities; without exploration nothing can be said",
        )
    if any(row["propensity"] is None or not 0.0 < row["propensity"] < 1.0 for row in rows):
        raise DataError("expected a logged propensity within (0, 1) of every drawn request", cure="leave this log: its experiment is invalid")
    rewards = np.array([found.scaled(min(max(row["value"], found.low), found.high)) for row in rows])
    drawn = np.array([1.0 - row["propensity"] if row["arm"] == "champion" else row["propensity"] for row in rows])
    champion_weights = np.array([row["arm"] == "champion" for row in rows]) / drawn
    alike = _alike(ledger, loop.name, ident, rows)
    if alike:
        known = {row["release"] for row in rows if row["candidate"] in alike}
        keep = np.array([row["release"] in known for row in rows])
        rows = [row for row, kept in zip(rows, keep, strict=True) if kept]
        rewards, drawn, champion_weights = rewards[keep], drawn[keep], champion_weights[keep]
        weights = np.array([row["candidate"] in alike for row in rows]) / drawn
        answers = _answers(ledger, loop.name, ident, rows)
        unsupported = 0.0
    else:
        weights, answers, unsupported = _by_answer(loop, ledger, ident, rows)
    logged, mine = _model(rows, rewards, answers)
    _, theirs = _model(rows, rewards, _of_champions(ledger, loop.name, rows))
    value = off_policy(weights, rewards, logged, mine)
    champion = off_policy(champion_weights, rewards, logged, theirs)
    refused = value.refused
    if unsupported > UNSUPPORTED:
        refused = (
            f"no support: on {unsupported:.0%} of the requests {ident} answers what no arm could have shown "
            f"(at most {UNSUPPORTED:.0%} may be left out)"
        )
    refused = refused or (None if champion.refused is None else f"the champion's value: {champion.refused}")
    return WhatIf(ident, found.name, len(rows), len({row["unit"] for row in rows}), value, champion, unsupported, refused)


def _outcome(loop: Loop, name: str | None) -> Outcome:
    known = [one for one in loop.outcomes if not one.label and name in (None, one.name)]
    if name is not None and any(one.label and one.name == name for one in loop.outcomes):
        raise Refused(f"{name!r} is a label: it is true of the input, whatever was shown", cure="trueup backtest scores models on labels")
    if len(known) != 1:
        raise DataError(
            f"expected one outcome of the answers that were shown, got {name or [one.name for one in known] or 'none'}",
            cure="--outcome NAME says which",
        )
    return known[0]


def _alike(ledger: Ledger, loop: str, ident: str, rows: list[dict[str, Any]]) -> set[str]:
    """The arms' candidates that are this one: itself, or where it has parameters, its model with the same ones."""
    from trueup.state import candidate as registered

    mine = registered(ledger, loop, ident)
    arms = {row["candidate"] for row in rows if row["candidate"]}
    if ident in arms:
        return {ident}
    others = {one: registered(ledger, loop, one) for one in arms}
    if all(one.parameters == mine.parameters for one in others.values()):
        return set()  # its answers tell it from them
    found = {name for name, one in others.items() if (one.model.sha256, one.parameters) == (mine.model.sha256, mine.parameters)}
    if not found:
        raise Refused(
            f"{ident} has parameters that no arm had ({dumps(mine.parameters):.120}): its model cannot be asked what they do",
            cure="an A/B or a bandit with these parameters among its arms logs what is needed",
        )
    return found


def _by_answer(loop: Loop, ledger: Ledger, ident: str, rows: list[dict[str, Any]]) -> tuple[Floats, list[str | None], float]:
    """Weights, the candidate's answers, and the share of them that no arm could have shown."""
    arms = {release: sorted({row["arm"] for row in rows if row["release"] == release}) for release in {row["release"] for row in rows}}
    if several := [release for release, names in arms.items() if len(names) > 2]:
        raise Refused(
            f"{ident} never served, and {several[0]} had {len(arms[several[0]])} arms: what the others would have answered has no logged probability",
            cure="ask about a candidate that was an arm",
        )
    who = {(row["release"], row["arm"]): row["candidate"] for row in rows}
    given: dict[str, list[str | None]] = {
        one: _answers(ledger, loop.name, one, rows, compared=True) for one in {ident, *(name for name in who.values() if name)}
    }
    weights, lost = np.zeros(len(rows)), 0
    for at, row in enumerate(rows):
        mine, p = given[ident][at], 0.0
        for arm in ("champion", "challenger"):
            other = row["candidate"] if arm == row["arm"] else who.get((row["release"], arm))
            said = row["output"] if arm == row["arm"] else given[other][at] if other else None
            if said is not None and said == mine:
                p += 1.0 - row["propensity"] if arm == "champion" else row["propensity"]
        lost += p <= 0.0
        weights[at] = 1.0 / p if p > 0.0 and row["output"] == mine else 0.0
    return weights, given[ident], lost / len(rows)


def _of_champions(ledger: Ledger, loop: str, rows: list[dict[str, Any]]) -> list[str | None]:
    """What each release's champion answers to its requests: as logged where it was shown."""
    who = {row["release"]: row["candidate"] for row in rows if row["arm"] == "champion"}
    given = {one: _answers(ledger, loop, one, rows) for one in set(who.values())}
    return [
        row["output"] if row["arm"] == "champion" else given[who[row["release"]]][at] if row["release"] in who else None
        for at, row in enumerate(rows)
    ]


def _answers(
    ledger: Ledger, loop: str, ident: str, rows: list[dict[str, Any]], *, compared: bool = False
) -> list[str | None]:
    """What a candidate's model answers; `compared` with answers that were shown, it must take the candidate's
    parameters, while those that only sharpen an estimate may come without."""
    from trueup.core.protocols import Prediction
    from trueup.models import load, require_parameters, with_parameters
    from trueup.release.shadow.asking import ask
    from trueup.state import candidate

    one = candidate(ledger, loop, ident)
    model = load(ledger.artifacts.path(one.model), trust_code=True)
    if compared:
        require_parameters(model, one.parameters, ident)
    found = ask(with_parameters(model, one.parameters), [loads(row["input"]) for row in rows])
    told: list[str | None] = [dumps(given.value) if isinstance(given, Prediction) else None for given in found]
    return told + [None] * (len(rows) - len(told))


def _model(rows: list[Mapping[str, Any]], rewards: Floats, answers: Sequence[Any]) -> tuple[Floats, Floats]:
    """The value of the logged and of the new answers by a ridge regression fitted on the other half of the units."""
    from scipy.sparse import hstack
    from sklearn.feature_extraction.text import HashingVectorizer
    from sklearn.linear_model import Ridge

    words = HashingVectorizer(n_features=2**10, alternate_sign=False)
    inputs = words.transform([str(row["input"]) for row in rows])

    def matrix(said: Sequence[Any]) -> Any:
        whole = HashingVectorizer(n_features=2**10, analyzer=lambda text: [text], alternate_sign=False)
        return hstack([inputs, whole.transform([str(one) for one in said])]).tocsr()

    shown, new = matrix([row["output"] for row in rows]), matrix(answers)
    half = np.array([int(sha256(str(row["unit"]))[:8], 16) % 2 for row in rows])
    logged, mine = np.full(len(rows), rewards.mean()), np.full(len(rows), rewards.mean())
    for side in (0, 1):
        fit, use = half != side, half == side
        if fit.sum() < 20 or not use.any():
            continue
        found = Ridge(alpha=10.0).fit(shown[fit], rewards[fit])
        logged[use], mine[use] = found.predict(shown[use]), found.predict(new[use])
    return logged, mine


def _told(one: Any) -> str:
    if one is None:
        return "unknown"
    low, high = one.interval
    return f"{one.value:.4f} [{low:.4f}, {high:.4f}]"
