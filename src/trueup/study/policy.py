# SPDX-License-Identifier: Apache-2.0
"""Policies: when to train and on which rows, as a person writes them on a command line."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import product
from typing import TYPE_CHECKING, Any

from trueup.core.errors import ArgumentError, Refused
from trueup.core.protocols import Trigger
from trueup.core.task import Outcome

if TYPE_CHECKING:
    from trueup.data import Recipe
    from trueup.loop import Loop

_UNITS = {"h": "hours", "d": "days", "w": "weeks"}
EXAMPLES = "rows:5000, drift, drift:price+genre, falls:0.8, worsens, cron:weekly, loop, never"


@dataclass(frozen=True, slots=True)
class Policy:
    """A way to keep the model: reasons to train (any), reasons not to (any), and the recipe.

    `name` is what tables and plots call it; `when` () trains once and never again.
    """

    name: str
    when: tuple[Trigger, ...]
    unless: tuple[Trigger, ...]
    recipe: Recipe

    def of(self, loop: Loop) -> Loop:
        """The loop with this policy."""
        return replace(loop, when=self.when, unless=self.unless, recipe=self.recipe)


def policies(
    loop: Loop, when: Sequence[str] = (), window: Sequence[str] = (), replay: Sequence[float] = (),
    cooldown: str | None = None,
) -> list[Policy]:
    """Every combination of reasons, windows and replay shares; the loop's own, and "never", come first.

    `when` are texts such as `rows:5000`, `drift`, `falls:0.8`, `worsens`, `cron:weekly`, joined by
    "," where any of several is a reason; `window` such as `30d` or `all`; `cooldown` such as `28d`
    holds every policy but the loop's own back for so long after a training. Raises ArgumentError
    for a text that it does not know.
    """
    from trueup.triggers import Cooldown

    recipes = list(_recipes(loop, window, replay))
    bare = loop.recipe if not (window or replay) else None
    unless: tuple[Trigger, ...] = () if cooldown is None else (Cooldown(length(cooldown)),)
    found = [
        Policy("the loop", tuple(loop.when), tuple(loop.unless), loop.recipe),
        Policy("never", (), (), recipes[0][1] if bare is None else bare),
    ]
    for text in when:
        if text in ("loop", "never"):
            continue
        parts = _triggers(loop, text)
        for words, recipe in recipes:
            name = " ".join(part for part in (text, words, f"cooldown {cooldown}" if cooldown else "") if part)
            found.append(Policy(name, parts, unless, recipe))
    if not when:
        found += [Policy(f"loop {words}", tuple(loop.when), tuple(loop.unless), recipe) for words, recipe in recipes if words]
    return _checked(found)


def _recipes(loop: Loop, window: Sequence[str], replay: Sequence[float]) -> Iterable[tuple[str, Recipe]]:
    from trueup.data import Replay

    own = loop.recipe
    for words, share in product(window or ("",), replay or (None,)):
        span = own.window if not words else None if words == "all" else length(words)
        mixed = own.replay if share is None else None if share == 0 else Replay(share)
        if span is None and mixed is not None:
            if share:
                continue  # all history leaves no old rows to replay
            mixed = None
        name = " ".join(part for part in (words, f"replay {share:g}" if share else "") if part)
        yield name, replace(own, window=span, replay=mixed)


def _triggers(loop: Loop, text: str) -> tuple[Trigger, ...]:
    return tuple(_trigger(loop, part.strip()) for part in text.split(","))


def _trigger(loop: Loop, text: str) -> Trigger:
    from trueup.triggers import Cron, Drift, Falls, Rows, Worsens

    kind, _, rest = text.partition(":")
    try:
        if kind == "rows":
            return Rows(int(rest))
        if kind == "cron":
            return Cron(rest)
        if kind == "falls":
            return Falls(scorer_of(loop), below=float(rest))
        if kind == "worsens":
            return Worsens(scorer_of(loop), by=float(rest or 0.0))
        if kind == "drift":
            return Drift(tuple(rest.split("+"))) if rest else _drift(loop)
    except ValueError as error:
        if isinstance(error, ArgumentError):
            raise
        raise ArgumentError(f"expected a number in {text!r}", cure=f"write one of {EXAMPLES}") from None
    raise ArgumentError(f"expected a reason to train, got {text!r}", cure=f"write one of {EXAMPLES}")


def _drift(loop: Loop) -> Trigger:
    """The loop's own Drift where it has one, else that of the texts."""
    from trueup.triggers import Drift

    own = next((part for part in loop.when if isinstance(part, Drift)), None)
    return own or Drift()


def scorer_of(loop: Loop) -> Any:
    """What scores an answer: the scorer of the gate that carries the promise, else the first gate's."""
    from trueup.core.protocols import Scorer
    from trueup.evaluate import F1, Accuracy

    for part in (loop.carrier, *loop.gates, *loop.when):
        for name in ("scorer", "measure", "of"):
            found = getattr(part, name, None)
            if isinstance(found, Scorer) and not isinstance(found, Outcome):
                return found
    return F1() if loop.task.answers == "labels" else Accuracy()


def length(text: str) -> timedelta:
    """A span of time as people write it: 12h, 30d, 8w."""
    try:
        number, unit = float(text[:-1]), _UNITS[text[-1:]]
        made = timedelta(**{unit: number})
    except (ValueError, KeyError, OverflowError):
        raise ArgumentError(f"expected a span such as 12h, 30d or 8w, got {text!r}") from None
    if made <= timedelta(0):
        raise ArgumentError(f"expected a span above 0, got {text!r}")
    return made


def _checked(found: list[Policy]) -> list[Policy]:
    """Each way once; what only those who were served then could tell is refused."""
    kept: list[Policy] = []
    for policy in found:
        for part in (*policy.when, *policy.unless):
            of = getattr(part, "of", None)
            if isinstance(of, Outcome) and not of.label:
                if policy.name == "the loop":
                    break
                raise Refused(
                    f"{policy.name} watches {of.name!r}, feedback on answers that were shown: another model would have shown others",
                    cure="watch a scorer of labels: falls:0.8, worsens",
                )
        else:
            if all((policy.when, policy.unless, policy.recipe) != (one.when, one.unless, one.recipe) for one in kept):
                kept.append(policy)
    return kept
