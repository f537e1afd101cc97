"""Pulling from and pushing to a registry on a real socket: what is sent, what is said, what is in the store then."""

import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import ollama
import pytest

from pipeline.server import App, InProcessTransport, ModelStore, run_in_thread
from pipeline.server.exchange import Cancellation, RequestCanceled
from pipeline.server.registry import download, parse_reference
from pipeline.server.registry.connection import Registry
from tests.server.make_model import tiny_gguf
from tests.server.registry_server import LocalRegistry, running

LARGE = 2**21
CONFIG = {"model_format": "gguf", "model_family": "llama", "model_families": ["llama"], "model_type": "128", "file_type": "F16"}  # fmt: skip


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path / "models")


@pytest.fixture
def client(store: ModelStore) -> Iterator[httpx.Client]:
    with App(store) as app, httpx.Client(transport=InProcessTransport(app), base_url="http://embedded") as client:
        yield client


@pytest.fixture
def content(tmp_path: Path) -> bytes:
    """A model of two megabytes."""
    return tiny_gguf(tmp_path / "tiny.gguf").read_bytes().ljust(LARGE, b"\0")


@pytest.fixture
def registry(content: bytes) -> Iterator[LocalRegistry]:
    with running() as registry:
        registry.add("library/tiny", "latest", [("model", content), ("system", b"Be terse.")], CONFIG)
        yield registry


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Attempts follow each other at once, and no key of whoever runs the tests is used."""
    monkeypatch.setattr(download, "FIRST_PAUSE_SECONDS", 0.001)
    monkeypatch.setattr("pipeline.server.registry.upload.FIRST_PAUSE_SECONDS", 0.001)
    monkeypatch.setenv("HOME", str(tmp_path))


def name_in(registry: LocalRegistry, name: str = "library/tiny") -> str:
    return f"http://{registry.host}/{name}"


def pull(client: httpx.Client, model: str, **fields: Any) -> list[Any]:
    reply = client.post("/api/pull", json={"model": model, **fields}, timeout=60)
    return [json.loads(line) for line in reply.text.splitlines()]


def short(digest: str) -> str:
    return digest[7:19]


def digests(manifest: bytes) -> list[str]:
    content = json.loads(manifest)
    return [part["digest"] for part in (*content["layers"], content["config"])]


def distinct(lines: list[Any]) -> list[str]:
    """The statuses, each once, in order."""
    return list(dict.fromkeys(line["status"] for line in lines))


def test_pull(client: httpx.Client, store: ModelStore, registry: LocalRegistry, content: bytes) -> None:
    """The real server's lines in its order; manifest and blobs stand in the store byte for byte, and nothing else."""
    lines = pull(client, name_in(registry))
    manifest = registry.manifests["library/tiny", "latest"]
    assert distinct(lines) == [
        "pulling manifest",
        *(f"pulling {short(digest)}" for digest in digests(manifest)),
        "verifying sha256 digest",
        "writing manifest",
        "success",
    ]
    last = [line for line in lines if line.get("digest") == digests(manifest)[0]][-1]
    assert last == {
        "status": f"pulling {short(last['digest'])}",
        "digest": last["digest"],
        "total": LARGE,
        "completed": LARGE,
    }
    place = store.manifests / registry.host / "library" / "tiny" / "latest"
    assert place.read_bytes() == manifest
    assert sorted(path.name for path in store.blobs.iterdir()) == sorted(
        digest.replace(":", "-") for digest in digests(manifest)
    )
    model = store.find(f"{registry.host}/library/tiny")
    assert model is not None
    assert (model.model_path.read_bytes(), model.system) == (content, "Be terse.")
    shown = client.post("/api/show", json={"model": f"{registry.host}/library/tiny"}).json()
    assert (shown["system"], shown["details"]["family"]) == ("Be terse.", "llama")


