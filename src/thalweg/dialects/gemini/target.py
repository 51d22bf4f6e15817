"""The path and query of a Gemini request: they say model, verb and framing. Forms: gemini dossier, section 1."""

from __future__ import annotations

import re
from typing import Literal, NamedTuple
from urllib.parse import parse_qsl, quote, unquote

from thalweg.canon.errors import InvalidRequest

Framing = Literal["sse", "json-array"]

_VERSION = re.compile(r"(?:^|/)v1(?:(?:alpha|beta)\d*)?/")
_PUBLISHED = re.compile(r"(?:projects/[^/]+/locations/[^/]+/)?publishers/([^/]+)/models/(.+)", re.DOTALL)
_KINDS = ("models/", "tunedModels/", "publishers/", "projects/")
_VERBS = {"generateContent": False, "streamGenerateContent": True}


class Target(NamedTuple):
    """What a path and a query say."""

    model: str
    stream: bool
    framing: Framing


def read_target(target: bytes) -> Target:
    """Model, verb and framing. Raises `InvalidRequest` for what is no generation request."""
    path, _, query = target.decode("latin-1").partition("?")
    named, colon, verb = unquote(path).rpartition(":")
    if not colon or verb not in _VERBS:
        raise InvalidRequest("The path must end with ':generateContent' or ':streamGenerateContent'.")
    found = _VERSION.search(named)
    stream = _VERBS[verb]
    asked = dict(parse_qsl(query))
    sse = asked.get("alt", asked.get("$alt", "")).lower() == "sse"
    return Target(plain_model(named[found.end() :] if found else named.lstrip("/")), stream, _framing(stream, sse))


def _framing(stream: bool, sse: bool) -> Framing:
    return "json-array" if stream and not sse else "sse"


def plain_model(name: str) -> str:
    """A model's name without the folder it lies in; of a publisher that is not Google, with the publisher."""
    name = name.removeprefix("models/")
    if found := _PUBLISHED.fullmatch(name):
        publisher, model = found.groups()
        return model if publisher == "google" else f"{publisher}/{model}"
    return name


def write_target(base_path: bytes, model: str, *, stream: bool) -> bytes:
    """Path and query below a provider's base path, which holds the version. A stream is always asked for as SSE."""
    folder = "" if model.startswith(_KINDS) else "models/"
    verb = ":streamGenerateContent?alt=sse" if stream else ":generateContent"
    return base_path.rstrip(b"/") + f"/{folder}{_quoted(model)}{verb}".encode()


def _quoted(model: str) -> str:
    """Slashes and colons stand as they are; a step to the folder above may not be one."""
    quoted = quote(model, safe="/:@")
    return re.sub(r"(?<![^/])(\.{1,2})(?=/|$)", lambda found: "%2E" * len(found[1]), quoted)
