# SPDX-License-Identifier: Apache-2.0
"""The news world: a language model that learns each week's news, and all that can happen to it."""

from trueup.lab.news.daily import daily
from trueup.lab.news.demo import demo
from trueup.lab.news.weeks import Weeks
from trueup.lab.news.world import Fact, World

__all__ = ["Fact", "Weeks", "World", "daily", "demo"]
