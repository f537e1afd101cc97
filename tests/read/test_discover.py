"""Discovery: order, ignore rules, links, loops, what is passed over and why."""

import os
from pathlib import Path

import pytest

from pipeline.errors import UsageError
from pipeline.read import Found, Skipped, discover


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b.md", "a.txt", "sub/c.html", "sub/deep/d.py", "picture.png", ".hidden.md", ".git/config.md"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("text")
    return tmp_path


def names(folder: Path, *paths: Path) -> list[str]:
    found = [item for item in discover(list(paths) or [folder]) if isinstance(item, Found)]
    return [item.path.relative_to(folder.resolve()).as_posix() for item in found]


def skipped(*paths: Path) -> dict[str, tuple[str, bool]]:
    return {item.path.name: (item.reason, item.is_failure) for item in discover(paths) if isinstance(item, Skipped)}


def test_documents_come_in_a_fixed_order(folder: Path) -> None:
    """Names decide the order, whatever the file system says; hidden and unknown files are no documents."""
    assert names(folder) == ["a.txt", "b.md", "sub/c.html", "sub/deep/d.py"]
    assert skipped(folder) == {
        ".git": ("hidden", False),
        ".hidden.md": ("hidden", False),
        "picture.png": ("unsupported format .png", False),
    }


def test_overlapping_paths_give_each_file_once(folder: Path) -> None:
    """A file below two of the paths is read once."""
    assert names(folder, folder / "sub", folder, folder / "a.txt") == ["sub/c.html", "sub/deep/d.py", "a.txt", "b.md"]


def test_file_that_is_named_is_taken_whatever_its_suffix(folder: Path) -> None:
    """A path given by hand is not second-guessed."""
    assert names(folder, folder / "picture.png") == ["picture.png"]


def test_ignore_files_are_honoured(folder: Path) -> None:
    """Rules of .gitignore and .pipelineignore hold below their folder; the inner one has the last word."""
    (folder / ".gitignore").write_text("*.txt\n/sub/deep/\n")
    (folder / ".pipelineignore").write_text("c.*\n")
    (folder / "sub/.gitignore").write_text("!c.html\n")
    assert names(folder) == ["b.md", "sub/c.html"]


def test_link_loop_is_reported_and_ends(folder: Path) -> None:
    """A link back to a folder above is a failure with a reason, and every file is still found once."""
    (folder / "sub/back").symlink_to(folder, target_is_directory=True)
    assert skipped(folder)["back"] == ("a loop: this link leads back to a folder that holds it", True)
    assert names(folder) == ["a.txt", "b.md", "sub/c.html", "sub/deep/d.py"]


def test_links_and_special_files(folder: Path) -> None:
    """A link to nowhere is a failure; a pipe is never opened."""
    (folder / "dangling.md").symlink_to(folder / "nowhere")
    os.mkfifo(folder / "pipe.md")
    assert skipped(folder)["dangling.md"] == ("a link that leads nowhere", True)
    assert skipped(folder)["pipe.md"] == ("not a regular file", False)


def test_large_file_is_a_failure(folder: Path) -> None:
    """A document beyond the limit is reported, not read."""
    (folder / "a.txt").write_bytes(b"x" * 100)
    items = list(discover([folder / "a.txt"], max_bytes=99))
    assert [(item.reason, item.is_failure) for item in items if isinstance(item, Skipped)] == [
        ("larger than 0 MiB", True)
    ]


def test_missing_path_is_an_error_before_anything_else(folder: Path) -> None:
    """The error comes from the call, not from reading its results."""
    with pytest.raises(UsageError, match="nowhere does not exist"):
        discover([folder, folder / "nowhere"])
