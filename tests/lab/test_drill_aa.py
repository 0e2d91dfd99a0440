# SPDX-License-Identifier: Apache-2.0
"""DRL-11: the champion against itself, through whole releases."""

import io
import json
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from rich.console import Console

from trueup.cli._main import trueup
from trueup.core.clock import SystemClock, to_us
from trueup.core.errors import DataError, Refused
from trueup.core.events import Event, outcome
from trueup.core.json import dumps
from trueup.lab.drills import find, play
from trueup.lab.drills._releases import against
from trueup.lab.drills.aa import _terms, _toy, interval
from trueup.lab.tell import Teller
from trueup.models import ConstantModel
from trueup.release import first_promotion
from trueup.state import LoopState, decide, register
from trueup.store import Ledger

LOOP = """
from datetime import timedelta
from trueup import Loop, Outcome, Task
from trueup.evaluate import Accuracy
from trueup.models import Features
from trueup.release import AB, Canary, Full, Shadow
from trueup.train import Sklearn
HOUR = timedelta(hours=1)
label = Outcome.of_input("label", within=HOUR)
thumbs = Outcome.boolean("thumbs", within=HOUR)
loop = Loop(
    "mine", task=Task(input="q", output="a", unit="user"), outcomes=[label, thumbs], target="label",
    trainer=Sklearn(features=Features(text=("q",))),
    release=[
        Shadow(Accuracy(), outcome="label", no_worse_by=0.05, units=600), Canary(0.25, 0.5, step=HOUR, units=400),
        AB(thumbs, no_worse_by=0.03, units=500, min_time=HOUR), Full(),
    ],
)
"""


RANKING = """
from datetime import timedelta
from trueup import Loop, Outcome, Task
from trueup.models import Features
from trueup.release import Bandit, Feature, Full, Interleave
from trueup.train import Sklearn
HOUR = timedelta(hours=1)
label = Outcome.of_input("label", within=HOUR)
opened = Outcome("opened", "label", within=HOUR)
thumbs = Outcome.boolean("thumbs", within=HOUR)
loop = Loop(
    "mine", task=Task(input="q", output="a", unit="user"), outcomes=[label, opened, thumbs], target="label",
    trainer=Sklearn(features=Features(text=("q",))),
    release=[
        Interleave("opened", units=400, min_time=HOUR),
        Bandit(thumbs, policy="lints", features=[Feature("age", 0, 100)], no_worse_by=0.05, units=400, min_time=HOUR,
               arms={"low": {}, "high": {}}), Full(),
    ],
)
"""


def test_an_interval_is_the_exact_one() -> None:
    assert interval(0, 20) == pytest.approx((0.0, 0.16843), abs=1e-4)
    assert interval(5, 100) == pytest.approx((0.01643, 0.11284), abs=1e-4)
    assert interval(20, 20)[1] == 1.0


def test_the_champion_against_itself_holds_its_levels_and_a_peeked_z_test_does_not(tmp_path) -> None:
    """DRL-11, the code of `trueup drill aa` with fewer releases."""
    account = play(find("aa"), tmp_path / "home", quiet=True, options={"releases": 60})
    assert account.holds, [told for scene in account.scenes for held, told in scene.checks if not held]
    facts = {name: fact for scene in account.scenes for name, fact in scene.facts.items()}
    assert facts["wrong promotions"]["hits"] <= 8
    assert facts["z-test of AB"]["peeked"] > 2 * facts["z-test of AB"]["once"]
    assert sum(facts["verdicts"].values()) == 60


@pytest.mark.parametrize("form", ["bandit", "contextual", "interleave"])
def test_bandits_and_interleavings_hold_their_levels_too_and_a_peeked_z_test_does_not(tmp_path, form) -> None:
    """DRL-11 in its other forms: 40 releases each, the same code as `trueup drill aa --form`."""
    account = play(find("aa"), tmp_path / "home", quiet=True, options={"releases": 40, "form": form})
    assert account.holds, [told for scene in account.scenes for held, told in scene.checks if not held]
    facts = {name: fact for scene in account.scenes for name, fact in scene.facts.items()}
    assert facts["wrong promotions"]["hits"] <= 5
    (control,) = (fact for name, fact in facts.items() if name.startswith("z-test"))
    assert control["peeked"] >= 10


