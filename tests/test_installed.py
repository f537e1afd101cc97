"""The command that adds an extra is right for a checkout, a folder, a link and an index of packages."""

import json
from pathlib import Path

import pytest

from pipeline.installed import command_for, install_command


@pytest.mark.parametrize(
    ("said", "command"),
    [
        (None, "pip install 'pipeline[documents]'"),
        ({"url": "file:///src/it%20self", "dir_info": {"editable": True}}, "pip install -e '/src/it self[documents]'"),
        ({"url": "file:///src/it", "dir_info": {}}, "pip install '/src/it[documents]'"),
        (
            {"url": "https://host/pipeline.whl", "archive_info": {}},
            "pip install 'pipeline[documents] @ https://host/pipeline.whl'",
        ),
    ],
    ids=["index", "checkout", "folder", "link"],
)
def test_command_names_where_the_package_came_from(said: dict[str, object] | None, command: str) -> None:
    """As `direct_url.json` (PEP 610) has it; without that file the package came from an index."""
    assert command_for(json.dumps(said) if said else "", "documents") == command


def test_checkout_in_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who stands in the checkout is told the short form."""
    monkeypatch.chdir(tmp_path)
    said = {"url": tmp_path.as_uri(), "dir_info": {"editable": True}}
    assert command_for(json.dumps(said), "code") == "pip install -e '.[code]'"


def test_this_installation_is_known() -> None:
    """The package under test says how its own extras are added."""
    assert install_command("code").endswith("[code]'")
