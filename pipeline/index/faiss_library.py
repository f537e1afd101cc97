"""FAISS, loaded when it is first needed, and the number of threads it takes."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Generator
from typing import Any


def load_faiss() -> Any:
    """The module. Its wrappers know more than a checker sees, so it is of no type."""
    return importlib.import_module("faiss")


@contextlib.contextmanager
def faiss_threads(count: int) -> Generator[None]:
    """FAISS uses at most `count` threads for calls from this thread, as OpenMP counts them.

    A call of a millisecond is not worth a second one: the threads spin while they wait for each other.
    """
    faiss = load_faiss()
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(min(count, before))
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)
