# SPDX-License-Identifier: Apache-2.0
"""A trainer of one's own: scikit-learn's gradient-boosted trees on histograms, and how its models load."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trueup.core.json import loads
from trueup.core.protocols import Capabilities, Prediction, TrainResult
from trueup.core.values import value
from trueup.models import write_manifest

FILE = "trees.joblib"


@value("elec2.trees")
class Trees:
    """HistGradientBoostingClassifier on the numbers in `fields` of an input: `iterations` of them."""

    fields: Sequence[str]
    iterations: int = 100

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(("label",))

    def fit(self, job: Any, context: Any) -> TrainResult:
        import joblib
        import pyarrow.parquet as pq
        from sklearn.ensemble import HistGradientBoostingClassifier

        rows = pq.read_table(Path(job.data.uri.removeprefix("file://")), columns=["input", "target"])
        inputs = [loads(text) for text in rows["input"].to_pylist()]
        targets = [loads(text) for text in rows["target"].to_pylist()]
        model = HistGradientBoostingClassifier(max_iter=self.iterations, random_state=job.seed)
        model.fit(numbers(inputs, self.fields), targets)
        folder = context.workdir / "model"
        folder.mkdir()
        joblib.dump(model, folder / FILE)
        write_manifest(folder, format="trees:load", answers="label", labels=model.classes_.tolist(), details={"fields": [*self.fields]})
        return TrainResult("completed", folder)


class Loaded:
    """A model that was trained before. Its file is code: it is loaded where the loop file is trusted."""

    def __init__(self, model: Any, fields: Sequence[str]) -> None:
        self.model, self.fields = model, fields

    def predict(self, inputs: Sequence[Any]) -> list[Prediction]:
        return [Prediction(one) for one in self.model.predict(numbers(inputs, self.fields)).tolist()] if inputs else []


def load(folder: Path, manifest: Any) -> Loaded:
    """The predictor in a folder that `Trees` wrote."""
    import joblib

    return Loaded(joblib.load(folder / FILE), manifest.details["fields"])


def numbers(inputs: Sequence[Any], fields: Sequence[str]) -> Any:
    """The fields of the inputs as a matrix."""
    import numpy as np

    return np.array([[one[name] for name in fields] for one in inputs], dtype=np.float64)
