"""The bytes that all requests together may hold, on the real server: who is refused, who is ended, and who lives on."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.server.gateway import (
    CHAT,
    PATIENCE_S,
    Caller,
    Reply,
    Running,
    ask,
    chat,
    events,
    request,
    running,
    settings_of,
    text_of,
)
from tests.server.process import Served, served
from thalweg.config import Buffers, ConfigError, load
from thalweg.relay.budget import MIB

ENDLESS = "sim/endless?pace=0&ttft=0&size=65536"


@pytest.fixture(scope="module")
def small() -> Iterator[Running]:
    """A gateway that may hold one MiB."""
    with running(settings_of(THALWEG_BUFFER_MB="1")) as gateway:
        yield gateway


@contextmanager
def spent(gateway: Running) -> Iterator[None]:
    """Somebody's request holds nearly all that may be held, and is not whole."""
    budget = gateway.gateway.house.budget
    with Caller(gateway.port) as hog:
        hog.send(request(CHAT, headers={"content-length": "1040000"}) + b"{" + b" " * 1_000_000)
        gateway.until(lambda: budget.spent)
        yield
    gateway.until(lambda: budget.held_bytes == 0)


def ready(gateway: Running) -> tuple[int, Any]:
    reply = ask(gateway.port, "/readyz", method="GET", key=None)
    return reply.status, reply.json["reasons"]


# Settings.


