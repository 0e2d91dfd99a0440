# SPDX-License-Identifier: Apache-2.0
"""Boosted trees on hashed features, with XGBoost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from datetime import timedelta
from typing import Any, Literal

import numpy as np

from trueup.core.errors import ArgumentError, DataError
from trueup.core.protocols import Capabilities, RunContext, TrainJob, TrainResult
from trueup.core.values import value
from trueup.models import Features, Manifest, boosted, write_manifest
from trueup.train import fitting
from trueup.train.rows import Encoded, encode, in_order, need_two, read

_PARAMS = (
    "alpha", "base_score", "colsample_bylevel", "colsample_bynode", "colsample_bytree", "eta", "gamma",
    "grow_policy", "lambda", "learning_rate", "max_bin", "max_delta_step", "max_depth", "max_leaves",
    "min_child_weight", "min_split_loss", "multi_strategy", "reg_alpha", "reg_lambda",
    "scale_pos_weight", "subsample", "tree_method",
)
_WIDE = 1_000


@value("trainer.xgboost")
class Xgboost:
    """Trains boosted trees: one label, a list of labels (one model, a tree a label and round), a number.

    `params` are XGBoost's own over these defaults: ``eta=0.1, max_depth=6, min_child_weight=0.1``;
    above 1,000 columns ``colsample_bytree=0.1``, and without numeric fields ``max_bin=8`` (on film
    descriptions 2.5 times faster than 0.3 and 16, and no worse by F1). Only columns
    that `least` rows share are read. `features` and `threshold` as in Sklearn. It can go on from a model: `rounds`
    trees are added, on the columns that the model knows. `start="champion"` lets a loop go on from its
    champion, on the rows that it could not see; `rebase_every` starts anew, on the whole window, once
    so much time has passed since the last time: the model grows until then. With one thread (`threads`), equal
    jobs give equal bytes.
    """

    rounds: int = 100
    features: Features = Features()
    params: Mapping[str, Any] = field(default_factory=dict)
    threads: int = 1
    threshold: float | None = None
    least: int = 5
    start: Literal["scratch", "champion"] = "scratch"
    rebase_every: timedelta | None = None

    def __post_init__(self) -> None:
        fitting.check_start(self.start, self.rebase_every)
        for name, high in (("rounds", 100_000), ("threads", 1_024), ("least", 1_000_000)):
            number = getattr(self, name)
            if not isinstance(number, int) or not 1 <= number <= high:
                raise ArgumentError(f"expected {name} from 1 to {high}, got {number!r}")
        fitting.check_params("trainer.xgboost", self.params, _PARAMS)
        fitting.check_threshold(self.threshold)

    @property
    def requires(self) -> tuple[tuple[str, str], ...]:
        return (("xgboost", "classic"),)

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(("label", "labels", "number"), stateful=True, weights=True)

    def hinders(self, champion: Manifest, base: Manifest | None) -> str | None:
        """Why the champion cannot be gone on from; None where it can."""
        return fitting.hinders(champion, "xgboost", self.features)

    def fit(self, job: TrainJob, context: RunContext) -> TrainResult:
        """Write a model folder; a fault of the data is a result, not an exception."""
        return fitting.plainly(lambda: self._fit(job, context))

    def _fit(self, job: TrainJob, context: RunContext) -> TrainResult:
        library = boosted.xgboost()
        fitting.check_answers(job, self.capabilities)
        rows = read(job)
        fitting.check_fields(self.features, rows.inputs)
        matrix = self.features.transform(rows.inputs)
        encoded = encode(rows.targets, job.output)
        old = None
        if job.init is None:
            if job.output != "number":
                need_two(encoded)
            columns = fitting.seen(matrix, self.least, 2**self.features.bits)
        else:
            folder, manifest = fitting.going_on(job, "xgboost", self.features)
            fitting.same_labels(job, manifest.labels, encoded.labels)
            model = boosted.load(folder, manifest)
            old, columns, encoded = model.booster, model.columns, in_order(encoded, manifest.labels, job.output)
        data = library.DMatrix(
            matrix[:, columns], label=encoded.y, weight=rows.weights, nthread=self.threads
        )
        try:
            booster = library.train(
                self._settings(job, encoded, len(columns)), data, self.rounds, xgb_model=old,
                callbacks=[_progress(library, context, self.rounds)], verbose_eval=False,
            )
        except library.core.XGBoostError as error:
            raise _plain(error) from None
        if context.should_stop():
            raise fitting.Stopped
        booster.set_param({"nthread": 1})
        folder = context.workdir / "model"
        folder.mkdir(parents=True, exist_ok=True)
        boosted.save(folder, booster, columns)
        trees = booster.num_boosted_rounds()
        write_manifest(
            folder, format="xgboost", answers=job.output, labels=encoded.labels,  # type: ignore[arg-type]
            features=self.features, threshold=self.threshold, code=fitting.code_of(self),
            details={"rounds": trees, "xgboost": library.__version__},
        )
        facts = {
            "rows": len(rows), "labels": len(encoded.labels), "columns": len(columns), "rounds": trees,
            "versions": {"xgboost": library.__version__, "numpy": np.__version__},
        }
        return TrainResult("completed", folder, {"rows": float(len(rows))}, facts)

    def _settings(self, job: TrainJob, encoded: Encoded, columns: int) -> dict[str, Any]:
        settings: dict[str, Any] = {
            "nthread": self.threads, "seed": job.seed, "tree_method": "hist", "eta": 0.1, "max_depth": 6,
            "min_child_weight": 0.1, "verbosity": 1,
        }
        if columns > _WIDE:
            settings["colsample_bytree"] = 0.1
        if not self.features.numeric:
            settings["max_bin"] = 8
        if "learning_rate" in self.params:
            del settings["eta"]
        settings.update(self.params)
        if job.output == "number":
            settings["objective"] = "reg:squarederror"
        elif job.output == "label" and len(encoded.labels) > 2:
            settings |= {"objective": "multi:softprob", "num_class": len(encoded.labels)}
        else:
            settings["objective"] = "binary:logistic"
        return settings


def _progress(library: Any, context: RunContext, rounds: int) -> Any:
    class Progress(library.callback.TrainingCallback):  # type: ignore[misc]
        """Says how far the training is, and ends it where that was asked for."""

        def __init__(self) -> None:
            self._done = 0

        def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
            self._done += 1
            context.report(self._done, rounds)
            return context.should_stop()

    return Progress()


def _plain(error: Exception) -> Exception:
    text = str(error).strip()
    if "bad_alloc" in text or "emory" in text:
        return MemoryError(text.splitlines()[0][:200])
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return DataError(f"XGBoost refused the job: {lines[0][:300] if lines else 'no reason given'}")
