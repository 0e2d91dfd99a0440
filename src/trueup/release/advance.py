# SPDX-License-Identifier: Apache-2.0
"""The way of a release: one look moves it as far as its evidence allows, a Decision a move."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from trueup.core.clock import to_us
from trueup.core.decisions import Decision
from trueup.core.json import digest
from trueup.release.approval import Approval
from trueup.release.canary import Canary
from trueup.release.levels import next_level
from trueup.release.stage import Ruling, Scene, Terms
from trueup.release.state import LoopState, Release, Test, decide, only, read

if TYPE_CHECKING:
    from trueup.store import Ledger


def advance(ledger: Ledger, terms: Terms) -> Iterator[Decision]:
    """Start, move on or end the loop's release, until its evidence says wait."""
    while True:
        generation, state = read(ledger, terms.loop)
        if state.paused is not None:
            return
        if state.release is None:
            if state.waiting is None:
                return
            yield _start(ledger, terms, generation, state)
            continue
        scene = Scene(ledger, terms, state, state.release, ledger.cut(), to_us(ledger.clock.now()))
        ruling = terms.stages[state.release.stage].rule(scene)
        decision = _apply(scene, generation, ruling)
        if decision is None:
            return
        yield decision


def _start(ledger: Ledger, terms: Terms, generation: int, state: LoopState) -> Decision:
    """Reserve a level, before the first labelled look, and enter the first stage."""
    assert state.waiting is not None
    now = to_us(ledger.clock.now())
    level = next_level(state.tests, terms.risk, now)
    k = len(state.tests) + 1
    release = Release(
        id=f"r-{digest([terms.loop, state.waiting, k])[:16]}", candidate=state.waiting, k=k,
        level=level, started=now, stage=0, entered=now, stepped=now, loop=terms.digest,
    )
    state = replace(
        state, waiting=None, release=release, tests=(*state.tests, Test(k, level, now))
    )
    scene = Scene(ledger, terms, state, release, ledger.cut(), now)
    state = _enter(scene)
    assert state.release is not None
    forecast = state.release.parameters.get("forecast")
    words = f"test {k} of this loop's life, at level {level:.3g} of {terms.risk.wrong_promotion:g}"
    if forecast:
        pairs = f"{forecast['pairs']:,}" if forecast["pairs"] else "too many"
        words += f"; forecast: {pairs} pairs at a disagreement of {forecast['disagreement']:.3f}"
    return decide(
        ledger, terms.loop, generation, state, kind="start", verdict="NOTE", reason=words,
        subject=release.candidate, level=level, evidence={"release": release.id, "forecast": forecast},
    )


def _enter(scene: Scene) -> LoopState:
    """The state in which the release has entered its present stage."""
    release, stage = scene.release, scene.terms.stages[scene.release.stage]
    parameters = stage.enter(scene)
    release = replace(
        release, parameters=parameters, entered=scene.now, step=0, stepped=scene.now,
        validated=release.proven and isinstance(stage, Approval),
    )
    routing = scene.state.routing
    if isinstance(stage, Canary):
        routing = _routing(scene, release, stage.slices(0))
    return replace(scene.state, release=release, routing=routing)


def _routing(scene: Scene, release: Release, slices: list[dict[str, Any]]) -> dict[str, Any]:
    """Users of these slices are drawn; a stage has a salt of its own."""
    assert scene.state.champion is not None
    return {
        **only(scene.state.champion), "challenger": release.candidate, "release": release.id,
        "salt": f"{scene.terms.loop}/{release.id}/{release.stage}", "slices": slices,
    }


def _apply(scene: Scene, generation: int, ruling: Ruling) -> Decision | None:
    """The Decision that a ruling asks for, with the state that follows; None to wait."""
    release, state, terms = scene.release, scene.state, scene.terms
    release = replace(release, proven=release.proven or ruling.proven)
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
