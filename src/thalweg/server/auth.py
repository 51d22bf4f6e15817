"""Who is calling. One function answers that, for every route: an identity or an error, never a default.

All carriers mean the same: `Authorization: Bearer`, `x-api-key`, `x-goog-api-key`, `api-key`, `?key=`. Two that
disagree are refused, because a proxy in front may look at the other one.
"""

from __future__ import annotations

import hashlib
import hmac
from urllib.parse import parse_qsl

import msgspec

from thalweg.canon.errors import Forbidden, Unauthenticated
from thalweg.config import LOOPBACK_HOSTS, Settings
from thalweg.server.wire import Scope

_CARRIERS = frozenset({b"authorization", b"x-api-key", b"x-goog-api-key", b"api-key"})
_FORWARDED = frozenset({b"forwarded", b"x-real-ip"})
_SAFE_METHODS = frozenset({"GET", "HEAD"})


class Identity(msgspec.Struct, frozen=True):
    """Whose request this is. `key_id` is a name for people and the ledger, never the key."""

    key_id: str


class Doorkeeper:
    """Checks callers. Made once from the settings; keeps the key only as its digest."""

    def __init__(self, settings: Settings) -> None:
        key = settings.api_key
        self._digest = hashlib.sha256(key.encode()).digest() if key else None
        self._identity = Identity("main" if key else "local")

    def identify(self, scope: Scope) -> Identity:
        """The caller. Raises `Unauthenticated` or `Forbidden`."""
        if self._digest is None:
            _only_local(scope)
            return self._identity
        offered = _offered(scope)
        if offered is None:
            raise Unauthenticated("No API key was given. Send it as 'Authorization: Bearer KEY'.")
        if not hmac.compare_digest(hashlib.sha256(offered).digest(), self._digest):
            raise Unauthenticated("The API key is not known here.")
        return self._identity


def owner(scope: Scope) -> bytes:
    """A digest of whatever credential is presented, checked or not: to tell one caller's turns from another's."""
    try:
        offered = _offered(scope)
    except Unauthenticated:
        offered = None
    return hashlib.sha256(offered or b"").digest()


def _offered(scope: Scope) -> bytes | None:
    found: set[bytes] = set()
    for name, value in scope["headers"]:
        if name not in _CARRIERS:
            continue
        scheme, key = b"bearer", value
        if name == b"authorization":
            scheme, _, key = value.partition(b" ")
        key = key.strip()
        if key and scheme.lower() == b"bearer":
            found.add(key)
    query = scope["query_string"]
    if query and b"key=" in query:
        found |= {value.encode() for name, value in parse_qsl(query.decode("latin-1")) if name == "key"}
    if len(found) > 1:
        raise Unauthenticated("The request carries two different API keys.")
    return found.pop() if found else None


def _only_local(scope: Scope) -> None:
    """Without a key the gateway is for programs on this machine, and not for web pages that they show."""
    host = None
    for name, value in scope["headers"]:
        if name == b"host":
            host = _host_of(value)
        elif name == b"origin" and not _is_own(value, scope):
            raise _closed("this page's origin is not the gateway's own")
        elif name in _FORWARDED or name.startswith(b"x-forwarded-"):
            raise _closed("it came through a proxy")
    if host not in LOOPBACK_HOSTS:
        raise _closed("its Host is not a loopback name")
    if scope["method"] not in _SAFE_METHODS and scope["method"] != "DELETE" and not _is_json(scope):
        raise _closed("its content type is not application/json")


def _closed(why: str) -> Forbidden:
    return Forbidden(f"Refused, because {why}. Without a key only local programs may call: set THALWEG_API_KEY.")


def _host_of(value: bytes) -> str:
    text = value.decode("latin-1").lower()
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.rpartition(":")[0] if text.count(":") == 1 else text


def _is_own(origin: bytes, scope: Scope) -> bool:
    host = next((value for name, value in scope["headers"] if name == b"host"), b"")
    return origin.lower() == b"http://" + host.lower()


def _is_json(scope: Scope) -> bool:
    kind = next((value for name, value in scope["headers"] if name == b"content-type"), b"")
    return bool(kind.partition(b";")[0].strip().lower() == b"application/json")
