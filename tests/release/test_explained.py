# SPDX-License-Identifier: Apache-2.0
"""What an experiment decided: told in plain words, verified without its ledger, and shown while it runs."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trueup import Loop, Risk, Task
from trueup.core.errors import DataError, NotFound, UnknownName
from trueup.core.json import dumps, loads
from trueup.data import Recipe
from trueup.evaluate import Accuracy
from trueup.loop import run, status, verify_receipt, why
from trueup.loop.status import lines
from trueup.models import ConstantModel
from trueup.release import AB, METHODS, Bandit, Canary, Full, Guardrails, Interleave, NoHarm, Shadow
from trueup.release.people.keys import sign
from trueup.train import Sklearn
from trueup.triggers import Rows

from .test_ab import CLICK, SPAM, Users, kinds
from .test_interleaving import OPENED, Readers

DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)
BETTER = {"champion": 0.2, "challenger": 0.45}
NAME = "shop"
TRIAL = AB(CLICK, no_worse_by=0.05, units=700, min_time=2 * DAY, max_time=4 * DAY)


def loop_of(stand: Users, *stages: Any, **more: Any) -> Loop:
    """A loop that trains nothing: what is released is offered."""
    return Loop(
        NAME, Task("x", "y", "user"), list(stand.outcomes), when=[Rows(10**9)], recipe=Recipe(min_rows=1), trainer=Sklearn(),
        champion=ConstantModel("old"), release=[*stages, Full()], risk=Risk(wrong_promotion=0.5), **more,
    )


def live(stand: Users, loop: Loop, visits: Callable[[], None], most: int = 6) -> list[Any]:
    """Offer the challenger, then a day of traffic and a look, until the release has ended."""
    stand.offer()
    made = list(run(loop, stand.ledger))
    assert stand.state.release is not None
    for _ in range(most):
        visits()
        stand.clock.advance(2 * HOUR)
        made += run(loop, stand.ledger)
        if stand.state.release is None:
            break
    return [one for one in made if one.kind != "look"]


def stand_in(folder: Path, seed: int = 11, kind: type[Users] = Users) -> Any:
    made = type(kind.__name__, (kind,), {"name": NAME})(folder / "home", [Full()])
    made.rng = np.random.default_rng(seed)
    return made


@pytest.fixture(scope="module")
def won(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Users, Any]]:
    """An A/B that promoted its challenger; the stand, and the promotion."""
    stand = stand_in(tmp_path_factory.mktemp("won"))
    made = live(stand, loop_of(stand, TRIAL), lambda: stand.visit(250, BETTER))
    assert kinds(made)[-2:] == [("stage", "PASS"), ("promote", "PROMOTE")]
    yield stand, made[-1]
    stand.ledger.close()


def receipt(stand: Users, decision: Any) -> Path:
    return Path(stand.ledger.home) / "receipts" / f"{NAME}-{decision.id}.json"


def signed_anew(stand: Users, body: dict[str, Any], to: Path) -> Path:
    """What somebody who holds the home's key could make of it."""
    signature, key = sign(Path(stand.ledger.home) / "receipts" / "key", body)
    to.write_text(dumps({"body": body, "key": key, "signature": signature}) + "\n")
    return to


def verified_elsewhere(path: Path, folder: Path) -> tuple[int, dict[str, Any]]:
    """`trueup verify` in a process of its own, in a folder without a home."""
    away = folder / "receipt.json"
    if path != away:
        away.write_bytes(path.read_bytes())
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", "from trueup.cli import main; main()", "verify", str(away), "--json"],
        cwd=folder, text=True, capture_output=True, timeout=200, check=False,
    )
    assert not (folder / ".trueup").exists()
    return done.returncode, json.loads(done.stdout)


