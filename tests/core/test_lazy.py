# SPDX-License-Identifier: Apache-2.0
"""Rooms that load their modules when a name is asked for: every name is there, and is what it says."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from types import ModuleType

import pytest

ROOMS = ["trueup.alerts", "trueup.loop", "trueup.registry", "trueup.release", "trueup.triggers"]


@pytest.mark.parametrize("room", ROOMS)
def test_each_public_name_is_found_where_its_room_says(room: str) -> None:
    found = import_module(room)
    assert sorted(found.__all__) == sorted(found._homes)
    assert set(found.__all__) <= set(dir(found))
    for name, home in found._homes.items():
        module, _, other = home.partition(":")
        assert getattr(found, name) is getattr(import_module(f"{room}.{module}"), other or name)
    with pytest.raises(AttributeError, match=f"module '{room}' has no attribute 'nobody'"):
        found.nobody  # noqa: B018


@pytest.mark.parametrize(
    ("room", "name"),
    [("alerts", "alert"), ("loop", "run"), ("loop", "status"), ("loop", "why"), ("release", "carrier"), ("release", "recommend"),
     ("state", "candidates"), ("registry", "projection")],
)
@pytest.mark.parametrize("first", ["import trueup.{room}.{name}", "from trueup.{room} import {name}"])
def test_a_name_that_its_module_shares_is_never_the_module(room: str, name: str, first: str) -> None:
    code = first.format(room=room, name=name) + f"; from trueup.{room} import {name} as found; print(type(found).__name__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "function"


def test_a_module_of_a_room_is_reached_by_its_path() -> None:
    import trueup.loop.run

    assert isinstance(sys.modules["trueup.loop.run"], ModuleType)
    assert not isinstance(trueup.loop.run, ModuleType)
