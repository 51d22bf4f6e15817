"""Gemini requests: checked as they come in, and edited in place for an upstream of the same dialect."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw

from thalweg.canon.errors import InvalidRequest
from thalweg.canon.request import Request
from thalweg.dialects.base import Files, count_chars
from thalweg.dialects.gemini import addresses
from thalweg.dialects.gemini.body import Content, Read, decode_body
from thalweg.dialects.gemini.fields import camel
from thalweg.dialects.gemini.reader import Reader
from thalweg.dialects.gemini.signatures import SKIP, WRAPPED, is_foreign
from thalweg.dialects.gemini.target import Target, plain_model, read_target
from thalweg.dialects.gemini.thinking import generation
from thalweg.dialects.kit.body import NULL, check_model, missing, open_top, read_body, too_deep, wrong
from thalweg.profiles.base import Profile

_ONCE = ("contents", "generationConfig", "systemInstruction", "model")
_FOREIGN = f'"{WRAPPED}'.encode()
LOST_SIGNATURE = "lost-signature"
"""The repair of requests."""
_SIGNATURE = ("thoughtSignature", "thought_signature")
_read_list = msgspec.json.Decoder(list[Raw]).decode
_read_object = msgspec.json.Decoder(dict[str, Raw]).decode
_read_any = msgspec.json.Decoder().decode


class GeminiRequest:
    """A checked Gemini request with the bytes it came in. Model, verb and framing are the target's."""

    def __init__(self, body: bytes, target: bytes = b"") -> None:
        self._bytes = body
        self._read: Read = read_body(body, decode_body, once=_ONCE)
        self.body = self._read.body
        self._target = self._checked_target(target)
        self.model = self._target.model
        self.stream = self._target.stream
        self.framing = self._target.framing
        asked = self.body.generationConfig
        self.max_output_tokens = asked.maxOutputTokens if asked else None
        if self.max_output_tokens is not None and self.max_output_tokens < 0:
            raise wrong("generationConfig.maxOutputTokens", "must be at least 0")

    def _checked_target(self, target: bytes) -> Target:
        said = self.body.model
        if target:
            read = read_target(target)
            if said is not None and plain_model(said) != read.model:
                raise InvalidRequest("'model' is not the model that the path names.", param="model")
        elif said is None:
            raise missing("model")
        else:
            read = Target(plain_model(said), stream=False, framing="sse")
        check_model(read.model)
        if not self.body.contents:
            raise InvalidRequest("'contents' must have at least one content.", param="contents", code="empty_array")
        return read

    def prompt_chars(self) -> tuple[int, int]:
        """Characters of text in the instruction and all contents, ASCII and others."""
        contents = [*self.body.contents, *([self.body.systemInstruction] if self.body.systemInstruction else [])]
        counts = [count_chars(part.text) for each in contents for part in each.parts or () if part.text]
        return sum(narrow for narrow, _ in counts), sum(wide for _, wide in counts)

    def canon(self) -> Request:
        """The request in no dialect."""
        try:
            return Reader(self._read, self._target).request()
        except RecursionError as error:
            raise too_deep() from error

    def edited(self, *, model: str, profile: Profile, stream: bool) -> bytes:
        """The original body; only a model's name, fields that are refused, other vendors' signatures and those that are
        lost change.
        """
        foreign = _FOREIGN in self._bytes
        signed = LOST_SIGNATURE in profile.repairs and _needs_signature(model)
        unsigned = _unsigned_calls(self.body.contents) if signed else {}
        if not foreign and not unsigned and self.body.model is None and not profile.refused_fields:
            return self._bytes
        top = open_top(self._bytes)
        if "model" in top:
            top["model"] = Raw(msgspec.json.encode(model if model.startswith("models/") else f"models/{model}"))
        kept = {name: raw for name, raw in top.items() if camel(name) not in profile.refused_fields}
        if unsigned and "contents" in kept:
            kept["contents"] = _with_marks(kept["contents"], unsigned)
        if foreign and "contents" in kept:
            kept["contents"] = _without_foreign(kept["contents"], needs_signature=_needs_signature(model))
        return msgspec.json.encode(kept)

    def names_files(self) -> bool:
        """Whether it names any file by an address."""
        return addresses.names_files(self.body)

    def filled(self, body: bytes, files: Files) -> bytes:
        """The edited body with those files in the place of their addresses."""
        top = dict(open_top(body))
        return msgspec.json.encode(top | {"contents": addresses.filled(top["contents"], files)})

    def left_out(self, profile: Profile) -> tuple[str, ...]:
        """Names of the client's fields that `edited` leaves out."""
        if not profile.refused_fields:
            return ()
        top = open_top(self._bytes)
        return tuple(sorted(name for name, raw in top.items() if camel(name) in profile.refused_fields and raw != NULL))


