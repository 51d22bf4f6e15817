"""The common frames of a stream, by which its open part grows, as a decoder reads them one by one.

Some providers report usage in each of them. It is put off: until something else comes only the last report is kept,
and nobody reads more of it than whether it counts.
"""

from __future__ import annotations

from typing import Generic, TypeVar

import msgspec

from thalweg.dialects.base import Around
from thalweg.dialects.kit.envelope import (
    UNREADABLE,
    Envelope,
    Lessons,
    MeteredEnvelope,
    find_envelope,
    find_metered,
)

P = TypeVar("P")
Both = tuple[str, bytes | None]
"""A frame's text, and the JSON text of its usage."""

_NULL_BYTES = len(b"null")


def usage_in(raw: msgspec.Raw) -> bytes | None:
    """A usage that was seen and not read; `None` for null, which is as long as none."""
    return None if len(raw) == _NULL_BYTES else bytes(raw)


class CommonFrames(Generic[P]):
    """Reads the common frames of one stream, part after part. A dialect says what is one, and which usage counts."""

    __slots__ = ("_envelope", "_lessons", "_measured", "part", "unread")

    def __init__(self) -> None:
        self._envelope: Envelope | None = None
        self._measured: MeteredEnvelope | None = None
        """Of frames with usage."""
        self._lessons = Lessons()
        self.part: P | None = None
        """The one part that may grow, where there is but one."""
        self.unread: bytes | None = None
        """The last usage that counts, where nobody has read it yet."""

    def read(self, data: bytes) -> Both | None:
        """The text and the usage of a common frame, by the parser; `None` for any other. May raise as parsers do."""
        raise NotImplementedError

    def counts(self, usage: bytes) -> bool | None:
        """Whether a usage counts; `None` where it cannot be put off. May raise as parsers do."""
        raise NotImplementedError

    def covers(self, usage: bytes) -> bool:
        """Whether a usage counts that can be put off, whatever was before it. May raise as parsers do."""
        return bool(self.counts(usage))

    def text_in(self, data: bytes) -> str:
        """The text in a common frame, whose usage is put off. Empty for any other frame: then nothing has happened."""
        if (measured := self._measured) is not None and (found := measured.both_in(data)) is not None:
            text, usage = found
            return text if text and self._put_off(usage) else ""
        if (envelope := self._envelope) is not None and self.unread is None:
            known = envelope.text_in(data)
            if known is not None:
                return known
        return self._parsed(data)

    @property
    def around(self) -> Around | None:
        """What is around the text in the common frames, where it is known; unread usage is replaced by the next."""
        if self._measured is not None:
            before, between, after = self._measured.parts
            return Around(before, after, between=between, covers=self.covers)
        return None if self._envelope is None or self.unread is not None else self._envelope.around

    def follow(self, part: P | None) -> None:
        """Which part may grow from now on."""
        if part is not self.part:
            self.part = part
            self._envelope = self._measured = None
            self._lessons = Lessons()

    def take(self) -> bytes | None:
        """The usage that was put off, to be read now."""
        usage, self.unread = self.unread, None
        return usage

    def _parsed(self, data: bytes) -> str:
        try:
            found = self.read(data)
        except UNREADABLE:
            return ""
        if found is None or not found[0] or not self._put_off(found[1]):
            return ""
        if self._lessons.due():
            self._learn(data, *found)
        return found[0]

    def _learn(self, data: bytes, text: str, usage: bytes | None) -> None:
        if usage is None:
            self._envelope = find_envelope(data, text, self._text_of) or self._envelope
        else:
            self._measured = find_metered(data, text, usage, self._both_of) or self._measured

    def _text_of(self, data: bytes) -> str | None:
        found = self.read(data)
        return None if found is None else found[0]

    def _both_of(self, data: bytes) -> tuple[str, bytes] | None:
        found = self.read(data)
        return None if found is None or found[1] is None else (found[0], found[1])

    def _put_off(self, usage: bytes | None) -> bool:
        """Keep a frame's usage, if it counts. `False` where it has none that does and one before it is still unread:
        that covers the text so far, and not this frame's.
        """
        try:
            counts = False if usage is None else self.counts(usage)
        except UNREADABLE:
            return False
        if not counts:
            return counts is False and self.unread is None
        self.unread = usage
        return True
