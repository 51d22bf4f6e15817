"""The way of the common read: from the upstream's connection to the client's, in one function and one object.

A stream's reads are mostly alike: one transfer chunk, in which there is one frame of those that need no look, to be
written at once. What is anything else is refused, nothing having happened, and goes the long way through connection,
pump and exchange.

Theory of operation. Between two chunks of a stream come those of all the others, so that whatever belongs to this
stream alone has to come from far away again: each object that is touched costs more than what is done with it. So what
a common chunk needs is in the slots of one object while the path is open, and exchange, relayer and watch are told of
many chunks at once (`publish`). What many streams have in common is shared between them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple, Protocol

import msgspec

from thalweg.dialects.base import Grows, Relayer, count_chars, json_string
from thalweg.framing.chunked import LAST_TWO, LINE_END, LINES, MOST_BYTES, MOST_LINE_BYTES, SHAPES, chunk
from thalweg.relay.exchange import Exchange

MOST_TEXTS = 32
"""After so many the relayer is told of them."""

_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
_read_string = msgspec.json.Decoder(str).decode
_encode = msgspec.json.Encoder().encode
_clock = time.monotonic
_Cut = tuple[slice, slice]


class Transport(Protocol):
    """A client's connection."""

    def write(self, data: bytes) -> object:
        """Write now, or as soon as it can."""


class Line(NamedTuple):
    """A client's connection, on which a body in transfer chunks is under way."""

    transport: Transport
    watch: Callable[[Callable[[bool], None] | None], bool]
    """Have this told whether the transport is full, whenever that changes. Returns whether it is."""


class _Common:
    """What a chunk that passes as it is has need of, in a base of its own: so it lies together."""

    __slots__ = (
        "_after",
        "_before",
        "_between",
        "_clock",
        "_cuts",
        "_deltas",
        "_heard_at",
        "_longest_gap_s",
        "_memory",
        "_narrow_chars",
        "_open",
        "_passed",
        "_said_at",
        "_tail",
        "_templated",
        "_transport",
    )


