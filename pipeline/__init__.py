"""Index document collections, search them by meaning, answer questions with citations, over the Ollama API.

    paths -> read -> chunk -> embed -> store -> index
    question -> embed -> search -> Hits -> answer -> Answer with Citations

`open_collection` is the way in; `Client` and `AsyncClient` speak to any Ollama server. Names are imported when they are
first used, so importing this package costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.errors import PipelineError
from pipeline.lazy_names import lazy_names
from pipeline.version import VERSION

if TYPE_CHECKING:
    from pipeline.api import AsyncClient, Client
    from pipeline.collection import Collection, open_collection
    from pipeline.config import Config
    from pipeline.ingest import IndexReport
    from pipeline.types import Answer, Citation, Hit

__version__ = VERSION

__all__ = [
    "Answer",
    "AsyncClient",
    "Citation",
    "Client",
    "Collection",
    "Config",
    "Hit",
    "IndexReport",
    "PipelineError",
    "open_collection",
]

__getattr__ = lazy_names(
    __name__,
    {
        "Answer": "pipeline.types",
        "AsyncClient": "pipeline.api",
        "Citation": "pipeline.types",
        "Client": "pipeline.api",
        "Collection": "pipeline.collection",
        "Config": "pipeline.config",
        "Hit": "pipeline.types",
        "IndexReport": "pipeline.ingest",
        "open_collection": "pipeline.collection",
    },
)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
