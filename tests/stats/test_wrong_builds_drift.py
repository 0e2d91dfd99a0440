# SPDX-License-Identifier: Apache-2.0
"""Each test shows a plausible wrong build breaking its bound where ours holds: drift."""

import numpy as np

from trueup.stats import Alarm, BatchDetector, PinnedDetector, WitnessDetector
from trueup.stats.witness import BETS, _evalues, sequential_ranks


def witness_run(rng, same_rows, target=20, limit=80):
    reference = rng.normal(size=(400, 8))
    train, calibration = (reference, reference) if same_rows else (reference[:200], reference[200:])
    detector = WitnessDetector(train, calibration, 1.0, features=32, ridge=0.05, seed=1)
    for t in range(1, limit + 1):
        detector.update(rng.normal(size=(100, 8)), years=1 / target, rng=rng)
        if detector.alarm:
            return t
    return limit


def test_the_direction_and_the_calibration_do_not_share_rows():
    # 120 streams each, seed 121, one alarm in 20 batches promised
    rng = np.random.default_rng(121)
    wrong = [witness_run(rng, same_rows=True) for _ in range(120)]
    right = [witness_run(rng, same_rows=False) for _ in range(120)]
    assert np.mean(wrong) + 2 * np.std(wrong) / 120**0.5 < 20
    assert np.mean(right) >= 20


def test_rows_of_a_batch_are_ranked_among_each_other_too():
    # 300 streams, 10 batches of 500, a pool of 50, one alarm in 1,000 batches: bound .01
    rng = np.random.default_rng(122)

    def alarms(whole_batch):
        fired = 0
        for _ in range(300):
            pool, alarm = rng.random(50), Alarm(1.0, BETS.size)
            for _ in range(10):
                new = rng.random(500)
                if whole_batch:
                    p = (np.searchsorted(np.sort(pool), new) + rng.random(500)) / (pool.size + 1)
                else:
                    p = sequential_ranks(pool, new, rng.random(500))
                alarm.step(_evalues(p), years=1 / 1000)
                pool = np.concatenate([pool, new])
            fired += alarm.alarm
        return fired / 300

    assert alarms(whole_batch=True) > 0.05
    assert alarms(whole_batch=False) <= 0.01 + 2 * (0.01 * 0.99 / 300) ** 0.5


def ar(rng, rho, n):
    x = np.empty(n)
    x[0] = rng.normal()
    for i in range(1, n):
        x[i] = rho * x[i - 1] + (1 - rho**2) ** 0.5 * rng.normal()
    return x


def batch_run(rng, rho, limit=200, target=200):
    x = ar(rng, rho, 100 + limit)
    detector = BatchDetector(x[:100].tolist(), 1.0)
    for t in range(limit):
        detector.update(x[100 + t], years=1 / target, rng=rng)
        if detector.alarm:
            return detector.rated, t + 1
    return detector.rated, limit + 1


def test_batch_scores_with_memory_get_no_stated_rate():
    # 400 streams each, 100 calibration batches, one alarm in 200 batches, seed 123
    rng = np.random.default_rng(123)
    memory = [batch_run(rng, 0.8) for _ in range(400)]
    plain = [batch_run(rng, 0.0) for _ in range(400)]
    # wrong: to print the rate all the same; half of the streams alarm within 100 batches
    assert np.mean([t <= 80 for _, t in memory]) > 80 / 200 + 0.05
    assert np.mean([t <= 80 for _, t in plain]) <= 80 / 200
    assert np.mean([rated for rated, _ in memory]) == 0.0
    assert np.mean([rated for rated, _ in plain]) >= 0.90


def test_a_fixed_pool_of_100_breaks_its_rate():
    # 400 pools, 100 batches of 50 rows each, one alarm in 100 batches promised; seed 124
    rng = np.random.default_rng(124)

    def alarms(n, shrink):
        pools = np.sort(rng.random((400, n)), axis=1) + 2 * np.arange(400)[:, None]
        alarm, fired = Alarm(1.0, BETS.size, streams=400), 0
        for _ in range(100):
            new = rng.random((400, 50))
            at = np.searchsorted(pools.ravel(), (new + 2 * np.arange(400)[:, None]).ravel())
            p = (at.reshape(400, 50) - n * np.arange(400)[:, None] + rng.random((400, 50))) / (
                n + 1
            )
            steps = np.log1p(BETS[:, None] * (2 * (p[:, None, :] - shrink) - 1))
            alarm.step(np.exp(steps.sum(axis=2)), years=1 / 100)
            fired += int(alarm.alarm.sum())
            alarm.accept(alarm.alarm)
        return fired / 400

    ours = PinnedDetector(np.linspace(0, 1, 200), 1.0)
    assert alarms(100, shrink=0.0) > 1.5
    assert alarms(200, shrink=ours.shrink) <= 1.0
