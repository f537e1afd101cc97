"""OLLAMA_HOST as the real server's own client reads it."""

import logging

import pytest

from pipeline.api import parse_host


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("", "http://127.0.0.1:11434"),
        ("  ", "http://127.0.0.1:11434"),
        ("example.com", "http://example.com:11434"),
        ("example.com:8080", "http://example.com:8080"),
        (" example.com:8080 ", "http://example.com:8080"),
        (":8080", "http://127.0.0.1:8080"),
        ("http://example.com", "http://example.com:80"),
        ("https://example.com", "https://example.com:443"),
        ("https://example.com:8443", "https://example.com:8443"),
        ("ollama.com", "https://ollama.com:443"),
        ("http://ollama.com", "http://ollama.com:80"),
        ("example.com/", "http://example.com:11434"),
        ("example.com/ollama", "http://example.com:11434/ollama"),
        ("https://example.com/a/b/", "https://example.com:443/a/b"),
        ("https://example.com:8443/a", "https://example.com:8443/a"),
        ("0.0.0.0", "http://127.0.0.1:11434"),
        ("0.0.0.0:1234", "http://127.0.0.1:1234"),
        ("[::]:1234", "http://[::1]:1234"),
        ("::1", "http://[::1]:11434"),
        ("[::1]", "http://[::1]:11434"),
        ("[::1]:1337", "http://[::1]:1337"),
        ("[2001:db8::1]:1337", "http://[2001:db8::1]:1337"),
        ("http://[::1]", "http://[::1]:80"),
        ("192.168.1.5", "http://192.168.1.5:11434"),
        ("example.com:0", "http://example.com:0"),
    ],
)
def test_forms_of_an_address(text: str, url: str) -> None:
    """Scheme, port and path have the defaults of the real client; an unspecified address becomes the loopback one."""
    assert parse_host(text).base_url == url


@pytest.mark.parametrize("port", ["66000", "-1", "port", "11434x"])
def test_bad_port_becomes_the_default_with_a_warning(port: str, caplog: pytest.LogCaptureFixture) -> None:
    """A port that is no number, or too large, is no error."""
    with caplog.at_level(logging.WARNING):
        assert parse_host(f"example.com:{port}").base_url == "http://example.com:11434"
        assert parse_host(f"https://example.com:{port}").base_url == "https://example.com:443"
    assert len(caplog.records) == 2
