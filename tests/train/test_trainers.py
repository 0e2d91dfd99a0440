# SPDX-License-Identifier: Apache-2.0
"""Our own trainers through one suite: what they learn, what they refuse, what they repeat."""

import re

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from trueup.core import values
from trueup.core.errors import ArgumentError, CapabilityMissing, MissingDependency, UnknownName
from trueup.core.protocols import Trainer
from trueup.core.references import Ref
from trueup.models import Features, load, read_manifest
from trueup.train import Command, Sklearn, Xgboost, refuse

BOOST = Xgboost(rounds=20, least=1, params={"eta": 0.5})
LABEL = [Sklearn(), Sklearn("sgd"), Sklearn("naive_bayes"), BOOST]
NUMBER = [Sklearn("ridge"), Sklearn("sgd", params={"passes": 50}), BOOST]
ALL = [*LABEL, Sklearn("ridge")]


def ident(trainer):
    return getattr(trainer, "estimator", "xgboost")


@pytest.mark.parametrize("trainer", LABEL, ids=ident)
def test_one_label(trainer, rows, make_job, here):
    """TRN-09, TRN-03."""
    assert isinstance(trainer, Trainer)
    result = trainer.fit(make_job(trainer, rows), here)
    assert result.status == "completed", result.reason
    assert here.steps[-1][0] == here.steps[-1][1]
    answers = load(result.model).predict(["a storm and a ship at sea", "the general and the soldiers", "a wedding"])
    assert [answer.value for answer in answers] == ["sea", "war", "love"]
    for answer in answers:
        assert sum(answer.scores.values()) == pytest.approx(1.0, abs=1e-5)
        assert max(answer.scores, key=answer.scores.get) == answer.value


@pytest.mark.parametrize("trainer", LABEL, ids=ident)
def test_two_labels_that_are_not_texts(trainer, rows, make_job, here):
    two = [(text, label == "sea") for text, label in rows]
    result = trainer.fit(make_job(trainer, two), here)
    answers = load(result.model).predict(["a storm and a ship at sea", "the general and the soldiers"])
    assert [answer.value for answer in answers] == [True, False]
    assert set(answers[0].scores) == {"true", "false"}


@pytest.mark.parametrize("trainer", LABEL, ids=ident)
def test_lists_of_labels(trainer, many_rows, make_job, here):
    """TRN-09: a label of every row is learned as well."""
    result = trainer.fit(make_job(trainer, many_rows, "labels"), here)
    assert result.status == "completed", result.reason
    answers = load(result.model).predict(["a storm and a ship at sea", "a wedding and a bride"])
    assert [answer.value for answer in answers] == [["film", "sea", "wet"], ["film", "love"]]
    assert set(answers[0].scores) == {"film", "love", "sea", "war", "wet"}


@pytest.mark.parametrize("trainer", NUMBER, ids=ident)
def test_numbers(trainer, make_job, here):
    features = Features(numeric=("x",), bits=8)
    trainer = type(trainer)(**{
        name: features if name == "features" else getattr(trainer, name)
        for name in trainer.__dataclass_fields__
    })
    grid = [({"x": x / 10}, 3.0 * np.log1p(x / 10)) for x in range(100)]
    result = trainer.fit(make_job(trainer, grid, "number"), here)
    assert result.status == "completed", result.reason
    (answer,) = load(result.model).predict([{"x": 5.0}])
    assert answer.value == pytest.approx(3 * np.log1p(5.0), abs=0.4)


@pytest.mark.parametrize("trainer", ALL, ids=ident)
def test_the_same_job_gives_the_same_bytes(trainer, rows, many_rows, make_job, here, tmp_path):
    """VER-01: content-addressed outputs."""
    kinds = {"label": rows, "labels": many_rows, "number": [(text, 1.0 * n) for n, (text, _) in enumerate(rows)]}
    for output in trainer.capabilities.outputs:
        job = make_job(trainer, kinds[output], output)
        digests = set()
        for _ in range(2):
            result = trainer.fit(job, here)
            digests.add(read_manifest(result.model).digest())
        assert len(digests) == 1, output


