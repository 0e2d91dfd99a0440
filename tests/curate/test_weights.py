# SPDX-License-Identifier: Apache-2.0
"""CUR-12: importance weights from logged propensities, from the log to the Snapshot."""

from contextlib import closing
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from trueup.client import connect, explore
from trueup.core.clock import ManualClock, to_us
from trueup.core.errors import ArgumentError, DataError
from trueup.curate import ROWS, ImportanceWeights, run_step
from trueup.data import Recipe, build, verify
from trueup.store import Ledger


def table(*propensities, weight=1.0) -> pa.Table:
    return pa.Table.from_pylist([
        {"row_id": f"r{at}", "ts": at, "known": at, "unit": f"u{at}", "input": '"x"', "target": "1", "weight": weight,
         "arm": "champion", "candidate": "c", "cohort": "2026-01", "part": "new", "propensity": p}
        for at, p in enumerate(propensities)
    ], schema=ROWS)


def test_weights_are_inverse_capped_and_of_mean_one() -> None:
    done = run_step(ImportanceWeights(cap=10.0, least=1), table(0.5, 0.5, 0.25, 0.01), 0)
    weights = done.rows["weight"].to_numpy()
    assert weights == pytest.approx(np.array([2, 2, 4, 10]) / 4.5)
    assert done.facts["rows at the cap"] == 1
    assert done.facts["effective rows"] == pytest.approx(18**2 / 124, abs=0.05)
    kept = run_step(ImportanceWeights(least=1), table(0.5, 0.25, weight=3.0), 0).rows["weight"].to_numpy()
    assert kept == pytest.approx([2.0, 4.0])


def test_the_weighted_mean_is_that_of_all_answers() -> None:
    """CUR-12: without bias, where the rows as they are have plenty."""
    rng = np.random.default_rng(5)
    rates = np.array([0.6, 0.1, 0.1, 0.1])
    shown = [explore(f"c{at}", range(4), epsilon=0.4) for at in range(8_000)]
    clicked = np.array([rng.random() < rates[one.answer] for one in shown], dtype=float)
    rows = run_step(ImportanceWeights(cap=20), table(*(one.propensity for one in shown)), 0).rows
    weights = rows["weight"].to_numpy()
    assert abs(clicked.mean() - rates.mean()) > 0.15
    assert abs((weights * clicked).sum() / weights.sum() - rates.mean()) < 0.03


def test_what_cannot_be_weighted_is_refused_in_words() -> None:
    with pytest.raises(DataError, match="2 of 3 have none") as error:
        run_step(ImportanceWeights(least=1), table(0.5, None, None), 0)
    assert "propensity=p" in str(error.value.cure)
    with pytest.raises(DataError, match="effective rows"):
        run_step(ImportanceWeights(cap=1e6), table(*[1.0] * 200, 1e-5), 0)
    with pytest.raises(DataError, match="none"):
        run_step(ImportanceWeights(missing="drop"), table(None, None), 0)
    dropped = run_step(ImportanceWeights(least=1, missing="drop"), table(0.5, None, 0.5), 0)
    assert dropped.dropped == {"no propensity": 1}
    for wrong in ({"cap": 0.5}, {"least": 0}, {"missing": "guess"}):
        with pytest.raises(ArgumentError):
            ImportanceWeights(**wrong)


def test_an_answer_is_drawn_with_the_probability_that_is_given_back() -> None:
    """REL-12: epsilon-greedy over an application's own answers, the same again for the same choice."""
    drawn = [explore(f"c-{at}", ["a", "b", "c", "d"], epsilon=0.2) for at in range(20_000)]
    for place, answer in enumerate("abcd"):
        mine = [one for one in drawn if one.place == place]
        assert {one.answer for one in mine} == {answer}
        assert {round(one.propensity, 12) for one in mine} == {0.85 if place == 0 else 0.05}
        assert abs(len(mine) / 20_000 - mine[0].propensity) < 4 * np.sqrt(0.25 / 20_000)
    assert explore("c-7", ["a", "b"], epsilon=0.5) == explore("c-7", ["a", "b"], epsilon=0.5)
    assert explore("c", ["a"], epsilon=1.0) == ("a", 1.0, 0)
    assert explore("c", ["a", "b"], epsilon=0.0).propensity == 1.0
    for answers, epsilon in (([], 0.1), ("ab", 0.1), (["a"], 1.5), (["a"], True)):
        with pytest.raises(ArgumentError):
            explore("c", answers, epsilon=epsilon)


def test_an_answer_at_several_places_has_the_sum_of_their_probabilities() -> None:
    """REL-12: the propensity that is logged is that of the answer, not of its place."""
    assert explore("c1", ["x", "x"], epsilon=0.1).propensity == 1.0
    answers = ["a", "b", "a", "b", "c"]
    drawn = [explore(f"c-{at}", answers, epsilon=0.4) for at in range(20_000)]
    for answer, p in (("a", 0.76), ("b", 0.16), ("c", 0.08)):
        mine = [one for one in drawn if one.answer == answer]
        assert {round(one.propensity, 12) for one in mine} == {p}
        assert abs(len(mine) / 20_000 - p) < 4 * np.sqrt(0.25 / 20_000)
    assert explore("c", [1, True], epsilon=1.0).propensity == 0.5
    assert explore("c", [{"id": 1}, {"id": 1}], epsilon=1.0).propensity == 1.0
    assert explore("c", [np.zeros(2), np.ones(2)], epsilon=0.0).place == 0


@pytest.mark.parametrize("explores", [True, False])
def test_a_propensity_reaches_the_snapshot_and_its_absence_leaves_it_as_it_was(tmp_path, explores) -> None:
    """CUR-12: client.log(propensity=) to weighted rows; without one a Snapshot has no such column."""
    clock = ManualClock(datetime(2026, 1, 1, tzinfo=UTC))
    steps = (ImportanceWeights(least=10),) if explores else ()
    with closing(Ledger.open(tmp_path, clock=clock)) as ledger:
        with connect("l", tmp_path, clock=clock) as client:
            for at in range(40):
                clock.advance(timedelta(minutes=1))
                choice = client.choose(f"u{at}")
                client.log(choice, f"text {at}", "a", propensity=(0.25 if at % 4 else 0.75) if explores else None)
                client.feedback(choice.id, "label", "ab"[at % 2])
            for wrong in (0.0, 1.01, True, "0.5"):
                with pytest.raises(ArgumentError, match="propensity"):
                    client.log(client.choose("u"), "x", propensity=wrong)
        made = build(
            Recipe(window=None, min_rows=10, curate=steps), ledger, loop="l", target="label", cut=ledger.cut(),
            now_us=to_us(clock.now()),
        ).snapshot
        rows = made.rows()
        assert rows.schema.equals(ROWS)
        assert verify(ledger, made.id, "l") == []
        file = pq.read_table(ledger.artifacts.path(made.data))
        assert ("propensity" in file.column_names) is explores
        if explores:
            assert set(rows["propensity"].to_pylist()) == {0.25, 0.75}
            assert rows["weight"].to_numpy().mean() == pytest.approx(1.0)
        else:
            assert rows["propensity"].null_count == 40
