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

_PLACE = re.compile(
    r"\{\{(?P<text>\w+(?:\.\w+)*(?:[:!\[][^{}]*)?)\}\}"
    r"|\{(?P<path>\w+(?:\.\w+)*)(?::(?P<spec>\+?\d*(?:,|,?(?:\.\d+)?[dfeg%])))?\}"
)
"""`{{name}}` is text; `{name}`, `{name.part}` and `{name:.2f}` are places; other braces are text."""
_UNKNOWN = re.compile(r"(?<!\{)\{\w+(?:\.\w+)*(?:![a-z](?::[^{}]*)?|\[\w*\]|:[^\s{}\"']+)\}(?!\})")
"""What reads as a place of Python's format, and is none of ours."""


@value("model.prompt")
class Prompt:
    """How a language model is asked, and how much it may answer.

    `template` is text with places, `{input}` for the whole input, or `{name}` for the fields of an input
    that is an object; None asks by the tokenizer's chat template where it has one (with `system`
    as the system's message), and else writes the input and a line break. At most
    `max_new_tokens` are answered. Prompt and answer together take `max_length` tokens at most, and
    no more than the model has places: what is longer loses its beginning.

    `{name.part}` is a field within a field, and `{name:.2f}` a number in Python's format (d, f, e, g, %;
    sign, width, thousands and decimals before it). A field that is null is written as nothing, a text as
    itself, anything else as JSON. `{{name}}` is the text `{name}`; braces around anything else, such as
    `{"label": 1}`, stay as they are. A field that the input lacks, and a format for what is no number, are
    errors where the prompt is asked; `{name!r}`, `{name[0]}` and other formats are refused at once.
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
        if self.max_new_tokens >= self.max_length:
            raise ArgumentError(
                f"expected max_new_tokens below max_length, got {self.max_new_tokens} and {self.max_length}: there is no place for the question",
                cure="lower max_new_tokens, or raise max_length",
            )
        if self.template is not None:
            _check_template(self.template)


def _check_template(template: str) -> None:
    if not any(match["path"] for match in _PLACE.finditer(template)):
        raise ArgumentError(
            f"expected a template with a place for the input, got {template!r:.80}",
            cure="write {input}, or {name} for a field of the input",
        )
    for match in _UNKNOWN.finditer(template):
        if not _PLACE.fullmatch(match[0]):
            raise ArgumentError(
                f"expected places such as {{name}}, {{name.part}} or {{name:.2f}} in a template, got {match[0]!r:.80}",
                cure=f"write {{{match[0]}}} where it is text" if match[0].count("{") == 1 else None,
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
    """The template with the input's fields in their places, as `Prompt` says.

    Raises ModelError for a field that is missing, and for a format of what is no number.

    >>> fill("{title} ({score:.1f}) {meta.lang} {{x}}", {"title": None, "score": 2, "meta": {"lang": "en"}})
    ' (2.0) en {x}'
    """

    def place(match: re.Match[str]) -> str:
        if match["text"] is not None:
            return "{" + match["text"] + "}"
        found = _field(match["path"], given)
        if found is None:
            return ""
        return text_of(found) if match["spec"] is None else _number(match, found)

    return _PLACE.sub(place, template)


def _field(path: str, given: Json) -> Json:
    """The field of the input that a path names; nothing within a null is null."""
    if isinstance(given, Mapping) and path in given:
        return given[path]
    first, *rest = path.split(".")
    if isinstance(given, Mapping) and first in given:
        found = given[first]
    elif first == "input":
        found = given
    else:
        raise _missing(path, given)
    for name in rest:
        if found is None:
            return None
        if not isinstance(found, Mapping) or name not in found:
            raise _missing(path, given)
        found = found[name]
    return found


def _missing(path: str, given: Json) -> ModelError:
    return ModelError(
        f"expected the field {path!r} in the input, got {given!r:.80}",
        cure=f"log it, give null where there is none, or write {{{{{path}}}}} where it is text",
    )


def _number(match: re.Match[str], found: Json) -> str:
    try:
        if isinstance(found, int | float) and not isinstance(found, bool):
            return format(found, match["spec"])
    except (ValueError, OverflowError):  # such as .2f of a number beyond a float, or d of a fraction
        pass
    raise ModelError(f"expected a number for {match[0]} in the input, got {found!r:.80}", cure="write the place without a format")


@dataclass(frozen=True, slots=True)
class Asked:
    """A prompt on a tokenizer: tokens for questions, and tokens for answers."""

    prompt: Prompt
    tokenizer: Any
    ends: tuple[int, ...]
    """Tokens that end an answer."""
    known: int | None = None
    """Tokens that the model has embeddings for; None where that is not known."""

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
        if self.known is not None:
            beyond = next((one for ids in found for one in ids if one >= self.known), None)
            if beyond is not None:
                raise ModelError(
                    f"expected tokens that the model has embeddings for ({self.known:,}), got token {beyond:,}, "
                    f"{self.tokenizer.convert_ids_to_tokens(beyond)!r:.80}, which was added to the tokenizer alone",
                    cure="call model.resize_token_embeddings(len(tokenizer)), and save both again",
                )
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
