# SPDX-License-Identifier: Apache-2.0
"""The year of the demo, played whole, and beside it a year in which nothing happens (TRU-14)."""

import json
from datetime import UTC, datetime
from io import StringIO

import pytest
from rich.console import Console

from trueup.core.errors import Refused
from trueup.lab.films import Account, Scene, World, Year, demo
from trueup.lab.tell import Teller
from trueup.loop import status, why
from trueup.registry import reigns
from trueup.store import Ledger


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_year_comes_out_as_told(tmp_path):
    """TRG-02, CUR-15, EVL-11, REL-01, REL-02, REL-03, HIT-01, REG-05, TRU-01: scene by scene."""
    page = StringIO()
    account = demo(tmp_path / "films", world=World(units=3_500), console=Console(file=page, width=120))
    told = [what for scene in account.scenes for held, what in scene.checks if not held]
    assert account.holds, told
    assert all(scene.checks for scene in account.scenes)
    facts = json.loads(json.dumps(account.to_json()))["scenes"]
    assert facts[3]["facts"]["dropped"] > 400
    assert ["genre", "horror"] in facts[3]["facts"]["failed"]
    assert 5 < facts[5]["facts"]["median"] < facts[5]["facts"]["median_failures"] < 60
    months = facts[-1]["facts"]["months"]
    assert list(months) == ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
    assert months["Sep"] == ["trained", "rolled back"]
    for command in account.commands:
        assert command in page.getvalue().replace("\n", "")
    assert (account.home / "timeline.html").is_file()
    with Ledger.open(account.home) as ledger:
        assert len(reigns(ledger, "films")) == 3
        assert status(ledger, "films").state.release is None
        assert why(ledger, account.commands[1].split()[-1]).matches
    with pytest.raises(Refused):
        demo(account.home, quiet=True)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_year_in_which_nothing_happens_trains_nothing(tmp_path):
    """TRG-02: no false alarm, each look a REST that says why."""
    year = Year(tmp_path / "films", World(units=2_000, wave=None, flood=None, broken=None))
    year.until(datetime(2026, 1, 1, tzinfo=UTC))
    looks = [one for one in year.decisions if one.kind == "look"]
    assert len(looks) == 53
    assert [one.verdict for one in looks] == ["TRAIN"] + ["REST"] * 52
    assert "no champion" in looks[0].reason
    assert all("falls: accuracy" in one.reason and "floor 0.8" in one.reason for one in looks[1:])
    year.close()


def test_a_scene_that_does_not_come_out_is_said_plainly(tmp_path):
    page = StringIO()
    teller = Teller(tmp_path, console=Console(file=page, width=100))
    with teller.scene("a scene"):
        teller.say("what [the ledger] says")
        teller.expect(True, "one thing came out", "one thing")
        teller.expect(False, "this [other]", "another")
        teller.expect(False, "", "a third")
    assert not teller.account.holds
    assert "✗ did not come out: expected another; got this [other]" in page.getvalue()
    assert "what [the ledger] says" in page.getvalue()
    assert teller.account.to_json()["scenes"][0]["checks"][1] == {
        "holds": False, "what": "expected another; got this [other]",
    }


def test_a_quiet_teller_prints_nothing_and_keeps_everything(tmp_path, capsys):
    teller = Teller(tmp_path, quiet=True)
    with teller.telling(), teller.scene("a scene") as scene:
        teller.say("a line")
        teller.progress("January", 3, 365)
        teller.progress("train", 0, 0)
    assert capsys.readouterr().out == ""
    assert scene.lines == ["a line"]
    assert Account(tmp_path, [Scene("x", checks=[(True, "y")])]).holds
