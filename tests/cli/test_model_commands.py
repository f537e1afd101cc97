"""The commands over the raw endpoints: models, generate, embed, chat; with real models, and a scripted server for the rest."""

import json
import os
import pty
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.api.scripted_server import Answer, Script, as_json, lines, scripted_server

CHAT = "smollm2:135m"


@pytest.fixture
def run(tmp_path: Path, models_folder: Path) -> Any:
    """`run(*arguments, stdin=...)`: the program as its user starts it, on the embedded server."""

    def run(*arguments: str, stdin: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
        settings = {**os.environ, "PIPELINE_HOME": str(tmp_path / "home"), "OLLAMA_MODELS": str(models_folder)}
        if "OLLAMA_HOST" not in environment:
            environment["OLLAMA_HOST"] = "embedded"
        return subprocess.run(
            [sys.executable, "-m", "pipeline", *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            cwd=tmp_path,
            env={**settings, **environment},
        )

    return run


@pytest.fixture
def script() -> Any:
    with scripted_server() as script:
        yield script


def test_show(run: Any) -> None:
    """Facts for people, everything for scripts, only the Modelfile on demand."""
    shown = run("models", "show", "all-minilm")
    assert (shown.returncode, shown.stderr) == (0, "")
    facts = dict(
        line.split(maxsplit=1)
        for line in shown.stdout.splitlines()
        if line and not line.startswith(" ") and " " in line
    )
    assert (facts["family"], facts["dimension"], facts["capabilities"]) == ("bert", "384", "embedding")
    assert json.loads(run("models", "show", "all-minilm", "--json").stdout)["details"]["family"] == "bert"
    assert "FROM " in run("models", "show", "all-minilm", "--modelfile").stdout


def test_embed(run: Any) -> None:
    """A vector a line for each text, the same for lines of standard input; one document with --json."""
    given = run("embed", "hello", "world")
    rows = [json.loads(line) for line in given.stdout.splitlines()]
    assert [len(row) for row in rows] == [384, 384]
    piped = run("embed", "--json", stdin="hello\nworld\n")
    document = json.loads(piped.stdout)
    assert document["dimension"] == 384
    assert document["embeddings"][0] == pytest.approx(rows[0], abs=1e-3)
    assert document["prompt_tokens"] > 0


def test_generate(run: Any, tmp_path: Path) -> None:
    """Text streams; --json has the counts; a schema shapes the text; the prompt may come from a pipe."""
    options = ("--chat-model", CHAT, "--option", "num_predict=8", "--option", "temperature=0")
    plain = run("generate", "Say hello.", *options)
    assert (plain.returncode, plain.stderr) == (0, "")
    reply = json.loads(run("generate", *options, "--json", stdin="Say hello.").stdout)
    assert reply["response"].strip() == plain.stdout.strip()
    assert reply["eval_count"] <= 8
    (tmp_path / "schema.json").write_text(
        '{"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}'
    )
    shaped = run("generate", "A number.", "--chat-model", CHAT, "--format", "schema.json", "--option", "temperature=0")
    assert isinstance(json.loads(shaped.stdout)["n"], int)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["generate", "x", "--format", "nowhere.json"], "cannot read nowhere.json"),
        (["generate", "x", "--option", "num_ctx"], "has no value"),
        (["generate", "x", "--image", "nowhere.png"], "cannot read nowhere.png"),
        (["models", "create", "m"], "cannot read Modelfile"),
        (["models", "create", "m", "--from", "a", "--file", "b"], "exclude each other"),
        (["models", "remove", "m"], "needs a yes"),
        (["chat", "--load", "nowhere"], "cannot read"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_mistakes_are_usage_errors(run: Any, arguments: list[str], complaint: str) -> None:
    """One line and a hint, status 2, no traceback."""
    done = run(*arguments)
    assert done.returncode == 2
    assert complaint in done.stderr
    assert "hint: " in done.stderr
    assert "Traceback" not in done.stderr


def test_copy_and_remove(run: Any, script: Script) -> None:
    """Both report what they did; a removal asks unless it is told not to."""
    script.answers = [Answer()]
    assert json.loads(run("models", "copy", "a", "b", "--json", OLLAMA_HOST=script.url).stdout) == {
        "source": "a",
        "destination": "b",
    }
    done = run("models", "remove", "--yes", "a", "b", "--json", OLLAMA_HOST=script.url)
    assert json.loads(done.stdout) == {"removed": ["a", "b"]}
    assert [(asked.method, asked.path) for asked in script.asked] == [
        ("POST", "/api/copy"),
        ("DELETE", "/api/delete"),
        ("DELETE", "/api/delete"),
    ]


def test_create_uploads_what_the_modelfile_names(run: Any, script: Script, tmp_path: Path) -> None:
    """The file beside the Modelfile is sent, then the model is made from its digest."""
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "weights.gguf").write_bytes(b"weights")
    (tmp_path / "m" / "Modelfile").write_text("FROM weights.gguf\nPARAMETER num_ctx 512\n")
    success = Answer(pieces=(lines({"status": "creating"}, {"status": "success"}),))
    script.answers = [Answer(status=404), Answer(status=201), success]
    done = run("models", "create", "mine", "-f", "m/Modelfile", "--system", "terse", "--json", OLLAMA_HOST=script.url)
    assert [json.loads(line) for line in done.stdout.splitlines()] == [{"status": "creating"}, {"status": "success"}]
    body = script.asked[2].body
    assert script.asked[1].body == b"weights"
    assert (list(body["files"]), body["parameters"], body["system"]) == (["weights.gguf"], {"num_ctx": 512}, "terse")


def test_create_without_pulling(run: Any, script: Script) -> None:
    """The server would fetch a model that it lacks: with --no-pull it is asked first, and then for nothing more."""
    script.answers = [Answer(status=404, pieces=(lines({"error": "model 'base' not found"}),))]
    done = run("models", "create", "mine", "--from", "base", "--no-pull", OLLAMA_HOST=script.url)
    assert done.returncode == 1
    assert "hint: pipeline models pull base" in done.stderr
    assert [asked.path for asked in script.asked] == ["/api/show"]


def test_push_reports_its_events(run: Any, script: Script) -> None:
    """An object a line with --json; an error of the registry is an error with status 1."""
    script.answers = [Answer(pieces=(lines({"status": "pushing", "digest": "d", "total": 2}, {"status": "success"}),))]
    done = run("models", "push", "me/m", "--json", OLLAMA_HOST=script.url)
    assert [json.loads(line)["status"] for line in done.stdout.splitlines()] == ["pushing", "success"]
    script.answers = [Answer(pieces=(lines({"error": "you are not authorized to push to this namespace"}),))]
    done = run("models", "push", "me/m", OLLAMA_HOST=script.url)
    assert done.returncode == 1
    assert "ended with an error: you are not authorized" in done.stderr


def test_ps(run: Any, script: Script) -> None:
    """Loaded models with their context and end."""
    model = {"name": "m:latest", "size": 2**30, "context_length": 4096, "expires_at": "2026-01-01T00:00:00Z"}
    script.answers = [as_json({"models": [model]})]
    assert run("models", "ps", OLLAMA_HOST=script.url).stdout.split() == [
        "m:latest",
        "1.0",
        "GiB",
        "context",
        "4096",
        "until",
        "2026-01-01T00:00:00Z",
    ]
    assert json.loads(run("models", "ps", "--json", OLLAMA_HOST=script.url).stdout)["models"][0]["size"] == 2**30


def said(text: str) -> dict[str, Any]:
    return {"model": "m", "message": {"role": "assistant", "content": text}, "done": True, "done_reason": "stop"}


def test_chat_from_a_pipe(run: Any, script: Script, tmp_path: Path) -> None:
    """Messages of one line and of several, settings, history, saving and taking up again."""
    script.answers = [as_json(said("one")), as_json(said("two")), as_json(said("three")), as_json(said("four"))]
    stdin = '/set temperature 0.2\n/set system Be terse.\nfirst\n"""second\nline"""\n/retry\n/show\n/save talk\n'
    done = run("chat", "--chat-model", "m", "--json", stdin=stdin, OLLAMA_HOST=script.url)
    assert (done.returncode, done.stderr.count("Traceback")) == (0, 0)
    *answers, shown = [json.loads(line) for line in done.stdout.splitlines()]
    assert [answer["content"] for answer in answers] == ["one", "two", "three"]
    assert shown == {"model": "m", "turns": 2, "temperature": 0.2, "system": "Be terse."}
    system = {"role": "system", "content": "Be terse."}
    first = [{"role": "user", "content": "first"}, {"role": "assistant", "content": "one"}]
    second = {"role": "user", "content": "second\nline"}
    assert [asked.body["messages"] for asked in script.asked] == [
        [system, first[0]],
        [system, *first, second],
        [system, *first, second],
    ]
    assert script.asked[0].body["options"] == {"temperature": 0.2}
    again = run("chat", "--load", "talk", "--json", stdin="third\n", OLLAMA_HOST=script.url)
    assert json.loads(again.stdout)["content"] == "four"
    third = [second, {"role": "assistant", "content": "three"}, {"role": "user", "content": "third"}]
    assert script.asked[3].body["messages"] == [system, *first, *third]


def test_chat_with_a_real_model(run: Any) -> None:
    """The answer streams to stdout, nothing else does."""
    done = run("chat", "--chat-model", CHAT, stdin="/set num_predict 8\n/set temperature 0\nSay hello.\n")
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.strip()) > 0


