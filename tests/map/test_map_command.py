"""`pipeline collections map`, as a user runs it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib import image

from pipeline.cli.main import command_line
from pipeline.cli.reporting import run
from pipeline.collection import Collection
from pipeline.map import CollectionMap, map_json
from tests.clustered import Add, around

Map = Callable[..., tuple[int, str, str]]


@pytest.fixture
def draw(
    corpus: Collection, models_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Map:
    """Runs the command on the home of `corpus`; gives status, stdout, stderr."""

    def draw(*arguments: str | Path, home: Path = corpus.config.home) -> tuple[int, str, str]:
        monkeypatch.setenv("OLLAMA_MODELS", str(models_folder))
        given = ["collections", "map", *map(str, arguments), "--home", str(home), "--host", "embedded"]
        status = run(command_line, given)
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return draw


def test_page_with_a_query(draw: Map, tmp_path: Path) -> None:
    """The page is written and what was drawn is said; the query is placed, its hits are points."""
    output = tmp_path / "map.html"
    status, out, _ = draw("corpus", "-o", output, "--query", "how long does dough rest?", "-k", "5", "--json")
    found: dict[str, Any] = json.loads(out)
    assert status == 0
    assert (found["method"], found["output"], found["placed"]) == ("t-SNE", str(output), 0)
    assert found["shown"] == found["passages"] > 100
    hits = found["query"]["hits"]
    assert len(hits) == 5 and all(each["point"] is not None for each in hits)
    assert "sourdough" in hits[0]["path"]
    assert output.read_text().startswith("<!doctype html>")


@pytest.mark.parametrize("color", ["cluster", "document", "folder"])
def test_picture(draw: Map, drawn: CollectionMap, tmp_path: Path, color: str) -> None:
    """The picture has the colours of all groups that have one."""
    output = tmp_path / "map.png"
    status, out, _ = draw("corpus", "--output", output, "--color", color)
    assert status == 0 and "t-SNE" in out and "map.png" in out
    whole = np.rint(255 * image.imread(output)[:, :, :3]).astype(np.int64)
    pixels = set(np.unique(whole @ [65536, 256, 1]).tolist())
    data = map_json(drawn)
    groups = data[{"cluster": "topics", "document": "documents", "folder": "folders"}[color]]
    for group in groups:
        wanted = data["palette"]["light"][group["color"]]
        assert int(wanted[1:], 16) in pixels


def test_sample_is_said(draw: Map, tmp_path: Path) -> None:
    """With a sample, the line says how many of how many."""
    status, out, _ = draw("corpus", "-o", tmp_path / "map.html", "--sample", "50")
    assert status == 0 and "50 of " in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["corpus", "-o", "map.doc"], "its suffix names no picture"),
        (["corpus", "-o", "map"], "its suffix names no picture"),
        (["corpus", "-o", "nowhere/map.html"], "a folder that does not exist"),
        (["corpus"], "Missing option"),
        (["corpus", "-o", "map.html", "--query", " "], "the query is empty"),
        (["corpus", "-o", "map.html", "--sample", "1"], "--sample"),
        (["corpus", "-o", "map.html", "--color", "red"], "--color"),
    ],
    ids=["suffix", "no suffix", "folder", "no output", "empty query", "sample", "color"],
)
def test_mistakes(
    draw: Map, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    """What cannot be done is said with a hint, and ends with status 2; nothing is written."""
    monkeypatch.chdir(tmp_path)
    status, _, err = draw(*arguments)
    assert status == 2
    assert message in err and "hint:" in err
    assert not list(tmp_path.glob("map*"))


def test_folder_in_the_way(draw: Map, tmp_path: Path) -> None:
    """A folder is nothing to write to."""
    (tmp_path / "map.html").mkdir()
    status, _, err = draw("corpus", "-o", tmp_path / "map.html")
    assert status == 2 and "is a folder" in err


def test_collections_without_passages(draw: Map, add: Add, tmp_path: Path) -> None:
    """One that is empty, and one that is not there."""
    snapshot = add([("/a.md", [], around(0, 0, seed=1))])
    home = snapshot.layout.root.parent.parent
    status, out, _ = draw("made", "-o", tmp_path / "map.html", "--json", home=home)
    assert status == 2 and "no passages" in json.loads(out)["error"]["message"]
    status, _, err = draw("missing", "-o", tmp_path / "map.html")
    assert status == 1 and "no collection 'missing'" in err
