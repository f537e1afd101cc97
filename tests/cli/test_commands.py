"""The command line, as a user runs it: programs of their own, real files, the embedded server with real models."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pipeline.server import ModelStore
from tests.conftest import CHAT_MODEL, EMBEDDING_MODEL
from tests.embed_server import Behaviour, embed_server

KEYS = """# Keys

## Rotation

Signing keys are rotated every ninety days by the engineer on call. The old key stays valid for one week.
"""
BREAD = """# Bread

Let the dough rest for four hours at room temperature, then bake it for fifty minutes at 230 degrees.
"""


@dataclass(frozen=True)
class Done:
    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Run = Callable[..., Done]
ROOT = Path(__file__).parents[2]


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "keys.md").write_text(KEYS)
    (folder / "bread.md").write_text(BREAD)
    return folder


@pytest.fixture
def run(tmp_path: Path, models_folder: Path) -> Run:
    """Runs `pipeline` with the test's own home and the shared models, far from any Ollama that may be running."""

    def run(*arguments: str | Path, **environment: str) -> Done:
        settings = {"OLLAMA_HOST": "embedded", "OLLAMA_MODELS": str(models_folder), **environment}
        done = subprocess.run(
            [sys.executable, "-m", "pipeline", *map(str, arguments)],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env={**os.environ, **settings},
            check=False,
            timeout=120,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return Done(done.returncode, done.stdout, done.stderr)

    return run


def test_index_search_ask(run: Run, docs: Path) -> None:
    """The main job: documents in, the right passage first, an answer whose citations resolve to path and lines."""
    report = run("index", docs, "--json")
    assert report.status == 0
    assert report.json["documents"] == {"added": 2, "updated": 0, "unchanged": 0, "removed": 0, "failed": 0}
    assert report.json["model"] == "all-minilm"
    assert report.json["dimension"] == 384
    assert report.json["chunks"] == {"embedded": 2, "reused": 0, "removed": 0, "total": 2}
    found = run("search", "how often do we change the signing keys?", "--json").json
    assert [Path(hit["path"]).name for hit in found["hits"]] == ["keys.md", "bread.md"]
    best = found["hits"][0]
    assert (best["rank"], best["start_line"], best["end_line"], best["heading"]) == (1, 1, 5, "Keys")
    assert found["mode"] == "hybrid"
    assert best["scores"]["dense"] == pytest.approx(0.716, abs=0.02)
    assert best["scores"]["lexical"] > 0
    assert best["scores"]["rerank"] is None
    assert best["score"] > 0.5 > found["hits"][1]["score"]
    answer = run("ask", "how often are signing keys rotated?", "--chat-model", CHAT_MODEL, "--json").json
    assert answer["model"] == CHAT_MODEL
    assert answer["usage"]["prompt_tokens"] > 0
    assert [Path(hit["path"]).name for hit in answer["hits"]] == ["keys.md", "bread.md"]
    for citation in answer["citations"]:
        lines = Path(citation["path"]).read_text().splitlines()[citation["start_line"] - 1 : citation["end_line"]]
        assert citation["quote"] in "\n".join(lines)


def test_answer_is_quoted_where_no_chat_model_can_be_had(
    run: Run, docs: Path, tmp_path: Path, models_folder: Path
) -> None:
    """Without a chat model the best sentence is quoted and cited, and the answer says so."""
    only_embedding = tmp_path / "models"
    (only_embedding / "manifests/registry.ollama.ai/library").mkdir(parents=True)
    (only_embedding / "blobs").symlink_to(models_folder / "blobs")
    library = Path("manifests/registry.ollama.ai/library/all-minilm")
    (only_embedding / library).symlink_to(models_folder / library)
    settings = {"OLLAMA_MODELS": str(only_embedding)}
    run("index", docs, **settings)
    done = run("ask", "How long is the old key valid?", "--no-pull", "--json", **settings)
    assert done.status == 0
    assert done.json["answered"] is True
    assert done.json["model"] == ""
    assert "The old key stays valid for one week." in done.json["answer"]
    assert done.json["citations"][0]["start_line"] == 5
    assert "no chat model" in done.json["notices"][0]
    refused = run("ask", "Who won the chess tournament in Reykjavik?", "--no-pull", "--json", **settings)
    assert refused.status == 1
    assert refused.json["answered"] is False


def test_second_run_says_that_nothing_changed(run: Run, docs: Path) -> None:
    """On a second run all is unchanged, and the output says it in words too."""
    run("index", docs)
    again = run("index", docs)
    assert again.status == 0
    assert "2 unchanged" in again.out
    assert "chunks: 0 embedded" in again.out


def test_failures_are_listed_and_give_status_one(run: Run, docs: Path) -> None:
    """A broken file is named on stderr and in the report; the good ones are indexed."""
    (docs / "broken.md").write_bytes(b"\0" * 50)
    done = run("index", docs)
    assert done.status == 1
    assert "failed: docs/broken.md: is a binary file" in done.err
    report = run("index", docs, "--json")
    assert report.status == 1
    assert [Path(failure["path"]).name for failure in report.json["failures"]] == ["broken.md"]
    assert report.json["documents"]["unchanged"] == 2


@pytest.mark.parametrize(
    ("arguments", "status", "kind", "message", "hint"),
    [
        (["index", "nowhere"], 2, "UsageError", "nowhere does not exist", "check the path"),
        (["index", "empty"], 1, "PipelineError", "no document to index", "--allow-empty"),
        (["index"], 2, "UsageError", "Missing argument", "pipeline index --help"),
        (["index", "docs", "-c", "../x"], 2, "UsageError", "cannot be a collection's name", "letters"),
        (["index", "docs", "--model", "127.0.0.1:9/no/model"], 1, "PullFailed", "no/model' is not on the server", ""),
        (["index", "docs", "--batch-size", "0"], 2, "UsageError", "above zero", ""),
        (["search", "x"], 1, "CollectionNotFound", "no collection 'default'", "pipeline index PATH"),
        (["search", ""], 1, "CollectionNotFound", "no collection 'default'", "pipeline index PATH"),
        (["search", "x", "-k", "0"], 2, "UsageError", "0 is not in the range", "--help"),
        (["serch"], 2, "UsageError", "No such command 'serch'. Did you mean 'search'?", "--help"),
        (["zzz"], 2, "UsageError", "No such command 'zzz'.", "--help"),
        (["collections", "show", "nothing"], 1, "CollectionNotFound", "no collection 'nothing'", "pipeline index"),
        (["eval", "none.jsonl"], 2, "UsageError", "none.jsonl", "golden"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_mistakes_are_one_line_with_a_hint(
    run: Run, docs: Path, arguments: list[str], status: int, kind: str, message: str, hint: str
) -> None:
    """A user's mistake gives the right status, one line, a hint, and the same as JSON."""
    (docs.parent / "empty").mkdir()
    plain = run(*arguments)
    assert plain.status == status
    assert plain.out == ""
    assert message in plain.err.splitlines()[0]
    assert hint in plain.err
    assert len(plain.err.splitlines()) <= 2
    as_json = run(*arguments, "--json")
    assert as_json.status == status
    assert as_json.json["error"]["type"] == kind
    assert message in as_json.json["error"]["message"]


def test_dead_server_is_an_error_and_never_a_fall_back(run: Run, docs: Path) -> None:
    """With OLLAMA_HOST set to a port where nobody listens, nothing else is used."""
    done = run("index", docs, "--json", OLLAMA_HOST="127.0.0.1:1")
    assert done.status == 1
    assert done.json["error"]["type"] == "ServerUnreachable"
    assert "OLLAMA_HOST" in done.json["error"]["hint"]


def test_ollama_host_is_all_that_changes(run: Run, docs: Path) -> None:
    """The same command against a server on a socket."""
    behaviour = Behaviour()
    with embed_server(behaviour) as url:
        done = run("index", docs, "--json", OLLAMA_HOST=url)
        assert done.json["documents"]["added"] == 2
        assert len(behaviour.texts) == 2
        behaviour.requests.clear()
        assert run("index", docs, "--json", OLLAMA_HOST=url).json["documents"]["unchanged"] == 2
        assert behaviour.requests == []


def test_collection_refuses_another_model(run: Run, docs: Path) -> None:
    """Indexing or searching with another model is an error; the collection stays as it was."""
    run("index", docs)
    for command in (["index", docs, "--model", "nomic-embed-text"], ["search", "x", "--model", "nomic-embed-text"]):
        done = run(*command, "--json")
        assert done.status == 1
        assert done.json["error"]["type"] == "ModelMismatch"
    assert run("collections", "show", "--json").json["chunks"] == 2


def test_model_that_cannot_do_it_is_said_at_once(run: Run, docs: Path, tmp_path: Path) -> None:
    """A chat model does not embed and an embedding model does not chat; neither is tried again or blamed on a text."""
    done = run("index", docs, "--model", CHAT_MODEL)
    assert done.status == 1
    assert "does not make embeddings" in done.err
    assert "all-minilm" in done.err
    assert list((tmp_path / "home/collections").iterdir()) == []
    run("index", docs)
    done = run("ask", "how often are keys rotated?", "--chat-model", EMBEDDING_MODEL)
    assert done.status == 1
    assert "does not support chat" in done.err


def test_model_files(run: Run, docs: Path, tmp_path: Path, models_folder: Path) -> None:
    """GGUF files stand in for both models; the collection knows the file again, by its content."""
    for name, model in (("embed.gguf", EMBEDDING_MODEL), ("chat.GGUF", CHAT_MODEL)):
        stored = ModelStore(models_folder).find(model)
        assert stored is not None
        (tmp_path / name).symlink_to(stored.model_path)
    settings = {"OLLAMA_MODELS": str(tmp_path / "none")}
    report = run("index", docs, "--model", "embed.gguf", "--json", **settings)
    assert (report.status, report.json["model"]) == (0, str(tmp_path / "embed.gguf"))
    answer = run("ask", "how often are signing keys rotated?", "--chat-model", "chat.GGUF", "--json", **settings)
    assert (answer.status, answer.json["model"]) == (0, str(tmp_path / "chat.GGUF"))
    assert Path(answer.json["hits"][0]["path"]).name == "keys.md"
    (tmp_path / "embed.gguf").unlink()
    done = run("search", "keys", **settings)
    assert (done.status, "there is no model file" in done.err) == (2, True)
    done = run("search", "keys", OLLAMA_HOST="127.0.0.1:9")
    assert (done.status, "cannot use the file" in done.err, "embedded" in done.err) == (2, True, True)
    (tmp_path / "embed.gguf").symlink_to(tmp_path / "chat.GGUF")
    assert "does not make embeddings" in run("search", "keys", **settings).err


def test_damaged_segment_is_an_error_that_names_the_file(run: Run, docs: Path, tmp_path: Path) -> None:
    """A flipped bit is noticed by whatever reads the file, and by `verify`, and never served."""
    run("index", docs)
    path = next((tmp_path / "home/collections/default/segments").glob("*/vectors.arrow"))
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    path.write_bytes(content)
    done = run("search", "keys", "--json")
    assert done.status == 1
    assert done.json["error"]["type"] == "CorruptCollection"
    assert "vectors.arrow" in done.json["error"]["message"]
    verified = run("collections", "verify", "--json")
    assert verified.status == 1
    assert [problem["path"] for problem in verified.json["collections"][0]["problems"]] == [str(path)]
    path.unlink()
    listed = run("collections", "list", "--json")
    assert listed.status == 1
    assert "vectors.arrow" in listed.json["collections"][0]["error"]


def test_damage_that_loses_nothing_is_told_apart(run: Run, docs: Path, tmp_path: Path) -> None:
    """What follows from other files: `verify` says which command makes it again, and that command does."""
    run("index", docs)
    path = next((tmp_path / "home/collections/default/segments").glob("*/hashes.arrow"))
    path.unlink()
    assert run("search", "keys").status == 0
    verified = run("collections", "verify")
    assert verified.status == 1
    assert "hashes.arrow" in verified.err
    assert "nothing is lost" in verified.err
    assert "pipeline collections optimize default" in verified.err
    assert run("collections", "optimize").status == 0
    assert run("collections", "verify").status == 0
    assert path.is_file()


def test_home_that_cannot_be_written_to(run: Run, docs: Path, tmp_path: Path) -> None:
    """A home below a file is an error with the way out."""
    (tmp_path / "file").write_text("")
    done = run("index", docs, "--home", tmp_path / "file", "--json")
    assert done.status == 1
    assert done.json["error"]["type"] == "StorageUnwritable"
    assert "--home" in done.json["error"]["hint"]


def test_collections_models_and_doctor(run: Run, docs: Path) -> None:
    """What there is can be listed, in words and as JSON."""
    run("index", docs, "-c", "notes")
    listed = run("collections", "list", "--json").json
    assert [(row["collection"], row["documents"], row["chunks"]) for row in listed["collections"]] == [("notes", 2, 2)]
    shown = run("collections", "show", "notes", "--json").json
    assert [Path(file["path"]).name for file in shown["files"]] == ["bread.md", "keys.md"]
    assert len(shown["digest"]) == 64
    models = run("models", "list", "--json").json
    assert {"all-minilm:latest", CHAT_MODEL} <= {model["name"] for model in models["models"]}
    checks = {check["check"]: check for check in run("doctor", "--json").json["checks"]}
    assert checks["collection notes"]["verdict"] == "ok"
    assert "embedded server" in checks["server"]["detail"]
    for command in (["collections", "list"], ["collections", "show", "notes"], ["models", "list"], ["doctor"]):
        assert run(*command).out


def test_golden_questions(run: Run, docs: Path) -> None:
    """`eval` measures where the right documents rank."""
    lines = [
        {"question": "How often do keys change?", "path": "keys.md", "quote": "rotated every ninety days"},
        {"question": "How hot is the oven?", "path": "bread.md", "quote": "at 230 degrees"},
        {"question": "Who?", "path": None, "quote": None},
    ]
    golden = docs / "golden.jsonl"
    golden.write_text("\n".join(json.dumps(line) for line in lines))
    (docs / ".pipelineignore").write_text("golden.jsonl\n")
    run("index", docs)
    report = run("eval", golden, "--json").json
    assert report["queries"] == 2
    assert report["runs"][0]["ndcg@10"] == report["runs"][0]["mrr@10"] == 1.0
    assert report["runs"][0]["passage"]["recall@1"] == 1.0


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupt_keeps_what_was_embedded(docs: Path, tmp_path: Path, number: signal.Signals, status: int) -> None:
    """Ctrl-C and SIGTERM end a run within a moment, what was embedded is kept, and the next run goes on."""
    for subject in range(60):
        (docs / f"{subject:02}.txt").write_text(f"Document {subject} speaks of subject {subject}.")
    behaviour = Behaviour(delay=0.2)
    with embed_server(behaviour) as url:
        environment = {**os.environ, "OLLAMA_HOST": url}
        command = [sys.executable, "-m", "pipeline", "index", str(docs), "--batch-size", "2", "--json"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, text=True)
        while len(behaviour.texts) < 20:
            time.sleep(0.01)
        process.send_signal(number)
        out, err = process.communicate(timeout=10)
        assert process.returncode == status
        error = json.loads(out)["error"]
        assert error["type"] == "Interrupted"
        assert error["hint"] == "what was committed is kept; run it again to go on"
        assert "Traceback" not in err
        behaviour.delay = 0
        behaviour.texts.clear()
        again = subprocess.run(command, capture_output=True, env=environment, text=True, check=True)
        report = json.loads(again.stdout)
        assert report["chunks"]["total"] == 62
        assert report["documents"]["unchanged"] > 0
        assert report["documents"]["unchanged"] + report["documents"]["added"] == 62


def test_an_interrupted_search_has_nothing_to_go_on_with(docs: Path) -> None:
    """Ctrl-C while the server takes its time: the program says so, and nothing of what was kept."""
    behaviour = Behaviour()
    with embed_server(behaviour) as url:
        environment = {**os.environ, "OLLAMA_HOST": url}
        pipeline = [sys.executable, "-m", "pipeline"]
        subprocess.run([*pipeline, "index", str(docs)], capture_output=True, env=environment, check=True)
        behaviour.texts.clear()
        behaviour.delay = 3
        with subprocess.Popen(
            [*pipeline, "search", "keys"], stderr=subprocess.PIPE, env=environment, text=True
        ) as process:
            while not behaviour.texts:
                time.sleep(0.01)
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=10)
    assert process.returncode == 130
    assert err.strip() == "error: interrupted"


def test_interrupt_with_the_embedded_server_ends_the_program(tmp_path: Path, models_folder: Path) -> None:
    """Ctrl-C while the engine in the own process is at work: the program ends by itself, with status 130."""
    environment = {**os.environ, "OLLAMA_HOST": "embedded", "OLLAMA_MODELS": str(models_folder)}
    for home in (tmp_path / "one", tmp_path / "two"):
        command = [sys.executable, "-m", "pipeline", "index", str(ROOT / "sample_corpus"), "--home", str(home)]
        manifest = home / "collections" / "default" / "manifest-00000001.json"
        with subprocess.Popen(command, stderr=subprocess.PIPE, env=environment, text=True) as process:
            while not manifest.exists() and process.poll() is None:
                time.sleep(0.05)
            time.sleep(1)
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=60)
        assert process.returncode == 130
        assert "interrupted" in err
        assert "Traceback" not in err


def test_serve_answers_until_it_is_stopped(tmp_path: Path, models_folder: Path) -> None:
    """`serve` listens where it is told, answers a client, and ends with status 0 on SIGTERM."""
    import httpx

    command = [sys.executable, "-m", "pipeline", "serve", "--host", "127.0.0.1:0", "--json"]
    environment = {**os.environ, "OLLAMA_MODELS": str(models_folder)}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, text=True
    ) as process:
        assert process.stdout is not None
        try:
            url = json.loads(process.stdout.readline())["url"]
            assert httpx.get(url).text == "Ollama is running"
            body = {"model": "all-minilm", "input": ["hello world"]}
            reply = httpx.post(f"{url}/api/embed", json=body, timeout=60).json()
            assert len(reply["embeddings"][0]) == 384
        finally:
            process.send_signal(signal.SIGTERM)
            _, err = process.communicate(timeout=20)
    assert process.returncode == 0
    assert "Traceback" not in err


def test_help_is_quick_to_start(run: Run) -> None:
    """Help lists every command and loads nothing heavy (which `test_architecture` checks)."""
    done = run("--help")
    assert done.status == 0
    for command in ("index", "search", "ask", "collections", "models", "serve", "eval", "doctor"):
        assert f"\n  {command} " in done.out


def test_collection_is_removed(run: Run, docs: Path, tmp_path: Path) -> None:
    """A collection goes with all its files when it is told so, damaged or not, and nothing else does."""
    run("index", docs, "-c", "one")
    run("index", docs, "-c", "two")
    asked = run("collections", "remove", "one")
    assert (asked.status, "needs a yes" in asked.err) == (2, True)
    (tmp_path / "home/collections/one/manifest-00000002.json").write_text("{")
    assert run("collections", "remove", "one", "--yes", "--json").json == {"removed": "one"}
    assert [row["collection"] for row in run("collections", "list", "--json").json["collections"]] == ["two"]
    assert not (tmp_path / "home/collections/one").exists()
    assert docs.is_dir()
    for options in ((), ("--yes",)):
        missing = run("collections", "remove", "one", *options)
        assert (missing.status, "no collection 'one'" in missing.err) == (1, True)


@pytest.mark.parametrize("host", ["http://[zz]", "a b", "http://x:1/\n"])
def test_impossible_host_is_a_usage_error(run: Run, host: str) -> None:
    """Whatever OLLAMA_HOST holds, the answer is one line, status 2 or 1, and JSON where it was asked for."""
    done = run("models", "list", "--json", OLLAMA_HOST=host)
    assert done.status in (1, 2)
    assert done.json["error"]["hint"]


@pytest.mark.parametrize("redirection", [">&-", "> /dev/full"])
def test_output_that_cannot_be_written(run: Run, tmp_path: Path, redirection: str) -> None:
    """A closed or full standard output is no traceback."""
    command = f"{sys.executable} -m pipeline collections list --json --home {tmp_path} {redirection}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
    assert ("cannot write the output" in done.stderr) == (done.returncode == 1)


def test_golden_questions_of_another_collection(run: Run, docs: Path, tmp_path: Path) -> None:
    """Measuring against a collection without the documents is a mistake, not a zero."""
    run("index", docs)
    golden = tmp_path / "golden.jsonl"
    golden.write_text('{"question": "q", "path": "nowhere.md", "quote": "x"}\n')
    done = run("eval", golden)
    assert (done.status, "none of the documents" in done.err) == (2, True)
    golden.write_text("")
    assert run("eval", golden).status == 2


def test_chunks_are_shown_before_anything_is_embedded(run: Run, docs: Path, tmp_path: Path) -> None:
    """Spans, tokens as the model counts them and sizes are told, and nothing is stored."""
    shown = run("chunks", docs, "--chunker", "fixed:16", "--json").json
    assert shown["tokens_exact"] is True
    assert shown["chunker"]["strategy"] == "fixed"
    assert shown["chunk_count"] == len(shown["chunks"]) == sum(row["chunks"] for row in shown["histogram"]) == 4
    for chunk in shown["chunks"]:
        assert Path(chunk["path"]).read_text()[chunk["start"] : chunk["end"]] == chunk["text"]
        assert 0 < chunk["tokens"] <= 16
    assert shown["largest"][0]["tokens"] == max(chunk["tokens"] for chunk in shown["chunks"])
    plain = run("chunks", docs, "--stats")
    assert plain.status == 0
    assert "2 files; 2 chunks" in plain.out
    assert not (tmp_path / "home" / "collections").exists()


def test_preview_counts_as_indexing_does(run: Run, docs: Path) -> None:
    """Empty files and dead links are counted alike by chunks, a dry run and a run, and fail only where asked."""
    (docs / "empty.md").write_text(" \n")
    (docs / "__init__.py").touch()
    (docs / "gone.md").symlink_to("nowhere")
    skipped = {"empty": 2, "link that leads nowhere": 1}
    for command in (("chunks", docs), ("index", docs, "--dry-run"), ("index", docs)):
        done = run(*command, "--json")
        assert (done.status, done.json["skipped"], done.json["failures"]) == (0, skipped, [])
    for command in (("index", docs, "--strict", "--dry-run"), ("index", docs, "--strict")):
        done = run(*command, "--json")
        assert (done.status, len(done.json["failures"]), done.json["skipped"]) == (1, 3, {})


def test_move_that_was_cut_short_is_shown_and_dropped(run: Run, docs: Path, tmp_path: Path) -> None:
    """`list` and `show` say how far a move to another model came, and --drop ends it."""
    run("index", docs)
    collection = tmp_path / "home" / "collections" / "default"
    with embed_server(Behaviour(model="other", dimension=16, poison={"ninety": "400"})) as url:
        failed = run("collections", "re-embed", "default", "--model", "other", "--host", url)
    assert (failed.status, "stopped early; kept: 1 of 2 chunks embedded with other" in failed.err) == (1, True)
    assert "moving to other (16), 1 of 2 chunks embedded" in run("collections", "list").out
    shown = run("collections", "show", "--json").json
    assert shown["moving"] == {"model": "other", "dimension": 16, "chunks": 1, "of": 2}
    assert run("collections", "re-embed", "default", "--drop").status == 0
    assert run("collections", "show", "--json").json["moving"] is None
    assert not (collection / "staging").exists()
    assert run("collections", "re-embed", "default", "--drop").status == 2


def test_prefixes_are_recorded_and_used(run: Run, docs: Path) -> None:
    """What is given once is part of the collection: texts and queries carry it, and other ones are refused."""
    behaviour = Behaviour()
    with embed_server(behaviour) as url:
        run("index", docs, "--host", url, "--query-prefix", "ask: ", "--document-prefix", "text: ")
        assert behaviour.texts
        assert all(text.startswith("text: ") for text in behaviour.texts)
        behaviour.texts.clear()
        assert run("search", "keys", "--mode", "dense", "--host", url).status == 0
        assert behaviour.texts == ["ask: keys"]
        shown = run("collections", "show", "--json").json
        assert (shown["query_prefix"], shown["document_prefix"]) == ("ask: ", "text: ")
        (docs / "more.md").write_text("More.")
        refused = run("index", docs, "--host", url, "--document-prefix", "other: ")
        assert (refused.status, "document prefix 'text: '" in refused.err) == (1, True)


def test_stand_in_is_named_at_first_and_with_errors(tmp_path: Path, models_folder: Path, docs: Path) -> None:
    """Without an Ollama the embedded server is named when it fetches its first model, and beside an error."""
    environment = {**os.environ, "OLLAMA_HOST": "", "PIPELINE_HOME": str(tmp_path / "home")}

    def call(*arguments: object, models: Path) -> str:
        command = [sys.executable, "-m", "pipeline", *map(str, arguments)]
        given = {**environment, "OLLAMA_MODELS": str(models)}
        return subprocess.run(command, capture_output=True, env=given, text=True, check=False).stderr

    said = "no Ollama answers on 127.0.0.1:11434: using the embedded server"
    assert said not in call("index", docs, models=models_folder)
    assert said in call("search", "x", "--no-pull", models=tmp_path / "empty")
    failed = call("index", docs, "-c", "new", "--model", "nothing-such", "--no-pull", models=models_folder)
    assert failed.index(said) < failed.index("error: ")


def test_dry_run_counts_and_measures_and_stores_nothing(run: Run, docs: Path, tmp_path: Path) -> None:
    """What there is to do is told before; once it is done there is nothing to do."""
    before = run("index", docs, "--dry-run", "--json").json
    assert (before["files"], before["to_embed"], before["estimate"]["probed"]) == (2, 2, 2)
    assert before["estimate"]["seconds"] > 0
    assert before["tokens_to_embed"] == before["tokens"]
    assert not (tmp_path / "home" / "collections").exists()
    run("index", docs)
    after = run("index", docs, "--dry-run", "--json").json
    assert after["to_embed"] == 0
    assert after["estimate"] == {"seconds": 0.0, "probed": 0, "tokens_per_second": 0.0}
