"""Which server answers: the one that was asked for, an Ollama on the default address, or the embedded one.

In: a Config. Out: a `Connection` with a client. With `OLLAMA_HOST` set, that server is used and nothing else.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from pipeline.api import Client
from pipeline.api.address import DEFAULT_ADDRESS
from pipeline.config import EMBEDDED_HOST, Config
from pipeline.errors import ApiError

if TYPE_CHECKING:
    pass

logger = logging.getLogger(__name__)

PROBE_SECONDS = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """`embedded` is true where no other server answers; `close` ends the client and unloads embedded models."""

    client: Client
    embedded: bool
    close: Callable[[], None]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def connect(config: Config) -> Connection:
    """Opens the connection that `config` asks for. Makes at most one short request.

    Raises MissingExtra, with both ways out in its hint, when no server answers and the embedded one is not installed.
    """
    if config.host is not None and config.host != EMBEDDED_HOST:
        client = Client(config.host, timeout=config.timeout)
        return Connection(client=client, embedded=False, close=client.close)
    if config.host is None and default_server_answers():
        client = Client(DEFAULT_ADDRESS, timeout=config.timeout)
        return Connection(client=client, embedded=False, close=client.close)
    return _connect_embedded(config)


def default_server_answers() -> bool:
    """Whether an Ollama answers on the default address."""
    with Client(DEFAULT_ADDRESS, timeout=PROBE_SECONDS, retry=RetryPolicy.none()) as client:
        try:
            client.version()
        except ApiError:
            return False
    return True


def _connect_embedded(config: Config) -> Connection: ...
