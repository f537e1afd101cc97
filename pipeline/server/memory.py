"""Memory: what a model will take comes from its header, what there is from the system."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

_CACHE_BYTES = 2
"""A number of the cache is 16 bits wide."""
_MEMORY_INFO = Path("/proc/meminfo")
_CONTROL_GROUP = Path("/sys/fs/cgroup")


def cache_per_token(metadata: Mapping[str, Any], architecture: str) -> int:
    """Bytes that one token of context takes in the cache of keys and values; 0 for a model that keeps none.

    `metadata` are the header's fields, lists included: a model may have other numbers of heads in each layer.
    """
    if metadata.get(f"{architecture}.attention.causal") is False:
        return 0  # an encoder reads its text at once and keeps nothing

    def number(name: str) -> int:
        value = metadata.get(f"{architecture}.{name}", 0)
        return int(value) if isinstance(value, int | float) else 0

    layers, heads = number("block_count"), metadata.get(f"{architecture}.attention.head_count", 0)
    if isinstance(heads, list):
        heads = max(heads, default=0)
    if not layers or not heads:
        return 0
    kept = metadata.get(f"{architecture}.attention.head_count_kv", heads)
    kept_heads = sum(kept) if isinstance(kept, list) else layers * kept
    width = number("embedding_length") // heads
    key, value = number("attention.key_length") or width, number("attention.value_length") or width
    return kept_heads * (key + value) * _CACHE_BYTES


def available_memory() -> int | None:
    """Bytes that this process may still take: of the machine and of its container. None: the system does not say."""
    amounts = [amount for amount in (_machine(_MEMORY_INFO), _container(_CONTROL_GROUP)) if amount is not None]
    return min(amounts, default=None)


def memory_text(amount: int) -> str:
    """In the units of the real server's errors: 1.5 GiB."""
    for unit, size in (("TiB", 2**40), ("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if amount >= size:
            return f"{amount / size:.1f} {unit}"
    return f"{amount} B"


def _machine(path: Path) -> int | None:
    try:
        lines = path.read_text(encoding="ascii", errors="replace").splitlines()
        fields = {name: int(rest.split()[0]) * 1024 for name, _, rest in (line.partition(":") for line in lines)}
        return fields["MemAvailable"] + fields.get("SwapFree", 0)
    except (OSError, ValueError, KeyError, IndexError):
        return None


def _container(folder: Path) -> int | None:
    """What is left below the limit; pages of files count as free, since the system takes them back."""
    try:
        limit = int((folder / "memory.max").read_text(encoding="ascii"))
        used = int((folder / "memory.current").read_text(encoding="ascii"))
        lines = (folder / "memory.stat").read_text(encoding="ascii").splitlines()
        pages = {name: int(amount) for name, amount in (line.split() for line in lines)}
    except (OSError, ValueError):  # `max` stands for no limit
        return None
    return max(0, limit - used + pages.get("inactive_file", 0) + pages.get("active_file", 0))
