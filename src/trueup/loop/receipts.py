# SPDX-License-Identifier: Apache-2.0
"""Receipts: a promotion's evidence in one signed file, from which its verdict is recomputed anywhere (TRU-13)."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from trueup.core.decisions import Decision
from trueup.core.errors import (
    DataError,
    MissingDependency,
    NotFound,
    Refused,
    TrueupError,
    UnknownName,
)
from trueup.core.files import write_whole
from trueup.core.json import dumps, loads, sha256
from trueup.core.values import from_json
from trueup.loop.context import know_kinds, moment
from trueup.loop.rendering import fact_line
from trueup.release import evidence_of, next_level
from trueup.release.people.keys import new_key, sign, verify
from trueup.state import LoopState, defined

if TYPE_CHECKING:
    from trueup.store import Ledger

FORMAT = 1
Says = Literal["holds", "signed, not recomputed", "does not hold"]


@dataclass(frozen=True, slots=True)
class Verified:
    """What a receipt shows: what it `says`, the lines for people, and the key that signed it.

    "holds": every verdict in it was recomputed from its rows, and a gate rejects at the stated level.
    "signed, not recomputed": nothing in it was changed, but the gate's rows are not in it, or another
    package's method has read them: whoever holds the key says so, and no more. Else "does not hold".
    """

    says: Says
    lines: tuple[str, ...]
    key: str
    decision: str

    @property
    def holds(self) -> bool:
        """Whether the verdict was recomputed, and is the one that was decided."""
        return self.says == "holds"

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "holds": self.holds}


def path_of(home: Path, decision: Decision) -> Path:
    """Where the receipt of a promotion lies."""
    return home / "receipts" / f"{decision.loop}-{decision.id}.json"


def write_receipt(ledger: Ledger, decision: Decision) -> Path:
    """Write the receipt of a promotion, as it can be made again from the ledger at any time.

    It is signed with the home's key, which is made at the first receipt (`receipts/key`, readable by
    its owner only); units stand in it as a keyed hash. Raises Refused for a Decision that is no
    promotion by a release.
    """
    release = decision.evidence.get("release")
    if decision.kind != "promote" or not release:
        raise Refused(f"expected a promotion by a release, got a Decision of the kind {decision.kind!r}", cure="trueup status lists promotions")
    know_kinds()
    folder = ledger.home / "receipts"
    folder.mkdir(parents=True, exist_ok=True)
    key = folder / "key"
    if not key.exists():
        with suppress(Refused):
            new_key(key)
    salt = sha256(key.read_text(encoding="ascii"))
    body = _body(ledger, decision, str(release), salt)
    signature, public = sign(key, body)
    path = path_of(ledger.home, decision)
    write_whole(path, dumps({"body": body, "key": public, "signature": signature}) + "\n")
    return path


def keep_receipts(ledger: Ledger, made: list[Decision]) -> list[Path]:
    """Write the receipts of these promotions, and say where they lie; what stands in the way never stands in theirs."""
    kept = []
    for decision in made:
        if decision.kind == "promote" and decision.evidence.get("release"):
            with suppress(TrueupError, OSError):
                kept.append(write_receipt(ledger, decision))
    return kept


def _body(ledger: Ledger, decision: Decision, release: str, salt: str) -> dict[str, Any]:
    resting = [
        one for one in ledger.decisions(decision.loop)
        if one.evidence.get("release") == release and one.verdict in ("PASS", "PROMOTE") and "method" in one.evidence
    ]
    started = next((one for one in ledger.decisions(decision.loop, kind="start") if one.evidence.get("release") == release), decision)
    state = LoopState.from_json(started.state)
    pinned = defined(ledger, decision.loop, state.release.loop) if state.release else None
    return {
        "format": FORMAT, "loop": decision.loop, "decision": decision.id, "digest": decision.digest(),
        "subject": decision.subject, "at": decision.at, "verdict": decision.verdict, "reason": decision.reason,
        "actor": decision.actor, "level": decision.level, "tests": [asdict(test) for test in state.tests],
        "started": started.at, "risk": pinned["risk"] if pinned else None,
        "evidence": [_piece(ledger, one, salt) for one in resting],
    }


def _piece(ledger: Ledger, one: Decision, salt: str) -> dict[str, Any]:
    evidence = one.evidence
    made = {"decision": one.id, "verdict": one.verdict, **{name: evidence[name] for name in ("method", "parameters", "cut", "now", "result")}}
    try:
        kind = evidence_of(evidence["method"])
    except UnknownName:
        return made
    if not kind.portable:
        return made
    rows = kind.rows(ledger, one.loop, evidence["parameters"], evidence["cut"], evidence["now"])
    told = kind.private(rows, lambda unit: _hidden(salt, unit))
    return made if told is None else {**made, "told": told}


def _hidden(salt: str, unit: Any) -> str:
    return sha256(f"{salt}/{unit}")[:16]


def verify_receipt(path: Path, key: str | None = None) -> Verified:
    """Recompute a promotion's verdict from its receipt: no ledger, no model, no network.

    Any changed byte is found: by the signature, or because the file is no longer written as receipts
    are. `key` is the public key that should have signed it; without one the file shows that it is
    whole, and by whose key, but not that the key is the home's. Raises NotFound and DataError.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise NotFound(f"expected a receipt in {path}, got: {error.strerror}") from None
    try:
        told = loads(raw.decode("utf-8"))
        body, public, signature = told["body"], told["key"], told["signature"]
        whole = (dumps(told) + "\n").encode() == raw and set(told) == {"body", "key", "signature"} and body["format"] == FORMAT
    except (UnicodeDecodeError, KeyError, TypeError, DataError) as error:
        raise DataError(f"expected a receipt in {path}, got {type(error).__name__}: {error}", cure="ask for it again: trueup receipt ID") from None
    lines = [f"{body['verdict']} of {body['subject']} for {body['loop']}: {body['reason']}", f"decided {moment(body['at'])} by {body['actor']}, Decision {body['decision']}"]
    faults = [] if whole else ["the file is not written as a receipt is: something in it was changed"]
    try:
        sealed = verify(public, body, signature)
    except MissingDependency:
        raise
    except TrueupError:
        sealed = False
    if not sealed:
        faults.append("the signature is not that of this text: something in it was changed")
    if key is not None and key != public:
        faults.append(f"signed by {public}, not by {key}")
    unread: list[str] = []
    if not faults:
        faults, unread = _recomputed(body, lines)
    lines += [f"  {fault}" for fault in faults]
    lines.append(f"signed by {public}" + ("" if key else " (name the home's key with --key to be sure whose it is)"))
    says: Says = "does not hold" if faults else "signed, not recomputed" if unread else "holds"
    lines.append({
        "holds": "the receipt holds: recomputed from its rows, the same bit by bit",
        "signed, not recomputed": f"SIGNED, NOT RECOMPUTED: it is whole, but it holds no rows that this program can recompute for {', '.join(unread)}",
        "does not hold": "the receipt DOES NOT HOLD",
    }[says])
    return Verified(says, tuple(lines), public, body["decision"])


