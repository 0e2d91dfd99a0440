# SPDX-License-Identifier: Apache-2.0
"""A judge's verdicts on every unit, and people's on a random few: a biased judge cannot promote (TRU-06)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trueup.core.clock import to_us
from trueup.core.errors import ArgumentError, NotFound, Refused
from trueup.core.events import outcome
from trueup.core.json import Json, loads
from trueup.core.protocols import Scorer
from trueup.core.values import value
from trueup.release.queries import QUERIES
from trueup.route import position
from trueup.state import read

if TYPE_CHECKING:
    from trueup.store import Ledger

ASKED, NEW, OLD, BASE = 6, 7, 8, 9
"""Where an audited shadow's row has whether people were asked, and their scores of the three answers."""


@value("release.audit")
class Audit:
    """People look again at a random `share` of what a judge has judged.

    `outcome` names the label that people give. Which units they are asked about is a coin, drawn from
    the release and the request, before anything is answered: `trueup audit` lists them. `scorer` scores
    answers against people's label; None is the shadow's own. The more the judge agrees with people, the
    less the few cost: at `share` of .1 and no agreement a shadow needs ten times the units.
    """

    share: float
    outcome: str
    scorer: Scorer | None = None

    def __post_init__(self) -> None:
        if isinstance(self.share, bool) or not isinstance(self.share, int | float) or not 0.0 < self.share <= 1.0:
            raise ArgumentError(f"expected the share of audits above 0 and at most 1, got {self.share!r}")
        if not self.outcome:
            raise ArgumentError("expected the name of the label that people give, got none", cure='Audit(0.1, "label")')


def asked(audit: dict[str, Any], choice: str) -> bool:
    """Whether people are asked about this request: a coin of `share`, known to nobody's answer.

    >>> asked({"salt": "l/r-1/audit", "share": 1.0}, "c-1"), asked({"salt": "l/r-1/audit", "share": 1e-12}, "c-1")
    (True, False)
    """
    return bool(position(audit["salt"], choice) < audit["share"] * 2.0**64)


def audited(
    rows: Sequence[Sequence[Any]], parameters: dict[str, Any], margin: float, other: int, truth: int
) -> dict[str, Any]:
    """The audited bet on these rows: the judge's difference on each, corrected by people's where they
    were asked. `other` is where a row has the judge's score of the other answer, `truth` people's.

    Whom people were asked about and did not answer counts as worse by the margin there: the mean of
    its score is then 0, so that the claim is about units that people answer for, as in any shadow.
    """
    from trueup.stats import AuditedTest

    test = AuditedTest(parameters["level"], parameters["horizon"], margin, parameters["audit"]["share"])
    judged: list[float] = []
    people: list[float | None] = []
    wanted = 0
    for row in rows:
        if row[other] is None:
            continue
        said = (row[2] or 0.0) - row[other]
        found = None
        if row[ASKED]:
            found = None if row[truth] is None else (row[NEW] or 0.0) - row[truth]
            wanted += not test.finished
        before = test.n
        test.update(said, (-margin if found is None else found) if row[ASKED] else None)
        if test.n > before:
            judged.append(said)
            people.append(found)
    return {
        "n": test.n, "wealth": float(test.wealth), "rejected": bool(test.rejected), "finished": bool(test.finished),
        "crossed_at": test.crossed_at, "lam": float(test.lam),
        "audits": {"asked": wanted, "answered": sum(one is not None for one in people), **_powered(judged, people, parameters["audit"])},
    }


def _powered(judged: list[float], people: list[float | None], audit: dict[str, Any]) -> dict[str, Any]:
    """People's mean difference with a 95 % interval, sharpened by the judge's (PPI++); for people, it
    decides nothing. Shadows that began without "saved" tell of labels saved where the judge was not used too."""
    from trueup.stats import ppi_mean

    told = [(mine, one) for mine, one in zip(judged, people, strict=True) if one is not None]
    far = [mine for mine, one in zip(judged, people, strict=True) if one is None]
    bias = sum(mine - one for mine, one in told) / len(told) if told else None
    if len(told) < 20 or len(far) < 2:
        return {"bias": bias, "ppi": None}
    found = ppi_mean([one for _, one in told], [mine for mine, _ in told], far)
    rho, saved = found.correlation, found.saved
    if "saved" not in audit:
        saved = rho * rho * len(far) / (len(told) + len(far))
    return {"bias": bias, "ppi": {"mean": found.mean, "interval": list(found.interval), "correlation": rho, "saved": saved}}


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that people are asked about: its `choice`, its `unit`, the `input`, and the moment (us) after
    which an answer counts for nothing."""

    choice: str
    unit: str
    input: Json
    until: int


def audits_open(ledger: Ledger, loop: str) -> list[Asked]:
    """What the running shadow asks people, and nobody has answered: the oldest first. Answers of models are
    not shown, so that they can not be favoured. Raises NotFound where no shadow with audits runs."""
    parameters = _running(ledger, loop)
    audit = parameters["audit"]
    rows = ledger.query(QUERIES["audits_open"], {
        "loop": loop, "champion": parameters["champion"], "since": parameters["since"], "audit": audit["outcome"],
        "now": to_us(ledger.clock.now()), "within": parameters["within"],
    }).to_pylist()
    return [
        Asked(row["choice"], row["unit"], loads(row["input"]), row["ts"] + parameters["within"])
        for row in rows if asked(audit, row["choice"])
    ]


def answer_audit(ledger: Ledger, loop: str, choice: str, label: Json, *, who: str) -> Asked:
    """Write down what a person says of a request that was asked about; raises Refused for another one."""
    audit = _running(ledger, loop)["audit"]
    found = next((one for one in audits_open(ledger, loop) if one.choice == choice), None)
    if found is None:
        raise Refused(
            f"expected a request that people are asked about, got {choice!r:.80}",
            cure="trueup audit lists them: answers of one's own choice would make the sample no random one",
        )
    now = to_us(ledger.clock.now())
    ledger.append([outcome(loop, choice, audit["outcome"], label, ts=now, received=now, unit=found.unit, extra={"by": who})])
    return found


def _running(ledger: Ledger, loop: str) -> dict[str, Any]:
    release = read(ledger, loop)[1].release
    if release is None or not release.parameters.get("audit"):
        raise NotFound(
            f"expected a running shadow with audits in {loop}, got none",
            cure='release=[Shadow(scorer, outcome="judged", audit=Audit(0.1, "label")), ...] asks people once it runs',
        )
    return release.parameters
