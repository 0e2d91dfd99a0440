# SPDX-License-Identifier: Apache-2.0
"""The parts that 918322a knew: their kinds, their JSON and their digests, which enter those of loops."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from trueup.core import values
from trueup.loop.context import know_kinds

KNOWN: dict[str, Any] = json.loads((Path(__file__).parents[1] / "fixtures" / "kinds.json").read_text("utf-8"))
know_kinds()


def test_every_kind_is_still_registered() -> None:
    assert set(KNOWN["kinds"]) <= set(values.kinds())


@pytest.mark.parametrize("kind", sorted(KNOWN["defaults"]))
def test_a_part_has_the_json_and_the_digest_that_it_had(kind: str) -> None:
    then = KNOWN["defaults"][kind]
    part = values.from_json(then["json"])
    assert values.to_json(part) == then["json"]
    assert values.digest(part) == then["digest"]
