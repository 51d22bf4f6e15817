from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import msgspec
import pytest

from tests.simulator.talks import TALKS
from tests.upstream.loopback import PATIENCE_S, RELEASED_WITHIN_S, Recorder, asking, on_both_loops, unhandled
from thalweg.canon.errors import UpstreamBroke
from thalweg.canon.script import Step
from thalweg.dialects.registry import DIALECTS
from thalweg.server.simulated import Play, SimulatorServer, serve_simulator
from thalweg.upstream.base import Origin
from thalweg.upstream.connector import HttpConnector
from thalweg.upstream.played import PlayedConnector

TARGET = b"/v1/chat/completions"


def body_of(model: str, **fields: Any) -> bytes:
    wire = {"model": model, "messages": [{"role": "user", "content": "回声 🦜"}], "stream": True}
    return msgspec.json.encode(wire | fields)


def request_of(model: str, *, version: str = "1.1", headers: str = "", **fields: Any) -> bytes:
    body = body_of(model, **fields)
    head = f"POST /v1/chat/completions HTTP/{version}\r\nhost: sim\r\ncontent-length: {len(body)}\r\n{headers}\r\n"
    return head.encode() + body


@contextlib.asynccontextmanager
async def serving(play: Play | None = None) -> AsyncIterator[SimulatorServer]:
    server = await serve_simulator(play=play)
    try:
        yield server
    finally:
        await server.close()


@contextlib.asynccontextmanager
async def connected(server: SimulatorServer) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=2**26)
    try:
        async with asyncio.timeout(PATIENCE_S):
            yield reader, writer
    finally:
        writer.transport.abort()


async def until(reached: Any) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not reached():
            await asyncio.sleep(0.001)


async def exchange(server: SimulatorServer, request: bytes) -> bytes:
    """Everything that comes until the server closes."""
    async with connected(server) as (reader, writer):
        writer.write(request)
        return await reader.read()


async def call(server: SimulatorServer, model: str, **fields: Any) -> Recorder:
    """A whole call by the gateway's own client."""
    connector, heard = HttpConnector(), Recorder()
    connector.start(
        asking(Origin("http", "127.0.0.1", server.port), target=TARGET, body=body_of(model, **fields)), heard
    )
    await heard.over()
    await connector.close()
    return heard


async def play(model: str, **fields: Any) -> Recorder:
    """The same call without a network."""
    heard = Recorder()
    connector = PlayedConnector(Play())
    connector.start(asking(Origin("http", "sim", 80), target=TARGET, body=body_of(model, **fields)), heard)
    await heard.over()
    return heard


def without_created(body: bytes) -> bytes:
    return b"".join(part for part in body.split(b",") if not part.startswith(b'"created"'))


@pytest.mark.parametrize("model", ["text?pace=0", "text?fault=eof", "text?fault=http-429-retry-after", "nobody"])
@on_both_loops
async def test_over_http_and_in_process_the_answer_is_the_same(model: str) -> None:
    async with serving() as server:
        over_http, in_process = await call(server, model), await play(model)
    assert over_http.shape == in_process.shape == ["connected", "head", "body", "ended"]
    assert over_http.head.status == in_process.head.status
    assert without_created(over_http.body) == without_created(in_process.body)
    assert set(in_process.head.headers) <= set(over_http.head.headers)


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("fault", "shape"),
    [
        ("reset", ["connected", "head", "body", "failed"]),
        ("fin", ["connected", "head", "body", "failed"]),
        ("refuse", ["connected", "failed"]),
    ],
)
@on_both_loops
async def test_what_breaks_the_connection_breaks_it(fault: str, shape: list[str], stream: bool) -> None:
    async with serving() as server:
        heard = await call(server, f"text?fault={fault}", stream=stream)
        assert heard.shape == shape
        assert isinstance(heard.error, UpstreamBroke)
        await until(lambda: server.open_connections == 0)
        assert not server.closes_seen


def read_until_reset(port: int, request: bytes, *, first_s: float = 0.0) -> bytes:
    """What can be read of an answer that ends with a reset. A stream reader would forget what it has not given out."""
    got = bytearray()
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as sock:
        sock.sendall(request)
        time.sleep(first_s)
        with pytest.raises(ConnectionResetError):
            while piece := sock.recv(65536):
                got += piece
    return bytes(got)


