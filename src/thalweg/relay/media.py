"""Files that a request names by their addresses, for an upstream that takes their bytes alone: which, and where.

Nothing is fetched here. What a request wants goes out, what was found comes in.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Collection, Mapping
from typing import Literal

import msgspec
from msgspec.structs import replace

from thalweg.canon.media import MediaKind, kind_of
from thalweg.canon.parts import Media, Part, Text, ToolResult
from thalweg.canon.request import Message, Request

Asked = MediaKind | Literal["any"]
"""What a file is to be; `any` where the client named neither its kind nor its type."""

_SEEN = frozenset(
    f"image/{each}" for each in ("jpeg", "png", "gif", "webp", "heic", "heif", "avif", "tiff", "bmp", "x-ms-bmp")
)
_HEARD = frozenset({"audio/*"})
_FILMED = frozenset({"video/*"})
_OFFICE = "application/vnd.openxmlformats-officedocument"
_READ = frozenset(
    {
        "application/pdf",
        "text/*",
        "application/json",
        "application/xml",
        "application/rtf",
        "application/msword",
        f"{_OFFICE}.wordprocessingml.document",
        f"{_OFFICE}.presentationml.presentation",
        f"{_OFFICE}.spreadsheetml.sheet",
    }
)
TYPES: Mapping[Asked, frozenset[str]] = {
    "image": _SEEN,
    "audio": _HEARD,
    "video": _FILMED,
    "document": _READ,
    "any": _SEEN | _HEARD | _FILMED | _READ,
}
"""MIME types that a file of a kind may have. Pictures that hold scripts are none."""


class Wanted(msgspec.Struct, frozen=True):
    """One file that is to be fetched."""

    url: str
    asked: Asked
    param: str
    """Where it first stands, in the client's words and as near as the canon tells."""


class Found(msgspec.Struct, frozen=True):
    """One file that was fetched."""

    mime: str
    data: str
    """Standard base64 with padding."""

    @classmethod
    def of(cls, mime: str, data: bytes) -> Found:
        """A file of these bytes."""
        return cls(mime, b64encode(data).decode())


Files = Mapping[tuple[str, Asked], Found]
"""Files by their addresses and by what they were to be."""


def wanted(request: Request, *, taken: Collection[str], prefixes: tuple[str, ...] = ()) -> tuple[Wanted, ...]:
    """The files to fetch, each once, in the order of the talk.

    `taken` are the kinds that the upstream fetches itself, `prefixes` the beginnings of addresses that it reads anyway.
    """
    found: dict[tuple[str, Asked], Wanted] = {}

    def note(media: Media, param: str) -> Media:
        if media.url is not None and media.kind not in taken and not media.url.lower().startswith(prefixes):
            asked = _asked(media)
            found.setdefault((media.url, asked), Wanted(media.url, asked, param))
        return media

    _walk(request, note)
    return tuple(found.values())


def filled(request: Request, files: Files) -> Request:
    """The request with the bytes of these files in the place of their addresses."""

    def fill(media: Media, _: str) -> Media:
        file = None if media.url is None else files.get((media.url, _asked(media)))
        if file is None:
            return media
        kind = kind_of(file.mime) if _asked(media) == "any" else media.kind
        return replace(media, kind=kind, mime=file.mime, data=file.data, url=None)

    return replace(request, messages=_walk(request, fill))


def _asked(media: Media) -> Asked:
    return "any" if media.kind == "document" and media.mime is None else media.kind


Visit = Callable[[Media, str], Media]


def _walk(request: Request, visit: Visit) -> tuple[Message, ...]:
    """Every file of a request visited, with where it stands; the messages with what became of them."""
    where = _PLACES.get(request.dialect, _ANTHROPIC)
    # A Chat client's first instructions stand among its messages, nearly always each in one of its own.
    before = len(request.system) if request.dialect == "openai-chat" else 0
    return tuple(
        replace(message, parts=tuple(_visited(part, visit, where, i, j) for j, part in enumerate(message.parts)))
        if any(isinstance(part, Media | ToolResult) for part in message.parts)
        else message
        for i, message in enumerate(request.messages, before)
    )


def _visited(part: Part, visit: Visit, where: _Place, at: int, nth: int) -> Part:
    if isinstance(part, Media):
        return visit(part, where.part.format(at=at, nth=nth))
    if not isinstance(part, ToolResult):
        return part
    parts: list[Text | Media] = []
    for k, each in enumerate(part.parts):
        parts.append(visit(each, where.result.format(at=at, nth=nth, k=k)) if isinstance(each, Media) else each)
    return replace(part, parts=tuple(parts))


class _Place(msgspec.Struct, frozen=True):
    """How a dialect calls the place of a part, and that of a part of a tool's result."""

    part: str
    result: str


_ANTHROPIC = _Place("messages[{at}].content[{nth}]", "messages[{at}].content[{nth}].content[{k}]")
_PLACES = {
    "anthropic": _ANTHROPIC,
    "openai-chat": _Place("messages[{at}].content[{nth}]", "messages[{at}].content[{k}]"),
    "openai-responses": _Place("input[{at}].content[{nth}]", "input[{at}].output[{k}]"),
    "gemini": _Place("contents[{at}].parts[{nth}]", "contents[{at}].parts[{nth}].functionResponse.parts[{k}]"),
}
