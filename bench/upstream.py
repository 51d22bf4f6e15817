"""The paced upstream: answers chat completions with an OpenAI SSE stream, as cheaply as Python can, and so in the other
dialects (`bench.grammars`) at their paths.

The model name is the script (see `Script`), so that a gateway which forwards nothing but the model still asks for the
right stream. Who asks for usage gets it as from Volcengine Ark: in a chunk of its own, or in every chunk, as its last
member. Each content chunk carries a mark, `@<sequence>.<CLOCK_MONOTONIC in ns>@`, written where a model's text
stands: it survives a translation into another dialect, and the client reads order, loss and latency from it.

Run as a process (`python -m bench.upstream PORT`); one timer per process, none per stream.
"""

import asyncio
import gc
import math
import re
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self, cast

import httptools
import uvloop

from bench.grammars import GRAMMARS, Grammar

_MODEL = re.compile(rb'"model"\s*:\s*"(?:[^"/]+/)*(bench-[0-9-]+)"')
_IN_PATH = re.compile(rb"/models/(bench-[0-9-]+):")
_SCRIPT = re.compile(r"bench-(\d+)-(\d+)(?:-(\d+))?")

_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ncache-control: no-cache\r\n"
    b"transfer-encoding: chunked\r\n\r\n"
)
_REFUSAL = b"HTTP/1.1 %d %s\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
_LAST = b"data: [DONE]\n\n"
_PROMPT = 24
_METER = (
    b',"usage":{"completion_tokens":1%06d,"prompt_tokens":24,"total_tokens":1%06d,'
    b'"prompt_tokens_details":{"cached_tokens":0},"completion_tokens_details":{"reasoning_tokens":0}}'
)
"""Usage as it rides on a chunk. The counts begin at a million: all chunks have one length, as all have without it."""

_GOLDEN = 0.6180339887498949
"""Multiples of it, modulo 1, are spread evenly whatever their number."""


@dataclass(frozen=True, slots=True)
class Script:
    """What one stream does; its `model` name carries it through any gateway."""

    rate: int
    """Content chunks a second; 0 sends the whole answer in one write."""
    chunks: int
    """Content chunks; the role, finish and usage chunks come on top."""
    delay_ms: int = 0
    """From the request read to the first content chunk."""

    @property
    def model(self) -> str:
        """The model name that asks for this script."""
        return f"bench-{self.rate}-{self.chunks}-{self.delay_ms}"

    @classmethod
    def parse(cls, model: str) -> Self:
        """Return the script a model name asks for; ValueError when it is none."""
        match = _SCRIPT.fullmatch(model)
        if match is None or int(match[2]) < 1:
            raise ValueError(f"expected bench-RATE-CHUNKS[-DELAY_MS], got {model!r}")
        return cls(int(match[1]), int(match[2]), int(match[3] or 0))


def http_chunk(body: bytes) -> bytes:
    """Frame bytes for chunked transfer-encoding."""
    return b"%x\r\n%b\r\n" % (len(body), body)


class Frames:
    """The bytes of one model's stream; everything but the mark, and the counts in every chunk, is made once."""

    def __init__(self, model: str, *, metered: bool = False) -> None:
        """Metered: with usage in every chunk."""
        self._metered = metered
        self._envelope = (
            'data: {"id":"chatcmpl-BenchXJ4kQ2mV7tR9wLz0","object":"chat.completion.chunk",'
            f'"created":1764000000,"model":"{model}","system_fingerprint":"fp_be5c00ffee",'
        )
        self._content = self._choice('{"content":" deep channel @%06d.%019d@"}', "null")
        if metered:
            self._content = self._content[:-3] + _METER + self._content[-3:]
        size = len(self._content % self._marks(0))
        self._content = b"%x\r\n%b\r\n" % (size, self._content)
        opening = self._choice('{"role":"assistant","content":"","refusal":null}', "null")
        self.opening = _HEAD + http_chunk(self._counted(opening, 0))

    def _choice(self, delta: str, finish: str) -> bytes:
        choice = f'{{"index":0,"delta":{delta},"finish_reason":{finish}}}'
        return f'{self._envelope}"choices":[{choice}]}}\n\n'.encode()

    def _counted(self, frame: bytes, made: int) -> bytes:
        return frame[:-3] + _METER % (made, _PROMPT + made) + frame[-3:] if self._metered else frame

    def _marks(self, sequence: int) -> tuple[int, ...]:
        stamp = (sequence, time.monotonic_ns())
        return (*stamp, sequence + 1, _PROMPT + sequence + 1) if self._metered else stamp

    def content(self, sequence: int) -> bytes:
        """Return one content chunk, stamped now."""
        return self._content % self._marks(sequence)

    def closing(self, chunks: int, *, with_usage: bool) -> bytes:
        """Return the finish chunk, the usage chunk where it was asked for, `[DONE]` and the end of the body."""
        frames = [self._counted(self._choice("{}", '"stop"'), chunks)]
        if with_usage:
            usage = f'{{"prompt_tokens":{_PROMPT},"completion_tokens":{chunks},"total_tokens":{_PROMPT + chunks}}}'
            frames.append(f'{self._envelope}"choices":[],"usage":{usage}}}\n\n'.encode())
        return b"".join(map(http_chunk, [*frames, _LAST])) + b"0\r\n\r\n"


