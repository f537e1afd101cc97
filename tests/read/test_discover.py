"""Discovery: order, links, loops, depth, what is passed over and why. Real trees on disk."""

import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
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
    paths = [folder / "sub", folder, folder / "a.txt"]
    assert names(folder, *paths) == ["sub/c.html", "sub/deep/d.py", "a.txt", "b.md"]


def test_what_is_passed_over_is_told_once(folder: Path) -> None:
    """Overlapping paths report and count a hidden file, or a failure, once."""
    (folder / "sub/dangling.md").symlink_to(folder / "nowhere")
    items = [item for item in discover([folder / "sub", folder, folder]) if isinstance(item, Skipped)]
    assert sorted(item.path.name for item in items) == [".git", ".hidden.md", "dangling.md", "picture.png"]


def test_file_that_is_named_is_taken_whatever_its_suffix(folder: Path) -> None:
    """A path given by hand is not second-guessed."""
    assert names(folder, folder / "picture.png") == ["picture.png"]


def test_link_loop_is_reported_and_ends(folder: Path) -> None:
    """A link back to a folder above is a failure with a reason, and every file is still found once."""
    (folder / "sub/back").symlink_to(folder, target_is_directory=True)
    assert skipped(folder)["back"] == ("a loop: this link leads back to a folder that holds it", True)
    assert names(folder) == ["a.txt", "b.md", "sub/c.html", "sub/deep/d.py"]


