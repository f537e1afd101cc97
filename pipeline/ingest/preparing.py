"""By which settings a run cuts, and what counts its tokens: found out when the first document has to be cut.

In: a collection's writer, the embedder, what the user asks for. Out: settings and counter, and the collection, made
where there is none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict

from pipeline.chunk import ChunkerChoice, ChunkSettings, TokenCounter, Tokenizer, stored_settings, token_counter
from pipeline.embed import SPECIAL_TOKENS, Embedder
from pipeline.store import CollectionWriter, Snapshot


class Preparation:
    """Called, it gives settings and counter. `tokenizer` is the model's, once it has been called.

    Args:
        begin: is told the dimension of the vectors, before any document can be stored.

    Raises ModelMismatch or UsageError where the collection there is has another model or other settings.
    """

    def __init__(
        self, writer: CollectionWriter, embedder: Embedder, choice: ChunkerChoice, begin: Callable[[int], None]
    ) -> None:
        self.tokenizer: Tokenizer | None = None
        self.settings: ChunkSettings | None = None
        self._writer = writer
        self._embedder = embedder
        self._choice = choice
        self._begin = begin
        self._counter: TokenCounter | None = None
        if writer.snapshot:
            writer.snapshot.require_model(embedder.model)
            self._stored_settings(writer.snapshot)

    def __call__(self) -> tuple[ChunkSettings, TokenCounter]:
        """Asks the server about the model, the first time."""
        if self.settings is not None and self._counter is not None:
            return self.settings, self._counter
        identity = self._embedder.identity
        self.tokenizer = self._embedder.tokenizer()
        counter = token_counter(self.tokenizer)
        reserved = counter.count(identity.document_prefix) if identity.document_prefix else 0
        snapshot = self._writer.snapshot
        if snapshot is None:
            limit = identity.context - SPECIAL_TOKENS
            settings = self._choice.settled(limit=limit, reserved_tokens=reserved, model=identity.name)
            self._writer.create(identity, asdict(settings))
        else:
            snapshot.require_identity(identity)
            settings = self._stored_settings(snapshot)
        self._begin(identity.dimension)
        self.settings, self._counter = settings, counter
        return settings, counter

    def _stored_settings(self, snapshot: Snapshot) -> ChunkSettings:
        return stored_settings(snapshot.manifest.chunker, collection=snapshot.name, choice=self._choice)
