"""How many processor cores this process may use."""

from __future__ import annotations

import os


def available_cores() -> int:
    """Those that the system lets this process run on, where it tells; else all there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
