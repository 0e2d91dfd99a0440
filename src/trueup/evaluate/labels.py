# SPDX-License-Identifier: Apache-2.0
"""What an answer says, as labels: 1 and "1" are one label, a list is a set of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from trueup.core import scalars
from trueup.core.json import Json
from trueup.core.protocols import Unmeasured

NO_LABEL = Unmeasured("no label")
NOT_A_LABEL = Unmeasured("the label is neither a label nor a list of labels")


def label_key(item: Json) -> str | None:
    """The name of a label: text as it is, true and false, numbers in their shortest form.

    None where it is no label: null, a list, a mapping, NaN or infinite.
    """
    return scalars.name(item)


def label_set(item: Json) -> frozenset[str] | None:
    """The labels of an answer: one, or those of a list; None where it has none to give."""
    if isinstance(item, Sequence) and not isinstance(item, str):
        keys = [label_key(part) for part in item]
        return None if None in keys else frozenset(key for key in keys if key is not None)
    key = label_key(item)
    return None if key is None else frozenset((key,))


def truth_of(label: Json) -> frozenset[str] | Unmeasured:
    """The labels that are right, or why it cannot be said."""
    if label is None:
        return NO_LABEL
    found = label_set(label)
    return NOT_A_LABEL if found is None else found


def score_of(scores: Mapping[str, float] | None, label: str) -> float | None:
    """The probability that a model gave to a label; 0 where it knows others only; None if broken."""
    if scores is None:
        return None
    found = scores.get(label)
    if found is None:  # a model of one's own may spell its labels as it likes
        found = next((score for name, score in scores.items() if scalars.name(name) == label), 0.0)
    score = float(found)
    return score if math.isfinite(score) else None
