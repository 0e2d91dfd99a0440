# SPDX-License-Identifier: Apache-2.0
"""The connection to MLflow: its library kept quiet and bounded in time, and what is read from it."""

from __future__ import annotations

import fcntl
import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from trueup.core.errors import MissingDependency, ModelError, Refused
from trueup.core.files import replace
from trueup.core.json import sha256
from trueup.registry.publish import Nomination

TAG = "trueup.candidate"
PAGE = 200
_LOGGERS = ("mlflow", "alembic", "sqlalchemy", "urllib3")
_NO = ("", "0", "false", "no", "none")
# Where a remote server must not send us: to this machine's own files, or to other hosts.
_FOREIGN = ("", "file", "http", "https", "ftp", "sftp")


@contextmanager
def connected(uri: str, seconds: float) -> Iterator[Any]:
    """An MlflowClient for this URI. A request may take `seconds` and is not sent twice: a retry that
    comes after a slow success would make a double, so retries are the publisher's, who looks first.

    MLflow reads these settings from the environment at each request, and its registry in a local
    database asks for the tracking URI there: all is as it was afterwards. A server's URI, which may
    hold a password, is never put there.
    """
    limit = str(max(1, round(seconds)))
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"  # before the import, and from then on
    os.environ.setdefault("DO_NOT_TRACK", "true")
    there = {
        "MLFLOW_HTTP_REQUEST_TIMEOUT": limit, "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false", "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
        **({"MLFLOW_TRACKING_URI": uri, "MLFLOW_REGISTRY_URI": uri} if local_file(uri) else {}),
    }  # fmt: skip
    before = {name: os.environ.get(name) for name in there}
    levels = {name: logging.getLogger(name).level for name in _LOGGERS}
    os.environ.update(there)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            client = _client(uri)
            for name in _LOGGERS:  # after the import, which sets them
                logging.getLogger(name).setLevel(logging.ERROR)
            yield client
    finally:
        for name, text in before.items():
            if text is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = text
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


def _client(uri: str) -> Any:
    try:
        from mlflow import MlflowClient
    except ImportError:
        raise MissingDependency("mlflow", "mlflow") from None
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    path = local_file(uri)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            make_database(path)
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def make_database(path: Path) -> None:
    """Make MLflow's database whole, or not at all: one whose making was killed has half of its tables,
    and MLflow never opens it again."""
    from mlflow.store.db import utils

    part = path.with_name(f".{path.name}.part")
    with path.with_name(f".{path.name}.lock").open("a") as alone:
        fcntl.flock(alone, fcntl.LOCK_EX)
        if path.exists():
            return
        for left in (part, part.with_name(f"{part.name}-journal")):
            left.unlink(missing_ok=True)
        engine = utils.create_sqlalchemy_engine(f"sqlite:///{part}")
        try:
            utils._initialize_tables(engine)
        finally:
            engine.dispose()
        replace(part, path)


def local_file(uri: str) -> Path | None:
    """The file of an SQLite URI; None for any other."""
    return Path(uri.removeprefix("sqlite:///")) if uri.startswith("sqlite:///") else None


def is_there(uri: str) -> bool:
    """Whether there can be anything: a server, or a database file that exists."""
    path = local_file(uri)
    return path is None or path.exists()


def absent(error: Exception) -> bool:
    """Whether MLflow says that there is no such thing."""
    return getattr(error, "error_code", "") == "RESOURCE_DOES_NOT_EXIST"


def registered(client: Any, name: str) -> Any | None:
    """The registered model, or None."""
    try:
        return client.get_registered_model(name)
    except Exception as error:
        if absent(error):
            return None
        raise


def versions(client: Any, name: str) -> list[Any]:
    """Every version of a registered model, oldest first."""
    found: list[Any] = []
    token = None
    quoted = name.replace("'", "")
    while True:
        page = client.search_model_versions(f"name='{quoted}'", max_results=PAGE, page_token=token)
        found += page
        token = page.token
        if not token:
            return sorted(found, key=lambda one: int(one.version))


def marked(client: Any, name: str, word: str, target: str) -> Iterator[Nomination]:
    """The versions of a registered model that carry a word: an alias, a tag, or the stage."""
    model = registered(client, name)
    if model is None:
        return
    at = str((model.aliases or {}).get(word, ""))
    for one in versions(client, name):
        how = _how(one, word, at)
        if how is None:
            continue
        source = {
            "from": "mlflow", "target": target, "model": name, "version": str(one.version),
            "run": one.run_id or "", "created": int(one.creation_timestamp or 0), "marked": how,
        }  # fmt: skip
        who = one.tags.get(f"{word}.by") or one.user_id or "somebody whom MLflow does not name"
        key = sha256(f"{target}\n{name}\n{one.version}\n{one.creation_timestamp}")[:16]
        yield Nomination(
            f"m-{key}", f"version {one.version} of {name} in MLflow has the {how}", f"mlflow: {who} (unverified)",
            source, one.tags.get(TAG),
        )


def _how(one: Any, word: str, at: str) -> str | None:
    if at == str(one.version):
        return f"alias {word}"
    for key, text in one.tags.items():
        if key.startswith("trueup."):
            continue
        if (key == word and str(text).strip().lower() not in _NO) or text == word:
            return f"tag {key}={text}" if text == word else f"tag {key}"
    return f"stage {one.current_stage}" if one.current_stage == word else None


def discard(client: Any, uri: str, logged: Any) -> int:
    """Delete the files of a LoggedModel that we made, and say how many there were; it keeps its record.

    Raises Refused where its files do not lie in a folder of its own, or a server says that they lie on
    this machine: a server's word deletes nothing here.
    """
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    place, scheme = str(logged.artifact_location), urlsplit(str(logged.artifact_location)).scheme
    local = local_file(uri)
    if logged.model_id not in place.split("/") or (local is None and scheme in _FOREIGN):
        raise Refused(
            f"expected the files of {logged.name} in a folder of their own of the server's store, got a place of the scheme {scheme or 'file'!r}",
            cure="delete them there by hand",
        )
    store = get_artifact_repository(place, tracking_uri=uri)
    found = client.list_logged_model_artifacts(logged.model_id)
    for one in found:
        store.delete_artifacts(one.path)
    return len(found)


def download(client: Any, uri: str, name: str, version: str, folder: Path) -> Path:
    """Bring a version's files under `folder`; the folder in which its model.json lies.

    Raises Refused where a server names a place that is not its own store, and ModelError where
    there is no model.json. Nothing that comes is opened here.
    """
    from mlflow.artifacts import download_artifacts

    source = client.get_model_version_download_uri(name, version)
    if local_file(uri) is None and urlsplit(source).scheme in _FOREIGN:
        raise Refused(
            f"expected version {version} of {name} in the server's own store, got a place of the scheme "
            f"{urlsplit(source).scheme or 'file'!r}",
            cure="log the model's folder to the server, and register it from there",
        )
    folder.mkdir(parents=True, exist_ok=True)
    path = Path(download_artifacts(artifact_uri=source, dst_path=str(folder), tracking_uri=uri))
    for found in (path, *sorted(inner for inner in path.iterdir() if inner.is_dir())):
        if (found / "model.json").is_file():
            return found
    raise ModelError(
        f"expected a folder with model.json in version {version} of {name}, got {sorted(one.name for one in path.iterdir())}",
        cure="trueup.models.write_manifest writes it over a folder of safetensors or skops files",
    )
