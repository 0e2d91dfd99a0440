# SPDX-License-Identifier: Apache-2.0
"""The base model of the news world, made on the spot: a byte-level BPE and a Llama of half a million
parameters, trained on what was true before the world began."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trueup.models import Prompt

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from trueup.models import Manifest

Pairs = Sequence[tuple[str, str]]
Say = Callable[[int, int], None]
PAD, END = "<pad>", "<end>"
BATCH, RATE, WARM, DECAY = 64, 4e-3, 20, 0.1
WIDE = 0.08
"""The spread of the first weights: at the usual 0.02 so few steps leave facts unlearned."""


def make_base(folder: Path, pairs: Pairs, *, steps: int, seed: int = 0, words: int = 12, say: Say | None = None) -> Manifest:
    """Train a model from nothing on (question, answer) pairs, and write its folder."""
    from transformers.utils import logging

    from trueup.models import causal

    logging.disable_progress_bar()
    spoken = tokenizer([text for pair in pairs for text in pair])
    model = untrained(spoken, seed)
    pretrain(model, spoken, pairs, steps=steps, seed=seed, say=say)
    return causal.save(folder, model, spoken, Prompt(max_new_tokens=words, max_length=96))


def tokenizer(texts: Sequence[str], vocabulary: int = 1_600) -> PreTrainedTokenizerFast:
    """A byte-level BPE learned from the texts; any other text can be spelt with it."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(models.BPE())
    # A space before the first word: a name is then one token wherever it stands.
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    made.decoder = decoders.ByteLevel()
    made.train_from_iterator(texts, trainers.BpeTrainer(
        vocab_size=vocabulary, special_tokens=[PAD, END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False,
    ))
    return PreTrainedTokenizerFast(tokenizer_object=made, pad_token=PAD, eos_token=END)


def untrained(spoken: PreTrainedTokenizerFast, seed: int = 0) -> Any:
    """A Llama with random weights: 2 layers of 128, 4 heads, tied embeddings."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    return LlamaForCausalLM(LlamaConfig(
        vocab_size=len(spoken), hidden_size=128, intermediate_size=384, num_hidden_layers=2,
        num_attention_heads=4, max_position_embeddings=128, tie_word_embeddings=True, initializer_range=WIDE,
        pad_token_id=spoken.pad_token_id, eos_token_id=spoken.eos_token_id, bos_token_id=None,
    ))


def pretrain(
    model: Any, spoken: PreTrainedTokenizerFast, pairs: Pairs, *, steps: int, seed: int, say: Say | None = None
) -> None:
    """Train all weights on the answers: AdamW, a cosine after a short warm-up, batches of 64."""
    import math

    import numpy as np
    import torch

    torch.set_num_threads(1)
    rows = [_tokens(spoken, question, answer) for question, answer in pairs]
    rng = np.random.default_rng(seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=DECAY, betas=(0.9, 0.95))
    left: list[int] = []
    model.train()
    for step in range(steps):
        if len(left) < BATCH:
            left = rng.permutation(len(rows)).tolist()
        ids, mask, labels = _batch([rows[left.pop()] for _ in range(min(BATCH, len(left)))], int(spoken.pad_token_id))
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1.0, (step + 1) / WARM) * 0.5 * (1 + math.cos(math.pi * step / steps))
        loss = model(input_ids=ids, attention_mask=mask, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if say is not None and step % 10 == 0:
            say(step, steps)
    model.eval()


def _tokens(spoken: Any, question: str, answer: str) -> tuple[list[int], list[int]]:
    return spoken(f"{question}\n")["input_ids"], [*spoken(answer)["input_ids"], spoken.eos_token_id]


def _batch(rows: Sequence[tuple[list[int], list[int]]], pad: int) -> tuple[Any, Any, Any]:
    """Tokens, mask and labels (-100 but for the answers), padded on the right."""
    import torch

    wide = max(len(asked) + len(said) for asked, said in rows)
    ids = torch.full((len(rows), wide), pad)
    mask = torch.zeros((len(rows), wide), dtype=torch.long)
    labels = torch.full((len(rows), wide), -100)
    for at, (asked, said) in enumerate(rows):
        whole = torch.tensor([*asked, *said])
        ids[at, : len(whole)] = whole
        mask[at, : len(whole)] = 1
        labels[at, len(asked) : len(whole)] = whole[len(asked) :]
    return ids, mask, labels