@on_both_loops
async def test_a_reset_is_a_reset_and_comes_after_the_bytes_before_it() -> None:
    async with serving() as server:
        got = await asyncio.to_thread(read_until_reset, server.port, request_of("text?fault=reset&pace=0"))
        assert got.count(b"chat.completion.chunk") == 5
        assert len(got) == server.bytes_sent


@on_both_loops
async def test_a_reset_waits_for_a_client_that_reads_late() -> None:
    async with serving() as server:
        request = request_of("text?fault=big-frame,reset&at=1&pace=0")
        got = await asyncio.to_thread(read_until_reset, server.port, request, first_s=0.2)
        assert len(got) == server.bytes_sent > 4 * 1024 * 1024


@on_both_loops
async def test_a_fin_is_an_end_without_the_last_chunk() -> None:
    async with serving() as server:
        got = await exchange(server, request_of("text?fault=fin&pace=0"))
    assert not got.endswith(b"0\r\n\r\n")
    assert b"[DONE]" not in got


@on_both_loops
async def test_each_body_is_a_chunk_of_its_own() -> None:
    async with serving() as server:
        got = await exchange(server, request_of("text?fault=trickle&pace=0", headers="connection: close\r\n"))
    head, _, body = got.partition(b"\r\n\r\n")
    assert b"\r\ntransfer-encoding: chunked\r\n" in head + b"\r\n"
    assert body.startswith(b"1\r\nd\r\n1\r\na\r\n1\r\nt\r\n")
    assert body.endswith(b"0\r\n\r\n")
    assert server.bytes_sent == len(got)


@pytest.mark.parametrize("close", ["abort", "close", "half"])
@pytest.mark.parametrize("model", ["slow", "endless?pace=0", "text?fault=hang", "text?fault=stall"])
@on_both_loops
async def test_a_client_that_goes_is_noticed_at_once(model: str, close: str) -> None:
    async with serving() as server, connected(server) as (reader, writer):
        writer.write(request_of(model))
        await (until(lambda: server.open_answers == 1) if "hang" in model else reader.readuntil(b"data: "))
        assert (server.open_connections, server.open_answers) == (1, 1)
        gone = time.monotonic()
        {"abort": writer.transport.abort, "close": writer.close, "half": writer.write_eof}[close]()
        await until(lambda: server.closes_seen)
        assert server.closes_seen[0] - gone < RELEASED_WITHIN_S
        assert (server.open_connections, server.open_answers) == (0, 0)
        sent = server.bytes_sent
        await asyncio.sleep(0.05)
        assert server.bytes_sent == sent


@on_both_loops
async def test_a_client_that_does_not_read_stops_the_answer() -> None:
    async with serving() as server, connected(server) as (reader, writer):
        writer.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        writer.transport.pause_reading()
        writer.write(request_of("endless?pace=0&size=65536"))
        sent = -1
        while sent != server.bytes_sent or sent == 0:
            sent = server.bytes_sent
            await asyncio.sleep(0.1)
        assert 0 < sent < 16 * 1024 * 1024
        writer.transport.resume_reading()
        await until(lambda: server.bytes_sent > sent + 10_000_000)
        del reader


@on_both_loops
async def test_a_connection_is_kept_and_requests_sent_ahead_are_answered_in_order() -> None:
    async with serving() as server:
        requests = [request_of("text?pace=0", stream=False), b"GET /v1/models HTTP/1.1\r\nhost: sim\r\n\r\n"]
        last = request_of("nobody", headers="connection: close\r\n")
        got = await exchange(server, b"".join([*requests, last]))
        assert [got.count(b"HTTP/1.1 %s" % status) for status in (b"200 OK", b"404 Not Found")] == [2, 1]
        assert got.index(b"chat.completion") < got.index(b'"object":"list"') < got.index(b"nobody")
        assert server.requests_seen == 3
        assert not server.closes_seen


@on_both_loops
async def test_each_request_has_a_seed_of_its_own() -> None:
    async with serving() as server:
        ids = {dict((await call(server, "text?pace=0")).head.headers)[b"x-request-id"] for _ in range(3)}
    assert len(ids) == 3


@pytest.mark.parametrize("data", [b"\x16\x03\x01\x02\x00", b"GET\r\n\r\n", request_of("text", stream=False) * 50])
@on_both_loops
async def test_what_is_no_http_or_too_much_of_it_is_dropped(data: bytes) -> None:
    async with serving() as server:
        with contextlib.suppress(ConnectionResetError):
            await exchange(server, data)
        await until(lambda: server.open_connections == 0)


