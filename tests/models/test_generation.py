# SPDX-License-Identifier: Apache-2.0
"""TRN-01: how a language model answers is said by its prompt, not by settings in its folder; what cannot be answered is refused early."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from trueup.core.errors import ModelError
from trueup.models import LocalModel, Prompt, causal
from trueup.testing import tiny_causal_lm

WORDS = ["alpha", "beta", "gamma", "delta", "rain", "sun", "moon", "star", "river", "stone"]
TEXTS = [" ".join(WORDS[at % 10 :] + WORDS[: at % 7]) for at in range(200)]
PROMPT = Prompt("{input}", max_new_tokens=8)
INPUTS = ["alpha beta", "star", "rain moon river"]

SETTINGS: dict[str, Any] = {
    "max_length": 3, "min_length": 40, "min_new_tokens": 7, "early_stopping": True, "max_time": 1e-9, "stop_strings": ["a", "r"],
    "do_sample": True, "num_beams": 3, "use_mtp": True, "use_cache": False, "cache_implementation": "static", "cache_config": {"a": 1},
    "max_cache_len": 2, "temperature": 9.0, "top_k": 3, "top_p": 0.1, "min_p": 0.5, "top_h": 0.1, "typical_p": 0.1, "epsilon_cutoff": 0.5,
    "eta_cutoff": 0.5, "repetition_penalty": 1.8, "encoder_repetition_penalty": 1.8, "length_penalty": 3.0, "no_repeat_ngram_size": 1,
    "bad_words_ids": [[at] for at in range(5, 300)], "renormalize_logits": True, "forced_bos_token_id": 9, "forced_eos_token_id": 9,
    "remove_invalid_values": True, "exponential_decay_length_penalty": [1, 9.0], "suppress_tokens": list(range(5, 300)),
    "begin_suppress_tokens": list(range(5, 300)), "sequence_bias": [[[7], 99.0]], "token_healing": True, "guidance_scale": 3.0,
    "watermarking_config": {"greenlist_ratio": 0.1, "bias": 9.0}, "num_return_sequences": 3, "output_attentions": True, "output_hidden_states": True,
    "output_scores": True, "output_logits": True, "return_dict_in_generate": True, "bos_token_id": 5, "pad_token_id": 6,
    "encoder_no_repeat_ngram_size": 1, "decoder_start_token_id": 5, "is_assistant": True, "num_assistant_tokens": 3,
    "num_assistant_tokens_schedule": "constant", "assistant_confidence_threshold": 0.1, "prompt_lookup_num_tokens": 3,
    "max_matching_ngram_size": 2, "assistant_early_exit": 1, "assistant_lookbehind": 1, "target_lookbehind": 1,
    "assistant_ensemble_weight": 0.5, "speculation_type": "prompt_lookup", "compile_config": {"mode": "default"}, "disable_compile": True,
    "continuous_batching_config": {"a": 1}, "low_memory": True, "penalty_alpha": 0.6, "dola_layers": "low", "diversity_penalty": 1.0,
    "num_beam_groups": 3, "constraints": ["a"], "force_words_ids": [[7]], "prefill_chunk_size": 2, "max_new_tokens": 1, "an_own_one": 1,
}
"""For each field of transformers' GenerationConfig, a value that would change the answers or break the call."""
COUNTED = {"eos_token_id", "transformers_version", "_from_model_config"}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_causal_lm(tmp_path_factory.mktemp("plain") / "lm", TEXTS, hidden=32)


def said(model: Any) -> list[str]:
    return [one.value for one in model.predict(INPUTS)]


def test_no_setting_of_the_folder_changes_an_answer(base: Path) -> None:
    from transformers import GenerationConfig

    assert set(GenerationConfig().to_dict()) - COUNTED <= set(SETTINGS), "a new field of transformers: give it a value here"
    opened = causal.open_folder(base)
    model = causal.Causal(opened, PROMPT)
    plain = said(model)
    assert all(plain)
    assert len(set(plain)) == len(plain)
    for name, setting in SETTINGS.items():
        own = GenerationConfig()
        setattr(own, name, setting)
        opened.model.generation_config = own
        assert said(model) == plain, name
        assert opened.model.generation_config is own, "and it is saved with the model"


def test_control_the_settings_would_change_the_answers(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from contextlib import nullcontext

    opened = causal.open_folder(base)
    model = causal.Causal(opened, PROMPT)
    plain = said(model)
    monkeypatch.setattr(causal, "_own_settings", lambda _: nullcontext())
    for name in ("min_new_tokens", "repetition_penalty", "bad_words_ids", "suppress_tokens", "no_repeat_ngram_size"):
        setattr(opened.model.generation_config, name, SETTINGS[name])
    assert said(model) != plain


def test_a_folder_with_settings_answers_as_one_without(base: Path, tmp_path: Path) -> None:
    shutil.copytree(base, tmp_path / "own")
    file = tmp_path / "own" / "generation_config.json"
    names = ("repetition_penalty", "no_repeat_ngram_size", "begin_suppress_tokens", "stop_strings", "return_dict_in_generate", "min_new_tokens")
    file.write_text(json.dumps({**json.loads(file.read_text()), **{name: SETTINGS[name] for name in names}}))
    assert said(LocalModel(tmp_path / "own", prompt=PROMPT)) == said(LocalModel(base, prompt=PROMPT))


@pytest.fixture
def added(base: Path, tmp_path: Path) -> Path:
    """A tokenizer with a token that the model has no embedding for."""
    from transformers import AutoTokenizer

    folder = tmp_path / "added"
    shutil.copytree(base, folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens(["<prod>"])
    tokenizer.save_pretrained(folder)
    return folder


def test_a_token_without_an_embedding_is_refused_by_name(added: Path) -> None:
    model = LocalModel(added, prompt=PROMPT)
    with pytest.raises(ModelError, match=r"'<prod>'.*added to the tokenizer") as error:
        model.predict(["<prod> alpha"])
    assert "resize_token_embeddings" in str(error.value)
    assert said(model), "what does not use the token is answered"
    assert ["<prod>" in words for words in model.problems()] == [True]


def test_an_answer_longer_than_the_model_is_a_problem_before_anything_runs(base: Path) -> None:
    assert LocalModel(base, prompt=PROMPT).problems() == []
    (words,) = LocalModel(base, prompt=Prompt(max_new_tokens=300)).problems()
    assert "300 new tokens" in words
    assert "256" in words
    assert LocalModel(base).problems(Prompt(max_new_tokens=256)) != []
    assert LocalModel(base / "nowhere").problems() == []
    with pytest.raises(ModelError, match="300 new tokens"):
        LocalModel(base, prompt=Prompt(max_new_tokens=300)).predict(["alpha"])
    assert LocalModel(base, prompt=Prompt(max_new_tokens=300)).predict([]) == []
