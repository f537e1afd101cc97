"""A registry on a real socket, over blobs in memory: the protocol that Ollama's registry speaks, and its failures.

What is to go wrong is set on the `LocalRegistry`; what was asked stands in its `requests`.
"""

import base64
import contextlib
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

MANIFEST = re.compile(r"/v2/(.+)/manifests/([^/]+)")
BLOB = re.compile(r"/v2/(.+)/blobs/(sha256:[0-9a-f]{64})")
SESSION = re.compile(r"/v2/(.+)/blobs/uploads/")
MANIFEST_TYPE = "application/vnd.docker.distribution.manifest.v2+json"
PIECE = 2**16


@dataclass
class LocalRegistry:
    """`cuts` replies with a blob end after `cut_after` bytes; with `held`, each one stops there until that is set.

    `storage` sends readers and writers on to another host's address for the bytes. `sign_in` asks for a token;
    with `key`, a public key, only who signs with it gets one. With `hides`, blobs are there for who mounts them only. `answers` are statuses for the next requests by method.
    """

    blobs: dict[str, bytes] = field(default_factory=dict)
    manifests: dict[tuple[str, str], bytes] = field(default_factory=dict)
    requests: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    cuts: int = 0
    cut_after: int = 0
    held: threading.Event | None = None
    holding: threading.Event = field(default_factory=threading.Event)
    without_ranges: bool = False
    storage: bool = False
    sign_in: bool = False
    realm: str = ""
    key: str = ""
    accepted: str = "let-me-in"
    hides: bool = False
    answers: dict[str, list[int]] = field(default_factory=dict)
    uploads: dict[str, bytearray] = field(default_factory=dict)
    host: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, repository: str, tag: str, layers: list[tuple[str, bytes]], config: dict[str, Any]) -> bytes:
        """Stores a model of `layers`, each with the last word of its media type; returns its manifest."""

        def named(media_type: str, content: bytes) -> dict[str, Any]:
            digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
            self.blobs[digest] = content
            return {"mediaType": media_type, "digest": digest, "size": len(content)}

        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": named("application/vnd.docker.container.image.v1+json", json.dumps(config).encode()),
            "layers": [named(f"application/vnd.ollama.image.{kind}", content) for kind, content in layers],
        }
        self.manifests[repository, tag] = json.dumps(manifest).encode()
        return self.manifests[repository, tag]

    def asked(self, method: str, start: str = "/") -> list[tuple[str, dict[str, str]]]:
        """The addresses and headers of the requests so far."""
        return [(path, headers) for verb, path, headers in self.requests if verb == method and path.startswith(start)]

    def token_for(self, authorization: str, url: str) -> bool:
        """Whether a request for a token may have one: any, or one that is signed with the key."""
        if not self.key:
            return True
        from cryptography.hazmat.primitives.serialization import load_ssh_public_key

        public, _, signed = authorization.partition(":")
        nothing = base64.b64encode(hashlib.sha256(b"").hexdigest().encode()).decode()
        if public != self.key:
            return False
        key: Any = load_ssh_public_key(f"ssh-ed25519 {public}".encode())
        key.verify(base64.b64decode(signed), f"GET,{url},{nothing}".encode())
        return True


