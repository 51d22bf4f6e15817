"""The shapes of Chat on the wire, as lenient as the providers are.

Only the frame of a chunk is typed (lists and objects where the grammar has them); every leaf may be anything, because
somewhere it is. Reading a leaf therefore always asks for its type.
"""

from __future__ import annotations

from typing import Annotated, Any, Generic, Literal, TypeVar

import msgspec

from thalweg.canon.parts import Citation
from thalweg.canon.usage import MOST_TOKENS

D = TypeVar("D")


class FunctionPiece(msgspec.Struct, gc=False):
    """A piece of a function call."""

    name: Any = None
    arguments: Any = None


class ToolPiece(msgspec.Struct):
    """A piece of a tool call."""

    index: Any = None
    id: Any = None
    type: Any = None
    function: FunctionPiece | None = None
    custom: Any = None
    extra_content: Any = None


class Message(msgspec.Struct):
    """The message of a whole answer."""

    role: Any = None
    content: Any = None
    reasoning_content: Any = None
    reasoning: Any = None
    reasoning_details: Any = None
    refusal: Any = None
    tool_calls: list[ToolPiece] | None = None
    function_call: FunctionPiece | None = None
    audio: Any = None
    annotations: Any = None


class Delta(Message):
    """What a chunk adds to one choice: any field of a message."""


class ChunkChoice(msgspec.Struct):
    """One choice's share of a chunk."""

    index: Any = None
    delta: Delta | None = None
    finish_reason: Any = None
    logprobs: Any = None


class Envelope(msgspec.Struct, kw_only=True):
    """What chunks and whole answers have in common."""

    id: Any = None
    object: Any = None
    created: Any = None
    model: Any = None
    usage: Any = None
    error: Any = None
    system_fingerprint: Any = None
    service_tier: Any = None
    message: Any = None
    code: Any = None


class Chunk(Envelope, kw_only=True):
    """One event of a stream."""

    choices: list[ChunkChoice] | None = None


class TextDelta(msgspec.Struct, gc=False):
    """A delta that only adds text. What may not be there has a type of its own, so that the parser refuses it."""

    content: str
    reasoning_content: str | None = None
    reasoning: str | None = None
    role: None = None
    reasoning_details: None = None
    refusal: None = None
    tool_calls: None = None
    function_call: None = None
    audio: None = None


class TextDeltaWithRole(TextDelta, gc=False):
    """The same where the role may be said again and again."""

    role: str | None = None  # type: ignore[assignment]  # wider than the base on purpose


class TextChoice(msgspec.Struct, Generic[D], gc=False):
    """The first choice, going on."""

    index: Literal[0]
    delta: D
    finish_reason: None = None


class AnyTextChunk(msgspec.Struct, Generic[D], gc=False):
    """The common chunk, which only adds text to the first choice and needs no repair.

    Whatever any other chunk has of more or less, the parser refuses, so that one call decides.
    """

    id: str
    model: str
    created: int
    object: Literal["chat.completion.chunk"]
    choices: tuple[TextChoice[D]]
    error: None = None


class TextChunk(AnyTextChunk[D], Generic[D], gc=False):
    """The common chunk where usage comes apart from text."""

    usage: None = None


class MeteredTextChunk(AnyTextChunk[D], Generic[D], gc=False):
    """The same where every chunk may report usage. The report is not read, only seen; `null` is as long as none."""

    usage: msgspec.Raw = msgspec.Raw(b"null")


class LoneFunction(msgspec.Struct, gc=False):
    """Arguments that go on."""

    arguments: str


class LonePiece(msgspec.Struct, gc=False):
    """A piece of a call that goes on. Many repeat its id."""

    index: int
    function: LoneFunction
    id: str | None = None
    custom: None = None
    extra_content: None = None


class LoneDetail(msgspec.Struct, gc=False):
    """A detail of reasoning that proves nothing: its text stands beside it."""

    signature: None = None
    data: None = None


