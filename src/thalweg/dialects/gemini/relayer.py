"""The way of a Gemini stream between two sides of this dialect: the original bytes pass, a narrow decoder watches.

The upstream is always asked for SSE. A client that did not ask for it gets one JSON array, whose elements are the very
bytes of the upstream's objects. A frame is changed only by a repair row, or because it holds an error.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from msgspec import Raw

from thalweg.canon.errors import GatewayError
from thalweg.dialects.base import Around, Stretch, Watch
from thalweg.dialects.gemini.encoder import KEEPALIVE, Framer
from thalweg.dialects.gemini.errors import encode_stream_error, error_in_stream
from thalweg.dialects.gemini.repairs import has_numbers, is_sound, words_for_numbers
from thalweg.dialects.gemini.tables import finish_word, is_usage, usage_to_canon
from thalweg.dialects.gemini.target import Framing
from thalweg.dialects.gemini.wire import (
    NOTHING,
    UNREADABLE,
    Chunk,
    Counts,
    Part,
    args_text,
    block_of,
    compact,
    index_of,
    only_payload,
    payloads,
    read,
    read_any,
    read_counts,
    read_text_chunk,
    says_what_was_made,
)
from thalweg.dialects.kit.decoder import BROKE_OFF
from thalweg.dialects.kit.envelope import Lessons, MeteredEnvelope, find_metered
from thalweg.dialects.kit.frames import BadFrame, broke, cut_short
from thalweg.dialects.kit.relaying import FrameRelayer
from thalweg.dialects.kit.separators import escape_separators, has_separators
from thalweg.framing.sse import Frame
from thalweg.profiles.base import Profile


class GeminiRelayer(FrameRelayer):
    """One stream's relayer. Gives out whole frames; after an error, nothing."""

    __slots__ = (
        "_framer",
        "_gap",
        "_lessons",
        "_measured",
        "_numbered",
        "_over",
        "_provider",
        "_repairs",
        "_short",
        "_usage",
        "content_type",
        "watch",
    )

    def __init__(self, *, profile: Profile, framing: Framing, raw: bool, provider: str = "") -> None:
        self.watch = Watch()
        self._provider = provider
        self._repairs = frozenset[str]() if raw else profile.repairs
        self._framer = Framer(array=framing == "json-array")
        self.content_type = self._framer.content_type
        self._short = False
        self._measured: MeteredEnvelope | None = None
        """Of common frames with usage, as nearly all are."""
        self._lessons = Lessons()
        self._numbered = False
        """Whether a chunk has had numbers for words, so that common ones may need a look too."""
        self._usage: Raw | None = None
        """The last report on usage that the short way has seen and not read."""
        self._gap = b""
        """What must stand before an error, because the last frame has no end."""
        self._over = False

    def pass_on(self, data: bytes) -> bytes | None:
        """The short way of the common frame: text that goes on, in a chunk that needs no repair."""
        if not self._short:
            return None
        payload = only_payload(data)
        if payload is None:
            return None
        try:
            # The parser looks only into fields that it knows, but no byte of any field may break the client's decoder.
            if not payload.isascii():
                payload.decode()
                if "separators" in self._repairs and has_separators(payload):
                    return None
            chunk = read_text_chunk(payload)
            counts = None if len(chunk.usageMetadata) == len(NOTHING) else read_counts(chunk.usageMetadata)
        except UNREADABLE:
            return None
        if text := chunk.candidates[0].content.parts[0].text:
            self.watch.saw_text(text)
        if counts is not None:
            self._put_off(chunk.usageMetadata, counts)
            if text and self._lessons.due():
                self._measured = find_metered(data, text, bytes(chunk.usageMetadata), _both_in) or self._measured
        return self._framer.frame(payload) if self._framer.array else data

    def stretch(self) -> Stretch | None:
        """The known envelope of frames with usage, where they pass as they are."""
        if self._measured is None or not self._short or self._framer.array:
            return None
        before, between, after = self._measured.parts
        return Stretch(Around(before, after, between=between, covers=says_what_was_made))

    def took(self, texts: list[str], usage: bytes | None) -> bool:
        """Keep the last report for later."""
        if usage is not None:
            self._put_off(Raw(usage), read_counts(usage))
        return True

    def feed(self, frames: Iterable[Frame]) -> list[bytes]:
        """The bytes for the client."""
        out: list[bytes] = []
        for frame in frames:
            if self._over:
                break
            if frame.data is not None and (passed := self.pass_on(frame.raw)) is not None:
                out.append(passed)
                continue
            try:
                out += self._frame(frame)
            except BadFrame as error:
                if not cut_short(frame):
                    self._fail(broke(self._provider, error))
        return out

    def end(self) -> list[bytes]:
        """The body is over. It is complete if every choice had finished, or if the prompt was blocked."""
        if self._over:
            return []
        if not self.watch.finished:
            self._fail(broke(self._provider, BROKE_OFF))
            return []
        self._over, self._short = True, False
        self.settle()
        self.watch.done = self.watch.complete = True
        end = self._framer.end()
        return [end] if end else []

    def settle(self) -> None:
        """Nothing more comes: read the usage that the short way has put off."""
        raw, self._usage = self._usage, None
        if raw is None:
            return
        try:
            tree = read_any(raw)
        except UNREADABLE:
            return
        if is_usage(tree):
            self.watch.usage, self.watch.raw_usage = usage_to_canon(tree), tree

    def keepalive(self) -> bytes:
        """A blank line, which is white space in an array."""
        return KEEPALIVE

    def fail(self, error: GatewayError) -> bytes:
        """The error's frame, and the end of an array."""
        return self._gap + self._framer.frame(encode_stream_error(error)) + self._framer.end()

    def _put_off(self, usage: Raw, counts: Counts) -> None:
        """Keep a report for later. Many of Vertex's hold no count, and many first ones count the prompt alone."""
        if counts.any:
            self._usage = usage
            self.watch.cover(counts.made)

    def _frame(self, frame: Frame) -> list[bytes]:
        """Any frame but the common one."""
        found = payloads(frame)
        if not found:
            return self._without_payload(frame)
        out: list[bytes] = []
        for payload in found:
            chunk = read(payload)
            self._observe(chunk)
            if self._over:
                break
            out.append(self._mended(payload))
        if not frame.closed and not self._framer.array:
            self._gap = b"\n\n"
        as_it_came = out == found and not self._framer.array and (is_sound(frame) or not self._note("framing"))
        return [frame.raw] if as_it_came else [self._framer.frame(compact(payload)) for payload in out]

    def _without_payload(self, frame: Frame) -> list[bytes]:
        """A blank line, which every client bears, or comments, an empty event or `[DONE]`, which not all do."""
        if self._framer.array:
            return []
        blank = not frame.raw.strip(b"\r\n")
        return [frame.raw] if blank or not self._note("framing") else []

    def _mended(self, payload: bytes) -> bytes:
        """The payload after every row that applies to what is in it."""
        if "numeric-enums" in self._repairs and has_numbers(payload):
            self._numbered, self._short = True, False
            try:
                worded = words_for_numbers(payload)
            except UNREADABLE:
                worded = None
            if worded is not None:
                self._note("numeric-enums")
                payload = worded
        if not self._framer.array and has_separators(payload) and self._note("separators"):
            payload = escape_separators(payload)
        return payload

    def _note(self, row: str) -> bool:
        """Count a repair, if the row is on."""
        if row not in self._repairs:
            return False
        self.watch.repaired[row] = self.watch.repaired.get(row, 0) + 1
        return True

    def _fail(self, error: GatewayError) -> None:
        self._over, self._short = True, False
        self.settle()
        self.watch.complete = False
        self.watch.error = error

    def _observe(self, chunk: Chunk) -> None:
        watch = self.watch
        if watch.response_id is None and isinstance(chunk.responseId, str):
            watch.response_id = chunk.responseId
        if watch.model is None and isinstance(chunk.modelVersion, str):
            watch.model = chunk.modelVersion
        for candidate in chunk.candidates or ():
            at = index_of(candidate)
            watch.choices.add(at)
            for part in (candidate.content.parts if candidate.content else None) or ():
                _observe_part(watch, part)
            if reason := finish_word(candidate.finishReason):
                watch.finishes[at] = reason
                watch.content_seen = True
        if (blocked := block_of(chunk)) is not None:
            watch.choices.add(0)
            watch.finishes.setdefault(0, blocked)
            watch.content_seen = True
        self._saw_usage(chunk.usageMetadata)
        self._short = 0 in watch.choices and not self._numbered
        if chunk.error:
            self._fail(error_in_stream(chunk.error, provider=self._provider))

    def _saw_usage(self, raw: Any) -> None:
        if not is_usage(raw):
            return
        self._usage = None
        self.watch.saw_usage(usage_to_canon(raw), raw)


def _observe_part(watch: Watch, part: Part) -> None:
    if isinstance(part.text, str):
        if part.text:
            watch.saw_text(part.text)
    elif part.functionCall is not None:
        call = part.functionCall
        watch.saw_text(args_text(call) if call.name else "")
    else:
        watch.saw_text("")


def _both_in(data: bytes) -> tuple[str, bytes] | None:
    """The text and the usage of a common frame."""
    payload = only_payload(data)
    if payload is None:
        return None
    chunk = read_text_chunk(payload)
    return chunk.candidates[0].content.parts[0].text, bytes(chunk.usageMetadata)
