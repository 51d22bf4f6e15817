"""What an upstream does on the wire, step by step. The simulator and recordings are played from such scripts."""

from __future__ import annotations

import msgspec


class Wait(msgspec.Struct, frozen=True):
    """Nothing happens for some seconds."""

    seconds: float


class SendHead(msgspec.Struct, frozen=True):
    """The status and headers go out. Header names are lower case; none is about framing."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]


class SendBody(msgspec.Struct, frozen=True):
    """Bytes of the body go out, in one write."""

    data: bytes


class EndBody(msgspec.Struct, frozen=True):
    """The body ends as its framing says. The last step of a good answer."""


class BreakOff(msgspec.Struct, frozen=True):
    """The connection ends in the middle: with a reset, or with a clean FIN that cuts the body."""

    reset: bool


class Stall(msgspec.Struct, frozen=True):
    """Nothing happens any more, and the connection stays open."""


class RefuseConnection(msgspec.Struct, frozen=True):
    """The connection is closed before anything was said. Only as the first step."""


Step = Wait | SendHead | SendBody | EndBody | BreakOff | Stall | RefuseConnection
