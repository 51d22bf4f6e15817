"""The talk so far, as Anthropic takes it. The messages come arranged (`canon.turns`)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec
from msgspec import Raw

from thalweg.canon.losses import Losses
from thalweg.canon.parts import Media, Opaque, Part, Reasoning, Refusal, Text, ToolCall, ToolResult
from thalweg.canon.request import Message
from thalweg.canon.turns import NO_RESULT
from thalweg.dialects.anthropic_messages.blocks import Block, object_of
from thalweg.dialects.anthropic_messages.files import write_media
from thalweg.dialects.anthropic_messages.marks import mark
from thalweg.dialects.anthropic_messages.tables import VENDOR, ModelRow

_GO_ON = "Continue."
_ANCHOR = "."
"""The least that a user can have said."""


class Turn:
    """One message while it is put together."""

    __slots__ = ("blocks", "role")

    def __init__(self, role: str, blocks: list[Block]) -> None:
        self.role = role
        self.blocks = blocks


def is_ours(part: Part) -> bool:
    """Whether this is a thought that Anthropic signed and would take back."""
    return (
        isinstance(part, Reasoning)
        and part.signature is not None
        and part.signature.vendor == VENDOR
        and bool(part.signature.data)
    )


def is_unsigned(messages: Iterable[Message]) -> bool:
    """Whether the assistant's last turn called tools and does not begin with a thought of Anthropic's."""
    last = next((message for message in reversed(list(messages)) if message.role == "assistant"), None)
    if last is None or not any(isinstance(part, ToolCall) for part in last.parts):
        return False
    said = [part for part in last.parts if not isinstance(part, Reasoning) or is_ours(part)]
    return not is_ours(said[0])


class History:
    """Writes the messages of one request."""

    def __init__(self, row: ModelRow, alias: Callable[[str], str], wrapped: set[str], losses: Losses) -> None:
        self._row, self._alias, self._wrapped, self._losses = row, alias, wrapped, losses
        self.system: list[Block] = []
        """Instructions that stand before every message."""
        self._turns: list[Turn] = []
        self._waiting: list[Block] = []
        """Instructions that wait for the place where they may stand."""

    def write(self, messages: Iterable[Message]) -> list[dict[str, Any]]:
        """The messages."""
        for message in messages:
            if message.name is not None:
                self._losses.drop("messages.name")
            blocks = [block for part in message.parts for block in self._part(message, part)]
            if message.role == "system":
                self._instruct(blocks)
                continue
            if message.role == "assistant":
                self._place_waiting()
            self._say(message.role, blocks)
        self._place_waiting()
        self._close()
        return [{"role": turn.role, "content": turn.blocks} for turn in self._turns]

    def _say(self, role: str, blocks: list[Block]) -> None:
        if not blocks:
            return
        if self._turns and self._turns[-1].role == role:
            self._turns[-1].blocks += blocks
        else:
            self._turns.append(Turn(role, blocks))

    # Instructions between turns.

    def _instruct(self, blocks: list[Block]) -> None:
        if not self._turns:
            self.system += blocks
        elif self._row.system_inside:
            self._waiting += blocks
        else:
            self._wrap(blocks)

    def _place_waiting(self) -> None:
        """An instruction stands behind a user's turn and before the assistant's, or last."""
        blocks, self._waiting = self._waiting, []
        if blocks and self._turns[-1].role == "user":
            self._turns.append(Turn("system", blocks))
        elif blocks:
            self._wrap(blocks)

    def _wrap(self, blocks: list[Block]) -> None:
        self._losses.approximate("messages", "an instruction between turns becomes part of the user's")
        self._say("user", [block | {"text": f"<system>\n{block['text']}\n</system>"} for block in blocks])

    # The end.

    def _close(self) -> None:
        """See to it that there is a last turn, and that it may be the last."""
        last = self._turns[-1] if self._turns else None
        if last is None:
            self._say("user", [{"type": "text", "text": _ANCHOR}])
        elif last.role != "assistant":
            return
        elif calls := [block for block in last.blocks if block["type"] == "tool_use"]:
            self._losses.approximate("messages", "the last tool calls have no results")
            self._say("user", [_no_result(call["id"]) for call in calls])
        elif not self._row.prefill:
            self._losses.approximate("messages", "the model does not go on with an answer that was begun")
            self._say("user", [{"type": "text", "text": _GO_ON}])
        elif last.blocks[-1]["type"] == "text":
            last.blocks[-1]["text"] = last.blocks[-1]["text"].rstrip()

    # Parts.

    def _part(self, message: Message, part: Part) -> list[Block]:
        return _PARTS[type(part)](self, part, message)

    def _text(self, part: Text, _: Message) -> list[Block]:
        return write_text(part)

    def _media(self, part: Media, message: Message) -> list[Block]:
        if message.role != "user":
            self._losses.drop("messages", "the assistant's turns hold no files")
            return []
        return self._file(part)

    def _file(self, part: Media) -> list[Block]:
        block = write_media(part, self._losses)
        return [] if block is None else [mark(block, part.cache)]

    def _reasoning(self, part: Reasoning, _: Message) -> list[Block]:
        """Anthropic's own thoughts go back as they came; without its signature they would be refused."""
        signature = part.signature
        if signature is None or not is_ours(part):
            return []
        if part.redacted or signature.kind == "redacted":
            return [{"type": "redacted_thinking", "data": signature.data}]
        return [{"type": "thinking", "thinking": part.text, "signature": signature.data}]

    def _call(self, part: ToolCall, _: Message) -> list[Block]:
        if part.kind == "server":
            return []
        arguments = object_of(part.arguments)
        if part.kind == "custom" or part.name in self._wrapped:
            arguments = Raw(msgspec.json.encode({"input": part.arguments}))
        elif bytes(arguments).startswith(b'{"_raw"') and '"_raw"' not in part.arguments:
            self._losses.approximate("messages.tool_calls", "arguments that are no JSON object are wrapped in one")
        block = {"type": "tool_use", "id": part.id, "name": self._alias(part.name), "input": arguments}
        return [mark(block, part.cache)]

    def _result(self, part: ToolResult, _: Message) -> list[Block]:
        block: Block = {"type": "tool_result", "tool_use_id": part.call_id}
        content: list[Block] = []
        for inner in part.parts:
            content += write_text(inner) if isinstance(inner, Text) else self._file(inner)
        if content:
            block["content"] = content
        if part.is_error:
            block["is_error"] = True
        return [mark(block, part.cache)]

    def _refusal(self, part: Refusal, _: Message) -> list[Block]:
        return write_text(Text(text=part.text))

    def _opaque(self, part: Opaque, _: Message) -> list[Block]:
        self._losses.drop("messages", "a part of it is another provider's own")
        return []


def write_text(part: Text) -> list[Block]:
    """A text; Anthropic takes none without a word."""
    return [mark({"type": "text", "text": part.text}, part.cache)] if part.text.strip() else []


def _no_result(call_id: str) -> Block:
    content = [{"type": "text", "text": NO_RESULT}]
    return {"type": "tool_result", "tool_use_id": call_id, "content": content, "is_error": True}


_PARTS: dict[type, Callable[[History, Any, Message], list[Block]]] = {
    Text: History._text,
    Media: History._media,
    Reasoning: History._reasoning,
    ToolCall: History._call,
    ToolResult: History._result,
    Refusal: History._refusal,
    Opaque: History._opaque,
}
