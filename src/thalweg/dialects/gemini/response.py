"""Whole Gemini answers, both ways. Reading one is reading a stream of one chunk."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from thalweg.canon.finish import FinishReason
from thalweg.canon.fold import fold
from thalweg.canon.parts import Media, Opaque, Part, Reasoning, Refusal, Text, ToolCall
from thalweg.canon.request import Request
from thalweg.canon.response import Choice, Response
from thalweg.dialects.gemini.encoder import (
    CUT,
    PartWire,
    call_part,
    candidate_of,
    grounded,
    media_part,
    opaque_part,
    proving,
    shows_thoughts,
    signed,
    thought_part,
)
from thalweg.dialects.gemini.logprobs import logprobs_to_wire
from thalweg.dialects.gemini.signatures import is_foreign
from thalweg.dialects.gemini.stream import GeminiStreamDecoder
from thalweg.dialects.gemini.tables import usage_to_wire, wire_finish
from thalweg.dialects.gemini.wire import elements
from thalweg.dialects.kit.frames import BadFrame, broke
from thalweg.dialects.kit.separators import escape_separators


def decode_answer(body: bytes, *, provider: str = "") -> Response:
    """A whole answer. Raises `UpstreamFailed` for an error in a good status, `UpstreamBroke` for what is no answer."""
    decoder = GeminiStreamDecoder(provider=provider)
    try:
        found = elements(body.strip())
        answer = fold(decoder.feed_whole(found[0] if found else body))
    except BadFrame as error:
        raise broke(provider, str(error).replace("sent a frame that", "sent an answer that")) from error
    if answer.error is not None:
        raise answer.error
    return answer


def encode_answer(answer: Response, asked: Request) -> bytes:
    """A whole answer for a client. Every candidate has at least one part, or google-genai's chat forgets the turn."""
    shown = shows_thoughts(asked)
    wire: dict[str, Any] = {"candidates": [_write_choice(choice, shown) for choice in answer.choices]}
    if answer.usage is not None:
        wire["usageMetadata"] = usage_to_wire(answer.usage)
    wire |= {"modelVersion": answer.model, "responseId": answer.response_id}
    return escape_separators(msgspec.json.encode(wire))


def _write_choice(choice: Choice, shown: bool) -> dict[str, Any]:
    reason = choice.finish_reason or FinishReason.UNKNOWN
    parts = _written(choice.parts, shown=shown, cut=reason in CUT)
    wire = candidate_of(choice.index, parts or [{"text": ""}], wire_finish(reason, choice.raw_finish_reason))
    cited = [part for part in choice.parts if isinstance(part, Text) and part.citations]
    placed = len(cited) == 1 and cited[0].text.isascii()
    wire |= grounded(tuple(citation for part in cited for citation in part.citations), placed=placed)
    if (logprobs := logprobs_to_wire(choice.logprobs)) is not None:
        wire["logprobsResult"] = logprobs
    return wire


def _written(said: tuple[Part, ...], *, shown: bool, cut: bool) -> list[PartWire]:
    parts: list[PartWire] = []
    proofs: list[PartWire] = []
    for each in said:
        part = _WRITERS[type(each)](each, shown, cut)
        if part is None:
            continue
        if isinstance(each, Reasoning) and not shown and is_foreign(part.get("thoughtSignature", "")):
            proofs.append(part)
            continue
        if isinstance(each, ToolCall):
            part = proving(part, proofs) or part
        parts += [*proofs, part]
        proofs = []
    return parts + proofs


def _write_text(part: Any, _: bool, __: bool) -> PartWire | None:
    wire: PartWire = {"text": part.text}
    return signed(wire, part.signature) or (wire if part.text else None)


def _write_refusal(part: Any, _: bool, __: bool) -> PartWire | None:
    return {"text": part.text} if part.text else None


def _write_reasoning(part: Any, shown: bool, _: bool) -> PartWire | None:
    wire = thought_part(part.text, shown=shown)
    return signed(wire, part.signature) or (wire if wire["text"] else None)


def _write_call(part: Any, _: bool, cut: bool) -> PartWire | None:
    """A call; none where the answer was cut in the middle of its arguments."""
    wire, whole = call_part(part)
    return wire if whole or not cut else None


def _write_media(part: Any, _: bool, __: bool) -> PartWire | None:
    return media_part(part.data, part.mime)


def _write_opaque(part: Any, _: bool, __: bool) -> PartWire | None:
    return opaque_part(part.dialect, part.raw)


_WRITERS: dict[type[Part], Callable[[Any, bool, bool], PartWire | None]] = {
    Text: _write_text,
    Refusal: _write_refusal,
    Reasoning: _write_reasoning,
    ToolCall: _write_call,
    Media: _write_media,
    Opaque: _write_opaque,
}
