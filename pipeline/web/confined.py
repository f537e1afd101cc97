"""Paths of this machine that a request names: texts come in, paths below the allowed folders go out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.errors import UsageError
from pipeline.web.failures import Forbidden

MOST_SHOWN = 500


def confined(text: str, roots: Sequence[Path]) -> Path:
    """The path, links resolved; one that is not absolute begins at the first root.

    Raises Forbidden for one outside of all `roots`, UsageError for one that is not there.
    """
    try:
        path = (roots[0] / Path(text).expanduser() if roots else Path(text)).resolve()
        there = path.exists()
    except (OSError, ValueError, RuntimeError) as error:
        raise UsageError(f"{text!r} is no path: {error}", hint="give a file or folder of the server") from error
    if not any(path.is_relative_to(root.resolve()) for root in roots):
        raise Forbidden(f"{text} is outside of the folders that may be indexed", hint="start with --root FOLDER")
    if not there:
        raise UsageError(f"there is no {path}", hint="check the path; it is one of the server's machine")
    return path


def folder_listing(text: str, roots: Sequence[Path]) -> dict[str, Any]:
    """What a folder below the roots holds: folders and files by name, hidden ones left out."""
    path = confined(text, roots)
    folders: list[str] = []
    files: list[str] = []
    try:
        for entry in sorted(path.iterdir()) if path.is_dir() else ():
            if not entry.name.startswith("."):
                (folders if entry.is_dir() else files).append(entry.name)
    except OSError as error:
        raise UsageError(f"cannot look into {path}: {error.strerror}", hint="choose another folder") from error
    return {
        "path": str(path),
        "roots": [str(root) for root in roots],
        "folders": folders[:MOST_SHOWN],
        "files": files[:MOST_SHOWN],
    }
