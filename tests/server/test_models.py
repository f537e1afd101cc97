"""The model store on disk: Ollama's layout, names, sharing of blobs, broken entries."""

import hashlib
import json
import logging
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.errors import EngineError, StorageUnwritable, UsageError
from pipeline.server import ModelStore
from pipeline.server.model_config import human_number
from tests.server.make_model import tiny_gguf


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path / "models")


def add(store: ModelStore, name: str, tmp_path: Path, *, seed: int = 0, **texts: str) -> str:
    return store.add(name, tiny_gguf(tmp_path / "new.gguf", seed=seed), **texts).digest


def blobs(store: ModelStore) -> set[str]:
    return {path.name for path in store.blobs.iterdir()}


def test_layout_is_ollamas(store: ModelStore, tmp_path: Path) -> None:
    """Manifest, config and layers where a real server looks for them, each blob under its own checksum."""
    digest = add(store, "team/tiny:v1", tmp_path, system="Be brief.", license="MIT")
    path = store.root / "manifests/registry.ollama.ai/team/tiny/v1"
    assert hashlib.sha256(path.read_bytes()).hexdigest() == digest
    manifest = json.loads(path.read_bytes())
    assert manifest["schemaVersion"] == 2
    assert manifest["mediaType"] == "application/vnd.docker.distribution.manifest.v2+json"
    assert manifest["config"]["mediaType"] == "application/vnd.docker.container.image.v1+json"
    assert [layer["mediaType"].rpartition(".")[2] for layer in manifest["layers"]] == ["model", "license", "system"]
    for layer in (manifest["config"], *manifest["layers"]):
        blob = store.root / "blobs" / layer["digest"].replace(":", "-")
        assert blob.stat().st_size == layer["size"]
        assert "sha256:" + hashlib.sha256(blob.read_bytes()).hexdigest() == layer["digest"]


def test_what_is_stored_comes_back(store: ModelStore, tmp_path: Path) -> None:
    """Texts, parameters and details of the file."""
    store.add(
        "tiny",
        tiny_gguf(tmp_path / "new.gguf"),
        template="{{ .Prompt }}",
        system="Be brief.",
        license="MIT",
        parameters={"num_ctx": 64, "stop": ["a", "b"]},
    )
    model = store.find("tiny")
    assert model is not None
    assert (model.template, model.system, model.license) == ("{{ .Prompt }}", "Be brief.", "MIT")
    assert model.parameters == {"num_ctx": 64, "stop": ["a", "b"]}
    details = model.details
    assert (details.family, details.format, details.parameter_size, details.quantization_level) == (
        "llama", "gguf", "128", "F16",
    )  # fmt: skip
    assert model.size == sum(path.stat().st_size for path in store.blobs.iterdir())
    assert not (tmp_path / "new.gguf").exists()


def test_names_find_their_model(store: ModelStore, tmp_path: Path) -> None:
    """Tags and cases as with the real server; what is no name is not there."""
    add(store, "Tiny", tmp_path)
    assert {store.find(name) and "Tiny:latest" for name in ("tiny", "TINY:latest", "library/tiny")} == {"Tiny:latest"}
    assert [store.find(name) for name in ("tiny:v2", "other", "", "../tiny", "registry/x/tiny")] == [None] * 5


def test_copy_shares_and_remove_keeps_what_others_need(store: ModelStore, tmp_path: Path) -> None:
    """A copy costs a manifest; blobs go with the last name that needs them, folders with the last file."""
    add(store, "tiny", tmp_path)
    before = blobs(store)
    store.copy("tiny", "team/other:v1")
    assert blobs(store) == before
    store.remove("tiny")
    assert blobs(store) == before
    assert not (store.manifests / "registry.ollama.ai/library").exists()
    store.remove("team/other:v1")
    assert blobs(store) == set()
    assert store.list() == []


def test_replaced_model(store: ModelStore, tmp_path: Path) -> None:
    """The same name again points to the new file."""
    first = add(store, "tiny", tmp_path, seed=1)
    second = add(store, "tiny", tmp_path, seed=2)
    model = store.find("tiny")
    assert model is not None
    assert first != second == model.digest


@pytest.mark.parametrize("name", ["none", "..", "", "a b"])
def test_copy_and_remove_of_what_is_not_there(store: ModelStore, name: str) -> None:
    """The caller's mistake, said as such."""
    with pytest.raises(UsageError):
        store.copy(name, "x")
    with pytest.raises(UsageError):
        store.remove(name)


