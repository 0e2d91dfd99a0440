# SPDX-License-Identifier: Apache-2.0
"""A change of a loop file, as a diff that a person applies: the policy's parts put in their places."""

from __future__ import annotations

import ast
import dataclasses
import difflib
import tempfile
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trueup.core.errors import DefinitionError, Refused, TrueupError
from trueup.core.files import write_whole
from trueup.study.policy import Policy

if TYPE_CHECKING:
    from trueup.core.decisions import Decision
    from trueup.loop import Loop
    from trueup.store import Ledger


@dataclasses.dataclass(frozen=True, slots=True)
class Edit:
    """A loop file before and after. `diff` is unified; `loop` is what the new file defines."""

    path: Path
    before: str
    after: str
    loop: Loop

    @property
    def diff(self) -> str:
        name = self.path.name
        return "".join(difflib.unified_diff(
            self.before.splitlines(keepends=True), self.after.splitlines(keepends=True), f"a/{name}", f"b/{name}",
        ))  # fmt: skip


def propose(path: Path, loop: Loop, policy: Policy) -> Edit | None:
    """The edit that gives the loop this policy; None where it has it already.

    The `when`, `unless` and `recipe` of the one call `Loop("name", ...)` are rewritten where they
    differ, and the names that are needed are imported. The new file is loaded, and must define the
    loop that is meant. Raises DefinitionError, with what to write by hand, where that is not so.
    """
    path = path / "loop.py" if path.is_dir() else path
    wanted = policy.of(loop)
    changes = {name: getattr(wanted, name) for name in ("when", "unless", "recipe") if getattr(wanted, name) != getattr(loop, name)}
    if not changes:
        return None
    before = path.read_text("utf-8")
    texts = {name: _list(part) if isinstance(part, tuple) else source(part) for name, part in changes.items()}
    after = _imported(_rewritten(before, loop.name, texts), changes)
    made = Edit(path, before, after, wanted)
    if _loaded(path, after, loop.name) != wanted:
        raise DefinitionError(f"expected to edit {path.name}, but the edited file defines another loop", cure=_by_hand(texts))
    return made


def apply(edit: Edit, ledger: Ledger, *, who: str | None = None, evidence: Mapping[str, Any] | None = None) -> Decision:
    """Write the file, whole or not at all, and record who changed what: a Decision of the kind "edit".

    Raises Refused where the file is no longer the one that the edit was made from.
    """
    from trueup.core.json import sha256
    from trueup.release import whoami
    from trueup.state import decide, read

    if edit.path.read_text("utf-8") != edit.before:
        raise Refused(f"expected {edit.path.name} as it was, but it was edited since", cure="run the backtest again")
    generation, state = read(ledger, edit.loop.name)
    write_whole(edit.path, edit.after, mode=edit.path.stat().st_mode)
    return decide(
        ledger, edit.loop.name, generation, state, kind="edit", verdict="NOTE", actor=who or whoami(),
        reason=f"{edit.path.name} was edited as a backtest proposed: it takes effect at the next look",
        evidence={"diff": edit.diff, "file": edit.path.name, "before": sha256(edit.before), "after": sha256(edit.after), **(evidence or {})},
    )


def source(part: Any) -> str:
    """A value as Python source: its class and the fields that are not their defaults.

    >>> from trueup.triggers import Rows
    >>> source(Rows(5_000))
    'Rows(n=5000)'
    """
    if isinstance(part, timedelta):
        days = part / timedelta(days=1)
        return f"timedelta(days={days:g})" if days == int(days) else f"timedelta(seconds={part.total_seconds():g})"
    if isinstance(part, tuple):
        return f"({', '.join(map(source, part))}{',' if len(part) == 1 else ''})"
    if isinstance(part, Mapping):
        return "{" + ", ".join(f"{key!r}: {source(item)}" for key, item in part.items()) + "}"
    if hasattr(type(part), "__kind__"):
        told = [f"{field.name}={source(getattr(part, field.name))}" for field in dataclasses.fields(part) if getattr(part, field.name) != _default(field)]
        return f"{type(part).__name__}({', '.join(told)})"
    if callable(part):
        return str(part.__name__)
    return repr(part)


def _default(field: Any) -> Any:
    return field.default_factory() if field.default_factory is not dataclasses.MISSING else field.default