def test_pull_again(client: httpx.Client, registry: LocalRegistry) -> None:
    """What is there is not asked for, only the manifest is."""
    pull(client, name_in(registry))
    registry.requests.clear()
    lines = pull(client, name_in(registry))
    assert lines[1]["completed"] == lines[1]["total"] == LARGE
    assert lines[-1] == {"status": "success"}
    assert [path for _, path, _ in registry.requests] == ["/v2/library/tiny/manifests/latest"]


def test_pull_of_a_newer_model(
    client: httpx.Client, store: ModelStore, registry: LocalRegistry, content: bytes
) -> None:
    """Blobs that only the model's forerunner had are removed, and that is said."""
    pull(client, name_in(registry))
    before = digests(registry.manifests["library/tiny", "latest"])
    after = registry.add("library/tiny", "latest", [("model", content), ("system", b"Be kind.")], CONFIG)
    assert distinct(pull(client, name_in(registry)))[-2:] == ["removing unused layers", "success"]
    assert not store.blob_path(before[1]).exists()
    assert all(store.blob_path(digest).is_file() for digest in digests(after))


def test_python_client_pulls(store: ModelStore, registry: LocalRegistry) -> None:
    """Ollama's own client follows the stream to its end, over a socket."""
    with App(store) as app, run_in_thread(app) as url:
        client = ollama.Client(host=url)
        statuses = [progress.status for progress in client.pull(name_in(registry), stream=True)]
        assert (statuses[0], statuses[-1]) == ("pulling manifest", "success")
        names = [model.model for model in client.list().models]
        assert names == [f"{registry.host}/library/tiny:latest"]
        assert client.pull(name_in(registry), stream=False).status == "success"
        client._client.close()


@pytest.mark.parametrize("cuts", [1, 5])
def test_cut_connection(client: httpx.Client, store: ModelStore, registry: LocalRegistry, cuts: int) -> None:
    """A download that is cut goes on where it was cut, as often as the real server tries."""
    registry.cuts, registry.cut_after = cuts, 2**18
    assert pull(client, name_in(registry))[-1] == {"status": "success"}
    ranges = [headers["range"] for _, headers in registry.asked("GET") if "range" in headers]
    assert ranges[: cuts + 1] == [f"bytes={number * 2**18}-{LARGE - 1}" for number in range(cuts + 1)]
    assert store.find(f"{registry.host}/library/tiny") is not None


def test_connection_that_is_always_cut(client: httpx.Client, store: ModelStore, registry: LocalRegistry) -> None:
    """It is given up after the real server's number of attempts; the next pull goes on from what is there."""
    registry.cuts, registry.cut_after = 6, 2**17
    assert pull(client, name_in(registry))[-1] == {"error": "max retries exceeded: unexpected EOF"}
    assert store.list() == []
    blob = store.blob_path(digests(registry.manifests["library/tiny", "latest"])[0])
    part = json.loads(blob.with_name(f"{blob.name}-partial-0").read_bytes())
    assert part == {"N": 0, "Offset": 0, "Size": LARGE, "Completed": 6 * 2**17}
    registry.requests.clear()
    assert pull(client, name_in(registry))[-1] == {"status": "success"}
    ranges = [headers["range"] for _, headers in registry.asked("GET") if "range" in headers]
    assert ranges[0] == f"bytes={6 * 2**17}-{LARGE - 1}"


