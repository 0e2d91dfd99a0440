# SPDX-License-Identifier: Apache-2.0
"""Distillation: a teacher writes the targets of rows that have none (CUR-17)."""

from __future__ import annotations

from collections import Counter
from collections.abc import MutableMapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from trueup.core import values
from trueup.core.errors import ArgumentError, DataError
from trueup.core.json import Json, digest, dumps, loads
from trueup.core.protocols import Curated, Predictor
from trueup.core.values import value
from trueup.curate.rows import take
from trueup.curate.steps import own_version

BATCH = 64
PATIENCE = 8     # inputs that a teacher may fail on, one after the other, before it is left alone


@value("curate.distill")
class Distill:
    """Let a teacher write the target of every row that has none: `Distill(FunctionModel(summarise))`.

    `teacher` is whatever answers: a model value (`FunctionModel`, `LocalModel`), or the path of a
    model folder. With this step in a recipe, rows whose label is not known train too: they pass the
    steps before it without a target. Rows with a label keep it. A row is asked for once: the ledger
    remembers the answers by teacher, and a teacher that changes is another one. Rows that repeat a
    golden item are left out before the teacher sees them. Where it fails, or answers nothing, the
    row is dropped with the reason, and asked for again at the next build; after 8 failures in a row
    the rest is not asked. Its digest is part of the recipe's lineage and of the funnel.
    """

    teacher: Any

    def __post_init__(self) -> None:
        if not isinstance(self.teacher, Predictor | Path | str):
            raise ArgumentError(
                f"expected a teacher that answers, or the path of a model folder, got {self.teacher!r:.80}",
                cure="Distill(FunctionModel(summarise)), or Distill(HERE / 'models/teacher')",
            )
        if isinstance(self.teacher, str):
            object.__setattr__(self, "teacher", Path(self.teacher))
        if not isinstance(self.teacher, Path):
            values.to_json(self.teacher)

    @property
    def identity(self) -> str:
        """The teacher's digest: of its value, and of its code or its model folder."""
        return f"teacher-{digest(_identity(self.teacher))[:16]}"

    @property
    def version(self) -> str:
        return digest([own_version(self, "trueup.curate.rows"), self.identity])

    def curate(self, rows: pa.Table, seed: int) -> Curated:
        """Ask for every row without a target, and remember nothing."""
        return self.teach(rows, {})

    def teach(self, rows: pa.Table, known: MutableMapping[str, str]) -> Curated:
        """Fill in the missing targets. `known` maps row ids to what the teacher has answered before
        (JSON texts), and is added to."""
        targets = rows["target"].to_pylist()
        idents, inputs = rows["row_id"].to_pylist(), rows["input"].to_pylist()
        open_ = [at for at, target in enumerate(targets) if target is None]
        ask = [at for at in open_ if idents[at] not in known]
        said, reasons = self._ask([loads(inputs[at]) for at in ask])
        known.update({idents[at]: text for at, text in zip(ask, said, strict=True) if text is not None})
        filled = pa.array(
            [known.get(ident) if target is None else target for ident, target in zip(idents, targets, strict=True)],
            pa.string(),
        )
        place = rows.schema.get_field_index("target")
        made = rows.set_column(place, rows.schema.field(place), filled)
        facts: dict[str, Any] = {
            "teacher": _name(self.teacher), "digest": self.identity, "written": len(open_) - sum(reasons.values()),
        }
        if len(ask) < len(open_):
            facts["remembered"] = len(open_) - len(ask)
        keep = np.array([text is not None for text in filled.to_pylist()], dtype=bool)
        return Curated(take(made, keep) if len(keep) else made, reasons, facts)

    def _ask(self, inputs: Sequence[Json]) -> tuple[list[str | None], dict[str, int]]:
        """A JSON text an input, None where there is none, and how many of these by reason."""
        if not inputs:
            return [], {}
        teacher = load_teacher(self.teacher)
        found: list[str | None] = []
        reasons: Counter[str] = Counter()
        failed = 0
        for start in range(0, len(inputs), BATCH):
            for answer in _answers(teacher, inputs[start : start + BATCH], PATIENCE - failed):
                text, reason = (None, answer.reason) if isinstance(answer, _Failed) else _target(answer)
                found.append(text)
                failed = failed + 1 if isinstance(answer, _Failed) else 0
                if reason:
                    reasons[reason] += 1
            if failed >= PATIENCE:
                break
        if left := len(inputs) - len(found):
            found += [None] * left
            reasons[f"not asked: the teacher failed {PATIENCE} times in a row"] = left
        return found, dict(sorted(reasons.items()))


class _Failed:
    def __init__(self, reason: str) -> None:
        self.reason = reason


def _answers(teacher: Predictor, inputs: Sequence[Json], patience: int) -> list[Any]:
    """An answer an input or a failure, in order; shorter where `patience` failed one after another."""
    try:
        answers = teacher.predict(inputs)
        if len(answers) == len(inputs):
            return [answer.value for answer in answers]
        why = f"it gave {len(answers)} answers to {len(inputs)} inputs"
    except Exception as error:  # whatever a teacher raises costs its own rows only
        why = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
    if len(inputs) == 1:
        return [_Failed(f"the teacher failed: {why}")]
    found: list[Any] = []
    failed = 0
    for given in inputs:
        found += _answers(teacher, [given], patience)
        failed = failed + 1 if isinstance(found[-1], _Failed) else 0
        if failed >= patience:
            break
    return found


def _target(answer: Json) -> tuple[str | None, str]:
    """A target as JSON text, or why it is none."""
    if answer is None or (isinstance(answer, str) and not answer.strip()):
        return None, "the teacher answered nothing"
    try:
        return dumps(answer), ""
    except DataError:
        return None, "the teacher's answer is not JSON"


def load_teacher(teacher: Any) -> Predictor:
    """The teacher, loaded where it is a folder. It is named in the loop file, and trusted as that is."""
    from trueup.models import LocalModel

    path = teacher.path if isinstance(teacher, LocalModel) else teacher
    made: Predictor = _loaded(path, _identity(path)["folder"]) if isinstance(path, Path) else teacher
    return made


@lru_cache(maxsize=2)
def _loaded(path: Path, _digest: str) -> Predictor:
    from trueup.models import load

    return load(path, trust_code=True)


def _identity(teacher: Any) -> dict[str, Any]:
    """What tells one teacher from another: no place on this machine, and all that it answers by."""
    from trueup.models import FunctionModel, LocalModel, read_manifest

    path = teacher.path if isinstance(teacher, LocalModel) else teacher
    if isinstance(path, Path):
        return {"folder": read_manifest(path).digest()}
    found: dict[str, Any] = {"value": values.to_json(teacher)}
    if isinstance(teacher, FunctionModel):
        function = teacher.function if callable(teacher.function) else values.resolve(teacher.function)
        found["code"] = values.source_digest(function)
    return found


def _name(teacher: Any) -> str:
    if isinstance(teacher, Path):
        return teacher.name
    name = getattr(teacher, "name", None) or getattr(teacher, "path", None)
    return str(name if name is not None else values.kind_of(teacher)).rpartition("/")[2]
