"""Whole Chat answers, both ways."""

from __future__ import annotations

from typing import Any

import msgspec

from thalweg.canon.errors import UpstreamFailed
from thalweg.canon.parts import Opaque, Part, Reasoning, Refusal, Text, ToolCall
from thalweg.canon.response import Choice as CanonChoice
from thalweg.canon.response import Response
from thalweg.dialects.kit.frames import broke
from thalweg.dialects.kit.refusals import error_in_stream, extract
from thalweg.dialects.openai_chat.calls import custom_of, made_up_id
from thalweg.dialects.openai_chat.signatures import call_extra, call_signature, message_details
from thalweg.dialects.openai_chat.stream import canonical_finish, signature_of
from thalweg.dialects.openai_chat.tables import (
    NAME,
    NOT_FINISHED,
    finish_to_wire,
    is_usage,
    usage_to_canon,
    usage_to_wire,
)
from thalweg.dialects.openai_chat.wire import (
    Choice,
    Completion,
    Message,
    ToolPiece,
    arguments_of,
    read_completion,
    reasoning_of,
    text_of,
    write_citation,
)


def decode_answer(body: bytes, *, provider: str = "") -> Response:
    """A whole answer. Raises `UpstreamFailed` for an error in a good status, `UpstreamBroke` for what is no answer."""
    read = _read(body, provider)
    if read.error or not read.choices:
        if read.error:
            raise error_in_stream(read.error, provider=provider)
        if said := extract({"message": read.message, "detail": read.detail, "code": read.code}):
            raise UpstreamFailed(said.message, provider=provider, code=said.code)
        if read.choices is None:
            raise broke(provider, "sent JSON that is no answer")
    response_id = read.id if isinstance(read.id, str) else ""
    model = read.model if isinstance(read.model, str) else ""
    named = {"system_fingerprint": read.system_fingerprint, "service_tier": read.service_tier}
    return Response(
        response_id=response_id,
        model=model,
        created=read.created if isinstance(read.created, int) else None,
        choices=tuple(_choice(choice, i, response_id, model) for i, choice in enumerate(read.choices or ())),
        usage=usage_to_canon(read.usage) if is_usage(read.usage) else None,
        raw_usage=read.usage,
        complete=True,
        extras={name: value for name, value in named.items() if isinstance(value, str)},
    )


def _read(body: bytes, provider: str) -> Completion:
    """Parse, bearing the white space that some send ahead of a slow answer."""
    try:
        return read_completion(body.strip())
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise broke(provider, "sent a body that is no answer") from error


def _choice(choice: Choice, at: int, response_id: str, model: str) -> CanonChoice:
    message = choice.message or Message()
    index = choice.index if isinstance(choice.index, int) else at
    raw = choice.finish_reason if isinstance(choice.finish_reason, str) else None
    raw = None if raw in NOT_FINISHED else raw
    parts = tuple(_parts(message, index, response_id, model))
    kinds = {type(part) for part in parts}
    return CanonChoice(
        index=index,
        parts=parts,
        finish_reason=canonical_finish(raw, has_calls=ToolCall in kinds, has_refusal=Refusal in kinds),
        raw_finish_reason=raw,
        logprobs=choice.logprobs if isinstance(choice.logprobs, dict) else None,
    )


def _parts(message: Message, choice: int, response_id: str, model: str) -> list[Part]:
    parts: list[Part] = []
    reasoning, signature = reasoning_of(message), signature_of(message.reasoning_details, model)
    if reasoning or signature:
        parts.append(Reasoning(text=reasoning, signature=signature))
    if text := text_of(message.content):
        parts.append(Text(text=text))
    if isinstance(message.refusal, str) and message.refusal:
        parts.append(Refusal(text=message.refusal))
    parts += [_call(piece, choice, i, response_id) for i, piece in enumerate(message.tool_calls or ())]
    if message.function_call and isinstance(message.function_call.name, str) and message.function_call.name:
        arguments = arguments_of(message.function_call.arguments)
        name = message.function_call.name
        parts.append(ToolCall(id=f"legacy_{name}", name=name, arguments=arguments, kind="legacy"))
    for name, value in (("audio", message.audio), ("annotations", message.annotations)):
        if value and (not isinstance(value, dict) or any(value.values())):
            parts.append(Opaque(dialect=NAME, raw={name: value}))
    return parts


def _call(piece: ToolPiece, choice: int, number: int, response_id: str) -> ToolCall:
    call_id = piece.id if isinstance(piece.id, str) and piece.id else made_up_id(response_id, choice, number)
    if custom := custom_of(piece):
        name, text = custom.get("name"), arguments_of(custom.get("input"))
        return ToolCall(id=call_id, name=str(name or ""), arguments=text, kind="custom")
    name = piece.function.name if piece.function else None
    arguments = arguments_of(piece.function.arguments) if piece.function else ""
    signature = call_signature(piece.extra_content)
    return ToolCall(id=call_id, name=name if isinstance(name, str) else "", arguments=arguments, signature=signature)


def encode_answer(response: Response) -> bytes:
    """A whole answer for a client, with every key that the SDKs' types know as always there."""
    wire: dict[str, Any] = {
        "id": response.response_id,
        "object": "chat.completion",
        "created": response.created or 0,
        "model": response.model,
        "choices": [_write_choice(choice) for choice in response.choices],
    }
    if response.usage is not None:
        wire["usage"] = usage_to_wire(response.usage)
    return msgspec.json.encode(wire | response.extras)


def _write_choice(choice: CanonChoice) -> dict[str, Any]:
    return {
        "index": choice.index,
        "message": _write_message(choice.parts),
        "logprobs": choice.logprobs,
        "finish_reason": _finish(choice),
    }


def _finish(choice: CanonChoice) -> str | None:
    if choice.finish_reason is None:
        return None
    refused = any(isinstance(part, Refusal) and part.text for part in choice.parts)
    return finish_to_wire(choice.finish_reason, refused=refused)


def _write_message(parts: tuple[Part, ...]) -> dict[str, Any]:
    text = "".join(part.text for part in parts if isinstance(part, Text))
    calls = [part for part in parts if isinstance(part, ToolCall)]
    refusal = "".join(part.text for part in parts if isinstance(part, Refusal))
    wire: dict[str, Any] = {
        "role": "assistant",
        "content": text or (None if calls or refusal else ""),
        "refusal": refusal or None,
    }
    if reasoning := "".join(part.text for part in parts if isinstance(part, Reasoning)):
        wire["reasoning_content"] = reasoning
    if details := message_details(parts):
        wire["reasoning_details"] = details
    if cited := [citation for part in parts if isinstance(part, Text) for citation in part.citations]:
        wire["annotations"] = [*map(write_citation, cited)]
    for part in parts:
        if isinstance(part, Opaque) and part.dialect == NAME and isinstance(part.raw, dict):
            wire |= part.raw
    if legacy := [call for call in calls if call.kind == "legacy"]:
        wire["function_call"] = {"name": legacy[0].name, "arguments": legacy[0].arguments}
    if modern := [_write_call(call) for call in calls if call.kind != "legacy"]:
        wire["tool_calls"] = modern
    return wire


def _write_call(call: ToolCall) -> dict[str, Any]:
    if call.kind == "custom":
        return {"id": call.id, "type": "custom", "custom": {"name": call.name, "input": call.arguments}}
    wire: dict[str, Any] = {"id": call.id, "type": "function"}
    wire["function"] = {"name": call.name, "arguments": call.arguments or "{}"}
    if call.signature:
        wire["extra_content"] = call_extra(call.signature)
    return wire
