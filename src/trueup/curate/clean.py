# SPDX-License-Identifier: Apache-2.0
"""Clean text: HTML entities resolved, Unicode NFC, no control characters, white space as one."""

from __future__ import annotations

import html
import re
import unicodedata
from typing import Any

import numpy as np
import pyarrow as pa

from trueup.core.errors import DataError
from trueup.core.json import dumps, loads
from trueup.core.protocols import Curated
from trueup.core.values import value
from trueup.curate.rows import leaves, take
from trueup.curate.steps import own_version

_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f\ufeff\ufffd]")


def clean_text(text: str) -> str:
    """The text as `Clean` leaves it; call it on requests too, so that serving sees the same."""
    if "&" in text:
        text = html.unescape(text)
    text = _CONTROL.sub("", unicodedata.normalize("NFC", text))
    return " ".join(text.split())


@value("curate.clean")
class Clean:
    """Bring every text within a row's input into one form; rows without text left are dropped.

    Keys, numbers and the target stay as they are.
    """

    @property
    def version(self) -> str:
        return own_version(self, "trueup.curate.rows")

    def curate(self, rows: pa.Table, seed: int) -> Curated:
        cleaned: list[str] = []
        keep: list[bool] = []
        changed = 0
        for text in rows["input"].to_pylist():
            data = _parsed(text)
            try:
                data = _cleaned(data)
                written = dumps(data)
            except RecursionError:  # deeper than any text that is worth cleaning
                written = text
            changed += written != text
            cleaned.append(written)
            keep.append(any(leaf not in ("", None) for _, leaf in leaves(data)))
        place = rows.schema.get_field_index("input")
        rows = rows.set_column(place, rows.schema.field(place), pa.array(cleaned, pa.string()))
        kept = take(rows, np.array(keep, dtype=bool)) if rows.num_rows else rows
        gone = rows.num_rows - kept.num_rows
        return Curated(kept, {"nothing left": gone} if gone else {}, {"inputs changed": changed})


def _parsed(text: str) -> Any:
    try:
        return loads(text)
    except (DataError, RecursionError):
        return text


def _cleaned(data: Any) -> Any:
    if isinstance(data, str):
        return clean_text(data)
    if isinstance(data, list):
        return [_cleaned(item) for item in data]
    if isinstance(data, dict):
        return {key: _cleaned(item) for key, item in data.items()}
    return data
