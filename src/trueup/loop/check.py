# SPDX-License-Identifier: Apache-2.0
"""What cannot work, found before anything runs."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trueup.core.errors import TrueupError
from trueup.core.secrets import Env, File
from trueup.core.task import Outcome
from trueup.loop.fits import fit_of, newest_inputs, outcome_faults, unread
from trueup.models import features_of
from trueup.release import unproved
from trueup.triggers import Feedback

if TYPE_CHECKING:
    from trueup.data import GoldenItems
    from trueup.loop.definition import Loop
    from trueup.store import Ledger


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that cannot work (error), or that a person should know (warning)."""

    where: str
    what: str
    severe: bool = True

    def __str__(self) -> str:
        return f"{'error' if self.severe else 'note'}: {self.where}: {self.what}"


def check(loop: Loop) -> list[Problem]:
    """Every problem of a definition; an empty list means that it can work."""
    return [*_names(loop), *_secrets(loop), *_trainer(loop), *_gates(loop), *_release(loop)]


def check_data(loop: Loop, ledger: Ledger) -> list[Problem]:
    """What the newest logged requests and the outcomes say against the definition."""
    found: list[Problem] = []
    features, inputs = features_of(loop.trainer), newest_inputs(ledger, loop.name)
    if features is not None and inputs:
        found += (Problem("trainer", words) for words in unread(features, inputs, f"the newest {len(inputs):,} requests"))
        faults = Counter(filter(None, map(features.fault, inputs)))
        if faults:
            (worst, n), all_ = faults.most_common(1)[0], sum(faults.values())
            found.append(Problem(
                "trainer", f"{all_:,} of the newest {len(inputs):,} requests cannot be read: {worst} ({n:,} times); such rows "
                "are set aside, trueup quarantine lists them", severe=all_ == len(inputs),
            ))
    found += (Problem("outcomes", words, severe=False) for words in outcome_faults(loop, ledger))
    return found


def _names(loop: Loop) -> Iterator[Problem]:
    seen: set[str] = set()
    for outcome in loop.outcomes:
        if outcome.name in seen:
            yield Problem("outcomes", f"{outcome.name!r} is declared twice")
        seen.add(outcome.name)
    try:
        _ = loop.label
    except TrueupError as error:
        yield Problem("target", str(error))
    for trigger in loop.when:
        of = getattr(trigger, "of", None)
        if isinstance(of, Outcome) and of not in loop.outcomes:
            yield Problem("when", f"{type(trigger).__name__} watches {of.name!r}, which is not among the outcomes")
        if isinstance(trigger, Feedback) and trigger.of.label and trigger.of.name != loop.target and trigger.of not in _learned(loop):
            yield Problem("when", f"Feedback counts corrections of the label that is learned, and {trigger.of.name!r} is another")
    known = {getattr(part, "detector", None) for part in loop.when}
    for watched in loop.watch:
        of, detector = getattr(watched, "of", None), getattr(watched, "detector", None)
        if isinstance(of, Outcome) and of not in loop.outcomes:
            yield Problem("watch", f"{type(watched).__name__} watches {of.name!r}, which is not among the outcomes")
        if detector is None:
            yield Problem("watch", f"{type(watched).__name__} raises no alarms: only Business, Errors, Falls, Worsens and Drift can be watched")
        elif detector in known:
            yield Problem("watch", f"{detector} stands twice: its alarms are told once, and accepted together")
        known.add(detector)
    if not loop.when:
        yield Problem("when", "no trigger: only a person can start a training", severe=False)


def _learned(loop: Loop) -> list[Outcome]:
    try:
        return [loop.label]
    except TrueupError:  # said already
        return list(loop.outcomes)


def _secrets(loop: Loop) -> Iterator[Problem]:
    told = set(_find(loop.alerts, (Env, File)))  # a channel that cannot be reached blocks nothing
    for secret in _find(loop, (Env, File)):
        try:
            secret.reveal()
        except TrueupError as error:
            yield Problem("alerts" if secret in told else "secrets", str(error), severe=secret not in told)


