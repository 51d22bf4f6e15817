"""The way of a Chat stream between two sides of this dialect: the original bytes pass, a narrow decoder watches.

A frame is changed only by a repair row of the provider's profile, by withholding the usage that the client did not ask
for, or because it holds an error, which is said in the one form that every client understands.

Withholding is no repair, and `raw` does not switch it off: the gateway asks for usage on its own account, in every
chunk where the provider can, so that an answer which is cut off has its exact count. The client gets the bytes that it
would have got without that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache

import msgspec

from thalweg.canon.errors import GatewayError
from thalweg.dialects.base import Around, Stretch, Watch
from thalweg.dialects.kit.decoder import BROKE_OFF
from thalweg.dialects.kit.envelope import Envelope, Lessons, MeteredEnvelope, find_envelope, find_metered
from thalweg.dialects.kit.frames import BadFrame, broke, cut_short
from thalweg.dialects.kit.refusals import error_in_stream
from thalweg.dialects.kit.relaying import FrameRelayer, stretch_of
from thalweg.dialects.openai_chat.errors import encode_stream_error
from thalweg.dialects.openai_chat.repairs import MENDS, Draft, Memory, Mend, fill_empty_delta, is_sound
from thalweg.dialects.openai_chat.stream import (
    UsageReports,
    finish_of,
    is_done,
    keepalive,
    payloads,
    read,
)
from thalweg.dialects.openai_chat.tables import CONTENT_TYPE, DONE, DONE_FRAME, is_usage, usage_to_canon
from thalweg.dialects.openai_chat.wire import (
    Chunk,
    Counts,
    Delta,
    MeteredTextChunk,
    TextChunk,
    TextDelta,
    TextDeltaWithRole,
    read_counts,
    read_metered_chunk,
    read_metered_chunk_with_role,
    read_report,
    read_text_chunk,
    read_text_chunk_with_role,
    reasoning_of,
    text_of,
)
from thalweg.dialects.openai_chat.withheld import LAST, LAST_INSTEAD, withhold_usage
from thalweg.framing.sse import Frame, plain_payload
from thalweg.profiles.base import Profile

_TextChunk = (
    TextChunk[TextDelta]
    | TextChunk[TextDeltaWithRole]
    | MeteredTextChunk[TextDelta]
    | MeteredTextChunk[TextDeltaWithRole]
)
_READERS: dict[tuple[bool, bool], Callable[[bytes], _TextChunk]] = {
    (False, False): read_text_chunk_with_role,
    (False, True): read_text_chunk,
    (True, False): read_metered_chunk_with_role,
    (True, True): read_metered_chunk,
}
"""By whether every chunk may report usage, and whether a role may come but once."""
_FINISHES, _NO_CHOICES = b'"finish_reason":"', b'"choices":[]'
"""What stands in frames that the parser of common chunks refuses, at the end of every stream. Within a text the quotes
would be escaped; elsewhere it only makes the way longer. An error that is made and dropped costs more than the look.
"""
_NULL_BYTES = len(b"null")
_DATA_BYTES = len(b"data: ")
_NAME = LAST[:-1]
_AROUND_BYTES = len(LAST) - 1 + len(b"}\n\n")
"""Of a frame whose chunk ends with its usage: the name before it, and the ends behind."""


class ChatRelayer(FrameRelayer):
    """One stream's relayer. Gives out whole frames; after an error or the end mark, nothing."""

    __slots__ = (
        "_created",
        "_envelope",
        "_include_usage",
        "_instead",
        "_lessons",
        "_measured",
        "_memory",
        "_mends",
        "_metered",
        "_model",
        "_over",
        "_provider",
        "_raw",
        "_read_text",
        "_repairs",
        "_reports",
        "_response_id",
        "_rides",
        "_riding",
        "_short",
        "_unasked",
        "_unread",
        "_usage_frame",
        "_withholds",
        "watch",
    )

    content_type = CONTENT_TYPE

    def __init__(
        self,
        *,
        profile: Profile,
        include_usage: bool,
        raw: bool,
        provider: str = "",
        chunk_usage: bool = False,
        response_id: str = "",
        model: str = "",
        created: int = 0,
    ) -> None:
        """The client asked for `include_usage`, for `chunk_usage` (in every chunk), for both or for none."""
        self.watch = Watch()
        self._provider = provider
        self._response_id, self._model, self._created = response_id, model, created
        self._include_usage = include_usage
        self._raw = raw
        self._repairs = frozenset[str]() if raw else profile.repairs
        self._mends = _mends_of(self._repairs)
        self._metered = profile.chunk_usage is not None
        self._withholds = not chunk_usage and (not include_usage or self._metered or "usage-chunk" in self._repairs)
        """Whether usage is taken out of chunks with choices."""
        self._unasked = profile.unasked_usage
        self._instead = LAST_INSTEAD[self._unasked] + b"\n\n"
        self._read_text = _READERS[self._metered, "role" in self._repairs]
        self._short = False
        self._envelope: Envelope | None = None
        self._measured: MeteredEnvelope | None = None
        """Of chunks with usage."""
        self._lessons = Lessons()
        self._memory = Memory()
        self._reports = UsageReports()
        self._rides = False
        """Whether the last common chunk had usage."""
        self._riding: bytes | None = None
        """The payload of the last chunk with choices whose usage counts, unless usage alone came after it."""
        self._unread = False
        """Whether that usage is not in the watch yet."""
        self._usage_frame: bytes | None = None
        self._over = False

    def feed(self, frames: Iterable[Frame]) -> list[bytes]:
        """The bytes for the client."""
        out: list[bytes] = []
        for frame in frames:
            if self._over:
                break
            if frame.plain:
                if frame.raw == DONE_FRAME:
                    out += self._done(frame, alone=True)
                    break
                if (passed := self.pass_on(frame.raw)) is not None:
                    out.append(passed)
                    continue
            try:
                out += self._frame(frame)
            except BadFrame as error:
                if cut_short(frame):
                    continue
                self._fail(broke(self._provider, error))
        return out

    def end(self) -> list[bytes]:
        """The body is over. A complete answer that lacked its `[DONE]` gets one."""
        if self._over:
            return []
        self._over, self._short = True, False
        if self.watch.finished:
            mark = self._finish()
            return mark[:-1] if self._raw else mark
        self._fail(broke(self._provider, BROKE_OFF))
        return []

    def keepalive(self) -> bytes:
        """A chunk that says nothing, in the name of the answer once it has one."""
        watch = self.watch
        return keepalive(
            watch.response_id or self._response_id, watch.model or self._model, watch.created or self._created
        )

    def fail(self, error: GatewayError) -> bytes:
        """The error's frame."""
        return encode_stream_error(error)

    def settle(self) -> None:
        """Nothing more comes: read the usage that the short way has put off."""
        if not self._unread or self._riding is None:
            return
        self._unread = False
        try:
            raw = read_report(self._riding).usage
        except (msgspec.MsgspecError, RecursionError):
            # It is JSON, but what nobody had read of it may be no text, or lie deeper than can be read from here.
            return
        self.watch.usage, self.watch.raw_usage = usage_to_canon(raw), raw

    def pass_on(self, data: bytes) -> bytes | None:
        """The short way of the common frame: text that goes on, in a chunk that needs no repair."""
        if not self._short:
            return None
        if (measured := self._measured) is not None and (found := measured.both_in(data)) is not None:
            return self._measure_on(data, *found) or self._parse_on(data)
        envelope = self._envelope
        text = envelope.text_in(data) if envelope is not None else None
        if text is None:
            return self._parse_on(data)
        self._rides = False
        if text:
            self.watch.saw_text(text)
        return data

    def stretch(self) -> Stretch | None:
        """The known envelope of chunks with or without usage, as the last one was."""
        if not self._short or not self._rides:
            return stretch_of(self._envelope) if self._short else None
        if self._measured is None:
            return None
        before, between, after = self._measured.parts
        # The usage is the last member, and goes with its name.
        behind = between[: -len(_NAME)] + self._instead if self._withholds else b""
        return Stretch(Around(before, after, between=between, covers=self._covers), behind=behind)

    def took(self, texts: list[str], usage: bytes | None) -> bool:
        """Keep the last usage, which has been found to count, in a payload that is as its own but for the text."""
        if usage is not None and self._measured is not None:
            before, between, after = self._measured.parts
            self._ride(b"".join((before, between, usage, after)))
        return True

    def _parse_on(self, data: bytes) -> bytes | None:
        """The short way by the parser, which finds out what a common chunk is."""
        if data.find(_FINISHES) >= 0 or data.find(_NO_CHOICES) >= 0:
            return None
        payload = plain_payload(data)
        if payload is None:
            return None
        try:
            # The parser looks only into fields that it knows, but no byte of any field may break the client's decoder.
            if not payload.isascii():
                payload.decode()
            chunk = self._read_text(payload)
            reports = chunk.usage is not None and len(chunk.usage) != _NULL_BYTES
            at = payload.rfind(LAST) if reports else -1
            # That these are counts is also what proves that the last member of the chunk begins there.
            counts = None if at < 0 else read_counts(payload[at + len(LAST) - 1 : -1])
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None
        if chunk.created != self._memory.created or (reports and counts is None):
            return None
        delta = chunk.choices[0].delta
        if delta.content:
            self.watch.saw_text(delta.content)
        thought = delta.reasoning_content or delta.reasoning
        if thought:
            self.watch.saw_text(thought)
        if self._lessons.due():
            self._learn(data, chunk, counts)
        self._rides = counts is not None
        if counts is None:
            return data
        self._count(counts.completion_tokens, data)
        return data[: _DATA_BYTES + at] + self._instead if self._withholds else data

    def _learn(self, data: bytes, chunk: _TextChunk, counts: Counts | None) -> None:
        """Keep the envelope of a common chunk."""
        text, usage = _only_text(chunk), chunk.usage
        if not text:
            return
        if counts is None or usage is None:
            self._envelope = find_envelope(data, text, self._text_of) or self._envelope
        else:
            self._measured = find_metered(data, text, bytes(usage), self._both_of) or self._measured

    def _text_of(self, data: bytes) -> str | None:
        return _only_text(self._read_text(data[_DATA_BYTES:-2]))

    def _both_of(self, data: bytes) -> tuple[str, bytes] | None:
        chunk = self._read_text(data[_DATA_BYTES:-2])
        text, usage = _only_text(chunk), chunk.usage
        return (text, bytes(usage)) if text and usage is not None else None

    def _measure_on(self, data: bytes, text: str, usage: bytes) -> bytes | None:
        """The short way of a frame in a known envelope with this text and perhaps this usage."""
        try:
            made = read_counts(usage).completion_tokens
        except (msgspec.MsgspecError, RecursionError):
            return None
        self._rides = True
        if text:
            self.watch.saw_text(text)
        self._count(made, data)
        return data[: -len(usage) - _AROUND_BYTES] + self._instead if self._withholds else data

    def _count(self, made: int, data: bytes) -> None:
        """Take a frame's usage for the one that counts, having read no more of it than how much was made."""
        if made >= self._reports.made:
            self._reports.made = made
            self._ride(data)

    def _covers(self, usage: bytes) -> bool:
        """Whether this usage counts; the next has to say as much. May raise as parsers do."""
        made = read_counts(usage).completion_tokens
        if made < self._reports.made:
            return False
        self._reports.made = made
        return True

    def _ride(self, data: bytes) -> None:
        """This frame's usage counts."""
        self._riding, self._unread = data[_DATA_BYTES:-2], True
        self.watch.cover(self._reports.made)

    def _frame(self, frame: Frame) -> list[bytes]:
        """Any frame but the common one."""
        data = frame.data
        if frame.plain and data and not data.isspace() and not data.startswith(DONE):
            return self._chunk(frame, data, read(data), alone=True)
        found = payloads(frame)
        out: list[bytes] = []
        for payload in found:
            if self._over:
                break
            if is_done(payload):
                out += self._done(frame, alone=len(found) == 1)
            else:
                out += self._chunk(frame, payload, read(payload, frame.event), alone=len(found) == 1)
        if not found and not self._note("framing"):
            out.append(frame.raw)
        unsplit = len(found) > 1 and "one-newline" not in self._repairs
        return [frame.raw] if unsplit and out == [b"data: " + payload + b"\n\n" for payload in found] else out

    def _note(self, row: str) -> bool:
        """Count a repair, if the row is on."""
        if row not in self._repairs:
            return False
        self.watch.repaired[row] = self.watch.repaired.get(row, 0) + 1
        return True

    def _done(self, frame: Frame, *, alone: bool) -> list[bytes]:
        self._over, self._short = True, False
        out = self._finish()
        if self._raw and alone:
            out[-1] = frame.raw
        elif alone and frame.raw != DONE_FRAME:
            self._note("framing")
        return out

    def _finish(self) -> list[bytes]:
        self.watch.done = self.watch.complete = True
        self.settle()
        if self._riding is not None and self._withholds and self._include_usage:
            self._usage_frame = self._own_usage_chunk(self._riding)
        held = [self._usage_frame] if self._usage_frame else []
        return [*held, DONE_FRAME]

    def _fail(self, error: GatewayError) -> None:
        self._over, self._short = True, False
        self.settle()
        self.watch.complete = False
        self.watch.error = error

    def _chunk(self, frame: Frame, payload: bytes, chunk: Chunk, *, alone: bool) -> list[bytes]:
        if chunk.error:
            self._observe(payload, chunk)
            self._fail(error_in_stream(chunk.error, provider=self._provider))
            return []
        if not (self._short and self._memory.created):
            self._remember(chunk)
        reported = self._observe(payload, chunk)
        if not self._short:  # which it stays, for nothing is forgotten
            self._short = self._memory.knows_answer and 0 in self.watch.choices
        if not chunk.choices:
            return self._without_choices(frame, payload, chunk, reported=reported)
        came = payload
        if chunk.usage is not None:
            payload = self._withheld(payload, chunk)
        edited = self._mended(payload, chunk)
        if edited is not None:
            return [b"data: " + edited + b"\n\n"]
        if not frame.plain and self._note("framing" if alone else "one-newline"):
            return [b"data: " + payload + b"\n\n"]
        if alone and payload is came:
            return [frame.raw]
        if alone and came in frame.raw:
            return [frame.raw.replace(came, payload)]
        return [b"data: " + payload + b"\n\n"]

    def _withheld(self, payload: bytes, chunk: Chunk) -> bytes:
        """The payload, and the chunk, without usage that does not belong there."""
        if not self._withholds or not is_usage(chunk.usage):
            return payload
        if not self._metered and self._include_usage:
            self._note("usage-chunk")
        chunk.usage = None
        return withhold_usage(payload, self._unasked)

    def _remember(self, chunk: Chunk) -> None:
        memory = self._memory
        if memory.response_id is None and isinstance(chunk.id, str) and chunk.id:
            memory.response_id = self.watch.response_id = chunk.id
        if memory.response_model is None and isinstance(chunk.model, str) and chunk.model:
            memory.response_model = self.watch.model = chunk.model
        if not memory.created and type(chunk.created) is int:
            memory.created = self.watch.created = chunk.created

    def _observe(self, payload: bytes, chunk: Chunk) -> bool:
        """Write into the watch what a chunk says; whether it reports usage that counts, as usage alone does."""
        watch = self.watch
        for choice in chunk.choices or ():
            at = choice.index if isinstance(choice.index, int) else 0
            watch.choices.add(at)
            if choice.delta is not None:
                _observe_delta(watch, choice.delta)
            if reason := finish_of(choice):
                watch.finishes[at] = reason
                watch.content_seen = True
        if chunk.usage is not None and (usage := self._reports.read(chunk)):
            watch.saw_usage(usage, chunk.usage)
            self._riding, self._unread = payload if chunk.choices else None, False
            return True
        return False

    def _without_choices(self, frame: Frame, payload: bytes, chunk: Chunk, *, reported: bool) -> list[bytes]:
        """A usage chunk, or one that says nothing a client could read."""
        if reported:
            if not self._include_usage:
                return []
            if "usage-chunk" not in self._repairs:
                return [frame.raw]
            # Held until the end, so that it is the last chunk even where the upstream says usage twice.
            self._usage_frame = frame.raw if frame.plain else b"data: " + payload + b"\n\n"
            edited = self._mended(payload, chunk)
            if chunk.choices is None:
                self._note("usage-chunk")
                draft = _draft(edited or payload, chunk)
                draft.top["choices"] = []
                edited = draft.payload()
            if edited is not None:
                self._usage_frame = b"data: " + edited + b"\n\n"
            return []
        if b'"moderation"' in payload or not self._note("empty-choices"):
            return [frame.raw]
        return []

    def _mended(self, payload: bytes, chunk: Chunk) -> bytes | None:
        """The payload after every row that applies, or `None` where none changed it."""
        if not self._mends:
            return None
        if "content" in self._repairs and (filled := fill_empty_delta(payload, chunk, self._memory)) is not None:
            self._note("content")
            return filled
        if is_sound(chunk, self._memory):
            return None
        draft = _draft(payload, chunk)
        changed = [name for name, mend in self._mends if mend(draft, self._memory)]
        for name in changed:
            self._note(name)
        return draft.payload() if changed else None

    def _own_usage_chunk(self, payload: bytes) -> bytes | None:
        """A chunk of usage alone, out of one that has it beside choices."""
        if self._metered:
            self._note("usage-chunk")
        try:
            draft = _draft(payload, Chunk())
            top = {name: value for name, value in draft.top.items() if name not in ("choices", "usage")}
            draft.top = top | {"choices": [], "usage": draft.top["usage"]}
            alone = draft.payload()
            return b"data: " + (self._mended(alone, read(alone)) or alone) + b"\n\n"
        except BadFrame:
            return None


