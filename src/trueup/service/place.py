# SPDX-License-Identifier: Apache-2.0
"""Where the engine's database lies, what is written into it, and what whoever only looks may ask."""

from __future__ import annotations

import os
import uuid
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trueup.core.errors import ArgumentError
from trueup.core.json import dumps, loads

if TYPE_CHECKING:
    from trueup.loop.pipeline import Pipeline

FOLDER, NAME = "durable", "trueup"
URL = "TRUEUP_DURABLE_URL"
OFF = "off"


def version_of(pipeline: Pipeline) -> str:
    """What the engine calls the application's version: that of the pipeline alone."""
    return f"{pipeline.name}-{pipeline.version}"


def quiet() -> None:
    """No telemetry, and no words but errors."""
    import logging

    for name in ("DBOS__CONDUCTOR_KEY", "DBOS__CLOUD"):
        os.environ.pop(name, None)
    logging.getLogger("dbos").setLevel(logging.CRITICAL)


@dataclass(frozen=True, slots=True)
class Place:
    """The engine's database: its URL, never shown with its password, and a schema of the home's own."""

    url: str = field(repr=False)
    schema: str

    @classmethod
    def of(cls, home: Path, url: str | None) -> Place:
        folder = home / FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        if url is None:
            return cls(f"sqlite:///{(folder / 'dbos.sqlite').absolute()}", "dbos")
        if not url.startswith(("postgresql://", "postgres://", "postgresql+psycopg://")):
            raise ArgumentError(
                f"expected postgresql://user@host/database, got {url.partition(':')[0]}:...",
                cure="name a Postgres server, or leave --durable out: SQLite in the home",
            )
        return cls(url.replace("postgres://", "postgresql://", 1), f"trueup_{_ident(folder)}")

    def config(self, pipeline: Pipeline) -> Any:
        return {
            "name": NAME, "system_database_url": self.url, "dbos_system_schema": self.schema,
            "application_version": version_of(pipeline), "executor_id": f"{os.uname().nodename}-{os.getpid()}-{uuid.uuid4().hex[:8]}",
            "log_level": "CRITICAL", "console_log_level": "CRITICAL", "enable_otlp": False, "serializer": _serializer(),
            "use_listen_notify": False,
        }

    def client(self) -> Any:
        """A client, which launches nothing: for whoever only looks."""
        from dbos import DBOSClient

        quiet()
        return DBOSClient(
            system_database_url=self.url, dbos_system_schema=self.schema, serializer=_serializer(),
            application_name=NAME, retry_connection_errors=False,
        )

    def masked(self, text: str) -> str:
        """A text without this place's password."""
        secret = _password(self.url)
        return text.replace(secret, "***") if secret else text

    def __str__(self) -> str:
        if self.url.startswith("sqlite"):
            return "DBOS on SQLite"
        secret = _password(self.url)
        return f"DBOS on {self.url.replace(f':{secret}@', ':***@') if secret else self.url}"


def statuses(home: Path, url: str | None = None) -> dict[str, dict[str, Any]]:
    """What the engine says of its runs, by id: {"status", "version"}; nothing where it has no
    database. Asked through the client, which runs nothing."""
    url = url or os.environ.get(URL) or None
    place = Place.of(home, None if url == OFF else url)
    if place.url.startswith("sqlite") and not (home / FOLDER / "dbos.sqlite").exists():
        return {}
    client = place.client()
    try:
        return {
            one.workflow_id: {"status": one.status, "version": one.app_version} for one in client.list_workflows()
        }
    finally:
        client.destroy()


def _ident(folder: Path) -> str:
    """A name of the home's own among those that share a server, made once."""
    path = folder / "id"
    with suppress(FileExistsError), path.open("x", encoding="utf-8") as file:
        file.write(uuid.uuid4().hex[:12])
    return path.read_text("utf-8").strip()


def _password(url: str) -> str:
    from urllib.parse import urlsplit

    try:
        return urlsplit(url).password or ""
    except ValueError:
        return ""


def _serializer() -> Any:
    """JSON, where DBOS would pickle: what comes out of a shared database is data, not code."""
    from dbos import Serializer

    class Plain(Serializer):  # type: ignore[misc]  # dbos is not typed here
        def serialize(self, data: Any) -> str:
            return dumps(data if not isinstance(data, BaseException) else f"{type(data).__name__}: {data}")

        def deserialize(self, serialized_data: str) -> Any:
            return loads(serialized_data)

        def name(self) -> str:
            return "trueup_json"

    return Plain()
