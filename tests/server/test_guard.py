"""Who may talk to the socket server: pure decisions."""

import pytest

from pipeline.server.guard import Guard, allowed_origins

LOCAL = Guard(bound="127.0.0.1", origins=allowed_origins())
OPEN = Guard(bound="0.0.0.0", origins=allowed_origins())


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("127.0.0.1:11434", True),
        ("localhost", True),
        ("[::1]:11434", True),
        ("LOCALHOST:80", True),
        ("192.168.1.5", True),
        ("box.local", True),
        ("host.docker.internal:11434", True),
        ("", True),
        ("evil.example", False),
        ("evil.example:11434", False),
        ("127.0.0.1.evil.example", False),
        ("8.8.8.8", False),
        ("localhost.evil.example", False),
    ],
)
def test_host_header_on_loopback(host: str, allowed: bool) -> None:
    """Only names and addresses of this machine and its network pass, against DNS rebinding."""
    assert LOCAL.host_allowed(host) is allowed
    assert OPEN.host_allowed(host), "whoever binds to the world is meant to be found by any name"


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("http://localhost:3000", True),
        ("https://127.0.0.1", True),
        ("app://obsidian.md", True),
        ("vscode-webview://abc", True),
        ("chrome-extension://abc", True),
        ("http://evil.example", False),
        ("http://localhost.evil.example", False),
        ("http://localhost:3000.evil.example", True),  # as the real server: its `*` takes anything
    ],
)
def test_origins(origin: str, allowed: bool) -> None:
    """Local pages and local apps may read replies, other pages may not send requests."""
    headers = {"origin": origin, "host": "127.0.0.1:11434"}
    refused = LOCAL.refusal("POST", headers)
    assert (refused is None) is allowed
    if not allowed:
        assert refused is not None
        assert refused.status == 403
    else:
        assert LOCAL.headers(headers)["access-control-allow-origin"] == origin


def test_preflight() -> None:
    """An allowed page learns what it may send."""
    reply = LOCAL.refusal("OPTIONS", {"origin": "http://localhost:3000", "host": "127.0.0.1:11434"})
    assert reply is not None
    assert reply.status == 204
    assert "DELETE" in reply.headers["access-control-allow-methods"]
    assert "Content-Type" in reply.headers["access-control-allow-headers"]


def test_origins_can_be_added() -> None:
    """OLLAMA_ORIGINS adds pages; a star lets in all of them."""
    added = Guard(bound="127.0.0.1", origins=allowed_origins(["https://*.example.com"]))
    assert added.origin_allowed("https://app.example.com")
    assert not added.origin_allowed("https://example.org")
    assert Guard(bound="127.0.0.1", origins=allowed_origins(["*"])).origin_allowed("http://any.where")


def test_same_origin_needs_no_permission() -> None:
    """A page of this server itself is not foreign."""
    headers = {"origin": "http://box.local:11434", "host": "box.local:11434"}
    assert LOCAL.refusal("POST", headers) is None
    assert LOCAL.headers(headers) == {}