def test_tru_13_an_ab_promotion_is_recomputed_without_the_ledger(won: tuple[Users, Any], tmp_path: Path) -> None:
    """TRU-13: the units are in the receipt, as keyed hashes, and give the verdict again."""
    stand, decision = won
    path = receipt(stand, decision)
    code, found = verified_elsewhere(path, tmp_path)
    assert (code, found["says"], found["holds"]) == (0, "holds", True), found["lines"]
    text = "\n".join(found["lines"])
    assert "experiment: " in text
    assert "test 1 of a life with 0.5 in all" in text
    assert '"unit":"u1"' not in path.read_text()


def test_tru_13_a_changed_byte_of_an_ab_is_found(won: tuple[Users, Any], tmp_path: Path) -> None:
    stand, decision = won
    raw, away = receipt(stand, decision).read_bytes(), tmp_path / "receipt.json"
    for at in range(0, len(raw), len(raw) // 60):
        away.write_bytes(raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :])
        with contextlib.suppress(DataError, NotFound, UnknownName):  # no receipt at all any more
            assert verify_receipt(away).says == "does not hold", at


@pytest.mark.parametrize(
    ("change", "words"),
    [("row", "the rows give another result"), ("level", "is not the one that was due"), ("subject", "was won by"),
     ("early", "do not let it pass"), ("cut", "cannot be read")],
)
def test_tru_13_a_good_signature_under_other_rows_of_an_ab_does_not_hold(
    won: tuple[Users, Any], tmp_path: Path, change: str, words: str
) -> None:
    """One outcome of one unit, the level, the winner, or the minimum time is another: whoever holds the key."""
    stand, decision = won
    body = loads(receipt(stand, decision).read_text())["body"]
    piece = body["evidence"][0]
    if change == "row":
        piece["told"]["outcome"]["y"][5] = 1.0 - piece["told"]["outcome"]["y"][5]
    elif change == "level":
        body["level"] = piece["parameters"]["level"] = 0.04
    elif change == "subject":
        body["subject"] = "c-another"
    elif change == "early":
        piece["parameters"]["min_time"] *= 100
    else:
        del piece["told"]["rows"][0]["arm"]
    found = verify_receipt(signed_anew(stand, body, tmp_path / "receipt.json"))
    assert found.says == "does not hold"
    assert words in "\n".join(found.lines)


def test_tru_13_what_cannot_be_recomputed_is_signed_and_no_more(won: tuple[Users, Any], tmp_path: Path) -> None:
    """Evidence without its rows, or of another package's method: a verdict and an exit code of its own."""
    stand, decision = won
    for change in ("promise", "rows", "method"):
        body = loads(receipt(stand, decision).read_text())["body"]
        if change == "promise":  # without it nobody can tell which level was due
            body["risk"] = None
        else:
            del body["evidence"][0]["told"]
        if change == "method":
            body["evidence"][0]["method"] = "theirs"
        path = signed_anew(stand, body, tmp_path / "receipt.json")
        found = verify_receipt(path)
        assert (found.says, found.holds) == ("signed, not recomputed", False)
        assert "SIGNED, NOT RECOMPUTED" in found.lines[-1]
    code, told = verified_elsewhere(path, tmp_path)
    assert (code, told["says"]) == (3, "signed, not recomputed")


def test_tru_13_bandits_and_interleavings_are_recomputed_too(tmp_path: Path) -> None:
    """A promotion by an interleaving and a contextless bandit after it: both pieces from their rows."""
    stand = stand_in(tmp_path, 2, Readers)
    stages = (
        Interleave(OPENED.name, units=400, min_time=HOUR, max_time=7 * DAY),
        Bandit(CLICK, floor=0.3, no_worse_by=0.05, units=700, min_time=DAY, max_time=5 * DAY),
    )

    def day() -> None:
        if "interleaved" in stand.state.routing.get("arms", ()):
            stand.read(200, good=0.5)
        else:
            stand.visit(250, BETTER)

    made = live(stand, loop_of(stand, *stages), day, 9)
    assert kinds(made)[-1] == ("promote", "PROMOTE")
    path = receipt(stand, made[-1])
    code, found = verified_elsewhere(path, tmp_path)
    assert (code, found["says"]) == (0, "holds"), found["lines"]
    assert [part.split(":")[0].strip() for part in found["lines"] if part.startswith("  ")][1:] == ["interleaving", "experiment"]
    assert "of the 200 sessions been the champion's" in "\n".join(why(stand.ledger, made[-1].id).lines)
    body = loads(path.read_text())["body"]
    body["evidence"][0]["told"]["rows"][3][1] = 1 if body["evidence"][0]["told"]["rows"][3][1] != 1 else 0
    assert not verify_receipt(signed_anew(stand, body, tmp_path / "receipt.json")).holds
    stand.ledger.close()


