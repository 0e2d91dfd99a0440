# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest

from trueup.core.errors import DataError, Refused
from trueup.data import GoldenSet, Recipe, add_items, build, freeze, frozen_digest, use, uses
from trueup.store import Ledger


def test_a_frozen_set_does_not_change(ledger: Ledger, tmp_path: Path) -> None:
    """EVL-01."""
    golden = GoldenSet("core", tmp_path / "core.jsonl")
    add_items(golden, [{"input": "a", "target": "x"}], ledger=ledger, loop="films")
    digest = freeze(ledger, "films", golden)
    assert freeze(ledger, "films", golden) == digest == frozen_digest(ledger, "films", "core")
    with pytest.raises(Refused, match="frozen"):
        add_items(golden, [{"input": "b", "target": "x"}], ledger=ledger, loop="films")
    golden.path.write_text('{"input": "a", "target": "changed"}\n')
    for call in (
        lambda: freeze(ledger, "films", golden),
        lambda: use(ledger, "films", golden, "gate", "c-1"),
        lambda: build(Recipe(), ledger, loop="films", target="genre", cut=0, now_us=0, golden=[golden]),
    ):
        with pytest.raises(DataError, match=digest[:16]) as caught:
            call()
        assert golden.load().digest[:16] in str(caught.value)
        assert "cure: restore the file" in str(caught.value)


def test_every_use_is_counted_once(ledger: Ledger, tmp_path: Path) -> None:
    golden = GoldenSet("core", tmp_path / "core.jsonl")
    add_items(golden, [{"input": "a", "target": "x"}])
    assert uses(ledger, "films", "core") == 0
    assert use(ledger, "films", golden, "gate accuracy", "c-1") == 1
    assert use(ledger, "films", golden, "gate accuracy", "c-1") == 1  # a step run again
    assert use(ledger, "films", golden.load(), "gate accuracy", "c-2") == 2
    assert use(ledger, "films", golden, "gate f1", "c-2") == 3
    assert uses(ledger, "films", "other") == 0
