# SPDX-License-Identifier: Apache-2.0
"""The colours, each for light and for dark; champion blue and challenger orange everywhere."""

from __future__ import annotations

from typing import Final

LIGHT, DARK = 0, 1
PALETTE: Final[dict[str, tuple[str, str]]] = {
    "ground": ("#fbfbfa", "#121417"),
    "panel": ("#ffffff", "#1a1d21"),
    "line": ("#e4e4e0", "#2c3137"),
    "ink": ("#1c1e21", "#e8e9ea"),
    "muted": ("#667078", "#98a1a9"),
    "champion": ("#3b5bdb", "#8ea2ff"),
    "challenger": ("#b9520b", "#ffa94d"),
    "ok": ("#28823a", "#69db7c"),
    "warn": ("#a06300", "#ffd43b"),
    "bad": ("#c92a2a", "#ff8787"),
    "teal": ("#0b7285", "#66d9e8"),
    "violet": ("#862e9c", "#e599f7"),
    "brown": ("#7a5c2e", "#d6b98c"),
    "pink": ("#a61e4d", "#faa2c1"),
}
"""Colours by what they stand for: (on light, on dark)."""
SERIES: Final = ("teal", "violet", "brown", "pink", "ink", "muted")
FIXED: Final = ("champion", "challenger")
DASHES: Final = (None, "7 3", "2 3", "9 3 2 3", "4 4", "1 3")

FONT: Final = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', sans-serif"


def chart_css() -> str:
    """The rules that charts need: `f-NAME` fills and `s-NAME` strokes, light, then dark."""
    base = (
        f".trueup{{font:13px {FONT};font-variant-numeric:tabular-nums}}"
        ".trueup .t{font-weight:700;font-size:14px}.trueup .b{font-weight:700}"
        ".trueup .n{fill:none}.trueup .h{stroke-width:4;paint-order:stroke;stroke-linejoin:round}.trueup .e{text-anchor:end}.trueup .m{text-anchor:middle}"
    )
    return f"{base}{_rules(LIGHT)}@media screen and (prefers-color-scheme:dark){{{_rules(DARK)}}}"


def _rules(mode: int) -> str:
    halo = f".trueup .h{{stroke:{PALETTE['panel'][mode]}}}"
    return halo + "".join(
        f".trueup .f-{name}{{fill:{pair[mode]}}}.trueup .s-{name}{{stroke:{pair[mode]}}}"
        for name, pair in PALETTE.items()
    )


def page_css() -> str:
    """The rules of a page: about twenty-five, and one panel for each section."""
    dark = "".join(f"--{name}:{pair[DARK]};" for name, pair in PALETTE.items())
    light = "".join(f"--{name}:{pair[LIGHT]};" for name, pair in PALETTE.items())
    return (
        f":root{{color-scheme:light dark;{light}}}"
        f"@media screen and (prefers-color-scheme:dark){{:root{{{dark}}}}}" + _PAGE
    )


_PAGE = f"""
*{{box-sizing:border-box}}
body{{margin:0 auto;padding:20px;max-width:1180px;background:var(--ground);color:var(--ink);
font:14px/1.45 {FONT};font-variant-numeric:tabular-nums}}
h1{{font-size:20px;margin:0 0 12px}}h2{{font-size:14px;margin:0 0 8px}}
p{{margin:0 0 8px;max-width:75ch;overflow-wrap:anywhere}}
section{{background:var(--panel);border:1px solid var(--line);border-radius:8px;padding:16px 20px;margin:0 0 16px}}
figure{{margin:8px 0 12px;overflow-x:auto}}
.scroll{{overflow-x:auto}}
table{{border-collapse:collapse;margin:4px 0 12px}}
th,td{{text-align:left;vertical-align:top;padding:4px 12px 4px 0;border-bottom:1px solid var(--line)}}
th{{color:var(--muted);font-weight:600}}td{{overflow-wrap:break-word}}
caption{{text-align:left;padding:0 0 4px;min-width:60ch}}
.num{{text-align:right}}
summary{{cursor:pointer;color:var(--muted);padding:4px 0}}
pre{{white-space:pre-wrap;overflow-wrap:anywhere;margin:0 0 8px;padding:8px 12px;border:1px solid var(--line);border-radius:8px;
font:12px/1.45 ui-monospace,SFMono-Regular,Menlo,monospace}}
.verdict{{font-size:16px;font-weight:700}}
.ok{{color:var(--ok)}}.warn{{color:var(--warn)}}.bad{{color:var(--bad)}}.muted{{color:var(--muted)}}
.champion{{color:var(--champion)}}.challenger{{color:var(--challenger)}}
.sides{{display:grid;grid-template-columns:repeat(auto-fit,minmax(260px,1fr));gap:4px 16px;border-top:1px solid var(--line);padding:8px 0}}
.sides h3{{font-size:14px;font-weight:600;margin:0 0 4px}}
@media print{{section{{break-inside:avoid}}}}
""".replace("\n", "")
