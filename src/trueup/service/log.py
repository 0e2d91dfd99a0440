# SPDX-License-Identifier: Apache-2.0
"""What the service says: one line a happening, kept in a rotating file of the home."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any, Literal

from trueup.core.json import dumps

Level = Literal["info", "warning", "error"]
BYTES, FILES = 5_000_000, 5


@dataclass(frozen=True, slots=True)
class Line:
    """Something that happened: when, to which loop ("" for the service itself), in words."""

    at: datetime
    loop: str
    text: str
    level: Level = "info"
    facts: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return {
            "at": self.at.isoformat(timespec="milliseconds"), "level": self.level, "loop": self.loop,
            "text": self.text, **self.facts,
        }

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M:%S}  {self.loop or 'trueup'}  {self.text}"


class Log:
    """Writes each line, as JSON, to `<home>/logs/up.log` (5 MB, five old ones kept), and tells it on.
    `before` is called ahead of each: what a reader will compare with it has to be there first."""

    def __init__(
        self, home: Path, tell: Callable[[Line], None] = lambda _: None, *, before: Callable[[], None] = lambda: None,
    ) -> None:
        self.path = home / "logs" / "up.log"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = RotatingFileHandler(self.path, maxBytes=BYTES, backupCount=FILES, encoding="utf-8")
        self._file.setFormatter(logging.Formatter("%(message)s"))
        self._tell, self._before = tell, before

    def say(self, loop: str, text: str, level: Level = "info", **facts: Any) -> None:
        """Write a line; a full disk loses the line, and stops nothing."""
        self._before()
        line = Line(datetime.now(UTC), loop, text, level, facts)
        record = logging.LogRecord("trueup", logging.INFO, "", 0, dumps(line.to_json()), None, None)
        try:
            self._file.acquire()
            try:
                if self._file.shouldRollover(record):
                    self._file.doRollover()
                logging.FileHandler.emit(self._file, record)
            finally:
                self._file.release()
        except OSError:
            pass
        self._tell(line)

    def close(self) -> None:
        self._file.close()
