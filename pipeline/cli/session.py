"""Opens a collection for a command: says which server answers and shows pulls."""

from __future__ import annotations

from pipeline.cli.progress import PullBars
from pipeline.cli.reporting import notice
from pipeline.collection import Collection
from pipeline.config import Config
from pipeline.connect import Connection, connect


def open_for_command(name: str, config: Config) -> Collection:
    """The collection, with one line on stderr if the embedded server is what answers."""
    return Collection(name, config, connector=announce)


def announce(config: Config) -> Connection:
    """Connects, shows pulls, and says so where the embedded server answers though none was asked for."""
    connection = connect(config, on_pull=PullBars())
    if connection.embedded and config.host is None and not config.model_files:
        notice("no Ollama answers on 127.0.0.1:11434: using the embedded server")
    return connection
