# SPDX-License-Identifier: Apache-2.0
"""Assignment: shares, stickiness, monotone raises, independent salts, the same in every process."""

import json
import math
import os
import subprocess
import sys

import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from trueup.core.errors import ArgumentError
from trueup.route import Assigned, Routing, Slice, assign, position, raise_share

UNITS = [f"user-{i}" for i in range(20_000)]
IDLE = Routing("c-1", "c-2", "r-1", "r-1")


def canary(salt: str = "r-1", steps: tuple[float, ...] = (0.01, 0.05, 0.25)) -> Routing:
    routing = Routing("c-1", "c-2", "r-1", salt)
    for stage, share in enumerate(steps):
        routing = raise_share(routing, share, stage=stage)
    return routing


def within(count: int, n: int, p: float, sigmas: float = 4.5) -> bool:
    """Whether a binomial count lies where one in 100,000 does not."""
    return abs(count - n * p) <= sigmas * math.sqrt(n * p * (1 - p)) + 1


def test_the_published_vector() -> None:
    assert f"{position('exp-1', 'user-1'):016x}" == "576a19e13a3fed7d"


def test_position_is_xxh3_over_salt_nul_unit() -> None:
    assert position("s", "ü\0x") == xxhash.xxh3_64_intdigest("s\0ü\0x".encode())


def test_the_rule_by_the_letter() -> None:
    """The compiled cut points say what the definition says, unit by unit."""
    routing = canary()
    for unit in UNITS[:3000]:
        u = position("r-1/in", unit) / 2**64
        inside = next((s for s in routing.slices if s.start <= u < s.stop), None)
        got = assign(routing, unit)
        if inside is None:
            assert got == Assigned("champion", "c-1", None, False, None)
        else:
            arm = "challenger" if position("r-1/arm", unit) / 2**64 < inside.pi else "champion"
            assert got == Assigned(arm, routing.challenger if arm == "challenger" else "c-1",
                                   inside.pi, True, inside.stage)


def test_without_slices_the_champion_serves_everyone() -> None:
    assert {assign(IDLE, unit) for unit in UNITS[:500]} == {Assigned("champion", "c-1")}
    assert assign(Routing(None), "u").candidate is None


@pytest.mark.parametrize("steps", [(0.01,), (0.01, 0.05), (0.01, 0.05, 0.25), (0.5,)])
def test_shares_are_what_was_asked(steps: tuple[float, ...]) -> None:
    """REL-02: the challenger's share is the cumulative share, the enrolled share is twice that."""
    routing = canary("shares", steps)
    drawn = [assign(routing, unit) for unit in UNITS]
    challengers = sum(a.arm == "challenger" for a in drawn)
    enrolled = sum(a.enrolled for a in drawn)
    assert within(challengers, len(UNITS), steps[-1])
    assert within(enrolled, len(UNITS), min(1.0, 2 * steps[-1]))
    assert within(challengers, enrolled, 0.5)


def test_positions_are_uniform() -> None:
    """Chi-square over 64 cells at 20,000 units: within 5 sigmas of its mean, for several salts."""
    for salt in ("a/in", "a/arm", "release-17/in", "ü/arm"):
        cells = [0] * 64
        for unit in UNITS:
            cells[position(salt, unit) >> 58] += 1
        mean = len(UNITS) / 64
        chi = sum((c - mean) ** 2 / mean for c in cells)
        assert abs(chi - 63) < 5 * math.sqrt(2 * 63), (salt, chi)


@pytest.mark.parametrize(("one", "two"), [("r-1/in", "r-1/arm"), ("r-1/in", "r-2/in"), ("r-1/arm", "r-2/arm")])
def test_salts_are_independent(one: str, two: str) -> None:
    """Chi-square of an 8 x 8 table of two positions: within 5 sigmas of independence."""
    table = [[0] * 8 for _ in range(8)]
    for unit in UNITS:
        table[position(one, unit) >> 61][position(two, unit) >> 61] += 1
    rows = [sum(row) for row in table]
    columns = [sum(row[j] for row in table) for j in range(8)]
    chi = 0.0
    for i in range(8):
        for j in range(8):
            mean = rows[i] * columns[j] / len(UNITS)
            chi += (table[i][j] - mean) ** 2 / mean
    assert abs(chi - 49) < 5 * math.sqrt(2 * 49), chi


