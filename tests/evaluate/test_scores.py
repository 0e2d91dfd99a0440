# SPDX-License-Identifier: Apache-2.0
import json
import math
import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as oracle
from sklearn.preprocessing import MultiLabelBinarizer

from trueup.core.errors import DataError, DefinitionError
from trueup.core.protocols import Metric, Prediction, Scorer, Unmeasured
from trueup.core.values import from_json, to_json
from trueup.evaluate import (
    AUC,
    F1,
    Accuracy,
    Custom,
    Exact,
    F1Macro,
    F1Micro,
    F1PerLabel,
    LogLoss,
    f1_by_label,
)
from trueup.evaluate.labels import label_key

SCORERS = [Accuracy(), F1(), Exact(), Exact(case=True)]
METRICS = [F1Micro(), F1Macro(), F1PerLabel(), F1PerLabel("a"), AUC(), AUC("a"), LogLoss()]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True, allow_infinity=True) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3), max_leaves=6,
)  # fmt: skip


def half(given: Any, answer: Any, label: Any) -> Any:
    return {"nan": math.nan, "two": 2.0, "none": None, "unknown": Unmeasured("nobody knows")}.get(answer, 0.5)


def raising(given: Any, answer: Any, label: Any) -> float:
    raise RuntimeError("judge is out")


def said(values: list[Any], scores: list[dict[str, float]] | None = None) -> list[Prediction]:
    return [Prediction(v, scores[i] if scores else None) for i, v in enumerate(values)]


def world(n: int, seed: int, labels: str = "abcd") -> tuple[list[Prediction], list[str]]:
    rng = np.random.default_rng(seed)
    truth = [labels[i] for i in rng.integers(0, len(labels), n)]
    p = rng.dirichlet(np.ones(len(labels)), n).round(3) + 0.001
    for i, label in enumerate(truth):
        p[i, labels.index(label)] += 0.3
    p /= p.sum(1, keepdims=True)
    return said([labels[i] for i in p.argmax(1)], [dict(zip(labels, row.tolist(), strict=True)) for row in p]), truth


def sets(n: int, seed: int) -> tuple[list[list[str]], list[list[str]]]:
    rng = random.Random(seed)
    return tuple([[x for x in "abcde" if rng.random() < 0.35] for _ in range(n)] for _ in range(2))


@pytest.mark.parametrize("part", [*SCORERS, *METRICS, Custom(half)])
def test_every_scorer_and_metric_is_a_value(part: Any) -> None:
    assert isinstance(part, Scorer | Metric)
    assert from_json(json.loads(json.dumps(to_json(part)))) == part
    assert part.name


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(JSON, JSON), max_size=8))
def test_whatever_comes_scores_lie_in_0_1_or_say_why_not(rows: list[tuple[Any, Any]]) -> None:
    answers, labels = said([a for a, _ in rows]), [b for _, b in rows]
    for scorer in [*SCORERS, Custom(half)]:
        scores = scorer.score([None] * len(rows), answers, labels)
        assert len(scores) == len(rows)
        assert all(isinstance(s, Unmeasured) or 0.0 <= s <= 1.0 for s in scores)
    for metric in METRICS:
        result = metric.measure(answers, labels)
        assert isinstance(result, Unmeasured) or math.isfinite(result)


