# SPDX-License-Identifier: Apache-2.0
"""`model.json`: what a model folder holds, in which format, and the digest of each of its files."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from trueup.core import values
from trueup.core.errors import ModelError, TrueupError
from trueup.core.json import Json, digest, dumps, loads
from trueup.core.task import Answers
from trueup.models.features import VERSION, Features

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

NAME = "model.json"
SCHEMA = 1
_ANSWERS = ("label", "labels", "number", "text")
_LARGEST = 16 * 2**20


@dataclass(frozen=True, slots=True)
class Manifest:
    """What stands in a `model.json`.

    `labels` are the JSON values that the model can answer, in the order of its columns.
    `threshold` is the least probability of an answered label where an answer is a list of labels;
    None means that the number of labels with the best expected F1 is answered. `files` maps
    relative paths to SHA-256. `code` is the digest of the code that made the model, or that is
    the model. `details` belong to the format.
    """

    format: str
    answers: Answers
    labels: tuple[str | int | bool, ...] = ()
    features: Features | None = None
    features_version: str | None = None
    threshold: float | None = None
    files: Mapping[str, str] = field(default_factory=dict)
    code: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)
    schema: int = SCHEMA

    def to_json(self) -> dict[str, Any]:
        """Plain data, as in the file."""
        data = {name: getattr(self, name) for name in self.__dataclass_fields__}
        data["features"] = values.to_json(self.features)
        data["labels"] = list(self.labels)
        data["files"] = dict(self.files)
        data["details"] = values.to_json(self.details)
        return data

    @classmethod
    def from_json(cls, data: Any) -> Manifest:
        """The manifest in plain data; raises ModelError for anything else."""
        if not isinstance(data, dict):
            raise ModelError(f"expected a model.json with an object, got {data!r:.80}")
        known = set(cls.__dataclass_fields__)
        if unknown := sorted(data.keys() - known):
            raise ModelError(f"expected the keys {sorted(known)} in model.json, got {unknown} as well")
        if data.get("schema", SCHEMA) != SCHEMA:
            raise ModelError(
                f"expected a model.json of schema {SCHEMA}, got {data['schema']!r}",
                cure="install the version of trueup that wrote it",
            )
        try:
            return cls(**_typed(data))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ModelError(f"expected a valid model.json, got {type(error).__name__}: {error}") from None
        except ModelError:
            raise
        except TrueupError as error:
            raise ModelError(f"expected a valid model.json: {error.message}") from None

    @property
    def features_at(self) -> int | None:
        """The version of the code of `features` that the model was made by; None where this Trueup knows none."""
        if self.features is None:
            return None
        known = (at for at in (VERSION, 1) if self.features.version_at(at) == self.features_version)
        return next(known, None)

    def matrix(self, inputs: Sequence[Json]) -> csr_matrix:
        """The features of inputs, by the rules that the model was made by."""
        assert self.features is not None
        return self.features.transform(inputs, self.features_at or VERSION)

    def digest(self) -> str:
        """SHA-256 of the whole, and so of every file."""
        return digest(self.to_json())


def _typed(data: Mapping[str, Any]) -> dict[str, Any]:
    made = dict(data)
    _expect(isinstance(data["format"], str), "format as a text", data["format"])
    _expect(data["answers"] in _ANSWERS, f"answers in {_ANSWERS}", data["answers"])
    labels = data.get("labels", [])
    _expect(isinstance(labels, list) and all(isinstance(x, str | int) for x in labels), "a list of labels", labels)
    _expect(len({dumps(x) for x in labels}) == len(labels), "labels that differ", labels)
    made["labels"] = tuple(labels)
    if data.get("features") is not None:
        made["features"] = _features(data["features"])
    threshold = data.get("threshold")
    _expect(threshold is None or (isinstance(threshold, int | float) and 0 <= threshold <= 1),
            "a threshold in [0, 1]", threshold)
    for key in ("files", "details"):
        _expect(isinstance(data.get(key, {}), dict), f"{key} as an object", data.get(key))
    for path, sha in data.get("files", {}).items():
        _expect(_inside(path), "files inside the folder", path)
        _expect(isinstance(sha, str) and len(sha) == 64, "a SHA-256 in hex", sha)
    _expect(isinstance(data.get("code", ""), str), "code as a text", data.get("code"))
    return made


def _features(data: Any) -> Features:
    """Features from plain data, without `values.from_json`, which may import what it is told to."""
    known = {"kind"} | set(Features.__dataclass_fields__)
    _expect(isinstance(data, dict) and data.keys() <= known, f"features with the keys {sorted(known)}", data)
    _expect(data.get("kind") == values.kind_of(Features()), "features.hashed", data.get("kind"))
    return Features(**{key: item for key, item in data.items() if key != "kind"})


def _expect(holds: bool, what: str, got: Any) -> None:
    if not holds:
        raise ModelError(f"expected {what} in model.json, got {got!r:.120}")


def _inside(path: str) -> bool:
    pure = PurePosixPath(path)
    return bool(path) and not pure.is_absolute() and ".." not in pure.parts and "\\" not in path


def write_manifest(
    folder: Path, *, format: str, answers: Answers, labels: Sequence[Any] = (),  # noqa: A002
    features: Features | None = None, threshold: float | None = None, code: str = "",
    details: Mapping[str, Json] | None = None,
) -> Manifest:
    """Write `model.json` over all files that lie in the folder now, and give it back."""
    files = {
        path.relative_to(folder).as_posix(): file_sha256(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path != folder / NAME
    }
    manifest = Manifest(
        format, answers, tuple(labels), features, features.version if features else None,
        threshold, files, code, dict(details or {}),
    )
    Manifest.from_json(loads(dumps(manifest.to_json())))
    temporary = folder / f".{NAME}.tmp"
    temporary.write_text(dumps(manifest.to_json()) + "\n", encoding="utf-8")
    os.replace(temporary, folder / NAME)
    return manifest


def read_manifest(folder: Path) -> Manifest:
    """The folder's manifest, after the digest of every file that it names was compared.

    Raises ModelError where there is none, where it is damaged, or where a file is missing, lies
    outside the folder, or is not the one that was written.
    """
    path = folder / NAME
    try:
        if path.stat().st_size > _LARGEST:
            raise ModelError(f"expected a model.json below {_LARGEST} bytes, got {path.stat().st_size}")
        data = loads(path.read_bytes())
    except (OSError, UnicodeDecodeError, RecursionError) as error:
        raise ModelError(f"expected a model.json in {folder}: {error}") from None
    except ModelError:
        raise
    except TrueupError as error:
        raise ModelError(f"expected JSON in {path}: {error.message}") from None
    manifest = Manifest.from_json(data)
    root = folder.resolve()
    for name, sha in manifest.files.items():
        inner = folder / name
        if not inner.resolve().is_relative_to(root) or not inner.is_file():
            raise ModelError(f"expected the file {name} in {folder}, which is not there")
        got = file_sha256(inner)
        if got != sha:
            raise ModelError(
                f"expected {name} with SHA-256 {sha[:16]}..., got {got[:16]}...",
                cure="the file was changed or damaged: restore it, or train again",
            )
    return manifest


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
