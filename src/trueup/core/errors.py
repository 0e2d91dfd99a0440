# SPDX-License-Identifier: Apache-2.0
"""Every error that Trueup raises on purpose.

    TrueupError
    ├── UserError                  a mistake that the user can cure: no traceback, exit 2
    │   ├── ArgumentError          also a ValueError
    │   ├── DefinitionError        a loop, or a part of one, that cannot work
    │   ├── UnknownName            a key, kind, outcome or command that does not exist
    │   ├── NotFound               an id or a file that does not exist
    │   ├── DataError              rows, columns or files that do not fit
    │   ├── MissingDependency      an optional package is needed
    │   └── Refused                asked for something that the rules forbid
    ├── Busy                       somebody else is at work (exit 4)
    ├── Conflict                   the state moved since it was read (exit 4)
    ├── StoreError                 the ledger cannot be read or written (exit 5)
    │   ├── ForeignLedger          not one of ours, or damaged
    │   ├── NewerLedger            written by a newer Trueup
    │   ├── StoreFull              no space left, nothing half-written
    │   └── NetworkFileSystem      SQLite is not safe there
    ├── TrainingError              a trainer failed (exit 6)
    │   ├── TrainingRetryable      worth another try
    │   └── CapabilityMissing      the trainer cannot do what the job asks
    ├── ModelError                 a model file that cannot or must not be loaded (exit 6)
    └── DeliveryError              a channel did not take a message (exit 7)

`Held` is none of them: work that was asked to stop at a safe place, and goes on later.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable
from typing import ClassVar


class TrueupError(Exception):
    """Something went wrong in Trueup."""

    code: ClassVar[str] = "T000"
    exit_code: ClassVar[int] = 1
    cure: str = ""

    def __init__(self, message: str | None = None, *, cure: str | None = None) -> None:
        self.message = message or (type(self).__doc__ or "").strip()
        if cure is not None:
            self.cure = cure
        super().__init__(self.message)

    def __str__(self) -> str:
        return f"{self.message}\n  cure: {self.cure}" if self.cure else self.message


class UserError(TrueupError):
    """What was asked for cannot be done as it was written."""

    code = "T100"
    exit_code = 2


class ArgumentError(UserError, ValueError):
    """An argument is outside its range."""

    code = "T101"


class DefinitionError(UserError):
    """The loop cannot work as it is defined."""

    code = "T102"


class UnknownName(UserError):
    """No such name."""

    code = "T103"

    def __init__(self, what: str, name: str, known: Iterable[str], *, cure: str | None = None) -> None:
        import difflib

        known = sorted(known)
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
        if cure is None:
            cure = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known) or 'none'}"
        super().__init__(f"expected a known {what}, got {name!r}", cure=cure)


class NotFound(UserError):
    """No such thing in this home."""

    code = "T104"


class DataError(UserError):
    """The data do not fit what the loop says of them."""

    code = "T105"


class MissingDependency(UserError):
    """An optional package is not installed."""

    code = "T106"

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(
            f"expected the package {package!r}, which is not installed",
            cure=f"pip install 'trueup[{extra}]'",
        )


class Refused(UserError):
    """The rules forbid it."""

    code = "T107"


class Busy(TrueupError):
    """Somebody else is at work on this."""

    code = "T200"
    exit_code = 4


class Conflict(TrueupError):
    """The state moved since it was read."""

    code = "T201"
    exit_code = 4
    cure = "read the state again, and decide again"


class StoreError(TrueupError):
    """The ledger cannot be read or written."""

    code = "T300"
    exit_code = 5


class ForeignLedger(StoreError):
    """The file is not a Trueup ledger, or it is damaged."""

    code = "T301"


class NewerLedger(StoreError):
    """The ledger was written by a newer Trueup."""

    code = "T302"


class StoreFull(StoreError):
    """No space is left; nothing was half-written."""

    code = "T303"
    cure = "free some space, then run the same command again"


_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def full(error: OSError) -> bool:
    """Whether the system says that there is no room: on the disk, in a quota, for a larger file."""
    return error.errno in _FULL


def of_disk(error: OSError) -> StoreError:
    """What the system says of a disk, as one of ours."""
    what = f"{error.filename}" if error.filename is not None else "a file"
    if full(error):
        return StoreFull(f"expected room for {what}, got: {error.strerror}")
    return StoreError(
        f"expected to use {what}, got: {error.strerror or error}",
        cure="check that it is there, its owner, and its disk; then run the same command again",
    )


class NetworkFileSystem(StoreError):
    """A ledger on a network file system is not safe."""

    code = "T304"
    cure = "put TRUEUP_HOME on a local disk"


class TrainingError(TrueupError):
    """The trainer failed."""

    code = "T400"
    exit_code = 6


class TrainingRetryable(TrainingError):
    """The trainer failed in a way that another try may cure."""

    code = "T401"


class CapabilityMissing(TrainingError):
    """The trainer cannot do what the job asks of it."""

    code = "T402"


class Held(BaseException):
    """Work was asked to stop; what it had done is kept, and it goes on when it is called again.

    Not an Exception, so that no part's own `except Exception` takes it for a failure.
    """


class ModelError(TrueupError):
    """A model cannot, or must not, be loaded."""

    code = "T500"
    exit_code = 6


class DeliveryError(TrueupError):
    """A channel did not take a message."""

    code = "T600"
    exit_code = 7
