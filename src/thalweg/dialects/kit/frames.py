"""What is asked of a stream's frames in every dialect."""

from __future__ import annotations

import msgspec

from thalweg.canon.errors import UpstreamBroke
from thalweg.framing.sse import Frame


class BadFrame(Exception):
    """A frame holds something that the dialect does not have; the message says what, as `broke` wants it."""


def broke(provider: str, what: object) -> UpstreamBroke:
    """The error of an upstream that broke off, or broke the grammar."""
    return UpstreamBroke(f"{provider or 'the upstream'} {what}", provider=provider)


def cut_short(frame: Frame) -> bool:
    """Whether the body ended within this frame, so that what it holds is no fault: SDKs never see such a frame."""
    return not frame.closed and not frame.dropped_bytes


def one_payload(frame: Frame) -> bytes | None:
    """The JSON text in a frame that can hold but one; `None` where there is none. Raises `BadFrame` for an oversize."""
    check_size(frame)
    if frame.data is None or not frame.data.strip():
        return None
    # Line ends between the tokens of a JSON text are white space, and within them there are none.
    return frame.data.replace(b"\n", b" ") if frame.lines else frame.data


def check_size(frame: Frame) -> None:
    """Raise `BadFrame` for a frame that was thrown away because it was too long."""
    if frame.dropped_bytes:
        raise BadFrame(f"sent a frame of more than {frame.dropped_bytes} bytes")


def is_json(text: str | bytes) -> bool:
    """Whether this is one whole JSON text."""
    try:
        msgspec.json.decode(text, type=msgspec.Raw)
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        return False
    return True


def is_line(data: bytes) -> bool:
    """Whether bytes are one line and an empty one behind it, with LF."""
    return data.find(b"\n") == len(data) - 2 and data[-1:] == b"\n" and 0x0D not in data
