"""Where a credential is valid and a connection may go."""

from __future__ import annotations

import msgspec


class Origin(msgspec.Struct, frozen=True, cache_hash=True):
    """Scheme, host and port: where a credential is valid and a connection may go. Hosts are lower case, no brackets."""

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


class Credential(msgspec.Struct, frozen=True, cache_hash=True):
    """A secret header, bound to the origin that it was configured for."""

    origin: Origin
    header: bytes
    value: bytes

    def __repr__(self) -> str:
        return f"Credential(origin={self.origin}, header={self.header!r}, value=<hidden>)"

    __str__ = __repr__

    def __rich_repr__(self) -> list[tuple[str, str]]:
        # Rich looks into every struct by itself and would find what the text above hides.
        return [("origin", str(self.origin)), ("header", self.header.decode("latin-1"))]
