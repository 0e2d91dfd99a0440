# SPDX-License-Identifier: Apache-2.0
"""A tiny language model in the formats of real ones, made on the spot."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

_CHAT = (
    "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def tiny_causal_lm(
    folder: Path, texts: Iterable[str], *, vocabulary: int = 800, hidden: int = 64, layers: int = 2, heads: int = 4,
    places: int = 256, seed: int = 0, chat: bool = False,
) -> Path:
    """Write an untrained Llama (float32 safetensors, seeded) and a byte-level BPE tokenizer learned
    from `texts` into `folder`, and give it back.

    `vocabulary` is the number of tokens at most (256 bytes and the special ones included), `hidden`
    the width (a multiple of `heads`), `places` the longest sequence. With `chat` the tokenizer has a
    chat template. The end of an answer is `<|end|>`.
    """
    import torch
    from tokenizers import ByteLevelBPETokenizer
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    special = ["<|pad|>", "<|end|>", "<|user|>", "<|assistant|>", "<|system|>"]
    learned = ByteLevelBPETokenizer()
    learned.train_from_iterator(list(texts), vocab_size=vocabulary, min_frequency=2, special_tokens=special, show_progress=False)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=learned._tokenizer, pad_token="<|pad|>", eos_token="<|end|>",  # noqa: S106
    )
    if chat:
        tokenizer.chat_template = _CHAT
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=hidden, intermediate_size=3 * hidden, num_hidden_layers=layers,
        num_attention_heads=heads, num_key_value_heads=heads, max_position_embeddings=places,
        tie_word_embeddings=True, bos_token_id=None, eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LlamaForCausalLM(config)
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
