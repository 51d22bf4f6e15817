"""The shapes of Gemini's answers on the wire, and the JSON texts in a frame.

Only the frame of a chunk is typed (lists and objects where the grammar has them); every leaf may be anything, because
somewhere it is. A chunk of a stream and a whole answer have one shape.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Raw

from thalweg.canon.usage import MOST_TOKENS
from thalweg.dialects.kit.frames import BadFrame, check_size, is_json
from thalweg.framing.sse import Frame

NOTHING = Raw(b"null")
UNNAMED_BLOCK = "BLOCK_REASON_UNSPECIFIED"


class FunctionCall(msgspec.Struct):
    """A call, whole or (at Vertex, where asked for) in pieces."""

    name: Any = None
    args: Raw = NOTHING
    id: Any = None
    partialArgs: Any = None  # noqa: N815  # fields are named as on the wire
    willContinue: Any = None  # noqa: N815


class Blob(msgspec.Struct):
    """`inlineData`."""

    mimeType: Any = None  # noqa: N815
    data: Any = None


class Part(msgspec.Struct):
    """A piece of content. One with none of these has a kind that only Gemini knows."""

    text: Any = None
    thought: Any = None
    thoughtSignature: Any = None  # noqa: N815
    functionCall: FunctionCall | None = None  # noqa: N815
    inlineData: Blob | None = None  # noqa: N815


class Content(msgspec.Struct):
    """`content` of a candidate."""

    parts: list[Part] | None = None


class Candidate(msgspec.Struct):
    """One choice's share of a chunk, or the whole of it."""

    content: Content | None = None
    finishReason: Any = None  # noqa: N815
    index: Any = None
    groundingMetadata: Any = None  # noqa: N815
    citationMetadata: Any = None  # noqa: N815
    logprobsResult: Any = None  # noqa: N815


class Chunk(msgspec.Struct):
    """One chunk, or a whole answer."""

    candidates: list[Candidate] | None = None
    promptFeedback: Any = None  # noqa: N815
    usageMetadata: Any = None  # noqa: N815
    modelVersion: Any = None  # noqa: N815
    responseId: Any = None  # noqa: N815
    error: Any = None


