"""What relayers within one dialect have in common."""

from __future__ import annotations

from thalweg.dialects.base import Stretch
from thalweg.dialects.kit.envelope import Envelope


class FrameRelayer:
    """Passes the original bytes. A dialect says how, and in which envelope they come if it knows that."""

    __slots__ = ()

    def stretch(self) -> Stretch | None:
        """None: each frame has something of its own."""
        return None

    def took(self, texts: list[str], usage: bytes | None) -> bool:
        """Nothing is written with a template here."""
        return True


def stretch_of(envelope: Envelope | None) -> Stretch | None:
    """The stretch of frames in this envelope."""
    return None if envelope is None else Stretch(envelope.around)