def _recomputed(body: dict[str, Any], lines: list[str]) -> tuple[list[str], list[str]]:
    """What contradicts the verdict, and the methods whose evidence cannot be recomputed here."""
    know_kinds()
    faults, gates = _level(body, lines), 0
    unread = [] if body["risk"] is not None and body["tests"] else ["the level"]
    for one in body["evidence"]:
        method, parameters = one["method"], one["parameters"]
        try:
            kind = evidence_of(method)
        except UnknownName:
            kind = None
        if kind is None or not kind.portable or "told" not in one:
            unread.append(method)
            lines.append(f"  {method}: signed, not recomputed (with the ledger: trueup why {one['decision']})")
            continue
        try:
            again = kind.verdict(one["told"], parameters, one["now"])
            fine = kind.passes(again, parameters, one["now"])
        except (KeyError, IndexError, TypeError, ValueError, ArithmeticError) as error:
            faults.append(f"{method} of Decision {one['decision']}: its rows cannot be read: {type(error).__name__}: {error}")
            continue
        lines.append(f"  {fact_line(kind.summary(again, parameters))}")
        if not kind.same(again, one["result"]):
            faults.append(f"{method} of Decision {one['decision']}: the rows give another result")
        if one["verdict"] == "PASS" and not fine:
            faults.append(f"{method} of Decision {one['decision']}: it passed, and its rows do not let it pass")
        if kind.deciding:
            gates += fine
            if parameters["level"] != body["level"]:
                faults.append(f"the {method} ran at level {parameters['level']:g}, the promotion states {body['level']:g}")
    if not gates and not unread:
        faults.append("no gate in it has rejected at the stated level")
    return faults + _another(body), unread


def _another(body: dict[str, Any]) -> list[str]:
    """Whether the last evidence that chose among candidates chose what was promoted."""
    chosen = None
    for one in body["evidence"]:
        if one["verdict"] == "PASS":
            with suppress(UnknownName):
                kind = evidence_of(one["method"])
                chosen = (kind.name, won) if (won := kind.winner(one["result"], one["parameters"])) else chosen
    if chosen is None or chosen[1] == body["subject"]:
        return []
    return [f"the {chosen[0]} was won by {chosen[1]}, not by {body['subject']}"]


def _level(body: dict[str, Any], lines: list[str]) -> list[str]:
    """Whether the level follows from the tests before it and the promise."""
    from trueup.state import ReleaseTest

    if body["risk"] is None or not body["tests"]:
        return []
    risk, tests = from_json(body["risk"]), [ReleaseTest(**one) for one in body["tests"]]
    due = next_level(tests[:-1], risk, body["started"])
    lines.append(f"  level {body['level']:.4g}: test {tests[-1].k} of a life with {risk.wrong_promotion:g} in all (per {risk.per})")
    return [] if due == body["level"] else [f"the level {body['level']:g} is not the one that was due, {due:g}"]
