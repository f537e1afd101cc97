"""Collections to draw: some of the sample corpus with real vectors, and made ones whose neighbourhoods are known."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.collection import Collection
from pipeline.config import Config
from pipeline.map import CollectionMap, make_map
from pipeline.store import CollectionWriter, Layout, SegmentBuilder, Snapshot, require_collection
from tests.clustered import DIMENSION, Add
from tests.conftest import ROOT
from tests.make import chunk, document_row, identity

FOLDERS = ("kitchen", "operations", "science")


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory, models_folder: Path) -> Iterator[Collection]:
    """Three folders of the sample corpus, indexed by the embedded server's model; for tests that only read it."""
    home = tmp_path_factory.mktemp("corpus")
    with Collection("corpus", Config(home=home, models=models_folder, host="embedded")) as collection:
        collection.index(*(ROOT / "sample_corpus" / folder for folder in FOLDERS))
        yield collection


@pytest.fixture(scope="session")
def drawn(corpus: Collection) -> CollectionMap:
    """The map of `corpus`."""
    return make_map(corpus.snapshot)


@pytest.fixture
def add(tmp_path: Path) -> Add:
    """Adds documents (path, texts, vectors) to the collection `made`, and opens it."""
    home = tmp_path / "home"

    def add(documents: Sequence[tuple[str, Sequence[str], NDArray[np.float32]]]) -> Snapshot:
        builder = SegmentBuilder(DIMENSION)
        for path, texts, vectors in documents:
            chunks = [
                replace(chunk(text, document_id=path, start=100 * at, line=at + 1), chunk_id=f"{path}-{at}")
                for at, text in enumerate(texts)
            ]
            builder.add(document_row(path), chunks, list(vectors))
        with CollectionWriter(Layout.of(home, "made")) as writer:
            if writer.snapshot is None:
                writer.create(identity(DIMENSION), {})
            writer.commit(builder)
        return require_collection(home, "made")

    return add
