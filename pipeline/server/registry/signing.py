"""Signing in to a registry: a challenge comes in, a token goes out.

The user's key is the real server's: `~/.ollama/id_ed25519`, an OpenSSH key without a passphrase. Without one the token
is asked for anonymously, which is what public registries give to readers.
"""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from pipeline.errors import MissingExtra, WeightsUnavailable

KEY = Path(".ollama", "id_ed25519")
NONCE_BYTES = 16
_FIELD = re.compile(r'(\w+)="([^"]*)"')


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge:
    """What a registry's `WWW-Authenticate` asks for."""

    realm: str
    service: str
    scope: str

    def url(self) -> str:
        """Where the token is, with the time and a nonce, so that no signature serves twice."""
        parts = urlsplit(self.realm)
        query = [*parse_qsl(parts.query), ("service", self.service)]
        query += [("scope", scope) for scope in self.scope.split(" ")]
        query += [("ts", str(int(time.time()))), ("nonce", secrets.token_urlsafe(NONCE_BYTES))]
        return urlunsplit(parts._replace(query=urlencode(sorted(query))))


def parse_challenge(header: str, *, host: str) -> Challenge:
    """Raises WeightsUnavailable where the realm is another host's: a signature must not go there."""
    fields = dict(_FIELD.findall(header))
    challenge = Challenge(
        realm=fields.get("realm", ""), service=fields.get("service", ""), scope=fields.get("scope", "")
    )
    realm_host = urlsplit(challenge.realm).netloc
    if realm_host != host:
        raise WeightsUnavailable(f'realm host "{realm_host}" does not match original host "{host}"')
    return challenge


def signature(url: str, *, home: Path | None = None) -> str | None:
    """The `Authorization` of a request for a token: public key and signature; None without a key.

    Raises WeightsUnavailable for a key that cannot be read, MissingExtra.
    """
    path = (home or Path.home()) / KEY
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise WeightsUnavailable(f"open {path}: {error.strerror}", hint="make it readable, or remove it") from error
    try:
        from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 - heavy
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415 - heavy
    except ImportError as error:
        raise MissingExtra("Signing in to a registry", extra="embedded") from error
    try:
        key = serialization.load_ssh_private_key(content, password=None)
    except (ValueError, TypeError) as error:
        raise WeightsUnavailable(f"{path} is no key: {error}", hint="ssh-keygen -t ed25519 -N '' makes one") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise WeightsUnavailable(f"{path} is no Ed25519 key", hint="ssh-keygen -t ed25519 -N '' makes one")
    form, encoding = serialization.PublicFormat.OpenSSH, serialization.Encoding.OpenSSH
    public = key.public_key().public_bytes(encoding, form).split(b" ")[1].decode()
    nothing = base64.b64encode(hashlib.sha256(b"").hexdigest().encode()).decode()
    signed = base64.b64encode(key.sign(f"GET,{url},{nothing}".encode())).decode()
    return f"{public}:{signed}"