class TextPart(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """A part that is text and no more."""

    text: str
    thought: bool = False


class TextContent(msgspec.Struct, gc=False):
    """Content of one such part."""

    parts: tuple[TextPart]


class Nothing(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """An empty object."""


class TextCandidate(msgspec.Struct, gc=False):
    """The first candidate, going on. What may not be there has a type of its own, so that the parser refuses it."""

    content: TextContent
    index: Literal[0] = 0
    finishReason: None = None  # noqa: N815
    logprobsResult: None = None  # noqa: N815
    groundingMetadata: Nothing | None = None  # noqa: N815
    citationMetadata: None = None  # noqa: N815


class TextChunk(msgspec.Struct, gc=False):
    """The common chunk, which only adds text to the first candidate. One call of the parser decides."""

    candidates: tuple[TextCandidate]
    usageMetadata: Raw = NOTHING  # noqa: N815
    promptFeedback: None = None  # noqa: N815
    error: None = None


_Count = Annotated[int, msgspec.Meta(ge=0, le=MOST_TOKENS)] | None


class Counts(msgspec.Struct, gc=False):
    """The numbers of a usage report that tell whether it counts."""

    promptTokenCount: _Count = None  # noqa: N815
    candidatesTokenCount: _Count = None  # noqa: N815
    thoughtsTokenCount: _Count = None  # noqa: N815
    totalTokenCount: _Count = None  # noqa: N815

    @property
    def any(self) -> bool:
        """Whether any number is there that makes it a report."""
        if self.promptTokenCount is not None or self.candidatesTokenCount is not None:
            return True
        return self.totalTokenCount is not None

    @property
    def made(self) -> int:
        """How much was made, as far as it says; many first reports count the prompt alone."""
        said = (self.candidatesTokenCount or 0) + (self.thoughtsTokenCount or 0)
        return said or max((self.totalTokenCount or 0) - (self.promptTokenCount or self.totalTokenCount or 0), 0)


read_counts = msgspec.json.Decoder(Counts).decode


def says_what_was_made(usage: bytes) -> bool:
    """Whether a report says that anything was made. May raise as parsers do."""
    counts = read_counts(usage)
    return bool(counts.candidatesTokenCount) or counts.made > 0


read_chunk = msgspec.json.Decoder(Chunk).decode
read_text_chunk = msgspec.json.Decoder(TextChunk).decode
read_any = msgspec.json.Decoder().decode
_read_raws = msgspec.json.Decoder(list[Raw]).decode

UNREADABLE = (msgspec.DecodeError, RecursionError, UnicodeDecodeError)


def only_payload(data: bytes) -> bytes | None:
    """The payload of bytes that are one frame of one `data: ` line, ended by CRLF as Google does or by LF."""
    if data[:6] != b"data: ":
        return None
    if data[-4:] == b"\r\n\r\n":
        payload = data[6:-4]
    elif data[-2:] == b"\n\n":
        payload = data[6:-2]
    else:
        return None
    # Whether a number is in bytes is found out at once; whether bytes are, only after they have failed as a number.
    return None if 0x0A in payload or 0x0D in payload else payload


def payloads(frame: Frame) -> list[bytes]:
    """The JSON texts in a frame: one, none, or several where an upstream forgot the blank lines between its events.

    Google's servers break off with an error that is bare JSON over many lines, outside of any event; and one that does
    not know `alt=sse` answers with an array.
    """
    check_size(frame)
    if frame.data is None:
        bare = frame.raw.strip()
        return elements(bare) if bare[:1] in (b"{", b"[") else []
    if frame.lines and not is_json(frame.data):
        found = [line for line in frame.lines if line.strip()]
    else:
        found = [frame.data] if frame.data.strip() else []
    return [text for payload in found if not is_done(payload) for text in elements(payload)]


def elements(payload: bytes) -> list[bytes]:
    """The objects of an array, or the one text there is."""
    if payload[:1] != b"[":
        return [payload]
    try:
        return [bytes(raw) for raw in _read_raws(payload)]
    except UNREADABLE:
        return [payload]


def is_done(payload: bytes) -> bool:
    """Whether this is another dialect's end mark, which means nothing here."""
    return payload.strip() == b"[DONE]"


def read(payload: bytes) -> Chunk:
    """One chunk. Raises `BadFrame` for what is none."""
    try:
        payload.decode()  # the decoder passes over the text of unknown fields
        return read_chunk(payload)
    except msgspec.ValidationError as error:
        return _read_leniently(payload, error)
    except UNREADABLE as error:
        raise BadFrame("sent a frame that is not JSON") from error


def _read_leniently(payload: bytes, reason: Exception) -> Chunk:
    """What can be had of a chunk whose frame of lists and objects is not Gemini's: its error, or nothing."""
    try:
        tree = read_any(payload)
    except UNREADABLE as error:
        raise BadFrame("sent a frame that is not JSON") from error
    if isinstance(tree, dict) and tree.get("error"):
        return Chunk(error=tree["error"], usageMetadata=tree.get("usageMetadata"))
    raise BadFrame(f"sent a chunk of another shape ({reason})") from reason


def raw_part(payload: bytes, candidate: int, part: int) -> Any:
    """One part as it was on the wire, for kinds that only Gemini knows; `None` where it nests too deeply to be read."""
    try:
        tree = read_any(payload)
    except RecursionError:
        return None
    return tree["candidates"][candidate]["content"]["parts"][part]


def args_text(call: FunctionCall) -> str:
    """A call's arguments as text without white space; an empty object where there are none."""
    if len(call.args) == len(NOTHING) and bytes(call.args) == b"null":
        return "{}"
    return compact(bytes(call.args)).decode()


def compact(text: bytes) -> bytes:
    """JSON on one line, because a line end would end a line of SSE too."""
    if b"\n" not in text and b"\r" not in text:
        return text
    try:
        return msgspec.json.format(text, indent=-1)
    except UNREADABLE:
        return text.replace(b"\r", b" ").replace(b"\n", b" ")  # between tokens, because in strings there are none


def index_of(candidate: Candidate) -> int:
    """Which choice it is; a missing index is the first."""
    return candidate.index if type(candidate.index) is int and candidate.index >= 0 else 0


def block_of(chunk: Chunk) -> str | None:
    """Why the prompt was refused, as a word or digits; `None` where it was not."""
    feedback = chunk.promptFeedback
    reason = feedback.get("blockReason") if isinstance(feedback, dict) else None
    if isinstance(reason, str) and reason not in ("", UNNAMED_BLOCK):
        return reason
    if type(reason) is int and reason > 0:
        return str(reason)
    return UNNAMED_BLOCK if isinstance(feedback, dict) and feedback.get("blockReasonMessage") else None