class FastPath(_Common):
    """One stream's. The pump says when it is open: while it waits for something to happen, all before being written."""

    __slots__ = (
        "_around",
        "_broke",
        "_covers",
        "_decoder",
        "_exchange",
        "_full",
        "_line",
        "_number",
        "_numbered",
        "_padded",
        "_relayer",
        "_texts",
        "_usage",
        "_wide_chars",
        "_written_after",
        "_written_before",
    )

    def __init__(
        self,
        exchange: Exchange,
        line: Line,
        broke: Callable[[Exception], None],
        clock: Callable[[], float] | None = None,
    ) -> None:
        """`broke` is told of a bug on the way."""
        self._exchange, self._memory = exchange, exchange.memory
        self._relayer: Relayer | None = None
        self._line, self._transport = line, line.transport
        self._broke, self._clock = broke, clock or _clock
        self._open = False
        self._full = line.watch(self._filled)
        # What has passed and was not told.
        self._passed = False
        self._heard_at = self._said_at = self._longest_gap_s = 0.0
        self._deltas = self._narrow_chars = self._wide_chars = 0
        # What stands around the text of the common frames, and where; `None` where that is not known.
        self._before = self._between = self._after = b""
        self._cuts: tuple[_Cut, ...] | None = None
        self._tail, self._padded = LAST_TWO, False
        self._covers: Callable[[bytes], bool] | None = None
        self._usage: bytes | None = None
        # Of a translation: what reads frames that have nothing around, what was written, and with what.
        self._decoder: Grows | None = None
        self._templated = False
        self._texts: list[str] = []
        self._written_before = self._written_after = self._numbered = b""
        self._around = self._number = 0

    def open(self) -> None:
        """Begin, or go on: take what has changed meanwhile from the exchange."""
        self.publish()
        exchange = self._exchange
        relayer = self._relayer = exchange.passing
        self._open = relayer is not None and not self._full
        if relayer is not None:
            self._heard_at, self._said_at = exchange.heard_at, exchange.said_at
            self._longest_gap_s, self._memory = exchange.longest_gap_s, exchange.memory
            self._follow(relayer)

    def shut(self) -> None:
        """Something else happens, or may: tell of all that has passed, and let nothing pass."""
        self._open = False
        self.publish()

    def close(self) -> None:
        """There is nothing more to come, and nobody to be told."""
        self.shut()
        self._line.watch(None)

    def publish(self) -> None:
        """Tell exchange and relayer what has passed."""
        relayer = self._relayer
        if not self._passed or relayer is None:
            return
        exchange, self._passed = self._exchange, False
        exchange.heard_at, exchange.said_at = self._heard_at, self._said_at
        exchange.longest_gap_s, self._memory = self._longest_gap_s, exchange.memory
        counted, usage, self._usage = self._deltas, self._usage, None
        if counted:
            relayer.watch.add(counted, self._narrow_chars, self._wide_chars)
            self._deltas = self._narrow_chars = self._wide_chars = 0
        if self._texts or usage is not None:
            texts, self._texts = self._texts, []
            relayer.took(texts, usage)
        if not counted:  # else frames pass, and are as they were
            self._follow(relayer)

    def take(self, read: bytes) -> bool:  # noqa: PLR0912  # each call costs more than what is done in it
        """Pass a read that came between two transfer chunks, if it is a common one. `False`: nothing has happened."""
        size = len(read)
        if not self._open or size >= MOST_BYTES:
            return False
        line, first, at = SHAPES[size]
        if read[first] != line:
            return False
        cuts = self._cuts
        if cuts is None:
            return self._pass_on(read, at)
        head, inner = cuts[at]
        if read[head] != self._before:
            return self._pass_on(read, at)
        try:
            # The end of the transfer chunk is in the tail.
            if read[self._tail] != self._after or self._between:
                text = self._text_in(read, inner)
            else:
                text = _read_string(read[inner])
        except _UNREADABLE:
            return False
        if not text:
            return self._pass_on(read, at)
        if self._templated:
            return self._write(text, read, at)
        if text.isascii():
            self._narrow_chars += len(text)
        elif "\u2028" in text or "\u2029" in text or "\x85" in text:
            self.publish()
            self._usage = None  # this frame's, of which the relayer has the word
            return self._pass_on(read, at)
        else:
            narrow_chars, wide_chars = count_chars(text)
            self._narrow_chars += narrow_chars
            self._wide_chars += wide_chars
        self._deltas += 1
        self._transport.write(read)
        # As in `_heard`, for most chunks come here.
        if self._memory is not None:
            self._memory.keep(read[at:-2])
        clock, self._passed = self._clock, True
        now = clock()
        gap = now - self._heard_at
        if gap > self._longest_gap_s:  # noqa: PLR1730
            self._longest_gap_s = gap
        self._heard_at = self._said_at = now
        return True

    def _text_in(self, read: bytes, inner: slice) -> str:
        """The text of a chunk in which more is not the same; empty for any other. May raise as parsers do."""
        if self._covers is not None and read[self._tail] == self._after:
            between = self._between
            # The first quote ends the string, unless there is one within it: then the bytes behind are others.
            string, _, rest = read[inner][1:].partition(b'"')
            usage = rest[len(between) :]
            if rest[: len(between)] != between or not usage.isascii() or 0x0A in usage or 0x0D in usage:
                return ""
            text = _read_string(b'"' + string + b'"')
            if not text or not self._covers(usage):
                return ""
            self._usage = usage
            return text
        if self._padded:
            string, quote, tail = read[inner.start :].rpartition(b'"')
            if tail.replace(b" ", b"") == self._after[1:]:
                return _read_string(string + quote)
        return ""

    def _pass_on(self, read: bytes, at: int) -> bool:
        """The same for a chunk of which not so much is known."""
        relayer, decoder = self._relayer, self._decoder
        if read[LAST_TWO] != LINE_END or relayer is None:
            return False
        frame = read[at:-2]
        try:
            if decoder is not None:
                text = decoder.grows(frame)
                return self._write(text, read, at) if text else False
            if self._texts or self._usage is not None:
                self.publish()
            passed = relayer.pass_on(frame)
            if self._templated:
                self._follow(relayer)
        except Exception as error:  # noqa: BLE001  # whoever calls this can do nothing about it
            self._broke(error)
            return True
        if passed is None:
            return False
        if passed:
            self._transport.write(read if passed is frame else chunk(passed))
        self._heard(read, at, said=bool(passed))
        return True

    def _write(self, text: str, read: bytes, at: int) -> bool:
        """Write a text with the template."""
        string = _encode(text) if text.isascii() else json_string(text)
        if self._numbered:
            number = self._number
            self._number = number + 1
            string = self._numbered % (number, string)
        size = self._around + len(string)
        line = LINES[size] if size < MOST_BYTES else b"%x\r\n" % size
        self._transport.write(b"".join((line, self._written_before, string, self._written_after)))
        texts = self._texts
        texts.append(text)
        self._heard(read, at)
        if len(texts) == MOST_TEXTS:
            self.publish()
        return True

    def _heard(self, read: bytes, at: int, *, said: bool = True) -> None:
        if self._memory is not None:
            self._memory.keep(read[at:-2])
        clock, self._passed = self._clock, True
        now = clock()
        gap = now - self._heard_at
        if gap > self._longest_gap_s:  # noqa: PLR1730  # most would call `max` for nothing
            self._longest_gap_s = gap
        self._heard_at = now
        if said:
            self._said_at = now

    def _filled(self, full: bool) -> None:
        """The transport can take no more, or can again; it may say so within a write."""
        self.shut()
        self._full = full
        self.open()

    def _follow(self, relayer: Relayer) -> None:
        """Look what the common frames are like from here on."""
        stretch = relayer.stretch()
        self._cuts = self._decoder = None
        self._templated = False
        if stretch is None:
            return
        if stretch.around is not None:
            before, after, self._padded, between, self._covers = stretch.around
            self._before, self._between, self._after = _shared(before), _shared(between[1:]), _shared(after + LINE_END)
            self._cuts, self._tail = _cuts(len(before), len(self._after), 0 if between else 1)
        if stretch.template is not None:
            template, self._decoder, self._templated = stretch.template, stretch.decoder, True
            self._written_before, self._written_after = template.before, template.after + LINE_END
            self._around = len(template.before) + len(template.after)
            self._numbered, self._number = template.numbered, template.number


@lru_cache(maxsize=512)
def _shared(data: bytes) -> bytes:
    """The same object for the same bytes."""
    return data


@lru_cache(maxsize=1024)
def _cuts(before: int, after: int, quote: int) -> tuple[tuple[_Cut, ...], slice]:
    """Places in a read with so many bytes before its text and after it. By the length of its first line, where what is
    before stands, and what is between, with the quotes: the closing one is there where `quote` is 1, the first byte of
    what is after. And where that stands, to the end of the transfer chunk.
    """
    cuts = tuple((slice(at, at + before), slice(at + before - 1, quote - after)) for at in range(MOST_LINE_BYTES + 1))
    return cuts, slice(-after, None)
