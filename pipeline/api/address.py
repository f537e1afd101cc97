"""OLLAMA_HOST -> base URL, by the rules of the real server's own client. Pure: text in, `Address` out.

The rules are those of `envconfig.Host` and `envconfig.ConnectableHost` in ollama/ollama.
"""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import Sequence
from dataclasses import dataclass

logger = logging.getLogger(__name__)

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = "11434"
DEFAULT_ADDRESS = f"http://{DEFAULT_HOST}:{DEFAULT_PORT}"
SCHEME_PORTS = {"http": "80", "https": "443"}


@dataclass(frozen=True, slots=True)
class Address:
    """A parsed host: `host` without brackets, `path` without a leading slash."""

    scheme: str
    host: str
    port: int
    path: str = ""

    @property
    def base_url(self) -> str:
        """The URL that a client connects to: an unspecified address becomes the loopback one."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104
        bracketed = f"[{host}]" if ":" in host else host
        path = f"/{self.path.strip('/')}" if self.path.strip("/") else ""
        return f"{self.scheme}://{bracketed}:{self.port}{path}"


def parse_host(text: str) -> Address:
    """The address that `text`, a value of OLLAMA_HOST, stands for. Anything is accepted; a bad port is the default."""
    text = text.strip()
    scheme, separator, rest = text.partition("://")
    default_port = DEFAULT_PORT
    if not separator:
        scheme, rest = "http", text
        if text == "ollama.com":
            scheme, rest = "https", "ollama.com:443"
    else:
        default_port = SCHEME_PORTS.get(scheme, DEFAULT_PORT)
    hostport, _, path = rest.partition("/")
    host, port = _split_host_port(hostport, default_port)
    if not (port.isascii() and port.isdigit() and int(port) <= 65535):
        logger.warning("invalid port %r in %r, using %s", port, text, default_port)
        port = default_port
    return Address(scheme=scheme, host=host, port=int(port), path=path)


def parse_hosts(hosts: str | Sequence[str]) -> tuple[Address, ...]:
    """The addresses of a comma list, or of several values; each once. An empty value is the default address."""
    texts = [hosts] if isinstance(hosts, str) else list(hosts)
    parts = [part for text in texts for part in text.split(",") if part.strip()] or [""]
    return tuple(dict.fromkeys(parse_host(part) for part in parts))


def _split_host_port(hostport: str, default_port: str) -> tuple[str, str]:
    bare = hostport.strip("[]")
    try:
        return str(ipaddress.ip_address(bare)), default_port
    except ValueError:
        pass
    head, colon, port = hostport.rpartition(":")
    if colon and head.startswith("[") and head.endswith("]"):
        return head[1:-1] or DEFAULT_HOST, port
    if colon and ":" not in head:
        return head or DEFAULT_HOST, port
    return hostport or DEFAULT_HOST, default_port
