"""Ignore files: what git leaves out is left out, from the repository's root down; a bad line harms no other."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from pipeline.read import Found, Skipped, discover


def write(folder: Path, files: dict[str, str | bytes]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def found(folder: Path, *paths: str) -> list[str]:
    """Documents below paths of a folder, by their place in it."""
    items = discover([folder / path for path in paths or ("",)])
    return [item.path.relative_to(folder.resolve()).as_posix() for item in items if isinstance(item, Found)]


def failures(folder: Path, *paths: str) -> list[tuple[str, str]]:
    items = discover([folder / path for path in paths or ("",)])
    return [(item.path.name, item.reason) for item in items if isinstance(item, Skipped) and item.is_failure]


def test_ignore_files_hold_below_their_folder(tmp_path: Path) -> None:
    """Rules of .gitignore and .pipelineignore hold below their folder; the inner one has the last word."""
    files = dict.fromkeys(["a.txt", "b.md", "sub/c.html", "sub/deep/d.py"], "text")
    write(tmp_path, {**files, ".gitignore": "*.txt\n/sub/deep/\n", ".pipelineignore": "c.*\n"})
    write(tmp_path, {"sub/.gitignore": "!c.html\n"})
    assert found(tmp_path) == ["b.md", "sub/c.html"]


REPOSITORY = {
    ".git/HEAD": "ref",
    ".gitignore": "build/\n*.log\n/docs/private.md\n",
    ".pipelineignore": "drafts/\n",
    "docs/.gitignore": "*.txt\n",
    "docs/a.md": "",
    "docs/b.txt": "",
    "docs/private.md": "",
    "docs/build/c.md": "",
    "docs/guide/d.md": "",
    "docs/guide/e.txt": "",
    "docs/guide/f.log": "",
    "docs/guide/private.md": "",
    "docs/guide/drafts/g.md": "",
    "docs/guide/build/h.md": "",
    "docs/guide/build/i.log": "",
}


def test_rules_above_the_path_hold(tmp_path: Path) -> None:
    """Of a folder in a repository the same is indexed as by way of the whole repository."""
    write(tmp_path, REPOSITORY)
    assert found(tmp_path) == ["docs/a.md", "docs/guide/d.md", "docs/guide/private.md"]
    assert found(tmp_path, "docs") == ["docs/a.md", "docs/guide/d.md", "docs/guide/private.md"]
    assert found(tmp_path, "docs/guide") == ["docs/guide/d.md", "docs/guide/private.md"]


@pytest.mark.parametrize("mark", [".git/HEAD", ".git"], ids=["folder", "file of a work tree"])
def test_rules_above_the_repository_do_not_hold(tmp_path: Path, mark: str) -> None:
    """The folder that has .git, in either form, is the last to be asked, whether it is the path or above it."""
    write(tmp_path, {".gitignore": "*.md\n", f"repository/{mark}": "", "repository/docs/a.md": ""})
    assert found(tmp_path, "repository") == ["repository/docs/a.md"]
    assert found(tmp_path, "repository/docs") == ["repository/docs/a.md"]


def test_without_a_repository_only_rules_from_the_path_down_hold(tmp_path: Path) -> None:
    """Outside of a repository, a stray ignore file above does not count."""
    write(tmp_path, {".gitignore": "*.md\n", "docs/a.md": "", "docs/b.txt": "", "docs/.gitignore": "b.*\n"})
    assert found(tmp_path, "docs") == ["docs/a.md"]


def test_file_that_is_named_is_found_whatever_the_rules(tmp_path: Path) -> None:
    """A file given by hand is indexed, alone and beside the folder that leaves it out."""
    write(tmp_path, REPOSITORY)
    assert found(tmp_path, "docs/private.md") == ["docs/private.md"]
    assert found(tmp_path, "docs/build/c.md") == ["docs/build/c.md"]
    assert found(tmp_path, "docs", "docs/b.txt")[-1] == "docs/b.txt"


def test_folder_that_is_named_is_walked_whatever_the_rules_say_of_it(tmp_path: Path) -> None:
    """Of the rules above an ignored folder given by hand, those that leave it out are dropped, and the others hold."""
    write(tmp_path, REPOSITORY)
    assert found(tmp_path, "docs/guide/build") == ["docs/guide/build/h.md"]


BAD_LINES = ["!", "foo\\", "[z-a]", "[[:nonsense:]]", "/!/\\", "a\0b"]


@pytest.mark.parametrize("line", BAD_LINES)
def test_bad_line_is_told_and_the_others_hold(tmp_path: Path, line: str) -> None:
    """A line that is no pattern is reported with its number; the rules around it hold."""
    write(tmp_path, {".gitignore": f"*.txt\n{line}\n*.py\n", "a.md": "", "b.txt": "", "c.py": ""})
    assert found(tmp_path) == ["a.md"]
    assert failures(tmp_path) == [(".gitignore", f"line 2 is no pattern and leaves nothing out: {line!r}")]


def test_bad_line_is_told_once(tmp_path: Path) -> None:
    """Also where several of the paths lie below its file."""
    write(tmp_path, {".git": "", ".gitignore": "!\n*.txt\n", "one/a.md": "", "two/b.md": "", "two/c.txt": ""})
    assert found(tmp_path, "one", "two") == ["one/a.md", "two/b.md"]
    assert failures(tmp_path, "one", "two", "") == [(".gitignore", "line 1 is no pattern and leaves nothing out: '!'")]


def test_long_bad_line_is_cut(tmp_path: Path) -> None:
    """Its beginning is enough to find it."""
    write(tmp_path, {".gitignore": "x" * 10_000 + "\\\n"})
    assert failures(tmp_path) == [
        (".gitignore", f"line 1 is no pattern and leaves nothing out: '{'x' * 60}…'"),
    ]


def test_lines_of_ignore_files(tmp_path: Path) -> None:
    """Lines end at line feeds only, with or without a carriage return; a byte order mark is none of the first rule."""
    write(tmp_path, {".gitignore": "\ufeffa.md\r\nb\u2028.md\r\n# note [[:x:]]\r\n\r\nc.md"})
    write(tmp_path, dict.fromkeys(["a.md", "b\u2028.md", "c.md", "d.md"], ""))
    assert found(tmp_path) == ["d.md"]
    assert failures(tmp_path) == []


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        ("[[:digit:]].md", ["_.md", "[.md", "d.md"]),
        ("[^[:alpha:]_].md", ["_.md", "d.md"]),
        ("[a-d[:digit:]_].md", ["[.md"]),
        ("[:digit:].md", ["7.md", "[.md", "_.md"]),
        ("[[d].md", ["7.md", "_.md"]),
    ],
)
def test_sets_of_characters(tmp_path: Path, line: str, kept: list[str]) -> None:
    """Classes in brackets mean what they mean to git; a bracket in a set means itself."""
    write(tmp_path, {".gitignore": line, **dict.fromkeys(["7.md", "[.md", "_.md", "d.md"], "")})
    assert found(tmp_path) == sorted(kept)
    assert failures(tmp_path) == []


def test_huge_ignore_file_closes_its_folder(tmp_path: Path) -> None:
    """A million rules would cost a look each for each path; the reason is told."""
    write(tmp_path, {"one/a.md": "", "one/.gitignore": "x\n" * 2**20, "two/b.md": ""})
    rules = tmp_path.resolve() / "one/.gitignore"
    assert found(tmp_path) == ["two/b.md"]
    assert failures(tmp_path) == [("one", f"passed over, as {rules} cannot be read: larger than 1 MiB")]


@pytest.mark.parametrize("kind", ["folder", "pipe"])
def test_ignore_file_that_is_no_file_closes_its_folder(tmp_path: Path, kind: str) -> None:
    """A pipe is not waited for; the folder is passed over with the reason, the others are walked."""
    write(tmp_path, {"one/a.md": "", "two/b.md": ""})
    rules = tmp_path.resolve() / "one/.gitignore"
    rules.mkdir() if kind == "folder" else os.mkfifo(rules)
    assert found(tmp_path) == ["two/b.md"]
    assert failures(tmp_path) == [("one", f"passed over, as {rules} cannot be read: not a regular file")]


@pytest.mark.skipif(shutil.which("git") is None, reason="git is what the rules are compared with")
def test_same_files_as_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What git lists as not ignored is found, from the root of the repository and from within."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    write(tmp_path, {**REPOSITORY, ".pipelineignore": "", "docs/.gitignore": "*.txt\n!guide/e.txt\nguide/[!a-d].md\n"})
    shutil.rmtree(tmp_path / ".git")
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True, capture_output=True)
    for path in ("", "docs", "docs/guide"):
        command = ["git", "ls-files", "--others", "--exclude-standard", "--full-name"]
        listed = subprocess.run(command, cwd=tmp_path / path, check=True, capture_output=True, text=True).stdout.split()
        assert found(tmp_path, path) == sorted(name for name in listed if not Path(name).name.startswith("."))
