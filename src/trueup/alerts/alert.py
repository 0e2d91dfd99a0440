# SPDX-License-Identifier: Apache-2.0
"""An alert: what happened, how bad it is, and the command that helps."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from trueup.core.clock import from_us

Severity = Literal["info", "warning", "error"]
SEVERITIES: tuple[Severity, ...] = ("info", "warning", "error")


@dataclass(frozen=True, slots=True)
class Alert:
    """Something that people should know.

    `key` says what it is about: the same key is the same alert, whenever it is found again. `kind`
    is a word such as failed, refused, rollback, invalid, alarm, approval, risk, money, lost, fault;
    `what` says it in a sentence; `at` is microseconds since 1970; `command` is what helps.
    """

    key: str
    loop: str
    kind: str
    severity: Severity
    what: str
    at: int
    command: str

    def line(self) -> str:
        """The alert in one line."""
        return f"{from_us(self.at):%Y-%m-%d %H:%M} {self.severity} {self.loop}: {self.what} ({self.command})"

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, body: dict[str, Any]) -> Alert:
        return cls(**{name: body[name] for name in cls.__slots__})


def at_least(severity: Severity, level: Severity) -> bool:
    """Whether a severity reaches a level."""
    return SEVERITIES.index(severity) >= SEVERITIES.index(level)
