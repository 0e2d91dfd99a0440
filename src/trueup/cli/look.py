# SPDX-License-Identifier: Apache-2.0
"""The everyday commands: check, plan, run, status, why."""

from __future__ import annotations

import sys
from contextlib import suppress
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from trueup.cli._open import (
    as_json,
    loop_file,
    loop_name,
    only_loop,
    open_ledger,
    open_loop,
    progress,
    show_json,
)
from trueup.core.decisions import Decision
from trueup.core.errors import DefinitionError, NotFound, Refused

if TYPE_CHECKING:
    from trueup.loop import Plan
    from trueup.registry import Published

_COLOURS = {
    "PROMOTE": "green", "PASS": "green", "TRAIN": "cyan", "REST": "bright_black", "HOLD": "cyan",
    "REFUSE": "yellow", "PAUSE": "yellow", "ROLLBACK": "red", "INVALID": "red", "NOTE": "white",
}


SHORT = 100


def _line(decision: Decision, short: bool = False) -> str:
    from trueup.loop.context import moment

    word = click.style(f"{decision.verdict:<8}", fg=_COLOURS[decision.verdict])
    reason = decision.reason
    if short and len(reason) > SHORT:
        reason = reason[: SHORT - 1].rstrip() + "…"
    return f"{moment(decision.at)}  {decision.id}  {word}  {reason}"


@click.command("check")
@loop_file
@loop_name
@as_json
@click.pass_context
def check_(ctx: click.Context, file: Path, loop_: str | None, json_: bool) -> None:
    """Find what cannot work in a loop file, before anything runs; where requests are logged, against them too."""
    from trueup.loop import load_loop
    from trueup.loop.check import check_data

    loop = load_loop(file, loop_)
    found = loop.check()
    with suppress(NotFound), open_ledger(ctx, (file if file.is_dir() else file.parent).resolve()) as ledger:
        found += check_data(loop, ledger)
    severe = [problem for problem in found if problem.severe]
    if json_:
        show_json({"loop": loop.name, "digest": loop.digest(), "problems": [asdict(one) for one in found]})
    else:
        for problem in found:
            click.secho(str(problem), fg="red" if problem.severe else "yellow")
        if not severe:
            click.secho(f"{loop.name} can work", fg="green")
    sys.exit(2 if severe else 0)


@click.command("plan")
@loop_file
@loop_name
@as_json
@click.pass_context
def plan_(ctx: click.Context, file: Path, loop_: str | None, json_: bool) -> None:
    """What the loop would do now, and why. Nothing is changed."""
    with open_loop(ctx, file, loop_) as (loop, ledger, _):
        plan = loop.plan(ledger)
    if json_:
        show_json(plan.to_json())
        return
    for text in plan_lines(plan):
        click.echo(text)


def plan_lines(plan: Plan) -> list[str]:
    """A plan for people."""
    from trueup.loop.look import look_lines

    would = "would train" if plan.trains else "would not train"
    text = [f"{plan.loop}: a look now {would}: {plan.look.reason}"]
    text += [f"  {line}" for line in look_lines(plan.look.to_json())]
    text.append(f"rows: {plan.new_rows:,} new, {plan.rows:,} in all; a training takes at least {plan.min_rows:,}")
    if plan.seconds is not None:
        cost = f" and {plan.money}" if plan.money else ""
        text.append(f"the last training took {plan.seconds:.0f} s{cost}")
    seen = plan.forecast
    if seen and "words" in seen:
        text.append(
            f"experiment: {seen['words']} at margin {seen['margin']:g} and level {seen['level']:.3g} (test {seen['test']})"
        )
    elif seen:
        days = f"{seen['days']:.0f} days" if seen["days"] else "no label has come in 30 days: no end can be told"
        pairs = f"{seen['pairs']:,} pairs" if seen["pairs"] else "more pairs than can be told"
        text.append(
            f"shadow: {pairs} at margin {seen['margin']:g} and level {seen['level']:.3g} (test {seen['test']}), "
            f"disagreement {seen['disagreement']:.3f}: {days}"
        )
    for words in (plan.release, plan.asks, plan.waiting and f"next in line: {plan.waiting}"):
        if words:
            text.append(words)
    if plan.paused is not None:
        text.append(f"paused: {plan.paused}")
    text.append(f"next look: {'now' if plan.due else f'{plan.next_look:%Y-%m-%d %H:%M}'}")
    return text