@pytest.mark.parametrize("trainer", LABEL, ids=ident)
def test_weights_count(trainer, make_job, here):
    """CUR-12: rows of weight 0 teach nothing."""
    rows = [("red apple", "a"), ("red apple", "b")] * 10 + [("blue", "a"), ("green", "b")]
    weights = [1.0, 0.0] * 10 + [1.0, 1.0]
    result = trainer.fit(make_job(trainer, rows, weights=weights), here)
    assert load(result.model).predict(["red apple"])[0].value == "a"


BAD = [
    ([], None, "expected at least one row to train on, got none"),
    ([("a b", "x"), ("c d", "x")], "label", r"expected at least two different labels to train on, got \['x'\]"),
    ([("a b", ["x"]), ("c d", ["x"])], "labels", "expected at least two different labels"),
    ([("a b", "x"), ("c d", 1.5)], "label", "expected a label as text, whole number or boolean in training row 1"),
    ([("a b", "x"), ("c d", None)], "label", "training row 1"),
    ([("a b", "x"), ("c d", ["x"])], "labels", "expected a list of labels as target of training row 0"),
    ([("a b", 1.0), ("c d", "2")], "number", "expected a finite number as target of training row 1"),
    ([("a b", 1.0), ("c d", 10**400)], "number", "expected a finite number as target of training row 1"),
    ([({"t": "a"}, "x"), ({"t": "b"}, "y")], "label", "expected a text as input in row 0"),
    ([("?", "x"), ("!", "y")], "label", "expected at least one feature|completed"),
]


@pytest.mark.parametrize(
    ("trainer", "rows", "output", "words"),
    [(each, *bad) for each in ALL for bad in BAD if bad[1] in (None, *each.capabilities.outputs)],
)
def test_bad_rows_are_a_plain_reason(trainer, rows, output, words, make_job, here):
    output = output or trainer.capabilities.outputs[0]
    result = trainer.fit(make_job(trainer, rows, output), here)
    if result.status == "completed":
        assert "completed" in words
        return
    assert result.status == "failed"
    assert result.model is None
    assert re.search(words, result.reason), result.reason
    assert "Traceback" not in result.reason


@pytest.mark.parametrize("weights", [[1.0, None], [1.0, float("nan")], [1.0, -1.0], [0.0, 0.0]])
def test_bad_weights(weights, make_job, here):
    trainer = Sklearn()
    result = trainer.fit(make_job(trainer, [("a b", "x"), ("c d", "y")], weights=weights), here)
    assert result.status == "failed"
    assert "weight" in result.reason


@pytest.mark.parametrize("text", ["NaN", "{", None])
def test_rows_that_are_not_json(text, make_job, here, tmp_path):
    trainer = Sklearn()
    job = make_job(trainer, [("a b", "x"), ("c d", "y")])
    table = pa.table({"input": ['"a"', '"b"'], "target": ['"x"', text], "weight": [1.0, 1.0]})
    pq.write_table(table, job.data.uri)
    assert "training row 1" in trainer.fit(job, here).reason


def test_a_missing_column_and_a_file_that_is_not_parquet(make_job, here):
    trainer = Sklearn()
    job = make_job(trainer, [("a b", "x"), ("c d", "y")])
    pq.write_table(pa.table({"input": ['"a"']}), job.data.uri)
    assert "'target', 'weight'" in trainer.fit(job, here).reason
    with open(job.data.uri, "w") as file:
        file.write("no")
    assert "expected training data as Parquet" in trainer.fit(job, here).reason


def test_asked_to_stop(rows, make_job, here):
    here.stop = True
    for trainer in (Sklearn(), BOOST):
        assert trainer.fit(make_job(trainer, rows), here).status == "retry"


