"""One embedding model on one server, and the worker pool that embeds chunks with it.

In: a client, a model name, a lazy stream of chunks. Out: for every chunk, in order, its vector or why it has none.
Queries and documents go through different methods, because models want different prefixes for them.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING

from pipeline.embed.checks import checked_matrix
from pipeline.embed.identity import ModelIdentity, learn_identity, tokenizer_of
from pipeline.embed.ordered import WINDOW_FACTOR, ordered_map
from pipeline.errors import (
    BadReply,
    BadRequest,
    BadVector,
    InputTooLong,
    PipelineError,
    ServerError,
    UsageError,
)
from pipeline.types import Batch, Chunk, Vectors

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from pipeline.api import Client
    from pipeline.chunk import Tokenizer

logger = logging.getLogger(__name__)

BLAMES_THE_TEXT = (BadRequest, ServerError, BadVector, BadReply)
"""Errors that one text of a batch can cause for all: such a batch is halved until the text is known."""

SPARE_WORKERS = 2
"""Workers beyond the requests in flight: they write the next request and read the last reply while the server works."""

FIRST_SHARE = 8
FIRST_TEXTS = 4
"""The first requests hold one part in so many of a batch, so that a run that is stopped early has something to keep.

They hold not less than so many texts.
"""

REQUEST_SECONDS = 5.0
"""What a request shall take at the most: on a slow server requests stay small, as nothing can be committed before they
are answered."""

HOPELESS_AFTER = 16
"""Texts that fail one by one with no success in between before the server, not the texts, is held to blame."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedChunk:
    """A chunk without a vector. `error` is an InputTooLong where the server counts more tokens than fit."""

    chunk: Chunk
    error: PipelineError


Outcome = Vectors | FailedChunk


class Embedder:
    """Embeds with `model`; makes no request before it is first needed. The client's policy says what is pulled.

    Args:
        client: gives the client; called when a request is made.
        batch_size: texts in one request.
        concurrency: requests in flight, on each of the client's hosts.
        query_prefix, document_prefix: what the model is to see before texts, in place of what is known of it.
    """

    def __init__(
        self,
        client: Callable[[], Client],
        model: str,
        *,
        batch_size: int = 32,
        concurrency: int = 4,
        query_prefix: str | None = None,
        document_prefix: str | None = None,
    ) -> None:
        self._client = client
        given = {"query_prefix": query_prefix, "document_prefix": document_prefix}
        self.prefixes = {name: prefix for name, prefix in given.items() if prefix is not None}
        self.model = model
        self.batch_size = batch_size
        self.concurrency = concurrency
        self._identity: ModelIdentity | None = None
        self._lock = threading.RLock()
        self._failures_in_a_row = 0
        self._seconds_a_text = 0.0

    @property
    def identity(self) -> ModelIdentity:
        """Name, digest, dimension, context and prefixes, asked of the server once."""
        with self._lock:
            if self._identity is None:
                self._identity = replace(learn_identity(self._client(), self.model), **self.prefixes)
            return self._identity

    def tokenizer(self) -> Tokenizer | None:
        """The model's tokenizer from `/api/show`, if the server hands it out."""
        return tokenizer_of(self._client(), self.model)

    def embed_query(self, text: str) -> NDArray[np.float32]:
        """The embedding of a question: float32, shape (dimension,), unit norm.

        Raises:
            UsageError: the question is longer than the model's context.
            DimensionMismatch, BadVector, BadReply: as `checked_matrix`.
        """
        try:
            return self._request([self.identity.query_prefix + text])[0]
        except InputTooLong as error:
            raise UsageError(
                f"the query is longer than the {self.identity.context} tokens that {self.model!r} can take",
                hint="ask a shorter question",
            ) from error

    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embeddings of a few texts as documents, in one request: float32, shape (len(texts), dimension)."""
        return self._request([self.identity.document_prefix + text for text in texts])

    def embed_chunks(
        self, chunks: Iterable[Chunk], *, unclaimed: list[list[Outcome]] | None = None
    ) -> Generator[Outcome]:
        """Embeds a lazy stream, `batch_size` texts a request and `concurrency` requests at a time and host, in order.

        The first requests are smaller, and so are all to a slow server.
        Chunks come out in the order in which they went in: runs of them with their vectors, and single ones that
        failed by their own fault. Any other error (server gone, wrong dimension) is raised. Close the generator to
        stop early; what was embedded but had not come out yet is then in `unclaimed`, by batch.
        """
        with closing(
            ordered_map(
                lambda batch: self._embed_group(batch.chunks),
                self._batches(chunks),
                workers=self._workers,
                unclaimed=unclaimed,
            )
        ) as batches:
            for outcomes in batches:
                yield from outcomes

    def embed_together(self, chunks: Sequence[Chunk]) -> list[Outcome]:
        """As `embed_chunks`, for a few chunks in one request made now."""
        return self._embed_group(tuple(chunks))

    @property
    def _workers(self) -> int:
        client = self._client()
        # Only where the client itself sees to it that no more requests are in flight than asked for.
        limited = client.per_host is not None and client.per_host <= self.concurrency
        return (self.concurrency + (SPARE_WORKERS if limited else 0)) * len(client.hosts)

    def _batches(self, chunks: Iterable[Chunk]) -> Iterator[Batch]:
        source = iter(chunks)
        number = 0
        while group := tuple(islice(source, self._size_of(number))):
            yield Batch(number=number, chunks=group)
            number += 1

    def _size_of(self, number: int) -> int:
        """Texts in a batch: few while nothing has been answered, then as many as the server takes in good time."""
        first = min(self.batch_size, max(FIRST_TEXTS, self.batch_size // FIRST_SHARE))
        # Batches are drawn so far ahead of the answers.
        if number < self._workers * WINDOW_FACTOR:
            return first
        quick = int(REQUEST_SECONDS / max(self._seconds_a_text, 1e-9))
        return max(first, min(self.batch_size, quick))

    def _embed_group(self, chunks: tuple[Chunk, ...]) -> list[Outcome]:
        prefix = self.identity.document_prefix
        began = time.monotonic()
        try:
            matrix = self._request([prefix + chunk.embedded_text for chunk in chunks])
        except BLAMES_THE_TEXT as error:
            if len(chunks) == 1:
                self._count_failure(error)
                return [FailedChunk(chunk=chunks[0], error=error)]
            logger.info("halving a batch of %d texts after: %s", len(chunks), error)
            middle = len(chunks) // 2
            return self._embed_group(chunks[:middle]) + self._embed_group(chunks[middle:])
        with self._lock:
            self._failures_in_a_row = 0
            self._seconds_a_text = (time.monotonic() - began) / len(chunks)
        return [Vectors(chunks=chunks, matrix=matrix)]

    def _count_failure(self, error: PipelineError) -> None:
        if isinstance(error, InputTooLong):
            return
        with self._lock:
            self._failures_in_a_row += 1
            if self._failures_in_a_row >= HOPELESS_AFTER:
                raise PipelineError(
                    f"{self._failures_in_a_row} texts in a row could not be embedded, the last: {error.message}",
                    hint=error.hint or "look at the server's log, then run the same command again to go on",
                ) from error

    def _request(self, texts: Sequence[str]) -> NDArray[np.float32]:
        identity = self.identity
        reply = self._client().embed(self.model, texts, truncate=False)
        return checked_matrix(
            reply.matrix,
            model=self.model,
            count=len(texts),
            dimension=identity.dimension,
            where="reply of /api/embed",
        )
