# SPDX-License-Identifier: Apache-2.0
import json
import math
import xml.etree.ElementTree as ET
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trueup.core.errors import ArgumentError
from trueup.plot import (
    PALETTE,
    Band,
    Bar,
    Bound,
    Chart,
    Look,
    Rule,
    Series,
    bars,
    lines,
    timeline,
    wealth,
)
from trueup.plot._text import text_width

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = "</title><script>alert(1)</script>&\"'\x00\u202e]]>"


def month(i: int) -> datetime:
    return datetime(2025 + i // 12, i % 12 + 1, 1, tzinfo=UTC)


def parse(chart: Chart) -> ET.Element:
    root = ET.fromstring(chart.svg)
    assert root.get("role") == "img"
    assert root.find(f"{SVG}title").text
    assert root.find(f"{SVG}desc").text
    ids = set(root.get("aria-labelledby").split())
    assert ids == {root.find(f"{SVG}title").get("id"), root.find(f"{SVG}desc").get("id")}
    return root


def texts(root: ET.Element) -> list[ET.Element]:
    return list(root.iter(f"{SVG}text"))


def points(root: ET.Element, name: str) -> list[list[float | None]]:
    for group in root.iter(f"{SVG}g"):
        if group.get("data-series") == name and group.get("data-points"):
            return json.loads(group.get("data-points"))
    raise AssertionError(name)


def test_the_numbers_of_a_line_stand_in_the_svg_and_in_its_table() -> None:
    values = [0.1 + 0.2, 1 / 3, None, 0.9]
    chart = lines(
        [Series("champion", [(month(i), v) for i, v in enumerate(values)], [(0.2, 0.4), (0.3, 0.35), None, (0.8, 1.0)])],
        title="Accuracy", unit="%", bounds=[Bound(0.25, "floor")], rules=[Rule(month(2), "promoted c-1")],
    )
    root = parse(chart)
    assert [row[1] for row in points(root, "champion")] == values
    assert points(root, "champion")[0][2:] == [0.2, 0.4]
    assert [row[1] for row in chart.table.rows] == [v for v in values if v is not None]
    assert chart.table.rows[0][0] == "2025-01-01"
    assert chart.table.header == ("when", "champion", "champion: low", "champion: high")
    bound = next(line for line in root.iter(f"{SVG}line") if line.get("data-bound"))
    assert float(bound.get("data-bound")) == 0.25
    assert any(g.get("data-rule") == "promoted c-1" for g in root.iter(f"{SVG}g"))
    assert "2025-01" in {t.text for t in texts(root)}


def test_a_gap_is_a_gap() -> None:
    """Missing looks are gaps: no line is drawn over them."""
    chart = lines([Series("x", [(0, 1.0), (1, 1.0), (2, math.nan), (3, 1.0), (4, 1.0)])], title="t")
    paths = [p for p in parse(chart).iter(f"{SVG}path") if "n " in p.get("class")]
    assert len(paths) == 2


def test_zero_or_the_bound_is_always_drawn_and_said() -> None:
    high = [Series("x", [(i, 0.8 + 0.01 * i) for i in range(5)])]
    words = {t.text for t in texts(parse(lines(high, title="t")))}
    assert "0.0" in words
    cut = {t.text for t in texts(parse(lines(high, title="t", bounds=[Bound(0.78, "floor")])))}
    assert "0.0" not in cut
    assert any("not from 0" in word for word in cut)


def test_more_than_six_series_are_refused() -> None:
    with pytest.raises(ArgumentError, match="at most 6 series, got 7"):
        lines([Series(str(i), [(0, 1.0)]) for i in range(7)], title="t")
    with pytest.raises(ArgumentError, match="colour"):
        lines([Series("x", [(0, 1.0)], colour="mauve")], title="t")
    with pytest.raises(ArgumentError, match="interval for each"):
        lines([Series("x", [(0, 1.0)], [])], title="t")


def test_champion_and_challenger_have_their_colours_everywhere() -> None:
    chart = lines([Series("challenger", [(0, 1.0), (1, 2.0)]), Series("champion", [(0, 2.0), (1, 1.0)])], title="t")
    for group in parse(chart).iter(f"{SVG}g"):
        name = group.get("data-series")
        assert f"s-{name}" in next(group.iter(f"{SVG}path")).get("class")


def test_evidence_is_drawn_by_logarithm_and_keeps_its_numbers() -> None:
    rows = [(0, 1.0), (1, 0.0), (2, 1e-9), (3, 25.0)]
    root = parse(wealth([Series("challenger", rows)], line=20, title="Evidence"))
    assert [p[1] for p in points(root, "challenger")] == [1.0, 0.0, 1e-9, 25.0]
    assert "decides at 20" in {t.text for t in texts(root)}
    with pytest.raises(ArgumentError, match="1/level"):
        wealth([], line=0, title="t")


def test_long_series_are_thinned_but_keep_their_extremes_and_data() -> None:
    rows = [(i, float(i % 97)) for i in range(50_000)]
    rows[31_007] = (31_007, 500.0)
    chart = lines([Series("x", rows)], title="t")
    assert len(chart.table.rows) < 1000
    assert max(row[1] for row in chart.table.rows) == 500.0
    assert len(points(parse(chart), "x")) < 1000


def test_bars_begin_at_zero_and_carry_whiskers() -> None:
    chart = bars(
        [
            Bar("all", 0.8, (0.75, 0.85), "champion"), Bar("all", 0.6, (0.5, 0.7), "challenger"),
            Bar("anime", None, series="champion", note="too few: 12 items"),
        ],
        title="Accuracy", unit="%",
    )
    root = parse(chart)
    found = {(g.get("data-group"), g.get("data-series")): g for g in root.iter(f"{SVG}g") if g.get("data-series")}
    one, two = found["all", "champion"], found["all", "challenger"]
    assert (float(one.get("data-value")), float(one.get("data-low"))) == (0.8, 0.75)
    first, second = next(one.iter(f"{SVG}rect")), next(two.iter(f"{SVG}rect"))
    assert first.get("x") == second.get("x")
    assert float(first.get("width")) / float(second.get("width")) == pytest.approx(0.8 / 0.6, abs=0.01)
    assert found["anime", "champion"].get("data-value") is None
    assert "too few: 12 items" in {t.text for t in texts(root)}
    assert chart.table.rows[0] == ("all", "champion", 0.8, 0.75, 0.85, None)


def test_the_timeline_tells_what_was_decided_and_who_was_champion() -> None:
    looks = [Look(month(i), "rest" if i % 3 else ("trained", "promoted"), f"why {i}") for i in range(30)]
    chart = timeline(looks, [Band("c-0", month(0), month(9)), Band("c-1", month(9))], title="Life")
    root = parse(chart)
    found = [g for g in root.iter(f"{SVG}g") if g.get("data-at")]
    assert [g.get("data-decided") for g in found[:2]] == ["trained|promoted", "rest"]
    assert len(found) == 30
    assert {g.get("data-champion") for g in root.iter(f"{SVG}g") if g.get("data-champion")} == {"c-0", "c-1"}
    assert chart.table.rows[1] == ("2025-02", "rest", "why 1")


@pytest.mark.parametrize("chart", [
    lines([], title="t"), lines([Series("x", [])], title="t"), lines([Series("x", [(0, None)])], title="t"),
    lines([Series("x", [(month(1), 5.0)])], title="t"), lines([Series("x", [(0, -1e12), (1, 1e12)])], title="t"),
    lines([Series("x", [(0, 1e-9)])], title="t"), bars([], title="t"), bars([Bar("a", 0.0)], title="t"),
    bars([Bar("a", -0.2, (-0.4, 0.1))], title="t"), timeline([], title="t"), timeline([], [Band("c", month(1))], title="t"),
    timeline([Look(month(1), "promoted")], [Band("c", month(1))], title="t"), wealth([], line=20, title="t"),
])  # fmt: skip
def test_little_or_odd_data_still_draw(chart: Chart) -> None:
    assert "nan" not in "".join(t.text or "" for t in texts(parse(chart))).lower()


def hostile_charts(words: str) -> list[Chart]:
    return [
        lines([Series(words, [(0, 1.0), (1, 2.0)])], title=words, desc=words, x_label=words, y_label=words,
              unit=words, bounds=[Bound(1.5, words)], rules=[Rule(1, words)]),
        bars([Bar(words, 0.5, (0.4, 0.6), words, words), Bar(words, None, None, words, words)], title=words, x_label=words),
        timeline([Look(month(1), words, words, words)], [Band(words, month(1))], title=words),
        wealth([Series(words, [(0, 1.0)])], line=20, title=words, line_name=words),
    ]  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(st.text(min_size=1, max_size=60) | st.just(HOSTILE))
def test_hostile_words_stay_words(words: str) -> None:
    for chart in hostile_charts(words):
        root = ET.fromstring(chart.svg.encode("utf-8"))
        tags = {node.tag.removeprefix(SVG) for node in root.iter()}
        assert tags <= {"svg", "title", "desc", "style", "g", "rect", "line", "path", "circle", "text"}
        assert not any(key.lower().startswith("on") or "href" in key for node in root.iter() for key in node.attrib)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40), st.sampled_from(["", "%", "s"]))
