# SPDX-License-Identifier: Apache-2.0
"""Charts as PNG files, for where no SVG can be shown; by resvg, an optional package of 1.4 MB."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from trueup.core.errors import MissingDependency
from trueup.plot.chart import Chart

_FONTS = {
    "DejaVuSans.ttf": "DejaVu Sans", "NotoSans-Regular.ttf": "Noto Sans", "LiberationSans-Regular.ttf": "Liberation Sans",
    "Arial.ttf": "Arial", "Helvetica.ttc": "Helvetica",
}  # fmt: skip
_FOLDERS = ("/usr/share/fonts", "/usr/local/share/fonts", "/System/Library/Fonts", "/Library/Fonts")


def png(chart: Chart, *, zoom: float = 2.0) -> bytes:
    """The chart as a PNG, in its light colours, `zoom` times its size in pixels.

    Raises MissingDependency where resvg_py is not installed.
    """
    try:
        import resvg_py
    except ImportError:
        raise MissingDependency("resvg_py", "png") from None
    family = _family()
    return bytes(resvg_py.svg_to_bytes(svg_string=chart.svg, zoom=zoom, sans_serif_family=family, font_family=family))


@cache
def _family() -> str:
    """A family of letters that this machine has: a generic name would draw none at all."""
    for folder in _FOLDERS:
        for file, family in _FONTS.items():
            if next(Path(folder).rglob(file), None) is not None:
                return family
    return "Arial"
