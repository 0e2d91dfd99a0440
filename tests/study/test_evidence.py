# SPDX-License-Identifier: Apache-2.0
"""A promotion's receipt, what would have turned it, and the card of a running release."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from trueup import Loop
from trueup.core.errors import DataError, NotFound, UnknownName
from trueup.core.json import dumps, loads
from trueup.loop import status, verify_receipt, why, write_receipt
from trueup.loop.status import lines
from trueup.loop.turning import turning
from trueup.models import ConstantModel
from trueup.release import METHODS, recompute
from trueup.store import Ledger
from trueup.testing import Simulation
from trueup.testing.replay import replay

DAY = timedelta(days=1)
START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory, past_of: Callable[..., Ledger], loop_of: Callable[..., Loop]) -> Iterator[Simulation]:
    """Twelve days in which a trained model replaces a constant one."""
    folder = tmp_path_factory.mktemp("lived")
    loop = loop_of(champion=ConstantModel("animal"))
    loop = replace(loop, when=[type(loop.when[0])(300)])
    with past_of(folder / "home", days=14, moves=None) as ledger, replay(loop, ledger, folder / "again") as made:
        yield made


def promoted(made: Simulation) -> tuple[Path, str]:
    decision = next(one for one in made.decisions if one.kind == "promote")
    return made.home / "receipts" / f"toys-{decision.id}.json", decision.id


def test_tru_13_a_receipt_is_verified_without_the_ledger(lived: Simulation, tmp_path: Path) -> None:
    """TRU-13: written when the promotion is decided; recomputed elsewhere; the same when asked for again."""
    path, ident = promoted(lived)
    found = verify_receipt(path)
    assert found.holds
    assert "recomputed from its rows" in found.lines[-1]
    before = path.read_bytes()
    assert write_receipt(lived.ledger, lived.ledger.decision(ident)).read_bytes() == before, "a projection of the ledger"
    assert b'"u1"' not in before, "units stand in it as a keyed hash"
    away = tmp_path / "receipt.json"
    away.write_bytes(before)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", "from trueup.cli import main; main()", "verify", str(away), "--key", found.key, "--json"],
        cwd=tmp_path, text=True, capture_output=True, timeout=110, check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["holds"]
    assert not verify_receipt(path, "ed25519:another").holds
    assert (lived.home / "receipts" / "key").stat().st_mode & 0o077 == 0


def test_tru_13_any_changed_byte_is_found(lived: Simulation, tmp_path: Path) -> None:
    path, _ = promoted(lived)
    raw, away = path.read_bytes(), tmp_path / "receipt.json"
    wrong = 0
    for at in range(0, len(raw), max(1, len(raw) // 150)):
        away.write_bytes(raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :])
        with contextlib.suppress(DataError, NotFound, UnknownName):  # no receipt at all any more
            wrong += verify_receipt(away).holds
    assert wrong == 0
    told = loads(raw.decode())
    told["body"]["evidence"][0]["told"]["rows"][0][2] = 0.5
    away.write_text(dumps(told) + "\n")
    assert "signature" in " ".join(verify_receipt(away).lines)


def test_tru_13_rows_that_do_not_carry_the_verdict_are_found_behind_a_good_signature(lived: Simulation, tmp_path: Path) -> None:
    """Whoever holds the key cannot sign what the rows do not give."""
    from trueup.release.people.keys import sign

    path, _ = promoted(lived)
    for change in ("row", "level"):
        body = loads(path.read_text())["body"]
        if change == "row":
            body["evidence"][0]["told"]["rows"][0][2] = 1.0 - body["evidence"][0]["told"]["rows"][0][2]
        else:
            body["level"] = 0.04
        signature, key = sign(lived.home / "receipts" / "key", body)
        away = tmp_path / "receipt.json"
        away.write_text(dumps({"body": body, "key": key, "signature": signature}) + "\n")
        assert not verify_receipt(away).holds, change


def test_tru_01_why_says_what_would_have_turned_it_and_what_is_left(lived: Simulation) -> None:
    """TRU-01: the verdict first, effect with interval, method, level, what is left, the shortest change."""
    decision = next(one for one in lived.decisions if one.kind == "promote")
    found = why(lived.ledger, decision.id)
    text = "\n".join(found.lines)
    assert found.lines[0].startswith("PROMOTE")
    assert "challenger minus champion +" in text
    assert "method: paired bet" in text
    assert "it would not have passed there had" in text
    assert "is left for all later tests" in text
    shadow = next(one for one in lived.decisions if one.evidence.get("method") == "shadow" and one.verdict == "PASS")
    turned = turning(lived.ledger, shadow)
    assert turned is not None
    k = int(turned.values["k"])
    assert f" had {k:,} of" in text
    assert 1 <= k < shadow.evidence["result"]["n"]


def test_a_difference_wins_over_what_cannot_be_recomputed(lived: Simulation, monkeypatch: pytest.MonkeyPatch) -> None:
    """TRU-01: where one piece differs and a later one is lost, the explanation differs."""
    module = sys.modules["trueup.loop.why"]
    decision = next(one for one in lived.decisions if one.kind == "promote")
    shadow = next(one for one in lived.decisions if one.evidence.get("method") == "shadow" and one.verdict == "PASS")
    changed = replace(shadow, evidence={**shadow.evidence, "result": {**shadow.evidence["result"], "wealth": 1.0}})
    gone = replace(shadow, evidence={**shadow.evidence, "method": "gone"})
    monkeypatch.setattr(module, "_rests_on", lambda *_: [changed, gone])
    found = why(lived.ledger, decision.id)
    assert found.matches is False
    assert found.lost
    assert "gone" not in METHODS
    monkeypatch.setattr(module, "_rests_on", lambda *_: [shadow, gone])
    assert why(lived.ledger, decision.id).matches is None
    assert recompute(lived.ledger, "toys", shadow.evidence) == shadow.evidence["result"]


def test_status_shows_a_card_while_a_release_runs(
    tmp_path: Path, past_of: Callable[..., Ledger], loop_of: Callable[..., Loop]
) -> None:
    """The assumptions, by the last look: spent, left, each green or INVALID; read from a small file."""
    loop = loop_of(champion=ConstantModel("animal"))
    loop = replace(loop, when=[type(loop.when[0])(300)])
    seen: list[str] = []

    def after(ledger: Ledger, _: object) -> None:
        found = status(ledger, "toys")
        if found.state.release is not None:
            assert found.card is not None
            seen.extend(lines(found))
        else:
            assert found.card is None

    with past_of(tmp_path / "home", days=9, moves=None) as ledger, replay(loop, ledger, tmp_path / "again", after=after):
        pass
    text = "\n".join(seen)
    assert "spent 0.00894 on test 1, left 0.0411 of 0.05 (per life)" in text
    assert "green  clustering: a unit counts once" in text
    assert "INVALID" not in text
