# SPDX-License-Identifier: Apache-2.0
"""Values: frozen, registered, digested, and written down so that they come back."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trueup.core.errors import DefinitionError, UnknownName
from trueup.core.money import Spend
from trueup.core.secrets import Env, File
from trueup.core.values import digest, from_json, kind_of, name_of, to_json, value


@value("test.part")
class Part:
    n: int
    names: Any = ()
    every: timedelta = timedelta(days=1)
    at: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    inner: Any = None

    def __post_init__(self) -> None:
        if self.n < 0:
            raise DefinitionError("n")


def a_function() -> None:
    """At module level."""


leaves = st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False, allow_infinity=False)
parts = st.builds(
    Part, st.integers(0, 10), st.lists(leaves | st.timedeltas(), max_size=3),
    st.timedeltas(timedelta(0), timedelta(days=999)), st.just(datetime(2026, 5, 1, tzinfo=UTC)),
    st.builds(Spend, st.floats(0.1, 9), st.just("EUR")),
)


@given(parts)
def test_a_value_comes_back_from_its_json_with_the_same_digest(part: Part) -> None:
    again = from_json(to_json(part))
    assert again == part
    assert digest(again) == digest(part)
    assert hash(again) == hash(part)


def test_a_value_is_frozen_slotted_and_its_lists_are_tuples() -> None:
    part = Part(1, names=["a", ["b"]])
    assert part.names == ("a", ("b",))
    assert not hasattr(part, "__dict__")
    with pytest.raises(dataclasses.FrozenInstanceError):
        part.n = 2  # type: ignore[misc]
    assert dataclasses.replace(part, n=2).names == part.names
    with pytest.raises(DefinitionError):
        dataclasses.replace(part, n=-1)


def test_unknown_kinds_and_keys_name_the_nearest() -> None:
    with pytest.raises(UnknownName, match=r"did you mean 'money\.spend'"):
        from_json({"kind": "money.spnd", "amount": 1})
    with pytest.raises(UnknownName, match="did you mean 'currency'"):
        from_json({"kind": "money.spend", "amount": 1, "curency": "EUR"})
    with pytest.raises(DefinitionError, match="amount"):
        from_json({"kind": "money.spend", "currency": "EUR"})


def test_functions_are_stored_by_name_and_lambdas_refused() -> None:
    assert to_json(Part(1, inner=a_function))["inner"]["name"].endswith(":a_function")
    assert from_json(to_json(Part(1, inner=a_function))).inner is a_function

    def closure() -> None:
        """Not at module level."""

    for function in (lambda: None, closure):
        with pytest.raises(DefinitionError, match="def at the top level"):
            Part(1, inner=function)
    assert name_of(a_function).partition(":")[2] == "a_function"


def test_paths_are_written_below_the_base() -> None:
    base = Path("/somewhere/project")
    data = to_json(Part(1, inner=base / "golden/core.jsonl"), base)
    assert data["inner"] == {"kind": "path", "path": "golden/core.jsonl"}
    assert from_json(data, Path("/else")).inner == Path("/else/golden/core.jsonl")


def test_what_cannot_be_written_down_is_refused() -> None:
    with pytest.raises(DefinitionError, match="@value"):
        to_json(Part(1, inner=object()))
    with pytest.raises(DefinitionError):
        kind_of(object())


def test_a_secret_shows_its_name_and_never_its_value(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TRUEUP_TEST_SECRET", "s3cret")
    (tmp_path / "key").write_text("s3cret\n")
    for secret in (Env("TRUEUP_TEST_SECRET"), File(tmp_path / "key")):
        assert secret.reveal() == "s3cret"
        assert "s3cret" not in f"{secret!r}{to_json(secret)}{secret}"
    monkeypatch.delenv("TRUEUP_TEST_SECRET")
    with pytest.raises(Exception, match="export TRUEUP_TEST_SECRET"):
        Env("TRUEUP_TEST_SECRET").reveal()
