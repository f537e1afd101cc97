"""Who a model is on a server: what a collection records, and compares before it mixes vectors.

In: a client and a model name. Out: a `ModelIdentity` from `/api/tags` (digest), `/api/show` (dimension, context)
and the table of known models (prefixes, dimension as a cross-check).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from pipeline.embed.known import known_model, split_tag
from pipeline.errors import BadReply, DimensionMismatch, ModelNotFound, NotSupported, StatusError

if TYPE_CHECKING:
    from pipeline.api import Client, ShowReply
    from pipeline.chunk import Tokenizer

SPECIAL_TOKENS = 2
"""Tokens that the server adds to a text and counts against the context: [CLS] and [SEP], or BOS and EOS."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelIdentity:
    """`digest` is the server's, empty where it gives none; `context` in tokens, special tokens included."""

    name: str
    digest: str
    dimension: int
    context: int
    query_prefix: str
    document_prefix: str


def learn_identity(client: Client, model: str) -> ModelIdentity:
    """Asks the server who `model` is.

    Raises:
        ModelNotFound: the server does not have it.
        NotSupported: the model does not make embeddings.
        DimensionMismatch: the server's model has another dimension than the model known by that name.
        BadReply: the server does not say the dimension.
    """
    show = client.show(model)
    if show.capabilities and "embedding" not in show.capabilities:
        _require_embeddings(client, model)
    digest = _digest(client, model)
    known = known_model(model)
    expected = known.dimension(split_tag(model)[1]) if known else None
    actual = _number(show, "embedding_length") or expected
    if actual is None:
        raise BadReply(
            f"/api/show does not say the dimension of model {model!r}",
            hint="use an embedding model, such as all-minilm or nomic-embed-text",
        )
    if expected is not None and actual != expected:
        raise DimensionMismatch(
            model=model,
            expected=expected,
            actual=actual,
            where="/api/show",
            hint=f"another model was stored under this name: pull it again, or give it a name that is not {model!r}",
        )
    limits = [_number(show, "context_length"), _parameter(show, "num_ctx"), known.context if known else None]
    return ModelIdentity(
        name=model,
        digest=digest,
        dimension=actual,
        context=min((limit for limit in limits if limit), default=512),
        query_prefix=known.query_prefix if known else "",
        document_prefix=known.document_prefix if known else "",
    )


def _require_embeddings(client: Client, model: str) -> None:
    """Tries a model that does not claim to embed: some servers let a chat model do so."""
    try:
        client.embed(model, ["test"])
    except StatusError as error:
        raise NotSupported(
            f"model {model!r} does not make embeddings",
            status=error.status,
            server_text=error.server_text,
            request=error.request,
            hint="name an embedding model with --model, such as all-minilm or nomic-embed-text",
        ) from error


def tokenizer_of(client: Client, model: str) -> Tokenizer | None:
    """The tokenizer that `/api/show` with `verbose` hands out; None where its tokens are missing."""
    from pipeline.chunk import Tokenizer  # noqa: PLC0415 - heavy, and only needed to cut documents

    info = client.show(model, verbose=True).model_info
    kind, tokens = info.get("tokenizer.ggml.model"), _texts(info.get("tokenizer.ggml.tokens"))
    if not isinstance(kind, str) or not tokens:
        return None
    split = info.get("tokenizer.ggml.pre")
    return Tokenizer(
        kind=kind,
        tokens=tokens,
        merges=_texts(info.get("tokenizer.ggml.merges")),
        split=split if isinstance(split, str) else "",
    )


def _texts(found: object) -> list[str]:
    """A list of texts; empty for anything else."""
    if not isinstance(found, list) or not all(isinstance(each, str) for each in cast("list[object]", found)):
        return []
    return cast("list[str]", found)


def _digest(client: Client, model: str) -> str:
    wanted = ":".join(split_tag(model)).lower()
    for entry in client.tags():
        if ":".join(split_tag(entry.name)).lower() == wanted:
            return entry.digest
    raise ModelNotFound(
        f"model {model!r} is not on the server",
        status=404,
        server_text=f"model '{model}' not found",
        request="GET /api/tags",
        hint=f"pipeline models pull {model}",
    )


def _number(show: ShowReply, suffix: str) -> int | None:
    for key, value in show.model_info.items():
        if key.endswith(f".{suffix}") and isinstance(value, int):
            return value
    return None


def _parameter(show: ShowReply, name: str) -> int | None:
    for line in show.parameters.splitlines():
        key, _, value = line.strip().partition(" ")
        if key == name and value.strip().isdigit():
            return int(value)
    return None
