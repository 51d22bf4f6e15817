"""Files that a Gemini request names by their addresses, and their bytes put in the place of those."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw

from thalweg.dialects.base import Files
from thalweg.dialects.gemini.body import Body
from thalweg.dialects.gemini.fields import normalised

_read_list = msgspec.json.Decoder(list[Raw]).decode
_read_object = msgspec.json.Decoder(dict[str, Raw]).decode
_read_any = msgspec.json.Decoder().decode
_FILE = ("fileData", "file_data")
_RESULT = ("functionResponse", "function_response")
_MARKS = tuple(f'"{name}"'.encode() for name in _FILE)


def names_files(body: Body) -> bool:
    """Whether any part of the talk, or of a function's response, is an address."""
    parts = [part for content in body.contents for part in content.parts or ()]
    inner = (each for part in parts if part.functionResponse for each in part.functionResponse.parts or ())
    return any(part.fileData is not None for part in (*parts, *inner))


def filled(contents: Raw, files: Files) -> Raw:
    """The contents with those files in them; every other value keeps its very bytes."""
    try:
        opened = _read_list(contents)
    except msgspec.MsgspecError:
        opened = [contents]  # a single one, which some clients send
    return Raw(msgspec.json.encode([_filled_in(content, files) for content in opened]))


def _filled_in(holder: Raw, files: Files) -> Raw:
    """A content or a response with its parts filled."""
    if not any(mark in bytes(holder) for mark in _MARKS):
        return holder
    try:
        opened = _read_object(holder)
        parts = [_filled_part(part, files) for part in _read_list(opened["parts"])]
    except (msgspec.MsgspecError, KeyError):
        return holder  # its one part stands in no list
    return Raw(msgspec.json.encode(opened | {"parts": parts}))


def _filled_part(part: Raw, files: Files) -> Raw:
    if not any(mark in bytes(part) for mark in _MARKS):
        return part
    changed: dict[str, Any] = {}
    for name, raw in _read_object(part).items():
        changed[name] = _filled_in(raw, files) if name in _RESULT else raw
        if name in _FILE and (file := files.get(normalised(_read_any(raw)).get("fileUri"))) is not None:
            del changed[name]
            changed["inlineData"] = {"mimeType": file[0], "data": file[1]}
    return Raw(msgspec.json.encode(changed))
