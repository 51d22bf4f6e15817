"""Whole Anthropic answers, both ways."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec.structs import replace

from thalweg.canon.errors import UpstreamBroke, UpstreamFailed
from thalweg.canon.fold import fold
from thalweg.canon.parts import Opaque, Part, Reasoning, Refusal, Text, ToolCall
from thalweg.canon.response import Choice, Response
from thalweg.canon.usage import Usage
from thalweg.dialects.anthropic_messages.blocks import (
    ALONE,
    NEXT,
    Block,
    carrier_of,
    object_of,
    slot_of,
    write_citations,
)
from thalweg.dialects.anthropic_messages.encoder import call_block, stop_of
from thalweg.dialects.anthropic_messages.errors import read_stream_error
from thalweg.dialects.anthropic_messages.stream import whole_events
from thalweg.dialects.anthropic_messages.tables import NAME, VENDOR, finish_to_wire, usage_to_wire
from thalweg.dialects.anthropic_messages.wire import read_any
from thalweg.dialects.kit.refusals import extract


def decode_answer(body: bytes, *, provider: str = "") -> Response:
    """A whole answer. Raises `UpstreamFailed` for an error in a good status, `UpstreamBroke` for what is no answer."""
    who = provider or "the upstream"
    try:
        read = read_any(body.strip())
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise UpstreamBroke(f"{who} sent a body that is no answer", provider=provider) from error
    if isinstance(read, dict) and (read.get("error") or read.get("type") == "error"):
        raise read_stream_error(read.get("error") or read, provider=provider)
    if not isinstance(read, dict) or not isinstance(read.get("content"), list):
        if said := extract(read):
            raise UpstreamFailed(said.message, provider=provider, code=said.code, provider_type=said.type)
        raise UpstreamBroke(f"{who} sent JSON that is no answer", provider=provider)
    return fold(whole_events(read))


def encode_answer(answer: Response, *, hides: bool = False, carries_of_texts: bool = True) -> bytes:
    """A whole answer for a client, with every key that the SDKs' types know as always there. Of several choices, the
    first alone has a place in this dialect. `hides`: the client wants no word of the thoughts. `carries_of_texts`: it
    bears a thought ahead of a text that is signed.
    """
    choice = answer.choices[0] if answer.choices else Choice(index=0, parts=(), finish_reason=None)
    parts = tuple(map(_hidden, choice.parts)) if hides else choice.parts
    if not carries_of_texts:
        parts = tuple(replace(part, signature=None) if isinstance(part, Text) else part for part in parts)
    content = [block for part in parts for block in _BLOCKS.get(type(part), _write_nothing)(part)]
    reason = finish_to_wire(
        choice.finish_reason,
        has_calls=any(isinstance(part, ToolCall) for part in choice.parts),
        refused=any(isinstance(part, Refusal) for part in choice.parts),
        matched=choice.stop_sequence,
    )
    return msgspec.json.encode(
        {
            "id": answer.response_id,
            "type": "message",
            "role": "assistant",
            "model": answer.model,
            "content": content,
            **stop_of(reason, choice.stop_sequence),
            "usage": usage_to_wire(answer.usage or Usage()),
        }
    )


def _hidden(part: Part) -> Part:
    return replace(part, text="") if isinstance(part, Reasoning) else part


def _write_text(part: Text) -> list[Block]:
    if not part.text:
        return [carrier_of(part.signature, ALONE)] if part.signature else []
    block: Block = {"type": "text", "text": part.text}
    if part.citations:
        block["citations"] = write_citations(part.citations)
    return [carrier_of(part.signature, NEXT), block] if part.signature else [block]


def _write_refusal(part: Refusal) -> list[Block]:
    return [{"type": "text", "text": part.text}] if part.text else []


def _write_reasoning(part: Reasoning) -> list[Block]:
    signature = part.signature
    if part.redacted and signature and signature.vendor == VENDOR and not part.text:
        return [{"type": "redacted_thinking", "data": signature.data}]
    if not part.text and signature is None:
        return []
    return [{"type": "thinking", "thinking": part.text, "signature": slot_of(signature)}]


def _write_call(part: ToolCall) -> list[Block]:
    arguments: Any = {"input": part.arguments} if part.kind == "custom" else object_of(part.arguments)
    block = call_block(part.id, part.name, arguments)
    return [carrier_of(part.signature, NEXT), block] if part.signature else [block]


def _write_opaque(part: Opaque) -> list[Block]:
    return [part.raw] if part.dialect == NAME and isinstance(part.raw, dict) else []


def _write_nothing(_: Part) -> list[Block]:
    return []


_BLOCKS: dict[type, Callable[[Any], list[Block]]] = {
    Text: _write_text,
    Refusal: _write_refusal,
    Reasoning: _write_reasoning,
    ToolCall: _write_call,
    Opaque: _write_opaque,
}
