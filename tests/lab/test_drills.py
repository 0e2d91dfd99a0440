# SPDX-License-Identifier: Apache-2.0
"""Failure drills: how they are found and played, and each of them whole."""

import json
from io import StringIO

import pytest
from click.testing import CliRunner
from rich.console import Console

from trueup.cli._main import trueup
from trueup.core.errors import Refused, UnknownName
from trueup.lab.drills import Drill, drills, find, play


def made(run) -> Drill:
    return Drill("made", "DRL-03", "something fails", "it is seen", run)


def test_every_drill_names_a_failure_a_capability_and_what_must_be_seen() -> None:
    found = drills()
    assert "poison" in found
    for name, drill in found.items():
        assert drill.name == name
        assert drill.id.startswith("DRL-")
        assert drill.failure
        assert drill.seen
    with pytest.raises(UnknownName, match="poisn") as error:
        find("poisn")
    assert "poison" in error.value.cure


def test_a_drill_holds_only_where_something_was_held_to_something(tmp_path) -> None:
    def seen(teller, seed):
        with teller.scene("a scene"):
            teller.expect(seed == 3, f"seed {seed}", "seed 3")

    assert play(made(seen), tmp_path / "a", seed=3, quiet=True).holds
    assert not play(made(seen), tmp_path / "b", seed=4, quiet=True).holds
    assert not play(made(lambda teller, seed: None), tmp_path / "c", quiet=True).holds
    (tmp_path / "a" / "something").touch()
    with pytest.raises(Refused):
        play(made(seen), tmp_path / "a", quiet=True)


def test_what_failed_and_what_must_be_seen_are_told(tmp_path) -> None:
    page = StringIO()
    play(made(lambda teller, seed: None), tmp_path / "home", console=Console(file=page, width=100))
    assert "Something fails." in page.getvalue()
    assert "What must be seen: it is seen." in page.getvalue()


def test_the_command_lists_drills_and_says_by_its_exit_code_whether_one_held(tmp_path, monkeypatch) -> None:
    runner = CliRunner()
    listed = json.loads(runner.invoke(trueup, ["drill", "--json"]).stdout)
    assert {one["name"] for one in listed} == set(drills())
    assert "poison" in runner.invoke(trueup, ["drill"]).stdout

    def half(teller, seed):
        with teller.scene("a scene"):
            teller.expect(seed == 1, "one", "one")

    monkeypatch.setattr("trueup.lab.drills.find", lambda name: made(half))
    for seed, code in ((0, 1), (1, 0)):
        home = tmp_path / f"home-{seed}"
        done = runner.invoke(trueup, ["--home", str(home), "drill", "made", "--seed", str(seed), "--json"])
        assert done.exit_code == code
        assert json.loads(done.stdout)["drill"]["name"] == "made"
        assert json.loads(done.stdout)["home"] == str(home)


@pytest.mark.slow
def test_a_flood_of_false_labels_costs_next_to_nothing_under_the_cap(tmp_path) -> None:
    """DRL-03, CUR-15: with the cap and without it, on the same week."""
    account = play(find("poison"), tmp_path / "home", quiet=True)
    told = [what for scene in account.scenes for held, what in scene.checks if not held]
    assert account.holds, told
    lost = next(scene.facts["lost"] for scene in account.scenes if "lost" in scene.facts)
    assert lost["with the cap"] < 0.05 < 0.3 < lost["without"]
    assert len(account.commands) == 3


@pytest.mark.slow
@pytest.mark.parametrize(
    ("faults", "kinds"), [(("SIGTERM", "SIGKILL"), {"signal"}), (("memory",), {"memory"})], ids=["killed", "starved"],
)
def test_half_of_the_trainings_die_and_each_has_one_result(tmp_path, monkeypatch, faults, kinds) -> None:
    """DRL-02, TRN-14, TRN-16: bitwise that of an undisturbed run, and nothing trained twice in the
    record; out of memory with half the rows at a time and the same answers. (A week of the drill's two.)"""
    monkeypatch.setattr("trueup.lab.drills.flaky.DEATHS", (faults,))
    account = play(find("flaky"), tmp_path / "home", quiet=True)
    told = [what for scene in account.scenes for held, what in scene.checks if not held]
    assert account.holds, told
    died = next(scene.facts["died"] for scene in account.scenes if "died" in scene.facts)
    assert kinds <= died.keys()


def test_a_flaky_trainer_says_what_it_cannot_be() -> None:
    from trueup.lab import Flaky
    from trueup.train import Sklearn

    assert Flaky(Sklearn("sgd")).capabilities == Sklearn("sgd").capabilities
    for wrong in ({"of": "sgd"}, {"share": 2.0}, {"deaths": -1}, {"faults": ("flood",)}):
        with pytest.raises((ValueError, UnknownName)):
            Flaky(**{"of": Sklearn("sgd"), **wrong})
