# SPDX-License-Identifier: Apache-2.0
"""Base models in memory: one copy a digest, however many adapters answer on it."""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from trueup.core.errors import ModelError
from trueup.models.causal import Causal, Opened, open_folder
from trueup.models.manifest import Manifest, read_manifest
from trueup.models.prompts import Prompt

KEEP = 2
"""Bases held at once when nobody uses them any more."""

_LOCK = threading.Lock()
_HELD: OrderedDict[str, Base] = OrderedDict()
_USED: weakref.WeakValueDictionary[str, Base] = weakref.WeakValueDictionary()
_NUMBERS = count()


class Base:
    """A base in memory and the adapters on it. One at a time is active, under the base's lock, so
    that an answer never mixes two of them; the base's own weights are never touched."""

    def __init__(self, opened: Opened) -> None:
        self.opened = opened
        self._peft: Any = None
        self._gone: list[str] = []

    def plain(self, prompt: Prompt) -> Causal:
        """The base itself as a predictor."""
        return _Plain(self, prompt)

    def adapted(self, config: Any, tensors: dict[str, Any], prompt: Prompt) -> Causal:
        """The base with an adapter as a predictor; raises ModelError where the adapter does not fit."""
        from peft import PeftModel, set_peft_model_state_dict

        name = f"a{next(_NUMBERS)}"
        from trueup.models.adapter import quiet

        with self.opened.lock, quiet():
            try:
                if self._peft is None:
                    self._peft = PeftModel(self.opened.model, config, adapter_name=name)
                else:
                    self._peft.add_adapter(name, config)
                wrong = set_peft_model_state_dict(self._peft, tensors, adapter_name=name).unexpected_keys
                own = {key for key, _ in self._peft.named_parameters() if f".{name}." in key}
            except (ValueError, RuntimeError, KeyError) as error:
                self._gone.append(name)
                raise ModelError(f"expected an adapter that fits its base, got {str(error).strip()[:300]}") from None
            if wrong or len(own) != len(tensors):
                self._gone.append(name)
                raise ModelError(
                    f"expected an adapter that fits its base, got {len(tensors)} tensors for {len(own)} places"
                )
            self._peft.set_adapter(name, inference_mode=True)
            self._sweep()
            self._peft.requires_grad_(False)
            self._peft.eval()
        made = _Adapted(self, prompt, name)
        weakref.finalize(made, self._gone.append, name)
        return made

    @contextmanager
    def active(self, name: str | None) -> Iterator[None]:
        """Only this adapter takes part (None: no adapter)."""
        if self._peft is None:
            yield
        elif name is None:
            with self._peft.disable_adapter():
                yield
        else:
            self._peft.set_adapter(name, inference_mode=True)
            yield

    def _sweep(self) -> None:
        """Take away the adapters whose predictors are gone; another one is active by now."""
        while self._gone:
            name = self._gone.pop()
            if name in self._peft.peft_config:
                self._peft.delete_adapter(name)


class _Plain(Causal):
    def __init__(self, base: Base, prompt: Prompt) -> None:
        super().__init__(base.opened, prompt)
        self.base = base

    def _active(self) -> Any:
        return self.base.active(None)


class _Adapted(Causal):
    def __init__(self, base: Base, prompt: Prompt, name: str) -> None:
        super().__init__(base.opened, prompt)
        self.base, self.name = base, name

    def _active(self) -> Any:
        return self.base.active(self.name)


def shared(folder: Path, manifest: Manifest) -> Base:
    """The base in a folder whose digests were checked, opened once a digest in this process."""
    digest = manifest.digest()
    with _LOCK:
        found = _USED.get(digest)
        if found is None:
            found = Base(open_folder(folder))
            _USED[digest] = found
        _HELD[digest] = found
        _HELD.move_to_end(digest)
        while len(_HELD) > KEEP:
            _HELD.popitem(last=False)
        return found


def held(digest: str) -> Base | None:
    """The base of this digest, if it is in memory."""
    with _LOCK:
        return _USED.get(digest)


def find(digest: str, tree: str, beside: Path, base: Path | None) -> tuple[Path, Manifest]:
    """The folder of a base: `base` where it is given, else the artifact `tree` of the same home.

    Artifacts are named by what is in them (`artifacts/ab/<digest>`), so that an adapter among them
    finds its base by name. Raises ModelError where it is not there, or is another one.
    """
    for folder in [base] if base is not None else [beside.parent.parent / tree[:2] / tree]:
        if (folder / "model.json").is_file():
            manifest = read_manifest(folder)
            if manifest.digest() != digest:
                raise ModelError(
                    f"expected the base {digest[:16]}... that the adapter was trained on, got {manifest.digest()[:16]}...",
                    cure="load the adapter with its own base, or train again on this one",
                )
            return folder, manifest
    raise ModelError(
        f"expected the adapter's base {digest[:16]}... beside it among the artifacts ({tree[:16]}...), got none",
        cure="load it where its base is kept, or with load(folder, base=...)",
    )
