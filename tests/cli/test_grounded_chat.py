"""`pipeline chat -c`: as a user runs it, from a pipe and on a terminal, over real search and real or scripted replies."""

import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.collection import Collection
from pipeline.config import Config
from tests.cli.test_model_commands import Terminal
from tests.conftest import CHAT_MODEL
from tests.forwarding_server import Forwarding, Said, forwarding_server

KEYS = "Signing keys are rotated every ninety days by the engineer on call. The old key stays valid for one week."
NINETY = Said(pieces=("Signing keys are rotated", " every ninety days [1]."))
REWRITTEN = Said(pieces=('{"question": "Who rotates the signing keys?"}',))
ENGINEER = Said(pieces=("The engineer on call rotates signing keys [1].",))


@pytest.fixture(scope="module")
def server(models_folder: Path) -> Iterator[Forwarding]:
    with forwarding_server(models_folder) as server:
        yield server


@pytest.fixture(scope="module")
def home(server: Forwarding, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with collection `notes` of one document."""
    folder = tmp_path_factory.mktemp("grounded")
    (folder / "docs").mkdir()
    (folder / "docs" / "keys.md").write_text(KEYS)
    with Collection("notes", Config(home=folder / "home", host=server.url)) as collection:
        collection.index(folder / "docs")
    return folder / "home"


def environment(home: Path, server: Forwarding) -> dict[str, str]:
    return {**os.environ, "PIPELINE_HOME": str(home), "OLLAMA_HOST": server.url, "TERM": "dumb"}


@pytest.fixture
def run(home: Path, server: Forwarding) -> Any:
    """`run(stdin, *arguments)`: a conversation from a pipe."""
    server.chats.clear()
    server.asked.clear()

    def run(stdin: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "pipeline", "chat", *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            env=environment(home, server),
            cwd=home.parent,
        )

    return run


NOTES = ("-c", "notes", "--chat-model", CHAT_MODEL)


def test_turns_with_sources_from_a_pipe(run: Any, server: Forwarding) -> None:
    """Answers and their sources on stdout, the question as it was searched for on stderr; empty lines are nothing."""
    server.chats += [NINETY, REWRITTEN, ENGINEER]
    done = run("How often are signing keys rotated?\n\n   \nAnd who does it?\n/sources\n", *NOTES)
    assert done.returncode == 0, done.stderr
    assert "→ Who rotates the signing keys?" in done.stderr
    assert "[1] docs/keys.md:1" in done.stdout
    first, second = (done.stdout.index(text) for text in ("every ninety days [1].", "The engineer on call rotates"))
    assert first < second
    assert done.stdout.count(KEYS) == 1  # /sources shows the passage whole
    assert len(server.asked) == 3


def test_json_is_an_object_a_line(run: Any, server: Forwarding) -> None:
    """A line a turn, with the question as it was asked and as it was searched for; commands with results give one too."""
    server.chats += [NINETY, REWRITTEN, ENGINEER]
    stdin = "How often are signing keys rotated?\nAnd who does it?\n/show\n/sources\n"
    done = run(stdin, *NOTES, "--json", "-k", "1")
    assert done.returncode == 0, done.stderr
    first, second, shown, sources = (json.loads(line) for line in done.stdout.splitlines())
    assert first["answer"] == "Signing keys are rotated every ninety days [1]."
    assert Path(first["citations"][0]["path"]).name == "keys.md"
    assert (second["question"], second["standalone"]) == ("And who does it?", "Who rotates the signing keys?")
    assert (second["answered"], second["stopped"]) == (True, False)
    assert shown == {"collection": "notes", "model": CHAT_MODEL, "turns": 2, "k": 1, "mode": "hybrid"}
    assert [hit["text"] for hit in sources["hits"]] == [KEYS]


def test_saved_and_taken_up_again(run: Any, server: Forwarding, home: Path) -> None:
    """After /save every turn is kept; --load goes on over the same collection and knows what was said."""
    server.chats += [NINETY, NINETY, REWRITTEN, ENGINEER]
    assert run("/save talk\nHow often are signing keys rotated?\n/retry\n", *NOTES).returncode == 0
    kept = json.loads((home / "conversations" / "talk.json").read_text())
    assert [turn["question"] for turn in kept["grounding"]["turns"]] == ["How often are signing keys rotated?"]
    done = run("And who does it?\n", "--load", "talk", "--json")
    assert json.loads(done.stdout)["standalone"] == "Who rotates the signing keys?"
    kept = json.loads((home / "conversations" / "talk.json").read_text())
    assert len(kept["grounding"]["turns"]) == 2
    assert kept["messages"][2] == {"role": "user", "content": "And who does it?"}
    plain = run("/load talk\n", "--chat-model", CHAT_MODEL)
    assert plain.returncode == 2
    assert "is over a collection" in plain.stderr


def test_edit_and_where(run: Any, server: Forwarding) -> None:
    """/edit asks the last question changed; /where narrows, and without a condition takes that back."""
    server.chats += [NINETY, NINETY, Said(pieces=("I don't know.",)), NINETY]
    questions = "How often are the keys rotated?\n/edit How often are signing keys rotated?\n"
    stdin = f"{questions}/where name = 'other.md'\nHow long is the old key valid?\n/where\nHow long is the key valid?\n/show\n"
    done = run(stdin, *NOTES, "--json")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [len(line["hits"]) for line in lines[:-1]] == [1, 1, 0, 1]
    assert lines[1]["question"] == "How often are signing keys rotated?"
    assert lines[-1]["turns"] == 3
    assert "where" not in lines[-1]


def test_a_server_that_dies_leaves_what_was_said(run: Any, server: Forwarding, home: Path) -> None:
    """What had come is shown and kept."""
    server.chats += [NINETY, Said(pieces=("The old key ", "stays"), cut=True)]
    done = run("/save cut\nHow often are signing keys rotated?\nHow long is the old key valid?\n", *NOTES)
    assert "The old key stays" in done.stdout
    assert "Traceback" not in done.stderr
    kept = json.loads((home / "conversations" / "cut.json").read_text())
    assert len(kept["grounding"]["turns"]) == 2
    assert "The old key stays" in kept["messages"][3]["content"]


@pytest.mark.parametrize(
    ("stdin", "arguments", "status", "complaint"),
    [
        ("", ("-c", "nowhere"), 1, "nowhere"),
        ("", (*NOTES[:2], "--chat-model", "no-such-model", "--no-pull"), 1, "no-such-model"),
        ("", (*NOTES[:2], "--chat-model", "all-minilm"), 2, "cannot chat"),
        ("", (*NOTES, "--where", "name ="), 2, "name ="),
        ("", (*NOTES, "--system", "x"), 2, "--system is not for a collection"),
        ("", ("--where", "name = a"), 2, "need a collection"),
        ("", (*NOTES, "--load", "nowhere"), 2, "cannot read"),
        ("/dance\n", NOTES, 2, "there is no command /dance"),
        ("/retry\n", NOTES, 2, "nothing was asked yet"),
        ("/edit\n", NOTES, 2, "nothing was asked yet"),
        ("/sources\n", NOTES, 2, "there is no answer yet"),
        ("/model all-minilm\n", NOTES, 2, "cannot chat"),
        ("/where size <\n", NOTES, 2, "size <"),
        ("/save\n", NOTES, 2, "needs a name"),
    ],
)
def test_mistakes(run: Any, stdin: str, arguments: tuple[str, ...], status: int, complaint: str) -> None:
    """One line and a hint, no traceback."""
    done = run(stdin, *arguments)
    assert done.returncode == status, done.stderr
    assert complaint in done.stderr
    assert "hint: " in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_on_a_terminal(home: Path, server: Forwarding) -> None:
    """Ctrl-C stops an answer and keeps the session, which goes on after a mistake and a dead server; all is kept."""
    server.chats.clear()
    slow = Said(pieces=("Signing keys are rotated ", *(["again and again "] * 400)), pause=0.05)
    server.chats += [slow, NINETY, Said(pieces=("The old", " key"), cut=True)]
    before = set((home / "conversations").glob("*.json")) if (home / "conversations").is_dir() else set()
    master, slave = pty.openpty()
    command = [sys.executable, "-m", "pipeline", "chat", *NOTES]
    with subprocess.Popen(
        command,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env=environment(home, server),
        start_new_session=True,
        cwd=home.parent,
    ) as process:
        os.close(slave)
        seen = Terminal(master)
        try:
            seen.until(f"{CHAT_MODEL} over notes")
            seen.until(">>> ")
            os.write(master, b"How often are signing keys rotated?\n")
            seen.until("again and again")
            process.send_signal(2)
            seen.until("(stopped)")
            seen.until(">>> ")
            server.chats.remove(slow) if slow in server.chats else None
            os.write(master, b"/show\n")
            seen.until("turns            1")
            os.write(master, b"/retry\n")
            seen.until("every ninety days [1]")
            seen.until("docs/keys.md:1")
            server.chats.insert(0, NINETY)
            os.write(master, b"/edit\n")
            seen.until("edit> How often are signing keys rotated?")
            os.write(master, b" Really?\n")
            seen.until("docs/keys.md:1")
            os.write(master, b"/dance\n")
            seen.until("there is no command /dance")
            os.write(master, b"How long is the old key valid?\n")
            seen.until("The old key")
            seen.until(">>> ")
            os.write(master, b"/bye\n")
            seen.until("kept: pipeline chat --load notes-")
            assert process.wait(20) == 0
        finally:
            process.kill()
    os.close(master)
    (kept,) = set((home / "conversations").glob("notes-*.json")) - before
    turns = json.loads(kept.read_text())["grounding"]["turns"]
    assert [turn["question"] for turn in turns] == [
        "How often are signing keys rotated? Really?",
        "How long is the old key valid?",
    ]
    assert turns[0]["answer"]["text"] == "Signing keys are rotated every ninety days [1]."
    assert "The old key" in turns[1]["answer"]["text"]
