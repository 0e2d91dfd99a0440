# SPDX-License-Identifier: Apache-2.0
"""The models of the candidates that serve, loaded once each."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

from trueup.client._source import Source
from trueup.core.errors import DataError, NotFound
from trueup.core.references import Ref

if TYPE_CHECKING:
    from trueup.core.protocols import Predictor

KEEP = 4
"""Models held at once: champion and challenger, and the pair before them."""


class Models:
    """Loads a candidate's model, verified against its digest, and keeps the last few used."""

    def __init__(self, loop: str, source: Source) -> None:
        self._loop = loop
        self._source = source
        self._lock = threading.Lock()
        self._loaded: OrderedDict[str, Predictor] = OrderedDict()

    def get(self, candidate: str | None, *, trust_code: bool = False) -> Predictor:
        """The predictor of a candidate; raises NotFound, StoreError or ModelError."""
        if candidate is None:
            raise NotFound(
                f"expected a champion in the loop {self._loop!r}, which has none yet",
                cure="give the loop a champion: run the loop, or name one in its definition",
            )
        with self._lock:
            if candidate not in self._loaded:
                self._loaded[candidate] = self._load(candidate, trust_code)
                while len(self._loaded) > KEEP:
                    self._loaded.popitem(last=False)
            self._loaded.move_to_end(candidate)
            return self._loaded[candidate]

    def _load(self, candidate: str, trust_code: bool) -> Predictor:
        from trueup.models import load, with_parameters

        with self._source.use() as ledger:
            record = ledger.get(self._loop, "candidate", candidate)
            if record is None:
                raise NotFound(
                    f"expected the candidate {candidate} in the loop {self._loop!r}: no such record"
                )
            if "model" not in record:
                raise DataError(
                    f"expected a model in the candidate {candidate}, got {sorted(record)}"
                )
            ref = Ref.from_json(record["model"])
            ledger.artifacts.verify(ref)
            folder = ledger.artifacts.path(ref)
        return with_parameters(load(folder, trust_code=trust_code), record.get("parameters") or {})