def test_parts(
    client: httpx.Client, store: ModelStore, registry: LocalRegistry, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A large blob is fetched in ranges that cover it, and is whole at the end."""
    monkeypatch.setattr(download, "SMALLEST_PART", 300_000)
    registry.storage = True
    assert pull(client, name_in(registry))[-1] == {"status": "success"}
    ranges = sorted(headers["range"] for _, headers in registry.asked("GET", "/storage/") if "range" in headers)
    starts = range(0, LARGE, 300_000)
    assert ranges[: len(starts)] != []
    assert {f"bytes={start}-{min(start + 300_000, LARGE) - 1}" for start in starts} <= set(ranges)
    model = store.find(f"{registry.host}/library/tiny")
    assert model is not None
    assert model.model_path.read_bytes() == content


def test_server_without_ranges(
    client: httpx.Client, store: ModelStore, registry: LocalRegistry, content: bytes
) -> None:
    """What comes before the wanted range is passed over."""
    registry.without_ranges, registry.cuts, registry.cut_after = True, 1, 2**18
    assert pull(client, name_in(registry))[-1] == {"status": "success"}
    model = store.find(f"{registry.host}/library/tiny")
    assert model is not None
    assert model.model_path.read_bytes() == content


def test_partial_of_a_real_server(
    client: httpx.Client, store: ModelStore, registry: LocalRegistry, content: bytes
) -> None:
    """A download that a real Ollama has begun, in its own files, is finished."""
    blob = store.blob_path(digests(registry.manifests["library/tiny", "latest"])[0])
    blob.parent.mkdir(parents=True)
    blob.with_name(f"{blob.name}-partial").write_bytes(content[: LARGE // 2].ljust(LARGE, b"x"))
    for number, done in enumerate((LARGE // 2, 0)):
        record = {"N": number, "Offset": number * LARGE // 2, "Size": LARGE // 2, "Completed": done}
        blob.with_name(f"{blob.name}-partial-{number}").write_text(json.dumps(record) + "\n")
    assert pull(client, name_in(registry))[-1] == {"status": "success"}
    ranges = [headers["range"] for _, headers in registry.asked("GET") if "range" in headers]
    assert ranges[0] == f"bytes={LARGE // 2}-{LARGE - 1}"
    assert blob.read_bytes() == content


@pytest.mark.parametrize("damage", ["not json", '{"N":0,"Offset":5,"Size":10,"Completed":0}', '{"N":0}'])
def test_damaged_partial(
    client: httpx.Client, store: ModelStore, registry: LocalRegistry, content: bytes, damage: str
) -> None:
    """Parts that do not fit together are thrown away, and the blob is fetched from its beginning."""
    blob = store.blob_path(digests(registry.manifests["library/tiny", "latest"])[0])
    blob.parent.mkdir(parents=True)
    blob.with_name(f"{blob.name}-partial").write_bytes(b"x" * 10)
    blob.with_name(f"{blob.name}-partial-0").write_text(damage)
    assert pull(client, name_in(registry))[-1] == {"status": "success"}
    assert blob.read_bytes() == content


def test_wrong_digest(client: httpx.Client, store: ModelStore, registry: LocalRegistry, content: bytes) -> None:
    """What is not what it should be is named, thrown away and not served; once it is right, a pull gets it."""
    digest = digests(registry.manifests["library/tiny", "latest"])[0]
    registry.blobs[digest] = content[:-1] + b"x"
    lines = pull(client, name_in(registry))
    found = hashlib.sha256(registry.blobs[digest]).hexdigest()
    assert lines[-2:] == [
        {"status": "verifying sha256 digest"},
        {"error": f"digest mismatch, file must be downloaded again: want {digest}, got sha256:{found}"},
    ]
    assert store.list() == []
    assert [path for path in store.blobs.iterdir() if digest[7:] in path.name] == []
    registry.blobs[digest] = content
    assert pull(client, name_in(registry))[-1] == {"status": "success"}


def test_redirect_to_another_host(client: httpx.Client, registry: LocalRegistry) -> None:
    """The bytes come from where the registry points, which never sees the token."""
    registry.storage = registry.sign_in = True
    assert pull(client, name_in(registry))[-1] == {"status": "success"}
    assert len(registry.asked("GET", "/storage/")) == 3


def test_sign_in_with_a_key(client: httpx.Client, registry: LocalRegistry, tmp_path: Path) -> None:
    """A challenge is met with the user's key, whose signature the registry checks."""
    registry.sign_in, registry.key = True, make_key(tmp_path)
    assert pull(client, name_in(registry))[-1] == {"status": "success"}


def test_sign_in_without_a_key(client: httpx.Client, registry: LocalRegistry) -> None:
    """Without a key the token is asked for anonymously; what the registry answers is passed on."""
    registry.sign_in = True
    assert pull(client, name_in(registry))[-1] == {"status": "success"}
    registry.key = "another"
    assert pull(client, name_in(registry))[-1] == {"error": "pull model manifest: 401: who?"}


def test_token_is_not_asked_for_elsewhere(client: httpx.Client, registry: LocalRegistry) -> None:
    """A registry cannot make the server sign for another host."""
    registry.sign_in, registry.realm = True, "http://elsewhere.example/token"
    expected = f'realm host "elsewhere.example" does not match original host "{registry.host}"'
    assert pull(client, name_in(registry))[-1] == {"error": f"pull model manifest: {expected}"}


def test_token_that_does_not_help(client: httpx.Client, registry: LocalRegistry) -> None:
    """A second refusal is final."""
    registry.sign_in, registry.accepted = True, "another"
    assert pull(client, name_in(registry))[-1] == {"error": "pull model manifest: unauthorized: access denied"}


def test_unknown_model(client: httpx.Client, registry: LocalRegistry) -> None:
    """The real server's words, in the stream or with a status."""
    expected = {"error": "pull model manifest: file does not exist"}
    assert pull(client, name_in(registry, "library/none")) == [{"status": "pulling manifest"}, expected]
    reply = client.post("/api/pull", json={"model": name_in(registry, "library/none"), "stream": False})
    assert (reply.status_code, reply.json()) == (500, expected)


def test_server_that_fails(client: httpx.Client, registry: LocalRegistry) -> None:
    """Its status and its words are passed on."""
    registry.answers = {"GET": [503]}
    assert pull(client, name_in(registry))[-1] == {"error": "pull model manifest: 503: because"}


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        (b"<html>", "the registry's manifest cannot be read: JSONDecodeError"),
        (b"{}", "the registry's manifest cannot be read: KeyError('layers')"),
        (b'{"layers": [{"digest": "../../x", "size": 1}]}', "invalid digest format"),
        (
            b'{"layers": [{"mediaType": "application/vnd.ollama.image.tensor"}]}',
            "this model requires MLX support, but the MLX runtime is not available",
        ),
        (b" " * 5_000_000, "is larger than 4194304 bytes"),
    ],
    ids=["no JSON", "no layers", "a path", "MLX", "too large"],
)
def test_manifest_that_is_none(
    client: httpx.Client, store: ModelStore, registry: LocalRegistry, manifest: bytes, message: str
) -> None:
    """It is refused before anything is written."""
    registry.manifests["library/tiny", "latest"] = manifest
    error = pull(client, name_in(registry))[-1]["error"]
    assert error.startswith("pull model manifest: ")
    assert message in error
    assert not store.root.exists()


