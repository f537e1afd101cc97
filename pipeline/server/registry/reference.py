"""Where a model's name points: `[scheme://][host/][namespace/]model[:tag]` comes in, a registry's address goes out."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from pipeline.errors import WeightsUnavailable
from pipeline.server.names import ModelName, parse_name

HTTP, HTTPS = "http", "https"
INSECURE_PROTOCOL = "insecure protocol http"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A name and how its registry is reached; `has_host` says that the text named the registry itself."""

    name: ModelName
    scheme: str
    has_host: bool

    @property
    def base_url(self) -> str:
        """The registry's address for this model: what a request's last words are joined to."""
        return f"{self.scheme}://{self.name.host}/v2/{self.name.namespace}/{self.name.model}"


def parse_reference(text: str) -> Reference:
    """Raises UsageError for a name that the real server would not take."""
    name = parse_name(text)
    scheme, separator, rest = text.partition("://")
    return Reference(name=name, scheme=scheme if separator else HTTPS, has_host=(rest or text).count("/") >= 2)


def permitted(reference: Reference, *, insecure: bool) -> Reference:
    """The reference as it may be used: plain HTTP only when it is asked for, or within this machine.

    Raises WeightsUnavailable with the real server's words.
    """
    if reference.scheme not in (HTTP, HTTPS):
        raise WeightsUnavailable(f'unsupported protocol scheme "{reference.scheme}"')
    if reference.scheme == HTTP and not insecure and not is_loopback(reference.base_url):
        raise WeightsUnavailable(INSECURE_PROTOCOL)
    return replace(reference, scheme=HTTP) if insecure else reference


def is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
