"""Who may ask, and what cannot be done: hosts, origins, tokens, sizes, paths, rates, headers."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner

from pipeline.cli.main import command_line
from pipeline.config import Config
from pipeline.errors import UsageError
from pipeline.server import run_in_thread
from pipeline.web import WebApp, WebSettings
from tests.web.conftest import Site

TOKEN = "a-long-token"


@pytest.fixture(scope="module")
def guarded(config: Config) -> Iterator[httpx.Client]:
    """A page that needs a token, and takes few requests."""
    settings = WebSettings(token=TOKEN, rate=0.001, burst=40, body_bytes=1000)
    with WebApp(config, settings) as app, run_in_thread(app) as url, httpx.Client(base_url=url) as client:
        yield client


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example"},
        {"origin": "http://evil.example"},
        {"origin": "http://localhost:3000"},
        {"origin": "null"},
    ],
)
def test_other_hosts_and_origins(client: httpx.Client, headers: dict[str, str]) -> None:
    """DNS rebinding and pages of other origins are refused, other local ones too."""
    reply = client.get("/api/collections", headers=headers)
    assert reply.status_code == 403
    assert reply.json()["error"]["type"] == "Forbidden"
    assert "access-control-allow-origin" not in reply.headers


@pytest.mark.parametrize("relation", ["cross-site", "same-site"])
def test_pictures_and_links_of_other_sites(client: httpx.Client, relation: str) -> None:
    """They send no Origin, but a browser says whose they are; the page itself may be linked to."""
    headers = {"sec-fetch-site": relation, "sec-fetch-mode": "no-cors", "sec-fetch-dest": "image"}
    for path in ("/api/collections/notes/search?q=keys&rerank=auto", "/api/collections/notes/map", "/metrics"):
        assert client.get(path, headers=headers).status_code == 403
    assert client.get("/", headers=headers).status_code == 200
    own = {"sec-fetch-site": "same-origin"}
    assert client.get("/api/collections/notes/search?q=keys", headers=own).status_code == 200


def test_own_origin(client: httpx.Client, site: Site) -> None:
    """The page itself may ask."""
    assert client.get("/api/collections", headers={"origin": site.url}).status_code == 200


def test_security_headers(client: httpx.Client) -> None:
    """On every reply: the page, the API, an error."""
    for path in ("/", "/api/collections", "/nothing"):
        headers = client.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "http" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert "server" not in headers


def test_token(guarded: httpx.Client) -> None:
    """All but the page's own files and /healthz needs it, whole and as a bearer."""
    for wrong in (
        {},
        {"authorization": "Bearer wrong"},
        {"authorization": f"Basic {TOKEN}"},
        {"authorization": f"Bearer {TOKEN}x"},
    ):
        for path in ("/api/collections", "/metrics", "/api/openapi.json", "/v1/models"):
            assert guarded.get(path, headers=wrong).status_code == 401
    right = {"authorization": f"Bearer {TOKEN}"}
    assert guarded.get("/api/collections", headers=right).status_code == 200
    assert "security" in guarded.get("/api/openapi.json", headers=right).json()["paths"]["/api/jobs"]["get"]
    assert guarded.get("/healthz").status_code == 200
    assert guarded.get("/").status_code == 200


def test_body_limit(guarded: httpx.Client) -> None:
    """A longer body is refused, declared or not."""
    for content in (b"x" * 2000, (b"x" * 600 for _ in range(3))):
        reply = guarded.post("/api/chat", content=content)
        assert (reply.status_code, reply.json()["error"]["type"]) == (413, "TooLarge")


@pytest.mark.parametrize("text", ["server busy", "server shutting down"])
def test_refused_before_it_is_read(site: Site, text: str) -> None:
    """What the server refuses by itself is told apart by its status, and has a hint that is true of both."""
    reply = site.app.refusal("/api/chat", 503, text)
    error = json.loads(reply.body)["error"]
    assert (reply.status, error["type"], error["message"]) == (503, "Busy", text)
    assert error["hint"] == "try again in a moment"


def test_rate(guarded: httpx.Client) -> None:
    """Whoever asks too often is told to wait."""
    replies = [guarded.get("/healthz") for _ in range(60)]
    assert replies[-1].status_code == 429
    assert replies[-1].headers["retry-after"] == "1"


def test_beyond_loopback_only_with_a_token() -> None:
    """Nothing is bound without one."""
    result = CliRunner().invoke(command_line, ["web", "--host", "0.0.0.0", "--port", "0"])
    assert isinstance(result.exception, UsageError)
    assert "PIPELINE_WEB_TOKEN" in result.exception.hint


@pytest.mark.parametrize("name", ["..%2Fevil.txt", "..%5Cevil.txt", ".hidden", "a%00b", "%0a", "a" * 201, "%2E%2E"])
def test_upload_names_are_confined(client: httpx.Client, config: Config, name: str) -> None:
    """Only plain names; nothing is written anywhere else."""
    before = {path for path in config.home.rglob("*") if "uploads" in path.parts}
    reply = client.put(f"/api/collections/mine/uploads/{name}", content=b"x")
    assert reply.status_code in (400, 404)
    after = {path for path in config.home.rglob("*") if "uploads" in path.parts and path.is_file()}
    assert after <= before
    assert not (config.home / "evil.txt").exists()


def test_upload_sizes(client: httpx.Client, config: Config) -> None:
    """One file, and all of a collection, are limited; of a refused one nothing stays."""
    place = "/api/collections/full/uploads"
    assert client.put(f"{place}/big.txt", content=(b"x" * 5_000 for _ in range(3))).status_code == 413
    for name in ("a.txt", "b.txt"):
        assert client.put(f"{place}/{name}", content=b"x" * 10_000).status_code == 201
    refused = client.put(f"{place}/c.txt", content=b"x" * 6_000)
    assert refused.json()["error"]["type"] == "TooLarge"
    assert client.put(f"{place}/b.txt", content=b"y" * 9_000).json() == {"name": "b.txt", "bytes": 9000}
    assert {each["name"] for each in client.get(place).json()["files"]} == {"a.txt", "b.txt"}
    assert {path.name for path in (config.home / "uploads").rglob("*") if path.is_file()} >= {"a.txt", "b.txt"}
    assert not list((config.home / "uploads").glob("tmp*"))


@pytest.mark.parametrize("path", ["/etc", "../..", "texts/../../..", "~", "\0"])
def test_only_roots_are_indexed_and_shown(client: httpx.Client, path: str) -> None:
    """A path outside of them is refused, also through a link."""
    reply = client.post("/api/collections/mine/index", json={"paths": [path]})
    assert reply.status_code in (400, 403)
    assert client.get("/api/folders", params={"path": path}).status_code in (400, 403)


def test_link_out_of_a_root(client: httpx.Client, site: Site, tmp_path: Path) -> None:
    """Links are followed before it is looked where they lead."""
    link = site.root / "out"
    link.symlink_to(tmp_path)
    try:
        assert client.get("/api/folders", params={"path": "out"}).status_code == 403
    finally:
        link.unlink()


def test_static_files_stay_in_their_folder(client: httpx.Client) -> None:
    """Names are looked up, not opened."""
    for path in ("/static/../app.py", "/static/%2e%2e/app.py", "/static//etc/passwd", "/static/..%2fapp.py"):
        assert client.get(path).status_code == 404