@pytest.mark.parametrize("trainer", [Sklearn("sgd"), BOOST], ids=ident)
@pytest.mark.parametrize("output", ["label", "labels"])
def test_going_on_from_a_model(trainer, output, rows, many_rows, make_job, here, tmp_path):
    """TRN-04: new rows of two labels are added to a model of three; the third is kept."""
    job = make_job(trainer, rows if output == "label" else many_rows, output)
    first = trainer.fit(job, here).model.rename(tmp_path / "first")
    new = [("dragons fly", "sea"), ("knights ride", "war")] * 20
    new = new if output == "label" else [(text, [label]) for text, label in new]
    init = Ref(str(first), read_manifest(first).digest())
    result = trainer.fit(make_job(trainer, new, output, init=init, name="new"), here)
    assert result.status == "completed", result.reason
    assert read_manifest(result.model).labels == read_manifest(first).labels
    answers = load(result.model).predict(["a wedding and a bride", "knights ride"])
    if output == "label":
        assert answers[0].value == "love"
        if ident(trainer) == "sgd":  # boosted trees know only the columns of their first rows
            assert answers[1].value == "war"
    else:
        assert "love" in answers[0].value


def test_going_on_refuses_new_labels_other_features_and_foreign_models(rows, make_job, here, tmp_path):
    """TRN-06: new features or labels force a training from scratch."""
    trainer = Sklearn("sgd")
    first = trainer.fit(make_job(trainer, rows), here).model.rename(tmp_path / "first")
    init = Ref(str(first), "0" * 64)
    new = make_job(trainer, [("x y", "sea"), ("z", "new")], init=init, name="new")
    assert "'new'" in trainer.fit(new, here).reason
    other = Sklearn("sgd", features=Features(bits=10))
    assert "same features" in other.fit(make_job(other, rows, init=init), here).reason
    assert "sklearn for label" in BOOST.fit(make_job(BOOST, rows, init=init), here).reason
    assert "can go on" in Sklearn().fit(make_job(Sklearn(), rows, init=init), here).reason


def test_stacked_weights_answer_as_the_estimators_do(many_rows, make_job, here):
    trainer = Sklearn()
    model = load(trainer.fit(make_job(trainer, many_rows, "labels"), here).model)
    matrix = model.manifest.features.transform([text for text, _ in many_rows])[:, model.columns]
    slow = np.column_stack([each.predict_proba(matrix)[:, 1] for each in model.estimators])
    fast = model.numbers(model.manifest.features.transform([text for text, _ in many_rows]))
    assert np.allclose(slow, fast, atol=1e-12)


@pytest.mark.parametrize("trainer", [*ALL, Command(["python", "x.py"])], ids=ident)
def test_trainers_are_values(trainer):
    assert values.from_json(values.to_json(trainer)) == trainer


def test_settings_that_cannot_work():
    with pytest.raises(UnknownName, match="did you mean 'logistic'"):
        Sklearn("logistics")
    with pytest.raises(UnknownName, match="did you mean 'max_iter'"):
        Sklearn(params={"maxiter": 3})
    with pytest.raises(UnknownName, match="did you mean 'max_depth'"):
        Xgboost(params={"maxdepth": 3})
    for wrong in (lambda: Xgboost(rounds=0), lambda: Sklearn(threshold=2.0), lambda: Command([])):
        with pytest.raises(ArgumentError):
            wrong()


def test_what_is_missing_is_refused_before_data_is_prepared(monkeypatch):
    """TRN-03, TRN-06."""
    refuse(Sklearn("sgd"), "labels", stateful=True, weights=True)
    with pytest.raises(CapabilityMissing, match=r"can go on from a model, got trainer.sklearn \(logistic\)"):
        refuse(Sklearn(), "label", stateful=True)
    with pytest.raises(CapabilityMissing, match="answers are 'number'"):
        refuse(Sklearn(), "number")
    with pytest.raises(CapabilityMissing, match=r"weighs rows, got trainer\.command"):
        refuse(Command(["true"]), "label", weights=True)
    monkeypatch.setattr("trueup.train.capabilities.find_spec", lambda name: None)
    with pytest.raises(MissingDependency, match=r"trueup\[classic\]"):
        refuse(Xgboost(), "label")