def test_only_gguf_files_are_taken(store: ModelStore, tmp_path: Path) -> None:
    """Anything else is refused before the store changes."""
    path = tmp_path / "text.gguf"
    path.write_text("no model")
    with pytest.raises(EngineError, match="not a whole GGUF file"):
        store.add("bad", path)
    assert not store.root.exists()
    assert path.exists()


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_text("{"),
        lambda path: path.write_text("[]"),
        lambda path: path.write_text('{"config": {}, "layers": []}'),
        lambda path: path.write_text('{"config": {"digest": "sha256:0", "mediaType": "x", "size": 1}, "layers": []}'),
        lambda path: path.write_bytes(b"\xff\xfe"),
    ],
)
def test_broken_manifest(
    store: ModelStore, tmp_path: Path, damage: Callable[[Path], object], caplog: pytest.LogCaptureFixture
) -> None:
    """Asked for by name it is an error with the way out; in the list it is left out and logged; it can be removed."""
    add(store, "good", tmp_path, seed=1)
    add(store, "bad", tmp_path, seed=2)
    damage(store.manifests / "registry.ollama.ai/library/bad/latest")
    with pytest.raises(EngineError, match="bad:latest in") as caught:
        store.find("bad")
    assert "pull it again" in caught.value.hint
    with caplog.at_level(logging.WARNING):
        assert [model.name for model in store.list()] == ["good:latest"]
    assert "bad:latest" in caplog.text
    store.remove("bad")
    assert store.find("bad") is None
    assert store.find("good") is not None


def test_missing_blob(store: ModelStore, tmp_path: Path) -> None:
    """A store from which a file was taken."""
    add(store, "tiny", tmp_path)
    for path in store.blobs.iterdir():
        path.unlink()
    with pytest.raises(EngineError, match="is broken"):
        store.find("tiny")


def test_a_manifest_cannot_point_elsewhere(store: ModelStore, tmp_path: Path) -> None:
    """A digest that is a path does not lead out of the folder of blobs."""
    outside = tiny_gguf(tmp_path / "outside.gguf")
    add(store, "tiny", tmp_path)
    path = store.manifests / "registry.ollama.ai/library/tiny/latest"
    manifest = json.loads(path.read_bytes())
    manifest["layers"][0]["digest"] = f"../../{outside.name}"
    path.write_text(json.dumps(manifest))
    with pytest.raises(EngineError, match="is broken"):
        store.find("tiny")
    store.remove("tiny")
    assert outside.exists()


def test_other_files_in_the_store_are_passed_over(store: ModelStore, tmp_path: Path) -> None:
    """Notes, half-written manifests and folders do no harm."""
    add(store, "tiny", tmp_path)
    folder = store.manifests / "registry.ollama.ai/library/tiny"
    (folder / ".latest.1.tmp").write_text("{")
    (folder / "v2").mkdir()
    (store.manifests / "README").write_text("notes")
    assert [model.name for model in store.list()] == ["tiny:latest"]


def test_paths_are_names_only_where_it_was_said(tmp_path: Path) -> None:
    """A server that others can reach opens nothing by its path; the own process does, and lists what it opened."""
    path = tiny_gguf(tmp_path / "file.gguf")
    served, own = ModelStore(tmp_path / "models"), ModelStore(tmp_path / "models", open_files=True)
    assert served.find(str(path)) is None
    assert own.find("file.gguf") is None
    model = own.find(str(path))
    assert model is not None
    assert (model.name, model.model_path, model.details.family) == (str(path), path, "llama")
    assert [found.name for found in own.list()] == [str(path)]
    tiny_gguf(path, seed=1)
    changed = own.find(str(path))
    assert changed is not None
    assert changed.digest != model.digest
    path.unlink()
    with pytest.raises(EngineError, match="cannot be read"):
        own.find(str(path))
    assert own.list() == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_store_that_cannot_be_written(store: ModelStore, tmp_path: Path) -> None:
    """The system's reason and the setting that helps."""
    store.root.mkdir(mode=0o500)
    with pytest.raises(StorageUnwritable, match="Permission denied"):
        add(store, "tiny", tmp_path)


def test_file_where_the_store_should_be(store: ModelStore, tmp_path: Path) -> None:
    """As above, for a reason that holds for root as well."""
    store.root.write_text("")
    with pytest.raises(StorageUnwritable) as caught:
        add(store, "tiny", tmp_path)
    assert "OLLAMA_MODELS" in caught.value.hint


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (0, "0"), (999, "999"), (1000, "1K"), (999_499, "999K"), (22_565_376, "22.57M"), (134_515_008, "134.52M"),
        (999_990_000, "999.99M"), (10**9, "1B"), (1_543_714_304, "1.5B"), (7_000_000_000, "7B"), (70_553_706_496, "70.6B"),
    ],
)  # fmt: skip
def test_numbers_of_parameters(count: int, shown: str) -> None:
    """As `format.HumanNumber` of the real server writes them."""
    assert human_number(count) == shown
