# SPDX-License-Identifier: Apache-2.0
"""A real ledger in a temporary home, and ways to break it."""

import contextlib
import resource
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from trueup.core import Decision
from trueup.route import Routing, raise_share
from trueup.store import Ledger


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("TRUEUP_HOME", raising=False)
    return tmp_path / "home"


@pytest.fixture
def ledger(home: Path) -> Iterator[Ledger]:
    with Ledger.open(home) as opened:
        yield opened


@pytest.fixture
def decide(ledger: Ledger) -> Callable[[Any], int]:
    """Give the loop `news` a routing (a Routing, or anything as its JSON); the generation it got."""

    def give(routing: Any) -> int:
        generation, state = ledger.state("news")
        data = routing.to_json() if isinstance(routing, Routing) else routing
        decision = Decision(
            "news", 1_700_000_000_000_000, "route", "NOTE", "a test", {**state, "routing": data}
        )
        return ledger.decide(decision, expect=generation).generation

    return give


@pytest.fixture
def half() -> Routing:
    """Every unit is enrolled, at pi = .5."""
    parameters = {"challenger": {"t": [0.2]}}
    return raise_share(Routing("c-1", "c-2", "r-1", "r-1", parameters=parameters), 0.5)


@pytest.fixture
def rows(ledger: Ledger) -> Callable[..., list[dict[str, Any]]]:
    """The events of these kinds, in the order in which they were committed."""

    def read(*kinds: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = ledger.scan("news", list(kinds)).to_pylist()
        return found

    return read


@pytest.fixture
def full_disk() -> Callable[[], AbstractContextManager[None]]:
    """While it is entered, no file of this process can be written to."""

    @contextlib.contextmanager
    def full() -> Iterator[None]:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    return full
