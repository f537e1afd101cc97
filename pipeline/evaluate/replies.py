"""Chat replies kept on disk: an evaluation that is run again asks a model only what it was not asked before.

In: a client, a folder. Out: the same replies, from the server or from the folder, at the times at which they came.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack, cast

from pipeline.answer import choose_chat_model
from pipeline.collection import Collection
from pipeline.errors import BadReply
from pipeline.evaluate.cache import FOLDER
from pipeline.query import BY_RULE, PlanKind, Planner, chat_planner
from pipeline.store.files import make_folder, write_atomic

if TYPE_CHECKING:
    from pipeline.api import ChatReply, Client
    from pipeline.api.fields import ChatFields, MessageLike

FORMAT = 1


def kept_replies(collection: Collection, model: str) -> KeptReplies:
    """The collection's client for one chat model, whose replies are kept below `<home>/evaluation`.

    Raises ApiError where the model cannot be had.
    """
    client = collection.connection.client
    client.show(model)  # which has a missing one pulled
    folder = collection.config.home / FOLDER / "replies"
    return KeptReplies(client, folder, digest=_digest(client, model))


def kept_planner(collection: Collection, kind: PlanKind) -> Planner:
    """The planner of a collection, whose model is asked once for every question."""
    if kind == BY_RULE:
        return collection.planner(kind)
    model = choose_chat_model(collection.connection.client, collection.config.chat_model)
    return chat_planner(cast("Client", kept_replies(collection, model)), model, kind)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Timed:
    """A reply, or a piece of one, and the seconds after which it came."""

    seconds: float
    reply: ChatReply


class KeptReplies:
    """Stands in for a client of one chat model, whose replies it keeps; all else goes to the client as it is.

    A reply is found again by the model's name and digest and by the whole request: messages, and with them question,
    passages and instructions, options and format. So a change to any of them is a new question to the model, and one to
    what is done with a reply costs nothing. Only whole replies are kept.

    `seconds` is a clock that goes on, when a kept reply is given, by what the reply took when it was new. Before the
    first new reply the model is loaded, and the clock stands still meanwhile.
    """

    def __init__(self, client: Client, folder: Path, *, digest: str) -> None:
        self._client = client
        self._folder = folder
        self.digest = digest
        self._moved = 0.0
        self._loaded = False
        self.asked = 0
        """Replies that the server was asked for."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def seconds(self) -> float:
        """Seconds on a clock that also counts what kept replies took; only differences mean something."""
        return time.perf_counter() + self._moved

    def chat(self, model: str, messages: Sequence[MessageLike], **fields: Unpack[ChatFields]) -> ChatReply:
        """As `Client.chat`."""
        path = self._path("chat", model, messages, fields)
        kept = self._read(path)
        if kept is None:
            self._load(model, fields)
            started = time.perf_counter()
            reply = self._client.chat(model, messages, **fields)
            kept = [_Timed(seconds=time.perf_counter() - started, reply=reply)]
            self._write(path, kept)
        else:
            self._moved += kept[-1].seconds
        return kept[-1].reply

    def chat_stream(
        self, model: str, messages: Sequence[MessageLike], **fields: Unpack[ChatFields]
    ) -> Generator[ChatReply]:
        """As `Client.chat_stream`."""
        path = self._path("chat_stream", model, messages, fields)
        kept = self._read(path)
        if kept is not None:
            before = 0.0
            for each in kept:
                self._moved += each.seconds - before
                before = each.seconds
                yield each.reply
            return
        self._load(model, fields)
        started = time.perf_counter()
        pieces: list[_Timed] = []
        with closing(self._client.chat_stream(model, messages, **fields)) as stream:
            for reply in stream:
                pieces.append(_Timed(seconds=time.perf_counter() - started, reply=reply))
                yield reply
        self._write(path, pieces)

    def _load(self, model: str, fields: Mapping[str, Any]) -> None:
        """Has the server load the model, with the context that is to be asked for."""
        self.asked += 1
        if not self._loaded:
            started = time.perf_counter()
            context = (fields.get("options") or {}).get("num_ctx")
            self._client.generate(model, options={"num_ctx": context} if context else None)
            self._moved -= time.perf_counter() - started
            self._loaded = True

    def _path(self, kind: str, model: str, messages: Sequence[MessageLike], fields: ChatFields) -> Path:
        from pipeline.api.fields import chat_body  # noqa: PLC0415 - heavy

        asked = [FORMAT, kind, self.digest, chat_body(model, messages, fields)]
        key = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()
        return self._folder / key[:2] / f"{key}.json"

    def _read(self, path: Path) -> list[_Timed] | None:
        """What is kept; None for nothing, and for a file that cannot be understood, which is then written anew."""
        from pipeline.api import ChatReply  # noqa: PLC0415 - heavy
        from pipeline.api.records import record  # noqa: PLC0415 - heavy

        try:
            pieces = json.loads(path.read_bytes())["pieces"]
            return [_Timed(seconds=float(seconds), reply=record(ChatReply, reply)) for seconds, reply in pieces] or None
        except (OSError, ValueError, KeyError, TypeError, BadReply):
            return None

    def _write(self, path: Path, pieces: Sequence[_Timed]) -> None:
        from pipeline.api.records import as_json  # noqa: PLC0415 - heavy

        content = {"pieces": [[round(each.seconds, 6), as_json(each.reply, empty=False)] for each in pieces]}
        make_folder(path.parent)
        write_atomic(path, json.dumps(content, ensure_ascii=False).encode())


def _digest(client: Client, model: str) -> str:
    """The digest of a model as the server lists it; empty where it does not list it, as a file that was named."""
    wanted = _with_tag(model)
    return next((entry.digest for entry in client.tags() if _with_tag(entry.name) == wanted), "")


def _with_tag(name: str) -> str:
    return (name if ":" in name.rsplit("/", 1)[-1] else f"{name}:latest").lower()
