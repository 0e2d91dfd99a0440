# SPDX-License-Identifier: Apache-2.0
"""DRL-01: a model that only learns from clicks on its own predictions."""

from trueup.lab.drills import feedback_loop, find, play


def test_exploration_and_weights_mend_what_collapses_without_them(tmp_path) -> None:
    """DRL-01, CUR-12, REL-12: the code of `trueup drill feedback-loop` on a small world."""
    account = play(find("feedback-loop"), tmp_path / "home", quiet=True, options={"weeks": 6, "weekly": 400})
    assert account.holds, [told for scene in account.scenes for held, told in scene.checks if not held]
    page = (tmp_path / "home" / "feedback-loop.html").read_text()
    assert page.count("<svg") == 3
    facts = account.scenes[3].facts
    assert max(abs(a - b) for a, b in zip(facts["weighted"], facts["truth"], strict=True)) < 0.12
    assert max(abs(a - b) for a, b in zip(facts["plain"], facts["truth"], strict=True)) > 0.15


def test_the_drill_fails_where_the_weights_are_left_out(tmp_path, monkeypatch) -> None:
    """The control: propensities that say nothing leave the bias in."""
    from trueup import client

    real = client.explore
    monkeypatch.setattr(client, "explore", lambda key, answers, epsilon: real(key, answers, epsilon=epsilon)._replace(propensity=0.5))
    account = play(find("feedback-loop"), tmp_path / "home", quiet=True, options={"weeks": 4, "weekly": 400})
    assert not account.holds
    assert feedback_loop.DRILL.id == "DRL-01"
