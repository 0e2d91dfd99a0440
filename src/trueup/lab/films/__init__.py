# SPDX-License-Identifier: Apache-2.0
"""The films world: a genre classifier over a simulated year, with all that can happen to it."""

from trueup.lab.films.audience import Audience
from trueup.lab.films.demo import demo
from trueup.lab.films.world import Film, World
from trueup.lab.films.year import Year
from trueup.lab.tell import Account, Scene

__all__ = ["Account", "Audience", "Film", "Scene", "World", "Year", "demo"]
