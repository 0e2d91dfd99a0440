# SPDX-License-Identifier: Apache-2.0
"""The news world: its facts, a small language model's life in it, and no word to any network (SCN-1)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from trueup.curate import CapPerUnit, Deduplicate
from trueup.data import Funnel
from trueup.lab.news import World
from trueup.lab.news.articles import archive, articles, companies, published, taught, teacher
from trueup.lab.news.audience import golden
from trueup.lab.news.audience import published as desk
from trueup.loop import Loop, load_loop
from trueup.registry import reigns
from trueup.store import Ledger

ROOT = Path(__file__).parents[2]
SMALL = World(companies=40, arrive=8, change=3, news=(2,), readers=150, flood=None, broken=None, steps=250)


def test_the_world_changes_as_it_says() -> None:
    world = World()
    assert [len(world.facts(week)) for week in (1, 2, 3, 4)] == [600, 660, 720, 780]
    assert [len(world.told(week)) for week in (1, 2, 3, 4)] == [0, 70, 70, 70]
    before = {(fact.company, fact.attribute): fact.answer for fact in world.facts(1)}
    after = {(fact.company, fact.attribute): fact.answer for fact in world.facts(2)}
    changed = [key for key, answer in before.items() if after[key] != answer]
    assert len(changed) == 10
    assert {attribute for _, attribute in changed} == {"ceo"}
    assert world.facts(4) == World().facts(4) != World(seed=8).facts(4)


def test_a_held_out_question_is_never_taught() -> None:
    world = World()
    judged = {item["input"] for week in (1, 2, 3, 4) for item in golden(world, week)}
    rows = [row for week in (0, 2, 3, 4) for row in desk(world, week)]
    assert len(rows) == 2400 + 3 * 280
    assert not judged & {row["question"] for row in rows}
    assert Counter(item["cohort"] for item in golden(world, 4)) == {"founding": 600, "week 2": 60, "week 3": 60, "week 4": 60}
    assert Counter(item["age"] for item in golden(world, 4)) == {"founding": 600, "weekly": 180}


def test_the_paper_names_nobody_and_the_teacher_does() -> None:
    paper = published(2)
    heads = {one.company: one.summary.split()[:2] for one in paper}
    assert not any(" ".join(head) in one.text for one in paper for head in heads.values())
    assert teacher([one.text for one in paper]) == [one.summary for one in paper]
    assert teacher(["an article on something else"]) == [None]
    assert not {one.text for one in archive()} & {one.text for one in taught()}
    assert not {one.text for one in archive()} & {one.text for day in (1, 2, 3) for one in published(day)}
    new = companies(1)[0]
    first, later = ({one.text for one in published(day) if one.company == new} for day in (1, 2))
    assert (len(first), len(later), len(first | later)) == (16, 8, len(articles(new)))


@pytest.mark.parametrize(("shown", "played"), [("loop.py", "loop.py"), ("daily.py", "daily_loop.py")])
def test_the_example_is_the_loop_that_the_demo_plays(shown: str, played: str) -> None:
    example = ROOT / "examples" / "news" / shown
    assert example.read_bytes() == (ROOT / "src" / "trueup" / "lab" / "news" / played).read_bytes()
    loop = load_loop(example)
    assert loop.task.answers == "text"
    assert Loop.__name__ == type(loop).__name__


def test_daily_is_a_form_of_news_alone() -> None:
    from trueup.cli._main import trueup

    result = CliRunner().invoke(trueup, ["demo", "films", "--daily"])
    assert result.exit_code == 2
    assert "trueup demo news --daily" in result.output


GUARD = '''
import os, socket

def _refuse(what):
    with open(os.environ["GUARD_LOG"], "a") as log:
        log.write(f"{what}\\n")
    raise OSError(f"no network here: {what}")

_connect, _resolve = socket.socket.connect, socket.getaddrinfo

def connect(self, address):
    if self.family != socket.AF_UNIX and not str(address[0]).startswith("127."):
        _refuse(address)
    return _connect(self, address)

def getaddrinfo(host, *args, **kwargs):
    if host not in (None, "localhost", "127.0.0.1"):
        _refuse(host)
    return _resolve(host, *args, **kwargs)

socket.socket.connect, socket.getaddrinfo = connect, getaddrinfo
'''


def played(tmp_path: Path, code: str) -> Any:
    """Run code in a process of its own, and all that it starts, with the network refused and told of."""
    (tmp_path / "guard").mkdir()
    (tmp_path / "guard" / "sitecustomize.py").write_text(GUARD)
    path = os.pathsep.join([str(tmp_path / "guard"), str(ROOT / "src"), str(ROOT)])
    log = tmp_path / "asked"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": path, "GUARD_LOG": str(log), "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert not log.exists(), log.read_text()
    return json.loads(done.stdout.splitlines()[-1])


def test_the_guard_sees_who_asks_the_network(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="no network here"):
        played(tmp_path, "import socket; socket.create_connection(('198.51.100.7', 80), timeout=1)")


def for_few(loop: Loop) -> Loop:
    """For a world of so few rows and accounts: more epochs, a larger share of each."""
    recipe = replace(loop.recipe, curate=(CapPerUnit(0.2), Deduplicate(keep="latest")))
    return replace(loop, recipe=recipe, trainer=replace(loop.trainer, epochs=30))  # type: ignore[type-var]


WEEKS = """
import json
from pathlib import Path
from tests.lab.test_news import SMALL, for_few
from trueup.lab.news import Weeks
from trueup.lab.news.world import begins
weeks = Weeks(Path({home!r}), SMALL, configure=for_few)
weeks.until(begins(4))
weeks.close()
print(json.dumps([[one.kind, one.verdict] for one in weeks.decisions]))
"""


@pytest.mark.timeout(600)  # half a minute by itself, and ten times that on a crowded machine
def test_a_small_paper_learns_its_news_without_a_network(tmp_path: Path) -> None:
    """SCN-1, FGT-01, FGT-04, EVL-03: a quiet week, a week of news, gates by cohort, shadow, canary, full."""
    kinds = played(tmp_path, WEEKS.format(home=str(tmp_path / "home")))
    assert kinds[0] == ["install", "PROMOTE"]
    assert kinds[1:3] == [["look", "REST"]] * 2
    told = [kinds.index(one) for one in (["look", "TRAIN"], ["candidate", "PASS"], ["stage", "PASS"], ["promote", "PROMOTE"])]
    assert told == sorted(told)
    assert told[0] == 3
    with Ledger.open(tmp_path / "home") as ledger:
        assert len(reigns(ledger, "news")) == 2
        candidate = next(one for one in ledger.decisions("news") if one.kind == "candidate")
        floors = candidate.evidence["gates"][0]["evidence"]["floors"]
        assert {part["slice"]: part["challenger"]["n"] for part in floors} == {"founding": 120, "week 2": 24}
        assert all(part["challenger"]["mean"] >= 0.80 for part in floors)
        steps = Funnel.from_json(candidate.evidence["funnel"]).steps
        rows = {(step.name, step.part): step.rows_out for step in steps}
        assert rows["replay", "replay"] == 3 * rows["golden", "new"]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_five_weeks_come_out_as_told(tmp_path: Path) -> None:
    """SCN-1: quiet, news, a flood, harm where it serves: each scene held to the ledger's Decisions."""
    code = (
        "import json; from pathlib import Path; from trueup.lab.news import demo\n"
        f"print(json.dumps(demo(Path({str(tmp_path / 'home')!r}), quiet=True).to_json()))"
    )
    account = played(tmp_path, code)
    assert account["holds"], [check for scene in account["scenes"] for check in scene["checks"] if not check["holds"]]
    facts = account["scenes"][-1]["facts"]
    assert list(facts["forgetting"]) == ["base", "week 2", "week 3", "week 4"]
    assert min(score for scores in facts["forgetting"].values() for score in scores.values()) >= 0.90
    assert account["scenes"][3]["facts"]["without_cap"]["founding"] < account["scenes"][3]["facts"]["cohorts"]["founding"]
    assert (tmp_path / "home" / "weeks.html").is_file()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_new_name_is_summarised_right_the_day_after_it_appears(tmp_path: Path) -> None:
    """SCN-1, EVL-08, CUR-17, REL-04: ROUGE on yesterday's news, an hour in shadow, then the swap."""
    code = (
        "import json; from pathlib import Path; from trueup.lab.news import daily\n"
        f"print(json.dumps(daily(Path({str(tmp_path / 'home')!r}), quiet=True).to_json()))"
    )
    account = played(tmp_path, code)
    assert account["holds"], [check for scene in account["scenes"] for check in scene["checks"] if not check["holds"]]
    for scene in account["scenes"][1:]:
        assert scene["facts"]["after"] >= 0.9 > scene["facts"]["before"]
