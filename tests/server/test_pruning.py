"""What a server that starts removes from its store, and what it leaves."""

import json
import os
from pathlib import Path

import pytest

from pipeline.server import ModelStore
from pipeline.server.pruning import GRACE_SECONDS, is_wanted, prune
from tests.server.make_model import tiny_gguf


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    store = ModelStore(tmp_path / "models")
    tiny_gguf(tmp_path / "tiny.gguf").rename(tmp_path / "moved")
    store.add("tiny", tmp_path / "moved", system="Be terse.")
    return store


def put(store: ModelStore, name: str, *, old: bool) -> Path:
    path = store.root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    if old:
        make_old(path)
    return path


def make_old(path: Path) -> None:
    seconds = path.stat().st_mtime - GRACE_SECONDS - 1
    os.utime(path, (seconds, seconds))


def test_prune(store: ModelStore) -> None:
    """Old blobs without a manifest go, partial downloads and unfinished work too; what is young or named stays."""
    for path in store.blobs.iterdir():
        make_old(path)
    named = sorted(store.blobs.iterdir())
    digest = "blobs/sha256-" + "0" * 64
    gone = [
        put(store, name, old=True) for name in (digest, digest + "-partial", digest + "-partial-0", "blobs/sha256-tmp")
    ]
    unfinished = put(store, "partial/create-x/model.gguf", old=True).parent
    make_old(unfinished)
    young = "blobs/sha256-" + "1" * 64
    kept = [
        put(store, young, old=False),
        put(store, young + "-partial", old=False),
        put(store, young + "-partial-0", old=True),
    ]
    wheel = put(store, "partial/tiny/a.whl", old=True)
    empty = store.manifests / "host" / "space"
    empty.mkdir(parents=True)
    make_old(empty)
    assert prune(store) == len(gone) + 1
    assert sorted(store.blobs.iterdir()) == sorted([*named, *kept])
    assert not unfinished.exists()
    assert wheel.exists()
    assert not empty.exists()
    assert store.find("tiny") is not None


def test_broken_manifest(store: ModelStore) -> None:
    """Nothing is removed while it is not known what a manifest names."""
    blob = put(store, "blobs/sha256-" + "0" * 64, old=True)
    put(store, "manifests/registry.ollama.ai/library/broken/latest", old=True)
    assert prune(store) == 0
    assert blob.exists()


def test_no_store(tmp_path: Path) -> None:
    """A store that is not there yet is not made."""
    assert prune(ModelStore(tmp_path / "none")) == 0
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(("value", "wanted"), [("", True), ("0", True), ("False", True), ("1", False), ("yes", False)])
def test_switched_off(value: str, wanted: bool) -> None:
    """OLLAMA_NOPRUNE is read as the real server reads it."""
    assert is_wanted({"OLLAMA_NOPRUNE": value}) is wanted
    assert is_wanted({}) is True


def test_blob_of_two_models(store: ModelStore) -> None:
    """A blob goes with the last model that names it, whatever the form of the digest in a real server's manifest."""
    store.copy("tiny", "other")
    model = store.find("tiny")
    assert model is not None
    store.remove("tiny")
    assert model.model_path.is_file()
    place = store.manifests / "registry.ollama.ai" / "library" / "other" / "latest"
    manifest = json.loads(place.read_bytes())
    assert manifest["mediaType"] == "application/vnd.docker.distribution.manifest.v2+json"
    store.remove("other")
    assert list(store.blobs.iterdir()) == []
    assert not place.parent.exists()