@contextlib.contextmanager
def running(registry: LocalRegistry | None = None) -> Iterator[LocalRegistry]:
    """Serves on a free port; the same server is the storage, under another name of this machine."""
    registry = registry or LocalRegistry()

    class Handler(_Handler):
        state = registry

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    registry.host = f"127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield registry
    finally:
        if registry.held is not None:
            registry.held.set()
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    state: LocalRegistry
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        place = urlsplit(self.path)
        if place.path == "/token":
            signed = self.headers.get("authorization", "")
            given = self.state.token_for(signed, f"http://{self.state.host}{self.path}")
            self.reply(200 if given else 401, json.dumps({"token": "let-me-in"}).encode() if given else b"who?")
        elif self.enters():
            if found := MANIFEST.fullmatch(place.path):
                content = self.state.manifests.get((found[1], found[2]))
                self.reply(404) if content is None else self.reply(200, content)
            elif place.path.startswith("/storage/"):
                self.blob(self.state.blobs[place.path.removeprefix("/storage/")])
            elif (found := BLOB.fullmatch(place.path)) and found[2] in self.state.blobs:
                if self.state.storage:
                    self.reply(307, headers={"Location": self.stored(f"/storage/{found[2]}")})
                else:
                    self.blob(self.state.blobs[found[2]])
            else:
                self.reply(404)

    def do_HEAD(self) -> None:
        if self.enters():
            found = BLOB.fullmatch(self.path)
            content = self.state.blobs.get(found[2]) if found else None
            if content is None or self.state.hides:
                self.reply(404)
            else:
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()

    def do_POST(self) -> None:
        if not self.enters():
            return
        place = urlsplit(self.path)
        mount = parse_qs(place.query).get("mount", [""])[0]
        if mount in self.state.blobs:
            self.reply(201)
        elif SESSION.fullmatch(place.path):
            name = str(len(self.state.uploads))
            self.state.uploads[name] = bytearray()
            self.reply(202, headers={"Location": f"/uploads/{name}"})
        else:
            self.reply(404)

    def do_PATCH(self) -> None:
        body = self.body()
        if not self.enters():
            return
        name = urlsplit(self.path).path.removeprefix("/uploads/")
        following = {"Docker-Upload-Location": f"/uploads/{name}"}
        if self.state.storage:
            offset = self.headers["content-range"].partition("-")[0]
            self.reply(307, headers={**following, "Location": self.stored(f"/storage/{name}/{offset}")})
            return
        first, _, last = self.headers["content-range"].partition("-")
        assert (int(first), int(last)) == (len(self.state.uploads[name]), len(self.state.uploads[name]) + len(body) - 1)
        self.state.uploads[name] += body
        self.reply(202, headers=following)

    def do_PUT(self) -> None:
        body = self.body()
        if not self.enters():
            return
        place = urlsplit(self.path)
        if found := MANIFEST.fullmatch(place.path):
            self.state.manifests[found[1], found[2]] = body
            self.reply(201)
        elif place.path.startswith("/storage/"):
            self.state.uploads[place.path.split("/")[2]] += body
            self.reply(200, headers={"Location": self.path})
        else:
            query = parse_qs(place.query)
            content = bytes(self.state.uploads[place.path.removeprefix("/uploads/")])
            right = query["digest"] == [f"sha256:{hashlib.sha256(content).hexdigest()}"] and "etag" in query
            if right:
                self.state.blobs[query["digest"][0]] = content
            self.reply(201 if right else 400, b"" if right else b"digest")

    def body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("content-length", "0")))

    def stored(self, path: str) -> str:
        return f"http://localhost:{self.state.host.rpartition(':')[2]}{path}"

    def enters(self) -> bool:
        """Whether the request is signed in, and may go on; it is answered if not."""
        headers = {name.lower(): value for name, value in self.headers.items()}
        with self.state.lock:
            self.state.requests.append((self.command, self.path, headers))
            answers = self.state.answers.get(self.command, [])
            status = answers.pop(0) if answers else 0
        if status:
            self.reply(status, b"because")
            return False
        elsewhere = urlsplit(self.path).path.startswith("/storage/")
        if elsewhere:
            assert "authorization" not in headers
        if not self.state.sign_in or elsewhere or headers.get("authorization") == f"Bearer {self.state.accepted}":
            return True
        realm = self.state.realm or f"http://{self.state.host}/token"
        challenge = f'Bearer realm="{realm}",service="registry",scope="repository:x:pull,push"'
        self.reply(401, b"", headers={"WWW-Authenticate": challenge})
        return False

    def reply(self, status: int, content: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def blob(self, content: bytes) -> None:
        asked = self.headers.get("range", "")
        first, last = 0, len(content) - 1
        if asked and not self.state.without_ranges:
            first, last = (int(number) for number in asked.removeprefix("bytes=").split("-"))
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {first}-{last}/{len(content)}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(last + 1 - first))
        self.end_headers()
        if not asked:
            # A look at where the blob is: the reader hangs up.
            self.close_connection = True
            return
        with self.state.lock:
            cut = self.state.cuts > 0
            self.state.cuts -= cut
        with contextlib.suppress(OSError):
            for start in range(first, last + 1, PIECE):
                if (cut or self.state.held is not None) and start - first >= self.state.cut_after:
                    if cut:
                        self.close_connection = True
                        return
                    assert self.state.held is not None
                    self.state.holding.set()
                    self.state.held.wait(60)
                self.wfile.write(content[start : min(start + PIECE, last + 1)])