def test_the_drill_fails_where_a_release_promises_more_than_it_holds(tmp_path, monkeypatch) -> None:
    """The control: the same releases with a z-test in place of the gate."""
    from trueup.lab.drills import _releases

    monkeypatch.setattr(_releases, "_promotes", lambda parameters, scored: _releases._z_tests(
        [(one["arm"] != "champion", one["y"]) for one in scored], 0.05)[1])
    account = play(find("aa"), tmp_path / "home", quiet=True, options={"releases": 40})
    assert not account.holds


def test_a_promotion_that_counts_greedy_bandits_as_equal_shares_is_seen(tmp_path, monkeypatch) -> None:
    """The control of the contextual form: one half in place of the probabilities that arms were drawn with,
    while clicks follow the context, promotes an equal arm far more often than the level."""
    from trueup.lab.drills import _releases

    def halves(parameters, rows):
        said = [{**one, "shares": {"champion": 0.5, "challenger": 0.5}} for one in rows]
        return first_promotion({**parameters, "pi_range": None}, said) is not None

    monkeypatch.setattr(_releases, "_promotes", halves)
    account = play(find("aa"), tmp_path / "home", quiet=True, options={"releases": 40, "form": "contextual"})
    assert not account.holds


def test_a_release_is_the_same_again_and_errors_that_differ_roll_back(tmp_path) -> None:
    with closing(_toy(tmp_path / "home", 0)) as ledger:
        world = against(ledger, _terms(), seed=0, most=600)
    assert world.one(3) == world.one(3)
    drawn = world._row
    world._row = lambda unit, place, arm, pi: {**drawn(unit, place, arm, pi), "failed": arm == "challenger" or place % 30 == 0}
    assert world.one(3).verdict == "ROLLBACK"


def test_a_loop_brings_its_stages_and_its_log(tmp_path) -> None:
    """DRL-11 on a loop file: the home is read, nothing is written, margins are tested at their edge."""
    (tmp_path / "loop.py").write_text(LOOP)
    home = tmp_path / "home"
    _log(home)
    with Ledger.open(home) as ledger:
        before = ledger.cut()
    words = ["--home", str(home), "drill", "aa", "--loop", str(tmp_path / "loop.py"), "--releases", "20", "--json"]
    done = CliRunner().invoke(trueup, words)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.output
    told = json.loads(done.stdout)
    lines = " ".join(line for scene in told["scenes"] for line in scene["lines"])
    assert "Shadow -> Canary -> AB" in lines
    assert "Shadow accepts a loss of up to 0.05" in lines
    facts = {name: fact for scene in told["scenes"] for name, fact in scene["facts"].items()}
    assert facts["wrong promotions"]["hits"] <= 3
    with Ledger.open(home) as ledger:
        assert ledger.cut() == before


def test_a_loop_brings_its_bandits_arms_and_its_rankings(tmp_path) -> None:
    """DRL-11 on a loop with an interleaving and a contextual bandit of three arms: the answers are rankings, the
    features stand in the inputs, and nothing is written."""
    (tmp_path / "loop.py").write_text(RANKING)
    home = tmp_path / "home"
    _log(home, ranking=True)
    with Ledger.open(home) as ledger:
        before = ledger.cut()
    words = ["--home", str(home), "drill", "aa", "--loop", str(tmp_path / "loop.py"), "--releases", "20", "--json"]
    done = CliRunner().invoke(trueup, words)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.output
    told = json.loads(done.stdout)
    lines = " ".join(line for scene in told["scenes"] for line in scene["lines"])
    assert "Interleave -> Bandit" in lines
    assert "not simulated" not in lines
    facts = {name: fact for scene in told["scenes"] for name, fact in scene["facts"].items()}
    assert sum(facts["verdicts"].values()) == 20
    assert facts["wrong promotions"]["hits"] <= 3
    with Ledger.open(home) as ledger:
        assert ledger.cut() == before
        assert not any(one["facts"].get("arm") for one in ledger.records("mine", "candidate"))


