"""Opens a collection for a command: says which server answers and shows pulls."""

from __future__ import annotations

from pipeline.api import DEFAULT_ADDRESS
from pipeline.cli.progress import PullBars
from pipeline.cli.reporting import notice, notice_if_it_fails
from pipeline.collection import Collection
from pipeline.config import Config
from pipeline.connect import Connection, connect


def open_for_command(name: str, config: Config) -> Collection:
    """The collection; it is connected to a server when that is first needed."""
    return Collection(name, config, connector=announce)


def announce(config: Config) -> Connection:
    """Connects and shows pulls.

    Where the embedded server answers though none was asked for, that is said at its first use, which fetches models,
    and beside any error later on: when all goes well it makes no difference who answered.
    """
    first_use = not (config.models_folder / "manifests").is_dir()
    connection = connect(config, on_pull=PullBars())
    if connection.embedded and config.host is None and not config.model_files:
        say = notice if first_use else notice_if_it_fails
        say(f"no Ollama answers on {DEFAULT_ADDRESS.removeprefix('http://')}: using the embedded server")
    return connection
