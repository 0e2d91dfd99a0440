# SPDX-License-Identifier: Apache-2.0
"""The way of a release: one look moves it as far as its evidence allows, a Decision a move."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from trueup.core.clock import to_us
from trueup.core.decisions import Decision
from trueup.core.errors import Conflict, DefinitionError, NotFound, UnknownName
from trueup.core.json import digest
from trueup.release.canary import watch
from trueup.release.carrier import unanchored, unjudgeable, unproved
from trueup.release.levels import next_level
from trueup.release.people.approval import Approval
from trueup.release.people.consent import judge, of, request, standing, waiting_words, waits
from trueup.release.shadow.asking import Unloadable
from trueup.release.stage import Ruling, Scene, Terms
from trueup.state import LoopState, Release, ReleaseTest, decide, only, read

if TYPE_CHECKING:
    from trueup.store import Ledger


Seen = Callable[[Ruling], None]


def advance(
    ledger: Ledger, terms: Terms, pinned: Callable[[str], Terms] | None = None, seen: Seen | None = None
) -> Iterator[Decision]:
    """Start, move on or end the loop's release, until its evidence says wait.

    `seen` is told of each ruling, of those that say wait as well.

    A release goes on under the definition that it began with: `pinned` gives its terms by their
    digest where they are not `terms`. Where a person decides at the same moment, theirs stands
    and the state is read again.
    """
    while True:
        generation, state = read(ledger, terms.loop)
        try:
            decision = _move(ledger, terms, pinned, generation, state, seen or _unseen)
        except Conflict:
            continue
        if decision is None:
            return
        yield decision


def _unseen(_: Ruling) -> None:
    """Nobody wants to know."""


def _move(
    ledger: Ledger, terms: Terms, pinned: Callable[[str], Terms] | None, generation: int, state: LoopState, seen: Seen
) -> Decision | None:
    """The next Decision that is due, if any."""
    if state.paused is not None:
        return None
    if state.release is None:
        return _begin(ledger, terms, generation, state)
    broken = None
    if pinned is not None and state.release.loop != terms.digest:
        try:
            terms = pinned(state.release.loop)
        except (DefinitionError, NotFound, UnknownName) as error:
            broken = Ruling("INVALID", f"the definition that it began with cannot be read any more: {error.message}")
    scene = Scene(ledger, terms, state, state.release, ledger.cut(), to_us(ledger.clock.now()))
    ruling = broken or _ruling(scene, seen)
    seen(ruling)
    try:
        return _apply(scene, generation, ruling)
    except Unloadable as error:  # by the next stage
        return _apply(scene, generation, Ruling("INVALID", str(error), ruling.evidence))


def _begin(ledger: Ledger, terms: Terms, generation: int, state: LoopState) -> Decision | None:
    """Begin with the candidate that waits, once it may: with mode="propose", once people have said so."""
    now = to_us(ledger.clock.now())
    if state.waiting is None or not (terms.stages or state.champion is None):
        return None
    if state.waiting == state.champion:
        return _drop(ledger, terms, generation, state, "it serves already: nothing to release")
    words = unanchored(terms.stages, terms.risk, state) or unproved(terms.stages)
    if state.champion is not None:
        words = words or unjudgeable(ledger, terms, (state.waiting, state.champion, state.anchor))
    if words:
        return _drop(ledger, terms, generation, state, words)
    said = None
    if terms.mode == "propose":
        asked = waits(state)
        if asked is None or asked[0]["of"] != _of(ledger, terms, state):
            return _propose(ledger, terms, generation, state, now)
        said = asked[1]
        call, words = judge(*asked, state.waiting, now)
        if call == "HOLD":
            return None
        if call == "REFUSE":
            return _drop(ledger, terms, generation, state, words)
    if state.champion is None:
        return _install(ledger, terms, generation, state, now, said)
    return _start(ledger, terms, generation, state, said)


def _of(ledger: Ledger, terms: Terms, state: LoopState) -> dict[str, Any]:
    assert state.waiting is not None
    return of(
        ledger, terms.loop, candidate=state.waiting, champion=state.champion, definition=terms.digest, release=None,
    )


def _propose(ledger: Ledger, terms: Terms, generation: int, state: LoopState, now: int) -> Decision:
    """Ask people whether the release of what waits may begin; nothing is spent before they say so."""
    assert state.waiting is not None
    asked = request(
        terms.proposal or Approval(), ledger, terms.loop, candidate=state.waiting, champion=state.champion,
        definition=terms.digest, release=None, now=now,
    )
    before, words = waits(state), waiting_words(asked, None, now)
    if before is not None:
        void = ", ".join(one["who"] for one in standing(*before, now))
        words = f"asked again, what would be released has changed{f' (void: what {void} said)' if void else ''}; {words}"
    return decide(
        ledger, terms.loop, generation, replace(state, proposal={"request": asked, "approval": None}),
        kind="propose", verdict="HOLD", reason=words, subject=state.waiting, evidence={"request": asked},
    )


def _install(
    ledger: Ledger, terms: Terms, generation: int, state: LoopState, now: int, said: dict[str, Any] | None
) -> Decision:
    """The first champion, which had to wait for people: there is none to compare it with."""
    assert state.waiting is not None
    after = replace(state.serve(state.waiting, now), waiting=None, proposal=None)
    return decide(
        ledger, terms.loop, generation, after, kind="install", verdict="PROMOTE", subject=state.waiting,
        reason="the first champion: there was none to compare it with", evidence={"approval": said},
    )


def _ruling(scene: Scene, seen: Seen) -> Ruling:
    """What the present stage says, unless the units that are being served already say no."""
    release, stages = scene.release, scene.terms.stages
    if release.stage >= len(stages):
        return Ruling("REFUSE", "every stage has passed, and no Full() promotes it")
    stage = stages[release.stage]
    if release.guard is not None and "levels" in release.guard and not stage.guards:
        watched = watch(scene, release.guard)
        if watched.call != "HOLD":
            return watched
        seen(watched)
    try:
        return stage.rule(scene)
    except Unloadable as error:
        return Ruling("INVALID", str(error))


def _start(
    ledger: Ledger, terms: Terms, generation: int, state: LoopState, said: dict[str, Any] | None
) -> Decision:
    """Reserve a level, before the first labelled look, and enter the first stage.

    What cannot be loaded is dropped and spends nothing.
    """
    assert state.waiting is not None
    now = to_us(ledger.clock.now())
    level = next_level(state.tests, terms.risk, now)
    k = len(state.tests) + 1
    release = Release(
        id=f"r-{digest([terms.loop, state.waiting, k])[:16]}", candidate=state.waiting, k=k,
        level=level, started=now, stage=0, entered=now, stepped=now, loop=terms.digest,
    )
    before = state
    state = replace(
        state, waiting=None, proposal=None, release=release, tests=(*state.tests, ReleaseTest(k, level, now))
    )
    try:
        state = _enter(Scene(ledger, terms, state, release, ledger.cut(), now))
    except Unloadable as error:
        return _drop(ledger, terms, generation, before, str(error))
    assert state.release is not None
    forecast = state.release.parameters.get("forecast")
    words = f"test {k} of this loop's life, at level {level:.3g} of {terms.risk.wrong_promotion:g}"
    if forecast and "words" in forecast:
        words += f"; forecast: {forecast['words']}"
    elif forecast:
        pairs = f"{forecast['pairs']:,}" if forecast["pairs"] else "too many"
        words += f"; forecast: {pairs} pairs if they are equally good, at a disagreement of {forecast['disagreement']:.3f}"
    return decide(
        ledger, terms.loop, generation, state, kind="start", verdict="NOTE", reason=words,
        subject=release.candidate, level=level, evidence={"release": release.id, "forecast": forecast, **({"approval": said} if said else {})},
    )


def _drop(ledger: Ledger, terms: Terms, generation: int, state: LoopState, reason: str) -> Decision:
    """The waiting candidate is not released."""
    return decide(
        ledger, terms.loop, generation, replace(state, waiting=None, proposal=None), kind="stop", verdict="REFUSE",
        reason=reason, subject=state.waiting,
    )


def _enter(scene: Scene) -> LoopState:
    """The state in which the release has entered its present stage; one after the last rules no more."""
    release, stages = scene.release, scene.terms.stages
    release = replace(release, entered=scene.now, step=0, stepped=scene.now, approval=None)
    if release.stage >= len(stages):
        return replace(scene.state, release=replace(release, parameters={}, validated=False))
    stage = stages[release.stage]
    release = replace(
        release, parameters=stage.enter(scene), validated=release.proven and stage.consents
    )
    routing = scene.state.routing
    parameters = dict(release.parameters)
    if (opening := stage.opening(parameters)) is not None:
        release = replace(release, guard=opening.guard, parameters=parameters)
        routing = _routing(scene, release, opening.slices)
    return replace(scene.state, release=release, routing=routing)


def _routing(scene: Scene, release: Release, slices: list[dict[str, Any]]) -> dict[str, Any]:
    """Users of these slices are drawn; a stage has a salt of its own, and a canary the release's id."""
    assert scene.state.champion is not None
    parameters, terms = release.parameters, scene.terms
    arms = parameters.get("arms", {"challenger": release.candidate})
    made = {
        **only(scene.state.champion), "challenger": release.candidate,
        "release": parameters.get("release", release.id), "slices": slices,
        **terms.population.routing(terms.loop, f"{terms.loop}/{release.id}/{release.stage}", ("champion", *arms)),
    }
    if list(arms) != ["challenger"]:
        given = parameters.get("parameters", {})
        made |= {"arms": arms, "parameters": {name: given.get(name, {}) for name in ("champion", *arms)}}
    return made


