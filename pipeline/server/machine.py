"""What this machine offers the engine: processor cores we may use, and what would make loading it fail."""

from __future__ import annotations

import ctypes
import os
import platform
import sys
from functools import cache
from pathlib import Path

from pipeline.errors import EngineError

_NEEDED_FLAGS = {"avx2", "fma", "f16c", "bmi2"}
_CPU_INFO = Path("/proc/cpuinfo")
_QUOTA = Path("/sys/fs/cgroup/cpu.max")


@cache
def usable_cores() -> int:
    """Physical cores among the processors this process may run on, within the container's quota."""
    allowed = _allowed_processors()
    cores = {_siblings(processor) for processor in allowed}
    return max(1, min(len(cores), _quota(len(allowed))))


def check_machine() -> None:
    """Say clearly what is missing, before an import that would end the process or fail with a riddle."""
    if not sys.platform.startswith("linux"):
        return
    if platform.machine() in ("x86_64", "AMD64") and _CPU_INFO.is_file():
        missing = _NEEDED_FLAGS - _cpu_flags(_CPU_INFO.read_text(encoding="ascii", errors="replace"))
        if missing:
            raise EngineError(
                f"the embedded engine needs a processor with {', '.join(sorted(missing)).upper()}",
                hint="set OLLAMA_HOST to an Ollama server on another machine",
            )
    try:
        ctypes.CDLL("libgomp.so.1")
    except OSError as error:
        raise EngineError(
            "the embedded engine needs the system library libgomp.so.1",
            hint="install it, on Debian and Ubuntu with: apt-get install -y libgomp1",
        ) from error


def _cpu_flags(text: str) -> set[str]:
    for line in text.splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "flags":
            return set(value.split())
    return set(_NEEDED_FLAGS)  # nothing said: let the engine find out


def _allowed_processors() -> list[int]:
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def _siblings(processor: int) -> str:
    """Names the physical core of a processor; each processor is its own where the system does not say."""
    path = Path(f"/sys/devices/system/cpu/cpu{processor}/topology/thread_siblings_list")
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:
        return str(processor)


def _quota(otherwise: int) -> int:
    try:
        quota, period = _QUOTA.read_text(encoding="ascii").split()
        return max(1, round(int(quota) / int(period)))
    except (OSError, ValueError):
        return otherwise