@pytest.mark.parametrize(
    ("given", "buffers"),
    [
        ({}, Buffers(frame_bytes=16 * MIB, answer_bytes=32 * MIB, total_bytes=512 * MIB)),
        ({"THALWEG_FRAME_MB": "1"}, Buffers(frame_bytes=MIB)),
        ({"THALWEG_ANSWER_MB": "0.5"}, Buffers(answer_bytes=MIB // 2)),
        ({"THALWEG_BUFFER_MB": " 2048 "}, Buffers(total_bytes=2048 * MIB)),
        ({"THALWEG_BUFFER_MB": ""}, Buffers()),
    ],
    ids=str,
)
def test_each_bound_is_a_setting(given: dict[str, str], buffers: Buffers) -> None:
    assert load({"THALWEG_HOME": "/nonexistent"} | given).buffers == buffers


@pytest.mark.parametrize("value", ["0", "-1", "many", "nan", "inf", "1e9", "1MB"])
@pytest.mark.parametrize("name", ["THALWEG_FRAME_MB", "THALWEG_ANSWER_MB", "THALWEG_BUFFER_MB"])
def test_a_bound_that_is_none_is_a_wrong_setting(name: str, value: str) -> None:
    with pytest.raises(ConfigError, match=name):
        load({"THALWEG_HOME": "/nonexistent", name: value})


def test_the_settings_reach_the_streams() -> None:
    with running(settings_of(THALWEG_FRAME_MB="0.25", THALWEG_ANSWER_MB="0.25")) as gateway:
        long = ask(gateway.port, CHAT, chat("sim/text?fault=big-frame&size=400000&pace=0", stream=True))
        assert "sent a frame of more than" in events(long.body)[-1]["error"]["message"]
        whole = ask(gateway.port, CHAT, chat("sim/text?pace=0&tokens=200000"))
        assert (whole.status, "262144" in whole.said) == (502, True)


# New requests.


@pytest.mark.parametrize("stream", [True, False])
def test_where_it_is_spent_new_requests_are_refused(small: Running, stream: bool) -> None:
    with spent(small):
        reply = ask(small.port, CHAT, chat(stream=stream))
        assert (reply.status, reply.headers["retry-after"]) == (503, "1")
        assert reply.json["error"]["code"] == "overloaded"
        assert "THALWEG_BUFFER_MB" in reply.said
        assert ask(small.port, CHAT, chat(), key=None).status == 401, "the key comes first"
        assert ask(small.port, "/v1/models", method="GET").status == 200
    assert ask(small.port, CHAT, chat(stream=stream)).status == 200


def test_a_body_for_which_there_is_no_room_is_refused(small: Running) -> None:
    """Before it is whole, and although its length was not told."""
    with Caller(small.port) as caller:
        caller.send(request(CHAT, headers={"content-length": "-", "transfer-encoding": "chunked"}))
        with suppress(ConnectionError):
            for _ in range(40):
                caller.send(b"%x\r\n%b\r\n" % (65536, b" " * 65536))
        assert caller.reply().status == 503
    small.until(lambda: small.gateway.house.budget.held_bytes == 0)


def test_a_body_counts_twice_once_it_is_written_for_the_upstream(small: Running) -> None:
    body = json.dumps({"model": "sim/text?ttft=60", "messages": [{"role": "user", "content": "x" * 300_000}]}).encode()
    with Caller(small.port) as caller:
        caller.send(request(CHAT, body))
        small.until(lambda: len(small.gateway.house.live) == 1)
        assert 600_000 < small.gateway.house.budget.held_bytes < 610_000
        too_much = ask(small.port, CHAT, body)
        assert too_much.status == 503
    small.until(lambda: small.gateway.house.budget.held_bytes == 0)


def test_probes_are_told(small: Running) -> None:
    assert ready(small) == (200, [])
    with spent(small):
        assert ready(small) == (503, ["the buffers are full"])
        assert ask(small.port, "/livez", method="GET", key=None).status == 200
    assert ready(small) == (200, [])


def test_probes_are_told_of_a_ledger_that_is_closed() -> None:
    with running(settings_of()) as gateway:
        gateway.run(gateway.ledger.close())
        assert ready(gateway) == (503, ["the ledger cannot be written"])


# Streams under way.


def test_a_stream_under_way_goes_on(small: Running) -> None:
    with Caller(small.port) as caller:
        caller.send(request(CHAT, chat("sim/text?pace=200&tokens=60&ttft=0", stream=True)))
        assert caller.reply_head()[0] == 200
        chunks = caller.chunks()
        read = next(chunks)
        with spent(small):
            read += b"".join(chunks)
    assert read.endswith(b"data: [DONE]\n\n")
    assert text_of(read)


@pytest.mark.parametrize("at", [1, 4])
def test_a_frame_that_does_not_fit_ends_its_stream_and_no_other(small: Running, at: int) -> None:
    with Caller(small.port) as other:
        other.send(request(CHAT, chat("sim/text?pace=100&tokens=60&ttft=0", stream=True)))
        assert other.reply_head()[0] == 200
        reply = ask(small.port, CHAT, chat(f"sim/text?fault=big-frame&size=5000000&pace=0&at={at}", stream=True))
        error = reply.json["error"] if reply.status != 200 else events(reply.body)[-1]["error"]
        assert error["code"] == "overloaded"
        assert b"[DONE]" not in reply.body
        assert b"".join(other.chunks()).endswith(b"data: [DONE]\n\n")
    small.until(lambda: small.ledger.unsettled == 0)
    ended = next(entry for entry in small.ledger.last_entries(2) if entry.outcome != "complete")
    assert (ended.outcome, ended.error_kind) == ("gateway_error", "overloaded")
    assert small.gateway.house.budget.taken_bytes == 0


def test_what_slow_readers_have_not_taken_is_counted(small: Running) -> None:
    budget = small.gateway.house.budget
    callers = [Caller(small.port) for _ in range(3)]
    for caller in callers:
        caller.send(request(CHAT, chat(ENDLESS, stream=True)))
    small.until(lambda: budget.held_bytes > 3 * 64 * 1024)
    for caller in callers:
        caller.sock.close()
    small.until(lambda: budget.held_bytes == 0)


# Under load.

ANSWERS, PIECE, PIECES = 24, 65536, 96
"""So many answers of 6 MiB at once: 144 MiB for a gateway that may hold 24."""


class Holding:
    """A provider whose answers stop in the middle until they are let go on. Says how many have come so far."""

    def __init__(self, kind: str) -> None:
        self._head = f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\nconnection: close\r\n\r\n".encode()
        self._streams = "event-stream" in kind
        self.half_sent = 0
        self.go_on = threading.Event()
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._threads: list[threading.Thread] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}/v1"

    def __enter__(self) -> Holding:
        self._threads.append(threading.Thread(target=self._accept, daemon=True))
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self.go_on.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(PATIENCE_S)
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                thread = threading.Thread(target=self._answer, args=(connection,), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _answer(self, connection: socket.socket) -> None:
        pieces = list(self._pieces())
        with connection, suppress(OSError):
            connection.settimeout(3 * PATIENCE_S)
            asked = b""
            while b"\r\n\r\n" not in asked:
                asked += connection.recv(65536)
            connection.sendall(self._head)
            for piece in pieces[: len(pieces) // 2]:
                connection.sendall(piece)
            with self._lock:
                self.half_sent += 1
            self.go_on.wait(3 * PATIENCE_S)
            for piece in pieces[len(pieces) // 2 :]:
                connection.sendall(piece)

    def _pieces(self) -> Iterator[bytes]:
        """An answer, as a whole or as a stream that must be folded."""
        words = "x" * (PIECE - 200)
        if not self._streams:
            choice = '{"id":"x","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"finish_reason":"stop"'
            yield f'{choice},"message":{{"role":"assistant","content":"'.encode()
            yield from [words.encode()] * PIECES
            yield b'"}}]}'
            return
        for finish in [None] * PIECES + ["stop"]:
            choices = [{"index": 0, "delta": {"content": words}, "finish_reason": finish}]
            chunk = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": choices}
            yield b"data: %b\n\n" % json.dumps(chunk).encode()
        yield b"data: [DONE]\n\n"


def resident_bytes(server: Served) -> int:
    pages = Path(f"/proc/{server.process.pid}/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def held_bytes(server: Served) -> float:
    page = ask(server.port, "/metrics", method="GET").body.decode()
    return next(float(line.split()[1]) for line in page.splitlines() if line.startswith("thalweg_buffer_bytes "))


@pytest.mark.parametrize("kind", ["application/json", "text/event-stream"])
def test_many_large_answers_share_it(tmp_path: Path, kind: str) -> None:
    with Holding(kind) as upstream, ThreadPoolExecutor(ANSWERS) as clients:
        settings = {"OPENAI_API_KEY": "sk-openai-0123", "OPENAI_BASE_URL": upstream.url, "THALWEG_BUFFER_MB": "24"}
        with served(tmp_path, **settings) as server:
            assert ask(server.port, CHAT, chat("sim/text?pace=0")).status == 200
            before = resident_bytes(server)

            def one(_: int) -> Reply:
                with Caller(server.port) as caller:
                    caller.sock.settimeout(3 * PATIENCE_S)
                    return caller.send(request(CHAT, chat("openai/m"))).reply()

            with Caller(server.port) as healthy:
                healthy.send(request(CHAT, chat("sim/text?pace=50&tokens=100&ttft=0", stream=True)))
                assert healthy.reply_head()[0] == 200
                answers = [clients.submit(one, number) for number in range(ANSWERS)]
                most = before
                pause = threading.Event()
                while upstream.half_sent + sum(answer.done() for answer in answers) < ANSWERS:
                    most = max(most, resident_bytes(server))
                    assert held_bytes(server) <= 24 * MIB
                    pause.wait(0.01)
                upstream.go_on.set()
                replies = [answer.result(3 * PATIENCE_S) for answer in answers]
                most = max(most, resident_bytes(server))
                assert b"".join(healthy.chunks()).endswith(b"data: [DONE]\n\n"), "others live on"
            server_said = ask(server.port, CHAT, chat("sim/text?pace=0"))
            assert (server_said.status, held_bytes(server)) == (200, 0)
    found = sorted({reply.status for reply in replies})
    assert found == [200, 503], found
    for reply in replies:
        if reply.status == 200:
            assert len(reply.json["choices"][0]["message"]["content"]) >= (PIECE - 200) * PIECES
        else:
            assert "retry-after" in reply.headers
    # What is held, the largest answer in its other forms while it is turned from one into the other, and what the
    # sockets' buffers have in user space.
    assert most - before < (24 + 40) * MIB, f"{(most - before) / MIB:.0f} MiB"