def test_blob_that_is_not_there(client: httpx.Client, store: ModelStore, registry: LocalRegistry) -> None:
    """A manifest that names it does not come into the store."""
    del registry.blobs[digests(registry.manifests["library/tiny", "latest"])[1]]
    assert pull(client, name_in(registry))[-1] == {"error": "file does not exist"}
    assert store.list() == []


def test_nobody_listens(client: httpx.Client) -> None:
    """A refused connection is said at once, with the address."""
    with running() as registry:
        host = registry.host
    assert pull(client, f"http://{host}/library/x")[-1] == {
        "error": f'pull model manifest: Get "http://{host}/v2/library/x/manifests/latest": dial tcp {host}: connect: connection refused'
    }


def test_plain_http(client: httpx.Client, registry: LocalRegistry) -> None:
    """Without `insecure` a registry elsewhere is not spoken to in the clear, and one without a scheme is spoken to by TLS."""
    reply = client.post("/api/pull", json={"model": "http://registry.example/library/x"})
    assert (reply.status_code, reply.json()) == (500, {"error": "insecure protocol http"})
    assert registry.requests == []
    error = pull(client, f"{registry.host}/library/tiny")[-1]["error"]
    assert error.endswith("http: server gave HTTP response to HTTPS client")
    assert pull(client, f"{registry.host}/library/tiny", insecure=True)[-1] == {"status": "success"}


