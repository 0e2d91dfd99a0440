# SPDX-License-Identifier: Apache-2.0
"""Pages: one HTML file that asks nothing of the network, and its twin in Markdown with SVG files."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

from trueup.core.files import write_whole
from trueup.plot._text import clean, escape, escape_markdown, fence
from trueup.plot.chart import Cell, Chart, Table
from trueup.plot.palette import chart_css, page_css

State = Literal["", "ok", "warn", "bad", "muted", "champion", "challenger"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What comes first: one sentence, with its state as colour and word."""

    text: str
    state: State = ""


@dataclass(frozen=True, slots=True)
class Code:
    """A text shown as it is: commands, an error, a definition."""

    text: str


@dataclass(frozen=True, slots=True)
class Sides:
    """Texts side by side, each under its name: an input, a label, two answers."""

    columns: Mapping[str, str]


Part: TypeAlias = str | Verdict | Code | Sides | Table | Chart


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and its parts in order: sentences, tables, charts, code, texts side by side."""

    heading: str
    parts: Sequence[Part] = field(default_factory=tuple)


@dataclass(frozen=True, slots=True)
class Markdown:
    """A Markdown text, and the SVG files that it shows, by name."""

    text: str
    files: Mapping[str, str]


def page(title: str, sections: Sequence[Section]) -> str:
    """One self-contained HTML file; all text is escaped, and its policy forbids every request."""
    charts = iter(range(10**9))
    blocks = []
    for section in sections:
        inner = [f"<h2>{escape(section.heading)}</h2>"] if section.heading else []
        inner += [_html(part, f"c{next(charts)}") for part in section.parts]
        blocks.append("<section>" + "\n".join(inner) + "</section>")
    policy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(policy)}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{page_css()}{chart_css()}</style></head>\n"
        f"<body><h1>{escape(title)}</h1>\n" + "\n".join(blocks) + "\n</body></html>\n"
    )


def _html(part: Part, name: str) -> str:
    if isinstance(part, str):
        return f"<p>{escape(part)}</p>"
    if isinstance(part, Verdict):
        return f'<p class="verdict {escape(part.state)}">{escape(part.text)}</p>'
    if isinstance(part, Code):
        return f"<pre>{escape(part.text)}</pre>"
    if isinstance(part, Sides):
        columns = (
            f'<div><h3 class="{_state_of(key)}">{escape(key)}</h3><p>{escape(words)}</p></div>'
            for key, words in part.columns.items()
        )
        return '<div class="sides">' + "".join(columns) + "</div>"
    if isinstance(part, Table):
        return _html_table(part)
    table = f"<details><summary>the numbers</summary>{_html_table(part.table)}</details>"
    return f"<figure>{part.inline(name)}</figure>{table}"


def _state_of(key: str) -> str:
    return key if key in ("champion", "challenger") else "muted"


def _html_table(table: Table) -> str:
    numeric = [_is_numeric(table, i) for i in range(len(table.header))]
    head = "".join(
        f'<th scope="col"{_num(numeric[i])}>{escape(words)}</th>' for i, words in enumerate(table.header)
    )
    rows = "".join(
        "<tr>" + "".join(f"<td{_num(numeric[i])}>{escape(_cell(c))}</td>" for i, c in enumerate(row)) + "</tr>"
        for row in table.rows
    )
    caption = f"<caption>{escape(table.caption)}</caption>" if table.caption else ""
    return f'<div class="scroll"><table>{caption}<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'


def _num(numeric: bool) -> str:
    return ' class="num"' if numeric else ""


def _is_numeric(table: Table, i: int) -> bool:
    cells = [row[i] for row in table.rows if row[i] is not None]
    return bool(cells) and all(isinstance(cell, int | float) for cell in cells)


def _cell(cell: Cell) -> str:
    if cell is None:
        return ""
    if isinstance(cell, str):
        return cell
    if isinstance(cell, int):
        return f"{cell:,}"
    return f"{cell:.6g}" if math.isfinite(cell) else "not a number"


def markdown(title: str, sections: Sequence[Section]) -> Markdown:
    """The same page in Markdown; its charts are SVG files to lie beside it."""
    files: dict[str, str] = {}
    blocks = [f"# {escape_markdown(title)}"]
    for section in sections:
        if section.heading:
            blocks.append(f"## {escape_markdown(section.heading)}")
        blocks += [_markdown(part, files) for part in section.parts]
    return Markdown("\n\n".join(blocks) + "\n", files)


def _markdown(part: Part, files: dict[str, str]) -> str:
    if isinstance(part, str):
        return escape_markdown(part)
    if isinstance(part, Verdict):
        return f"**{escape_markdown(part.text)}**"
    if isinstance(part, Code):
        return fence(part.text)
    if isinstance(part, Sides):
        return "\n".join(
            f"- **{escape_markdown(key)}**: {escape_markdown(words)}" for key, words in part.columns.items()
        )
    if isinstance(part, Table):
        return _markdown_table(part)
    name = _file_name(part.title, len(files))
    files[name] = part.svg
    picture = f"![{escape_markdown(part.title)}]({name})"
    return f"{picture}\n\n<details><summary>the numbers</summary>\n\n{_markdown_table(part.table)}\n\n</details>"


def _markdown_table(table: Table) -> str:
    bars = ["--:" if _is_numeric(table, i) else "---" for i in range(len(table.header))]
    head = [escape_markdown(words) for words in table.header]
    rows = [[escape_markdown(_cell(cell)) for cell in row] for row in table.rows]
    made = "\n".join("| " + " | ".join(row) + " |" for row in [head, bars, *rows])
    return f"{escape_markdown(table.caption)}\n\n{made}" if table.caption else made


def _file_name(title: str, place: int) -> str:
    words = re.sub(r"[^a-z0-9]+", "-", clean(title).lower()).strip("-")[:40].strip("-")
    return f"{place + 1:02d}-{words or 'chart'}.svg"


def save(folder: Path, title: str, sections: Sequence[Section], name: str = "report") -> tuple[Path, Path]:
    """Write `name`.html and `name`.md, charts beside the latter; returns the two paths.

    Each file is written whole or not at all. Raises OSError where the folder cannot be written.
    """
    twin = markdown(title, sections)
    folder.mkdir(parents=True, exist_ok=True)
    files = {**twin.files, f"{name}.md": twin.text, f"{name}.html": page(title, sections)}
    for file, content in files.items():
        write_whole(folder / file, content)
    return folder / f"{name}.html", folder / f"{name}.md"