def test_off_a_terminal_a_line_is_printed_each_tenth() -> None:
    out = io.StringIO()
    teller = Teller(Path(), console=Console(file=out, width=100))
    for at in range(40):
        teller.count("release", at + 1, 40)
    assert [line.strip() for line in out.getvalue().splitlines()][:2] == ["release 4 of 40", "release 8 of 40"]
    assert len(out.getvalue().splitlines()) == 10


def test_a_loop_whose_judge_is_audited_plays_people_too(tmp_path) -> None:
    """TRU-06 in the A/A: the judge sees nothing, people see the loss of the margin, and it is not promoted."""
    (tmp_path / "loop.py").write_text(LOOP.replace(
        'Shadow(Accuracy(), outcome="label", no_worse_by=0.05, units=600)',
        'Shadow(Accuracy(), outcome="judged", no_worse_by=0.05, units=600, audit=Audit(0.3, "label"))',
    ).replace("outcomes=[label, ", 'outcomes=[label, Outcome.of_input("judged", within=HOUR), ').replace("AB, Canary", "AB, Audit, Canary"))
    home = tmp_path / "home"
    _log(home, judged=True)
    words = ["--home", str(home), "drill", "aa", "--loop", str(tmp_path / "loop.py"), "--releases", "20", "--json"]
    done = CliRunner().invoke(trueup, words)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.output
    facts = {name: fact for scene in json.loads(done.stdout)["scenes"] for name, fact in scene["facts"].items()}
    assert facts["wrong promotions"]["hits"] <= 3


def test_too_little_log_and_options_of_other_drills_are_refused(tmp_path) -> None:
    with closing(_toy(tmp_path / "home", 0)) as ledger, pytest.MonkeyPatch.context() as patch:
        patch.setattr("trueup.lab.drills._log.LEAST", 10_000)
        with pytest.raises(DataError, match="4000"):
            against(ledger, _terms(), seed=0, most=600)
    with pytest.raises(Refused, match="releases"):
        play(find("poison"), tmp_path / "poison", quiet=True, options={"releases": 60})


def _log(home, *, ranking=False, judged=False) -> None:
    """A champion that says "yes", with labels and thumbs."""
    rng = np.random.default_rng(1)
    with Ledger.open(home) as ledger:
        ConstantModel("yes").write(home / "models" / "yes", "label")
        champion = register(ledger, "mine", ledger.artifacts.put_tree(home / "models" / "yes")).id
        now = to_us(SystemClock().now()) - int(timedelta(days=2).total_seconds() * 1e6)
        decide(ledger, "mine", 0, LoopState().serve(champion, now), kind="install", verdict="PROMOTE", reason="first")
        rows = []
        for at in range(1_200):
            ts, ident = now + at * 1_000_000, f"m-{at}"
            rows.append(Event(
                ident, "mine", "interaction", ts, ts, unit=f"u{at % 800}", choice=ident, arm="champion", candidate=champion,
                input=dumps({"q": "x", "age": int(rng.integers(0, 100))}) if ranking else '{"q":"x"}',
                output='["a","b","c"]' if ranking else '"yes"', seconds=float(rng.lognormal(-2, 0.4)),
            ))
            rows.append(outcome("mine", ident, "label", "yes" if rng.random() < 0.8 else "no", ts=ts, received=ts))
            if judged:
                rows.append(outcome("mine", ident, "judged", "yes" if rng.random() < 0.9 else "no", ts=ts, received=ts))
            if ranking and rng.random() < 0.6:
                rows.append(outcome("mine", ident, "opened", str(rng.choice(["a", "b", "c"])), ts=ts, received=ts))
            if rng.random() < 0.9:
                rows.append(outcome("mine", ident, "thumbs", bool(rng.random() < 0.6), ts=ts, received=ts))
        ledger.append(rows)
