# SPDX-License-Identifier: Apache-2.0
"""ROUGE against its oracle, rouge-score (EVL-03)."""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from rouge_score.rouge_scorer import RougeScorer

from trueup.core.errors import DataError, MissingDependency
from trueup.core.protocols import Measured, Prediction, Unmeasured
from trueup.evaluate import AtLeast, NoWorse, Rouge1, Rouge2, RougeL
from trueup.evaluate.rouge import unicode_words
from trueup.testing import check_scorer

SCORERS = {"rouge1": Rouge1(), "rouge2": Rouge2(), "rougeL": RougeL()}
PAIRS = [
    ("The council's new library opens on Monday.", "A new library opened; the council says it opens Monday"),
    ("Rates rose by 0.25 points, to 4.5%.", "The bank raised rates by 0.25 points to 4.5 percent."),
    ("naïve café owners won't pay", "Naive cafe owners won't pay: café prices rise"),
    ("İstanbul’s ferry–strike, day 3", "istanbul ferry strike day 3"),
    ("police police police", "police find the police"),
    ("one", "one"),
    ("", "something"),
    ("nothing in common", "completely different words"),
    ("snake_case and kebab-case", "snake case and kebab case"),
]


def one(scorer: Any, answer: Any, label: Any) -> Measured:
    (score,) = scorer.score(["x"], [Prediction(answer)], [label])
    return score


def agree(pairs: list[tuple[str, str]]) -> None:
    oracle = RougeScorer(list(SCORERS), use_stemmer=False)
    for answer, label in pairs:
        wanted = oracle.score(label, answer)
        for name, scorer in SCORERS.items():
            assert one(scorer, answer, label) == pytest.approx(wanted[name].fmeasure, abs=1e-9), (name, answer, label)


def test_sentences_score_as_rouge_score_does() -> None:
    agree(PAIRS)


@pytest.mark.data
def test_film_descriptions_score_as_rouge_score_does() -> None:
    """EVL-03: real English, 2,000 descriptions: each beside another one, and beside a mangled self."""
    path = Path(os.environ["TRUEUP_DATA"]) / "netflix_titles.parquet"
    texts = pq.read_table(path, columns=["description"])["description"].to_pylist()[:2_000]
    rng = np.random.default_rng(0)
    pairs = [(texts[a], texts[b]) for a, b in rng.integers(len(texts), size=(1_000, 2))]
    for text in texts:
        words = text.split()
        kept = [word for word in words if rng.random() < 0.8]
        at = int(rng.integers(len(kept) or 1))
        pairs.append((" ".join(kept[at:] + kept[:at]), text))
    agree(pairs)


WORLD = [
    ("Совет открыл библиотеку", "Совет открыл новую библиотеку", 3, 4, ["совет", "открыл", "новую", "библиотеку"]),
    ("Η ΑΘΉΝΑ σήμερα", "Η Αθήνα", 3, 2, ["η", "αθήνα"]),
    ("مكتبة جديدة", "مكتبة المدينة", 2, 2, ["مكتبة", "المدينة"]),
    ("हिन्दी समाचार", "हिन्दी में समाचार", 2, 3, ["हिन्दी", "में", "समाचार"]),
    ("한국 은행", "한국 은행 금리", 2, 3, ["한국", "은행", "금리"]),
    ("上海天气", "北京天气", 4, 4, ["北", "京", "天", "气"]),
    ("東京の天気 2026", "東京の天気", 6, 5, ["東", "京", "の", "天", "気"]),
    ("สวัสดี", "สวัสดี", 4, 4, ["ส", "วั", "ส", "ดี"]),
    ("iPhone 16 вышел", "Вышел iPhone 16 компании Apple", 3, 5, ["вышел", "iphone", "16", "компании", "apple"]),
]