def test_nothing_is_drawn_outside_of_the_picture(values: list[float], unit: str) -> None:
    chart = lines(
        [Series("champion", list(enumerate(values)))], title="t", unit=unit,
        rules=[Rule(i, f"decision number {i}") for i in range(len(values))],
    )
    root = parse(chart)
    for circle in root.iter(f"{SVG}circle"):
        assert -1 <= float(circle.get("cx")) <= chart.width
        assert -1 <= float(circle.get("cy")) <= chart.height
    for node in texts(root):
        x, size = float(node.get("x")), float(node.get("font-size") or 13)
        wide = text_width(node.text, size)
        look = node.get("class").split()
        start = x - wide if "e" in look else x - wide / 2 if "m" in look else x
        assert start >= -1
        assert start + wide <= chart.width + 30 or "m" in look
        assert 0 <= float(node.get("y")) <= chart.height
        assert size >= 12


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 100), st.text(st.characters(codec="ascii"), min_size=1, max_size=30)), max_size=20))
def test_names_of_decisions_never_lie_on_each_other(found: list[tuple[float, str]]) -> None:
    chart = lines([Series("x", [(0, 1.0), (100, 2.0)])], title="t", rules=[Rule(x, name) for x, name in found])
    taken: dict[float, list[tuple[float, float]]] = {}
    for node in texts(parse(chart)):
        if "h" in node.get("class").split():
            x = float(node.get("x"))
            taken.setdefault(float(node.get("y")), []).append((x, x + text_width(node.text or "", 12)))
    for spans in taken.values():
        ordered = sorted(spans)
        assert all(a[1] <= b[0] + 0.1 for a, b in pairwise(ordered))


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("mode", [0, 1])
@pytest.mark.parametrize("name", sorted(set(PALETTE) - {"ground", "panel", "line"}))
def test_every_colour_of_words_can_be_read(name: str, mode: int) -> None:
    """Contrast of at least 4.5 to 1 on both grounds (WCAG 2.2, 1.4.3)."""
    for ground in ("panel", "ground"):
        a, b = sorted((luminance(PALETTE[name][mode]), luminance(PALETTE[ground][mode])))
        assert (b + 0.05) / (a + 0.05) >= 4.5, (name, ground, (b + 0.05) / (a + 0.05))


def test_the_same_numbers_give_the_same_bytes() -> None:
    one, two = (hostile_charts("x") for _ in range(2))
    assert [c.svg for c in one] == [c.svg for c in two]
