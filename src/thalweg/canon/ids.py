"""Names of tool calls that every client and every upstream takes."""

from __future__ import annotations

import re
from base64 import b32encode
from hashlib import sha256

_FITS = re.compile(r"[A-Za-z0-9_-]{1,40}")


def call_id(upstream_id: str | None, *about: object) -> str:
    """The id itself where it fits everywhere (at most 40 of `A-Za-z0-9_-`), else one made of it and its surroundings.

    The same arguments give the same id, so that a prompt which holds it is the same at every turn.
    """
    if upstream_id and _FITS.fullmatch(upstream_id):
        return upstream_id
    digest = sha256("\0".join(map(str, (upstream_id or "", *about))).encode("utf-8", "surrogatepass")).digest()
    return "call_" + b32encode(digest[:15]).decode().lower()
