# SPDX-License-Identifier: Apache-2.0
"""A loop file and the modules beside it, read again as they are edited."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from trueup.core.errors import DefinitionError
from trueup.loop import load_loop
from trueup.loop.files import stamps

LOOP = """
from trueup import Loop, Outcome, Task
from trueup.models import ConstantModel
from trueup.train import Sklearn
{more}
loop = Loop("toys", task=Task("sentence", "kind", "user"), outcomes=[Outcome.of_input("kind")], trainer=Sklearn(),
            champion=ConstantModel({answer}))
"""


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "edited_loop.py"
    yield path
    for name in ("edited_loop", "edited_helper", "edited_deeper"):
        sys.modules.pop(name, None)
    sys.path[:] = [one for one in sys.path if one != str(tmp_path)]


def write(path: Path, text: str, second: int = 1_700_000_000, nanos: int = 0) -> None:
    """Write a file with a moment of its own: an editor may save twice in a second."""
    path.write_text(text)
    os.utime(path, ns=(second * 10**9 + nanos, second * 10**9 + nanos))


def answer(file: Path) -> str:
    return str(load_loop(file).champion.answer)  # type: ignore[union-attr]


def test_an_edit_of_the_same_second_and_size_is_seen(file: Path) -> None:
    write(file, LOOP.format(more="", answer="'plant'"))
    assert answer(file) == "plant"
    write(file, LOOP.format(more="", answer="'stone'"))
    assert answer(file) == "stone"


def test_a_module_beside_it_is_read_again_when_it_or_what_it_imports_changes(file: Path) -> None:
    helper, deeper = file.with_name("edited_helper.py"), file.with_name("edited_deeper.py")
    write(deeper, "kind = 'plant'")
    write(helper, "from edited_deeper import kind")
    write(file, LOOP.format(more="from edited_helper import kind", answer="kind"))
    assert answer(file) == "plant"
    seen = stamps(file)
    assert set(seen) == {file, helper, deeper}
    write(deeper, "kind = 'stone'", nanos=1)
    assert stamps(file) != seen
    assert answer(file) == "stone"


def test_a_module_that_is_broken_leaves_the_last_good_one_and_is_still_watched(file: Path) -> None:
    helper = file.with_name("edited_helper.py")
    write(helper, "kind = 'plant'")
    write(file, LOOP.format(more="from edited_helper import kind", answer="kind"))
    assert answer(file) == "plant"
    good = sys.modules["edited_helper"]
    write(helper, "kind = 'plant", nanos=1)
    with pytest.raises(DefinitionError):
        load_loop(file)
    assert sys.modules["edited_helper"] is good
    seen = stamps(file)
    write(helper, "kind = 'stone'", nanos=2)
    assert stamps(file) != seen
    assert answer(file) == "stone"
