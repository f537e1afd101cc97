"""Disks that fill up or fail, homes that cannot be written, files that were altered: noticed, named, never served."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import CorruptCollection
from pipeline.store import Snapshot, verify_collection
from tests.crash.commands import ROOT
from tests.crash.corpus import versions_in
from tests.crash.kills import Site, site_at
from tests.crash.server import MODELS

ONE, TWO = MODELS


class Bench:
    """A site whose commands are run with --json; `run` gives their status and what they printed."""

    def __init__(self, site: Site) -> None:
        self.site = site

    def run(self, *arguments: str | Path) -> tuple[int, dict[str, Any]]:
        self.site.commands.start(*arguments, "--json")
        status = self.site.commands.status()
        printed = self.site.commands.output.read_text()
        assert "Traceback" not in printed, printed
        lines = [line for line in printed.splitlines() if line.startswith("{")]
        assert lines, f"{arguments}: {status}: {printed}"
        return status, json.loads(lines[-1])

    def command(self, name: str) -> list[str | Path]:
        """The arguments of a command on the collection."""
        home: list[str | Path] = ["--home", self.site.home]
        server = ["--host", self.site.url]
        collections: list[str | Path] = ["collections"]
        return {
            "list": [*collections, "list", *home],
            "show": [*collections, "show", "notes", *home],
            "verify": [*collections, "verify", "notes", *home],
            "export": [*collections, "export", "notes", "-o", self.site.folder / "out.jsonl", "--force", *home],
            "search": [
                "search",
                "what does the third part of a document say?",
                "-c",
                "notes",
                "-k",
                "3",
                *home,
                *server,
            ],
            "index": self.site.index_arguments(ONE),
            "import": [*collections, "import", self.site.folder / "import.jsonl", "-c", "notes", *home],
            "optimize": [*collections, "optimize", "notes", *home],
            "re-embed": [*collections, "re-embed", "notes", *home, *server, "--model", TWO],
        }[name]

    def succeed(self, name: str) -> dict[str, Any]:
        status, said = self.run(*self.command(name))
        assert status == 0, said
        return said

    def fail(self, name: str, kind: str) -> str:
        """What the error says of a command that must fail."""
        status, said = self.run(*self.command(name))
        assert status == 1, said
        assert said["error"]["type"] == kind, said
        assert said["error"]["hint"]
        return said["error"]["message"]

    def sound(self) -> dict[str, int]:
        """The versions that are committed, once every byte has been looked at."""
        assert verify_collection(self.site.layout).problems == ()
        return versions_in(Snapshot.open(self.site.layout))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """A collection of several segments with dead rows and newer file times, and a file to import into it."""
    folder = tmp_path_factory.mktemp("faults")
    with site_at(folder, seed=7) as site:
        bench = Bench(site)
        # Small segments are merged when there are many: between two merges there are some, with dead rows.
        for _ in range(20):
            site.change_corpus()
            bench.succeed("index")
            touch_one(site)
            bench.succeed("index")
            if has_parts(Snapshot.open(site.layout)):
                break
        bench.succeed("export")
        for suffix in ("", ".model.json"):
            (folder / f"out.jsonl{suffix}").rename(folder / f"import.jsonl{suffix}")
        assert Snapshot.open(site.layout).touched is not None
        for name in ("home", "docs"):
            shutil.copytree(folder / name, folder / "pristine" / name)
        yield bench


@pytest.fixture
def bench(made: Bench) -> Iterator[Bench]:
    """What was made, as it was made, whatever tests do to it."""
    site = made.site
    corpus, newest = dict(site.corpus), dict(site.newest)
    yield made
    site.corpus, site.newest = corpus, newest
    for name in ("home", "docs"):
        place = site.folder / name
        if place.is_symlink():
            place.unlink()
        else:
            shutil.rmtree(place)
        shutil.copytree(site.folder / "pristine" / name, place)


def has_parts(snapshot: Snapshot) -> bool:
    records = snapshot.manifest.segments
    return len(records) > 2 and any(record.deleted for record in records) and snapshot.touched is not None


def touch_one(site: Site) -> None:
    name = sorted(site.corpus)[0]
    os.utime(site.docs / f"{name}.md", ns=(10**18 + 10**15, 10**18 + 10**15))


class Disk:
    """A small file system of its own that a site's home is moved to."""

    def __init__(self, folder: Path, site: Site) -> None:
        self.folder = folder
        self.site = site
        shutil.move(site.home / "collections", folder / "collections")
        shutil.rmtree(site.home)
        site.home.symlink_to(folder)

    def fill(self, left: int) -> None:
        """Leaves so many bytes free."""
        free = os.statvfs(self.folder)
        with (self.folder / "filler").open("wb") as file:
            file.write(b"\0" * max(0, free.f_bavail * free.f_frsize - left))

    def empty(self) -> None:
        (self.folder / "filler").unlink()

    def remount(self, option: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{option}", self.folder], check=True)


@pytest.fixture
def disk(bench: Bench, tmp_path: Path) -> Iterator[Disk]:
    """A tmpfs of 8 MiB; tests that need one are skipped where it cannot be mounted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = [shutil.which("mount") or "false", "-t", "tmpfs", "-o", "size=8m", "tmpfs", folder]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("needs the right to mount a file system")
    try:
        yield Disk(folder, bench.site)
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


@pytest.mark.parametrize("command", ["index", "import", "optimize", "re-embed"])
def test_full_disk_loses_nothing(bench: Bench, disk: Disk, command: str) -> None:
    """However much space is left, it is too little or enough; what was committed stays, and with space it goes on."""
    before = bench.sound()
    if command == "import":
        # Half of what is to be imported is not there any more.
        for name in sorted(bench.site.corpus)[::2]:
            (bench.site.docs / f"{name}.md").unlink()
        bench.succeed("index")
        expected = dict(before)
        before = bench.sound()
        assert before != expected
    elif command == "index":
        bench.site.change_corpus()
        expected = bench.site.corpus
    else:
        expected = before
    failures = 0
    for left in (0, 12_288, 40_960):
        disk.fill(left)
        status, said = bench.run(*bench.command(command))
        if status:
            assert said["error"]["type"] == "StorageUnwritable", said
            assert re.search(r"cannot write .*No space left on device", said["error"]["message"]), said
            failures += 1
        disk.empty()
        found = bench.sound()
        for name in found.keys() | before.keys():
            assert found.get(name) in (before.get(name), expected.get(name))
        before = found
        if not status:
            break
    assert failures
    if status:
        bench.succeed(command)
    assert bench.sound() == expected


def test_home_that_cannot_be_written_can_be_read(bench: Bench, disk: Disk) -> None:
    """Reading needs no right to write; whatever would write says what it cannot write, and changes nothing."""
    hits = bench.succeed("search")["hits"]
    before = bench.sound()
    bench.site.change_corpus()
    disk.remount("ro")
    assert bench.succeed("search")["hits"] == hits
    for command in ("list", "show", "verify", "export"):
        bench.succeed(command)
    for command in ("index", "import", "optimize", "re-embed"):
        assert "Read-only file system" in bench.fail(command, "StorageUnwritable")
    disk.remount("rw")
    assert bench.sound() == before


def strace() -> str:
    found = shutil.which("strace")
    if found is None:
        pytest.skip("needs strace (apt-get install strace)")
    tried = subprocess.run([found, "-e", "trace=none", "true"], check=False, capture_output=True)
    if tried.returncode:
        pytest.skip("needs the right to trace processes")
    return found


@pytest.mark.parametrize(
    ("fault", "when"),
    [("fsync:error=EIO", when) for when in (1, 3, 6)] + [("rename:error=EIO", when) for when in (1, 2)],
    ids=lambda value: str(value).replace(":error", ""),
)
def test_failing_system_call_ends_a_run_and_loses_nothing(bench: Bench, fault: str, when: int) -> None:
    """An fsync or rename that fails is an error with the file's name; the next run does what is left to do."""
    before = bench.sound()
    bench.site.change_corpus()
    command = [sys.executable, "-m", "pipeline", *map(str, bench.command("index")), "--json"]
    injected = [strace(), "-f", "-qq", "-o", "/dev/null", "-e", f"inject={fault}:when={when}", *command]
    done = subprocess.run(injected, capture_output=True, text=True, cwd=ROOT, check=False, timeout=120)
    assert done.returncode == 1, done.stdout + done.stderr
    error = json.loads(done.stdout)["error"]
    assert error["type"] == "StorageUnwritable"
    assert re.search(r"cannot write /.*: Input/output error", error["message"]), error
    found = bench.sound()
    for name in found.keys() | before.keys():
        assert found.get(name) in (before.get(name), bench.site.corpus.get(name))
    bench.succeed("index")
    assert bench.sound() == bench.site.corpus


FILES = {
    "manifest": "manifest-*.json",
    "touched": "touched-*.arrow",
    "vectors": "segments/*/vectors.arrow",
    "passages": "segments/*/passages.arrow",
    "documents": "segments/*/documents.arrow",
    "hashes": "segments/*/hashes.arrow",
    "paths": "segments/*/paths.arrow",
    "deleted": "segments/*/deleted-*.arrow",
}
"""Where each kind of file that counts is; of several, the newest is damaged."""

WITHOUT_WEIGHT = {"lock": "lock", "verified": "verified*"}
"""Files that say nothing of the content: what is in them harms nobody."""


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x20
    path.write_bytes(content)


def flip_in_the_dark(path: Path) -> None:
    """As a flip, with the file's time put back."""
    status = path.stat()
    flip(path)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def empty(path: Path) -> None:
    os.truncate(path, 0)


def fill_with_zeros(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


DAMAGES: dict[str, Callable[[Path], None]] = {
    "flipped": flip,
    "flipped in the dark": flip_in_the_dark,
    "cut": cut,
    "empty": empty,
    "zeros": fill_with_zeros,
    "gone": Path.unlink,
}
MADE_AGAIN = ("hashes", "paths")
"""Files that follow from others: every command that writes makes them again."""

QUICK_DAMAGES = ("flipped",)


def damage(bench: Bench, pattern: str, kind: str) -> Path:
    path = sorted(bench.site.layout.root.glob(pattern))[-1]
    DAMAGES[kind](path)
    return path


def without_time(said: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in said.items() if key not in ("seconds",)}


def parameters() -> list[Any]:
    return [
        pytest.param(file, kind, marks=() if kind in QUICK_DAMAGES else pytest.mark.slow, id=f"{file} {kind}")
        for file in FILES
        for kind in DAMAGES
    ]


@pytest.mark.parametrize(("file", "kind"), parameters())
def test_damaged_file_is_noticed_named_and_never_served(bench: Bench, tmp_path: Path, file: str, kind: str) -> None:
    """`verify` names the file; every other command names it or answers as if nothing were wrong, and never otherwise."""
    if file == "manifest" and kind == "gone":
        pytest.skip("without its newest manifest a collection is what the one before says")
    readers = ("search", "show", "list", "export")
    good = {name: without_time(bench.succeed(name)) for name in readers}
    good_lines = (bench.site.folder / "out.jsonl").read_bytes()
    before = bench.sound()
    path = damage(bench, FILES[file], kind)
    (bench.site.folder / "out.jsonl").unlink()
    status, verdict = bench.run(*bench.command("verify"))
    assert status == 1
    assert path.name in json.dumps(verdict)
    noticed = 0
    for name in readers:
        status, said = bench.run(*bench.command(name))
        if status == 0:
            assert without_time(said) == good[name]
        else:
            assert path.name in json.dumps(said), said
            noticed += 1
    if (bench.site.folder / "out.jsonl").exists():
        assert (bench.site.folder / "out.jsonl").read_bytes() == good_lines
    if file in ("manifest", "vectors", "passages", "documents", "deleted"):
        assert noticed
    kept = tmp_path / "damaged"
    shutil.copytree(bench.site.layout.root, kept)
    bench.site.change_corpus()
    for name in ("index", "optimize", "re-embed", "import"):
        shutil.rmtree(bench.site.layout.root)
        shutil.copytree(kept, bench.site.layout.root)
        status, said = bench.run(*bench.command(name))
        if file in MADE_AGAIN:
            assert status == 0, said
            assert verify_collection(bench.site.layout).problems == ()
        elif status:
            assert said["error"]["type"] == "CorruptCollection", said
            assert path.name in said["error"]["message"], said
        try:
            found = versions_in(Snapshot.open(bench.site.layout))
        except CorruptCollection as error:
            assert path.name in error.message
            continue
        for document in found.keys() | before.keys():
            assert found.get(document) in (before.get(document), bench.site.corpus.get(document))


@pytest.mark.parametrize("file", WITHOUT_WEIGHT)
@pytest.mark.parametrize("kind", ["flipped", "empty", "zeros"])
def test_damaged_file_that_does_not_count_harms_nothing(bench: Bench, file: str, kind: str) -> None:
    """The lock's owner and the list of verified files may say anything: the collection is as it was."""
    hits = bench.succeed("search")["hits"]
    damage(bench, WITHOUT_WEIGHT[file], kind)
    assert bench.succeed("search")["hits"] == hits
    bench.site.change_corpus()
    bench.succeed("index")
    assert bench.sound() == bench.site.corpus


def test_collection_of_these_tests_has_parts_to_break(bench: Bench) -> None:
    """Several segments, dead rows, newer file times: else some of the faults above would hit nothing."""
    assert has_parts(Snapshot.open(bench.site.layout))
