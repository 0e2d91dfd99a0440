# SPDX-License-Identifier: Apache-2.0
"""Memory of a process that lives for months."""

from __future__ import annotations

import ctypes
import os
import sys
from contextlib import suppress
from typing import Any

M_MMAP_THRESHOLD, M_ARENA_MAX = -3, -8  # of mallopt(3)
MAPPED = 128 * 1024  # bytes; what is larger goes back to the system as soon as it is freed


def settle() -> None:
    """Have the allocators of this process, which is to live for months, keep as little as they can.

    glibc gives a thread an arena of its own, whose free end no `malloc_trim` hands back, and learns
    from large arrays to keep larger ones; Arrow's mimalloc keeps what it once took. In two years of
    nightly looks they came to 150 MB. One arena, a fixed threshold and the system's allocator for
    Arrow (which asks the environment when it is loaded, so this comes first) keep next to nothing.
    What the environment says already (MALLOC_ARENA_MAX, MALLOC_MMAP_THRESHOLD_,
    ARROW_DEFAULT_MEMORY_POOL) stands.
    """
    with suppress(OSError, AttributeError):  # another libc than glibc
        libc = ctypes.CDLL(None)
        for name, parameter, value in (
            ("MALLOC_ARENA_MAX", M_ARENA_MAX, 1), ("MALLOC_MMAP_THRESHOLD_", M_MMAP_THRESHOLD, MAPPED),
        ):
            if name not in os.environ:
                libc.mallopt(parameter, value)
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")


def give_back() -> None:
    """Hand free memory back to the system: what a look or a sealing takes for a moment is not needed
    again before the next, and allocators keep it (100 to 200 MB in a service that lives for months)."""
    arrow: Any = sys.modules.get("pyarrow")
    if arrow is not None:
        arrow.default_memory_pool().release_unused()
    with suppress(OSError, AttributeError):  # another libc than glibc
        ctypes.CDLL(None).malloc_trim(0)
