# SPDX-License-Identifier: Apache-2.0
"""What of a ledger people should know: Decisions, signals and the state, as alerts. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from trueup.alerts.alert import Alert, Severity
from trueup.core.clock import from_us
from trueup.core.decisions import Decision
from trueup.core.json import sha256

DAY_US = 86_400_000_000
SPENT = (0.95, 0.9, 0.8)
"""Shares of a life's risk from which people are told that it is nearly used up."""


def of_decision(decision: Decision, promise: Mapping[str, Any] | None) -> Iterator[Alert]:
    """The alerts of a Decision; `promise` is the Risk of its release's definition, as JSON."""
    why = f"trueup why {decision.id}"

    def said(kind: str, severity: Severity, what: str, key: str = decision.id, command: str = why) -> Alert:
        return Alert(f"{kind}/{key}", decision.loop, kind, severity, what, decision.at, command)

    evidence = decision.evidence
    if decision.kind == "stop":
        step = evidence.get("step")
        if step in ("train", "cycle"):
            yield said("failed", "error", f"a training cycle failed at {decision.reason}")
        elif step == "snapshot":
            yield said("failed", "warning", f"no dataset could be made: {decision.reason}")
        else:
            yield said("refused", "warning", f"{_who(decision)} was refused: {decision.reason}")
    elif decision.kind == "refuse":
        yield said("refused", "warning", f"{_who(decision)} was refused in its release: {decision.reason}")
    elif decision.kind == "invalid":
        yield said("invalid", "error", f"the release of {_who(decision)} is invalid: {decision.reason}")
    elif decision.kind == "rollback":
        by = "" if decision.actor == "trueup" else f" by {decision.actor}"
        yield said("rollback", "error" if not by else "warning", f"{_who(decision)} was rolled back{by}: {decision.reason}")
    elif decision.kind == "start" and promise is not None:
        yield from _risk(decision, promise)
    elif decision.kind == "look" and evidence.get("method") == "look":
        if evidence.get("unattended"):
            yield said(
                "missed", "warning", f"{evidence['unattended']:,} looks were missed, nobody ran the loop: one look "
                "stands for all of them", command="trueup up",
            )
        yield from _alarms(decision)


def _who(decision: Decision) -> str:
    return decision.subject or "a candidate"


def _risk(decision: Decision, promise: Mapping[str, Any]) -> Iterator[Alert]:
    """Most of the risk of a life, or of this year, has been given to candidates that did not make it."""
    tests, per = decision.state.get("tests", []), promise["per"]
    if per == "release":
        return
    if per == "year":
        year = from_us(decision.at).year
        tests = [test for test in tests if from_us(test["at"]).year == year]
    spent = sum(test["level"] for test in tests if test["promoted"] is not True) / promise["wrong_promotion"]
    reached = next((share for share in SPENT if spent >= share), None)
    if reached is not None:
        wins = sum(test["promoted"] is True for test in tests)
        life = from_us(decision.at).year if per == "year" else "life"
        yield Alert(
            f"risk/{life}/{wins}/{reached:g}", decision.loop, "risk", "warning",
            f"{spent:.0%} of the {per}'s risk of {promise['wrong_promotion']:g} is spent: a new candidate is tested at "
            f"level {decision.level or 0.0:.2g}, and needs more evidence",
            decision.at, f"trueup why {decision.id}",
        )


def _alarms(decision: Decision) -> Iterator[Alert]:
    """Detectors that have fired, once for each reference, and a limit of money that holds trainings back."""
    state, result = decision.evidence["parameters"]["state"], decision.evidence["result"]
    yield from _found(decision.loop, result, state, decision.at, f"trueup why {decision.id}")


