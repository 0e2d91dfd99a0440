# SPDX-License-Identifier: Apache-2.0
"""VAL-06: embeddings by a local encoder."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from trueup.core.errors import ArgumentError, DataError, ModelError
from trueup.models import Encoder, HashingEmbedder

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "quiet", "film", "loud", "music", "about", "the", "sea", "and", "war", "two", "friends"]
TEXTS = ["a quiet film about the sea", "loud music", "two friends and a war about music and film", ""]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny BERT with random weights, in the format of transformers."""
    import torch
    from transformers import BertConfig, BertModel, BertTokenizerFast

    place = tmp_path_factory.mktemp("encoder") / "tiny-bert"
    place.mkdir()
    vocabulary = place / "vocab.txt"
    vocabulary.write_text("\n".join(WORDS))
    torch.manual_seed(0)
    BertTokenizerFast(str(vocabulary)).save_pretrained(place)
    BertModel(BertConfig(
        vocab_size=len(WORDS), hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=32, max_position_embeddings=32,
    )).save_pretrained(place)
    return place


def of_sentence_transformers(folder: Path, to: Path, pooling: str, normalise: bool) -> Path:
    """The same weights in a folder as sentence-transformers writes it."""
    to.mkdir()
    for file in folder.iterdir():
        (to / file.name).write_bytes(file.read_bytes())
    modules = [{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
               {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}]
    if normalise:
        modules.append({"idx": 2, "name": "2", "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"})
    (to / "modules.json").write_text(json.dumps(modules))
    (to / "1_Pooling").mkdir()
    (to / "1_Pooling" / "config.json").write_text(json.dumps({
        "word_embedding_dimension": 16, "pooling_mode_cls_token": pooling == "cls", "pooling_mode_mean_tokens": pooling == "mean",
    }))
    return to


def test_vectors_of_unit_length_in_the_order_of_the_texts_whatever_the_batch(folder: Path) -> None:
    rows = Encoder(folder).embed(TEXTS)
    assert rows.dtype == np.float32
    assert rows.shape == (4, 16)
    assert np.linalg.norm(rows, axis=1) == pytest.approx(1.0, abs=1e-5)
    one_by_one = np.vstack([Encoder(folder, batch=1).embed([text]) for text in TEXTS])
    assert rows == pytest.approx(one_by_one, abs=1e-5)
    assert Encoder(folder).embed([]).shape == (0, 16)


def test_pooling_and_normalisation_are_those_of_the_folder(folder: Path, tmp_path: Path) -> None:
    mean = Encoder(of_sentence_transformers(folder, tmp_path / "mean", "mean", normalise=True)).embed(TEXTS)
    assert mean == pytest.approx(Encoder(folder).embed(TEXTS), abs=1e-6)
    cls = Encoder(of_sentence_transformers(folder, tmp_path / "cls", "cls", normalise=False)).embed(TEXTS)
    assert np.abs(np.linalg.norm(cls, axis=1) - 1.0).max() > 0.01
    assert np.abs(cls - mean).max() > 0.01


def test_other_weights_are_another_name(folder: Path, tmp_path: Path) -> None:
    name = Encoder(folder).name
    assert name.startswith("encoder-tiny-bert-")
    other = of_sentence_transformers(folder, tmp_path / "tiny-bert", "mean", normalise=True)
    assert Encoder(other).name != name
    assert HashingEmbedder().name != name


def test_what_is_no_encoder_is_said_plainly(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="expected an encoder"):
        Encoder(tmp_path).embed(["a"])
    with pytest.raises(DataError, match="row 1"):
        Encoder(folder).embed(["a", 3])  # type: ignore[list-item]
    with pytest.raises(ArgumentError, match="batch"):
        Encoder(folder, batch=0)
    weights = of_sentence_transformers(folder, tmp_path / "bin", "mean", normalise=True)
    (weights / "model.safetensors").rename(weights / "pytorch_model.bin")  # never unpickled
    with pytest.raises(ModelError, match="expected an encoder"):
        Encoder(weights).embed(["a"])
    dense = of_sentence_transformers(folder, tmp_path / "dense", "mean", normalise=True)
    said = json.loads((dense / "modules.json").read_text())
    (dense / "modules.json").write_text(json.dumps([*said, {"path": "3_Dense", "type": "sentence_transformers.models.Dense"}]))
    with pytest.raises(ModelError, match="Dense"):
        Encoder(dense).embed(["a"])