def _needs_signature(model: str) -> bool:
    born = generation(model)
    return born is not None and born >= (3, 0)


def _unsigned_calls(contents: list[Content]) -> dict[int, int]:
    """Of each step in the turn that is going on: the first call, if it has no signature. By the number of its content
    the number of its part.
    """
    said = (
        at
        for at, content in enumerate(contents)
        if content.role != "model" and any(part.functionResponse is None for part in content.parts or ())
    )
    began = max(said, default=-1)
    found: dict[int, int] = {}
    called = False
    for at, content in enumerate(contents[began + 1 :], began + 1):
        called = called and content.role == "model"
        for number, part in enumerate(content.parts or ()):
            if part.functionCall is None or called or content.role != "model":
                continue
            called = True
            if not part.thoughtSignature:
                found[at] = number
    return found


def _with_marks(raw: Raw, unsigned: dict[int, int]) -> Raw:
    """The contents with the mark for a lost signature on these parts."""
    try:
        contents = _read_list(raw)
        for at, number in unsigned.items():
            opened = _read_object(contents[at])
            parts: list[Any] = [*_read_list(opened["parts"])]
            fields = _read_object(parts[number])
            bare = {name: value for name, value in fields.items() if name not in _SIGNATURE}
            parts[number] = bare | {"thoughtSignature": SKIP}
            contents[at] = Raw(msgspec.json.encode(opened | {"parts": parts}))
    except (msgspec.MsgspecError, KeyError, IndexError):
        return raw  # a form that only some clients send, and in which no call can be answered
    return Raw(msgspec.json.encode(contents))


def _without_foreign(raw: Raw, *, needs_signature: bool) -> Raw:
    """The contents without what only another vendor can read. A content that has nothing else goes with it."""
    try:
        contents = _read_list(raw)
    except msgspec.MsgspecError:
        contents = [raw]  # a single one, which some clients send
    kept: list[Raw] = []
    for content in contents:
        if _FOREIGN not in bytes(content):
            kept.append(content)
        elif (cleaned := _cleaned(content, needs_signature=needs_signature)) is not None:
            kept.append(cleaned)
    return Raw(msgspec.json.encode(kept))


def _cleaned(content: Raw, *, needs_signature: bool) -> Raw | None:
    opened = _read_object(content)
    parts: list[Any] = []
    first_call = True
    for part in _read_list(opened.get("parts", b"[]")):
        fields = _read_object(part)
        is_call = bool(fields.keys() & {"functionCall", "function_call"})
        if not _is_foreign(fields):
            parts.append(part)
        elif is_call:
            bare = {name: value for name, value in fields.items() if name not in _SIGNATURE}
            skip = {"thoughtSignature": Raw(msgspec.json.encode(SKIP))} if needs_signature and first_call else {}
            parts.append(bare | skip)
        elif _has_text(fields):
            parts.append({name: value for name, value in fields.items() if name not in _SIGNATURE})
        first_call = first_call and not is_call
    return Raw(msgspec.json.encode(opened | {"parts": parts})) if parts else None


def _is_foreign(fields: dict[str, Raw]) -> bool:
    values = [_read_any(fields[name]) for name in _SIGNATURE if name in fields]
    return any(isinstance(value, str) and is_foreign(value) for value in values)


def _has_text(fields: dict[str, Raw]) -> bool:
    """Whether something is left to be said without the signature. Another model's thoughts are not."""
    thought = fields.get("thought")
    return "text" in fields and bytes(fields["text"]) != b'""' and (thought is None or bytes(thought) != b"true")
