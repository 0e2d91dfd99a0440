# SPDX-License-Identifier: Apache-2.0
"""Floor 2: everything that answers: model folders, features, and the predictors of each format."""

from trueup.models.constant import ConstantModel
from trueup.models.embedders import HashingEmbedder
from trueup.models.encoder import Encoder
from trueup.models.features import Features, features_of
from trueup.models.foreign import checked_data
from trueup.models.function import FunctionModel, ParameterFunctionModel
from trueup.models.local import LocalModel, load
from trueup.models.manifest import Manifest, read_manifest, write_manifest
from trueup.models.parameters import require_parameters, with_parameters
from trueup.models.prompts import Prompt

__all__ = [
    "ConstantModel",
    "Encoder",
    "Features",
    "FunctionModel",
    "HashingEmbedder",
    "LocalModel",
    "Manifest",
    "ParameterFunctionModel",
    "Prompt",
    "checked_data",
    "features_of",
    "load",
    "read_manifest",
    "require_parameters",
    "with_parameters",
    "write_manifest",
]
