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
def one_faiss_thread() -> Generator[None]:
    """FAISS stays on the calling thread: its own threads spin while they wait for each other, ours do not."""
    faiss = load_faiss()
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)
