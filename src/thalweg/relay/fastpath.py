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

from thalweg.dialects.base import Grows, Relayer, Stretch, count_chars, json_string, json_string_as_it_came
from thalweg.framing.chunked import LAST_TWO, LINE_END, LINES, MOST_BYTES, MOST_LINE_BYTES, SHAPES, chunk
from thalweg.relay.exchange import Exchange

MOST_TEXTS = 32
"""After so many the relayer is told of them."""

_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
_read_string = msgspec.json.Decoder(str).decode
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


class _Rare:
    """What a common chunk has no need of, in a base of its own: so the rest lies together."""

    __slots__ = ("_behind", "_broke", "_exchange", "_full", "_line", "_padded", "_relayer", "_skipped")


class FastPath(_Rare):
    """One stream's. The pump says when it is open: while it waits for something to happen, all before being written.

    There are two kinds, by what becomes of a common chunk. Each has nearly all of its way in `take`, where a call would
    cost more than what is done in it.
    """

    __slots__ = (
        "_after",
        "_before",
        "_between",
        "_between_at",
        "_clock",
        "_covers",
        "_cuts",
        "_heard_at",
        "_longest_gap_s",
        "_memory",
        "_passed",
        "_said_at",
        "_tail",
        "_transport",
        "_usage",
        "_usage_at",
        "is_open",
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
        self.is_open = False
        """Whether anything may pass."""
        self._full = line.watch(self._filled)
        # What has passed and was not told.
        self._passed = False
        self._heard_at = self._said_at = self._longest_gap_s = 0.0
        self._usage: bytes | None = None
        # What stands around the text of the common frames, and where; `None` where that is not known.
        self._before = self._after = b""
        self._cuts: tuple[_Cut, ...] | None = None
        self._tail, self._padded = LAST_TWO, False
        self._skipped = self._behind = 0
        # The same of usage that comes with it, as long as the last one was.
        self._covers: Callable[[bytes], bool] | None = None
        self._between, self._between_at, self._usage_at = b"", LAST_TWO, LAST_TWO

    def take(self, read: bytes) -> bool:
        """Pass a read that came between two transfer chunks, if it is a common one. `False`: nothing has happened."""
        raise NotImplementedError

    def survey(self) -> int:
        """What is held of the stream while this is open, in bytes. Also looks whether it is still to be kept."""
        raise NotImplementedError

    @property
    def _untold(self) -> bool:
        """Whether there is any text that the relayer was not told of; usage comes with one."""
        raise NotImplementedError

    def _tell(self, relayer: Relayer, usage: bytes | None) -> bool:
        """Tell of texts, and of the last usage. Returns whether common frames are what they were."""
        raise NotImplementedError

    def open(self) -> None:
        """Begin, or go on: take what has changed meanwhile from the exchange."""
        self.publish()
        exchange = self._exchange
        relayer = self._relayer = exchange.passing
        self.is_open = relayer is not None and not self._full
        if relayer is not None:
            self._heard_at, self._said_at = exchange.heard_at, exchange.said_at
            self._longest_gap_s, self._memory = exchange.longest_gap_s, exchange.memory
            self._follow(relayer)

    def shut(self) -> None:
        """Something else happens, or may: tell of all that has passed, and let nothing pass."""
        self.is_open = False
        if self._passed:
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
        usage, self._usage = self._usage, None
        if not self._tell(relayer, usage):
            self._follow(relayer)

    def _string_in(self, read: bytes, at: int) -> bytes:
        """The text of a chunk behind which not the same stands as before, as a JSON string that nobody has read; empty
        where nothing is known of it.
        """
        start, end = at + self._skipped + len(self._before) - 1, -len(self._after)
        if self._covers is not None and read[self._tail] == self._after:
            # Another length of usage. A string that holds what is between would hold a bare quote, and be none.
            between = read.find(self._between, start + 1)
            if between < 0:
                return b""
            self._expect(len(read) + end - between - len(self._between))
            return read[start : between + 1]
        if self._padded:
            string, quote, tail = read[start:].rpartition(b'"')
            if tail.replace(b" ", b"") == self._after[1:]:
                return string + quote
        return b""

    def _expect(self, usage: int) -> None:
        """Look for usage of that length."""
        after = len(self._after)
        between = self._behind = usage + after + len(self._between)
        self._between_at, self._usage_at = slice(-between, -usage - after), slice(-usage - after, -after)
        self._cuts = _cuts(self._skipped, len(self._before), between)

    def _pass_on(self, read: bytes, at: int) -> bool:
        """Pass a chunk of which not so much is known."""
        relayer = self._relayer
        if read[LAST_TWO] != LINE_END or relayer is None:
            return False
        frame = read[at:-2]
        try:
            if self._untold:
                self.publish()  # else usage in this frame would not cover the text before it
            passed = relayer.pass_on(frame)
        except Exception as error:  # noqa: BLE001  # whoever calls this can do nothing about it
            self._broke(error)
            return True
        if passed is None:
            return False
        if passed:
            self._transport.write(read if passed is frame else chunk(passed))
        if self._memory is not None:
            self._memory.keep(frame)
        self._passed, now = True, self._clock()
        self._longest_gap_s = max(self._longest_gap_s, now - self._heard_at)
        self._heard_at = now
        if passed:
            self._said_at = now
        return True

    def _filled(self, full: bool) -> None:
        """The transport can take no more, or can again; it may say so within a write."""
        self.shut()
        self._full = full
        self.open()

    def _follow(self, relayer: Relayer) -> None:
        """Look what the common frames are like from here on."""
        self._take_up(relayer.stretch())

    def _take_up(self, stretch: Stretch | None) -> None:
        """These are the common frames."""
        self._cuts = self._covers = None
        if stretch is None or stretch.around is None:
            return
        before, after, self._padded, between, self._covers, _ = stretch.around
        self._before, self._between, self._after = _shared(before), _shared(between), _shared(after + LINE_END)
        self._tail = slice(-len(self._after), None)
        self._expect(0)


class PassingPath(FastPath):
    """Of common chunks that leave as they came."""

    __slots__ = ("_behind_text", "_deltas", "_narrow_chars", "_wide_chars")

    def __init__(
        self,
        exchange: Exchange,
        line: Line,
        broke: Callable[[Exception], None],
        clock: Callable[[], float] | None = None,
    ) -> None:
        """See `FastPath`."""
        super().__init__(exchange, line, broke, clock)
        self._deltas = self._narrow_chars = self._wide_chars = 0
        self._behind_text = b""

    def survey(self) -> int:
        """What is kept of it to be gone on with."""
        memory = self._memory = self._exchange.memory
        return 0 if memory is None else memory.held_bytes

    def take(self, read: bytes) -> bool:  # noqa: PLR0912
        """Pass a read that came between two transfer chunks, if it is a common one. `False`: nothing has happened."""
        size = len(read)
        if not self.is_open or size >= MOST_BYTES:
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
        covers, usage = self._covers, None
        # The end of the transfer chunk is in the tail.
        if read[self._tail] == self._after and (covers is None or read[self._between_at] == self._between):
            string = read[inner]
        elif not (string := self._string_in(read, at)):
            return self._pass_on(read, at)
        try:
            text = _read_string(string)
            if covers is not None:
                usage = read[self._usage_at]
                if not usage.isascii() or 0x0A in usage or 0x0D in usage or not covers(usage):
                    return self._pass_on(read, at)
        except _UNREADABLE:
            return False
        if not text:
            return self._pass_on(read, at)
        if text.isascii():
            self._narrow_chars += len(text)
        elif "\u2028" in text or "\u2029" in text or "\x85" in text:
            return self._pass_on(read, at)
        else:
            narrow_chars, wide_chars = count_chars(text)
            self._narrow_chars += narrow_chars
            self._wide_chars += wide_chars
        self._deltas += 1
        if usage is not None:
            self._usage = usage
        if behind := self._behind_text:
            said = read[at : self._between_at.start] + behind
            size = len(said) - 2
            self._transport.write((LINES[size] if size < MOST_BYTES else b"%x\r\n" % size) + said)
        else:
            self._transport.write(read)
        if self._memory is not None:
            self._memory.keep(read[at:-2])
        clock, self._passed = self._clock, True
        now = clock()
        gap = now - self._heard_at
        if gap > self._longest_gap_s:  # noqa: PLR1730  # most would call `max` for nothing
            self._longest_gap_s = gap
        self._heard_at = self._said_at = now
        return True

    def _take_up(self, stretch: Stretch | None) -> None:
        """These are the common frames, and this stands behind their text when they leave."""
        super()._take_up(stretch)
        behind = b"" if stretch is None else stretch.behind
        self._behind_text = _shared(behind + LINE_END) if behind else b""

    @property
    def _untold(self) -> bool:
        """Whether there is a length."""
        return self._deltas > 0

    def _tell(self, relayer: Relayer, usage: bytes | None) -> bool:
        """Tell of lengths, and of the last usage."""
        deltas = self._deltas
        if not deltas:
            return False
        relayer.watch.add(deltas, self._narrow_chars, self._wide_chars)
        self._deltas = self._narrow_chars = self._wide_chars = 0
        if usage is not None:
            relayer.took([], usage)
        return True


class TranslatingPath(FastPath):
    """Of common chunks whose text is written anew, with what the client's dialect has around it."""

    __slots__ = (
        "_around",
        "_decoder",
        "_front",
        "_fronts",
        "_least",
        "_middle",
        "_number",
        "_texts",
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
        """See `FastPath`."""
        super().__init__(exchange, line, broke, clock)
        self._texts: list[str] = []
        # What reads frames that have nothing around; what is written, and how long that is.
        self._decoder: Grows | None = None
        self._written_before = self._middle = self._written_after = b""
        self._around = self._number = 0
        # What stands before the number of a frame that has one, where, and what the number is at least.
        self._front = self._least = b""
        self._fronts = _fronts(0, 0)

    def survey(self) -> int:
        """What the exchange holds, with the texts that it was not told of."""
        self._memory = self._exchange.memory
        return self._exchange.held_bytes + sum(map(len, self._texts))

    def take(self, read: bytes) -> bool:  # noqa: PLR0912
        """Pass a read that came between two transfer chunks, if it is a common one. `False`: nothing has happened."""
        size = len(read)
        if not self.is_open or size >= MOST_BYTES:
            return False
        line, first, at = SHAPES[size]
        if read[first] != line:
            return False
        cuts = self._cuts
        if cuts is None:
            return self._grow(read, at)
        head, inner = cuts[at]
        if read[head] != self._before:
            cuts = self._renumber(read, at)
            if cuts is None:
                return self._pass_on(read, at)
            head, inner = cuts[at]
        if front := self._front:
            front_at, number_at = self._fronts[at]
            number = read[number_at]
            if read[front_at] != front or not number.isdigit() or number < self._least:
                return self._pass_on(read, at)
        covers, usage = self._covers, None
        if read[self._tail] == self._after and (covers is None or read[self._between_at] == self._between):
            string = read[inner]
        elif not (string := self._string_in(read, at)):
            return self._pass_on(read, at)
        try:
            text = _read_string(string)
            if covers is not None:
                usage = read[self._usage_at]
                if not usage.isascii() or 0x0A in usage or 0x0D in usage or not covers(usage):
                    return self._pass_on(read, at)
        except _UNREADABLE:
            return False
        if not text:
            return self._pass_on(read, at)
        # Where nothing is escaped, it would be written as it came.
        if 0x5C in string:
            string = json_string(text)
        elif not text.isascii():
            string = json_string_as_it_came(string)
        if usage is not None:
            self._usage = usage
        return self._write(text, string, read, at)

    def _renumber(self, read: bytes, at: int) -> tuple[_Cut, ...] | None:
        """The places in a chunk that is not as the last one was only because its number has another length. Those that
        follow are likely to be as long. Nobody has looked at the number yet.
        """
        front = self._front
        number, named, _ = read[at + len(front) : -2].partition(self._before)
        return self._count(len(number)) if front and named else None

    def _count(self, digits: int) -> tuple[_Cut, ...]:
        """Look for numbers of that length."""
        self._skipped = len(self._front) + digits
        # No number of several digits begins with 0.
        self._fronts, self._least = _fronts(len(self._front), digits), b"1" if digits > 1 else b"0"
        self._cuts = cuts = _cuts(self._skipped, len(self._before), self._behind)
        return cuts

    def _grow(self, read: bytes, at: int) -> bool:
        """The same for a chunk around whose text nothing is known to stand."""
        decoder = self._decoder
        if decoder is None or read[LAST_TWO] != LINE_END:
            return self._pass_on(read, at)
        try:
            text = decoder.grows(read[at:-2])
        except Exception as error:  # noqa: BLE001  # whoever calls this can do nothing about it
            self._broke(error)
            return True
        return self._write(text, json_string(text), read, at) if text else False

    def _write(self, text: str, string: bytes, read: bytes, at: int) -> bool:
        """Write a text with the template."""
        size = self._around + len(string)
        before, after = self._written_before, self._written_after
        if middle := self._middle:
            number = b"%d" % self._number
            self._number += 1
            size += len(number)
            line = LINES[size] if size < MOST_BYTES else b"%x\r\n" % size
            self._transport.write(b"".join((line, before, number, middle, string, after)))
        else:
            line = LINES[size] if size < MOST_BYTES else b"%x\r\n" % size
            self._transport.write(b"".join((line, before, string, after)))
        if self._memory is not None:
            self._memory.keep(read[at:-2])
        clock, self._passed = self._clock, True
        now = clock()
        gap = now - self._heard_at
        if gap > self._longest_gap_s:  # noqa: PLR1730  # most would call `max` for nothing
            self._longest_gap_s = gap
        self._heard_at = self._said_at = now
        texts = self._texts
        texts.append(text)
        if len(texts) == MOST_TEXTS:
            self.publish()
        return True

    def _pass_on(self, read: bytes, at: int) -> bool:
        """Pass a chunk of which not so much is known."""
        try:
            passed = super()._pass_on(read, at)
            if self._relayer is not None:
                self._follow(self._relayer)
        except Exception as error:  # noqa: BLE001  # whoever calls this can do nothing about it
            self._broke(error)
            return True
        return passed

    @property
    def _untold(self) -> bool:
        """Whether there is one."""
        return bool(self._texts)

    def _tell(self, relayer: Relayer, usage: bytes | None) -> bool:
        """Tell of texts, and of the last usage."""
        texts, self._texts = self._texts, []
        return not texts or relayer.took(texts, usage)

    def _take_up(self, stretch: Stretch | None) -> None:
        """These are the common frames, and this is what they become."""
        super()._take_up(stretch)
        self._decoder, self._front = None, b""
        if stretch is None or stretch.template is None:
            self._cuts = None
            return
        self._decoder = stretch.decoder
        self._written_before, after, self._middle, self._number = stretch.template
        self._written_after = after + LINE_END
        self._around = len(self._written_before) + len(self._middle) + len(after)
        if stretch.around is not None and stretch.around.front:
            self._front = _shared(stretch.around.front)
            self._count(1)


@lru_cache(maxsize=512)
def _shared(data: bytes) -> bytes:
    """The same object for the same bytes."""
    return data


@lru_cache(maxsize=1024)
def _cuts(skipped: int, before: int, behind: int) -> tuple[_Cut, ...]:
    """Places in a read with so many bytes before its text and behind it, a quote in each. By the length of its first
    line: where what is before stands, but for the bytes skipped; and the string with its quotes.
    """
    starts = range(skipped, skipped + MOST_LINE_BYTES + 1)
    return tuple((slice(at, at + before), slice(at + before - 1, 1 - behind)) for at in starts)


@lru_cache(maxsize=1024)
def _fronts(front: int, digits: int) -> tuple[_Cut, ...]:
    """By the length of a read's first line: where what is before the number stands, and the number."""
    return tuple((slice(at, at + front), slice(at + front, at + front + digits)) for at in range(MOST_LINE_BYTES + 1))
