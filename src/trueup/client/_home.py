# SPDX-License-Identifier: Apache-2.0
"""Where the ledger of a project lies."""

from __future__ import annotations

import os
from pathlib import Path

FOLDER = ".trueup"
LOOP_FILES = ("loop.py", "*_loop.py")


def find_home(start: Path | None = None) -> Path:
    """The home: TRUEUP_HOME, else `.trueup/` beside the nearest pyproject.toml or loop file.

    The search goes up from `start` (a folder, or the loop file itself; the working directory by
    default). A loop file is called `loop.py` or `..._loop.py`. Where there is neither, the home is
    `.trueup/` in the folder of `start`. Nothing is created.
    """
    named = os.environ.get("TRUEUP_HOME", "").strip()
    if named:
        return Path(named).expanduser().absolute()
    begin = (start or Path.cwd()).expanduser().absolute()
    if begin.is_file():
        return begin.parent / FOLDER
    for folder in (begin, *begin.parents):
        if _is_project(folder):
            return folder / FOLDER
    return begin / FOLDER


def _is_project(folder: Path) -> bool:
    try:
        if (folder / "pyproject.toml").is_file():
            return True
        return any(path.is_file() for pattern in LOOP_FILES for path in folder.glob(pattern))
    except OSError:
        return False
