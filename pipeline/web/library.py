"""The collections of a home over one connection, for many requests at a time.

In: settings. Out: `Collection`s that stay open, each one and the server's connection made when first needed.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace

from pipeline.api import Client
from pipeline.collection import Collection
from pipeline.config import Config
from pipeline.connect import Connection, connect
from pipeline.errors import CollectionNotFound, PipelineError
from pipeline.server.exchange import Cancellation
from pipeline.store import Layout, collection_names, require_collection

logger = logging.getLogger(__name__)


class Library:
    """Close it to end the connection and unload models."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self._lock = threading.Lock()
        self._connection: Connection | None = None
        self._collections: dict[str, Collection] = {}

    @property
    def connection(self) -> Connection:
        with self._lock:
            if self._connection is None:
                self._connection = connect(replace(self.config, model=None))
            return self._connection

    @property
    def client(self) -> Client:
        return self.connection.client

    def collection(self, name: str) -> Collection:
        """The collection, opened. Raises CollectionNotFound or CorruptCollection."""
        with self._lock:
            known = self._collections.get(name)
        if known is None:
            require_collection(self.config.home, name)
            with self._lock:
                known = self._collections.setdefault(name, self._opened(name, None))
        return known

    def for_index(self, name: str, model: str | None) -> Collection:
        """The collection, which need not exist, with the `model` that a new one shall have."""
        try:
            require_collection(self.config.home, name)
        except CollectionNotFound:
            model = model or self.config.model
        return self._opened(name, model)

    @contextmanager
    def asking(self, name: str, cancellation: Cancellation, chat_model: str | None = None) -> Generator[Collection]:
        """The collection over a client of its own: when the request is cancelled, what the server does for it ends."""
        collection = self.collection(name)
        with self.own_client(cancellation) as client:
            own = replace(self.connection, client=client, close=client.close)
            config = replace(collection.config, chat_model=chat_model or self.config.chat_model)
            yield collection.over(own, config)

    @contextmanager
    def own_client(self, cancellation: Cancellation) -> Generator[Client]:
        client = self.connection.another()
        try:
            with cancellation.watch(client.close):
                yield client
        except Exception:
            cancellation.check()
            raise
        finally:
            client.close()

    def forget(self, name: str) -> None:
        """A collection that is gone need not stay open."""
        with self._lock:
            self._collections.pop(name, None)

    def layout(self, name: str) -> Layout:
        return Layout.of(self.config.home, name)

    def warm(self) -> None:
        """Loads what the first search will need, of the collection that was changed last; does nothing if it cannot."""
        try:
            snapshots = [self.collection(name).snapshot for name in collection_names(self.config.home)]
            if newest := max(snapshots, key=lambda each: each.manifest.updated, default=None):
                self.collection(newest.name).search("warm", k=1)
        except PipelineError as error:
            logger.info("nothing was loaded ahead: %s", error)

    def close(self) -> None:
        with self._lock:
            connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _opened(self, name: str, model: str | None) -> Collection:
        def connector(_: Config) -> Connection:
            # Whoever closes the collection leaves the connection to the others.
            return replace(self.connection, close=lambda: None)

        return Collection(name, replace(self.config, model=model), connector=connector)
