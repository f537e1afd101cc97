"""Who may talk to the socket server: a request's Host and Origin come in, a refusal or extra headers go out.

A page in a browser can send requests to a loopback address. The Host check stops names that an attacker's DNS
points at 127.0.0.1; the Origin check stops pages that were not let in by name.
"""

from __future__ import annotations

import fnmatch
import ipaddress
import re
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from pipeline.server.exchange import Reply

_LOCAL_NAMES = ("localhost", "127.0.0.1", "0.0.0.0")  # noqa: S104  names in an Origin, nothing is bound
_APPS = ("app://*", "file://*", "tauri://*", "vscode-webview://*", "vscode-file://*")
_EXTENSIONS = ("chrome-extension://*", "moz-extension://*", "safari-extension://*", "ms-browser-extension://*")
_LOCAL_ENDINGS = (".localhost", ".local", ".internal")
_METHODS = "GET,POST,PUT,PATCH,DELETE,HEAD,OPTIONS"
_HEADERS = (
    "Authorization,Content-Type,User-Agent,Accept,X-Requested-With,Openai-Beta,X-Stainless-Arch,"
    "X-Stainless-Async,X-Stainless-Custom-Poll-Interval,X-Stainless-Helper-Method,X-Stainless-Lang,"
    "X-Stainless-Os,X-Stainless-Package-Version,X-Stainless-Poll-Helper,X-Stainless-Retry-Count,"
    "X-Stainless-Runtime,X-Stainless-Runtime-Version,X-Stainless-Timeout"
)
_DAY_HALF = "43200"


def allowed_origins(extra: Iterable[str] = ()) -> tuple[str, ...]:
    """The patterns an Origin may match: local pages on any port, local apps, and what OLLAMA_ORIGINS adds."""
    local = [f"{scheme}://{name}{port}" for name in _LOCAL_NAMES for scheme in ("http", "https") for port in ("", ":*")]
    return (*extra, *local, *_APPS, *_EXTENSIONS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """`bound` is the address the server listens on: only on loopback is the Host checked.

    `refused` is what those are told who may not talk to it.
    """

    bound: str
    origins: tuple[str, ...]
    refused: Reply = field(default_factory=lambda: Reply(status=403))

    def refusal(self, method: str, headers: Mapping[str, str]) -> Reply | None:
        """The reply that ends the exchange here, if there is one: a preflight's answer, or 403."""
        origin = headers.get("origin", "")
        if self._foreign(headers) and origin:
            if not self.origin_allowed(origin):
                return self.refused
            if method == "OPTIONS":
                return Reply(status=204, headers=self._preflight(origin))
        if not self.host_allowed(headers.get("host", "")):
            return self.refused
        return Reply(status=204) if method == "OPTIONS" else None

    def headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        """Headers to add to the reply, so that an allowed page may read it."""
        if not self._foreign(headers):
            return {}
        return self._allow(headers["origin"])

    def origin_allowed(self, origin: str) -> bool:
        return "*" in self.origins or any(_matches(origin, pattern) for pattern in self.origins)

    def host_allowed(self, host: str) -> bool:
        if not is_loopback(self.bound):
            return True
        name = _without_port(host).lower()
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            local = ("", "localhost", socket.gethostname().lower())
            return name in local or name.endswith(_LOCAL_ENDINGS)
        return address.is_loopback or address.is_private or address.is_unspecified

    def _foreign(self, headers: Mapping[str, str]) -> bool:
        """Whether the request comes from a page of another origin than this server."""
        origin = headers.get("origin", "")
        host = headers.get("host", "")
        return bool(origin) and origin not in (f"http://{host}", f"https://{host}")

    def _allow(self, origin: str) -> dict[str, str]:
        if "*" in self.origins:
            return {"access-control-allow-origin": "*"}
        return {"access-control-allow-origin": origin, "vary": "Origin"}

    def _preflight(self, origin: str) -> dict[str, str]:
        return {
            **self._allow(origin),
            "access-control-allow-methods": _METHODS,
            "access-control-allow-headers": _HEADERS,
            "access-control-max-age": _DAY_HALF,
        }


def _matches(origin: str, pattern: str) -> bool:
    if "*" not in pattern:
        return origin == pattern
    return re.fullmatch(fnmatch.translate(pattern.replace("[", "[[]")), origin) is not None


def is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.rpartition(":")[0] if host.count(":") == 1 else host