@click.command("run")
@loop_file
@loop_name
@click.option("--now", is_flag=True, help="Look now, whatever the schedule says.")
@click.option("--train", "ask", is_flag=True, help="Ask for a training at this look.")
@click.option("--dry", is_flag=True, help="Show the plan instead.")
@click.option("--replay", is_flag=True, help="Run the imported past as if it were live, in a home of its own.")
@click.option("--since", type=click.DateTime(), help="With --replay: where the live part begins.")
@click.option("--until", type=click.DateTime(), help="With --replay: where it ends.")
@as_json
@click.pass_context
def run_(
    ctx: click.Context, file: Path, loop_: str | None, now: bool, ask: bool, dry: bool, replay: bool,
    since: datetime | None, until: datetime | None, json_: bool,
) -> None:
    """One look: finish what was begun, move the release on, train if there is a reason to."""
    from trueup.loop import Context, listen, publish, request, run
    from trueup.loop.observe import report_lines
    from trueup.loop.publishing import unpublished
    from trueup.release import whoami
    from trueup.service import project
    from trueup.store.locks import holder

    if dry:
        ctx.invoke(plan_, file=file, loop_=loop_, json_=json_)
        return
    if replay:
        _replay(ctx, file, loop_, since, until, json_)
        return
    with open_loop(ctx, file, loop_) as (loop, ledger, base), progress(json_) as say:
        problems = [str(problem) for problem in loop.check() if problem.severe]
        if problems:
            raise DefinitionError("\n".join(problems), cure="trueup check says the same without running")
        if ask and loop.mode == "observe":
            raise Refused(f"{loop.name} only observes: it trains nothing", cure='mode="propose" in the loop file')
        if ask:
            request(ledger, loop.name, whoami())
            holds = holder(ledger.home, f"run-{loop.name}")
            if holds is not None:  # a service, or another run: it looks again as soon as it sees the request
                who = f"process {holds.get('pid', '?')} on {holds.get('host', '?')}"
                if json_:
                    show_json({"asked": True, "by": holds})
                else:
                    click.echo(f"asked: {who}, which runs {loop.name}, takes it up (trueup status)")
                return
        made = listen(loop, ledger, base=base, progress=say)
        made += run(loop, ledger, base=base, now=now or ask, progress=say)
        shown = publish(loop, ledger, progress=say)
        told = not made or any(decision.kind == "start" for decision in made)
        plan = loop.plan(ledger) if told else None
        seen = ledger.records(loop.name, "report", newest=True, limit=1) if loop.mode == "observe" else []
        failed = project(Context(loop, ledger, base=base), {"registry": unpublished(shown)})
    if json_:
        show_json(seen or [asdict(decision) for decision in made])
        return
    for decision in made:
        click.echo(_line(decision))
    if seen:
        click.echo("\n".join(["it only observes; at the last look it would", *report_lines(seen[0])]))
    for one in shown:
        for text in published_lines(one, short=True):
            click.secho(text, fg="yellow", err=True)
    for name, words in failed.items():
        if name != "registry":  # what came of publishing is said above, with its target
            click.secho(f"{name} does not follow: {words}", fg="yellow", err=True)
    if plan is not None and not made:
        click.echo(f"nothing was due; next look {plan.next_look:%Y-%m-%d %H:%M}")
    if plan is not None and plan.days is not None:
        click.echo(f"the shadow needs about {plan.days:.0f} days at most, at the traffic of the last 30 days logged")


def published_lines(one: Published, *, short: bool = False) -> list[str]:
    """What came of publishing to a target, for people; with `short`, only what they should know."""
    if one.error is not None:
        return [f"not published to {one.target}: {one.error} (nothing waits for it; it is tried again)"]
    moved = [f"{one.target}: {change.what} {change.name} {change.words}" for change in one.changes if change.moved]
    if short:
        return moved
    if one.skipped:
        return [f"{one.target}: nothing to publish"]
    counts: dict[str, int] = {}
    for change in one.changes:
        counts[change.what] = counts.get(change.what, 0) + 1
    told = ", ".join(f"{n} {what}" for what, n in counts.items()) or "all is as it should be"
    return [f"{one.target}: {told}", *moved]


def _replay(
    ctx: click.Context, file: Path, loop_: str | None, since: datetime | None, until: datetime | None,
    json_: bool,
) -> None:
    """The imported past, month by month: every answer is given before its label is learned."""
    from trueup.core.clock import utc
    from trueup.testing.replay import replay

    with open_loop(ctx, file, loop_) as (loop, ledger, base), progress(json_) as say:
        home = ledger.home / "replay" / loop.name
        first, last = (None if day is None else utc(day) for day in (since, until))
        with replay(loop, ledger, home, since=first, until=last, base=base, progress=say) as made:
            decisions = list(made.decisions)
    if json_:
        show_json([asdict(decision) for decision in decisions])
        return
    for decision in decisions:
        click.echo(_line(decision, short=True))
    click.echo(f"to look further: trueup --home {home} status")


@click.command("status")
@loop_name
@as_json
@click.pass_context
def status_(ctx: click.Context, loop_: str | None, json_: bool) -> None:
    """What runs, what waits for whom, and what was decided last."""
    from trueup.loop.status import lines, status
    from trueup.service.board import service
    from trueup.service.words import held, loop_lines, projection_lines

    with open_ledger(ctx) as ledger:
        names = [only_loop(ledger, loop_)] if loop_ else ledger.loops()
        found = [status(ledger, name) for name in names]
        holds = service(ledger.home)
    kept = holds["loops"] if holds else {}
    if json_:
        who = {key: part for key, part in holds.items() if key != "loops"} if holds else None
        show_json([{**one.to_json(), "service": who and {**who, **kept.get(one.loop, {})}} for one in found])
        return
    for text in (held(holds), *projection_lines(holds)):
        click.echo(text)
    for one in found:
        for text in (*lines(one), *loop_lines(kept.get(one.loop, {}))):
            click.echo(text)
        click.echo("events: " + ", ".join(f"{n:,} {kind}" for kind, n in one.events.items() if n))
        for decision in one.decisions:
            click.echo(f"  {_line(decision, short=True)}")
    if not found:
        click.echo("no loop has run in this home yet: trueup run loop.py")


@click.command("why")
@click.argument("id_", metavar="ID")
@loop_name
@as_json
@click.pass_context
def why_(ctx: click.Context, id_: str, loop_: str | None, json_: bool) -> None:
    """Explain a Decision in plain words, and recompute it from the ledger's rows."""
    from trueup.loop import why
    from trueup.loop.files import load_beside

    with open_ledger(ctx) as ledger:
        found = why(ledger, id_, loop_)
        if found.lost and load_beside(ledger.home):  # it rests on a part of one's own, in the loop file
            found = why(ledger, id_, loop_)
    if json_:
        show_json(found.to_json())
    else:
        for text in found.lines:
            click.echo(text)
    sys.exit(1 if found.matches is False else 0)