def test_no_such_host(client: httpx.Client) -> None:
    """A name that neither the package index nor a registry has is an error that says so, without a wait."""
    error = pull(client, "registry.invalid/library/x")[-1]["error"]
    assert error.startswith(
        'pull model manifest: Get "https://registry.invalid/v2/library/x/manifests/latest": dial tcp'
    )
    assert "package index" not in error


def test_disk_is_full(
    client: httpx.Client, store: ModelStore, registry: LocalRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Too little space is said before anything is downloaded."""
    digest = digests(registry.manifests["library/tiny", "latest"])[0]
    monkeypatch.setattr(download.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 10**6}))
    error = pull(client, name_in(registry))[-1]["error"]
    assert error.startswith("no space left on device: 3 MB are needed in ")
    assert [path for path, headers in registry.asked("GET") if "range" in headers and digest in path] == []


def test_file_that_cannot_be_written(client: httpx.Client, store: ModelStore, registry: LocalRegistry) -> None:
    """It ends the pull with the real server's words, without further attempts."""
    blob = store.blob_path(digests(registry.manifests["library/tiny", "latest"])[0])
    blob.parent.mkdir(parents=True)
    blob.with_name(f"{blob.name}-partial").symlink_to("/dev/full")
    error = pull(client, name_in(registry))[-1]["error"]
    assert error.startswith(f"write {blob}-partial: ")
    assert store.list() == []


def test_two_clients_share_a_download(store: ModelStore, registry: LocalRegistry) -> None:
    """Both follow one download to its end; each byte is sent once."""
    registry.held, registry.cut_after = threading.Event(), 2**17
    with App(store) as app, run_in_thread(app) as url:
        results: list[list[Any]] = []

        def work() -> None:
            with httpx.Client(base_url=url) as client:
                results.append(pull(client, name_in(registry)))

        threads = [threading.Thread(target=work) for _ in range(2)]
        for thread in threads:
            thread.start()
        assert registry.holding.wait(30)
        while len(registry.asked("GET", "/v2/library/tiny/manifests/")) < 2:
            registry.holding.wait(0.01)
        registry.held.set()
        for thread in threads:
            thread.join(60)
    assert [lines[-1] for lines in results] == [{"status": "success"}] * 2
    ranges = [path for path, headers in registry.asked("GET") if "range" in headers]
    assert len(ranges) == len(set(ranges)) == 3


def test_client_that_goes_away(store: ModelStore, registry: LocalRegistry) -> None:
    """The download stops and leaves what it has; nothing is served, and the next pull goes on from there."""
    registry.held, registry.cut_after = threading.Event(), 2**20
    with App(store) as app, run_in_thread(app) as url:
        with httpx.Client(base_url=url) as client:
            with client.stream("POST", "/api/pull", json={"model": name_in(registry)}) as reply:
                assert any(json.loads(line).get("completed") == 2**20 for line in reply.iter_lines())
            blob = store.blob_path(digests(registry.manifests["library/tiny", "latest"])[0])
            part = blob.with_name(f"{blob.name}-partial-0")
            while json.loads(part.read_bytes())["Completed"] != 2**20:
                registry.held.wait(0.01)
            assert client.get("/api/tags").json() == {"models": []}
            registry.held.set()
            registry.held = None
            registry.requests.clear()
            assert pull(client, name_in(registry))[-1] == {"status": "success"}
    ranges = [headers["range"] for _, headers in registry.asked("GET") if "range" in headers]
    assert ranges[0] == f"bytes={2**20}-{LARGE - 1}"


def test_hanging_up_is_no_failure_of_the_registry(registry: LocalRegistry) -> None:
    """Who cancels a request in the middle of its reply is told that, and not that the registry broke it off."""
    registry.held, registry.cut_after = threading.Event(), 2**16
    cancellation = Cancellation()
    digest = digests(registry.manifests["library/tiny", "latest"])[0]

    def hang_up() -> None:
        assert registry.holding.wait(30)
        cancellation.set()

    thread = threading.Thread(target=hang_up)
    thread.start()
    with Registry(parse_reference(name_in(registry))) as connection, pytest.raises(RequestCanceled):
        connection.read("GET", f"blobs/{digest}", headers={"range": f"bytes=0-{2**17 - 1}"}, cancellation=cancellation)
    thread.join()
    registry.held.set()


def test_one_of_two_clients_goes_away(store: ModelStore, registry: LocalRegistry) -> None:
    """The other one's download goes on."""
    registry.held, registry.cut_after = threading.Event(), 2**17
    with App(store) as app, run_in_thread(app) as url, httpx.Client(base_url=url) as client:
        results: list[Any] = []
        with client.stream("POST", "/api/pull", json={"model": name_in(registry)}):
            assert registry.holding.wait(30)
            thread = threading.Thread(target=lambda: results.extend(pull(client, name_in(registry))))
            thread.start()
            while len(registry.asked("GET", "/v2/library/tiny/manifests/")) < 2:
                registry.holding.wait(0.01)
        registry.held.set()
        thread.join(60)
    assert results[-1] == {"status": "success"}


def test_server_that_is_stopped_in_mid_pull(store: ModelStore, registry: LocalRegistry) -> None:
    """SIGTERM ends it within its grace; what has come is kept, nothing is served, and another server goes on from there."""
    registry.held, registry.cut_after = threading.Event(), 2**20
    program = [sys.executable, "-m", "pipeline", "serve", "--host", "127.0.0.1:0", "--json"]
    environment = {**os.environ, "OLLAMA_MODELS": str(store.root)}
    with subprocess.Popen(program, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as server:
        try:
            assert server.stdout is not None
            url = json.loads(server.stdout.readline())["url"]
            with httpx.stream("POST", f"{url}/api/pull", json={"model": name_in(registry)}, timeout=60) as reply:
                received = reply.iter_lines()
                assert any(json.loads(line).get("completed") == 2**20 for line in received)
                # The second signal does not wait for the grace to pass.
                server.send_signal(signal.SIGTERM)
                next(received)
                server.send_signal(signal.SIGTERM)
                assert json.loads(list(received)[-1]) == {"error": "the server is shutting down"}
                assert server.wait(60) == 0
        finally:
            server.kill()
    assert store.list() == []
    registry.held.set()
    registry.held = None
    registry.requests.clear()
    with App(store) as app, httpx.Client(transport=InProcessTransport(app), base_url="http://embedded") as client:
        assert pull(client, name_in(registry))[-1] == {"status": "success"}
    ranges = [headers["range"] for _, headers in registry.asked("GET") if "range" in headers]
    assert ranges[0] == f"bytes={2**20}-{LARGE - 1}"


def test_registry_that_never_answers_does_not_hold_up_who_cancels() -> None:
    """The wait for a reply's first byte is broken off, not waited out."""
    cancellation = Cancellation()

    def accept() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(1)
            cancellation.set()
            while connection.recv(65536):
                pass

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=accept)
        thread.start()
        reference = parse_reference(f"http://127.0.0.1:{listener.getsockname()[1]}/mine/silent")
        with Registry(reference) as silent, pytest.raises(RequestCanceled):
            silent.read("GET", "/v2/mine/silent/manifests/latest", cancellation=cancellation)
        thread.join(60)
    assert not thread.is_alive()


def push(client: httpx.Client, model: str, **fields: Any) -> list[Any]:
    reply = client.post("/api/push", json={"model": model, **fields}, timeout=60)
    return [json.loads(line) for line in reply.text.splitlines()]


@pytest.mark.parametrize("storage", [False, True], ids=["to the registry", "to its storage"])
def test_push_and_pull(
    client: httpx.Client, store: ModelStore, registry: LocalRegistry, content: bytes, storage: bool,
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
) -> None:  # fmt: skip
    """A model that is pushed in parts and pulled into a second store has the same digests there."""
    monkeypatch.setattr("pipeline.server.registry.upload.SMALLEST_PART", 700_000)
    pull(client, name_in(registry))
    first = store.find(f"{registry.host}/library/tiny")
    assert first is not None
    with running(LocalRegistry(sign_in=True, storage=storage)) as second:
        name = f"{second.host}/mine/tiny:v1"
        store.copy(first.name, name)
        lines = push(client, f"http://{name}")
        manifest = second.manifests["mine/tiny", "v1"]
        assert distinct(lines) == [
            "retrieving manifest",
            *(f"pushing {short(digest)}" for digest in digests(manifest)),
            "pushing manifest",
            "success",
        ]
        done = [line for line in lines if line.get("digest") == digests(manifest)[0]][-1]
        assert (done["total"], done["completed"]) == (LARGE, LARGE)
        assert second.blobs[digests(manifest)[0]] == content
        again = push(client, f"http://{name}")
        assert [line.get("completed") for line in again if "digest" in line] == [
            line["total"] for line in again if "digest" in line
        ]
        other = ModelStore(tmp_path / "other")
        with App(other) as app, httpx.Client(transport=InProcessTransport(app), base_url="http://embedded") as reader:
            assert pull(reader, f"http://{name}")[-1] == {"status": "success"}
        pulled = other.find(name)
        assert pulled is not None
        assert (pulled.digest, pulled.model_path.name) == (first.digest, first.model_path.name)
        assert pulled.model_path.read_bytes() == content


def test_push_of_a_model_that_the_registry_half_has(
    client: httpx.Client, store: ModelStore, registry: LocalRegistry
) -> None:
    """Blobs that the registry can take from the model's parent are not sent."""
    pull(client, name_in(registry))
    name = f"{registry.host}/library/tiny"
    made = client.post(
        "/api/create", json={"model": f"{registry.host}/mine/made", "from": name, "system": "New.", "stream": False}
    )
    assert made.json() == {"status": "success"}
    registry.hides = True
    registry.requests.clear()
    lines = push(client, f"http://{registry.host}/mine/made")
    assert lines[-1] == {"status": "success"}
    assert [line for line in lines if line.get("total") == LARGE][-1]["completed"] == LARGE
    sent = {headers["content-length"] for _, headers in registry.asked("PATCH")}
    assert str(len("New.")) in sent
    assert str(LARGE) not in sent
    assert "from=library%2Ftiny" in registry.asked("POST")[0][0]


def test_push_that_is_tried_again(client: httpx.Client, registry: LocalRegistry) -> None:
    """A part that fails is sent again; one that always fails ends the push with the registry's words."""
    pull(client, name_in(registry))
    with running() as second:
        client.post("/api/copy", json={"source": f"{registry.host}/library/tiny", "destination": f"{second.host}/a/b"})
        second.answers = {"PATCH": [500, 502]}
        assert push(client, f"http://{second.host}/a/b")[-1] == {"status": "success"}
        second.blobs.clear()
        second.answers = {"PATCH": [500] * 6}
        lines = push(client, f"http://{second.host}/a/b")
        assert lines[-1] == {"error": "max retries exceeded: 500: because"}


def test_push_of_nothing(client: httpx.Client, store: ModelStore) -> None:
    """A model that is not here, no name, plain HTTP to elsewhere."""
    place = store.manifests / "registry.ollama.ai" / "library" / "none" / "latest"
    assert push(client, "none") == [
        {"status": "retrieving manifest"},
        {"status": "couldn't retrieve manifest"},
        {"error": f"open {place}: no such file or directory"},
    ]
    assert client.post("/api/push", json={}).json() == {"error": "model is required"}
    assert push(client, "http://registry.example/a/b")[-1] == {"error": "insecure protocol http"}


def make_key(home: Path) -> str:
    """A key where the real server keeps its own; returns the public half."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

    key = Ed25519PrivateKey.generate()
    (home / ".ollama").mkdir()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    (home / ".ollama" / "id_ed25519").write_bytes(private)
    return key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).split()[1].decode()
