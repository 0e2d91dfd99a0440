# SPDX-License-Identifier: Apache-2.0
"""In CI everything that a test needs is there: a skip is a failure. Ids and examples come from seeds, so what depends on them does too."""

from __future__ import annotations

import os
import random
from collections.abc import Generator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from trueup.core import ids

settings.register_profile("seeded", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("seeded")  # examples are drawn from the test's own text, and no machine is too slow for them


@pytest.fixture(autouse=True)
def _seeded_ids(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw the ids of this process from the test's name and TRUEUP_TEST_SEED; forks and subprocesses draw from the system."""
    owner, drawn = os.getpid(), random.Random(f"{os.environ.get('TRUEUP_TEST_SEED', '0')} {request.node.nodeid}")
    system = ids._system_bits
    monkeypatch.setattr(ids, "_system_bits", lambda n: drawn.getrandbits(n) if os.getpid() == owner else system(n))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    report = yield
    if report.skipped and os.environ.get("CI") == "true" and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped in CI: {report.longrepr}"
    return report
