# SPDX-License-Identifier: Apache-2.0
"""The format "command": a program answers, one JSON text a line. Trusted code only."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trueup.core.errors import ModelError, TrueupError
from trueup.core.json import Json, dumps, loads
from trueup.core.protocols import Prediction
from trueup.models.answers import checked
from trueup.models.manifest import Manifest

_TAIL = 400


class Process:
    """Runs `argv` in the model folder for each batch.

    It reads one JSON input a line, and writes one line an input, in order:
    `{"value": ..., "scores": {...}}`, scores being optional.
    """

    def __init__(self, folder: Path, argv: Sequence[str], seconds: float) -> None:
        self.folder = folder
        self.argv = tuple(argv)
        self.seconds = seconds

    def predict(self, inputs: Sequence[Json]) -> list[Prediction]:
        if not inputs:
            return []
        lines = "".join(dumps(item) + "\n" for item in inputs)
        try:
            done = subprocess.run(
                self.argv, cwd=self.folder, input=lines.encode(), capture_output=True,
                timeout=self.seconds, check=False,
            )
        except subprocess.TimeoutExpired:
            raise ModelError(f"expected answers from {self.argv[0]} within {self.seconds:g} s, got none") from None
        except OSError as error:
            raise ModelError(f"expected a program {self.argv[0]} that runs: {error}") from None
        if done.returncode:
            tail = done.stderr[-_TAIL:].decode(errors="replace").strip()
            raise ModelError(f"expected exit 0 from {self.argv[0]}, got {done.returncode}: {tail}")
        try:
            answers = [_prediction(loads(line)) for line in done.stdout.splitlines() if line.strip()]
        except TrueupError as error:
            raise ModelError(f"expected one JSON answer a line from {self.argv[0]}: {error.message}") from None
        return checked(answers, inputs, self.argv[0])


def _prediction(data: Any) -> Prediction:
    if not isinstance(data, dict) or not {"value"} <= data.keys() <= {"value", "scores"}:
        raise ModelError(f'expected {{"value": ..., "scores": {{...}}}}, got {data!r:.80}')
    return Prediction(data["value"], data.get("scores"))


def load(folder: Path, manifest: Manifest) -> Process:
    """The predictor; raises ModelError."""
    argv, seconds = manifest.details.get("argv"), manifest.details.get("seconds", 60.0)
    if not isinstance(argv, list) or not argv or not all(isinstance(part, str) for part in argv):
        raise ModelError(f"expected argv as a list of texts in the details, got {argv!r:.80}")
    if not isinstance(seconds, int | float) or not 0 < seconds <= 86_400:
        raise ModelError(f"expected seconds above 0 in the details, got {seconds!r:.80}")
    return Process(folder, argv, float(seconds))
