"""`pipeline search` as a user runs it: a program of its own, on a terminal and into a pipe."""

import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Sequence

import pytest

from pipeline.collection import Collection


def command(notes: Collection, *arguments: str) -> list[str]:
    home = str(notes.config.home)
    return [sys.executable, "-m", "pipeline", "search", *arguments, "-c", "notes", "--home", home]


def environment(notes: Collection) -> dict[str, str]:
    return {**os.environ, "OLLAMA_MODELS": str(notes.config.models), "TERM": "xterm"}


def run(notes: Collection, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(notes, *arguments), capture_output=True, text=True, env=environment(notes), check=False
    )


def on_terminal(notes: Collection, *arguments: str) -> str:
    """What the command writes to a terminal."""
    ours, theirs = pty.openpty()
    try:
        process = subprocess.Popen(command(notes, *arguments), stdout=theirs, env=environment(notes))
        os.close(theirs)
        shown = b""
        while True:
            try:
                piece = os.read(ours, 4096)
            except OSError:  # the other end has been closed
                break
            if not piece:
                break
            shown += piece
        assert process.wait() == 0
    finally:
        os.close(ours)
    return shown.decode()


def test_matches_stand_out_on_a_terminal_only(notes: Collection) -> None:
    """The words of the query are highlighted in the text for a person, and never in a file or pipe."""
    shown = on_terminal(notes, "rotating a vault", "--mode", "lexical", "--full")
    assert "\x1b[33m\x1b[1mvault\x1b[0m" in shown or "\x1b[1m\x1b[33mvault\x1b[0m" in shown
    assert "rotated\x1b[0m" in shown
    piped = run(notes, "rotating a vault", "--mode", "lexical", "--full")
    assert "vault" in piped.stdout
    assert "\x1b" not in piped.stdout


@pytest.mark.parametrize(
    ("arguments", "mode", "scores"),
    [
        ((), "hybrid", {"dense", "lexical"}),
        (("--mode", "dense"), "dense", {"dense"}),
        (("--mode", "lexical"), "lexical", {"lexical"}),
    ],
)
def test_json_says_how_was_searched(notes: Collection, arguments: Sequence[str], mode: str, scores: set[str]) -> None:
    """The mode is the one that ran, scores are those of its stages, and there is no `explain` unless asked for."""
    done = run(notes, "signing keys", "--json", "--host", "embedded", *arguments)
    report = json.loads(done.stdout)
    assert (report["query"], report["collection"], report["mode"]) == ("signing keys", "notes", mode)
    for hit in report["hits"]:
        assert set(hit["scores"]) == {"dense", "lexical", "rerank"}
        assert {name for name, score in hit["scores"].items() if score is not None} == scores
        assert "explain" not in hit


def test_explanations_in_json_and_in_text(notes: Collection) -> None:
    """`--explain` gives each hit's rank and score by stage, with the terms, in both forms."""
    arguments = ("signing keys", "--explain", "--host", "embedded", "-k", "1")
    (hit,) = json.loads(run(notes, *arguments, "--json").stdout)["hits"]
    assert list(hit["explain"]) == ["dense", "lexical", "fused"]
    assert hit["explain"]["dense"]["score"] == hit["scores"]["dense"]
    assert hit["explain"]["lexical"]["score"] == hit["scores"]["lexical"]
    assert hit["explain"]["fused"]["score"] == hit["score"]
    assert set(hit["explain"]["lexical"]["terms"]) == {"sign", "key"}
    text = run(notes, *arguments).stdout
    assert f"lexical: rank 1, {hit['scores']['lexical']:.3f} (share" in text
    assert "fused: rank 1" in text
    numbers = re.findall(r"-?\d+\.\d+(?:e-?\d+)?", run(notes, "signing keys", "--explain", "--json").stdout)
    assert len(numbers) > 10
    assert all(float(number) == round(float(number), 6) for number in numbers)


def test_a_plan_is_shown(notes: Collection) -> None:
    """JSON has what was searched for beside the question, and each hit its rank in it; `--explain` shows both."""
    question = "How often are signing keys rotated, and how long does the dough rest?"
    arguments = (question, "--plan", "split", "--explain", "--host", "embedded", "-k", "2")
    report = json.loads(run(notes, *arguments, "--json").stdout)
    parts = ["How often are signing keys rotated?", "how long does the dough rest?"]
    assert report["plan"] == {"kind": "split", "queries": parts, "passage": ""}
    assert {hit["path"].rsplit("/", 1)[-1] for hit in report["hits"]} == {"keys.md", "bread.md"}
    for hit in report["hits"]:
        assert set(hit["explain"]["plan"]["detail"]) == {"question", "1", "2"}
        assert hit["explain"]["plan"]["score"] == hit["score"]
    text = run(notes, *arguments).stdout
    assert f"plan 1: {parts[0]}\nplan 2: {parts[1]}\n" in text
    assert "plan: rank 1" in text
    assert "plan" not in json.loads(
        run(notes, "signing keys", "--plan", "split", "--json", "--host", "embedded").stdout
    )


def test_a_wrong_condition_points_at_the_place(notes: Collection) -> None:
    """The error shows the condition and a mark below it, and the status is 2."""
    done = run(notes, "keys", "--mode", "lexical", "--where", "path ~ '*.md' and size > tall")
    assert done.returncode == 2
    assert done.stderr.splitlines()[:3] == [
        "error: --where: a size is a number of bytes, or like 20k or 1.5mb",
        "  path ~ '*.md' and size > tall",
        "                           ^",
    ]


def test_nothing_found_is_said(notes: Collection) -> None:
    """No hit is no failure; a line on stderr says it."""
    done = run(notes, "zebra", "--mode", "lexical")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "nothing found\n")


def test_long_passages_show_where_they_match(notes: Collection) -> None:
    """Of a long passage the lines around the match are shown, with a count of those left out."""
    shown = run(notes, "RFC-2119", "--mode", "lexical").stdout
    assert "see RFC-2119" in shown


HEAVY = ("xllamacpp", "gguf", "faiss", "markdown_it")


def test_lexical_search_loads_no_engine(notes: Collection) -> None:
    """Words need neither the engine nor what searches vectors: the command starts fast."""
    script = (
        "import sys\nfrom pipeline.cli.main import command_line\n"
        f"command_line({command(notes, 'dough', '--mode', 'lexical')[3:]!r}, standalone_mode=False)\n"
        "print(','.join(sorted({name.split('.')[0] for name in sys.modules})))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=environment(notes), check=True
    )
    assert "bread.md" in done.stdout
    loaded = set(done.stdout.splitlines()[-1].split(","))
    assert not loaded & set(HEAVY)
