"""Which server answers: the one that was asked for, an Ollama on the default address, or the embedded one.

In: a Config. Out: a `Connection` with a client. With `OLLAMA_HOST` set, that server is used and nothing else.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from pipeline.api import DEFAULT_ADDRESS, Client, OnPull, RetryPolicy
from pipeline.config import EMBEDDED_HOST, Config
from pipeline.errors import ApiError, EngineError, UsageError
from pipeline.installed import install_command

if TYPE_CHECKING:
    import httpx

    from pipeline.server import App

PROBE_SECONDS = 0.5
EMBEDDED_ADDRESS = "http://embedded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """`embedded` is true where no other server answers; `close` ends the client and unloads embedded models.

    `another` makes a second client on the same server: closing it, from any thread, ends what was asked through it.
    """

    client: Client
    embedded: bool
    close: Callable[[], None]
    another: Callable[[], Client]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def connect(config: Config, *, on_pull: OnPull | None = None) -> Connection:
    """Opens the connection that `config` asks for. Makes at most one short request.

    Models that the server lacks are pulled where `config` allows that; `on_pull` gets the name and each event.

    Raises EngineError, with the ways out in its hint, when no server answers and the embedded one is not installed,
    UsageError for a model file that is not there or that a server elsewhere cannot use.
    """
    if config.host is not None and config.host != EMBEDDED_HOST:
        _refuse_model_files(config)
        return _elsewhere(config, config.host, on_pull)
    if config.host is None and not config.model_files and default_server_answers():
        return _elsewhere(config, DEFAULT_ADDRESS, on_pull)
    return _connect_embedded(config, on_pull)


def default_server_answers() -> bool:
    """Whether an Ollama answers on the default address."""
    with Client(DEFAULT_ADDRESS, timeout=PROBE_SECONDS, retry=RetryPolicy.none()) as client:
        try:
            client.version()
        except ApiError:
            return False
    return True


def embedded_app(config: Config, *, open_files: bool = False) -> App:
    """The embedded server over the configured model store; models are loaded when they are first used.

    With `open_files`, paths of GGUF files are names of models: only for a server that nobody else can reach.
    """
    from pipeline.server import App, ModelStore, ServerSettings  # noqa: PLC0415 - heavy

    return App(ModelStore(config.models_folder, open_files=open_files), ServerSettings.from_environment(os.environ))


def _elsewhere(config: Config, host: str, on_pull: OnPull | None) -> Connection:
    def another() -> Client:
        return _client(config, host, on_pull)

    client = another()
    return Connection(client=client, embedded=False, close=client.close, another=another)


def _client(
    config: Config, host: str, on_pull: OnPull | None, *, transport: httpx.BaseTransport | None = None
) -> Client:
    return Client(
        host,
        timeout=config.timeout,
        retry=RetryPolicy(pull_missing=config.pull),
        per_host=config.concurrency,
        on_pull=on_pull,
        transport=transport,
    )


def _refuse_model_files(config: Config) -> None:
    for path in config.model_files:
        raise UsageError(
            f"the server at {config.host} cannot use the file {path}",
            hint="use --host embedded, or create a model from the file on that server and give its name",
        )


def _connect_embedded(config: Config, on_pull: OnPull | None) -> Connection:
    if importlib.util.find_spec("xllamacpp") is None:
        asked = config.host == EMBEDDED_HOST
        raise EngineError(
            "the embedded server is not installed" + ("" if asked else f", and no Ollama answers on {DEFAULT_ADDRESS}"),
            hint=f"{install_command('embedded')}, or start Ollama, or set OLLAMA_HOST",
        )
    for path in config.model_files:
        if not Path(path).is_file():
            raise UsageError(f"there is no model file {path}", hint="put it back, or name another model")
    from pipeline.server import InProcessTransport  # noqa: PLC0415 - heavy

    app = embedded_app(config, open_files=True)

    def another() -> Client:
        return _client(config, EMBEDDED_ADDRESS, on_pull, transport=InProcessTransport(app))

    client = another()

    def close() -> None:
        client.close()
        app.close()

    return Connection(client=client, embedded=True, close=close, another=another)