@pytest.mark.parametrize(("answer", "label", "given", "truth", "words"), WORLD)
def test_words_of_other_scripts_are_found(answer: str, label: str, given: int, truth: int, words: list[str]) -> None:
    """EVL-03: Unicode words, and characters where a script writes no spaces; a label is equal to itself."""
    assert unicode_words(label) == words
    shared = len(set(unicode_words(answer)) & set(words))
    both = sum((Counter(unicode_words(answer)) & Counter(words)).values())
    assert len(unicode_words(answer)) == given
    assert len(words) == truth
    assert shared > 0
    assert one(Rouge1(), answer, label) == pytest.approx(2 * both / (given + truth))
    for scorer in SCORERS.values():
        assert one(scorer, label, label) == 1.0
        assert one(scorer, "unrelated", label) == 0.0


def test_latin_text_with_a_foreign_name_is_cut_as_before() -> None:
    """What decides is where most letters of the reference are; in Latin text rouge-score is met as before."""
    agree([("the film Левиафан won", "The film «Левиафан» won a prize"), ("un café à Zürich", "un café près de Zürich"), ("3 µm thick", "about 3 µm thick")])
    assert one(Rouge1(), "é", "é") == 1.0, "where rouge-score finds no word at all"
    assert one(Rouge1(), "новости", ["news", "новости дня"]) == pytest.approx(2 / 3)


@pytest.mark.parametrize("scorer", SCORERS.values(), ids=list(SCORERS))
def test_a_rouge_scorer_keeps_to_the_protocol(scorer: Any) -> None:
    truths = [label for _, label in PAIRS]
    check_scorer(scorer, truths, [Prediction(answer) for answer, _ in PAIRS], truths)


def test_the_best_of_several_references_counts() -> None:
    assert one(RougeL(), "a b c", ["x y z", "a b c"]) == 1.0


def test_what_cannot_be_measured_says_why() -> None:
    assert one(RougeL(), "a", None) == Unmeasured("no label")
    assert one(RougeL(), "a", {"text": "a"}) == Unmeasured("the label is neither a text nor a list of texts")
    assert one(RougeL(), "a", []) == Unmeasured("the label is neither a text nor a list of texts")
    assert one(RougeL(), "a", "—") == Unmeasured("the label has no words")
    assert one(RougeL(), None, "a b") == 0.0
    assert one(RougeL(), 7, "a b") == 0.0
    with pytest.raises(DataError, match="one answer a label"):
        RougeL().score([], [], ["a"])


def test_gates_take_rouge() -> None:
    from tests.evaluate.conftest import Named, Toy

    rows = [{"id": f"i{n}", "new": f"the head of firm {n} resigns", "champ": f"firm {n}"} for n in range(60)]
    items = Toy(rows, [f"the head of firm {n} resigns today" for n in range(60)])

    def answers(who: str) -> Any:
        return lambda inputs: [Prediction(row[who]) for row in inputs]

    floor = AtLeast(RougeL(), 0.30, on=Named()).judge(answers("new"), None, items, seed=0)
    assert floor.passed
    assert "ROUGE-L on core: 0.923" in floor.reason
    assert not AtLeast(RougeL(), 0.95, on=Named()).judge(answers("new"), None, items, seed=0).passed
    assert AtLeast(RougeL(), 0.30, on=Named()).check(items) == []
    assert NoWorse(RougeL(), by=0.10, on=Named()).judge(answers("new"), answers("champ"), items, seed=0).passed
    assert not NoWorse(RougeL(), by=0.10, on=Named()).judge(answers("champ"), answers("new"), items, seed=0).passed


def test_without_rapidfuzz_the_cure_is_named() -> None:
    code = (
        "import sys; sys.modules['rapidfuzz'] = None\n"
        "from trueup.core.protocols import Prediction\n"
        "from trueup.evaluate import Rouge1, RougeL\n"
        "assert Rouge1().score(['x'], [Prediction('a')], ['a']) == [1.0]\n"
        "RougeL().score(['x'], [Prediction('a')], ['a'])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert MissingDependency.__name__ in done.stderr
    assert "pip install 'trueup[text]'" in done.stderr
