"""Usage cut out of a chunk's text, so that the bytes are those that the provider writes when nobody asks for usage.

Two ways, and the first is a proof, not a guess. Where a text that is known to be a JSON object ends with
`,"usage":`, a JSON value and `}`, that value is the object's own: the quote after the comma is none that a backslash
hides, so it begins a name, or a string would end there and bare letters follow it; and what one whole value divides
from the text's last brace belongs to that brace. Everything else is walked token by token. (Of a name that stands twice
the first way takes the last, which is the one that parsers keep.)
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from thalweg.profiles.base import UnaskedUsage

LAST = b',"usage":{'
"""How the last member of a chunk begins, where it is usage."""
LAST_INSTEAD: dict[UnaskedUsage, bytes] = {"null": b',"usage":null}', "absent": b"}"}
"""What stands from there to the end of the chunk where nobody asks for usage."""

_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{},]', re.DOTALL)
_SPACE = b" \t\r\n"


def withhold_usage(payload: bytes, unasked: UnaskedUsage) -> bytes:
    """The chunk without its usage. The payload is one JSON object; what has no usage comes back as it is."""
    at = payload.rfind(LAST)
    if at >= 0 and _is_value(payload[at + len(LAST) - 1 : -1]):
        return payload[:at] + LAST_INSTEAD[unasked]
    members = _members(payload)
    if not any(member.is_usage for member in members):
        return payload
    return _WAYS[unasked](payload, members)


def _is_value(text: bytes) -> bool:
    try:
        msgspec.json.decode(text, type=msgspec.Raw)
    except (msgspec.MsgspecError, RecursionError):
        return False
    return True


class _Member(NamedTuple):
    """Where one member of the object stands in its text, without the white space and commas around it."""

    start: int
    value: int
    end: int
    is_usage: bool


def _members(text: bytes) -> list[_Member]:
    """The object's own members, in order."""
    members: list[_Member] = []
    depth, name = 0, None
    for token in _TOKEN.finditer(text):
        mark = token[0][:1]
        if mark == b'"':
            if depth == 1 and name is None:
                name = token
            continue
        if mark in b"{[":
            depth += 1
            continue
        if mark != b",":
            depth -= 1
        if name is not None and depth == (mark == b","):
            members.append(_member(text, name, token.start()))
            name = None
    return members


def _member(text: bytes, name: re.Match[bytes], end: int) -> _Member:
    colon = text.index(b":", name.end())
    value = text[colon + 1 : end]
    at = colon + 1 + len(value) - len(value.lstrip(_SPACE))
    return _Member(name.start(), at, at + len(value.strip(_SPACE)), _says_usage(name[0]))


def _says_usage(name: bytes) -> bool:
    return name == b'"usage"' or (b"\\" in name and msgspec.json.decode(name) == "usage")


def _without(text: bytes, members: list[_Member]) -> bytes:
    """Each member that stays keeps what divides it from the one before it; the first that stays needs nothing."""
    pieces: list[bytes] = []
    edge = 0
    for member in members:
        if not member.is_usage:
            pieces.append(text[edge if pieces else member.start : member.end])
        edge = member.end
    opening = text[: members[0].start] if pieces else text[: text.index(b"{") + 1]
    closing = text[edge:] if pieces else text[text.rindex(b"}") :]
    return b"".join([opening, *pieces, closing])


def _with_null(text: bytes, members: list[_Member]) -> bytes:
    pieces: list[bytes] = []
    edge = 0
    for member in members:
        if member.is_usage:
            pieces += text[edge : member.value], b"null"
            edge = member.end
    return b"".join([*pieces, text[edge:]])


_WAYS: dict[UnaskedUsage, Callable[[bytes, list[_Member]], bytes]] = {"null": _with_null, "absent": _without}
