# SPDX-License-Identifier: Apache-2.0
"""Floor 1: numbers to SVG texts, and pages of them in HTML and Markdown; the standard library only."""

from trueup.plot._scale import write
from trueup.plot.bars import Bar, bars
from trueup.plot.chart import Chart, Table
from trueup.plot.lines import Bound, Rule, Series, lines, wealth
from trueup.plot.page import Code, Markdown, Section, Sides, Verdict, markdown, page, save
from trueup.plot.palette import PALETTE
from trueup.plot.png import png
from trueup.plot.timeline import Band, Look, timeline

__all__ = [
    "PALETTE",
    "Band",
    "Bar",
    "Bound",
    "Chart",
    "Code",
    "Look",
    "Markdown",
    "Rule",
    "Section",
    "Series",
    "Sides",
    "Table",
    "Verdict",
    "bars",
    "lines",
    "markdown",
    "page",
    "png",
    "save",
    "timeline",
    "wealth",
    "write",
]
