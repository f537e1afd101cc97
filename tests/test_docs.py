"""The documentation says what is there: commands, options, settings, summaries."""

from pathlib import Path

import click
import pytest

from pipeline.cli.main import COMMANDS, SUMMARIES, command_line
from pipeline.config import ENVIRONMENT

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", COMMANDS)
def test_command_is_in_the_readme_and_helps(name: str) -> None:
    """Every command has its summary, help for each option, and a mention in the README."""
    context = click.Context(command_line)
    command = command_line.get_command(context, name)
    assert command is not None
    assert command.short_help == SUMMARIES[name]
    assert f"`pipeline {name}" in README
    commands = list(command.commands.values()) if isinstance(command, click.Group) else [command]
    for each in commands:
        assert each.help, f"{name} {each.name} has no help"
        for parameter in each.params:
            if isinstance(parameter, click.Option):
                assert parameter.help, f"{name} {each.name} {parameter.opts} has no help"


@pytest.mark.parametrize("variable", ENVIRONMENT.values())
def test_variable_is_in_the_readme(variable: str) -> None:
    """Every environment variable that is read is documented."""
    assert f"`{variable}`" in README


def test_readme_names_scripts_that_exist() -> None:
    """The README's commands are files of the checkout that can be run."""
    for script in ("scripts/quickstart", "scripts/test", "scripts/test-slow", "scripts/check"):
        assert script in README
        assert (ROOT / script).stat().st_mode & 0o111