@on_both_loops
async def test_a_client_that_asks_whether_to_go_on_is_told() -> None:
    async with serving() as server:
        got = await exchange(server, request_of("nobody", headers="expect: 100-continue\r\nconnection: close\r\n"))
    assert got.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 Not Found\r\n")


@on_both_loops
async def test_a_status_nobody_registered_has_a_reason_too() -> None:
    async with serving() as server:
        got = await exchange(server, request_of("text?fault=http-529", headers="connection: close\r\n"))
    assert got.startswith(b"HTTP/1.1 529 Overloaded\r\n")


@on_both_loops
async def test_closing_drops_every_connection() -> None:
    async with serving() as server, connected(server) as (reader, writer):
        writer.write(request_of("endless"))
        await reader.readuntil(b"data: ")
        await server.close()
        with contextlib.suppress(ConnectionResetError):
            await reader.read()
        await until(lambda: server.open_connections == 0)


# Every dialect.


def told(dialect: str, *, stream: bool, headers: tuple[tuple[bytes, bytes], ...] = ()) -> Any:
    """A request in that dialect, as a connector is given it."""
    talk = TALKS[dialect]("text?pace=0", "回声 🦜")
    body = msgspec.json.encode(talk.body(stream=stream))
    return talk.target(stream=stream), body, (*(talk.stream_headers if stream else ()), *headers)


async def heard_over(connector: Any, origin: Origin, dialect: str, *, stream: bool, headers: Any = ()) -> Recorder:
    target, body, headers = told(dialect, stream=stream, headers=headers)
    heard = Recorder()
    connector.start(asking(origin, target=target, body=body, headers=headers), heard)
    await heard.over()
    await connector.close()
    return heard


CHANGING = re.compile(rb'"created(_at)?":\d+')


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("dialect", DIALECTS)
@on_both_loops
async def test_every_dialect_is_served_over_http_and_in_process(dialect: str, stream: bool) -> None:
    async with serving() as server:
        origin = Origin("http", "127.0.0.1", server.port)
        over_http = await heard_over(HttpConnector(), origin, dialect, stream=stream)
    in_process = await heard_over(PlayedConnector(Play()), Origin("http", "sim", 80), dialect, stream=stream)
    assert over_http.shape == in_process.shape == ["connected", "head", "body", "ended"]
    assert over_http.head.status == in_process.head.status == 200
    assert CHANGING.sub(b"", over_http.body) == CHANGING.sub(b"", in_process.body)
    kind = dict(in_process.head.headers)[b"content-type"]
    assert kind.startswith(b"text/event-stream" if stream else b"application/json")


KEYS: dict[str, tuple[bytes, bytes]] = {
    "authorization": (b"authorization", b"Bearer k"),
    "x-api-key": (b"x-api-key", b"k"),
    "x-goog-api-key": (b"x-goog-api-key", b"k"),
}


@pytest.mark.parametrize("carrier", KEYS)
@pytest.mark.parametrize("dialect", DIALECTS)
@on_both_loops
async def test_a_key_is_taken_in_any_carrier(dialect: str, carrier: str) -> None:
    async with serving() as server:
        origin = Origin("http", "127.0.0.1", server.port)
        heard = await heard_over(HttpConnector(), origin, dialect, stream=False, headers=(KEYS[carrier],))
    assert heard.head.status == 200


@pytest.mark.parametrize(
    ("path", "headers", "field"),
    [
        ("/v1/models", "", b'"object":"list"'),
        ("/v1/models", "Anthropic-Version: 2023-06-01\r\n", b'"has_more":false'),
        ("/v1/models", "X-Goog-Api-Key: k\r\n", b'"models":['),
        ("/v1beta/models?key=k", "", b'"models":['),
    ],
)
@on_both_loops
async def test_models_are_listed_as_the_headers_say(path: str, headers: str, field: bytes) -> None:
    async with serving() as server:
        request = f"GET {path} HTTP/1.1\r\nhost: sim\r\nconnection: close\r\n{headers}\r\n"
        assert field in await exchange(server, request.encode())


class Broken(Play):
    def respond(self, method: bytes, target: bytes, body: bytes, headers: Any = ()) -> Iterator[Step]:
        raise ZeroDivisionError


@on_both_loops
async def test_a_play_that_raises_resets_the_connection_and_is_reported() -> None:
    async with serving(Broken()) as server:
        with pytest.raises(ConnectionResetError):
            await exchange(server, request_of("text"))
    assert [type(each["exception"]) for each in unhandled] == [ZeroDivisionError]
    unhandled.clear()
