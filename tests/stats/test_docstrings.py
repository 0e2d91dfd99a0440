# SPDX-License-Identifier: Apache-2.0
"""Every public name teaches: null, guarantee, source and an example that runs."""

import doctest
import importlib
import inspect
import pkgutil
import subprocess
import sys

import pytest

import trueup.stats

MODULES = [f"trueup.stats.{m.name}" for m in pkgutil.iter_modules(trueup.stats.__path__)]


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name):
    result = doctest.testmod(importlib.import_module(name))
    assert result.failed == 0


@pytest.mark.parametrize("name", trueup.stats.__all__)
def test_public_names_state_their_guarantee(name):
    text = inspect.getdoc(getattr(trueup.stats, name)) or ""
    assert ">>>" in text
    assert "Source:" in text or "source:" in text
    for word in ("null", "guarantee"):
        assert word in text.lower(), word


def test_the_room_is_light():
    code = "import sys, trueup.stats; print([m for m in sys.modules if m.startswith('scipy')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
