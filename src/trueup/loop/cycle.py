# SPDX-License-Identifier: Apache-2.0
"""One cycle, from "train" to a candidate that waits or a refusal that says why."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from trueup.core.clock import to_us
from trueup.core.decisions import Decision
from trueup.core.errors import Busy, Conflict, StoreFull, TrueupError
from trueup.core.protocols import TrainJob
from trueup.core.references import Ref
from trueup.core.values import source_digest, to_json
from trueup.loop.context import Context
from trueup.loop.pipeline import perform
from trueup.loop.steps import GATES, REGISTER, SNAPSHOT, TRAIN
from trueup.release import LoopState, decide, read


class Stopped(Exception):
    """The cycle ends without a candidate, for a reason that people should read."""

    def __init__(self, step: str, reason: str, evidence: dict[str, Any]) -> None:
        super().__init__(reason)
        self.step, self.reason, self.evidence = step, reason, evidence


def finish(context: Context) -> Decision | None:
    """Run, or go on with, the cycle that the loop's state names, under the definition that it began
    with; None where there is none, or the loop is paused."""
    _, state = read(context.ledger, context.loop.name)
    if state.cycle is None or state.paused is not None:
        return None
    try:
        made = _make(context.under(state.cycle["loop"]), state)
    except Stopped as stop:
        return _close(context, stop.step, stop.reason, stop.evidence)
    except (Busy, Conflict, StoreFull):
        raise  # no fault of the cycle's: it goes on at the next run
    except TrueupError as error:
        return _close(context, "cycle", error.message, {"code": error.code, "cure": error.cure})
    except Exception as error:  # a part's own code may raise anything: the loop must live on
        return _close(context, "cycle", f"{type(error).__name__}: {error}", {})
    return _hand_over(context, made)


def _make(context: Context, state: LoopState) -> dict[str, Any]:
    from trueup.train import refuse

    assert state.cycle is not None
    loop, cycle = context.loop, state.cycle
    refuse(loop.trainer, loop.task.answers, stateful=False, weights=False)
    golden = [one.load().digest for one in loop.golden() if hasattr(one, "path")]
    built = perform(context, cycle["id"], SNAPSHOT, {
        "cut": cycle["cut"], "now": cycle["now"], "recipe": to_json(loop.recipe, context.base),
        "golden": golden,
    })
    if built["refusal"]:
        raise Stopped("snapshot", built["refusal"], {"funnel": built["funnel"]})
    job = TrainJob(
        loop=loop.name, trainer=to_json(loop.trainer, context.base), data=Ref.from_json(built["data"]),
        output=loop.task.answers, seed=loop.seed, budget=loop.budget,
    )
    trained = perform(context, cycle["id"], TRAIN, {"job": job.to_json()})
    _pay(context, cycle["id"], trained)
    if trained["model"] is None:
        raise Stopped(
            "train", trained["reason"], {"attempts": trained["attempts"], "snapshot": built["snapshot"]}
        )
    judged = perform(context, cycle["id"], GATES, {
        "model": trained["model"], "champion": state.champion, "golden": golden,
        "gates": to_json(loop.gates, context.base), "cut": cycle["cut"], "now": cycle["now"],
        "snapshot": built["snapshot"], "metrics": trained["metrics"],
    })
    made = perform(context, cycle["id"], REGISTER, {
        "model": trained["model"], "snapshot": built["snapshot"], "parent": state.champion,
        "trainer": to_json(loop.trainer, context.base), "code": source_digest(type(loop.trainer)),
        "metrics": trained["metrics"], "facts": {**trained["facts"], "seconds": trained["seconds"]},
    })
    found = {**made, "snapshot": built["snapshot"], "funnel": built["funnel"], "gates": judged["gates"],
             "report": judged["report"]}
    if not judged["passed"]:
        failed = "; ".join(gate["reason"] for gate in judged["gates"] if not gate["passed"])
        raise Stopped("gates", failed, found)
    return found


def _pay(context: Context, cycle: str, trained: dict[str, Any]) -> None:
    """Record what the training cost: seconds, and money where the loop has a price."""
    price = context.loop.price
    context.ledger.put(context.loop.name, "cost", f"{cycle}/train", {
        "what": "train", "seconds": trained["seconds"], "spent": to_us(context.ledger.clock.now()),
        "amount": price.amount * trained["seconds"] / 3600.0 if price else 0.0,
        "currency": price.currency if price else "",
    })


def _close(context: Context, step: str, reason: str, evidence: dict[str, Any]) -> Decision:
    """The cycle ends without a candidate. Where no gate was reached its rows stay new, and the alarm
    that began it unanswered."""
    generation, state = read(context.ledger, context.loop.name)
    assert state.cycle is not None
    after = replace(state, cycle=None, **({} if step == "gates" else state.cycle["before"]))
    return decide(
        context.ledger, context.loop.name, generation, after,
        kind="stop", verdict="REFUSE", reason=f"{step}: {reason}", subject=evidence.get("candidate"),
        evidence={"cycle": state.cycle["id"], "step": step, **evidence},
    )


def _hand_over(context: Context, made: dict[str, Any]) -> Decision:
    """The candidate waits for its release; the first one ever, without a champion, serves at once."""
    generation, state = read(context.ledger, context.loop.name)
    assert state.cycle is not None
    ident, evidence = made["candidate"], {"cycle": state.cycle["id"], **made}
    now = to_us(context.ledger.clock.now())
    if state.champion is None:
        after = replace(state.serve(ident, now), cycle=None)
        kind, verdict, reason = "install", "PROMOTE", "the first champion: there was none to compare it with"
    elif ident == state.champion:
        after = replace(state, cycle=None)
        kind, verdict, reason = "stop", "REFUSE", "training gave the champion again: nothing to release"
    else:
        after = replace(state, cycle=None, waiting=ident)
        kind, verdict, reason = "candidate", "PASS", _passed(made)
        if state.waiting is not None:
            reason += f"; it supersedes {state.waiting}, which had not begun"
            evidence["superseded"] = state.waiting
    return decide(
        context.ledger, context.loop.name, generation, after, kind=kind, verdict=verdict,  # type: ignore[arg-type]
        reason=reason, subject=ident, evidence=evidence,
    )


def _passed(made: dict[str, Any]) -> str:
    gates = made["gates"]
    return "; ".join(gate["reason"] for gate in gates) if gates else "no gates: fresh traffic will judge it"