class Wheel:
    """One timer for all streams of a process, on a grid of 1 ms; it stands still while no stream is on it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._slots: dict[int, list[Callable[[], None]]] = {}
        self._tick_ms = 0
        self._admitted = 0

    def phase(self) -> float:
        """Return where in its interval the next stream beats, 0 to 1, evenly spread."""
        self._admitted += 1
        return self._admitted * _GOLDEN % 1

    def add(self, due_ms: float, beat: Callable[[], None]) -> None:
        """Call `beat` once, at or after the moment on the monotonic clock."""
        if not self._slots:
            self._tick_ms = int(time.monotonic() * 1000)
            self._loop.call_later(0.001, self._turn)
        self._slots.setdefault(max(math.ceil(due_ms), self._tick_ms + 1), []).append(beat)

    def _turn(self) -> None:
        now_ms = int(time.monotonic() * 1000)
        # A beat may add to the wheel; the slots must not look empty to it, or it would start a second timer.
        while self._tick_ms < now_ms:
            self._tick_ms += 1
            for beat in self._slots.get(self._tick_ms, ()):
                beat()
            self._slots.pop(self._tick_ms, None)
        if self._slots:
            self._loop.call_later(0.001, self._turn)


class Stream:
    """One answer under way, from the request read to the last byte."""

    __slots__ = (
        "_done",
        "_due_ms",
        "_frames",
        "_interval_ms",
        "_script",
        "_sequence",
        "_transport",
        "_usage",
        "_wheel",
    )

    def __init__(
        self,
        script: Script,
        transport: asyncio.Transport,
        wheel: Wheel,
        frames: Frames | Grammar,
        *,
        with_usage: bool,
    ) -> None:
        self._script = script
        self._transport = transport
        self._wheel = wheel
        self._usage = with_usage
        self._frames = frames
        self._interval_ms = 1000 / script.rate if script.rate else 0.0
        self._due_ms = 0.0
        self._sequence = 0
        self._done = False

    def start(self) -> None:
        """Send the head and the role chunk now; the content follows as scripted."""
        if not self._script.rate:
            self._transport.write(self._whole())
            return
        self._transport.write(self._frames.opening)
        self._due_ms = time.monotonic() * 1000 + self._script.delay_ms
        if self._script.delay_ms:
            self._wheel.add(self._due_ms, self._first)
        else:
            # Not in this turn of the loop: uvloop would join both writes, and a model's first token is never so early.
            asyncio.get_running_loop().call_soon(self._first)

    def _whole(self) -> bytes:
        contents = b"".join(map(self._frames.content, range(self._script.chunks)))
        return self._frames.opening + contents + self._frames.closing(self._script.chunks, with_usage=self._usage)

    def _first(self) -> None:
        # The first chunk is on time for TTFT; from the second on, the stream beats in its own phase.
        self._due_ms += self._interval_ms * (self._wheel.phase() - 1)
        self._beat()

    def _beat(self) -> None:
        if self._transport.is_closing():
            return
        if self._sequence == self._script.chunks:
            self._transport.write(self._frames.closing(self._script.chunks, with_usage=self._usage))
            return
        self._transport.write(self._frames.content(self._sequence))
        self._sequence += 1
        self._due_ms += self._interval_ms
        self._wheel.add(self._due_ms, self._beat)


class UpstreamProtocol(asyncio.Protocol):
    """One connection: requests in, scripted streams out, kept alive."""

    def __init__(self, wheel: Wheel) -> None:
        self._wheel = wheel
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._url = b""
        self._body = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by type.

    def data_received(self, data: bytes) -> None:
        """Feed the parser; what is no HTTP closes the connection."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._open_transport.close()

    @property
    def _open_transport(self) -> asyncio.Transport:
        assert self._transport is not None
        return self._transport

    def on_message_begin(self) -> None:
        """Forget the request before."""
        self._url = self._body = b""

    def on_url(self, url: bytes) -> None:
        """Collect the path."""
        self._url += url

    def on_body(self, body: bytes) -> None:
        """Collect the body."""
        self._body += body

    def on_message_complete(self) -> None:
        """Answer: the stream the model name asks for, 404 for another path, 400 for another model."""
        path = self._url.partition(b"?")[0]
        model = _IN_PATH.search(path) or _MODEL.search(self._body)
        grammar = next((grammar for end, grammar in GRAMMARS if path.endswith(end)), None)
        if grammar is None and not path.endswith(b"/chat/completions"):
            self._open_transport.write(_REFUSAL % (404, b"Not Found"))
        elif model is None or not _SCRIPT.fullmatch(model[1].decode()):
            self._open_transport.write(_REFUSAL % (400, b"Bad Request"))
        else:
            script = Script.parse(model[1].decode())
            metered = b'"chunk_include_usage"' in self._body
            frames = Frames(script.model, metered=metered) if grammar is None else grammar(script.model)
            with_usage = b'"include_usage"' in self._body
            Stream(script, self._open_transport, self._wheel, frames, with_usage=with_usage).start()


async def serve(port: int) -> asyncio.Server:
    """Listen on the loopback port (0: any) and return the server, already accepting."""
    loop = asyncio.get_running_loop()
    wheel = Wheel(loop)
    return await loop.create_server(lambda: UpstreamProtocol(wheel), "127.0.0.1", port, backlog=4096)


async def _run(port: int) -> None:
    server = await serve(port)
    await server.serve_forever()


if __name__ == "__main__":
    gc.disable()  # A pause of ours would be counted as the gateway's.
    try:
        uvloop.run(_run(int(sys.argv[1])))
    except KeyboardInterrupt:
        sys.exit(130)
