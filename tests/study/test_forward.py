# SPDX-License-Identifier: Apache-2.0
"""Before an experiment: what it can tell. After one: what another candidate would have earned."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from trueup import Loop, Outcome
from trueup.core.clock import ManualClock, to_us
from trueup.core.errors import DataError, Refused
from trueup.core.events import Event, outcome
from trueup.core.json import dumps
from trueup.models import ConstantModel
from trueup.state import register
from trueup.stats import ab_power
from trueup.store import Ledger
from trueup.study import outlook, whatif

DAY = timedelta(days=1)
START = datetime(2026, 1, 1, tzinfo=UTC)
THUMBS = Outcome.boolean("thumbs")


def registered(ledger: Ledger, answer: str, folder: Path) -> str:
    ConstantModel(answer).write(folder / answer, "label")
    return register(ledger, "toys", ledger.artifacts.put_tree(folder / answer), trainer={"answer": answer}).id


def logged(home: Path, n: int, pi: float = 0.5, seed: int = 0) -> tuple[Ledger, dict[str, str]]:
    """Requests that answered "animal" (liked by .3) or, with probability pi, "plant" (liked by .6)."""
    ledger = Ledger.open(home, clock=ManualClock(START + 40 * DAY))
    ids = {name: registered(ledger, name, home / "models") for name in ("animal", "plant", "stone")}
    rng = np.random.default_rng(seed)
    events = []
    for at in range(n):
        new = rng.random() < pi
        arm, said = ("challenger", "plant") if new else ("champion", "animal")
        ts = to_us(START + 10 * DAY) + at * (30 * 86_400_000_000 // n)
        facts = {"unit": f"u{at}", "choice": f"c{at}", "arm": arm, "candidate": ids[said], "propensity": pi, "release": "r-1"}
        events.append(Event(f"c{at}", "toys", "assignment", ts, received=ts, **facts))
        events.append(Event(f"c{at}", "toys", "interaction", ts, received=ts, input=dumps(f"w{at % 7}"), output=dumps(said), **facts))
        events.append(outcome("toys", f"c{at}", "thumbs", bool(rng.random() < (0.6 if new else 0.3)), ts=ts, received=ts))
    ledger.append(events)
    return ledger, ids


def test_tru_05_the_value_of_a_candidate_from_logged_propensities(tmp_path: Path, make: Callable[..., Loop]) -> None:
    """TRU-05: IPS, SNIPS and DR side by side; a new model that answers as an arm did is weighed by its answers."""
    loop = make(outcomes=[*make().outcomes, THUMBS])
    ledger, ids = logged(tmp_path / "home", 2_000, pi=0.3)
    with ledger:
        found = whatif(loop, ledger, ids["plant"])
        assert found.refused is None
        assert found.value.snips.value == pytest.approx(0.6, abs=0.06)
        assert found.champion.snips.value == pytest.approx(0.3, abs=0.05)
        assert found.value.dr is not None
        assert found.value.dr.value == pytest.approx(found.value.snips.value, abs=0.05)
        other = register(ledger, "toys", ledger.artifacts.put_tree(tmp_path / "home" / "models" / "plant"), trainer={"answer": "new"}).id
        same = whatif(loop, ledger, other)
        assert same.value.ips.value == pytest.approx(found.value.ips.value)
        assert same.unsupported == 0.0
        json.dumps(same.to_json())
        assert "SNIPS" in same.lines()[0]


def test_tru_05_refused_without_support_below_the_sample_and_without_exploration(tmp_path: Path, make: Callable[..., Loop]) -> None:
    loop = make(outcomes=[*make().outcomes, THUMBS])
    ledger, ids = logged(tmp_path / "home", 500)
    with ledger:
        assert "no support: on 100%" in str(whatif(loop, ledger, ids["stone"]).refused)
        with pytest.raises(Refused, match="label"):
            whatif(loop, ledger, ids["plant"], outcome="kind")
    small, ids = logged(tmp_path / "small", 150)
    with small:
        assert "below 100" in str(whatif(loop, small, ids["plant"]).refused)
    with Ledger.open(tmp_path / "none", clock=ManualClock(START)) as none:
        ident = registered(none, "plant", tmp_path)
        with pytest.raises(DataError, match="exploration"):
            whatif(loop, none, ident)


def weather(home: Path, n: int, said: bool) -> tuple[Ledger, dict[str, str]]:
    """Sunny requests are liked by .9 and drawn to the challenger by .9, rainy ones by .1 and .1, whatever the
    answer. Logged is that probability where `said`, else one half throughout."""
    ledger = Ledger.open(home, clock=ManualClock(START + 40 * DAY))
    ids = {name: registered(ledger, name, home / "models") for name in ("animal", "plant")}
    rng = np.random.default_rng(4)
    events = []
    for at in range(n):
        like = 0.9 if at % 2 else 0.1
        arm, answer = ("challenger", "plant") if rng.random() < like else ("champion", "animal")
        ts = to_us(START + 10 * DAY) + at * 60_000_000
        facts = {"unit": f"u{at}", "choice": f"c{at}", "arm": arm, "candidate": ids[answer], "propensity": like if said else 0.5, "release": "r-1"}
        events.append(Event(f"c{at}", "toys", "assignment", ts, received=ts, **facts))
        events.append(Event(f"c{at}", "toys", "interaction", ts, received=ts, input=dumps("sunny" if at % 2 else "rainy"), output=dumps(answer), **facts))
        events.append(outcome("toys", f"c{at}", "thumbs", bool(rng.random() < like), ts=ts, received=ts))
    ledger.append(events)
    return ledger, ids


def test_tru_05_refused_where_the_estimators_disagree(tmp_path: Path, make: Callable[..., Loop]) -> None:
    """TRU-05: propensities that hide the weather: SNIPS sees mostly sun, DR's model knows better. Logged as they
    were, both find the .5 that the candidate would have earned; that is the control."""
    loop = make(outcomes=[*make().outcomes, THUMBS])
    ledger, ids = weather(tmp_path / "home", 3_000, said=False)
    with ledger:
        found = whatif(loop, ledger, ids["plant"])
    assert found.value.ess > 1_000
    assert found.unsupported == 0.0
    assert "differ by more than their intervals" in str(found.refused)
    assert found.lines()[0].startswith("refused: SNIPS")
    assert found.value.snips.value == pytest.approx(0.82, abs=0.04)
    assert found.value.dr is not None
    assert found.value.dr.value < 0.6
    honest, ids = weather(tmp_path / "honest", 3_000, said=True)
    with honest:
        found = whatif(loop, honest, ids["plant"])
    assert found.refused is None
    assert found.value.snips.value == pytest.approx(0.5, abs=0.1)
    assert found.value.dr is not None
    assert found.value.dr.value == pytest.approx(0.5, abs=0.1)


def test_tru_05_parameters_are_weighed_by_the_arm_that_had_them_or_not_at_all(tmp_path: Path, make: Callable[..., Loop]) -> None:
    """TRU-05: what a prompt or a threshold does is the application's; the model cannot be asked for it."""
    loop = make(outcomes=[*make().outcomes, THUMBS])
    ledger, ids = logged(tmp_path / "home", 1_000)
    with ledger:
        tree = ledger.artifacts.put_tree(tmp_path / "home" / "models" / "animal")
        warm = register(ledger, "toys", tree, parameters={"prompt": "Warmly."}).id
        with pytest.raises(Refused, match="parameters"):
            whatif(loop, ledger, warm)
        events = [one._replace(candidate=warm) if one.arm == "challenger" else one for one in _assignments(ledger)]
    with Ledger.open(tmp_path / "served", clock=ManualClock(START + 40 * DAY)) as served:
        registered(served, "animal", tmp_path / "home" / "models")
        again = served.artifacts.put_tree(tmp_path / "home" / "models" / "animal")
        assert register(served, "toys", again, parameters={"prompt": "Warmly."}).id == warm
        served.append(events)
        found = whatif(loop, served, warm)
        assert found.value.snips.value == pytest.approx(0.6, abs=0.08), "the arm's, not its model's"
        later = register(served, "toys", again, trainer={"named": "anew"}, parameters={"prompt": "Warmly."}).id
        assert later != warm
        assert whatif(loop, served, later).value.snips.value == found.value.snips.value
        assert ids["animal"] != warm


