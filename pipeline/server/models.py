"""The model store: Ollama's own layout on disk, so that a store made by either is served by both.

In: a folder with `manifests/<host>/<namespace>/<model>/<tag>` and `blobs/sha256-<hex>`, GGUF files to add.
Out: `StoredModel`s.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import re
import shutil
import tempfile
import threading
from collections.abc import Generator, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from pipeline.errors import EngineError, StorageUnwritable, UsageError
from pipeline.server.gguf_header import read_header
from pipeline.server.model_config import configuration
from pipeline.server.names import ModelName, from_path, parse_name
from pipeline.server.stored_model import StoredModel, details_of, from_file

logger = logging.getLogger(__name__)

MANIFEST_TYPE = "application/vnd.docker.distribution.manifest.v2+json"
CONFIG_TYPE = "application/vnd.docker.container.image.v1+json"
LAYER_TYPE = "application/vnd.ollama.image."
PARTIAL = "partial"
"""The folder of what is on its way into the store."""
SCRATCH_PREFIX = "create-"
MODEL_FILE_ENDING = ".gguf"
DIGEST = re.compile(r"sha256[:-][0-9a-fA-F]{64}", re.ASCII)


class ModelStore:
    """Reads need no lock: manifests are replaced whole, and blobs never change.

    With `open_files`, the path of a GGUF file is a model's name too: for a server that only this process can reach.
    """

    def __init__(self, root: Path, *, open_files: bool = False) -> None:
        self.root = root
        self.open_files = open_files
        self._opened: set[str] = set()
        self._known: dict[Path, tuple[tuple[int, ...], StoredModel, int]] = {}
        self.blobs = root / "blobs"
        self.manifests = root / "manifests"

    def prepare(self) -> bool:
        """Make the folder unless it is there. Returns whether models can be added to it.

        Raises StorageUnwritable when it cannot be made or read.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            next(self.root.iterdir(), None)
        except OSError as error:
            raise StorageUnwritable(
                f"cannot use the model store {self.root}: {error.strerror or error}",
                hint="set OLLAMA_MODELS to a folder that can be read and written",
            ) from error
        return os.access(self.root, os.W_OK | os.X_OK)

    def list(self) -> list[StoredModel]:
        """Every model whose manifest and blobs can be read, by name, files that were asked for among them.

        Broken ones are logged.
        """
        models: list[StoredModel] = []
        loads = [partial(self._load, name, path) for name, path in self._manifest_paths()]
        loads += [partial(from_file, Path(name)) for name in sorted(self._opened)]
        for load in loads:
            try:
                models.append(load())
            except EngineError as error:
                logger.warning("left out of the list of models: %s", error)
        return sorted(models, key=lambda model: model.name)

    def find(self, name: str) -> StoredModel | None:
        """The model called `name`, or None. Raises EngineError if it is there and broken."""
        if self.opens(name):
            self._opened.add(name)
            return from_file(Path(name))
        try:
            wanted = parse_name(name)
        except UsageError:
            return None
        found = self._path_of(wanted)
        return self._known_or_loaded(*found) if found else None

    def opens(self, name: str) -> bool:
        """Whether `name` is taken as the path of a file."""
        return self.open_files and Path(name).is_absolute() and name.lower().endswith(MODEL_FILE_ENDING)

    def add(
        self,
        name: str,
        gguf: Path,
        *,
        template: str | None = None,
        system: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        license: str | None = None,
    ) -> StoredModel:
        """Moves `gguf`, a file on the same disk, into the store under `name`; the manifest is written last.

        Raises EngineError if it is no GGUF file, StorageUnwritable, or UsageError for a bad name.
        """
        parsed = parse_name(name)
        header = read_header(gguf)
        with _writing(self.root):
            self.blobs.mkdir(parents=True, exist_ok=True)
            layers = [self._take_file("model", gguf)]
            texts = {"license": license, "template": template, "system": system}
            layers += [self._add_blob(kind, text.encode()) for kind, text in texts.items() if text]
            if parameters:
                layers.append(self._add_blob("params", json.dumps(dict(parameters)).encode()))
            config = self._add_blob("", json.dumps(configuration(header, layers)).encode())
            self._write_manifest(parsed, _manifest(config, layers))
        found = self.find(name)
        assert found is not None
        return found

    def copy(self, source: str, destination: str) -> StoredModel:
        """A second name for the same blobs. Raises UsageError if `source` is not there."""
        found = self._path_of(parse_name(source))
        if found is None:
            raise UsageError(f"model {source!r} is not in the store")
        with _writing(self.root):
            self._write_manifest(parse_name(destination), found[1].read_bytes())
        copied = self.find(destination)
        assert copied is not None
        return copied

    def remove(self, name: str) -> None:
        """Removes a name, and the blobs that no other name refers to. Raises UsageError if it is not there."""
        found = self._path_of(parse_name(name))
        if found is None:
            raise UsageError(f"model {name!r} is not in the store")
        _, path = found
        with _writing(self.root):
            mine = _digests(path)
            path.unlink()
            for folder in list(path.parents)[:3]:
                if any(folder.iterdir()):
                    break
                folder.rmdir()
            self.remove_unused(mine)

    def blob_path(self, digest: str) -> Path:
        """Raises ValueError for what is no digest: a manifest must not lead out of the folder."""
        if not DIGEST.fullmatch(digest):
            raise ValueError(f"{digest!r} is not a SHA-256 digest")
        return self.blobs / digest.replace(":", "-")

    def layers(self, name: str) -> tuple[list[dict[str, Any]], dict[str, Any]] | None:
        """The layers of a stored model, as its manifest has them, and its configuration.

        Raises EngineError if it is there and broken.
        """
        found = self._path_of(parse_name(name))
        if found is None:
            return None
        self._load(*found)
        manifest = json.loads(found[1].read_bytes())
        return manifest["layers"], json.loads(self.blob_path(manifest["config"]["digest"]).read_bytes())

    def manifest(self, name: str) -> bytes | None:
        """The manifest of a stored model as it stands on disk, or None."""
        found = self._path_of(parse_name(name))
        return found[1].read_bytes() if found else None

    def install(self, name: str, manifest: bytes) -> set[str]:
        """Stores a manifest whose blobs are here; what only its forerunner of that name named is returned."""
        parsed = parse_name(name)
        found = self._path_of(parsed)
        before = _digests(found[1]) if found else set[str]()
        with _writing(self.root):
            self._write_manifest(found[0] if found else parsed, manifest)
        return before - self._used()

    def add_blob(self, content: bytes) -> tuple[str, bool]:
        """Its digest, and whether it is new here. Raises StorageUnwritable."""
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        if self.blob_path(digest).is_file():
            return digest, False
        with _writing(self.root):
            self.blobs.mkdir(parents=True, exist_ok=True)
            _write_atomic(self.blob_path(digest), content)
        return digest, True

    def add_file(self, kind: str, path: Path) -> tuple[dict[str, Any], bool]:
        """Moves a file on the same disk into the store; its layer, and whether it is new here."""
        with _writing(self.root):
            self.blobs.mkdir(parents=True, exist_ok=True)
            before = {place.name for place in self.blobs.iterdir()}
            layer = self._take_file(kind, path)
        return layer, self.blob_path(layer["digest"]).name not in before

    @contextlib.contextmanager
    def scratch(self) -> Generator[Path]:
        """A folder on the store's disk that is gone afterwards."""
        with _writing(self.root):
            (self.root / PARTIAL).mkdir(parents=True, exist_ok=True)
            folder = Path(tempfile.mkdtemp(dir=self.root / PARTIAL, prefix=SCRATCH_PREFIX))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def write(self, name: str, layers: list[dict[str, Any]], config: Mapping[str, Any]) -> None:
        """Stores a model made of blobs that are here; what only its forerunner of that name used is removed."""
        with _writing(self.root):
            stored = self._add_blob("", json.dumps(dict(config)).encode())
        self.remove_unused(self.install(name, _manifest(stored, layers)))

    def remove_unused(self, digests: set[str]) -> None:
        """Removes those of the blobs that no manifest names."""
        with _writing(self.root):
            for digest in digests - self._used():
                self.blob_path(digest).unlink(missing_ok=True)

    def used_blobs(self) -> set[str]:
        """The names of the blobs that manifests name. Raises ValueError if one of the manifests cannot be read."""
        names: set[str] = set()
        for name, path in self._manifest_paths():
            found = _digests(path)
            if not found:
                raise ValueError(f"the manifest of {name.short} cannot be read")
            names |= {self.blob_path(digest).name for digest in found}
        return names

    def _used(self) -> set[str]:
        return {digest for _, path in self._manifest_paths() for digest in _digests(path)}

    def _manifest_paths(self) -> Generator[tuple[ModelName, Path]]:
        for path in sorted(self.manifests.glob("*/*/*/*")):
            name = from_path(path.relative_to(self.manifests).parts)
            if name is not None and path.is_file():
                yield name, path

    def _path_of(self, wanted: ModelName) -> tuple[ModelName, Path] | None:
        exact = self.manifests / wanted.path
        if exact.is_file():
            return wanted, exact
        folded = wanted.folded
        return next(((name, path) for name, path in self._manifest_paths() if name.folded == folded), None)

    def _known_or_loaded(self, name: ModelName, path: Path) -> StoredModel:
        """As `_load`, but the same manifest is not read again for each request."""
        state: tuple[int, ...] = ()
        with contextlib.suppress(OSError):  # `_load` says what is wrong
            manifest = path.stat()
            state = (manifest.st_mtime_ns, manifest.st_size, manifest.st_ino)
            known = self._known.get(path)
            if known is not None and known[0] == state and known[1].model_path.stat().st_size == known[2]:
                return known[1]
        model = self._load(name, path)
        if state:
            self._known[path] = (state, model, model.model_path.stat().st_size)
        return model

    def _load(self, name: ModelName, path: Path) -> StoredModel:
        try:
            content = path.read_bytes()
            manifest = json.loads(content)
            layers = {_kind(layer): layer for layer in manifest["layers"]}
            licenses = [self._text(layer) or "" for layer in manifest["layers"] if _kind(layer) == "license"]
            config = json.loads(self.blob_path(manifest["config"]["digest"]).read_bytes())
            model = self.blob_path(layers["model"]["digest"])
            if model.stat().st_size != layers["model"]["size"]:
                raise ValueError(f"{model.name} is cut short")
            texts = {kind: self._text(layers.get(kind)) for kind in ("template", "system", "params", "messages")}
            return StoredModel(
                name=name.short,
                digest=hashlib.sha256(content).hexdigest(),
                size=manifest["config"].get("size", 0) + sum(layer["size"] for layer in manifest["layers"]),
                modified_at=datetime.fromtimestamp(path.stat().st_mtime, UTC).astimezone(),
                model_path=model,
                template=texts["template"],
                system=texts["system"],
                parameters=json.loads(texts["params"] or "{}"),
                license="\n".join(licenses) or None,
                details=details_of(config),
                parent=str(layers["model"].get("from") or ""),
                messages=tuple(
                    {"role": str(message["role"]), "content": str(message.get("content", ""))}
                    for message in json.loads(texts["messages"] or "[]")
                ),
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise EngineError(
                f"model {name.short} in {self.root} is broken: {error}", hint=f"pull it again: {name.short}"
            ) from error

    def _text(self, layer: Mapping[str, Any] | None) -> str | None:
        return self.blob_path(layer["digest"]).read_text(encoding="utf-8") if layer else None

    def _take_file(self, kind: str, path: Path) -> dict[str, Any]:
        with path.open("rb") as file:
            digest = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
            os.fsync(file.fileno())
        size = path.stat().st_size
        path.replace(self.blob_path(digest))
        return {"mediaType": LAYER_TYPE + kind, "digest": digest, "size": size}

    def _add_blob(self, kind: str, content: bytes) -> dict[str, Any]:
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        _write_atomic(self.blob_path(digest), content)
        return {"mediaType": LAYER_TYPE + kind, "digest": digest, "size": len(content)}

    def _write_manifest(self, name: ModelName, content: bytes) -> None:
        path = self.manifests / name.path
        path.parent.mkdir(parents=True, exist_ok=True)
        _write_atomic(path, content)


def _manifest(config: Mapping[str, Any], layers: list[dict[str, Any]]) -> bytes:
    content = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": {**config, "mediaType": CONFIG_TYPE},
        "layers": layers,
    }
    return json.dumps(content, separators=(",", ":")).encode()


def _kind(layer: Mapping[str, Any]) -> str:
    return str(layer["mediaType"]).removeprefix(LAYER_TYPE)


def _digests(manifest: Path) -> set[str]:
    try:
        content = json.loads(manifest.read_bytes())
        found = [str(part["digest"]) for part in (content["config"], *content["layers"])]
    except (OSError, ValueError, KeyError, TypeError):
        return set()
    return {digest for digest in found if DIGEST.fullmatch(digest)}


def _write_atomic(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.tmp")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


@contextlib.contextmanager
def _writing(root: Path) -> Generator[None]:
    try:
        yield
    except OSError as error:
        raise StorageUnwritable(
            f"cannot write to the model store {root}: {error.strerror or error}",
            hint="free some space, make it writable, or choose another one with OLLAMA_MODELS",
        ) from error
