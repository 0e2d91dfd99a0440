# SPDX-License-Identifier: Apache-2.0
"""The demo's world is sized so that right decisions are reached, and wrong ones would be refused."""

from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from trueup.core.protocols import Prediction
from trueup.data.golden import golden_items
from trueup.evaluate import NoWorse
from trueup.lab.films import Audience, World, scenes
from trueup.lab.films.loop import loop
from trueup.lab.harm import units_to_see
from trueup.release import Canary, next_level
from trueup.state import ReleaseTest
from trueup.stats import MeanDetector, PairedTest, paired_pass_probability

MARGIN, UNITS = loop.carrier.no_worse_by, loop.carrier.units


def levels() -> list[float]:
    """The levels of the year's three tests, the first two being promoted."""
    past: list[ReleaseTest] = []
    found = []
    for k in (1, 2, 3):
        found.append(next_level(past, loop.risk, 0))
        past.append(ReleaseTest(k, found[-1], 0, True))
    return found


def test_the_shadow_decides_right_at_each_level_of_the_year():
    """TRU-02: better and equal challengers pass, one that is worse by the margin does not."""
    first, second, third = levels()
    assert (round(first, 4), round(second, 4), round(third, 4)) == (0.0089, 0.0128, 0.0152)
    assert paired_pass_probability(UNITS, 0.40, MARGIN, first, effect=0.30) > 0.99
    assert paired_pass_probability(UNITS, 0.15, MARGIN, first, effect=0.03) > 0.99
    for level in (second, third):
        assert paired_pass_probability(UNITS, 0.08, MARGIN, level) > 0.99
        assert paired_pass_probability(UNITS, 0.15, MARGIN, level, effect=-MARGIN, reps=4_000) < 1.3 * level + 0.005
        assert paired_pass_probability(UNITS, 0.15, MARGIN, level, effect=-0.10) < 0.001


def parameters() -> dict[str, object]:
    canary = next(stage for stage in loop.release if isinstance(stage, Canary))
    beta = loop.risk.needless_rollback
    return {
        "levels": {"count": beta / 4, "burden": beta / 4, "latency": beta / 2}, "p95": 0.2, "pi": canary.pi,
        "tolerance": canary.tolerance, "tolerance_abs": canary.tolerance_abs, "units": canary.units,
    }


def test_a_broken_process_is_seen_by_its_failures_alone_and_sooner_when_it_is_slow_as_well():
    """REL-03."""
    both, failures = units_to_see(parameters()), units_to_see({**parameters(), "p95": None})
    assert 5 < both < failures < 60


def test_a_healthy_process_is_hardly_ever_rolled_back():
    healthy = units_to_see(parameters(), fails=0.002, slow=0.05, repetitions=41, most=600)
    assert healthy == 600


# -- twenty worlds, without a ledger ----------------------------------------------------------------


def fit(films, genres=None):
    features = loop.trainer.features.transform([film.input for film in films])
    model = LogisticRegression(C=1.0, max_iter=300, tol=1e-3)
    model.fit(features, genres or [film.genre for film in films])

    def predict(inputs):
        return [Prediction(str(one)) for one in model.predict(loop.trainer.features.transform(inputs))]

    return predict


def some(world, n, *days):
    """`n` films, as many of each of these days."""
    return [film for day in days for film in world.films(n // len(days), day, "asked")]


def right(model, films):
    answers = model([film.input for film in films])
    return np.array([float(a.value == film.genre) for a, film in zip(answers, films, strict=True)])


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("seeds", [range(20, 27), range(27, 34), range(34, 41)], ids=str)
def test_the_year_comes_out_right_in_other_worlds(seeds):
    """Detector, gates and shadow on worlds of other seeds, with the rows that each would have."""
    for seed in seeds:
        world = World(seed=seed)
        raw = Audience(world).golden()
        items = golden_items("catalogue", raw, ("genre", "cohort"), "test")
        gate = replace(next(one for one in loop.gates if isinstance(one, NoWorse)), on=items)
        before = some(world, 2_700, date(2024, 11, 15), date(2024, 12, 15))
        winter = fit(before)
        scores = right(winter, some(world, 1_400, date(2025, 1, 8), date(2025, 1, 20)))
        wave = right(winter, some(world, 400, date(2025, 2, 2), date(2025, 2, 8)))
        calm = MeanDetector(0.20, 0.0, 1.0).run(1 - scores, 1 / 17_000)
        assert not calm.alarm, seed
        assert calm.run(1 - wave, 1 / 17_000).alarm, seed

        spring = fit(some(world, 1_080, date(2025, 1, 20), date(2025, 1, 30)) + some(world, 360, date(2025, 2, 5))
                     + before[::2])
        assert gate.judge(spring, winter, items, seed=0).passed, seed
        assert passes(spring, winter, some(world, UNITS, date(2025, 2, 20)), levels()[0]), seed

        rows = some(world, 1_440, date(2025, 3, 20), date(2025, 4, 3)) + some(
            world, 1_440, date(2024, 11, 16), date(2024, 12, 16), date(2025, 1, 16), date(2025, 2, 16))
        capped = fit(rows)
        assert gate.judge(capped, spring, items, seed=0).passed, seed
        assert passes(capped, spring, some(world, UNITS, date(2025, 4, 20)), levels()[1]), seed

        flood = world.films(743, date(2025, 4, 4), "flood", world.flood_from)
        poisoned = fit(rows + flood, [film.genre for film in rows] + [world.flood_to] * len(flood))
        refused = gate.judge(poisoned, spring, items, seed=0)
        failed = [part["slice"] for part in refused.evidence["parts"] if not part["passed"]]
        assert not refused.passed, seed
        assert world.flood_from in failed, seed


def passes(new, old, films, level):
    return PairedTest(level, UNITS, MARGIN).run(right(new, films), right(old, films)).rejected


def test_the_scenes_are_those_of_the_year():
    assert [title.split()[0] for title, _ in scenes.SCENES] == ["0", "1", "2", "3", "Summer", "4", "5"]
    assert Path(scenes.__file__).with_name("loop.py").is_file()
