# SPDX-License-Identifier: Apache-2.0
"""The levels of a loop's life: online fallback."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from trueup.core.errors import ArgumentError
from trueup.stats import _check

Per = Literal["life", "year", "release"]
_POWER = re.compile(r"^k\^-(\d+(?:\.\d+)?)$")
_EQUAL = re.compile(r"^1/(\d+)$")


@lru_cache(maxsize=32)
def _zeta(s: float) -> float:
    """Riemann's zeta for s > 1, by Euler and Maclaurin, rounded up by 1e-12."""
    n = 64
    head: float = sum(float(k**-s) for k in range(1, n))
    tail: float = n ** (1 - s) / (s - 1) + 0.5 * n**-s
    tail += s * n ** (-s - 1) / 12 - s * (s + 1) * (s + 2) * n ** (-s - 3) / 720
    return (head + tail) * (1 + 1e-12)


@dataclass(frozen=True, slots=True)
class Levels:
    """The level of each challenger's test, so that one promise holds over a loop's life.

    Null: challenger k is worse (each k has its own).

    Guarantee: if every test keeps ``P(promote k | past, k worse) <= alpha_k``, then
    ``P(a worse challenger is ever promoted) <= alpha`` for ``per="life"``; in each year for
    ``per="year"`` (five years: at most ``1 - (1 - alpha)**5``, .23 at .05); for each release
    alone with ``per="release"``.

    Conditions: alpha_k is fixed before the first look at challenger k's fresh data; k counts
    first looks; "promoted" means rejected at alpha_k by the gate that carries the promise and
    by the anchor, whatever a person did afterwards; a test abandoned after its first look
    counts as refused; a test that starts before the last one has ended gets its own share only.

    ``alpha_k = alpha g_k + (alpha_{k-1} if k-1 was promoted and k did not overlap it)``, with
    ``sum g_k <= 1``. With ``per="year"`` the history is that of the year and k starts at 1.

    Parameters:
        alpha: the promise, in (0, 1).
        per: "life", "year" or "release".
        g: "k^-s" with s > 1 (normalised by zeta), or "1/n": equal shares for n tests, then none.

    >>> levels = Levels(0.05)
    >>> [round(levels.next(history), 5) for history in ([], [(1, False, False)])]
    [0.00894, 0.00389]
    >>> round(levels.next([(1, True, False)]), 5)
    0.01283
    >>> {k: round(a, 7) for k, a in levels.table().items()}
    {1: 0.008942, 10: 0.0005642, 52: 7.8e-05, 365: 7.5e-06}

    Source: Tian and Ramdas, "Online control of the familywise error rate" (2021), fallback.
    """

    alpha: float
    per: Per = "life"
    g: str = "k^-1.2"

    def __post_init__(self) -> None:
        _check.level("alpha", self.alpha)
        if self.per not in ("life", "year", "release"):
            raise ArgumentError(
                f"expected per to be 'life', 'year' or 'release', got {self.per!r}; "
                "choose over what the promise holds"
            )
        self.share(1)

    def share(self, k: int) -> float:
        """g_k: the part of alpha that test k brings; they sum to at most 1."""
        k = _check.count("k", k)
        if power := _POWER.match(self.g):
            s = float(power.group(1))
            if s > 1.0:
                return float(k**-s) / _zeta(s)
        elif (equal := _EQUAL.match(self.g)) and int(equal.group(1)) > 0:
            tests = int(equal.group(1))
            return math.nextafter(1.0 / tests, 0.0) if k <= tests else 0.0
        raise ArgumentError(
            f"expected g to be 'k^-s' with s > 1, or '1/n', got {self.g!r}; "
            "write for example 'k^-1.2' or '1/52'"
        )

    def next(self, history: Iterable[tuple[int, bool, bool]], *, overlaps: bool = False) -> float:
        """alpha_k of the next test.

        `history` holds ``(k, promoted at its own level, overlapped the one before)`` for
        k = 1, 2, ... in order; `overlaps` says that the next test starts before the last ended.
        The level can be 0 (an "1/n" schedule that is used up): such a test cannot promote.
        """
        if self.per == "release":
            return self.alpha
        level, promoted, expected = 0.0, False, 1
        for k, won, overlapped in history:
            if k != expected:
                raise ArgumentError(
                    f"expected test {expected} in the history, got {k!r}; "
                    "give every test that had a first look, in order, numbered from 1"
                )
            level = self.alpha * self.share(k) + (level if promoted and not overlapped else 0.0)
            promoted, expected = won, expected + 1
        inherited = level if promoted and not overlaps else 0.0
        return self.alpha * self.share(expected) + inherited

    def table(self, ks: Iterable[int] = (1, 10, 52, 365)) -> dict[int, float]:
        """alpha_k after a refusal, for the given k: the least that test k ever gets."""
        if self.per == "release":
            return dict.fromkeys(ks, self.alpha)
        return {k: self.alpha * self.share(k) for k in ks}


def level(alpha: float, k: int, run: int = 0, g: str = "k^-1.2") -> float:
    """The level of test k when the `run` tests just before it were all promoted.

    Null: challenger k is worse.

    Guarantee and conditions: those of `Levels`; no test of the run overlapped.

    >>> round(level(0.05, k=3, run=2), 6) == round(sum(Levels(0.05).table((1, 2, 3)).values()), 6)
    True

    Source: Tian and Ramdas (2021).
    """
    levels = Levels(alpha, g=g)
    run = _check.count("run", run, 0)
    if run >= _check.count("k", k):
        raise ArgumentError(f"expected run < k, got run={run!r}, k={k!r}; count the promotions")
    return sum(levels.table(range(k - run, k + 1)).values())


def vault_level(alpha: float, k: int, passes: int) -> float:
    """The level of challenger k on a golden set whose items nobody sees: only the pass bit leaves.

    Null: challenger k is worse.

    Guarantee: ``P(a worse challenger ever passes) <= alpha``, although the items are reused.

    Conditions: champion and challengers depend on the set through the earlier pass bits only;
    item-level results shown to anyone void it. There is no fallback here: a promotion passes
    nothing on.

    ``alpha g_k h_j / C(k-1, j)`` after j passes, ``h_j = 2^-(j+1)``: the union over all
    transcripts of k-1 bits with j passes.

    Parameters:
        alpha: in (0, 1); k: number of this challenger, from 1; passes: j, from 0 to k - 1.

    >>> round(vault_level(0.05, k=1, passes=0), 5), round(vault_level(0.05, k=5, passes=1), 5)
    (0.00447, 8e-05)

    Source: Dwork et al., "The reusable holdout", Science (2015); a union bound.
    """
    k, j = _check.count("k", k), _check.count("passes", passes, 0)
    if j >= k:
        raise ArgumentError(f"expected passes < k, got {passes!r} and k={k!r}; count them again")
    return alpha * Levels(alpha).share(k) * 2.0 ** -(j + 1) / math.comb(k - 1, j)
