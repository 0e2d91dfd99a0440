# SPDX-License-Identifier: Apache-2.0
"""TRN-01: the places of a prompt: what is a place, what is text, what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from trueup.core import values
from trueup.core.errors import ArgumentError, ModelError
from trueup.core.json import digest
from trueup.models import Prompt
from trueup.models.prompts import fill, prompt_from

ROW = {"title": "Rain", "none": None, "a": {"b": 1, "c": None, "d": {"e": "deep"}}, "score": 0.5, "n": 12345, "yes": True, "x.y": "flat"}


@pytest.mark.parametrize(("template", "text"), [
    ("{title}: {none}|", "Rain: |"),
    ("{a.b} {a.c}|{a.d.e} {none.b}|", "1 |deep |"),
    ("{score:.2f} {score:.0%} {n:,} {n:d} {n:8.1f} {n:+,.1f} {none:.2f}|", "0.50 50% 12,345 12345  12345.0 +12,345.0 |"),
    ("{title} {{title}} {{a.b}} {{score:.2f}} {{json}}", "Rain {title} {a.b} {score:.2f} {json}"),
    ("{x.y} {input.title}", "flat Rain"),
    ("{a}", '{"b":1,"c":null,"d":{"e":"deep"}}'),
    ('{title} as {"label": 1, "b": {"c": 2}} {} { } {"a": {}} }}', 'Rain as {"label": 1, "b": {"c": 2}} {} { } {"a": {}} }}'),
    ("{title} {label: yes or no} {{ x }} {{}}", "Rain {label: yes or no} {{ x }} {{}}"),
    ("{yes}", "true"),
])
def test_places_and_text(template: str, text: str) -> None:
    assert fill(template, ROW) == text
    Prompt(template)


def test_an_input_that_is_no_object() -> None:
    assert fill("{input}\n", "rain") == "rain\n"
    assert fill("{input:.1f}", 2) == "2.0"
    assert fill("{input}", [1, None]) == "[1,null]"
    assert fill("{input}|", None) == "|"


@pytest.mark.parametrize("template", ["{missing}", "{a.missing}", "{title.b}", "{title:.2f}", "{yes:.2f}", "{score:d}", "{a:.1f}"])
def test_what_the_input_lacks_or_cannot_be_formatted_is_an_error_that_names_it(template: str) -> None:
    with pytest.raises(ModelError, match=template.strip("{}").split(":")[0]):
        fill(template, ROW)


@pytest.mark.parametrize("template", ["{input} {name!r}", "{input} {a[0]}", "{input} {score:>10}", "{input} {when:%Y}", "{input} {n:x}"])
def test_other_formats_are_refused_when_the_prompt_is_written(template: str) -> None:
    with pytest.raises(ArgumentError, match=r"name:\.2f") as error:
        Prompt(template)
    escaped = template.replace("{", "{{").replace("}", "}}").replace("{{input}}", "{input}")
    assert escaped.removeprefix("{input} ") in str(error.value)
    assert fill(Prompt(escaped).template or "", "x") == f"x {template.removeprefix('{input} ')}", "the cure holds"


@pytest.mark.parametrize("template", ["no place", "{{input}}", "{}", '{"input": 1}'])
def test_a_template_has_a_place(template: str) -> None:
    with pytest.raises(ArgumentError, match="a place for the input"):
        Prompt(template)


def test_prompts_that_use_none_of_it_keep_their_digests() -> None:
    prompt = Prompt("Q: {input}\nA:", system="s", max_new_tokens=4)
    said = values.to_json(prompt)
    assert digest(said) == "3fc6bc2467d5a11e16a4953b3add6c4f3057fb00cdcad4798ffe7e3ff860c3a2"
    assert prompt_from(said) == prompt


@pytest.mark.parametrize("wrong", [{"max_new_tokens": 1024}, {"max_new_tokens": 8, "max_length": 8}, {"max_new_tokens": 300, "max_length": 256}])
def test_an_answer_that_leaves_no_place_for_the_question_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ArgumentError, match="no place for the question"):
        Prompt(**wrong)
