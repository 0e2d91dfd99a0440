# SPDX-License-Identifier: Apache-2.0
"""Embedders: texts become vectors, by hashing alone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import xxhash

from trueup.core.errors import ArgumentError, DataError
from trueup.core.values import value

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Rows = NDArray[np.float32]

_WORD = re.compile(r"\w\w+")
_STEM = 5
_CACHED_WORDS = 200_000
_WORDS: dict[str, tuple[int, ...]] = {}


@value("embedder.hashing")
class HashingEmbedder:
    """Words, their first five letters, and letter pairs of scripts without spaces, hashed with a sign.

    It needs no model and learns nothing, so that it can never change; it sees that other words are
    used, not that the same words mean something else. `embed` gives (n, dimension) float32: counts
    as ``1 + ln(count)``, each row of length 1 (a text without a word is all zeros). The hash is
    XXH3 of 64 bits, seed 0.

    Parameters:
        dimension: 16 to 4096.

    >>> rows = HashingEmbedder(64).embed(["a quiet film", "quiet films", "loud music"])
    >>> bool(rows[0] @ rows[1] > rows[0] @ rows[2])
    True

    Source: Weinberger et al., ICML 2009.
    """

    dimension: int = 256

    def __post_init__(self) -> None:
        if isinstance(self.dimension, bool) or not 16 <= self.dimension <= 4096:
            raise ArgumentError(f"expected a dimension from 16 to 4096, got {self.dimension!r}")

    @property
    def name(self) -> str:
        """What lineage records: another name, other numbers."""
        return f"hashing-{self.dimension}"

    def embed(self, texts: Sequence[str]) -> Rows:
        """An array (n, dimension) of float32 for n texts; raises DataError for what is no text."""
        codes: list[int] = []
        ends = np.empty(len(texts), dtype=np.int64)
        for at, text in enumerate(texts):
            if not isinstance(text, str):
                raise DataError(f"expected a text in row {at}, got {text!r:.80}")
            for word in _WORD.findall(text.lower()):
                codes.extend(_WORDS.get(word) or _codes(word))
            ends[at] = len(codes)
        rows = np.repeat(np.arange(len(texts)), np.diff(ends, prepend=0))
        hashed = np.asarray(codes, dtype=np.uint64)
        signs = np.where(hashed >> np.uint64(63), -1.0, 1.0)
        columns = (hashed % np.uint64(self.dimension)).astype(np.int64)
        size = len(texts) * self.dimension
        flat = np.bincount(rows * self.dimension + columns, weights=signs, minlength=size)
        found = flat.reshape(len(texts), self.dimension).astype(np.float32)
        found = np.sign(found) * np.log1p(np.abs(found))
        length = np.sqrt((found * found).sum(axis=1, keepdims=True))
        found /= np.where(length > 0.0, length, 1.0)
        return found


def _codes(word: str) -> tuple[int, ...]:
    """The hashes of a word's parts, remembered: texts repeat their words."""
    parts = [f"w {word}"]
    if not word.isascii() and len(word) > 3:
        parts = [f"p {word[at : at + 2]}" for at in range(min(len(word) - 1, 64))]
    elif len(word) > _STEM:
        parts.append(f"s {word[:_STEM]}")
    found = tuple(xxhash.xxh3_64_intdigest(part.encode("utf-8", "surrogatepass")) for part in parts)
    if len(_WORDS) >= _CACHED_WORDS:
        _WORDS.clear()
    _WORDS[word] = found
    return found