def _find(part: Any, kinds: tuple[type, ...]) -> Iterator[Any]:
    if isinstance(part, kinds):
        yield part
    elif dataclasses.is_dataclass(part) and not isinstance(part, type):
        for field in dataclasses.fields(part):
            yield from _find(getattr(part, field.name), kinds)
    elif isinstance(part, tuple):
        for item in part:
            yield from _find(item, kinds)


def _trainer(loop: Loop) -> Iterator[Problem]:
    from trueup.train import goes_on, refuse

    try:
        refuse(loop.trainer, loop.task.answers, stateful=goes_on(loop.trainer), weights=False)
    except TrueupError as error:
        yield Problem("trainer", str(error))


def _gates(loop: Loop) -> Iterator[Problem]:
    from trueup.data import GoldenItems, GoldenSet

    if not loop.gates:
        yield Problem("gates", "no golden set: only fresh traffic will judge a candidate", severe=False)
    for gate in loop.gates:
        if not isinstance(gate.on, GoldenSet):
            continue
        try:
            items = gate.on.load()
        except TrueupError as error:
            yield Problem(f"golden set {gate.on.name}", str(error))
            continue
        if isinstance(items, GoldenItems):
            yield from _readable(loop, items)
        for words in gate.check(items):
            yield Problem("gates", words)
        for words in gate.notes(items):
            yield Problem("gates", words, severe=False)


def _readable(loop: Loop, items: GoldenItems) -> Iterator[Problem]:
    """Golden items that the features cannot read, and fields that no item has."""
    features, where = features_of(loop.trainer), f"golden set {items.name}"
    for words in () if features is None else unread(features, items.inputs, where):
        yield Problem(where, words)
    fit = fit_of(loop)
    for ident, given, target in zip(items.ids, items.inputs, items.targets, strict=True):
        if (fault := fit.fault(given, target)) is not None:
            yield Problem(where, f"item {ident}: {fault}")
            return


def _release(loop: Loop) -> Iterator[Problem]:
    from trueup.loop.context import Context

    if not loop.release:
        yield Problem("release", "no stage: no candidate can reach production", severe=False)
        return
    if not loop.release[-1].promotes:
        yield Problem("release", "the last stage must be Full()")
    if loop.carrier is None:
        yield Problem(
            "release", "no stage carries the promise: put a Shadow on a label of the input, or an AB on an outcome of "
            "the answers shown, before Full()"
        )
    elif not loop.carrier.anchored and loop.carrier.no_worse_by > 0.0:
        yield Problem(
            "release", "the A/B carries the promise while the champion is the anchor; after a promotion with a margin "
            "above 0 the next release needs a Shadow as well, which answers for the anchor, or a person who names the champion the anchor (trueup "
            "anchor): else it is not begun",
            severe=False,
        )
    if loop.risk.per == "year":
        alpha = loop.risk.wrong_promotion
        yield Problem(
            "risk", f"per='year' promises at most {alpha:.0%} a year: {1 - (1 - alpha) ** 5:.0%} in five years", severe=False
        )
    if words := unproved(loop.release):
        yield Problem("release", words)
    yield from _parameters(loop)
    terms = Context(loop, None).terms()  # type: ignore[arg-type]
    for stage in loop.release:
        for words in stage.problems(terms):
            yield Problem("release", words)


def _parameters(loop: Loop) -> Iterator[Problem]:
    """That candidates have parameters, and something would judge them by models that may take none."""
    from trueup.models import LocalModel, require_parameters

    given = {one.name: one.default for one in loop.task.parameters}
    for stage in loop.release:
        given |= dict.fromkeys(stage.varies())
    if not given or not any(stage.judges for stage in loop.release):
        return
    if loop.champion is None or isinstance(loop.champion, LocalModel):
        yield Problem(
            "release", "candidates have parameters, and a Shadow judges them by their models' answers: where a model takes "
            "no parameters, its release is not begun",
            severe=False,
        )
        return
    try:
        require_parameters(loop.champion, given, "candidates")
    except TrueupError as error:
        yield Problem("release", str(error))
