"""What the API gives: the shapes of `--json`, documents around a passage, answers whole and streamed."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import click
import httpx
import pytest

from pipeline.cli.main import command_line
from pipeline.collection import Collection
from pipeline.config import Config
from pipeline.web.app import OPERATIONS
from tests.web.conftest import TEXTS, Site

NOTES = "/api/collections/notes"


def printed(config: Config, capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    """What a command prints with --json, for the same home and models."""
    options = ["--home", str(config.home), "--json"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OLLAMA_MODELS", str(config.models))
        patch.setenv("OLLAMA_HOST", "embedded")
        command_line.main([*arguments, *options], standalone_mode=False)
    return json.loads(capsys.readouterr().out)


def streamed(client: httpx.Client, method: str, path: str, **more: Any) -> Iterator[tuple[str, Any]]:
    """The events of a reply, as they come."""
    with client.stream(method, path, **more) as reply:
        assert reply.headers["content-type"] == "text/event-stream", reply.read()
        name = ""
        for line in reply.iter_lines():
            if line.startswith("event: "):
                name = line.removeprefix("event: ")
            elif line.startswith("data: "):
                data = line.removeprefix("data: ")
                yield name, data if data == "[DONE]" else json.loads(data)


def test_search_is_what_the_command_prints(
    client: httpx.Client, site: Site, config: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    """Same hits, same fields, in the same order; only the time differs."""
    asked = {"q": "how often are keys rotated?", "k": 3, "explain": True, "where": "format = markdown"}
    found = client.get(f"{NOTES}/search", params=asked).raise_for_status().json()
    command = ["search", asked["q"], "-c", "notes", "-k", "3", "--explain", "--where", asked["where"]]
    expected = printed(config, capsys, *command)
    assert found.pop("seconds") > 0
    assert expected.pop("seconds") > 0
    for mine, theirs in zip(found["hits"], expected["hits"], strict=True):
        assert mine.pop("score") == pytest.approx(theirs.pop("score"), rel=1e-3)
        for each in (mine, theirs):
            del each["scores"], each["explain"]
    assert found == expected
    assert found["hits"][0]["path"] == str(site.root / "texts/keys.md")


@pytest.mark.parametrize(
    ("asked", "options"),
    [
        ({"parent": "1"}, ["--parent", "1"]),
        ({"parent": "section", "per_document": 1}, ["--parent", "section", "--per-document", "1"]),
        ({"merge": True}, ["--merge"]),
        ({"diversity": 0.7, "collapse": True}, ["--diversity", "0.7", "--collapse"]),
        ({"mode": "lexical", "k": 2}, ["--mode", "lexical", "-k", "2"]),
    ],
)
def test_search_takes_what_the_command_takes(
    client: httpx.Client, config: Config, capsys: pytest.CaptureFixture[str], asked: dict[str, Any], options: list[str]
) -> None:
    """Each option gives the hits that it gives on the command line."""
    words = "how are signing keys rotated and stored?"
    found = client.get(f"{NOTES}/search", params={"q": words, **asked}).raise_for_status().json()
    expected = printed(config, capsys, "search", words, "-c", "notes", *options)
    assert [(hit["chunk_id"], hit["text"]) for hit in found["hits"]] == [
        (hit["chunk_id"], hit["text"]) for hit in expected["hits"]
    ]


def test_every_option_of_the_command_is_in_the_api() -> None:
    """Whoever adds one to `pipeline search` adds it here, or says that it is about the command alone."""
    alone = {"full", "as_json", "names", "query", "model", "home", "host", "timeout", "no_pull"}
    command = command_line.get_command(click.Context(command_line), "search")
    assert command is not None
    options = {each.name for each in command.params} - alone
    described = {each.name for operation in OPERATIONS if operation.name == "search" for each in operation.parameters}
    assert options <= described


def test_like_a_passage(client: httpx.Client, site: Site) -> None:
    """A place in a document stands for a query, and is not found itself."""
    place = f"{site.root / 'texts/keys.md'}:8"
    found = client.get(f"{NOTES}/search", params={"like": place, "k": 2}).raise_for_status().json()
    assert found["like"] == place
    assert len(found["hits"]) == 2
    assert all("ninety days" not in hit["text"] for hit in found["hits"])


@pytest.fixture
def harbour(site: Site, config: Config) -> Iterator[str]:
    """A second collection, which shares one document with `notes`."""
    with Collection("harbour", config) as collection:
        collection.index(site.root / "texts/tides.txt")
    yield "harbour"
    site.client.delete("/api/collections/harbour").raise_for_status()


def test_several_collections(
    client: httpx.Client, config: Config, capsys: pytest.CaptureFixture[str], harbour: str
) -> None:
    """They are searched as one, as the command does it; without names all there are."""
    asked = {"q": "water level in the harbour", "k": 4}
    found = client.get("/api/search", params={**asked, "collections": f"notes,{harbour}"}).raise_for_status().json()
    expected = printed(config, capsys, "search", asked["q"], "-c", "notes", "-c", harbour, "-k", "4")
    assert found["collection"] == ["notes", harbour]
    assert [(hit["collection"], hit["chunk_id"]) for hit in found["hits"]] == [
        (hit["collection"], hit["chunk_id"]) for hit in expected["hits"]
    ]
    assert {hit["collection"] for hit in found["hits"]} == {"notes", harbour}
    all_there_are = client.get("/api/search", params=asked).raise_for_status().json()
    assert {"notes", harbour} <= set(all_there_are["collection"])
    assert client.get("/api/search", params={**asked, "collections": "notes,none"}).status_code == 404
    assert client.get("/api/search", params={**asked, "collections": "notes,../x"}).status_code == 400


def test_rerank(client: httpx.Client) -> None:
    """A chat model judges the hits; `auto` takes the one that would answer. No folder of the server is looked into."""
    asked = {"q": "how often are keys rotated?", "k": 3, "rerank_seconds": 60}
    for model in ("auto", "smollm2:135m"):
        found = client.get(f"{NOTES}/search", params={**asked, "rerank": model}).raise_for_status().json()
        judged = [hit["scores"]["rerank"] for hit in found["hits"]]
        assert all(0 <= score <= 1 for score in judged)
        assert judged == sorted(judged, reverse=True)
        assert [hit["score"] for hit in found["hits"]] == judged
    for folder in ("/etc", "../reranker", "~", "."):
        assert client.get(f"{NOTES}/search", params={**asked, "rerank": folder}).status_code == 400


def test_plan(client: httpx.Client) -> None:
    """A question with two parts is taken apart by rule, one that a chat model plans has what it wrote or a notice."""
    asked = {"q": "how often are keys rotated and where are backups kept?", "k": 3, "explain": "true"}
    found = client.get(f"{NOTES}/search", params={**asked, "plan": "split"}).raise_for_status().json()
    assert found["plan"]["queries"] == ["how often are keys rotated?", "where are backups kept?"]
    assert all(hit["explain"]["plan"]["rank"] == hit["rank"] for hit in found["hits"])
    asked |= {"plan": "hyde", "chat_model": "smollm2:135m", "plan_seconds": 60}
    found = client.get(f"{NOTES}/search", params=asked).raise_for_status().json()
    assert found["plan"]["passage"] or found["notices"]


def test_reranking_is_one_of_few_answers(client: httpx.Client, site: Site) -> None:
    """Where as many answers are written as may be, there is no judging beside them; the search itself goes on."""
    asked = {"q": "keys", "rerank": "auto"}
    with ExitStack() as held:
        for _ in range(site.app.settings.answers):
            held.enter_context(site.app.service.answering())
        assert client.get(f"{NOTES}/search", params=asked).status_code == 503
        assert client.get(f"{NOTES}/search", params={"q": "keys"}).status_code == 200


@pytest.mark.parametrize("command", ["list", "show"])
def test_collections_are_what_the_command_prints(
    client: httpx.Client, config: Config, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    """`collections list` and `collections show NAME`."""
    path, names = ("/api/collections", []) if command == "list" else (NOTES, ["notes"])
    expected = printed(config, capsys, "collections", command, *names)
    found = client.get(path).json()
    if command == "list":
        found["collections"] = [row for row in found["collections"] if row["collection"] == "notes"]
        expected["collections"] = [row for row in expected["collections"] if row["collection"] == "notes"]
    assert found == expected


def test_modes_and_highlights(client: httpx.Client) -> None:
    """Words are found by words; spans count code points, also behind characters outside the basic plane."""
    found = client.get(f"{NOTES}/search", params={"q": "enjoy", "mode": "lexical", "highlight": True}).json()
    assert found["mode"] == "lexical"
    [hit] = found["hits"]
    [[start, end]] = hit["highlights"]
    assert hit["text"][start:end] == "Enjoy"
    assert hit["scores"]["dense"] is None


def test_condition_with_a_mistake_says_where(client: httpx.Client) -> None:
    """The place is given in characters of the condition."""
    reply = client.get(f"{NOTES}/search", params={"q": "x", "where": "path = a and and"})
    assert reply.status_code == 400
    error = reply.json()["error"]
    assert (error["type"], error["at"]) == ("UsageError", 13)
    assert "docs/search.md" in error["hint"]


def test_document_around_a_passage(client: httpx.Client) -> None:
    """The stored passages, in order; together they are the text, and the one asked for is named."""
    hit = client.get(f"{NOTES}/search", params={"q": "where do keys live", "k": 1}).json()["hits"][0]
    place = f"{NOTES}/documents/{hit['document_id']}"
    whole = client.get(place, params={"around": hit["chunk_id"]}).raise_for_status().json()
    assert whole["path"] == hit["path"]
    assert whole["metadata"]["author"] == "Mary"
    assert whole["passages"][whole["at"]]["text"] == hit["text"]
    assert [each["number"] for each in whole["passages"]] == list(range(whole["total"]))
    text = "\n\n".join(each["text"][each["overlap"] :] for each in whole["passages"])
    assert text.split() == TEXTS["keys.md"].split("---\n")[-1].split()
    part = client.get(place, params={"first": 0, "count": 1}).json()
    assert part["passages"] == whole["passages"][:1]
    assert part["at"] is None


@pytest.mark.parametrize(
    ("path", "status", "kind"),
    [
        ("/api/collections/none/search?q=x", 404, "CollectionNotFound"),
        ("/api/collections/..%2f..%2fetc/search?q=x", 404, "NotFound"),
        ("/api/collections/..%00/search?q=x", 400, "UsageError"),
        (f"{NOTES}/search", 400, "UsageError"),
        (f"{NOTES}/search?q=x&k=0", 400, "UsageError"),
        (f"{NOTES}/search?q=x&k=ten", 400, "UsageError"),
        (f"{NOTES}/search?q=x&mode=magic", 400, "UsageError"),
        (f"{NOTES}/search?q=x&limit=3", 400, "UsageError"),
        (f"{NOTES}/documents/none", 400, "UsageError"),
        ("/api/jobs/77", 404, "NotFound"),
        ("/api/nothing", 404, "NotFound"),
        ("/static/nothing.js", 404, "NotFound"),
    ],
)
def test_errors_are_json(client: httpx.Client, path: str, status: int, kind: str) -> None:
    """With a type, a message and a hint; never a traceback."""
    reply = client.get(path)
    assert reply.status_code == status
    assert reply.json()["error"]["type"] == kind
    assert "Traceback" not in reply.text


def test_wrong_method(client: httpx.Client) -> None:
    """405 says what would be right."""
    reply = client.post(f"{NOTES}/search")
    assert (reply.status_code, reply.headers["allow"]) == (405, "GET")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        b'{"question": 3}',
        b'{"question": ""}',
        b'{"question": "x", "k": 1e400}',
        b'{"question": "\\ud800"}',
    ],
)
def test_bodies_are_checked(client: httpx.Client, body: bytes) -> None:
    """What the schema does not allow is refused before anything is done."""
    reply = client.post(f"{NOTES}/ask", content=body)
    assert reply.status_code == 400
    assert reply.json()["error"]["type"] == "UsageError"


def test_ask(client: httpx.Client) -> None:
    """The whole answer has the shape of `ask --json`, and its citations name passages that it got."""
    body = {"question": "How often are signing keys rotated?", "k": 2}
    answer = client.post(f"{NOTES}/ask", json=body).raise_for_status().json()
    assert answer["question"] == body["question"]
    assert len(answer["hits"]) == 2
    assert {each["number"] for each in answer["citations"]} <= {1, 2}
    assert answer["model"] == "smollm2:135m"


def test_ask_streamed(client: httpx.Client) -> None:
    """Pieces come first; the last event is the whole answer."""
    body = {"question": "How often are signing keys rotated?", "k": 2, "stream": True}
    *pieces, last = streamed(client, "POST", f"{NOTES}/ask", json=body)
    assert {name for name, _ in pieces} <= {"piece"}
    assert last[0] == "answer"
    assert last[1]["question"] == body["question"]


def test_ask_on(client: httpx.Client) -> None:
    """A question that points back is made to stand alone, which is told before the answer; one that does not is left."""
    history = [{"question": "How often are signing keys rotated?", "answer": "Every ninety days."}]
    body = {"question": "And who does it?", "history": history, "k": 2, "stream": True}
    (name, told), *_, (_, answer) = streamed(client, "POST", f"{NOTES}/ask", json=body)
    assert name == "standalone"
    assert "keys" in told["question"]
    assert (answer["question"], answer["standalone"]) == (body["question"], told["question"])
    alone = {"question": "How long does the dough rest?", "history": history, "k": 2}
    answer = client.post(f"{NOTES}/ask", json=alone).raise_for_status().json()
    assert answer["standalone"] == alone["question"]


def test_ask_streamed_fails_inside_the_stream(client: httpx.Client) -> None:
    """The status has been sent: the error is the last event."""
    body = {"question": "x", "where": "no_such_field = 1", "stream": True}
    [(name, value)] = streamed(client, "POST", f"{NOTES}/ask", json=body)
    assert name == "error"
    assert "no_such_field" in value["error"]["message"]


def test_conversation(client: httpx.Client) -> None:
    """The chat model gets what was said before, and answers in pieces."""
    messages = [
        {"role": "user", "content": "My name is Ada."},
        {"role": "assistant", "content": "Hello Ada."},
        {"role": "user", "content": "Say hello."},
    ]
    *pieces, (name, value) = streamed(client, "POST", "/api/chat", json={"messages": messages})
    assert name == "answer"
    assert value["answer"] == "".join(piece["text"] for _, piece in pieces)
    assert value["model"] == "smollm2:135m"


def test_models_are_what_the_command_prints(
    client: httpx.Client, config: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    """`models list`."""
    assert client.get("/api/models").json() == printed(config, capsys, "models", "list")


def test_health_and_metrics(client: httpx.Client) -> None:
    """Each operation is counted by its name and status."""
    assert client.get("/healthz").json() == {"status": "ok"}
    client.get("/api/jobs/none")
    reply = client.get("/metrics")
    assert reply.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = dict(line.rsplit(" ", 1) for line in reply.text.splitlines() if not line.startswith("#"))
    assert float(lines['pipeline_http_requests_total{operation="job",method="GET",status="404"}']) >= 1
    buckets = [float(value) for name, value in lines.items() if 'bucket{operation="health"' in name]
    assert buckets == sorted(buckets)
    assert buckets[-1] == float(lines['pipeline_http_request_seconds_count{operation="health"}'])
