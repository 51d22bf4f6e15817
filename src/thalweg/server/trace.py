"""W3C Trace Context: a client's trace goes on to the upstream, with this gateway as its next link. No spans are made.

Source: Trace Context Level 2 (w3.org/TR/trace-context-2) and the W3C's own test suite, read 2026-11. Ours is decided
here, once:

- a valid `traceparent` keeps its trace id and its flags, and gets a new parent id; `tracestate` goes along as it came;
- an invalid one, or two, begin a new trace, and `tracestate` is dropped, as the standard wants;
- without one nothing is sent: an id that nobody else knows would tell a provider that requests belong together, and
  would tell nobody else anything. The log has the request's own id.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable

import msgspec

Headers = tuple[tuple[bytes, bytes], ...]

MAX_STATE_BYTES = 512
"""Of `tracestate`. The standard asks for at least so many; a longer one is dropped whole, as it allows."""

_PARENT = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_PRINTABLE = re.compile(rb"[\x20-\x7e\t]*")
_NO_TRACE, _NO_PARENT = b"0" * 32, b"0" * 16
_KNOWN_FLAGS = 0x03
"""Sampled, and random trace id. The others are reserved and are to be sent as zero."""
_FLAGS_OF_NEW = 0x02


class Trace(msgspec.Struct, frozen=True):
    """A request's place in a trace."""

    trace_id: bytes
    """32 hexadecimal digits in small letters."""
    flags: int
    state: bytes = b""

    def headers(self) -> Headers:
        """The headers for one call that this request makes, with a parent id of its own."""
        parent = b"00-%b-%b-%02x" % (self.trace_id, _random_id(8), self.flags)
        state = ((b"tracestate", self.state),) if self.state else ()
        return ((b"traceparent", parent), *state)


def trace_of(headers: Iterable[tuple[bytes, bytes]]) -> Trace:
    """The trace of a request that has a `traceparent`: the client's own, or a new one where that cannot be read."""
    parents = [value for name, value in headers if name == b"traceparent"]
    found = _read(parents[0].strip()) if len(parents) == 1 else None
    if found is None:
        return Trace(_random_id(16), _FLAGS_OF_NEW)
    states = [value.strip() for name, value in headers if name == b"tracestate"]
    return Trace(*found, _fitting(b",".join(filter(None, states))))


def _read(parent: bytes) -> tuple[bytes, int] | None:
    """Trace id and flags of a valid `traceparent`. A version after ours may go on after what we know."""
    match = _PARENT.fullmatch(parent)
    if match is None:
        return None
    version, trace_id, parent_id, flags, more = match.groups()
    if version == b"ff" or trace_id == _NO_TRACE or parent_id == _NO_PARENT or (version == b"00" and more is not None):
        return None
    return trace_id, int(flags, 16) & _KNOWN_FLAGS


def _fitting(state: bytes) -> bytes:
    return state if len(state) <= MAX_STATE_BYTES and _PRINTABLE.fullmatch(state) else b""


def _random_id(size: int) -> bytes:
    """So many random bytes as hexadecimal digits, never only zeros."""
    while not any(found := secrets.token_bytes(size)):
        pass
    return found.hex().encode()
