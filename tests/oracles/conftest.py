# SPDX-License-Identifier: Apache-2.0
"""Other people's statistics, in a process of their own with the packages that only they need."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
SITE = ROOT / ".venv-oracles"


@pytest.fixture(scope="session")
def oracle() -> Callable[..., Any]:
    """Run a script beside this file with the oracles' packages; gives the JSON that it prints."""
    if not (SITE / "obp").is_dir():
        pytest.skip("the oracles' packages are not installed: make oracles")

    def run(script: str, *args: str) -> Any:
        done = subprocess.run(
            [sys.executable, "-W", "ignore", str(Path(__file__).with_name(script)), *args],
            capture_output=True, text=True, check=False, timeout=200,
            env={**os.environ, "PYTHONPATH": str(SITE), "MPLBACKEND": "Agg"},
        )
        assert done.returncode == 0, done.stderr[-2000:]
        return json.loads(done.stdout)

    return run
