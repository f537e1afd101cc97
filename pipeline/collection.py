"""A collection as a library user holds it: index, search, ask, to and from files. No logic of its own.

In: a name and settings. Out: reports, hits, answers, files.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pipeline.answer import USUAL_PASSAGES
from pipeline.config import DEFAULT_MODEL, Config, resolve_config
from pipeline.connect import Connection, connect
from pipeline.embed import Embedder
from pipeline.errors import CollectionNotFound, ModelNotFound, PullFailed
from pipeline.query import (
    BY_RULE,
    PLAN_SECONDS,
    RERANK_SECONDS,
    Found,
    Judge,
    Mode,
    Plan,
    PlanKind,
    Planner,
    Searcher,
    SearchOptions,
    Source,
    chat_judge,
    chat_planner,
    cross_encoder_judge,
    passages_where,
    rule_planner,
)
from pipeline.store import Layout, Snapshot, require_collection

AUTO = "auto"

if TYPE_CHECKING:
    from pipeline.answer import Prompt
    from pipeline.answer.summary import OnPart
    from pipeline.api import Client
    from pipeline.exchange import Columns, ExportReport, ImportReport
    from pipeline.ingest import IndexProgress, IndexReport
    from pipeline.types import Answer, Hit


def open_collection(
    name: str = "default",
    *,
    model: str | None = None,
    home: str | os.PathLike[str] | None = None,
    host: str | None = None,
    config: Config | None = None,
) -> Collection:
    """Opens collection `name`, which need not exist before the first `index`.

    Settings that are not given come from the environment, `pipeline.toml` and the defaults, as on the command line.
    """
    if config is None:
        flags = {"model": model, "home": home, "host": host}
        config = resolve_config(flags, environ=os.environ, folder=Path.cwd())
    return Collection(name, config)


class Collection:
    """Use it in a `with` block, or call `close`: it holds connections and, with the embedded server, models."""

    def __init__(
        self,
        name: str,
        config: Config,
        *,
        connector: Callable[[Config], Connection] = connect,
    ) -> None:
        self.name = name
        self.config = config
        self.layout = Layout.of(config.home, name)
        self._connector = connector
        self._connection: Connection | None = None
        self._embedder: Embedder | None = None
        self._snapshot: Snapshot | None = None
        self._searcher = Searcher()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
            self._embedder = None

    def over(self, connection: Connection, config: Config) -> Collection:
        """The same collection, with what it has opened and its embedder, whose chat model is asked by `connection`."""
        other = Collection(self.name, config, connector=lambda _: connection)
        other._snapshot, other._searcher = self._snapshot, self._searcher
        other._embedder = self._embedder_of(self.snapshot.manifest.model.name)
        return other

    @property
    def connection(self) -> Connection:
        """The server, connected to when it is first needed."""
        if self._connection is None:
            self._connection = self._connector(replace(self.config, model=self._model))
        return self._connection

    @property
    def snapshot(self) -> Snapshot:
        """The collection as it stands on disk now, opened again only where it has changed.

        Raises CollectionNotFound or CorruptCollection.
        """
        self._snapshot = require_collection(self.config.home, self.name, self._snapshot)
        return self._snapshot

    def index(
        self,
        *paths: str | os.PathLike[str],
        chunker: str | Sequence[str] = (),
        chunk_tokens: int | None = None,
        language: str | None = None,
        allow_empty: bool = False,
        strict: bool = False,
        progress: IndexProgress | None = None,
        report: IndexReport | None = None,
    ) -> IndexReport:
        """Brings the collection up to date with files and folders; see `pipeline.ingest.index_paths`.

        `chunker` says how a new collection is cut, as `pipeline.chunk.parse_chunker` reads it.
        """
        from pipeline.ingest import index_paths  # noqa: PLC0415 - heavy, and not needed to search

        return index_paths(
            self.layout,
            self.embedder,
            [Path(path) for path in paths],
            chunker=[chunker] if isinstance(chunker, str) else chunker,
            chunk_tokens=chunk_tokens,
            language=language,
            allow_empty=allow_empty,
            strict=strict,
            progress=progress,
            report=report,
        )

    def search(
        self,
        query: str = "",
        *,
        k: int = 10,
        mode: Mode = "hybrid",
        where: str | None = None,
        like: str | None = None,
        diversity: float = 0.0,
        per_document: int | None = None,
        collapse: bool = False,
        merge: bool = False,
        parent: str | None = None,
        plan: PlanKind | None = None,
        plan_seconds: float = PLAN_SECONDS,
        rerank: str | None = None,
        rerank_seconds: float = RERANK_SECONDS,
        explain: bool = False,
    ) -> list[Hit]:
        """The `k` passages that answer `query` best, or are like the passage at the place `like`, best first.

        Arguments are those of `pipeline.query.SearchOptions`. `find` also tells what could not be done as asked.
        """
        options = SearchOptions(
            k=k,
            mode=mode,
            where=where,
            diversity=diversity,
            per_document=per_document,
            collapse=collapse,
            merge=merge,
            parent=parent,
            plan=plan,
            plan_seconds=plan_seconds,
            rerank=rerank,
            rerank_seconds=rerank_seconds,
            explain=explain,
        )
        return self.find(query, options, like=like).hits

    def find(
        self, query: str, options: SearchOptions, *, like: str | None = None, planner: Planner | None = None
    ) -> Found:
        """As `search`, with notices; `planner` takes the place of the one that `options.plan` asks for."""
        return find_in([self], query, options, like=like, planner=planner)

    def ask(
        self,
        question: str,
        *,
        k: int = USUAL_PASSAGES,
        mode: Mode = "hybrid",
        where: str | None = None,
        plan: PlanKind | None = None,
        rerank: str | None = None,
        prompt: Prompt | None = None,
        judge: bool = False,
        think: bool = False,
        schema: Mapping[str, Any] | None = None,
        on_text: Callable[[str], None] | None = None,
    ) -> Answer:
        """An answer from the `k` best passages, with citations that resolve; found as `search` finds them.

        Where no chat model is named and none can be had, the answer is quoted from the passages, and its `notices`
        say so. `prompt`, `judge`, `think` and `on_text` are those of `pipeline.answer.answer_with_model`. With `schema`
        the answer is JSON after that schema, see `pipeline.answer.answer_structured`; only a chat model can write that.
        """
        from pipeline.answer import (  # noqa: PLC0415 - heavy, and not needed to search
            answer_extractively,
            answer_structured,
            answer_with_model,
        )

        found = self.find(question, SearchOptions(k=k, mode=mode, where=where, plan=plan, rerank=rerank))
        client = self._client()
        model = self._chat_model()
        if schema is not None:
            answer = answer_structured(client, model, question, found.hits, schema, embedder=self.embedder, think=think)
            return replace(answer, notices=(*found.told, *answer.notices))
        try:
            answer = answer_with_model(
                client,
                model,
                question,
                found.hits,
                on_text=on_text,
                embedder=self.embedder,
                prompt=prompt,
                judge=judge,
                think=think,
            )
        except (ModelNotFound, PullFailed):
            if self.config.chat_model is not None:
                raise
            answer = answer_extractively(self.embedder, question, found.hits)
        return replace(answer, notices=(*found.told, *answer.notices))

    def summarise(self, *, where: str | None = None, on_part: OnPart | None = None) -> Answer:
        """A summary of all passages of the documents that meet a condition; see `pipeline.answer.summarise`."""
        from pipeline.answer import MOST_PASSAGES, summarise  # noqa: PLC0415 - heavy, and not needed to search

        hits = passages_where(self.snapshot, where, most=MOST_PASSAGES)
        return summarise(self._client(), self._chat_model(), hits, embedder=self.embedder, on_part=on_part)

    @property
    def searcher(self) -> Searcher:
        return self._searcher

    def source(self) -> Source:
        """What is searched: the newest snapshot, and an embedder of the model that it has.

        Raises ModelMismatch where another model is asked for.
        """
        snapshot = self.snapshot
        if self.config.model is not None:
            snapshot.require_model(self.config.model)
        return Source(snapshot=snapshot, embedder=self._embedder_of(snapshot.manifest.model.name))

    def judge(self, name: str) -> Judge:
        """What reranks: the cross-encoder in the folder `name`, or the chat model `name`.

        `auto` is the folder `reranker` of the home, where there is one, and else the chat model that would answer.
        """
        folder = Path(name).expanduser() if name != AUTO else self.config.home / "reranker"
        if folder.is_dir():
            return cross_encoder_judge(folder)
        if name != AUTO:
            return chat_judge(self._client, name)
        return chat_judge(self._client, self._chat_model())

    def planner(self, kind: PlanKind, *, model: str | None = None) -> Planner:
        """What makes plans of a kind: a rule, or the chat model `model`, by default the one that would answer."""
        if kind == BY_RULE:
            return rule_planner

        def plan(question: str) -> Plan:
            return chat_planner(self._client(), self._chat_model(model), kind)(question)

        return plan

    def export(
        self, output: str | os.PathLike[str], *, format: str | None = None, overwrite: bool = False
    ) -> ExportReport:
        """Writes all passages with their vectors to a file; see `pipeline.exchange.export_collection`."""
        from pipeline.exchange import export_collection  # noqa: PLC0415 - heavy, and not needed to search

        return export_collection(self.snapshot, Path(output), format=format, overwrite=overwrite)

    def import_vectors(
        self, path: str | os.PathLike[str], *, format: str | None = None, columns: Columns | None = None
    ) -> ImportReport:
        """Takes passages with vectors of the same model from a file; see `pipeline.exchange.import_vectors`."""
        from pipeline.exchange import import_vectors  # noqa: PLC0415 - heavy, and not needed to search

        return import_vectors(self.layout, Path(path), model=self.config.model, format=format, columns=columns)

    @property
    def embedder(self) -> Embedder:
        """The collection's model on the server; makes no request before it is used."""
        return self._embedder_of(self._model)

    def _embedder_of(self, model: str) -> Embedder:
        """Kept from one call to the next, unless the collection has been moved to another model meanwhile."""
        prefixes = self._prefixes(model)
        if self._embedder is None or (self._embedder.model, self._embedder.prefixes) != (model, prefixes):
            self._embedder = Embedder(
                self._client,
                model,
                batch_size=self.config.batch_size,
                concurrency=self.config.concurrency,
                **prefixes,
            )
        return self._embedder

    def _prefixes(self, model: str) -> dict[str, str]:
        """Those asked for, else those that the collection records, if it has this model."""
        asked = {"query_prefix": self.config.query_prefix, "document_prefix": self.config.document_prefix}
        try:
            recorded = self.snapshot.manifest.model
        except CollectionNotFound:
            recorded = None
        if recorded is not None and recorded.name == model:
            asked = {name: getattr(recorded, name) if text is None else text for name, text in asked.items()}
        return {name: text for name, text in asked.items() if text is not None}

    def _client(self) -> Client:
        return self.connection.client

    def _chat_model(self, asked: str | None = None) -> str:
        """The chat model that answers, judges and plans: the one asked for, else the one that the server has."""
        from pipeline.answer import choose_chat_model  # noqa: PLC0415 - heavy, and not needed to search

        return choose_chat_model(self._client(), asked or self.config.chat_model)

    @property
    def _model(self) -> str:
        if self.config.model:
            return self.config.model
        try:
            return self.snapshot.manifest.model.name
        except CollectionNotFound:
            return DEFAULT_MODEL


def find_in(
    collections: Sequence[Collection],
    query: str,
    options: SearchOptions,
    *,
    like: str | None = None,
    judge: Judge | None = None,
    planner: Planner | None = None,
) -> Found:
    """Searches several collections together; see `pipeline.query.Searcher`. The first one's server reranks and plans.

    `judge` and `planner` do it in place of the models that `options` names.
    """
    first = collections[0]
    sources = [each.source() for each in collections]
    if judge is None and options.rerank:
        judge = first.judge(options.rerank)
    if planner is None and options.plan:
        planner = first.planner(options.plan)
    return first.searcher.find(sources, query, options, like=like, judge=judge, planner=planner)