class LoneDelta(msgspec.Struct, gc=False):
    """A delta that adds text, or to a call, and nothing else that a reader of other dialects would want."""

    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[LonePiece] | None = None
    reasoning_details: list[LoneDetail] | None = None
    refusal: None = None
    function_call: None = None
    audio: None = None
    annotations: None = None


class LoneChoice(msgspec.Struct, gc=False):
    """The first choice, going on, without log probabilities."""

    index: Literal[0]
    delta: LoneDelta
    finish_reason: None = None
    logprobs: None = None


class LoneChunk(msgspec.Struct, gc=False):
    """The common chunk for those who translate it: whatever else it has is in other chunks of the stream, too. Usage is
    not read, only seen; `null` is as long as none.
    """

    choices: tuple[LoneChoice]
    usage: msgspec.Raw = msgspec.Raw(b"null")
    error: None = None


class Counts(msgspec.Struct, gc=False):
    """The two numbers of a usage report that every provider says."""

    prompt_tokens: Annotated[int, msgspec.Meta(ge=0, le=MOST_TOKENS)]
    completion_tokens: Annotated[int, msgspec.Meta(ge=0, le=MOST_TOKENS)]


class Report(msgspec.Struct):
    """A chunk, read for its usage alone."""

    usage: Any = None


class Choice(msgspec.Struct):
    """One choice of a whole answer."""

    index: Any = None
    message: Message | None = None
    finish_reason: Any = None
    logprobs: Any = None


class Completion(Envelope, kw_only=True):
    """A whole answer."""

    choices: list[Choice] | None = None
    detail: Any = None


read_text_chunk = msgspec.json.Decoder(TextChunk[TextDelta]).decode
read_text_chunk_with_role = msgspec.json.Decoder(TextChunk[TextDeltaWithRole]).decode
read_metered_chunk = msgspec.json.Decoder(MeteredTextChunk[TextDelta]).decode
read_metered_chunk_with_role = msgspec.json.Decoder(MeteredTextChunk[TextDeltaWithRole]).decode
read_lone_chunk = msgspec.json.Decoder(LoneChunk).decode
read_counts = msgspec.json.Decoder(Counts).decode
read_report = msgspec.json.Decoder(Report).decode
read_chunk = msgspec.json.Decoder(Chunk).decode
read_completion = msgspec.json.Decoder(Completion).decode
read_any = msgspec.json.Decoder().decode


def text_of(content: Any) -> str:
    """The text of a `content` value: a string, or a list of parts of which the text ones count."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    parts = (part for part in content if isinstance(part, dict) and part.get("type") == "text")
    return "".join(part["text"] for part in parts if isinstance(part.get("text"), str))


def reasoning_of(delta: Message) -> str:
    """The reasoning text, from whichever of its four places is filled first; never two of them added."""
    for value in (delta.reasoning_content, delta.reasoning):
        if isinstance(value, str) and value:
            return value
    if isinstance(delta.reasoning_details, list):
        if found := "".join(map(_detail_text, delta.reasoning_details)):
            return found
    return "".join(map(_thinking_text, delta.content)) if isinstance(delta.content, list) else ""


def arguments_of(value: Any) -> str:
    """A call's arguments as text; some send an object, some null. What nests too deeply to be written is nothing."""
    if isinstance(value, str):
        return value
    try:
        return "" if value is None else msgspec.json.encode(value).decode()
    except RecursionError:
        return ""


def write_citation(citation: Citation) -> dict[str, Any]:
    """A citation as an annotation."""
    inner = {
        "url": citation.url,
        "title": citation.title or "",
        "start_index": citation.start or 0,
        "end_index": citation.end or 0,
    }
    return {"type": "url_citation", "url_citation": inner}


def _detail_text(detail: Any) -> str:
    if not isinstance(detail, dict):
        return ""
    value = detail.get("text") or detail.get("summary")
    return value if isinstance(value, str) else ""


def _thinking_text(part: Any) -> str:
    if not isinstance(part, dict) or part.get("type") != "thinking":
        return ""
    thinking = part.get("thinking")
    return thinking if isinstance(thinking, str) else text_of(thinking)
