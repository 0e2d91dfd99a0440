# SPDX-License-Identifier: Apache-2.0
"""Keys of people: Ed25519, the public half in the loop file, the private half with its owner only."""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trueup.core.errors import ArgumentError, MissingDependency, NotFound, Refused
from trueup.core.json import dumps

PUBLIC, PRIVATE = "ed25519:", "ed25519-private:"
BYTES = 32


def check_public(key: str) -> bytes:
    """The 32 bytes of a public key; raises ArgumentError."""
    return _bytes(key, PUBLIC, "trueup approve --new-key FILE prints it")


def new_key(path: Path) -> str:
    """Write a private key to a new file that only its owner can read; returns the public key."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    private = Ed25519PrivateKey.generate()
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise Refused(f"expected no file at {path}, got one", cure="a key is never written over: name another file") from None
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(PRIVATE + base64.b64encode(private.private_bytes_raw()).decode() + "\n")
    return _public(private)


def sign(path: Path, statement: Mapping[str, Any]) -> tuple[str, str]:
    """The signature of a statement by the private key in a file, and its public key."""
    try:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    except ModuleNotFoundError:
        raise MissingDependency("cryptography", "approvals") from None
    try:
        text = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise NotFound(f"expected a readable key in {path}, got: {error}") from None
    private = Ed25519PrivateKey.from_private_bytes(_bytes(text, PRIVATE, "trueup approve --new-key FILE writes one"))
    return base64.b64encode(private.sign(dumps(dict(statement)).encode())).decode(), _public(private)


def verify(key: str, statement: Mapping[str, Any], signature: str | None) -> bool:
    """Whether this statement was signed by the private half of `key`."""
    try:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    except ModuleNotFoundError:
        raise MissingDependency("cryptography", "approvals") from None
    try:
        Ed25519PublicKey.from_public_bytes(check_public(key)).verify(
            base64.b64decode(signature or "", validate=True), dumps(dict(statement)).encode()
        )
    except (InvalidSignature, binascii.Error):
        return False
    return True


def _public(private: Any) -> str:
    return PUBLIC + base64.b64encode(private.public_key().public_bytes_raw()).decode()


def _bytes(text: str, head: str, cure: str) -> bytes:
    try:
        found = base64.b64decode(text.removeprefix(head), validate=True)
    except (ValueError, binascii.Error):
        found = b""
    if not text.startswith(head) or len(found) != BYTES:
        shown = "a text that is none" if head == PRIVATE else f"{text[:20]!r}"
        raise ArgumentError(f"expected a key such as {head}..., got {shown}", cure=cure)
    return found