def test_chat_on_a_terminal_stops_an_answer_and_goes_on(tmp_path: Path, models_folder: Path) -> None:
    """Ctrl-C ends the answer, not the program; what was said is kept; /bye leaves with status 0."""
    environment = {
        **os.environ,
        "PIPELINE_HOME": str(tmp_path),
        "OLLAMA_MODELS": str(models_folder),
        "OLLAMA_HOST": "embedded",
    }
    master, slave = pty.openpty()
    command = [sys.executable, "-m", "pipeline", "chat", "--chat-model", CHAT]
    with subprocess.Popen(
        command, stdin=slave, stdout=slave, stderr=slave, env=environment, start_new_session=True
    ) as process:
        os.close(slave)
        seen = Terminal(master)
        try:
            seen.until(">>> ")
            # Drawn at random, the answer may have ended before it is stopped.
            os.write(master, b"/set temperature 0\n")
            seen.until(">>> ", after="temperature 0")
            os.write(master, b"/set num_predict 4000\n")
            seen.until(">>> ", after="4000")
            os.write(master, b"Write a very long story about the sea.\n")
            seen.until("", after="the sea.\r\n", least=20)
            process.send_signal(2)
            seen.until("(stopped)")
            os.write(master, b"/show\n")
            seen.until("turns            1")
            os.write(master, b"/bye\n")
            assert process.wait(20) == 0
        finally:
            process.kill()
    os.close(master)


class Terminal:
    """What a program has written to its terminal."""

    def __init__(self, master: int) -> None:
        self.master = master
        self.text = ""

    def until(self, wanted: str, *, after: str = "", least: int = 0) -> None:
        """Reads until `wanted` stands behind `after` with `least` characters between them."""
        deadline = time.monotonic() + 60
        while True:
            start = self.text.find(after)
            since = self.text[start + len(after) :] if start >= 0 else ""
            if len(since) >= max(least, 1) and wanted in since[least:]:
                self.text = since
                return
            assert time.monotonic() < deadline, self.text
            ready, _, _ = select.select([self.master], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, self.text
            self.text += os.read(self.master, 4096).decode("utf-8", "replace")
