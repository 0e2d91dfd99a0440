# SPDX-License-Identifier: Apache-2.0
"""What sentence-transformers makes of texts, as JSON; it writes the folders as well."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.models import Normalize, Pooling, Transformer
from transformers import BertConfig, BertModel, BertTokenizerFast

if __name__ == "__main__":
    place, texts = Path(sys.argv[1]), sys.argv[2:]
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *sorted({word for text in texts for word in text.split()})]
    (place / "bert").mkdir()
    (place / "bert" / "vocab.txt").write_text("\n".join(words))
    torch.manual_seed(0)
    BertTokenizerFast(str(place / "bert" / "vocab.txt")).save_pretrained(place / "bert")
    BertModel(BertConfig(
        vocab_size=len(words), hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=16,
    )).save_pretrained(place / "bert")
    found = {}
    for mode, last in (("mean", [Normalize()]), ("cls", [])):
        made = SentenceTransformer(modules=[Transformer(str(place / "bert")), Pooling(16, pooling_mode=mode), *last])
        made.save(str(place / mode))
        found[mode] = made.encode(texts).tolist()
    json.dump(found, sys.stdout)
