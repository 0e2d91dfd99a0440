# SPDX-License-Identifier: Apache-2.0
"""Experiments: offer a prompt or a threshold as a candidate, and ask which stages a release needs."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any

import click

from trueup.cli._open import as_json, loop_name, only_loop, open_ledger, open_loop, show_json
from trueup.core.errors import ArgumentError


@click.command("offer")
@click.argument("candidate", required=False)
@click.option("--set", "given", multiple=True, help="name=value of a parameter, or name=@FILE; again for more.")
@click.option("--reason", "-m", required=True, help="Why; it is recorded with the Decision.")
@loop_name
@as_json
@click.pass_context
def offer_(
    ctx: click.Context, candidate: str | None, given: tuple[str, ...], reason: str, loop_: str | None, json_: bool
) -> None:
    """Offer a candidate for release: one that is registered, or the champion's model with other parameters."""
    from trueup.loop import declared_parameters
    from trueup.release import offer

    with open_ledger(ctx) as ledger:
        loop = only_loop(ledger, loop_)
        declared = declared_parameters(ledger, loop)
        texts = {one.name for one in declared if one.type == "text"}
        parameters = dict(_parsed(part, texts) for part in given)
        made = offer(ledger, loop, candidate, parameters=parameters, declared=declared, reason=reason)
    if json_:
        show_json(asdict(made))
    else:
        click.echo(f"{made.subject} waits for its release: {made.reason}  ({made.id})")


def _parsed(part: str, texts: set[str]) -> tuple[str, Any]:
    """A parameter of the command line: text where it is declared so, else JSON, else text."""
    name, sign, value = part.partition("=")
    if not sign or not name:
        raise ArgumentError(f"expected --set name=value, got {part!r:.80}")
    if value.startswith("@"):
        value = Path(value[1:]).read_text("utf-8").strip()
        return name, value
    if name in texts:
        return name, value
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value


@click.command("recommend")
@click.argument("file", type=click.Path(path_type=Path), required=False)
@loop_name
@click.option("--traffic", "units_a_day", type=float, help="Units (users, sessions) a day.")
@click.option("--output", type=click.Choice(["label", "text", "ranking", "number"]), default="label", help="What an answer is.")
@click.option("--labels", type=float, default=0.0, help="Share of units whose input gets a label, or a judge's score.")
@click.option("--feedback/--no-feedback", default=True, help="Whether users say how a shown answer went.")
@click.option("--delay", type=float, default=1.0, help="Days until the outcome of a shown answer is known.")
@click.option("--base", type=float, default=0.1, help="The outcome's rate today.")
@click.option("--margin", type=float, default=0.02, help="The loss that would be accepted.")
@click.option("--effect", type=float, default=0.0, help="The gain that is hoped for.")
@click.option("--disagreement", type=float, default=0.15, help="Share of inputs on which two models differ.")
@click.option("--risk", type=click.Choice(["low", "medium", "high"]), default="medium", help="What a bad answer costs.")
@click.option("--reversible/--irreversible", default=True, help="Whether a shown answer can be taken back.")
@click.option("--arms", type=int, default=1, help="Challengers at once.")
@click.option("--propensities", is_flag=True, help="The log holds logged probabilities of another policy.")
@click.option("--patience", type=float, default=28.0, help="Days that a release may take.")
@click.option("--level", type=float, default=0.009, help="The level of the test; the first of a life at 5 %% is .009.")
@as_json
@click.pass_context
def recommend_(ctx: click.Context, /, file: Path | None, loop_: str | None, json_: bool, **known: Any) -> None:
    """Which stages a release needs, with reasons, and the units and days that each takes.

    With FILE, a loop's, what is not said stands in the loop and in the last 30 days of its log.
    """
    from trueup.release import Situation, recommend

    known |= {name: timedelta(days=known[name]) for name in ("delay", "patience")}
    said = {name: one for name, one in known.items() if ctx.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE}
    if file is None and "units_a_day" not in said:
        raise ArgumentError("expected the traffic, got none", cure="--traffic UNITS_A_DAY, or name a loop file whose log tells it")
    if file is None:
        of = Situation(**known)
    else:
        from trueup.study import situation

        with open_loop(ctx, file, loop_, create=False) as (loop, ledger, _):
            of = situation(loop, ledger, **said)
    found = recommend(of)
    if json_:
        show_json({"situation": asdict(of), **found.to_json()})
        return
    if file is not None:
        click.echo(
            f"{of.units_a_day:.1f} units a day, {of.labels:.0%} of them labelled, "
            + (f"outcome {of.base:.3f} known after {of.delay}" if of.feedback else "no outcome of the answers shown")
            + f"; margin {of.margin:g}, level {of.level:.3g}, disagreement {of.disagreement:.3f}"
        )
    for line in found.lines():
        click.echo(line)
