# SPDX-License-Identifier: Apache-2.0
"""What people do to a loop: approve, reject, pause, resume, rollback, anchor, audit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from trueup.cli._open import as_json, as_name, loop_name, only_loop, open_ledger, show_json
from trueup.core.decisions import Decision
from trueup.core.errors import ArgumentError, DataError, NotFound
from trueup.core.json import dumps, loads

_FILE = click.Path(path_type=Path, dir_okay=False)
_WHY = "Why; it is recorded with the Decision."
reason_option = click.option("--reason", "-m", required=True, help=_WHY)
hasty_reason = click.option("--reason", "-m", default="no reason given", help=_WHY)
"""Of what must not wait for words."""


def _say(decision: Decision, json_: bool) -> None:
    if json_:
        show_json(asdict(decision))
    else:
        click.echo(f"{decision.verdict} {decision.kind}: {decision.reason}  ({decision.id})")


def _act(ctx: click.Context, loop_: str | None, json_: bool, act: Callable[[Any, str], Decision]) -> None:
    with open_ledger(ctx) as ledger:
        _say(act(ledger, only_loop(ledger, loop_)), json_)


@click.command("approve")
@click.argument("candidate", required=False)
@click.option("--reason", "-m", help=_WHY)
@as_name
@click.option("--key", type=_FILE, help="The file of your private key: it signs what you say.")
@click.option("--export", "export_", type=_FILE, help="Write the request to FILE, to be signed on another machine.")
@click.option("--sign", "sign_", type=_FILE, help="Sign the request in FILE, in place; needs no ledger.")
@click.option("--apply", "apply_", type=_FILE, help="Apply the approval in FILE, signed elsewhere.")
@click.option("--new-key", "new_key_", type=_FILE, help="Write a new private key to FILE, and print the public one.")
@loop_name
@as_json
@click.pass_context
def approve_(
    ctx: click.Context, candidate: str | None, reason: str | None, name: str | None, key: Path | None,
    export_: Path | None, sign_: Path | None, apply_: Path | None, new_key_: Path | None, loop_: str | None,
    json_: bool,
) -> None:
    """Approve the candidate that waits for it; void if what is asked has changed since."""
    from trueup.release import approve, carry_in, told_as

    if sum(one is not None for one in (export_, sign_, apply_, new_key_)) > 1:
        raise ArgumentError("expected one of --export, --sign, --apply and --new-key, got several")
    if new_key_ is not None:
        _new_key(new_key_, json_)
    elif sign_ is not None:
        _sign(sign_, name, reason, key, json_)
    elif apply_ is not None:
        data = _read(apply_)
        _act(ctx, loop_, json_, lambda ledger, loop: carry_in(ledger, loop, data))
    elif candidate is None:
        raise ArgumentError("expected the candidate that you approve, got none", cure="trueup status names it")
    elif export_ is not None:
        _export(ctx, loop_, candidate, export_, json_)
    else:
        said = _needed(reason)
        _act(ctx, loop_, json_, lambda ledger, loop: approve(
            ledger, loop, candidate, reason=said, who=told_as(name, key), key=key
        ))


def _needed(reason: str | None) -> str:
    if not (reason or "").strip():
        raise ArgumentError("expected a reason, got none", cure='-m "why"')
    return str(reason)


def _read(path: Path) -> dict[str, Any]:
    try:
        found = loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise NotFound(f"expected a readable file, got {path}: {error}") from None
    if not isinstance(found, dict):
        raise DataError(f"expected a request or an approval in {path}, got another file")
    return found


def _new_key(path: Path, json_: bool) -> None:
    from trueup.release import new_key

    public = new_key(path)
    if json_:
        show_json({"file": str(path), "public": public})
    else:
        click.echo(f"wrote {path}: keep it to yourself")
        click.echo(f'in the loop file: Approval(by=[Approver("your name", "{public}")])')


def _export(ctx: click.Context, loop_: str | None, candidate: str, path: Path, json_: bool) -> None:
    from trueup.release import carry_out

    with open_ledger(ctx) as ledger:
        data = carry_out(ledger, only_loop(ledger, loop_), candidate)
    path.write_text(dumps(data) + "\n", encoding="utf-8")
    if json_:
        show_json(data)
    else:
        click.echo(f"wrote {path}; where your key is: trueup approve --sign {path} --as NAME --key FILE -m WHY")


def _sign(path: Path, name: str | None, reason: str | None, key: Path | None, json_: bool) -> None:
    from trueup.core.clock import SystemClock, to_us
    from trueup.release import sign_away

    if name is None or key is None:
        raise ArgumentError("expected who signs, with which key, got not both", cure="--as NAME --key FILE")
    data = _read(path)
    made = sign_away(data, who=name, reason=_needed(reason), key=key, now=to_us(SystemClock().now()))
    path.write_text(dumps(made) + "\n", encoding="utf-8")
    if json_:
        show_json(made)
        return
    for what, found in data["request"].get("of", {}).items():
        click.echo(f"  {what} {found}")
    click.echo(f"{path} is signed by {name}; where the ledger is: trueup approve --apply {path}")


@click.command("reject")
@click.argument("candidate")
@reason_option
@as_name
@click.option("--key", type=_FILE, help="The file of your private key: it proves who says no. Not asked for.")
@loop_name
@as_json
@click.pass_context
def reject_(
    ctx: click.Context, candidate: str, reason: str, name: str | None, key: Path | None, loop_: str | None, json_: bool
) -> None:
    """End the release of a candidate, or drop it while it waits: one rejection ends it."""
    from trueup.release import reject, told_as

    _act(ctx, loop_, json_, lambda ledger, loop: reject(
        ledger, loop, candidate, reason=reason, who=told_as(name, key), key=key
    ))


@click.command("pause")
@hasty_reason
@as_name
@loop_name
@as_json
@click.pass_context
def pause_(ctx: click.Context, reason: str, name: str | None, loop_: str | None, json_: bool) -> None:
    """The champion serves everybody; nothing is trained or released until `resume`."""
    from trueup.release import pause, told_as

    _act(ctx, loop_, json_, lambda ledger, loop: pause(
        ledger, loop, reason=reason, who=told_as(name, None)
    ))


@click.command("resume")
@hasty_reason
@as_name
@loop_name
@as_json
@click.pass_context
def resume_(ctx: click.Context, reason: str, name: str | None, loop_: str | None, json_: bool) -> None:
    """Go on after a pause."""
    from trueup.release import resume, told_as

    _act(ctx, loop_, json_, lambda ledger, loop: resume(
        ledger, loop, reason=reason, who=told_as(name, None)
    ))


@click.command("rollback")
@click.option("--to", metavar="CANDIDATE", help="One that has served before: it serves again, byte by byte as it was.")
@hasty_reason
@as_name
@loop_name
@as_json
@click.pass_context
def rollback_(
    ctx: click.Context, to: str | None, reason: str, name: str | None, loop_: str | None, json_: bool
) -> None:
    """End the running release; where none runs, the champion before this one serves again."""
    from trueup.release import rollback, told_as

    _act(ctx, loop_, json_, lambda ledger, loop: rollback(
        ledger, loop, reason=reason, who=told_as(name, None), to=to
    ))


@click.command("anchor")
@click.argument("candidate", required=False)
@click.option("--reason", "-m", help=_WHY)
@as_name
@click.option("--key", type=_FILE, help="The file of your private key, where the loop's Approver has one.")
@loop_name
@as_json
@click.pass_context
def anchor_(
    ctx: click.Context, candidate: str | None, reason: str | None, name: str | None, key: Path | None, loop_: str | None,
    json_: bool,
) -> None:
    """Name the anchor, which no run of small losses may fall below; without CANDIDATE, show it.

    Where releases ask for an Approval, the same people must say so, each once. Refused while a
    release runs.
    """
    from trueup.release import name_anchor, told_as
    from trueup.state import read

    if candidate is not None:
        said = _needed(reason)
        _act(ctx, loop_, json_, lambda ledger, loop: name_anchor(
            ledger, loop, candidate, reason=said, who=told_as(name, key), key=key
        ))
        return
    with open_ledger(ctx) as ledger:
        loop = only_loop(ledger, loop_)
        _, state = read(ledger, loop)
    asked = state.anchoring and state.anchoring["request"]
    if json_:
        show_json({"loop": loop, "anchor": state.anchor, "champion": state.champion, "asked": asked})
        return
    same = " (the champion)" if state.anchor == state.champion else f" (the champion is {state.champion})"
    click.echo(f"{state.anchor}{same}" if state.anchor else "no anchor: nothing was promoted yet")
    if asked:
        click.echo(f"{asked['candidate']} waits for {asked['by']}: trueup anchor {asked['candidate']} -m WHY --as NAME")


@click.command("audit")
@click.argument("choice", required=False)
@click.argument("label", required=False)
@as_name
@loop_name
@as_json
@click.pass_context
def audit_(
    ctx: click.Context, choice: str | None, label: str | None, name: str | None, loop_: str | None, json_: bool
) -> None:
    """What a shadow with audits asks people; CHOICE LABEL answers one (LABEL as JSON, else as text).

    Which requests are asked about is drawn by chance: others are refused, and no model's answer is
    shown.
    """
    from datetime import UTC, datetime

    from trueup.release import answer_audit, audits_open, told_as, whoami

    if choice is not None and label is None:
        raise ArgumentError("expected the label of the request, got none", cure=f"trueup audit {choice} LABEL")
    with open_ledger(ctx) as ledger:
        loop = only_loop(ledger, loop_)
        if choice is not None:
            done = answer_audit(ledger, loop, choice, _label(str(label)), who=told_as(name, None) or whoami())
        left = audits_open(ledger, loop)
    if json_:
        show_json([asdict(one) for one in left])
        return
    if choice is not None:
        click.echo(f"written down for {done.unit}; {len(left):,} are open")
        return
    for one in left:
        until = datetime.fromtimestamp(one.until / 1e6, UTC)
        click.echo(f"{one.choice}  until {until:%Y-%m-%d %H:%M}  {dumps(one.input)[:200]}")
    click.echo(f"{len(left):,} requests wait for people" + (": trueup audit CHOICE LABEL" if left else ""))


def _label(text: str) -> Any:
    """JSON where it is, else the text itself."""
    try:
        return loads(text)
    except DataError:
        return text
