# SPDX-License-Identifier: Apache-2.0
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trueup.plot import Code, Section, Series, Sides, Table, Verdict, lines, markdown, page, save
from trueup.plot._text import escape_markdown, fence, fit, text_width, wrap

HOSTILE = "</p></style><script src=//evil.example></script>![x](http://evil.example/a.png) | `x` <img src=x onerror=y> ``` \n# h"


def everything(words: str) -> list[Section]:
    return [
        Section(words, [
            words, Verdict(words, "ok"), Code(words), Sides({words: words, "champion": words}),
            Table.of([words, "n"], [[words, 1], [None, 2.5]], words),
            lines([Series(words or "x", [(0, 1.0), (1, 2.0)])], title=words),
        ]),
    ]  # fmt: skip


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attrs: set[str] = set()
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attrs |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.text.append(data)


@settings(max_examples=40, deadline=None)
@given(st.text(max_size=80) | st.just(HOSTILE))
def test_no_text_becomes_markup_and_nothing_is_fetched(words: str) -> None:
    """EVL-11: inputs are hostile, and a report is one file."""
    html = page(words, everything(words))
    seen = Tags()
    seen.feed(html)
    assert not seen.tags & {"script", "img", "iframe", "link", "object", "embed", "a", "base", "form", "image", "use"}
    assert not seen.attrs & {"src", "href", "onerror", "onload", "srcset", "xlink:href", "action"}
    assert "url(" not in html.split("<body>")[0]
    html.encode("utf-8")


def test_hostile_text_is_still_readable() -> None:
    seen = Tags()
    seen.feed(page("t", [Section("s", [HOSTILE])]))
    assert HOSTILE.replace("\n", " ") in "".join(seen.text).replace("\n", " ")


def test_ids_are_unique_where_a_chart_stands_twice() -> None:
    chart = lines([Series("x", [(0, 1.0)])], title="t")
    html = page("t", [Section("a", [chart, chart])])
    ids = [part.split('"')[0] for part in html.split(' id="')[1:]]
    assert len(ids) == len(set(ids)) == 4


def rendered(text: str) -> str:
    md = pytest.importorskip("markdown_it").MarkdownIt("gfm-like", {"html": True, "linkify": False})
    return str(md.render(text))


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=60) | st.text("<>&`*_[]()!#|~-+=\\1.\n @:/whtps", max_size=40) | st.just(HOSTILE))
def test_no_text_becomes_markup_in_markdown(words: str) -> None:
    html = rendered(escape_markdown(words))
    seen = Tags()
    seen.feed(html)
    assert seen.tags <= {"p"}
    said = " ".join("".join(seen.text).split())
    assert said == " ".join(" ".join(_visible(words)).split())


def _visible(words: str) -> list[str]:
    from trueup.plot._text import clean

    return clean(words).split()


def test_a_code_block_cannot_be_left() -> None:
    seen = Tags()
    seen.feed(rendered(fence("a\n```\n````\n<script>\n")))
    assert seen.tags == {"pre", "code"}


def test_a_table_keeps_its_columns() -> None:
    twin = markdown("t", [Section("s", [Table.of(["a|b", "n"], [["x | y\nz", 1], ["-", 2]])])])
    seen = Tags()
    seen.feed(rendered(twin.text))
    assert {"table", "td"} <= seen.tags
    assert rendered(twin.text).count("<td") == 4


def test_save_writes_both_and_the_charts(tmp_path: Path) -> None:
    html, md = save(tmp_path / "out", "Title", everything("words"), "study")
    assert html.read_text().startswith("<!doctype html>")
    assert "01-words.svg" in md.read_text()
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["01-words.svg", "study.html", "study.md"]


def test_two_charts_of_one_title_have_two_files() -> None:
    chart = lines([], title="../../etc/passwd")
    assert list(markdown("t", [Section("", [chart, chart])]).files) == ["01-etc-passwd.svg", "02-etc-passwd.svg"]


def test_words_are_cut_where_they_do_not_fit() -> None:
    assert fit("short", 12, 100) == "short"
    cut = fit("a very long name indeed", 12, 60)
    assert cut.endswith("…")
    assert text_width(cut, 12) <= 60
    assert wrap("one two three four", 12, 60, 2)[0] == "one two"
    assert fit("漢字漢字漢字", 12, 40).endswith("…")


def test_the_room_needs_the_standard_library_only() -> None:
    code = "import sys, trueup.plot; print([m for m in ('numpy', 'pyarrow', 'scipy', 'sklearn', 'rich', 'click') if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