def test_tru_01_why_an_ab_promoted(won: tuple[Users, Any]) -> None:
    """TRU-01: verdict, effect with interval, method, level and what is left, and how many outcomes turn it."""
    stand, decision = won
    found = why(stand.ledger, decision.id)
    text = "\n".join(found.lines)
    assert found.lines[0].startswith("PROMOTE")
    assert found.matches is True
    assert re.search(r"challenger minus champion \+0\.\d+ \[\+0\.\d+, \+0\.\d+\]: evidence", text)
    assert "horizon bet with logged propensities, margin 0.05" in text
    assert re.search(r"level [\d.]+: test 1 of this loop's life; [\d.]+ of 0.5 is left", text)
    k = int(text.split("it would not have passed had ")[1].split()[0].replace(",", ""))
    piece = loads(receipt(stand, decision).read_text())["body"]["evidence"][0]
    assert _promotes(piece, k - 1)
    assert not _promotes(piece, k), "the least change that turns it"


def _promotes(piece: dict[str, Any], k: int) -> bool:
    """Whether it still promotes when the challenger's last k good units had gone badly."""
    from trueup.release.offline import verdict_of

    told = loads(dumps(piece["told"]))
    ys = told["outcome"]["y"]
    good = [at for at, y in enumerate(ys) if y == 1.0 and told["rows"][at]["arm"] == "challenger"]
    for at in good[len(good) - k :]:
        ys[at] = 0.0
    return bool(verdict_of("experiment", told, piece["parameters"], piece["now"])["tests"]["challenger"]["promotes"])


def test_tru_01_why_an_ab_was_refused(tmp_path: Path) -> None:
    stand = stand_in(tmp_path)
    made = live(stand, loop_of(stand, TRIAL), lambda: stand.visit(200, {"champion": 0.4, "challenger": 0.3}))
    assert kinds(made)[-1] == ("refuse", "REFUSE")
    text = "\n".join(why(stand.ledger, made[-1].id).lines)
    assert re.search(r"it would have passed had \d+ more of the challenger's [\d,]+ units gone well", text)
    stand.ledger.close()


def test_tru_01_why_a_business_guardrail_rolled_back(tmp_path: Path) -> None:
    stand = stand_in(tmp_path)
    trial = replace(TRIAL, guardrails=Guardrails(outcomes=[NoHarm(SPAM, 0.01)]))
    made = live(stand, loop_of(stand, trial), lambda: stand.visit(
        200, {"champion": 0.3, "challenger": 0.6}, spam={"champion": 0.01, "challenger": 0.4},
    ))
    assert kinds(made)[-1] == ("rollback", "ROLLBACK")
    found = why(stand.ledger, made[-1].id)
    assert found.matches
    assert re.search(r"the guardrail spam would not have crossed had \d+ fewer of the challengers' \d+ units been harmed", "\n".join(found.lines))
    stand.ledger.close()


