# SPDX-License-Identifier: Apache-2.0
"""What trainings cost: recorded a cycle, and asked before the next one begins."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trueup.core.clock import to_us
from trueup.core.json import digest
from trueup.core.protocols import Finding
from trueup.core.values import to_json
from trueup.loop.context import Context
from trueup.state.costs import Cost
from trueup.state.steps import Trained

if TYPE_CHECKING:
    from trueup.loop.definition import Loop
    from trueup.store import Ledger


def pay(context: Context, cycle: str, trained: Trained) -> None:
    """Record what a training cost: seconds, and money where the loop has a price."""
    price = context.loop.price
    context.ledger.add(context.loop.name, f"{cycle}/train", Cost(
        "train", trained.seconds, to_us(context.ledger.clock.now()),
        price.amount * trained.seconds / 3600.0 if price else 0.0, price.currency if price else "", _way(context.loop),
    ))


def too_dear(loop: Loop, ledger: Ledger, now: int) -> Finding | None:
    """Whether the last training by the same trainer cost more, at the present price, than one may;
    None without a budget in money, or without such a training before `now`."""
    money, price = loop.budget.money, loop.price
    if money is None or price is None:
        return None
    way = _way(loop)
    before = [
        cost for cost in ledger.records(loop.name, Cost)
        if cost.trainer == way and cost.what == "train" and cost.spent < now
    ]
    if not before:
        return None
    last = max(before, key=lambda cost: cost.spent)
    cost = price.amount * last.seconds / 3600.0
    words = f"the last training cost {cost:.2f} {price.currency} of the {money.amount:.2f} that one may"
    if cost >= money.amount:
        words += ": raise Loop(budget=Budget(money=...)), or change the trainer"
    return Finding(cost >= money.amount, words, {"cost": cost, "limit": money.amount, "seconds": last.seconds})


def _way(loop: Loop) -> str:
    """The trainer as it is set, wherever its files lie."""
    return digest(_placeless(to_json(loop.trainer)))


def _placeless(data: Any) -> Any:
    if isinstance(data, dict):
        return None if data.get("kind") == "path" else {key: _placeless(item) for key, item in data.items()}
    return [_placeless(item) for item in data] if isinstance(data, list) else data
