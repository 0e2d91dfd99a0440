# SPDX-License-Identifier: Apache-2.0
"""The format "function": a function of the user's own code answers. Trusted code only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trueup.core import values
from trueup.core.errors import DefinitionError, ModelError
from trueup.core.json import Json
from trueup.core.protocols import Prediction, Predictor
from trueup.core.task import Answers
from trueup.core.values import value
from trueup.models.answers import checked
from trueup.models.manifest import Manifest, write_manifest


@value("model.function")
class FunctionModel:
    """Answers with a function at module level: a list of inputs in, a list of answers out.

    `function` is the function itself, or its name as "module:function". An answer is plain JSON,
    or a Prediction with scores. It runs in the process that asks, so that it must be trusted.
    """

    function: Any

    def __post_init__(self) -> None:
        if isinstance(self.function, str):
            module, _, name = self.function.partition(":")
            if not module or not name:
                raise DefinitionError(f"expected 'module:function', got {self.function!r}")
        elif not callable(self.function):
            raise DefinitionError(f"expected a function or 'module:function', got {self.function!r:.80}")
        else:
            values.name_of(self.function)

    @property
    def name(self) -> str:
        """`module:function`."""
        return self.function if isinstance(self.function, str) else values.name_of(self.function)

    def predict(self, inputs: Sequence[Json]) -> list[Prediction]:
        return self.answers(inputs)

    def answers(self, inputs: Sequence[Json], *more: Any) -> list[Prediction]:
        """What the function answers, called with the inputs and `more`."""
        found = self.function if callable(self.function) else values.resolve(self.function)
        try:
            answers = found(list(inputs), *more)
        except Exception as error:
            raise ModelError(f"expected answers from {self.name}, got {type(error).__name__}: {error}") from error
        return checked(answers, inputs, self.name)

    def details(self) -> dict[str, Json]:
        """What a manifest says of the function."""
        return {"function": self.name}

    def write(self, folder: Path, answers: Answers) -> Manifest:
        """Write a model folder that names the function, with the digest of its source."""
        found = self.function if callable(self.function) else values.resolve(self.function)
        folder.mkdir(parents=True, exist_ok=True)
        return write_manifest(
            folder, format="function", answers=answers, code=values.source_digest(found),
            details=self.details()
        )


@value("model.parameter_function")
class ParameterFunctionModel(FunctionModel):
    """A FunctionModel whose function takes the candidate's parameters beside the inputs.

    `function(inputs, parameters)` gets a list of inputs and the parameters by name; without a candidate
    they are empty.
    """

    def __post_init__(self) -> None:
        FunctionModel.__post_init__(self)

    def predict(self, inputs: Sequence[Json]) -> list[Prediction]:
        return self.with_parameters({}).predict(inputs)

    def details(self) -> dict[str, Json]:
        """What a manifest says of the function: that it takes parameters as well."""
        return {"function": self.name, "parameters": True}

    def with_parameters(self, parameters: Mapping[str, Json]) -> Predictor:
        """The model that answers with these parameters."""
        return _WithParameters(self, dict(parameters))


@dataclass(frozen=True, slots=True)
class _WithParameters:
    """A function with the parameters that it is called with."""

    model: ParameterFunctionModel
    parameters: dict[str, Json]

    def predict(self, inputs: Sequence[Json]) -> list[Prediction]:
        return self.model.answers(inputs, self.parameters)


def load(folder: Path, manifest: Manifest) -> FunctionModel:  # noqa: ARG001
    """The predictor; raises ModelError where the function is gone or its source has changed."""
    name = manifest.details.get("function")
    if not isinstance(name, str):
        raise ModelError(f"expected the name of a function in the details, got {name!r:.80}")
    try:
        model = (ParameterFunctionModel if manifest.details.get("parameters") is True else FunctionModel)(name)
        found = values.resolve(name)
    except DefinitionError as error:
        raise ModelError(error.message, cure="put the module back on the path") from None
    if values.source_digest(found) != manifest.code:
        raise ModelError(
            f"expected {name} with the source {manifest.code[:16]}..., but it was edited since",
            cure="write the model again from the edited function, as a new candidate",
        )
    return model
