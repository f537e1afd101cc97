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
    """FAISS takes so many threads. They spin while they wait for each other: one is best for what is soon over."""
    faiss = load_faiss()
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(count)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)
