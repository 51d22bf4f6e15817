"""What an upstream's bytes may do to an answer that would be sound, each in any phase of it. No test stands here."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Literal, NamedTuple

from tests.torture.cells import CHUNKED, COMPLETE, HEAD, Fate, broken
from tests.torture.upstreams import RawConnection, Script
from tests.torture.wires import SAID, Frame, Wire

Phase = Literal["before", "during", "after"]
PHASES: tuple[Phase, ...] = ("before", "during", "after")
SHORT_S = 0.3
"""A silence that is not too long."""
BIG_BYTES = 10 * 1024 * 1024
BOMB_BYTES = 256 * 1024 * 1024
BOM = b"\xef\xbb\xbf"
_SLICE_S = 0.05
_PER_SECOND = 1024


class Story(NamedTuple):
    """An answer with a fault in it: what comes ahead of that, and what behind."""

    phase: Phase
    ahead: bytes
    behind: bytes


def story(wire: Wire, phase: Phase, frames: Sequence[Frame] = ()) -> Story:
    """The sound answer, cut where the phase says. The answer's first events, which have no content, come ahead."""
    frames = frames or wire.stream(SAID)
    texts = [at for at, frame in enumerate(frames) if frame.stage == "text"]
    cut = {"before": texts[0], "during": texts[2], "after": texts[-1] + 1}[phase]
    return Story(phase, encoded(frames[:cut]), encoded(frames[cut:]))


def encoded(frames: Sequence[Frame]) -> bytes:
    return b"".join(frame.encoded for frame in frames)


Play = Callable[[RawConnection, Story], Awaitable[None]]
END = b"0\r\n\r\n"


async def _begin(connection: RawConnection, told: Story) -> None:
    await connection.send(HEAD + CHUNKED)
    await connection.send_chunk(told.ahead)


async def _finish(connection: RawConnection, behind: bytes) -> None:
    await connection.send_chunk(behind)
    await connection.send(END)


async def _reset(connection: RawConnection, told: Story) -> None:
    await _begin(connection, told)
    await connection.reset()


async def _fin(connection: RawConnection, told: Story) -> None:
    await _begin(connection, told)


async def _half_open(connection: RawConnection, told: Story) -> None:
    await _begin(connection, told)
    await connection.stay()


async def _stall(connection: RawConnection, told: Story) -> None:
    await _begin(connection, told)
    await asyncio.sleep(SHORT_S)
    await _finish(connection, told.behind)


async def _slices(connection: RawConnection, told: Story) -> None:
    """Every byte alone: of what comes before the phase's end, or after its begin."""
    await connection.send(HEAD + CHUNKED)
    alone, whole = (told.ahead, told.behind) if told.phase == "during" else (told.behind, told.ahead)
    for piece in (told.ahead, told.behind):
        if piece is whole:
            await connection.send_chunk(piece)
        else:
            for at in range(len(alone)):
                await connection.send_chunk(piece[at : at + 1])
    await connection.send(END)


async def _cut_utf8(connection: RawConnection, told: Story) -> None:
    """In every character of several bytes, with a pause, so that each piece is read alone."""
    await connection.send(HEAD + CHUNKED)
    body, first = told.ahead + told.behind, 0
    for at, byte in enumerate(body):
        if 0x80 <= byte < 0xC0 and first < at:
            await connection.send_chunk(body[first:at])
            await asyncio.sleep(0.001)
            first = at
    await _finish(connection, body[first:])


async def _narrow(connection: RawConnection, told: Story) -> None:
    """1 KiB a second, for up to a second, and then the rest."""
    await _begin(connection, told)
    most, size = _PER_SECOND, int(_PER_SECOND * _SLICE_S)
    for at in range(0, min(most, len(told.behind)), size):
        await connection.send_chunk(told.behind[at : min(at + size, most)])
        await asyncio.sleep(_SLICE_S)
    if rest := told.behind[most:]:
        await connection.send_chunk(rest)
    await connection.send(END)


async def _slow_close(connection: RawConnection, told: Story) -> None:
    """A body that ends with its connection, some time after the last that is said; in the end nothing is missing."""
    await connection.send(HEAD + b"\r\n" + told.ahead + (told.behind if told.phase == "after" else b""))
    await asyncio.sleep(SHORT_S)


async def _bad_chunk(connection: RawConnection, told: Story) -> None:
    await _begin(connection, told)
    await connection.send(b"zz\r\nnonsense\r\n")
    await connection.stay()


async def _wrong_length(connection: RawConnection, told: Story) -> None:
    """Too long a length, and the connection ends; after all content too short a one, and more comes."""
    body = told.ahead + told.behind
    if told.phase == "after":
        await connection.send(HEAD + b"content-length: %d\r\n\r\n" % len(body) + body + told.behind)
        await connection.stay()
    await connection.send(HEAD + b"content-length: %d\r\n\r\n" % len(body) + told.ahead)


async def _bad_gzip(connection: RawConnection, told: Story) -> None:
    """Sound up to the fault, and then no gzip any more."""
    await connection.send(HEAD + b"content-encoding: gzip\r\n" + CHUNKED)
    packer = zlib.compressobj(wbits=31)
    await connection.send_chunk(packer.compress(told.ahead) + packer.flush(zlib.Z_SYNC_FLUSH) + b"\xff" * 64)
    await connection.send(END)


