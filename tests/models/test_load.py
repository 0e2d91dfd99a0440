# SPDX-License-Identifier: Apache-2.0
"""Model folders: every format loads, and nothing that was tampered with does."""

import io
import json
import subprocess
import sys
import zipfile

import numpy as np
import pytest
import skops.io
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeClassifier

from trueup.core import values
from trueup.core.errors import DefinitionError, ModelError, Refused, UnknownName
from trueup.core.protocols import Prediction, Predictor
from trueup.models import (
    ConstantModel,
    Features,
    FunctionModel,
    LocalModel,
    Manifest,
    load,
    read_manifest,
    scikit,
    write_manifest,
)

TEXTS = ["a quiet film", "a loud film", "quiet sea", "loud car"]


def shout(inputs):
    return [Prediction(str(item).upper(), {"sure": 1.0}) for item in inputs]


def too_few(inputs):
    return inputs[1:]


@pytest.fixture
def folder(tmp_path):
    features = Features(bits=8)
    model = LogisticRegression(solver="liblinear").fit(features.transform(TEXTS), [0, 1, 0, 1])
    scikit.save(tmp_path, [model], None)
    write_manifest(tmp_path, format="sklearn", answers="label", labels=["no", "yes"], features=features)
    return tmp_path


def rewrite(folder, **changes):
    data = json.loads((folder / "model.json").read_text())
    data.update(changes)
    (folder / "model.json").write_text(json.dumps(data))


def test_a_sklearn_model_answers(folder):
    model = load(folder)
    assert isinstance(model, Predictor)
    answers = model.predict(["quiet quiet", "loud"])
    assert [answer.value for answer in answers] == ["no", "yes"]
    assert sum(answers[0].scores.values()) == pytest.approx(1.0)
    assert model.predict([]) == []