@settings(max_examples=30, deadline=None)
@given(st.integers(5, 60), st.integers(0, 10**6))
def test_metrics_do_not_depend_on_the_order(n: int, seed: int) -> None:
    answers, truth = world(n, seed)
    order = np.random.default_rng(seed).permutation(n)
    for metric in METRICS:
        a, b = metric.measure(answers, truth), metric.measure([answers[i] for i in order], [truth[i] for i in order])
        assert a == b or math.isclose(a, b, abs_tol=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_single_labels_agree_with_scikit_learn(seed: int) -> None:
    """EVL-04: accuracy, F1, AUC, log loss."""
    answers, truth = world(400, seed)
    given_ = [a.value for a in answers]
    p = np.array([[a.scores[x] for x in "abcd"] for a in answers])
    assert np.mean(Accuracy().score(truth, answers, truth)) == pytest.approx(oracle.accuracy_score(truth, given_), abs=1e-12)
    assert F1Micro().measure(answers, truth) == pytest.approx(oracle.f1_score(truth, given_, average="micro"), abs=1e-12)
    assert F1Macro().measure(answers, truth) == pytest.approx(oracle.f1_score(truth, given_, average="macro"), abs=1e-12)
    each = oracle.f1_score(truth, given_, average=None, labels=list("abcd"))
    assert list(f1_by_label(answers, truth).values()) == pytest.approx(each, abs=1e-12)
    assert F1PerLabel().measure(answers, truth) == pytest.approx(min(each), abs=1e-12)
    assert F1PerLabel("b").measure(answers, truth) == pytest.approx(each[1], abs=1e-12)
    area = oracle.roc_auc_score(truth, p, multi_class="ovr", average="macro", labels=list("abcd"))
    assert AUC().measure(answers, truth) == pytest.approx(area, abs=1e-12)
    loss = oracle.log_loss(truth, p, labels=list("abcd"))
    assert LogLoss().measure(answers, truth) == pytest.approx(loss, abs=1e-12)


def test_auc_counts_ties_half_like_scikit_learn() -> None:
    rng = np.random.default_rng(3)
    right, scores = rng.integers(0, 2, 300), rng.integers(0, 6, 300) / 5
    answers = said([0] * 300, [{"1": s} for s in scores.tolist()])
    assert AUC("1").measure(answers, right.tolist()) == pytest.approx(oracle.roc_auc_score(right, scores), abs=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_label_sets_agree_with_scikit_learn(seed: int) -> None:
    truth, given_ = sets(300, seed)
    binary = MultiLabelBinarizer(classes=list("abcde"))
    y, x = binary.fit_transform(truth), binary.transform(given_)
    answers = said(given_)
    mean = np.mean(F1().score(truth, answers, truth))
    assert mean == pytest.approx(oracle.f1_score(y, x, average="samples", zero_division=1.0), abs=1e-12)
    assert np.mean(Accuracy().score(truth, answers, truth)) == pytest.approx(oracle.accuracy_score(y, x), abs=1e-12)
    for metric, average in ((F1Micro(), "micro"), (F1Macro(), "macro")):
        assert metric.measure(answers, truth) == pytest.approx(oracle.f1_score(y, x, average=average), abs=1e-12)


def test_for_single_labels_f1_is_accuracy() -> None:
    answers, truth = world(100, 1)
    assert F1().score(truth, answers, truth) == Accuracy().score(truth, answers, truth)


def test_no_answer_is_wrong_and_no_label_is_unmeasured() -> None:
    labels = ["a", "a", None, {"x": 1}]
    for scorer in (Accuracy(), F1(), Exact()):
        scores = scorer.score(labels, said(["a", None, "a", "a"]), labels)
        assert scores[:2] == [1.0, 0.0]
        assert all(isinstance(s, Unmeasured) for s in scores[2:])


def test_labels_are_one_label_however_they_are_written() -> None:
    assert label_key(1) == label_key("1") == label_key(1.0) == "1"
    assert label_key(True) == label_key("true")
    assert label_key(math.nan) is label_key(None) is label_key([1]) is None
    assert F1().score(["x"], said([["a", "a"]]), [["a"]]) == [1.0]


def test_texts_are_compared_after_normalisation() -> None:
    def one(answer: str, label: str, case: bool = False) -> Any:
        return Exact(case).score([""], said([answer]), [label])[0]

    assert one("  The   Answer.", "the answer") == 1.0
    assert one("The", "the", case=True) == 0.0
    assert one("ﬁlm", "film") == 1.0
    assert one("1.5", "15") == 0.0
    assert one("-5", "5") == 0.0
    assert one("", "") == 1.0


def test_a_scorer_of_ones_own_never_gives_what_is_no_score() -> None:
    scores = Custom(half).score([0] * 5, said(["nan", "two", "none", "unknown", "x"]), [0] * 5)
    assert [s.reason for s in scores[:4]] == [
        "the scorer returned NaN", "the scorer returned a number outside [0, 1]",
        "the scorer returned NoneType, not a number", "nobody knows",
    ]  # fmt: skip
    assert scores[4] == 0.5
    assert Custom(raising).score([0], said([0]), [0]) == [Unmeasured("the scorer raised RuntimeError")]
    with pytest.raises(DefinitionError, match="module level"):
        Custom(lambda given, answer, label: 1.0)


def test_what_cannot_be_measured_says_why() -> None:
    """EVL-04: one class only, no scores, no labels: never NaN."""
    answers, _ = world(10, 1)
    assert AUC().measure(answers, ["a"] * 10) == Unmeasured("one class only: a")
    assert AUC().measure(said(["a", "b"]), ["a", "b"]) == Unmeasured("2 of 2 answers have no scores")
    assert F1Macro().measure(answers, [None] * 10) == Unmeasured("no labelled rows")
    assert isinstance(LogLoss().measure(said(["a"], [{"a": math.nan}]), ["a"]), Unmeasured)
    assert isinstance(AUC().measure(said("ab", [{"a": math.nan}, {"a": 1.0}]), ["a", "b"]), Unmeasured)
    assert isinstance(LogLoss().measure(said([["a"]], [{"a": 1.0}]), [["a", "b"]]), Unmeasured)
    assert isinstance(F1PerLabel("z").measure(answers, ["a"] * 10), Unmeasured)
    assert LogLoss().measure(said(["a"], [{"b": 1.0}]), ["a"]) == pytest.approx(36.04, abs=0.01)


def test_answers_and_labels_must_pair() -> None:
    for part in (*SCORERS, Custom(half)):
        with pytest.raises(DataError, match="one answer a label, got 1 answers and 2 labels"):
            part.score(["x", "y"], said(["a"]), ["a", "b"])
    with pytest.raises(DataError):
        F1Micro().measure(said(["a"]), ["a", "b"])
