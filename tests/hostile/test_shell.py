# SPDX-License-Identifier: Apache-2.0
"""The forked command line says what the installed one says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any


def test_the_forked_command_line_is_the_real_one(desk: Any) -> None:
    program = Path(sys.executable).with_name("trueup")
    argv = [str(program)] if program.exists() else [sys.executable, "-c", "from trueup.cli import main; main()"]
    for words in (["chekc"], ["check", "loop.py"], ["status"]):
        real = subprocess.run([*argv, *words], cwd=desk.folder, capture_output=True, text=True, timeout=60, check=False)
        forked = desk.trueup(*words)
        assert (real.returncode, real.stdout, real.stderr) == (forked.code, forked.out, forked.err)
    assert desk.trueup("chekc").said(2, "T103", "did you mean 'check'?")
