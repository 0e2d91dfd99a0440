# SPDX-License-Identifier: Apache-2.0
"""Interleaving of two rankings: one list for the user, one score a session."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from trueup.core.errors import ArgumentError
from trueup.stats import _check

Method = Literal["team_draft", "balanced", "probabilistic"]


@dataclass(frozen=True, slots=True)
class Interleaved:
    """A list made of two rankings; `teams[i]` says who brought item i (1 is the challenger).

    Null: "the challenger is not preferred": ``E[score | past] <= 0``, with one score a session
    fed to ``ScoreTest(alpha, horizon, bound=1)``.

    Guarantee: that of `ScoreTest`; rejecting says that the challenger earns more **credit**,
    which is not the outcome that the loop is measured by.

    Conditions: one score a session; sessions of one user are one unit if users return.

    >>> shown = Interleaved(("a", "b", "c"), teams=(1, 0, 1))
    >>> shown.score({"a", "c"}), shown.score({"b"}), shown.score(set())
    (1, -1, 0)

    Source: Radlinski, Kurup and Joachims, CIKM 2008; Hofmann, Whiteson and de Rijke, CIKM 2011.
    """

    items: tuple[Hashable, ...]
    teams: tuple[int, ...]
    rankings: tuple[tuple[Hashable, ...], tuple[Hashable, ...]] | None = None

    def score(self, clicked: Collection[Hashable]) -> int:
        """The session's score: the sign of the challenger's credit minus the champion's."""
        if self.rankings is not None:
            return self._balanced_score(clicked)
        credit = sum(
            1 if team else -1
            for item, team in zip(self.items, self.teams, strict=True)
            if item in clicked
        )
        return (credit > 0) - (credit < 0)

    def _balanced_score(self, clicked: Collection[Hashable]) -> int:
        """Clicks within the top k of each ranking, k as deep as the lowest click."""
        hits = [item for item in self.items if item in clicked]
        if not hits or self.rankings is None:
            return 0
        depth = min(r.index(hits[-1]) + 1 for r in self.rankings if hits[-1] in r)
        champion, new = (sum(item in r[:depth] for item in hits) for r in self.rankings)
        return (new > champion) - (new < champion)


def interleave(
    new: Sequence[Hashable],
    champion: Sequence[Hashable],
    length: int,
    rng: np.random.Generator,
    method: Method = "team_draft",
) -> Interleaved:
    """Mix two rankings into one list of at most `length` items.

    Null, guarantee, conditions: those of `Interleaved`. With "team_draft" and "probabilistic"
    the expected score is 0 for a user who clicks by position alone, whatever the rankings; with
    "balanced" it need not be (a known flaw), so that its null is weaker in meaning.

    Parameters:
        new, champion: rankings without repetitions, best first.
        length: at least 1; the list is no longer than the shorter ranking, which keeps the
            coins fair.
        rng: where the coins come from.
        method: "team_draft" (a coin for each pair of picks), "balanced" (one coin for who
            begins) or "probabilistic" (a coin for each pick, items by softmax of their rank).

    >>> rng = np.random.default_rng(1)
    >>> interleave(["a", "b", "c"], ["b", "d", "a"], 3, rng).items
    ('b', 'a', 'c')

    Source: team draft: Radlinski et al. (2008); balanced: Joachims (2003); probabilistic:
    Hofmann et al. (2011), with the credit of the list that brought the item.
    """
    rankings = (tuple(champion), tuple(new))
    length = min(_check.count("length", length), len(new), len(champion))
    for ranking in rankings:
        try:
            distinct = len(set(ranking))
        except TypeError:
            raise ArgumentError(
                f"expected items that can be compared by their hash, got {ranking!r:.200}; rank the ids of the items"
            ) from None
        if distinct != len(ranking):
            raise ArgumentError(
                f"expected a ranking without repetitions, got {ranking!r}; rank each item once"
            )
    if method not in _METHODS:
        raise ArgumentError(
            f"expected a method of {sorted(_METHODS)}, got {method!r}; choose one of them"
        )
    return _METHODS[method](rankings, length, rng)


Rankings = tuple[tuple[Hashable, ...], tuple[Hashable, ...]]


def _team_draft(rankings: Rankings, length: int, rng: np.random.Generator) -> Interleaved:
    items: list[Hashable] = []
    teams: list[int] = []
    picks, seen = [0, 0], set[Hashable]()
    while len(items) < length:
        left = [[x for x in ranking if x not in seen] for ranking in rankings]
        first = int(rng.random() < 0.5)
        team = first if picks[0] == picks[1] else int(picks[1] < picks[0])
        item = left[team][0]
        items.append(item)
        teams.append(team)
        seen.add(item)
        picks[team] += 1
    return Interleaved(tuple(items), tuple(teams))


def _balanced(rankings: Rankings, length: int, rng: np.random.Generator) -> Interleaved:
    items: list[Hashable] = []
    teams: list[int] = []
    next_of = [0, 0]
    first = int(rng.random() < 0.5)
    while len(items) < length:
        team = first if next_of[first] <= next_of[1 - first] else 1 - first
        item = rankings[team][next_of[team]]
        if item not in items:
            items.append(item)
            teams.append(team)
        next_of[team] += 1
    return Interleaved(tuple(items), tuple(teams), rankings)


def _probabilistic(rankings: Rankings, length: int, rng: np.random.Generator) -> Interleaved:
    items: list[Hashable] = []
    teams: list[int] = []
    left = [list(ranking) for ranking in rankings]
    weights = [[(i + 1.0) ** -3.0 for i in range(len(ranking))] for ranking in rankings]
    while len(items) < length:
        team = int(rng.random() < 0.5)
        p = np.asarray(weights[team])
        item = left[team][int(rng.choice(p.size, p=p / p.sum()))]
        items.append(item)
        teams.append(team)
        for t in (0, 1):
            if item in left[t]:
                at = left[t].index(item)
                del left[t][at], weights[t][at]
    return Interleaved(tuple(items), tuple(teams))


_METHODS: dict[str, Callable[[Rankings, int, np.random.Generator], Interleaved]] = {
    "team_draft": _team_draft,
    "balanced": _balanced,
    "probabilistic": _probabilistic,
}
