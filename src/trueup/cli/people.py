# SPDX-License-Identifier: Apache-2.0
"""What people do to a loop: approve, reject, pause, resume, rollback."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import click

from trueup.cli._open import as_json, loop_name, only_loop, open_ledger, show_json
from trueup.core.decisions import Decision

reason_option = click.option("--reason", "-m", required=True, help="Why; it is recorded with the Decision.")


def _say(decision: Decision, json_: bool) -> None:
    if json_:
        show_json(asdict(decision))
    else:
        click.echo(f"{decision.verdict} {decision.kind}: {decision.reason}  ({decision.id})")


def _act(ctx: click.Context, loop_: str | None, json_: bool, act: Callable[[Any, str], Decision]) -> None:
    with open_ledger(ctx) as ledger:
        _say(act(ledger, only_loop(ledger, loop_)), json_)


@click.command("approve")
@click.argument("candidate")
@reason_option
@loop_name
@as_json
@click.pass_context
def approve_(ctx: click.Context, candidate: str, reason: str, loop_: str | None, json_: bool) -> None:
    """Approve the candidate that waits for it; void if it has changed since."""
    from trueup.release import approve

    _act(ctx, loop_, json_, lambda ledger, loop: approve(ledger, loop, candidate, reason=reason))


@click.command("reject")
@click.argument("candidate")
@reason_option
@loop_name
@as_json
@click.pass_context
def reject_(ctx: click.Context, candidate: str, reason: str, loop_: str | None, json_: bool) -> None:
    """End the release of a candidate, or drop it while it waits."""
    from trueup.release import reject

    _act(ctx, loop_, json_, lambda ledger, loop: reject(ledger, loop, candidate, reason=reason))


@click.command("pause")
@reason_option
@loop_name
@as_json
@click.pass_context
def pause_(ctx: click.Context, reason: str, loop_: str | None, json_: bool) -> None:
    """The champion serves everybody; nothing is trained or released until `resume`."""
    from trueup.release import pause

    _act(ctx, loop_, json_, lambda ledger, loop: pause(ledger, loop, reason=reason))


@click.command("resume")
@reason_option
@loop_name
@as_json
@click.pass_context
def resume_(ctx: click.Context, reason: str, loop_: str | None, json_: bool) -> None:
    """Go on after a pause."""
    from trueup.release import resume

    _act(ctx, loop_, json_, lambda ledger, loop: resume(ledger, loop, reason=reason))


@click.command("rollback")
@reason_option
@loop_name
@as_json
@click.pass_context
def rollback_(ctx: click.Context, reason: str, loop_: str | None, json_: bool) -> None:
    """End the running release; where none runs, the champion before this one serves again."""
    from trueup.release import rollback

    _act(ctx, loop_, json_, lambda ledger, loop: rollback(ledger, loop, reason=reason))