@lru_cache(maxsize=64)
def _mends_of(repairs: frozenset[str]) -> tuple[tuple[str, Mend], ...]:
    """The rows that edit a chunk, of those that are on; there are as many sets as there are profiles."""
    return tuple((row.name, row.mend) for row in MENDS if row.name in repairs and row.mend)


def _only_text(chunk: _TextChunk) -> str | None:
    """The text of a chunk that has one, or that thought of it."""
    delta = chunk.choices[0].delta
    thought = delta.reasoning_content or delta.reasoning
    return None if delta.content and thought else delta.content or thought


def _draft(payload: bytes, chunk: Chunk) -> Draft:
    try:
        return Draft(payload, chunk)
    except RecursionError as error:
        # It passed when it was read, from a place nearer to the limit's beginning.
        raise BadFrame("sent a frame that is nested too deeply") from error


def _observe_delta(watch: Watch, delta: Delta) -> None:
    content = delta.content
    if content:
        if text := content if type(content) is str else text_of(content):
            watch.saw_text(text)
    thinks = delta.reasoning_content or delta.reasoning or delta.reasoning_details or type(content) is list
    if thinks and (reasoning := reasoning_of(delta)):
        watch.saw_text(reasoning)
    if delta.refusal and isinstance(delta.refusal, str):
        watch.saw_text(delta.refusal)
    for piece in delta.tool_calls or ():
        arguments = piece.function.arguments if piece.function else None
        watch.saw_text(arguments if isinstance(arguments, str) else "")
    legacy = delta.function_call
    if legacy is not None and (legacy.name or legacy.arguments):
        watch.saw_text(legacy.arguments if isinstance(legacy.arguments, str) else "")
    if delta.audio and (not isinstance(delta.audio, dict) or any(delta.audio.values())):
        watch.content_seen = True
