# SPDX-License-Identifier: Apache-2.0
"""What a drill is, where drills are found, and how one is played.

A drill is a module of this package that names a `DRILL`; nothing else registers it. Heavy imports
stand within its functions, so that a list of drills is printed fast.
"""

from __future__ import annotations

import pkgutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trueup.core.errors import Refused, UnknownName
from trueup.lab.tell import Account, Teller

if TYPE_CHECKING:
    from rich.console import Console

    from trueup.core.decisions import Decision
    from trueup.store import Ledger


@dataclass(frozen=True, slots=True)
class Drill:
    """A failure that is injected, and what must be seen.

    `name` is what is typed, `id` the capability that it shows, `failure` and `seen` a sentence
    each. `run(teller, seed)` injects the failure in `teller.account.home` (an empty folder that is
    there), tells it in scenes, holds each to what must be seen with `teller.expect`, and leaves in
    `teller.account.commands` the commands that explain it. The same seed gives the same Decisions.
    `takes` names what else `run` can be given.
    """

    name: str
    id: str
    failure: str
    seen: str
    run: Callable[..., None]
    takes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {"name": self.name, "id": self.id, "failure": self.failure, "seen": self.seen}


def drills() -> dict[str, Drill]:
    """Every drill by its name."""
    return {name: _load(module) for name, module in _modules().items()}


def find(name: str) -> Drill:
    """A drill by its name; raises UnknownName, with the nearest."""
    modules = _modules()
    if name not in modules:
        raise UnknownName("drill", name, modules)
    return _load(modules[name])


def play(
    drill: Drill, home: Path | None = None, *, seed: int = 0, quiet: bool = False,
    console: Console | None = None, options: Mapping[str, Any] | None = None,
) -> Account:
    """Play a drill in `home` (a new temporary folder where it is None), and tell it.

    `Account.holds` is False where something that must be seen was not, or where nothing was held
    to anything. With `quiet` nothing is printed. The home stays, so that `trueup why` can be asked.
    `options` are among those that the drill takes. Raises Refused where `home` is not empty, or the
    drill takes no such option.
    """
    unknown = [name for name in options or {} if name not in drill.takes]
    if unknown:
        raise Refused(f"expected no --{unknown[0]} for the drill {drill.name}", cure=f"leave --{unknown[0]} out")
    home = Path(home or tempfile.mkdtemp(prefix=f"trueup-{drill.name}-")).absolute()
    if home.exists() and any(home.iterdir()):
        raise Refused(
            f"expected an empty folder for the drill, got {home}", cure="name a new one with --home"
        )
    home.mkdir(parents=True, exist_ok=True)
    teller = Teller(home, quiet=quiet, console=console)
    with teller.telling():
        with teller.scene(f"{drill.id} {drill.name}: the failure"):
            teller.say(f"{drill.failure[0].upper()}{drill.failure[1:]}.")
            teller.say(f"What must be seen: {drill.seen}.")
        drill.run(teller, seed, **(options or {}))
    if not any(scene.checks for scene in teller.account.scenes):
        with teller.scene("Nothing was seen"):
            teller.expect(False, "", drill.seen)
    if teller.account.commands:
        teller.console.print()
        for command in teller.account.commands:
            teller.console.print(f"    [bold]{command}[/]", soft_wrap=True)
    return teller.account


def explained(teller: Teller, ledger: Ledger, *decisions: Decision) -> None:
    """Hold each Decision to what `trueup why` recomputes from the rows, and name the commands."""
    from trueup.loop import why

    found = [why(ledger, one.id, one.loop) for one in decisions]
    differs = [f"{one.decision.id}: {', '.join(one.differs) or 'lost'}" for one in found if one.matches is False or one.lost]
    again = sum(one.matches is True for one in found)
    teller.expect(
        not differs, "; ".join(differs) or f"`trueup why` explains {len(found)}, and recomputes {again} bit by bit from the rows",
        "explanations that come out the same from the ledger's rows",
    )
    teller.account.commands += tuple(f"trueup --home {ledger.home} why {one.id}" for one in decisions)


def installed(ledger: Ledger, loop: str, word: str) -> str:
    """A champion that always says one word, serving all users; its id."""
    from trueup.core.clock import to_us
    from trueup.models import ConstantModel
    from trueup.state import LoopState, decide, register

    folder = ledger.home / "models" / word
    ConstantModel(word).write(folder, "label")
    champion = register(ledger, loop, ledger.artifacts.put_tree(folder)).id
    state = LoopState().serve(champion, to_us(ledger.clock.now()))
    decide(
        ledger, loop, 0, state, kind="install", verdict="PROMOTE", reason="the drill's champion", subject=champion,
    )
    return champion


def _modules() -> dict[str, str]:
    """The modules of this package that are drills, by the names that are typed."""
    import trueup.lab.drills

    return {
        module.name.replace("_", "-"): f"trueup.lab.drills.{module.name}"
        for module in pkgutil.iter_modules(trueup.lab.drills.__path__) if not module.name.startswith("_")
    }


def _load(module: str) -> Drill:
    found: Drill = import_module(module).DRILL
    return found
