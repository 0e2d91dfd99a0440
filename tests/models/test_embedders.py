# SPDX-License-Identifier: Apache-2.0
"""Vectors of texts (ING-07): the same on every machine, near for like words."""

from __future__ import annotations

import numpy as np
import pytest

from trueup.core.errors import ArgumentError, DataError
from trueup.models import HashingEmbedder
from trueup.testing.conformance import check_value


def test_hashing_gives_the_same_numbers_for_ever() -> None:
    """VER-07: the name stands in lineage; another spelling of the numbers needs another name."""
    embedder = HashingEmbedder(16)
    check_value(embedder)
    assert embedder.name == "hashing-16"
    rows = embedder.embed(["a quiet film about films", "", "日本語の文"])
    assert rows.shape == (3, 16)
    assert rows.dtype == np.float32
    assert np.linalg.norm(rows, axis=1).round(5).tolist() == [1.0, 0.0, 1.0]
    assert np.flatnonzero(rows[0]).tolist() == NONZERO
    assert embedder.embed([]).shape == (0, 16)
    near, far = HashingEmbedder().embed(["markets fell on monday", "the market fell", "a cat sat"]) @ HashingEmbedder().embed(["markets fall"]).T, 0
    assert near[0] > near[2] + far


def test_hostile_texts_are_refused_or_survived() -> None:
    assert np.isfinite(HashingEmbedder(16).embed(["\ud800 \x00 " + "w" * 100_000])).all()
    with pytest.raises(DataError, match="row 1"):
        HashingEmbedder(16).embed(["a", 7])  # type: ignore[list-item]
    with pytest.raises(ArgumentError, match="16 to 4096"):
        HashingEmbedder(8)


NONZERO = [1, 6, 7, 15]
