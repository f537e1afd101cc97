"""`pipeline ask` and `summarise` in this process, against scripted servers: what is printed where, exit statuses."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.cli.main import command_line
from pipeline.cli.reporting import run
from pipeline.collection import Collection
from pipeline.config import Config
from tests.api.scripted_server import Answer, Script, as_json, lines, scripted_server
from tests.embed_server import Behaviour, embed_server

TEXT = "Signing keys are rotated every 90 days."
QUESTION = "How often are signing keys rotated?"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with the collection `notes`; its one passage can be found by its words without a server."""
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "keys.md").write_text(f"# Keys\n\n{TEXT}\n")
    with embed_server(Behaviour()) as url:
        config = Config(home=tmp_path / "home", model="all-minilm", host=url)
        with Collection("notes", config) as notes:
            notes.index(docs)
    return tmp_path / "home"


@pytest.fixture
def script() -> Iterator[Script]:
    with scripted_server() as script:
        yield script


def reply(text: str, *, cut: bool = False) -> Answer:
    said = lines({"message": {"content": text}, "done": False})
    end = () if cut else (lines({"message": {"content": ""}, "done": True}),)
    return Answer(pieces=(said, *end), cut=cut)


def ask(script: Script, home: Path, *arguments: str, text: str = "", cut: bool = False) -> int:
    script.answers = [as_json({"model_info": {"llama.context_length": 4096}}), reply(text, cut=cut)]
    fixed = ["-c", "notes", "--home", str(home), "--host", script.url, "--chat-model", "m"]
    searched = ["--mode", "lexical"] if arguments[0] == "ask" else []
    return run(command_line, [*arguments, *fixed, *searched])


def test_sentence_that_nothing_supports_is_marked(
    script: Script, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the text itself, and with its state in --json."""
    text = f"{TEXT} They are kept in a golden box."
    assert ask(script, home, "ask", QUESTION, text=text) == 0
    shown = capsys.readouterr()
    assert f"{TEXT[:-1]} [1]. They are kept in a golden box. (not supported)" in shown.out
    assert "no passage supports 1 of 2 sentences" in shown.err
    assert ask(script, home, "ask", QUESTION, "--json", text=text) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert [sentence["support"] for sentence in found["sentences"]] == ["supported", "unsupported"]
    assert found["sentences"][0]["quote"] == TEXT
    assert (found["stopped"], found["draft"], found["value"]) == ("", "", None)


def test_answer_that_breaks_off_is_shown_and_ends_with_1(
    script: Script, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What was said so far, and why there is no more."""
    assert ask(script, home, "ask", QUESTION, text=TEXT, cut=True) == 1
    shown = capsys.readouterr()
    assert f"{TEXT[:-1]} [1]." in shown.out
    assert "the answer breaks off" in shown.err


def test_answer_that_nothing_supports_is_told_apart(
    script: Script, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is no answer; the nearest passages are shown, and on stderr what the model wrote."""
    assert ask(script, home, "ask", QUESTION, text="They are kept in a golden box.") == 1
    shown = capsys.readouterr()
    assert "golden" not in shown.out
    assert "The nearest passages:" in shown.out
    assert "what m wrote: They are kept in a golden box." in shown.err


def test_json_after_a_schema_is_alone_on_stdout(
    script: Script, home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another program can read it; the sources are on stderr."""
    schema = tmp_path / "schema.json"
    schema.write_text(json.dumps({"type": "object", "properties": {"days": {"type": "integer"}}}))
    assert ask(script, home, "ask", QUESTION, "--schema", str(schema), text='{"days": 90}') == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out) == {"days": 90}
    assert "keys.md" in shown.err


def test_table_as_csv(script: Script, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The names of the columns first; quotes where CSV wants them."""
    table = {"columns": ["key", "days"], "rows": [["Signing keys, rotated", "90"]]}
    assert ask(script, home, "ask", QUESTION, "--csv", text=json.dumps(table)) == 0
    assert capsys.readouterr().out == 'key,days\n"Signing keys, rotated",90\n'


@pytest.mark.parametrize(
    ("arguments", "schema", "message"),
    [
        (["ask", "  "], "", "the question is empty"),
        (["ask", QUESTION, "--schema", "FILE", "--csv"], "{}", "--csv has a schema of its own"),
        (["ask", QUESTION, "--schema", "FILE"], "{", "is not JSON"),
        (["ask", QUESTION, "--schema", "FILE"], '{"type": "thing"}', "no JSON schema"),
        (["summarise", "--where", "path ~"], "", "path ~"),
    ],
)
def test_mistakes_end_with_2(
    script: Script,
    home: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    schema: str,
    message: str,
) -> None:
    """And with a hint, before any model is asked."""
    file = tmp_path / "schema.json"
    file.write_text(schema)
    status = ask(script, home, *(str(file) if each == "FILE" else each for each in arguments))
    assert (status, message in capsys.readouterr().err) == (2, True)
    assert not [asked for asked in script.asked if asked.path == "/api/chat"]


def test_summary_is_printed_with_its_sources(script: Script, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As an answer is."""
    assert ask(script, home, "summarise", text=f"{TEXT} [1]") == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"{TEXT} [1]\n")
    assert "keys.md:3" in shown


def test_streamed_answer_is_printed_once(
    script: Script, home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a terminal what has been shown is not repeated, unless it was changed."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert ask(script, home, "ask", QUESTION, text=f"{TEXT[:-1]} [1].") == 0
    assert capsys.readouterr().out.count(f"{TEXT[:-1]} [1].") == 1
