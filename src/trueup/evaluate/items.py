# SPDX-License-Identifier: Apache-2.0
"""Golden items as gates see them: inputs, labels, slices; the order they are scored in; answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from trueup.core.errors import DataError, ModelError, TrueupError
from trueup.core.json import Json, dumps, sha256
from trueup.core.protocols import Answer, Prediction
from trueup.evaluate.labels import label_set


class Items(Protocol):
    """A golden or rolling set that has been read: parallel sequences, one entry an item.

    `slices` maps the name of a slicing ("genre", "cohort") to the slice of each item, None where
    an item is in none. `digest` is that of the whole set.
    """

    @property
    def name(self) -> str: ...
    @property
    def digest(self) -> str: ...
    @property
    def ids(self) -> Sequence[str]: ...
    @property
    def inputs(self) -> Sequence[Json]: ...
    @property
    def targets(self) -> Sequence[Json]: ...
    @property
    def slices(self) -> Mapping[str, Sequence[str | None]]: ...


class Named(Protocol):
    """What a gate is on: the definition of a golden or rolling set."""

    @property
    def name(self) -> str: ...


def gate_seed(digest: str, candidate: str) -> int:
    """The seed of a gate: fixed by the set and the candidate, so that no order can be chosen."""
    return int(sha256(f"{digest}\0{candidate}")[:15], 16)


def order(items: Items, seed: int) -> NDArray[np.intp]:
    """The items in a random order fixed by seed, set and ids, whatever order they are stored in."""
    ids = items.ids
    by_id = np.asarray(sorted(range(len(ids)), key=ids.__getitem__), np.intp)
    mixed = int(sha256(f"{items.digest}\0{seed}")[:16], 16)
    return by_id[np.random.default_rng(mixed).permutation(by_id.size)]


def groups(items: Items, by: str) -> dict[str, NDArray[np.intp]]:
    """The places of the items of each slice of a slicing, by name."""
    if by not in items.slices:
        known = ", ".join(sorted(items.slices)) or "none"
        raise DataError(
            f"expected a slicing of the golden set {items.name}, got {by!r}",
            cure=f"its slicings: {known}; name the column in the set's slices",
        )
    found: dict[str, list[int]] = {}
    for place, name in enumerate(items.slices[by]):
        if name is not None:
            found.setdefault(name, []).append(place)
    return {name: np.asarray(places, np.intp) for name, places in sorted(found.items())}


def ask(who: str, answer: Answer, items: Items) -> list[Prediction]:
    """One answer an item, or ModelError: what it raised, or how many answers it gave."""
    try:
        answers = list(answer(items.inputs))
    except Exception as error:  # whatever a model raises is a failed answer, and the gate says so
        first = (str(error).splitlines() or [""])[0]
        raise ModelError(f"the {who} could not answer {items.name}: {type(error).__name__}: {first:.200}") from error
    if len(answers) != len(items.inputs):
        raise ModelError(
            f"the {who} gave {len(answers)} answers to the {len(items.inputs)} items of {items.name}"
        )
    wrong = next((one for one in answers if not isinstance(one, Prediction)), None)
    if wrong is not None:
        raise ModelError(f"the {who} gave a {type(wrong).__name__} where a Prediction was expected")
    return answers


def answer_key(answer: Prediction) -> str:
    """Equal for equal answers; lists of labels are sets."""
    labels = label_set(answer.value)
    if labels is not None:
        return dumps(sorted(labels))
    try:
        return dumps(answer.value)
    except TrueupError:
        return repr(answer.value)


def disagreement(new: Sequence[Prediction], champ: Sequence[Prediction]) -> float | None:
    """The share of items that two models answer differently, labels unread; None without items."""
    if not new:
        return None
    return sum(answer_key(a) != answer_key(b) for a, b in zip(new, champ, strict=True)) / len(new)


class Remembered:
    """An answer function that asks its model once for each set of inputs: gates share the answers."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._known: dict[str, list[Prediction]] = {}

    def __call__(self, inputs: Sequence[Json]) -> list[Prediction]:
        key = sha256(dumps(list(inputs)))
        if key not in self._known:
            self._known[key] = self._answer(inputs)
        return self._known[key]
