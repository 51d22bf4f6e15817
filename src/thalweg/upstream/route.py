"""Where a connection leads: an origin, and the proxy it is reached through. A value, and no I/O."""

from __future__ import annotations

import msgspec

from thalweg.upstream.base import Origin
from thalweg.upstream.proxy import Proxy


class Route(msgspec.Struct, frozen=True, cache_hash=True):
    """What two requests must have in common to share a connection."""

    origin: Origin
    proxy: Proxy | None = None

    @property
    def tunnelled(self) -> bool:
        """Whether the proxy only passes bytes, because the origin speaks TLS."""
        return self.proxy is not None and self.origin.scheme == "https"

    @property
    def forwarded(self) -> bool:
        """Whether the proxy reads the request and makes one of its own."""
        return self.proxy is not None and self.origin.scheme == "http"
