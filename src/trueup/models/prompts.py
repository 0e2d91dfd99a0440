# SPDX-License-Identifier: Apache-2.0
"""From an input to the tokens that a language model reads: one function for training and for serving."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from trueup.core import values
from trueup.core.errors import ArgumentError, ModelError
from trueup.core.json import Json, dumps
from trueup.core.values import value

_FIELD = re.compile(r"\{(\w+)\}")


@value("model.prompt")
class Prompt:
    """How a language model is asked, and how much it may answer.

    `template` is text with `{input}` for the whole input, or `{name}` for the fields of an input
    that is an object; None asks by the tokenizer's chat template where it has one (with `system`
    as the system's message), and else writes the input and a line break. At most
    `max_new_tokens` are answered. Prompt and answer together take `max_length` tokens at most, and
    no more than the model has places: what is longer loses its beginning.
    """

    template: str | None = None
    system: str | None = None
    max_new_tokens: int = 128
    max_length: int = 1024

    def __post_init__(self) -> None:
        for name, low in (("max_new_tokens", 1), ("max_length", 2)):
            number = getattr(self, name)
            if isinstance(number, bool) or not isinstance(number, int) or number < low:
                raise ArgumentError(f"expected {name} of at least {low}, got {number!r}")
        if self.template is not None and not _FIELD.search(self.template):
            raise ArgumentError(
                f"expected a template with a place for the input, got {self.template!r:.80}",
                cure="write {input}, or {name} for a field of the input",
            )


def prompt_from(details: Any) -> Prompt:
    """The prompt in a manifest's details, without importing what it may name; raises ModelError."""
    known = {"kind", *Prompt.__dataclass_fields__}
    if not isinstance(details, dict) or not details.keys() <= known or details.get("kind") != values.kind_of(Prompt()):
        raise ModelError(f"expected a prompt with the keys {sorted(known)} in the details, got {details!r:.120}")
    try:
        return Prompt(**{key: item for key, item in details.items() if key != "kind"})
    except (TypeError, ArgumentError) as error:
        raise ModelError(f"expected a valid prompt in the details: {error}") from None


def text_of(given: Json) -> str:
    """A text is itself, anything else its JSON."""
    return given if isinstance(given, str) else dumps(given)


def fill(template: str, given: Json) -> str:
    """The template with the input's fields in their places; raises ModelError for a missing field."""

    def place(match: re.Match[str]) -> str:
        name = match[1]
        if isinstance(given, Mapping) and name in given:
            return text_of(given[name])
        if name == "input":
            return text_of(given)
        raise ModelError(f"expected the field {name!r} in the input, got {given!r:.80}")

    return _FIELD.sub(place, template)


@dataclass(frozen=True, slots=True)
class Asked:
    """A prompt on a tokenizer: tokens for questions, and tokens for answers."""

    prompt: Prompt
    tokenizer: Any
    ends: tuple[int, ...]
    """Tokens that end an answer."""

    @property
    def chats(self) -> bool:
        return self.prompt.template is None and bool(getattr(self.tokenizer, "chat_template", None))

    def questions(self, inputs: Sequence[Json]) -> list[list[int]]:
        """The tokens before the answer."""
        if self.chats:
            return self._ids([self._chat(given) for given in inputs], special=False)
        template = self.prompt.template or "{input}\n"
        found = self._ids([fill(template, given) for given in inputs], special=True)
        return [ids[:-1] if ids and ids[-1] in self.ends else ids for ids in found]

    def answers(self, inputs: Sequence[Json], targets: Sequence[Json]) -> list[list[int]]:
        """The tokens of the right answers, with the end that the model shall learn to give."""
        texts = [text_of(target) for target in targets]
        if self.chats:
            texts = [self._reply(given, text) for given, text in zip(inputs, texts, strict=True)]
        found = self._ids(texts, special=False)
        return [ids if set(ids) & set(self.ends) else [*ids, self.ends[0]] for ids in found]

    def _ids(self, texts: list[str], *, special: bool) -> list[list[int]]:
        if not texts:
            return []
        found: list[list[int]] = self.tokenizer(texts, add_special_tokens=special)["input_ids"]
        return found

    def _chat(self, given: Json, reply: str | None = None) -> str:
        turns = [] if self.prompt.system is None else [{"role": "system", "content": self.prompt.system}]
        turns.append({"role": "user", "content": text_of(given)})
        if reply is not None:
            turns.append({"role": "assistant", "content": reply})
        try:
            text: str = self.tokenizer.apply_chat_template(
                turns, tokenize=False, add_generation_prompt=reply is None
            )
        except Exception as error:  # a template is the model's own text in a sandbox: it may raise anything
            raise ModelError(
                f"expected a chat template that takes a question, got {type(error).__name__}: {error}",
                cure="give the model a Prompt with a template of your own",
            ) from None
        return text

    def _reply(self, given: Json, answer: str) -> str:
        """What the chat template writes after the question, or the bare answer where it rewrites it."""
        asked, whole = self._chat(given), self._chat(given, answer)
        return whole[len(asked) :] if whole.startswith(asked) else answer