def _assignments(ledger: Ledger) -> list[Event]:
    found = []
    for kind in ("assignment", "interaction", "outcome"):
        rows = ledger.scan("toys", kind).to_pylist()
        found += [Event(**{name: row[name] for name in Event._fields}) for row in rows]
    return found


def test_tru_09_what_the_traffic_can_detect_before_it_starts(tmp_path: Path, make: Callable[..., Loop], past: Callable[..., Ledger]) -> None:
    """TRU-09: pairs, days, the advantage that can be shown in so many days, the level and what is left."""
    loop = make(outcomes=[*make().outcomes, THUMBS])
    with past(tmp_path / "home", days=40, moves=None, labelled=0.5) as ledger:
        found = outlook(loop, ledger, days=(1, 28, 365))
    assert (found.test, round(found.level, 5)) == (1, 0.00894)
    assert found.left == pytest.approx(0.05 - found.level)
    shadow = found.shadow
    assert shadow is not None
    assert shadow["daily"] == pytest.approx(30, rel=0.1)
    assert shadow["days"] == pytest.approx(shadow["pairs"] / shadow["daily"])
    assert shadow["detectable"]["1"] is None
    assert shadow["detectable"]["365"] == 0.0
    assert found.ab == ()
    ledger, _ = logged(tmp_path / "explored", 3_000)
    with ledger:
        found = outlook(loop, ledger, days=(7, 91))
    assert found.ab[0]["daily"] == pytest.approx(100, rel=0.05)
    assert found.ab[0]["detectable"]["7"] is None or found.ab[0]["detectable"]["7"] >= (found.ab[0]["detectable"]["91"] or 0.0)
    least, base, margin = found.ab[0]["detectable"]["7"], found.ab[0]["base"], found.ab[0]["margin"]
    assert 0.0 < least < 1.0 - base
    for effect, reached in ((least, True), (0.95 * least, False)):  # the smallest one, and not a step of a grid
        power = ab_power(int(7 * found.ab[0]["daily"]), base, effect, margin, found.level, reps=100, seed=0, exact=False)
        assert (power >= 0.95) is reached, (effect, power)
    assert "A/B of thumbs" in "\n".join(found.lines())
    json.dumps(found.to_json())