def test_each_slice_has_its_own_propensity() -> None:
    routing = raise_share(raise_share(IDLE, 0.1, pi=0.5), 0.4, pi=0.9, stage=1)
    for stage, pi in ((0, 0.5), (1, 0.9)):
        drawn = [a for a in (assign(routing, u) for u in UNITS) if a.stage == stage]
        assert {a.propensity for a in drawn} == {pi}
        assert within(sum(a.arm == "challenger" for a in drawn), len(drawn), pi)


text = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=40)
shares = st.lists(st.floats(0.001, 0.5), min_size=1, max_size=5, unique_by=lambda x: round(x, 6)).map(sorted)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(units=st.lists(text, min_size=1, max_size=50), steps=shares, salt=text.filter(lambda s: "\0" not in s))
def test_a_raise_moves_units_only_to_the_challenger(units: list[str], steps: list[float], salt: str) -> None:
    """REL-02: whoever has the challenger keeps it, and an enrolled unit keeps its arm and propensity."""
    routing = Routing("c-1", "c-2", "r-1", salt)
    before = {unit: assign(routing, unit) for unit in units}
    for stage, share in enumerate(steps):
        routing = raise_share(routing, share, stage=stage)
        after = {unit: assign(routing, unit) for unit in units}
        for unit in units:
            if before[unit].enrolled:
                assert after[unit] == before[unit]
            elif after[unit] != before[unit]:
                assert after[unit].enrolled
                assert after[unit].stage == stage
        before = after


@settings(max_examples=100, deadline=None, derandomize=True)
@given(unit=text, salt=text.filter(lambda s: "\0" not in s))
def test_assignment_is_sticky(unit: str, salt: str) -> None:
    first = assign(canary(salt), unit)
    assert assign(canary(salt), unit) == first
    assert assign(Routing.from_json(json.loads(json.dumps(canary(salt).to_json()))), unit) == first


def test_another_process_gives_the_same_answers() -> None:
    code = (
        "import json,sys\nfrom trueup.route import Routing, assign\nd=json.load(sys.stdin)\n"
        "r=Routing.from_json(d['routing'])\nprint(json.dumps([list(assign(r,u)) for u in d['units']]))"
    )
    units = [*UNITS[:500], "ü" * 300, "a\0b", "汉字", "👩‍🚀"]
    routing = canary()
    done = subprocess.run(
        [sys.executable, "-c", code], input=json.dumps({"routing": routing.to_json(), "units": units}),
        capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert json.loads(done.stdout) == [list(assign(routing, unit)) for unit in units]


@pytest.mark.parametrize("unit", ["a\0b", "\0", " ", "汉字", "👩‍🚀", "e\u0301", "x" * 1024, "../../etc", "'; drop --"])
def test_odd_units_are_units_like_others(unit: str) -> None:
    assert assign(canary(), unit) == assign(canary(), unit)


def test_a_unit_is_its_bytes() -> None:
    assert position("s", "é") != position("s", "e\u0301")


@pytest.mark.parametrize("unit", ["", "x" * 1025, "汉" * 400, "\ud800", 42, None, b"user", 1.5, ["u"]])
@pytest.mark.parametrize("routing", [IDLE, canary()])
def test_what_is_no_unit_is_refused_with_a_cure(routing: Routing, unit: object) -> None:
    with pytest.raises(ArgumentError, match=r"expected .*unit.*\n  cure: ") as caught:
        assign(routing, unit)  # type: ignore[arg-type]
    assert len(str(caught.value)) < 400


def test_the_ends_of_the_line() -> None:
    """Every unit lies in [0, 1), and in no slice that ends where it stands."""
    everyone = Routing("a", "b", "r", "s", (Slice(0.0, 1.0, 0.5),))
    assert all(assign(everyone, unit).enrolled for unit in UNITS[:2000])
    at = position("s/in", "user-1")
    below = Routing("a", "b", "r", "s", (Slice(0.0, math.ldexp(at - at % 4096, -64)),))
    above = Routing("a", "b", "r", "s", (Slice(math.ldexp(at - at % 4096, -64), 1.0),))
    assert not assign(below, "user-1").enrolled
    assert assign(above, "user-1").enrolled