def test_links_and_special_files(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A link to itself is a failure, one to nowhere is only doubtful; pipes and sockets are no documents and never opened."""
    (folder / "dangling.md").symlink_to(folder / "nowhere")
    (folder / "itself.md").symlink_to("itself.md")
    os.mkfifo(folder / "pipe.md")
    monkeypatch.chdir(folder)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket.md")
        found = skipped(folder)
    assert found["dangling.md"] == ("link that leads nowhere", False)
    assert found["itself.md"] == ("cannot be read: Too many levels of symbolic links", True)
    assert found["pipe.md"] == found["socket.md"] == ("not a regular file", False)


def test_special_file_that_is_named_is_a_failure(folder: Path) -> None:
    """A pipe or a device given by hand is refused with the reason, and not opened."""
    os.mkfifo(folder / "pipe.md")
    assert skipped(folder / "pipe.md", Path("/dev/zero")) == {
        "pipe.md": ("not a regular file", True),
        "zero": ("not a regular file", True),
    }


def test_link_out_of_the_tree_is_followed(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A link to a folder elsewhere is walked, under the path of the link."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "e.md").write_text("text")
    (folder / "sub/link").symlink_to(elsewhere, target_is_directory=True)
    assert names(folder) == ["a.txt", "b.md", "sub/c.html", "sub/deep/d.py", "sub/link/e.md"]


@pytest.mark.skipif(os.pathconf("/", "PC_PATH_MAX") < 4096, reason="paths cannot be that long here")
def test_depth_costs_no_recursion(tmp_path: Path) -> None:
    """A file below 1,500 folders is found."""
    top = tmp_path / "t"
    deepest = top / "/".join("d" * 1500)
    try:
        subprocess.run(["mkdir", "-p", str(deepest)], check=True)
        (deepest / "a.md").write_text("text")
        assert [item.path for item in discover([top])] == [deepest / "a.md"]
    finally:
        subprocess.run(["rm", "-rf", str(top)], check=True)


NOT_UTF8 = "its path is not UTF-8 and cannot be recorded: rename it"


def make(folder: bytes, name: bytes) -> Path:
    """A file whose name is given in bytes; skips the test where the file system takes only UTF-8."""
    path = Path(os.fsdecode(folder + b"/" + name))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("text")
    except OSError:
        pytest.skip("this file system takes no such name")
    return path


def test_name_that_is_not_utf8_is_a_failure(folder: Path) -> None:
    """Such a file, or a folder with all below it, cannot be stored: it is reported so that any stream can print it."""
    top = os.fsencode(folder)
    make(top, b"caf\xe9.txt")
    make(top, b"sub/d\xe9p\xf4t/e.md")
    assert names(folder) == ["a.txt", "b.md", "sub/c.html", "sub/deep/d.py"]
    found = skipped(folder)
    assert found["caf\\xe9.txt"] == found["d\\xe9p\\xf4t"] == (NOT_UTF8, True)


def test_name_that_is_not_utf8_matters_only_for_documents(folder: Path) -> None:
    """What would not be indexed anyway is skipped as ever, and its reason can be printed."""
    top = os.fsencode(folder)
    for name in (b"p\xe9.png", b".h\xe9.md", b"x.\xe9", b"left\xe9.md"):
        make(top, name)
    (folder / ".gitignore").write_bytes(b"left\xe9.*\n")
    found = skipped(folder)
    assert found["p\\xe9.png"] == ("unsupported format .png", False)
    assert found[".h\\xe9.md"] == ("hidden", False)
    assert found["x.\\xe9"] == ("unsupported format .\\xe9", False)
    assert found["left\\xe9.md"] == ("ignored", False)


def test_path_that_is_not_utf8_is_a_failure_when_named(folder: Path) -> None:
    """A file or folder given by hand is reported likewise, whichever part of its path it is; the others are found."""
    bad = make(os.fsencode(folder), b"d\xe9/e.md")
    items = list(discover([bad, bad.parent, folder / "a.txt"]))
    assert items == [
        Skipped(path=folder / "d\\xe9/e.md", reason=NOT_UTF8, is_failure=True),
        Skipped(path=folder / "d\\xe9", reason=NOT_UTF8, is_failure=True),
        *discover([folder / "a.txt"]),
    ]


def test_missing_path_that_is_not_utf8_has_a_message_to_print(folder: Path) -> None:
    """The error message is text that encodes."""
    with pytest.raises(UsageError, match=r"caf\\xe9.md does not exist"):
        discover([Path(os.fsdecode(os.fsencode(folder) + b"/caf\xe9.md"))])


@pytest.fixture
def closed() -> Iterator[Path]:
    """A tree that everybody may read, where `closed/` may be listed and not entered, and `shut/` not even listed."""
    with tempfile.TemporaryDirectory() as name:
        top = Path(name).resolve()
        for path in ("a.md", "closed/b.md", "closed/deep/c.md", "open/d.md", "shut/e.md"):
            (top / path).parent.mkdir(parents=True, exist_ok=True)
            (top / path).write_text("text")
        (top / "closed/link").symlink_to("deep", target_is_directory=True)
        modes = {"closed/deep": 0o644, "closed": 0o644, "shut": 0, "": 0o755}
        for path, mode in modes.items():
            (top / path).chmod(mode)
        yield top
        for path in reversed(modes):
            (top / path).chmod(0o755)


UNPRIVILEGED = """
import json, os, pathspec, sys
from pathlib import Path
from pipeline.errors import UsageError
from pipeline.read import Found, discover
if os.getuid() == 0:
    os.setgroups([]), os.setgid(65534), os.setuid(65534)
top = Path(sys.argv[1])
try:
    items = list(discover([top / name for name in sys.argv[2:]]))
    print(json.dumps([[str(i.path.relative_to(top)), *([] if isinstance(i, Found) else [i.reason, i.is_failure])] for i in items]))
except UsageError as error:
    print(json.dumps([error.message, error.hint]))
"""


def discover_unprivileged(top: Path, *paths: str) -> list[list[object]]:
    """What somebody finds whom permissions bind, which they do not where the tests run as root."""
    command = [sys.executable, "-c", UNPRIVILEGED, str(top), *paths]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_folders_without_permission_are_failures(closed: Path) -> None:
    """What cannot be looked at is reported with the reason, and the walk goes on."""
    assert discover_unprivileged(closed, "") == [
        ["a.md"],
        ["closed/b.md", "cannot be read: Permission denied", True],
        ["closed/deep", "cannot be opened: Permission denied", True],
        ["closed/link", "cannot be read: Permission denied", True],
        ["open/d.md"],
        ["shut", "cannot be opened: Permission denied", True],
    ]


def test_ignore_file_without_permission_closes_its_folder(closed: Path) -> None:
    """A folder whose rules cannot be read is not walked: they may keep something private."""
    (closed / "open/.gitignore").write_text("d.md\n")
    (closed / "open/.gitignore").chmod(0)
    reason = f"passed over, as {closed}/open/.gitignore cannot be read: Permission denied"
    assert discover_unprivileged(closed, "open") == [["open", reason, True]]


@pytest.mark.parametrize("name", ["closed/b.md", "closed/deep", "shut", "shut/nowhere"])
def test_path_without_permission_is_a_usage_error(closed: Path, name: str) -> None:
    """A path given by hand that cannot be looked at is an error with a hint, before anything else."""
    assert discover_unprivileged(closed, "a.md", name) == [
        f"{closed}/{name} cannot be looked at: Permission denied",
        "check its permissions and those of the folders above it",
    ]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere", "nowhere does not exist"),
        ("a.txt/below", "below does not exist"),
        ("itself", "itself cannot be looked at: Too many levels of symbolic links"),
        ("null\0character", "cannot be looked at: embedded null byte"),
    ],
)
def test_path_that_leads_nowhere_is_a_usage_error(folder: Path, name: str, message: str) -> None:
    """The error comes from the call, not from reading its results."""
    (folder / "itself").symlink_to("itself")
    with pytest.raises(UsageError, match=message):
        discover([folder, folder / name])


def test_large_file_is_a_failure(folder: Path) -> None:
    """A document beyond the limit is reported, not read."""
    (folder / "a.txt").write_bytes(b"x" * 100)
    items = list(discover([folder / "a.txt"], max_bytes=99))
    assert [(item.reason, item.is_failure) for item in items if isinstance(item, Skipped)] == [
        ("larger than 0 MiB", True)
    ]
