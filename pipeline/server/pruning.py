"""What a store no longer needs: blobs that no manifest names, and what broken-off work has left, are removed.

As the real server does when it starts. What is younger than an hour stays: another process may be about to name it, and
an interrupted pull may be about to go on.
"""

from __future__ import annotations

import contextlib
import logging
import shutil
import time
from collections.abc import Mapping
from pathlib import Path

from pipeline.server.models import PARTIAL, SCRATCH_PREFIX, ModelStore

logger = logging.getLogger(__name__)

PARTIAL_ENDING = "-partial"
GRACE_SECONDS = 3600.0


def is_wanted(environment: Mapping[str, str]) -> bool:
    """Whether OLLAMA_NOPRUNE leaves it on."""
    return environment.get("OLLAMA_NOPRUNE", "").strip().lower() in ("", "0", "f", "false")


def prune(store: ModelStore) -> int:
    """How many files and folders were removed: none where a manifest cannot be read, for it may name any blob.

    Raises nothing: a store that cannot be written to is served all the same.
    """
    try:
        used = store.used_blobs()
    except ValueError as error:
        logger.warning("corrupt manifests detected, nothing is pruned: %s; pull or delete the model", error)
        return 0
    removed = 0
    for path in _listed(store.blobs):
        # Each part of a download is as young as the file that they all fill.
        whole = path.with_name(path.name.partition(PARTIAL_ENDING)[0] + PARTIAL_ENDING)
        if path.name not in used and path.is_file() and _is_old(path) and (not whole.exists() or _is_old(whole)):
            with contextlib.suppress(OSError):
                path.unlink()
                removed += 1
    for path in _listed(store.root / PARTIAL):
        if path.name.startswith(SCRATCH_PREFIX) and _is_old(path):
            shutil.rmtree(path, ignore_errors=True)
            removed += 1
    for folder in sorted(store.manifests.glob("**/"), reverse=True):
        with contextlib.suppress(OSError):
            if folder != store.manifests and _is_old(folder):
                folder.rmdir()
    return removed


def _listed(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def _is_old(path: Path) -> bool:
    try:
        return time.time() - path.stat().st_mtime >= GRACE_SECONDS
    except OSError:
        return False