def _apply(scene: Scene, generation: int, ruling: Ruling) -> Decision | None:
    """The Decision that a ruling asks for, with the state that follows; None to wait."""
    release, state, terms = scene.release, scene.state, scene.terms
    goes_on = ruling.candidate or release.candidate
    proven = ruling.proven or (release.proven and goes_on == release.candidate)  # of this very candidate
    release = replace(release, proven=proven, candidate=goes_on)
    state = replace(state, release=release)
    if ruling.proven:
        state = state.end_test(promoted=True)
    kind, verdict = "stage", ruling.call
    if ruling.call == "HOLD":
        if ruling.slices is None:
            return None
        release = replace(release, step=release.step + 1, stepped=scene.now)
        routing = _routing(scene, release, ruling.slices)
        kind, state = "step", replace(state, release=release, routing=routing)
    elif ruling.call == "PASS":
        release = replace(release, stage=release.stage + 1)
        state = replace(state, release=release)
        state = _enter(replace(scene, state=state, release=release))
    elif ruling.call == "PROMOTE":
        kind, state = "promote", state.serve(release.candidate, scene.now)
    else:
        kind = {"REFUSE": "refuse", "ROLLBACK": "rollback", "INVALID": "invalid"}[ruling.call]
        state = end(state)
    return decide(
        scene.ledger, terms.loop, generation, state, kind=kind, verdict=verdict,
        reason=ruling.reason, subject=release.candidate, level=release.level,
        evidence={"release": release.id, "stage": scene.release.stage, **ruling.evidence},
    )


def end(state: LoopState) -> LoopState:
    """The release is over and the champion serves everybody; a test that had not rejected counts
    as refused."""
    assert state.champion is not None
    return replace(state.end_test(promoted=False), release=None, routing=only(state.champion))