def of_report(loop: str, report: Mapping[str, Any], state: Mapping[str, Any]) -> Iterator[Alert]:
    """The alarms of a loop that only observes, and that users are in a release which it leaves alone."""
    if report.get("unwatched"):
        release = (state.get("release") or {}).get("id")
        yield Alert(
            f"unwatched/{release}", loop, "unwatched", "warning",
            f"{report['unwatched']} goes on serving a part of the users while the loop only observes: nobody watches its guardrails",
            report["now"], f'trueup reject {report["unwatched"]} -m "observing"',
        )
    known = {"accepted": state.get("accepted", {}), "since": state.get("since"), "trained": state.get("trained")}
    yield from _found(loop, report, known, report["now"], "trueup status")


def _found(
    loop: str, result: Mapping[str, Any], state: Mapping[str, Any], at: int, command: str
) -> Iterator[Alert]:
    for part in (*result["when"], *result.get("watch", ())):
        detector = part["evidence"].get("detector")
        if part["holds"] and detector:
            since = part["evidence"].get("accepted", max(state["accepted"].get(detector, 0), state["since"] or 0))
            yield Alert(
                f"alarm/{detector}/{since}", loop, "alarm", "warning", f"{part['part']}: {part['reason']}", at, command,
            )
    for part in result["unless"]:
        if part["holds"] and part["part"] == "spend":
            yield Alert(
                f"money/{state['trained']}", loop, "money", "warning", f"the money is spent: {part['reason']}", at, "trueup plan",
            )


def of_state(loop: str, state: Mapping[str, Any], now: int) -> Iterator[Alert]:
    """What waits for people: at once, and again each time that a reminder is due."""
    asked, said = _waits(state)
    if asked is None or state.get("paused") is not None or "digest" not in asked:
        return
    if len((said or {}).get("given", ())) >= asked["needs"]:
        return
    waited, remind = now - asked["since"], asked.get("remind")
    nth = waited // remind if remind else 0
    until = f", until {from_us(asked['until']):%Y-%m-%d %H:%M}" if asked.get("until") else ""
    words = "waits for" if nth == 0 else f"has waited {waited / DAY_US:.1f} days for"
    yield Alert(
        f"approval/{asked['digest'][:16]}/{nth}", loop, "approval", "warning",
        f"{asked['candidate']} {words} {asked['by']}{until}", now, f'trueup approve {asked["candidate"]} -m "why"',
    )


def _waits(state: Mapping[str, Any]) -> tuple[Mapping[str, Any] | None, Mapping[str, Any] | None]:
    release, proposal = state.get("release"), state.get("proposal")
    if release is not None:
        asked = release["parameters"] if "by" in release["parameters"] else None
        return asked, release["approval"]
    if proposal is not None and proposal["request"]["candidate"] == state.get("waiting"):
        return proposal["request"], proposal["approval"]
    return None, None


def of_signal(loop: str, name: str, facts: Mapping[str, Any], at: int, release: str | None) -> Alert | None:
    """The alert of a signal: exposures or events that were lost, a fault of the client, or what
    anybody said with `client.signal("alert", what=...)`."""
    day = at // DAY_US
    if name == "exposures_lost":
        which = release or facts.get("release") or "a release"
        return Alert(
            f"lost/{which}/{day}", loop, "lost", "error",
            f"{facts.get('count', 1)} exposures of {which} could not be recorded: it will be invalid, and the champion serves",
            at, "trueup doctor",
        )
    if name == "events_lost":
        return Alert(
            f"lost/{facts.get('kind')}/{day}", loop, "lost", "error",
            f"{facts.get('count', 1)} events ({facts.get('kind')}) will never be in the ledger", at, "trueup doctor",
        )
    if name == "client_fault":
        return Alert(
            f"fault/{facts.get('fault')}/{day}", loop, "fault", "warning",
            f"a client reports {facts.get('fault')} ({facts.get('count', 1)} times): {facts.get('message', '')}"[:300],
            at, "trueup doctor",
        )
    if name == "alert":
        what = str(facts.get("what", "something happened"))[:300]
        severity = facts.get("severity")
        return Alert(
            f"told/{facts.get('key') or sha256(f'{what}/{at}')[:16]}", loop, "told",
            severity if severity in ("info", "warning", "error") else "warning", what, at,
            str(facts.get("command", "trueup status"))[:200],
        )
    return None
