"""What is done with memory that is given back: kept for later, or returned to the system.

For programs that write: what they free in one stage is to be there for the next, and not beside it.
"""

from __future__ import annotations

import contextlib
import ctypes
import os

M_MMAP_THRESHOLD = -3
LARGE = 128 * 2**10
"""Bytes: as much as glibc begins with."""

ARROW_POOL = "ARROW_DEFAULT_MEMORY_POOL"
"""Arrow reads this variable when it is imported. Source: Apache Arrow C++, "Environment Variables"."""


def release_arrow_memory() -> None:
    """Gives back at once what Arrow holds and nothing uses: it would keep it beside what is collected next."""
    import pyarrow as pa  # noqa: PLC0415 - heavy

    pa.default_memory_pool().release_unused()


def return_freed_memory() -> None:
    """Lets glibc map blocks of `LARGE` bytes and more one by one, always, so that each goes back when it is freed.

    By itself it raises that bound to the largest block ever freed, and what replies and vectors leave behind between
    smaller things stays with the process: 13 MB of a run's peak (measured). Arrow is told to use the C library, too,
    where nobody has chosen otherwise: its own allocator keeps what it was given (48 MB, measured). To be called before
    Arrow is imported. Other C libraries are left as they are.
    """
    os.environ.setdefault(ARROW_POOL, "system")
    with contextlib.suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, LARGE)
