# SPDX-License-Identifier: Apache-2.0
"""Language models: an adapter on a frozen base, or the whole model, trained in a loop of our own."""

from trueup.train.lora.config import Lora

__all__ = ["Lora"]
