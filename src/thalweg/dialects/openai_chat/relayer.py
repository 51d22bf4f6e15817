"""The way of a Chat stream between two sides of this dialect: the original bytes pass, a narrow decoder watches.

A frame is changed only by a repair row of the provider's profile, by withholding the usage that the client did not ask
for, or because it holds an error, which is said in the one form that every client understands.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from thalweg.canon.errors import GatewayError, UpstreamBroke
from thalweg.dialects.base import Watch
from thalweg.dialects.openai_chat.errors import error_in_stream
from thalweg.dialects.openai_chat.repairs import MENDS, NULL, Draft, Memory, fill_empty_delta, is_sound
from thalweg.dialects.openai_chat.stream import BadFrame, cut_short, finish_of, is_done, payloads, read
from thalweg.dialects.openai_chat.tables import DONE_FRAME, is_usage, usage_to_canon
from thalweg.dialects.openai_chat.wire import (
    Chunk,
    Delta,
    TextChunk,
    TextDelta,
    TextDeltaWithRole,
    read_text_chunk,
    read_text_chunk_with_role,
    reasoning_of,
    text_of,
)
from thalweg.framing.sse import Frame, plain_payload
from thalweg.profiles.base import Profile

_ReadText = Callable[[bytes], TextChunk[TextDelta] | TextChunk[TextDeltaWithRole]]


class ChatRelayer:
    """One stream's relayer. Gives out whole frames; after an error or the end mark, nothing."""

    __slots__ = (
        "_include_usage",
        "_memory",
        "_mends",
        "_over",
        "_provider",
        "_raw",
        "_read_text",
        "_repairs",
        "_short",
        "_usage_frame",
        "watch",
    )

    def __init__(self, *, profile: Profile, include_usage: bool, raw: bool, provider: str = "") -> None:
        self.watch = Watch()
        self._provider = provider
        self._include_usage = include_usage
        self._raw = raw
        self._repairs = frozenset[str]() if raw else profile.repairs
        self._mends = tuple((row.name, row.mend) for row in MENDS if row.name in self._repairs and row.mend)
        self._read_text: _ReadText = read_text_chunk if "role" in self._repairs else read_text_chunk_with_role
        self._short = False
        self._memory = Memory()
        self._usage_frame: bytes | None = None
        self._over = False

    def feed(self, frames: Iterable[Frame]) -> list[bytes]:
        """The bytes for the client."""
        out: list[bytes] = []
        for frame in frames:
            if self._over:
                break
            if frame.plain and self.pass_on(frame.raw):
                out.append(frame.raw)
                continue
            try:
                out += self._frame(frame)
            except BadFrame as error:
                if cut_short(frame):
                    continue
                self._fail(UpstreamBroke(f"{self._provider or 'the upstream'} {error}", provider=self._provider))
        return out

    def end(self) -> list[bytes]:
        """The body is over. A complete answer that lacked its `[DONE]` gets one."""
        if self._over:
            return []
        self._over, self._short = True, False
        if self.watch.finished:
            mark = self._finish()
            return [] if self._raw else mark
        self._fail(
            UpstreamBroke(
                f"{self._provider or 'the upstream'} broke off before the answer was finished", provider=self._provider
            )
        )
        return []

    def pass_on(self, data: bytes) -> bool:
        """The short way of the common frame: text that goes on, in a chunk that needs no repair."""
        payload = plain_payload(data)
        if payload is None or not self._short:
            return False
        try:
            # The parser looks only into fields that it knows, but no byte of any field may break the client's decoder.
            if not payload.isascii():
                payload.decode()
            chunk = self._read_text(payload)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return False
        if chunk.created != self._memory.created:
            return False
        delta = chunk.choices[0].delta
        if delta.content:
            self.watch.saw_text(delta.content)
        thought = delta.reasoning_content or delta.reasoning
        if thought:
            self.watch.saw_text(thought)
        return True

    def _frame(self, frame: Frame) -> list[bytes]:
        """Any frame but the common one."""
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
        held = [self._usage_frame] if self._usage_frame else []
        return [*held, DONE_FRAME]

    def _fail(self, error: GatewayError) -> None:
        self._over, self._short = True, False
        self.watch.complete = False
        self.watch.error = error

    def _chunk(self, frame: Frame, payload: bytes, chunk: Chunk, *, alone: bool) -> list[bytes]:
        if chunk.error:
            self._observe(chunk)
            self._fail(error_in_stream(chunk.error, provider=self._provider))
            return []
        self._remember(chunk)
        self._observe(chunk)
        self._short = self._memory.knows_answer and 0 in self.watch.choices
        if not chunk.choices:
            return self._without_choices(frame, payload, chunk)
        edited = self._mended(payload, chunk)
        if edited is not None:
            return [b"data: " + edited + b"\n\n"]
        if frame.plain:
            return [frame.raw]
        if not alone:
            self._note("one-newline")
            return [b"data: " + payload + b"\n\n"]
        if self._note("framing"):
            return [b"data: " + payload + b"\n\n"]
        return [frame.raw]

    def _remember(self, chunk: Chunk) -> None:
        memory = self._memory
        if memory.response_id is None and isinstance(chunk.id, str) and chunk.id:
            memory.response_id = self.watch.response_id = chunk.id
        if memory.response_model is None and isinstance(chunk.model, str) and chunk.model:
            memory.response_model = self.watch.model = chunk.model
        if not memory.created and isinstance(chunk.created, int):
            memory.created = self.watch.created = chunk.created

    def _observe(self, chunk: Chunk) -> None:
        watch = self.watch
        if is_usage(chunk.usage):
            watch.usage, watch.raw_usage = usage_to_canon(chunk.usage), chunk.usage
        for choice in chunk.choices or ():
            at = choice.index if isinstance(choice.index, int) else 0
            watch.choices.add(at)
            if choice.delta is not None:
                _observe_delta(watch, choice.delta)
            if reason := finish_of(choice):
                watch.finishes[at] = reason
                watch.content_seen = True

    def _without_choices(self, frame: Frame, payload: bytes, chunk: Chunk) -> list[bytes]:
        """A usage chunk, or one that says nothing a client could read."""
        if is_usage(chunk.usage):
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
        withheld = bool(chunk.choices) and is_usage(chunk.usage)
        if not withheld and (not self._mends or is_sound(chunk, self._memory)):
            return None
        if not withheld and "content" in self._repairs:
            filled = fill_empty_delta(payload, chunk, self._memory)
            if filled is not None:
                self._note("content")
                return filled
        draft = _draft(payload, chunk)
        changed = [name for name, mend in self._mends if mend(draft, self._memory)]
        for name in changed:
            self._note(name)
        if withheld and (not self._include_usage or self._own_usage_chunk(draft)):
            draft.top["usage"] = NULL
            changed.append("usage")
        return draft.payload() if changed else None

    def _own_usage_chunk(self, draft: Draft) -> bool:
        """Move usage that rides on a chunk with choices into a chunk of its own, for the end."""
        if not self._note("usage-chunk"):
            return False
        alone = {name: value for name, value in draft.top.items() if name not in ("choices", "usage")}
        alone |= {"choices": [], "usage": draft.top["usage"]}
        self._usage_frame = b"data: " + msgspec.json.encode(alone) + b"\n\n"
        return True


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
    if reasoning := reasoning_of(delta):
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
