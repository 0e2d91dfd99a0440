# SPDX-License-Identifier: Apache-2.0
"""Memory of a process that lives for months."""

from __future__ import annotations

import ctypes
import sys
from contextlib import suppress
from typing import Any


def give_back() -> None:
    """Hand free memory back to the system: what a look or a sealing takes for a moment is not needed
    again before the next, and allocators keep it (100 to 200 MB in a service that lives for months)."""
    arrow: Any = sys.modules.get("pyarrow")
    if arrow is not None:
        arrow.default_memory_pool().release_unused()
    with suppress(OSError, AttributeError):  # another libc than glibc
        ctypes.CDLL(None).malloc_trim(0)
