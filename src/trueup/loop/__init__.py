# SPDX-License-Identifier: Apache-2.0
"""Floor 8: the definition, the plan, the run, publishing: the only room that composes the others."""

from typing import TYPE_CHECKING

from trueup.core.lazy import lazily

if TYPE_CHECKING:
    from trueup.loop.check import Problem
    from trueup.loop.context import Context
    from trueup.loop.cycle import finish
    from trueup.loop.definition import Loop
    from trueup.loop.files import load_loop, load_loops
    from trueup.loop.plan import Plan
    from trueup.loop.publishing import listen, publish
    from trueup.loop.receipts import Verified, verify_receipt, write_receipt
    from trueup.loop.run import request, run
    from trueup.loop.status import Status, status
    from trueup.loop.tick import Tick, again, look_due, tick
    from trueup.loop.trials import declared_parameters
    from trueup.loop.why import Explanation, why

__all__ = [
    "Context",
    "Explanation",
    "Loop",
    "Plan",
    "Problem",
    "Status",
    "Tick",
    "Verified",
    "again",
    "declared_parameters",
    "finish",
    "listen",
    "load_loop",
    "load_loops",
    "look_due",
    "publish",
    "request",
    "run",
    "status",
    "tick",
    "verify_receipt",
    "why",
    "write_receipt",
]

__getattr__ = lazily(__name__, {
    "Problem": "check",
    "Context": "context",
    "finish": "cycle",
    "Loop": "definition",
    "load_loop": "files", "load_loops": "files",
    "Plan": "plan",
    "listen": "publishing", "publish": "publishing",
    "Verified": "receipts", "verify_receipt": "receipts", "write_receipt": "receipts",
    "request": "run", "run": "run",
    "Tick": "tick", "again": "tick", "look_due": "tick", "tick": "tick",
    "Status": "status", "status": "status",
    "declared_parameters": "trials",
    "Explanation": "why", "why": "why",
})
