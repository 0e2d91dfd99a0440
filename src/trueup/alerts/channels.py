# SPDX-License-Identifier: Apache-2.0
"""Channels: where alerts go. A file and the log by default; Slack, mail and a hundred others by Apprise."""

from __future__ import annotations

import fcntl
import logging
import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

from trueup.alerts.alert import SEVERITIES, Alert, Severity
from trueup.core.errors import ArgumentError, DataError, DeliveryError, MissingDependency
from trueup.core.json import dumps, loads
from trueup.core.secrets import Env, File
from trueup.core.values import value

logger = logging.getLogger("trueup.alerts")
Promise = Literal["exactly once", "at most once", "at least once"]


@runtime_checkable
class Channel(Protocol):
    """Where alerts go. `level` is the least severity that it takes; `promise` is what it keeps
    when the process is killed at any moment.

    One that has `check(home)` as well is asked by `trueup doctor`: it raises where nothing can arrive,
    and sends nothing."""

    @property
    def level(self) -> Severity: ...

    @property
    def promise(self) -> Promise: ...

    def send(self, alerts: Sequence[Alert], home: Path) -> None:
        """Hand over some alerts together; raises DeliveryError where they were not taken."""
        ...


def _check_level(level: str) -> None:
    if level not in SEVERITIES:
        raise ArgumentError(f"expected level {', '.join(SEVERITIES)}, got {level!r}")


@value("alert.file")
class AlertFile:
    """A file of JSON lines, one an alert, each key once: `path`, or `alerts.jsonl` in the home where it
    is None. A line that a killed process tore is cut. `level` is the least severity that is written."""

    path: Path | None = None
    level: Severity = "info"

    def __post_init__(self) -> None:
        _check_level(self.level)

    @property
    def promise(self) -> Promise:
        return "exactly once"

    def check(self, home: Path) -> None:
        """Raise DeliveryError where the file cannot be written."""
        path = self.path or home / "alerts.jsonl"
        if not os.access(path if path.exists() else path.parent, os.W_OK) or path.is_dir():
            raise DeliveryError(f"expected a file that can be written, got {path}", cure=f"mkdir -p {path.parent}")

    def send(self, alerts: Sequence[Alert], home: Path) -> None:
        path = self.path or home / "alerts.jsonl"
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
            with os.fdopen(descriptor, "rb+") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                whole, _, torn = file.read().rpartition(b"\n")
                if torn:
                    file.seek(-len(torn), os.SEEK_END)
                    file.truncate()
                there = {_key(line) for line in whole.splitlines()}
                lines = [f"{dumps(one.to_json())}\n" for one in alerts if (one.loop, one.key) not in there]
                file.seek(0, os.SEEK_END)
                file.write("".join(lines).encode())
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise DeliveryError(f"expected to write alerts to {path}, got: {error.strerror}") from error


def _key(line: bytes) -> tuple[str, str] | None:
    try:
        found = loads(line)
        return found["loop"], found["key"]
    except (DataError, KeyError, TypeError):
        return None


@value("alert.log")
class AlertLog:
    """Python's logger `trueup.alerts`, which prints to standard error where nothing else is set up.
    `level` is the least severity that is logged."""

    level: Severity = "warning"

    def __post_init__(self) -> None:
        _check_level(self.level)

    @property
    def promise(self) -> Promise:
        return "at most once"

    def send(self, alerts: Sequence[Alert], home: Path) -> None:
        for one in alerts:
            logger.log({"info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}[one.severity], "%s", one.line())


_OPEN = ("json", "jsons", "xml", "xmls", "form", "forms", "syslog", "dbus", "gnome", "macosx", "windows")


@value("alert.apprise")
class Apprise:
    """A service that Apprise can reach: Slack, Teams, mail, PagerDuty, a webhook and a hundred others.

    `url` is Apprise's URL of it, as a secret (`Env("ALERTS_URL")`), since such URLs hold tokens; one
    of a local webhook (`json://host/path`) may be written plainly. `level` is the least severity
    that is sent. A look's alerts go in one message. Needs `trueup[alerts]`.
    """

    url: str | Env | File
    level: Severity = "warning"

    def __post_init__(self) -> None:
        _check_level(self.level)
        if isinstance(self.url, str):
            scheme, mark, rest = self.url.partition("://")
            if not mark or scheme not in _OPEN or "@" in rest:
                raise ArgumentError(
                    f"expected the URL of {scheme or 'a service'} as a secret, since it holds a token or a password",
                    cure='Apprise(Env("ALERTS_URL"))',
                )

    @property
    def promise(self) -> Promise:
        return "at least once"

    def check(self, home: Path) -> None:
        """Raise where the secret is not there, or Apprise does not know such a URL."""
        self._made()

    def _made(self) -> tuple[Any, Any, str]:
        """Apprise's module, an object of it with this service, and the service's scheme."""
        try:
            import apprise
        except ModuleNotFoundError:
            raise MissingDependency("apprise", "alerts") from None
        url = self.url if isinstance(self.url, str) else self.url.reveal()
        scheme = url.partition("://")[0]
        made = apprise.Apprise(asset=apprise.AppriseAsset(app_id="Trueup", async_mode=False))
        quiet = logging.getLogger("apprise")
        before, quiet.disabled = quiet.disabled, True  # its messages may hold what the URL holds
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # of the modules that Apprise loads here
                known = made.add(url)
        finally:
            quiet.disabled = before
        if not known:
            raise DeliveryError(f"expected a URL that Apprise knows, got one of {scheme}://", cure="see Apprise's list of services")
        return apprise, made, scheme

    def send(self, alerts: Sequence[Alert], home: Path) -> None:
        apprise, made, scheme = self._made()
        worst = max(alerts, key=lambda one: SEVERITIES.index(one.severity)).severity
        kind = {"info": apprise.NotifyType.INFO, "warning": apprise.NotifyType.WARNING, "error": apprise.NotifyType.FAILURE}[worst]
        title = f"Trueup {alerts[0].loop}: {alerts[0].what}" if len(alerts) == 1 else f"Trueup {alerts[0].loop}: {len(alerts)} alerts"
        quiet = logging.getLogger("apprise")
        before, quiet.disabled = quiet.disabled, True  # its messages may hold what the URL holds
        try:
            taken = bool(made.notify(body="\n".join(one.line() for one in alerts), title=title[:200], notify_type=kind))
        finally:
            quiet.disabled = before
        if not taken:
            raise DeliveryError(f"expected {scheme}:// to take {len(alerts)} alerts, got a refusal or no answer")