def test_tru_01_why_a_canary_rolled_back(tmp_path: Path) -> None:
    """TRU-01: counts by arm, each guardrail's evidence against its line, the level, and how many failures turn it."""
    stand = stand_in(tmp_path)
    stages = (Canary(0.25, 0.5, step=HOUR), Shadow(Accuracy(), no_worse_by=0.05))
    made = live(stand, loop_of(stand, *stages), lambda: stand.served(300, failing=(0.02, 0.5)))
    assert kinds(made)[-1] == ("rollback", "ROLLBACK")
    found = why(stand.ledger, made[-1].id)
    text = "\n".join(found.lines)
    assert found.lines[0].startswith("ROLLBACK: harm in")
    assert found.matches is True
    assert re.search(r"challenger: \d+ units, \d+ failed", text)
    assert re.search(r"count: evidence \S+ against \S+, crossed", text)
    assert re.search(r"no guardrail would have crossed had \d+ fewer of the challenger's \d+ units failed", text)
    assert "is left for all later tests" in text
    stand.ledger.close()


def test_tru_01_why_it_is_invalid_and_the_card_says_so_until_another_release_runs(tmp_path: Path) -> None:
    """A third of the challenger's units is lost before it is logged: told by why, and by status afterwards."""
    stand = stand_in(tmp_path)
    loop = loop_of(stand, TRIAL)
    made = live(stand, loop, lambda: stand.visit(250, BETTER, skew=0.5))
    assert kinds(made)[-1] == ("invalid", "INVALID")
    found = why(stand.ledger, made[-1].id)
    text = "\n".join(found.lines)
    assert found.lines[0].startswith("INVALID: the arms are not drawn as logged")
    assert "without this it would not have been INVALID: the arms are not drawn as logged (sample-ratio alarm)" in text
    assert "is left for all later tests" in text
    for _ in range(2):
        shown = "\n".join(lines(status(stand.ledger, NAME)))
        assert f"the last release was INVALID (trueup why {made[-1].id})" in shown
        assert re.search(r"INVALID  sample ratio: evidence against it \S+, line 1e\+03", shown)
        assert run(loop, stand.ledger, now=True) is not None  # another look leaves it
    stand.offer(stand.model("third", tmp_path))
    run(loop, stand.ledger)
    assert "INVALID" not in "\n".join(line for line in lines(status(stand.ledger, NAME)) if line.startswith(("the last", "  INVALID")))
    stand.ledger.close()


def test_an_invalid_that_rests_on_no_rows_is_told_as_well(tmp_path: Path) -> None:
    """TRU-01: the outcome that it began with was redefined."""
    stand = stand_in(tmp_path)
    loop = loop_of(stand, TRIAL)
    stand.offer()
    run(loop, stand.ledger)
    stand.stages = [TRIAL, Full()]
    stand.outcomes = tuple(replace(one, within=2 * HOUR) if one == CLICK else one for one in stand.outcomes)
    made = stand.advance()
    assert kinds(made) == [("invalid", "INVALID")]
    text = "\n".join(why(stand.ledger, made[0].id).lines)
    assert "without this it would not have been INVALID: the outcome click is not the one" in text
    stand.ledger.close()


def test_status_shows_an_ab_by_what_its_look_has_computed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The card of a running A/B, green; the look hands over what it has computed, and nothing is computed twice."""
    stand = stand_in(tmp_path)
    loop = loop_of(stand, TRIAL)
    live(stand, loop, lambda: stand.visit(250, BETTER), 0)
    stand.visit(250, BETTER)
    stand.clock.advance(2 * HOUR)
    done: dict[str, int] = {"experiment": 0, "canary": 0}
    for name in done:
        def counted(*given: Any, name: str = name, usual: Any = METHODS[name].result) -> Any:
            done[name] += 1
            return usual(*given)

        monkeypatch.setattr(METHODS[name], "result", counted)
    run(loop, stand.ledger)
    looks = sum(one.kind == "look" for one in stand.ledger.decisions(NAME, newest=True, limit=1))
    assert done["experiment"] <= 1 + looks, "once a ruling, and never for the card"
    shown = "\n".join(lines(status(stand.ledger, NAME)))
    assert re.search(r"  250 of 700 units, evidence \S+ against \S+", shown)
    assert "green  sample ratio assigned" in shown
    assert "green  propensities: logged" in shown
    assert "green  clustering: a unit counts once, in one arm" in shown
    assert "INVALID" not in shown
    stand.ledger.close()
