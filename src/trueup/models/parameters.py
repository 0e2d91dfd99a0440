# SPDX-License-Identifier: Apache-2.0
"""The parameters of a candidate reach its model, or its answers may not be judged without them."""

from __future__ import annotations

from collections.abc import Mapping

from trueup.core.errors import Refused
from trueup.core.json import Json
from trueup.core.protocols import ParameterPredictor, Predictor


def with_parameters(model: Predictor, parameters: Mapping[str, Json]) -> Predictor:
    """The model with a candidate's parameters, where it takes any; else the model as it is."""
    return model.with_parameters(parameters) if parameters and isinstance(model, ParameterPredictor) else model


def require_parameters(model: Predictor, parameters: Mapping[str, Json], of: str) -> None:
    """Raises Refused where the candidate `of` has parameters and its model takes none."""
    if parameters and not isinstance(model, ParameterPredictor):
        raise Refused(
            f"expected a model that takes the parameters of {of} ({', '.join(sorted(parameters))}), got a "
            f"{type(model).__name__}, which answers the same whatever they are: a Shadow or a gate would not test them",
            cure="test it by an AB, a Bandit or an Interleave, where the application applies choice.parameters; or "
            "serve a model that takes parameters, such as ParameterFunctionModel",
        )