async def _bomb(connection: RawConnection, told: Story) -> None:
    await connection.send(HEAD + b"content-encoding: gzip\r\n" + CHUNKED)
    packer = zlib.compressobj(wbits=31)
    await connection.send_chunk(packer.compress(told.ahead) + packer.flush(zlib.Z_SYNC_FLUSH))
    for _ in range(BOMB_BYTES // (1024 * 1024)):
        if piece := packer.compress(bytes(1024 * 1024)):
            await connection.send_chunk(piece)
    await _finish(connection, packer.compress(told.behind) + packer.flush())


async def _big_event(connection: RawConnection, told: Story) -> None:
    """The next event has a field of 10 MiB that nobody knows."""
    await _begin(connection, told)
    at = told.behind.index(b"}\n\n")
    await connection.send_chunk(told.behind[:at])
    await connection.send_chunk(b',"padding":"' + b"x" * BIG_BYTES + b'"')
    await _finish(connection, told.behind[at:])


async def _line_ends(connection: RawConnection, told: Story) -> None:
    """From the fault on; the content itself with CRLF."""
    await _begin(connection, told)
    await _finish(connection, told.behind.replace(b"\n", b"\r\n" if told.phase == "during" else b"\r"))


async def _bom(connection: RawConnection, told: Story) -> None:
    """In front of everything; in the text, where it is a character like others; in a line of its own."""
    if told.phase == "before":
        told = told._replace(ahead=BOM + told.ahead)
    elif told.phase == "during":
        told = told._replace(behind=told.behind.replace("回声".encode(), BOM + "回声".encode()))
    else:
        told = told._replace(ahead=told.ahead + BOM + b"\n\n")
    await _begin(connection, told)
    await _finish(connection, told.behind)


async def _comments(connection: RawConnection, told: Story) -> None:
    """No gap is ever too long, and nothing is ever said."""
    await _begin(connection, told)
    while True:
        await connection.send_chunk(b": still here\n\n")
        await asyncio.sleep(0.02)


_OFF = (broken("upstream_broke", "status"), broken("upstream_broke", "error"), broken("upstream_broke", "error"))
_SILENT = (broken("timeout", "status"), broken("timeout", "error"), broken("timeout", "error"))
_UNREACHABLE = (broken("unreachable", "status"),) * 3
_NO_ANSWER = (broken("timeout", "status"),) * 3
_SOUND = (COMPLETE,) * 3


class Kind(NamedTuple):
    """One fault, and what must become of it in each phase."""

    expected: tuple[Fate, Fate, Fate]
    """Before the first content, during it, after the last."""
    play: Play | None = None
    """`None` where it is no matter of an answer's bytes."""


KINDS: dict[str, Kind] = {
    "refused": Kind(_UNREACHABLE),
    "no such name": Kind(_UNREACHABLE),
    "TLS fails": Kind((_UNREACHABLE[0], *_OFF[1:])),
    "connect hangs": Kind(_NO_ANSWER),
    "head hangs": Kind(_NO_ANSWER),
    "reset": Kind(_OFF, _reset),
    "FIN": Kind(_OFF, _fin),
    "half-open": Kind(_SILENT, _half_open),
    "stall, then on": Kind(_SOUND, _stall),
    "slices of a byte": Kind(_SOUND, _slices),
    "UTF-8 cut": Kind(_SOUND, _cut_utf8),
    "1 KiB a second": Kind(_SOUND, _narrow),
    "slow close": Kind((*_OFF[:2], COMPLETE), _slow_close),
    "bad chunk": Kind(_OFF, _bad_chunk),
    "wrong length": Kind((*_OFF[:2], COMPLETE), _wrong_length),
    # Nobody has asked for it: it is refused by its name, wherever it breaks.
    "bad gzip": Kind((_OFF[0],) * 3, _bad_gzip),
    "gzip bomb": Kind((_OFF[0],) * 3, _bomb),
    "event of 10 MiB": Kind(_SOUND, _big_event),
    "CR and CRLF": Kind(_SOUND, _line_ends),
    "BOM": Kind(_SOUND, _bom),
    "comments only": Kind(_SILENT, _comments),
    "100,000 tiny events": Kind(_SOUND),
}


def script_of(play: Play, wire: Wire, phase: Phase) -> Script:
    """The script of a kind that is a matter of bytes."""

    async def script(connection: RawConnection) -> None:
        await play(connection, story(wire, phase))

    return script


def tiny_events(wire: Wire, phase: Phase, count: int) -> tuple[Script, str]:
    """So many events, of a character each or, outside the content, of nothing; and the text of the answer."""
    texts = [*SAID[:2], *["x"] * count, *SAID[2:]] if phase == "during" else SAID

    async def script(connection: RawConnection) -> None:
        frames = wire.stream(texts)
        if phase != "during":
            texts_at = [at for at, frame in enumerate(frames) if frame.stage == "text"]
            cut = texts_at[0] if phase == "before" else texts_at[-1] + 1
            frames = [*frames[:cut], *[wire.idle] * count, *frames[cut:]]
        await connection.send(HEAD + CHUNKED)
        for first in range(0, len(frames), 100):
            await connection.send_chunk(encoded(frames[first : first + 100]))
        await connection.send(END)

    return script, "".join(texts)
