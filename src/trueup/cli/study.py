# SPDX-License-Identifier: Apache-2.0
"""What a loop's own past says: backtest, advise, forecast, slices, whatif; and receipts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click

from trueup.cli._open import (
    as_json,
    loop_file,
    loop_name,
    open_ledger,
    open_loop,
    progress,
    show_json,
)
from trueup.core.errors import ArgumentError, DefinitionError


def _moment(_ctx: Any, _param: Any, value: str | None) -> datetime | timedelta | None:
    """A day (2026-03-01), a moment, or a span before the last logged input (90d, 12w)."""
    from trueup.study.policy import length

    if value is None:
        return None
    try:
        return length(value)
    except ArgumentError:
        pass
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        raise click.BadParameter(f"expected a day such as 2026-03-01 or a span such as 90d, got {value!r}") from None


def moment(given: datetime | timedelta | None, last: datetime) -> datetime | None:
    """The moment that was meant."""
    if isinstance(given, timedelta):
        return last - given
    return given if given is None or given.tzinfo else given.replace(tzinfo=UTC)


def _last(loop: Any, ledger: Any) -> datetime:
    """The last logged input."""
    from trueup.study import newest

    return newest(ledger, loop.name)


def _split(_ctx: Any, _param: Any, value: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(part.strip() for text in value for part in text.split(","))


@click.command("backtest")
@loop_file
@loop_name
@click.option("--since", callback=_moment, metavar="WHEN", help="Where it begins: a day, or a span before the last input (90d). [default: the first input]")
@click.option("--until", callback=_moment, metavar="WHEN", help="Where it ends. [default: the last input]")
@click.option("--when", multiple=True, help="A policy: rows:5000, drift, falls:0.8, worsens, cron:weekly; joined by a comma, any of several. Repeat it.")
@click.option("--window", multiple=True, callback=_split, help="Windows of the recipe to try: 30d,90d,all.")
@click.option("--replay", multiple=True, callback=_split, help="Replay shares to try: 0,0.5.")
@click.option("--cooldown", help="Hold every --when back for so long after a training (28d).")
@click.option("--tolerance", type=float, default=0.005, show_default=True, help="A loss of quality that a cheaper policy may cost.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Where the page and the charts go. [default: in the home]")
@click.option("--here", is_flag=True, help="Train in this process: faster, without the limits of the loop's budget.")
@click.option("--dry", is_flag=True, help="Say how many trainings it would make, and make none.")
@click.option("--apply", "apply_", is_flag=True, help="Write the proposed change into the loop file, and record it as a Decision.")
@as_json
@click.pass_context
def backtest_(
    ctx: click.Context, file: Path, loop_: str | None, since: Any, until: Any, when: tuple[str, ...],
    window: tuple[str, ...], replay: tuple[str, ...], cooldown: str | None, tolerance: float, out: Path | None,
    here: bool, dry: bool, apply_: bool, json_: bool,
) -> None:
    """Live through the logged past under several policies, with the model that would have been live.

    Ends with the cheapest policy whose quality is within the tolerance of the best, as a diff of the
    loop file.
    """
    from trueup.study import backtest, policies, show
    from trueup.study import dry as count

    with open_loop(ctx, file, loop_, create=False) as (loop, ledger, base), progress(json_) as say:
        last = _last(loop, ledger)
        first, end = moment(since, last), moment(until, last)
        ways = policies(loop, when, window, [float(share) for share in replay], cooldown)
        if dry:
            _show_dry(count(loop, ledger, ways, since=first, until=end), json_)
            return
        found = backtest(loop, ledger, ways, since=first, until=end, base=base, isolate=not here, progress=say)
        proposal = found.proposal(tolerance)
        edit, words = _edit(file, loop, next(way for way in ways if way.name == proposal))
        diff = edit.diff if edit else ""
        folder = out or ledger.home / "reports" / f"backtest-{loop.name}"
        paths = show.write(folder, found, proposal, diff)
        decision = None
        if apply_ and edit is not None:
            from trueup.study.edit import apply

            decision = apply(edit, ledger, evidence={"backtest": {"policy": proposal, "quality": found.life(proposal).quality}})
    if json_:
        show_json({**found.to_json(), "proposal": proposal, "diff": diff, "note": words, "files": [str(path) for path in paths],
                   "decision": decision.id if decision else None})
        return
    for line in show.text(found):
        click.echo(line)
    click.echo(f"proposed: {proposal}, the cheapest within {tolerance:g} of the best{words}")
    if diff:
        click.echo(diff)
    if decision is not None:
        click.echo(f"written to {file}, as Decision {decision.id}")
    elif diff:
        click.echo("to apply it: the same command with --apply")
    click.echo(str(paths[0]))


def _edit(file: Path, loop: Any, way: Any) -> tuple[Any, str]:
    """The change of the file; and why there is none."""
    from trueup.study.edit import propose

    try:
        edit = propose(file, loop, way)
    except DefinitionError as error:
        return None, f"; {error.message}: {error.cure}"
    return edit, "" if edit else "; the loop does this already"


def _show_dry(found: list[tuple[str, int, bool]], json_: bool) -> None:
    if json_:
        show_json([{"policy": name, "trainings": n, "exact": exact} for name, n, exact in found])
        return
    for name, n, exact in found:
        click.echo(f"{name}: {'' if exact else 'at most '}{n} trainings")
    click.echo("policies share equal trainings, and what was trained before is not trained again")


@click.command("advise")
@loop_file
@loop_name
@click.option("--gain", type=float, default=0.01, show_default=True, help="The smallest gain of the score that matters to you.")
@click.option("--worth", type=float, help="What one better answer is worth, in the currency of the loop's price.")
@click.option("--watts", type=float, help="What the machine draws while it trains.")
@click.option("--window", multiple=True, callback=_split, help="Windows to try: 7d,30d,90d,all.")
@click.option("--age", multiple=True, callback=_split, help="Ages of models to try, in days: 0,7,28,91.")
@click.option("--here", is_flag=True, help="Train in this process: faster, without the limits of the loop's budget.")
@as_json
@click.pass_context
def advise_(
    ctx: click.Context, file: Path, loop_: str | None, gain: float, worth: float | None, watts: float | None,
    window: tuple[str, ...], age: tuple[str, ...], here: bool, json_: bool,
) -> None:
    """Whether to retrain at all, how often, on which window, what it gains and costs; or why not."""
    from trueup.study import advise, length
    from trueup.study.advise import AGES, WINDOWS

    windows = [None if one == "all" else length(one) for one in window] or WINDOWS
    with open_loop(ctx, file, loop_, create=False) as (loop, ledger, base), progress(json_) as say:
        found = advise(
            loop, ledger, windows=windows, ages=[int(one) for one in age] or AGES, watts=watts, worth=worth, gain=gain,
            base=base, isolate=not here, progress=say,
        )
    if json_:
        show_json(found.to_json())
        return
    for line in found.lines():
        click.echo(line)


@click.command("forecast")
@loop_file
@loop_name
@click.option("--days", multiple=True, callback=_split, help="Spans of days to tell: 7,14,28,91.")
@click.option("--margin", type=float, help="The margin of an A/B. [default: the shadow's]")
@as_json
@click.pass_context
def forecast_(ctx: click.Context, file: Path, loop_: str | None, days: tuple[str, ...], margin: float | None, json_: bool) -> None:
    """How long a release would take, what it can detect at this traffic, and what is left of the promise."""
    from trueup.study import outlook
    from trueup.study.forecasting import DAYS

    with open_loop(ctx, file, loop_, create=False) as (loop, ledger, _):
        found = outlook(loop, ledger, days=[int(one) for one in days] or DAYS, margin=margin)
    if json_:
        show_json(found.to_json())
        return
    for line in found.lines():
        click.echo(line)


@click.command("slices")
@loop_file
@loop_name
@click.option("--since", callback=_moment, metavar="WHEN", help="From when: a day, or a span before the last input (90d). [default: since the champion serves]")
@click.option("--by", multiple=True, callback=_split, help="The input's fields to look at: country,price. [default: all]")
@click.option("--least", type=click.IntRange(min=10), default=50, show_default=True, help="Rows that a segment has at least.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Where the page goes. [default: in the home]")
@as_json
@click.pass_context
def slices_(
    ctx: click.Context, file: Path, loop_: str | None, since: Any, by: tuple[str, ...], least: int, out: Path | None,
    json_: bool,
) -> None:
    """Segments whose answers are worse than the rest, found in half of the units and shown in the other.

    A segment is a level of a field, a quarter of a number, a word of a text, the answer, the label,
    units without history, or two of these together; each comes with its worst rows.
    """
    from trueup.study import scorer_of, weak
    from trueup.study.weak import text, write

    with open_loop(ctx, file, loop_, create=False) as (loop, ledger, _):
        first = moment(since, _last(loop, ledger)) if since is not None else None
        found = weak(loop, ledger, since=first, by=by or None, least=least)
        scorer = scorer_of(loop).name
        paths = write(out or ledger.home / "reports" / f"slices-{loop.name}", found, scorer)
    if json_:
        show_json({"loop": loop.name, "scorer": scorer, **found.to_json(), "files": [str(path) for path in paths]})
        return
    for line in text(found, scorer):
        click.echo(line)
    click.echo(str(paths[0]))


@click.command("whatif")
@click.argument("candidate")
@loop_file
@loop_name
@click.option("--outcome", help="The outcome of the answers that were shown. [default: the only one]")
@as_json
@click.pass_context
def whatif_(ctx: click.Context, candidate: str, file: Path, loop_: str | None, outcome: str | None, json_: bool) -> None:
    """The value of a candidate on what was logged, from propensities; refused where they cannot carry it."""
    from trueup.study import whatif

    with open_loop(ctx, file, loop_, create=False) as (loop, ledger, _):
        found = whatif(loop, ledger, candidate, outcome=outcome)
    if json_:
        show_json(found.to_json())
    else:
        for line in found.lines():
            click.echo(line)
    ctx.exit(2 if found.refused else 0)


@click.command("receipt")
@click.argument("id_", metavar="ID")
@loop_name
@as_json
@click.pass_context
def receipt_(ctx: click.Context, id_: str, loop_: str | None, json_: bool) -> None:
    """Write the receipt of a promotion again, from the ledger."""
    from trueup.loop import write_receipt

    with open_ledger(ctx) as ledger:
        path = write_receipt(ledger, ledger.decision(id_, loop_))
    if json_:
        show_json({"receipt": str(path)})
    else:
        click.echo(str(path))


@click.command("verify")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--key", help="The public key that must have signed it.")
@as_json
@click.pass_context
def verify_(ctx: click.Context, file: Path, key: str | None, json_: bool) -> None:
    """Recompute a promotion's verdict from its receipt: no ledger, no model, on any machine.

    Exits 0 where it holds, 1 where it does not, and 3 where it is signed but cannot be recomputed.
    """
    from trueup.loop import verify_receipt

    found = verify_receipt(file, key)
    if json_:
        show_json(found.to_json())
    else:
        for line in found.lines:
            click.echo(line)
    ctx.exit({"holds": 0, "signed, not recomputed": 3}.get(found.says, 1))