def test_a_model_of_scikit_learn_loads_no_torch(folder):
    """skops walks all of scikit-learn, array API of torch included: 200 MB and a second of a process."""
    pytest.importorskip("torch")
    code = (
        "import sys; from trueup.models import load\n"
        f"assert load({str(folder)!r}).predict(['loud'])\n"
        "assert 'torch' not in sys.modules\n"
        "from sklearn.externals.array_api_compat import torch as compat; assert compat.__file__, 'it is there for others'\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_equal_estimators_give_equal_bytes(folder, tmp_path):
    model = skops.io.load(folder / scikit.ESTIMATORS)
    other = tmp_path / "again"
    other.mkdir()
    scikit.save(other, model, None)
    assert (other / scikit.ESTIMATORS).read_bytes() == (folder / scikit.ESTIMATORS).read_bytes()


def test_a_changed_file_is_refused(folder):
    with (folder / scikit.ESTIMATORS).open("ab") as file:
        file.write(b"x")
    with pytest.raises(ModelError, match=r"expected estimators\.skops with SHA-256"):
        load(folder)


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"format": "sklearn"}', "\xff", '{"format": "sklearn", "answers": "poem"}', "[" * 100_000]
)
def test_a_damaged_manifest_is_refused(folder, text):
    (folder / "model.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(ModelError):
        load(folder)


@pytest.mark.parametrize(
    "changes",
    [
        {"files": {"../secret": "0" * 64}},
        {"files": {"/etc/passwd": "0" * 64}},
        {"files": {"gone.npy": "0" * 64}},
        {"labels": ["only"]},
        {"labels": ["a", "b", "c"]},
        {"answers": "labels"},
        {"features": None},
        {"features": {"kind": "function", "name": "os:getcwd"}},
        {"features": {"kind": "features.hashed", "bits": 99}},
        {"features": {"kind": "features.hashed", "text": {"kind": "function", "name": "os:getcwd"}}},
        {"features_version": "0" * 64},
        {"schema": 2},
        {"surprise": 1},
        {"threshold": 7},
    ],
)
def test_a_manifest_that_lies_is_refused(folder, changes):
    rewrite(folder, **changes)
    with pytest.raises(ModelError):
        load(folder)


def test_a_link_out_of_the_folder_is_refused(folder, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside") / "estimators.skops"
    (folder / scikit.ESTIMATORS).rename(outside)
    (folder / scikit.ESTIMATORS).symlink_to(outside)
    with pytest.raises(ModelError, match="not there"):
        load(folder)


def test_an_unknown_format_names_the_nearest(folder):
    rewrite(folder, format="sklaern")
    with pytest.raises(UnknownName, match="did you mean 'sklearn'"):
        load(folder)


class Evil:
    def __reduce__(self):
        raise AssertionError("never reached")


def hostile(folder, data):
    (folder / scikit.ESTIMATORS).write_bytes(data)
    manifest = read_json(folder)
    write_manifest(
        folder, format="sklearn", answers="label", labels=manifest["labels"], features=Features(bits=8)
    )


def read_json(folder):
    return json.loads((folder / "model.json").read_text())


def test_types_that_are_not_ours_are_refused_before_they_are_made(folder):
    tree = DecisionTreeClassifier().fit(np.eye(4), [0, 1, 0, 1])
    hostile(folder, skops.io.dumps([tree]))
    with pytest.raises(ModelError, match="expected only types of our own estimators"):
        load(folder)


def test_a_function_in_a_skops_file_is_refused(folder):
    with zipfile.ZipFile(folder / scikit.ESTIMATORS) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    schema = json.loads(files["schema.json"])
    schema["content"][0] |= {"__class__": "system", "__module__": "os", "__loader__": "FunctionNode"}
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, body in (files | {"schema.json": json.dumps(schema).encode()}).items():
            archive.writestr(name, body)
    hostile(folder, out.getvalue())
    with pytest.raises(ModelError, match=r"os\.system"):
        load(folder)


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04 torn", b"\x80\x04N."])
def test_a_torn_estimator_is_refused(folder, data):
    hostile(folder, data)
    with pytest.raises(ModelError, match="expected estimators that scikit-learn can read"):
        load(folder)


def test_local_model_is_a_value_and_copies_its_folder(folder, tmp_path):
    model = LocalModel(folder)
    assert values.from_json(values.to_json(model)) == model
    assert model.predict(["loud"])[0].value == "yes"
    copied = model.write(tmp_path / "copy", "label")
    assert copied.digest() == read_manifest(folder).digest()
    assert load(tmp_path / "copy").predict(["loud"])[0].value == "yes"
    with pytest.raises(ModelError, match="answers number"):
        model.write(tmp_path / "other", "number")


def test_constant_model(tmp_path):
    model = ConstantModel(["Dramas"], {"Dramas": 0.4})
    assert values.from_json(values.to_json(model)) == model
    manifest = model.write(tmp_path, "labels")
    assert manifest.labels == ("Dramas",)
    assert load(tmp_path).predict(["x", "y"]) == [Prediction(["Dramas"], {"Dramas": 0.4})] * 2


def test_a_function_is_loaded_only_where_code_is_trusted(tmp_path, monkeypatch):
    module = tmp_path / "own_model.py"
    module.write_text("def answer(inputs):\n    return [len(item) for item in inputs]\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    model = FunctionModel("own_model:answer")
    assert [each.value for each in model.predict(["ab", "c"])] == [2, 1]
    model.write(tmp_path / "model", "number")
    with pytest.raises(Refused, match="runs code"):
        load(tmp_path / "model")
    assert load(tmp_path / "model", trust_code=True).predict(["abc"])[0].value == 3
    rewrite(tmp_path / "model", code="0" * 64)
    with pytest.raises(ModelError, match="was edited since"):
        load(tmp_path / "model", trust_code=True)


def test_function_models_are_named_and_checked():
    assert FunctionModel(shout).predict(["a"]) == [Prediction("A", {"sure": 1.0})]
    with pytest.raises(ModelError, match="expected a list of 2 answers"):
        FunctionModel(too_few).predict(["a", "b"])
    with pytest.raises(DefinitionError, match="at module level"):
        FunctionModel(lambda inputs: inputs)
    with pytest.raises(DefinitionError):
        FunctionModel("nomodule")


def command(folder, code, **details):
    folder.mkdir()
    (folder / "answer.py").write_text(code)
    write_manifest(
        folder, format="command", answers="number",
        details={"argv": [sys.executable, "answer.py"], **details},
    )
    return folder


def test_a_program_answers_line_by_line(tmp_path):
    code = "import json, sys\nfor line in sys.stdin:\n    print(json.dumps({'value': len(json.loads(line))}))\n"
    folder = command(tmp_path / "m", code)
    with pytest.raises(Refused):
        load(folder)
    answers = load(folder, trust_code=True).predict(["ab", "ü\n"])
    assert [answer.value for answer in answers] == [2, 2]


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("print('no')", "expected one JSON answer a line"),
        ("print('{\"value\": NaN}')", "expected one JSON answer a line"),
        ("", "expected a list of 1 answers"),
        ("import sys; sys.exit('oh')", "expected exit 0 .* oh"),
        ("import time; time.sleep(60)", "within 0.3 s"),
    ],
)
def test_a_program_that_fails_is_a_model_error(tmp_path, code, words):
    folder = command(tmp_path / "m", code, seconds=0.3 if "sleep" in code else 30)
    with pytest.raises(ModelError, match=words):
        load(folder, trust_code=True).predict(["a"])


def test_the_manifest_goes_through_json(folder):
    manifest = read_manifest(folder)
    assert Manifest.from_json(manifest.to_json()) == manifest


def test_importing_the_room_loads_no_heavy_library():
    import subprocess

    code = "import sys, trueup.models; print([m for m in ('sklearn', 'xgboost', 'scipy', 'skops') if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True,
                         env={"PYTHONPATH": ":".join(sys.path)})
    assert out.stdout.strip() == "[]"
