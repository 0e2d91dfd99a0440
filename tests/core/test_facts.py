# SPDX-License-Identifier: Apache-2.0
import pytest

from trueup.core.errors import DataError
from trueup.core.facts import Fact, Line, Measure, Note, Table, fact_from_plain, fact_to_plain
from trueup.core.json import dumps, loads


@pytest.mark.parametrize("fact", [
    Measure("challenger minus champion", 0.1, -0.1, 0.3, n=200, level=0.95),
    Line("difference", 3.0, 20.0, False, null="worse by the margin"),
    Table("arms", ("arm", "units", "mean"), (("champion", 10, 0.5), ("challenger", 9, None))),
    Note("canary.crossed", {"guard": "count", "n": 3}, "{guard} crossed after {n}"),
])
def test_a_fact_reads_its_own_json(fact: Fact) -> None:
    assert fact_from_plain(loads(dumps(fact_to_plain(fact)))) == fact


def test_what_is_no_fact_is_an_error() -> None:
    with pytest.raises(DataError, match="expected a fact of"):
        fact_from_plain({"fact": "rumour"})
