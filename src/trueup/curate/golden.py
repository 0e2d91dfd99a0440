# SPDX-License-Identifier: Apache-2.0
"""Golden items never train: rows that repeat one, whole or in part, are found and dropped.

A row is dropped where its whole normalised input equals a golden input, or where one of its texts
shares 13 consecutive words with a text of a golden item (Brown et al. 2020, appendix C). Golden
texts of 8 to 12 words are found inside longer texts too, as a whole; shorter ones only as the
whole input, since such phrases occur by chance. N-grams stay within one text: the values of a
table's columns are not a sentence.

Speed: a run of n words holds, wherever it begins, one of the row's words i..i+m-1 with i a
multiple of m, for m = (n + 1) // 2. So one word in m is looked up, and only rows with a hit are
read word by word.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from json import loads
from typing import Any

import numpy as np
import pyarrow as pa

from trueup.core.errors import ArgumentError
from trueup.core.json import Json
from trueup.core.protocols import Curated
from trueup.curate.rows import leaves, module_digest, take

N = 13
SHORT = 8
_TABLE = bytes(
    ord(chr(c).lower()) if chr(c).isalnum() or c == ord("_") else 32 for c in range(128)
) + bytes(range(128, 256))
# Scripts written without spaces are taken character by character.
_APART = "\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
_LETTER_BY_LETTER = re.compile(f"[{_APART}]")
_ASCII = frozenset(map(chr, range(128)))
_WORDS = re.compile(rf"[{_APART}]|[^\W{_APART}]+")


class GoldenIndex:
    """The texts of golden sets, looked up fast. `golden` maps a set's name to its items' inputs.

    `targets` may map the same names to the items' targets: those of at least `SHORT` words are
    looked for in the rows' inputs and targets, as the inputs are.
    """

    def __init__(
        self,
        golden: Mapping[str, Sequence[Json]],
        targets: Mapping[str, Sequence[Json]] | None = None,
        *,
        n: int = N,
    ) -> None:
        if n < SHORT:
            raise ArgumentError(f"expected n of at least {SHORT} words, got {n!r}")
        self.n = n
        self._whole: dict[bytes, str] = {}
        self._grams: dict[int, dict[bytes, str]] = {}
        self._probes: dict[int, set[bytes]] = {}
        self._in_targets = False
        for name, items in golden.items():
            for item in items:
                found = leaves(item)
                texts = [_words(leaf) for _, leaf in found]
                self._whole.setdefault(_whole(found, texts), name)
                self._add(name, texts)
        for name, items in (targets or {}).items():
            for item in items:
                texts = [_words(leaf) for _, leaf in leaves(item)]
                self._in_targets = self._in_targets or any(len(words) >= SHORT for words in texts)
                self._add(name, texts)

    @staticmethod
    def version() -> str:
        """The digest of the code that decides what repeats a golden item."""
        return module_digest(__name__, "trueup.curate.rows")

    def _add(self, name: str, texts: Iterable[list[bytes]]) -> None:
        for words in texts:
            size = min(len(words), self.n)
            if size < SHORT:
                continue
            grams = self._grams.setdefault(size, {})
            for start in range(len(words) - size + 1):
                grams.setdefault(b" ".join(words[start : start + size]), name)
            step = self._step(size)
            probes = self._probes.setdefault(step, set())
            for start in range(len(words) - step + 1):
                probes.add(b" ".join(words[start : start + step]))

    def _step(self, size: int) -> int:
        return (self.n + 1) // 2 if size == self.n else (SHORT + 1) // 2

    def find(self, given: str, target: str | None = None) -> str | None:
        """Why the row with this input (JSON text) repeats a golden item, or None."""
        data = _parsed(given)
        if isinstance(data, str):
            words = _words(data)
            name = self._whole.get(b" ".join(words) or data.encode("utf-8", "surrogatepass"))
            found = self._shared(words) if name is None else None
        else:
            parts = leaves(data)
            texts = [_words(leaf) for _, leaf in parts]
            name = self._whole.get(_whole(parts, texts))
            found = None
            for words in texts if name is None else ():
                found = found or self._shared(words)
        if name is not None:
            return f"same input as golden {name}"
        if found is None and self._in_targets and target is not None:
            for _, leaf in leaves(_parsed(target)):
                found = found or self._shared(_words(leaf))
        return found

    def _shared(self, words: list[bytes]) -> str | None:
        if len(words) < SHORT:
            return None
        for step, probes in self._probes.items():
            for start in range(0, len(words) - step + 1, step):
                if b" ".join(words[start : start + step]) in probes:
                    return self._exact(words)
        return None

    def _exact(self, words: list[bytes]) -> str | None:
        for size, grams in self._grams.items():
            for start in range(len(words) - size + 1):
                name = grams.get(b" ".join(words[start : start + size]))
                if name is not None:
                    return f"{size} words in a row of golden {name}"
        return None


def exclude_golden(
    rows: pa.Table,
    golden: GoldenIndex | Mapping[str, Sequence[Json]],
    targets: Mapping[str, Sequence[Json]] | None = None,
) -> Curated:
    """The rows that repeat no golden item; those that do, counted by golden set and by how."""
    index = golden if isinstance(golden, GoldenIndex) else GoldenIndex(golden, targets)
    reasons: Counter[str] = Counter()
    keep = np.ones(rows.num_rows, dtype=bool)
    place = 0
    for batch in rows.select(["input", "target"]).to_batches(max_chunksize=65_536):
        given, wanted = batch["input"].to_pylist(), batch["target"].to_pylist()
        for text, target in zip(given, wanted, strict=True):
            reason = index.find(text, "null" if target is None else target)
            if reason is not None:
                keep[place] = False
                reasons[reason] += 1
            place += 1
    return Curated(take(rows, keep) if reasons else rows, dict(sorted(reasons.items())))


def _parsed(text: str) -> Any:
    try:
        return loads(text)
    except (ValueError, RecursionError):
        return text


def _words(leaf: Any) -> list[bytes]:
    if not isinstance(leaf, str):
        return []
    if leaf.isascii():
        return leaf.encode().translate(_TABLE).split()
    text = unicodedata.normalize("NFKC", leaf).lower()
    others = "".join(set(text).difference(_ASCII))
    if _LETTER_BY_LETTER.search(others):
        return [word.encode("utf-8", "surrogatepass") for word in _WORDS.findall(text)]
    for mark in others:
        if not mark.isalnum():
            text = text.replace(mark, " ")
    return text.encode("utf-8", "surrogatepass").translate(_TABLE).split()


def _whole(parts: Sequence[tuple[str, Any]], texts: Sequence[list[bytes]]) -> bytes:
    """One spelling of a whole input: a single value by itself, several with their paths; no nulls."""
    said = []
    for (path, leaf), words in zip(parts, texts, strict=True):
        if leaf is not None:
            said.append((path, b" ".join(words) or _spelt(leaf).encode("utf-8", "surrogatepass")))
    if len(said) == 1:
        return said[0][1]
    return b"\x1f".join(path.encode("utf-8", "surrogatepass") + b"\x1e" + text for path, text in said)


def _spelt(leaf: Any) -> str:
    """A scalar's text; 1 and 1.0 are one number, as files spell it."""
    if isinstance(leaf, float) and leaf.is_integer() and abs(leaf) < 2**53:
        return str(int(leaf))
    return str(leaf)
