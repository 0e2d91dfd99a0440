# SPDX-License-Identifier: Apache-2.0
"""Receipts: a promotion's evidence in one signed file, from which its verdict is recomputed anywhere (TRU-13)."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trueup.core.decisions import Decision
from trueup.core.errors import DataError, MissingDependency, NotFound, Refused, TrueupError
from trueup.core.json import dumps, loads, sha256
from trueup.core.values import from_json
from trueup.loop.context import know_kinds, moment
from trueup.release import LoopState, next_level
from trueup.release.canary import canary_rows, canary_verdict
from trueup.release.keys import new_key, sign, verify
from trueup.release.pairs import shadow_scores, shadow_verdict

if TYPE_CHECKING:
    from trueup.store import Ledger

FORMAT = 1
RAW = ("rows",)
"""Of a canary's result: the digest of raw units, which a receipt does not hold."""


@dataclass(frozen=True, slots=True)
class Verified:
    """What a receipt shows: whether it holds, the lines that say so, and the key that signed it."""

    holds: bool
    lines: tuple[str, ...]
    key: str
    decision: str

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


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
    draft = path.with_suffix(".part")
    draft.write_text(dumps({"body": body, "key": public, "signature": signature}) + "\n", "utf-8")
    draft.replace(path)
    return path


def keep_receipts(ledger: Ledger, made: list[Decision]) -> None:
    """Write the receipts of these promotions; what stands in the way never stands in theirs."""
    for decision in made:
        if decision.kind == "promote" and decision.evidence.get("release"):
            with suppress(TrueupError, OSError):
                write_receipt(ledger, decision)


def _body(ledger: Ledger, decision: Decision, release: str, salt: str) -> dict[str, Any]:
    resting = [
        one for one in ledger.decisions(decision.loop)
        if one.evidence.get("release") == release and one.verdict in ("PASS", "PROMOTE") and "method" in one.evidence
    ]
    started = next((one for one in ledger.decisions(decision.loop, kind="start") if one.evidence.get("release") == release), decision)
    state = LoopState.from_json(started.state)
    pinned = ledger.get(decision.loop, "loop", state.release.loop) if state.release else None
    return {
        "format": FORMAT, "loop": decision.loop, "decision": decision.id, "digest": decision.digest(),
        "subject": decision.subject, "at": decision.at, "verdict": decision.verdict, "reason": decision.reason,
        "actor": decision.actor, "level": decision.level, "tests": [asdict(test) for test in state.tests],
        "started": started.at, "risk": pinned["json"]["risk"] if pinned else None,
        "evidence": [_piece(ledger, one, salt) for one in resting],
    }


def _piece(ledger: Ledger, one: Decision, salt: str) -> dict[str, Any]:
    evidence = one.evidence
    made = {"decision": one.id, "verdict": one.verdict, **{name: evidence[name] for name in ("method", "parameters", "cut", "now", "result")}}
    where = (ledger, one.loop, evidence["parameters"], evidence["cut"], evidence["now"])
    if evidence["method"] == "shadow":
        told = shadow_scores(*where)
        told["rows"] = [[row[0], _hidden(salt, row[1]), *row[2:]] for row in told["rows"]]
        made["told"] = told
    elif evidence["method"] == "canary":
        told = canary_rows(*where)
        told["rows"] = [{**row, "unit": _hidden(salt, row["unit"])} for row in told["rows"]]
        made["told"] = told
    return made


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
    if not faults:
        faults += _recomputed(body, lines)
    lines += [f"  {fault}" for fault in faults]
    lines.append(f"signed by {public}" + ("" if key else " (name the home's key with --key to be sure whose it is)"))
    lines.append("the receipt DOES NOT HOLD" if faults else "the receipt holds: recomputed from its rows, the same bit by bit")
    return Verified(not faults, tuple(lines), public, body["decision"])


def _recomputed(body: dict[str, Any], lines: list[str]) -> list[str]:
    know_kinds()
    faults = _level(body, lines)
    proven = False
    for one in body["evidence"]:
        parameters, result = one["parameters"], one["result"]
        if one["method"] == "shadow":
            again = shadow_verdict(one["told"], parameters)
            same = dumps(again) == dumps(result)
            proven = proven or (again["rejected"] and not again["invalid"] and (again["anchor"] is None or again["anchor"]["rejected"]))
            lines.append(
                f"  shadow: {again['n']:,} pairs, challenger {again['new']:.4f}, champion {again['old']:.4f}; evidence {again['wealth']:.4g} "
                f"against {1 / parameters['level']:.4g}"
            )
            if parameters["level"] != body["level"]:
                faults.append(f"the shadow ran at level {parameters['level']:g}, the promotion states {body['level']:g}")
        elif one["method"] == "canary":
            again = canary_verdict(one["told"], parameters, one["now"])
            same = dumps({k: v for k, v in again.items() if k not in RAW}) == dumps({k: v for k, v in result.items() if k not in RAW})
            lines.append(f"  canary: {again['units']:,} units; no guardrail crossed" if not any(again[g]["rejected"] for g in ("count", "burden", "latency")) else "  canary: a guardrail crossed")
        else:
            lines.append(f"  {one['method']}: carried as it was decided and signed; its rows are in the ledger only (trueup why {one['decision']})")
            proven, same = True, True
        if not same:
            faults.append(f"{one['method']} of Decision {one['decision']}: the rows give another result")
    if not proven:
        faults.append("no gate in it has rejected at the stated level")
    return faults


def _level(body: dict[str, Any], lines: list[str]) -> list[str]:
    """Whether the level follows from the tests before it and the promise."""
    from trueup.release import Test

    if body["risk"] is None or not body["tests"]:
        return []
    risk, tests = from_json(body["risk"]), [Test(**one) for one in body["tests"]]
    due = next_level(tests[:-1], risk, body["started"])
    lines.append(f"  level {body['level']:.4g}: test {tests[-1].k} of a life with {risk.wrong_promotion:g} in all (per {risk.per})")
    return [] if due == body["level"] else [f"the level {body['level']:g} is not the one that was due, {due:g}"]
