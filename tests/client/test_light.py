# SPDX-License-Identifier: Apache-2.0
"""The client is light: what it loads, and when."""

import os
import subprocess
import sys

HEAVY = "('numpy', 'pyarrow', 'duckdb', 'sklearn', 'scipy', 'xgboost', 'click', 'rich')"


def loaded(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print([m for m in {HEAVY} if m in sys.modules])"],
        capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    return done.stdout.strip()


def test_importing_it_loads_nothing_heavy() -> None:
    assert loaded("import trueup.client") == "[]"


def test_using_it_loads_nothing_heavy() -> None:
    code = (
        "import tempfile, logging; from pathlib import Path; from trueup.client import connect\n"
        "logging.disable()\n"
        "with connect('news', Path(tempfile.mkdtemp())) as c:\n"
        "    choice = c.choose('u'); c.log(choice, 1, 2); c.feedback(choice.id, 'n', 1)"
    )
    assert loaded(code) == "[]"