def _list(parts: tuple[Any, ...]) -> str:
    return f"[{', '.join(map(source, parts))}]"


def _by_hand(texts: Mapping[str, str]) -> str:
    return "write by hand: " + ", ".join(f"{name}={text}" for name, text in texts.items())


def _rewritten(text: str, name: str, texts: Mapping[str, str]) -> str:
    """The source with the keywords of the loop's call replaced, or added at its end."""
    calls = [
        node for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Loop" and _named(node, name)
    ]
    if len(calls) != 1:
        raise DefinitionError(f'expected one call Loop("{name}", ...) in the file, got {len(calls)}', cure=_by_hand(texts))
    call, offsets = calls[0], _offsets(text)
    here = {word.arg: word.value for word in call.keywords}
    edits = []
    for keyword, said in texts.items():
        if keyword in here:
            node = here[keyword]
            edits.append((_place(offsets, text, node.lineno, node.col_offset), _place(offsets, text, node.end_lineno, node.end_col_offset), said))
        else:
            last = max((*call.args, *(word.value for word in call.keywords)), key=lambda node: (node.end_lineno, node.end_col_offset))
            end = _place(offsets, text, last.end_lineno, last.end_col_offset)
            indent = " " * 4 if "\n" in ast.get_source_segment(text, call) else ""  # type: ignore[operator]
            edits.append((end, end, f",\n{indent}{keyword}={said}" if indent else f", {keyword}={said}"))
    for start, stop, said in sorted(edits, reverse=True):
        text = text[:start] + said + text[stop:]
    return text


def _named(call: ast.Call, name: str) -> bool:
    first = call.args[0] if call.args else next((word.value for word in call.keywords if word.arg == "name"), None)
    return isinstance(first, ast.Constant) and first.value == name


def _offsets(text: str) -> list[int]:
    found = [0]
    for line in text.splitlines(keepends=True):
        found.append(found[-1] + len(line))
    return found


def _place(offsets: list[int], text: str, line: int | None, column: int | None) -> int:
    """The place of a node's (line, column), whose columns count bytes."""
    assert line is not None
    assert column is not None
    words = text[offsets[line - 1] : offsets[line]]
    return offsets[line - 1] + len(words.encode()[:column].decode())


def _imported(text: str, changes: Mapping[str, Any]) -> str:
    """The source with the imports that the new parts need."""
    needed: dict[str, set[str]] = {}
    for part in changes.values():
        _names(part, needed)
    have = {alias.asname or alias.name for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ImportFrom) for alias in node.names}
    missing = {module: sorted(names - have) for module, names in needed.items() if names - have}
    lines = text.splitlines(keepends=True)
    last = max((node.end_lineno or 1 for node in ast.parse(text).body if isinstance(node, ast.Import | ast.ImportFrom)), default=0)
    added = [f"from {module} import {', '.join(names)}\n" for module, names in sorted(missing.items())]
    return "".join([*lines[:last], *added, *lines[last:]])


def _names(part: Any, found: dict[str, set[str]]) -> None:
    if isinstance(part, timedelta):
        found.setdefault("datetime", set()).add("timedelta")
    elif isinstance(part, tuple):
        for item in part:
            _names(item, found)
    elif isinstance(part, Mapping):
        for item in part.values():
            _names(item, found)
    elif hasattr(type(part), "__kind__"):
        module = type(part).__module__
        room = ".".join(module.split(".")[:2]) if module.startswith("trueup.") else module
        found.setdefault(room, set()).add(type(part).__name__)
        for field in dataclasses.fields(part):
            if getattr(part, field.name) != _default(field):
                _names(getattr(part, field.name), found)
    elif callable(part):
        found.setdefault(part.__module__, set()).add(part.__name__)


def _loaded(path: Path, text: str, name: str) -> Loop | None:
    """The loop that the new text defines, from a file that lies beside the old one for a moment."""
    from trueup.loop import load_loop

    with tempfile.NamedTemporaryFile("w", suffix=".py", prefix="edited_", dir=path.parent, encoding="utf-8") as draft:
        draft.write(text)
        draft.flush()
        try:
            return load_loop(Path(draft.name), name)
        except TrueupError:
            return None
