"""Anthropic requests: checked as they come in, edited in place for the same dialect."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw

from thalweg.canon.envelope import PREFIX, is_wrapped
from thalweg.canon.errors import InvalidRequest
from thalweg.canon.request import Request
from thalweg.dialects.anthropic_messages.body import Block, Body
from thalweg.dialects.anthropic_messages.complaints import missing, wrong, wrong_type
from thalweg.dialects.anthropic_messages.reader import Reader
from thalweg.dialects.base import count_chars
from thalweg.dialects.kit.body import NULL, open_top, read_body, too_deep
from thalweg.profiles.base import Profile

_decode_body = msgspec.json.Decoder(Body).decode
_decode_messages = msgspec.json.Decoder(list[dict[str, Raw]]).decode
_decode_blocks = msgspec.json.Decoder(list[Raw]).decode
_ONCE = ("model", "stream", "max_tokens", "messages")
_ROLES = ("user", "assistant", "system")
_ENVELOPE = PREFIX.encode()


class AnthropicRequest:
    """A checked request with the bytes it came in."""

    def __init__(self, body: bytes, *, counts_only: bool = False) -> None:
        self._bytes = body
        self._opened: dict[str, Raw] | None = None
        self.body = _read(body, counts_only=counts_only)
        self.model = self.body.model
        self.stream = bool(self.body.stream)
        self.max_output_tokens = self.body.max_tokens

    def edited(self, *, model: str, profile: Profile, stream: bool) -> bytes:
        """The original body with the gateway's own fields put in; every other value keeps its very bytes. What holds
        another vendor's signature is taken out: Anthropic would refuse it.
        """
        top = dict(self._top())
        top["model"] = Raw(msgspec.json.encode(model))
        if stream or self.stream:
            top["stream"] = Raw(b"true" if stream else b"false")
        for field in profile.refused_fields:
            top.pop(field, None)
        if _ENVELOPE in self._bytes:
            top["messages"] = _without_envelopes(top["messages"])
        return msgspec.json.encode(top)

    def left_out(self, profile: Profile) -> tuple[str, ...]:
        """Names of the client's fields that `edited` leaves out."""
        return tuple(name for name in sorted(profile.refused_fields) if self._top().get(name, NULL) != NULL)

    def prompt_chars(self) -> tuple[int, int]:
        """Characters of text in the system prompt and all messages, ASCII and others."""
        contents = [message.content for message in self.body.messages]
        if self.body.system is not None:
            contents.append(self.body.system)
        counts = [count_chars(text) for content in contents for text in _texts(content)]
        return sum(narrow for narrow, _ in counts), sum(wide for _, wide in counts)

    def canon(self) -> Request:
        """The request in no dialect."""
        try:
            return Reader(self.body, self._top()).request()
        except RecursionError as error:
            raise too_deep() from error

    def _top(self) -> dict[str, Raw]:
        """The body opened one level."""
        if self._opened is None:
            self._opened = open_top(self._bytes)
        return self._opened


def _read(body: bytes, *, counts_only: bool) -> Body:
    """Decode and check. Every complaint names its field."""
    try:
        read = read_body(body, _decode_body, once=_ONCE)
    except InvalidRequest as error:
        if isinstance(error.__cause__, msgspec.ValidationError):
            raise wrong_type(error.__cause__) from error
        raise
    if not read.model or "\0" in read.model or len(read.model) > 512:
        raise wrong("model", "String should be a model's name")
    if not read.messages:
        raise wrong("messages", "at least one message is required", code="empty_array")
    if read.max_tokens is None and not counts_only:
        raise missing("max_tokens")
    if read.max_tokens is not None and read.max_tokens < 0:
        raise wrong("max_tokens", "Input should be greater than or equal to 0")
    for at, message in enumerate(read.messages):
        if message.role not in _ROLES:
            raise wrong(f"messages.{at}.role", "Input should be 'user', 'assistant' or 'system'")
    return read


def _texts(content: str | list[Block]) -> list[str]:
    """Every text that costs tokens, those of tool results included."""
    if isinstance(content, str):
        return [content]
    texts: list[str] = []
    for block in content:
        texts += filter(None, (block.text, block.thinking))
        if block.type == "tool_result":
            texts += _result_texts(block.content)
    return texts


def _result_texts(raw: Raw) -> list[str]:
    try:
        found: str | list[Block] | None = msgspec.json.decode(raw, type=str | list[Block] | None) if len(raw) else None
    except msgspec.MsgspecError:
        return []
    return _texts(found) if found else []


def _without_envelopes(raw: Raw) -> Raw:
    """The messages without other vendors' signatures; a message of nothing else is left out."""
    kept: list[dict[str, Raw]] = []
    for message in _decode_messages(raw):
        content = message.get("content", NULL)
        if _ENVELOPE not in bytes(content) or bytes(content)[:1] != b"[":
            kept.append(message)
            continue
        blocks = [one for block in _decode_blocks(content) if (one := _without_envelope(block)) is not None]
        if blocks:
            kept.append(message | {"content": Raw(msgspec.json.encode(blocks))})
    return Raw(msgspec.json.encode(kept))


def _without_envelope(raw: Raw) -> Raw | None:
    """A block without what is ours; `None` where it is nothing else."""
    if _ENVELOPE not in bytes(raw):
        return raw
    tree = msgspec.json.decode(raw)
    slot = {"thinking": "signature", "redacted_thinking": "data"}.get(tree.get("type"))
    if slot is not None:
        return None if _is_ours(tree.get(slot)) else raw
    citations = tree.get("citations")
    if tree.get("type") == "text" and isinstance(citations, list):
        theirs = [one for one in citations if not (isinstance(one, dict) and _is_ours(one.get("encrypted_index")))]
        if len(theirs) < len(citations):
            rest = {name: value for name, value in tree.items() if name != "citations"}
            return Raw(msgspec.json.encode(rest | ({"citations": theirs} if theirs else {})))
    return raw


def _is_ours(value: Any) -> bool:
    return isinstance(value, str) and is_wrapped(value)
