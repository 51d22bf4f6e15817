"""The real server on a loopback port, on a loop and a thread of its own, and a client that sends any bytes it likes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import uvloop

from thalweg.config import Limits, Settings, load
from thalweg.ledger import MemoryLedger, SqliteLedger
from thalweg.server.app import Gateway, make_connector, make_gateway, make_simulator
from thalweg.server.log import Log
from thalweg.server.serve import GatewayServer, listen, uvicorn_config

PATIENCE_S = 10.0
"""How long a test waits for what must come. Nothing here takes long; a hang becomes a failure."""

KEY = "sk-gateway-4f1d9c7a2b"
CHAT = "/v1/chat/completions"
MESSAGES = [{"role": "user", "content": "回声 🦜"}]

HARD_LIMITS = Limits(header_timeout_s=0.3, body_timeout_s=0.3, body_bytes=256 * 1024)
"""Small enough to be reached in a test."""


class ThreadServer(GatewayServer):
    """The gateway's server, without signals: those are the main thread's."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Running:
    """A gateway under test. Made by `running`."""

    def __init__(self, settings: Settings, *, on_disk: bool = False, log: Log | None = None) -> None:
        self.settings = settings
        self._log = log
        self.ledger: Any = MemoryLedger()
        self._on_disk = on_disk
        self.unhandled: list[dict[str, Any]] = []
        """What the server's loop was told by nobody who could handle it."""
        self.port = 0
        self.gateway: Gateway
        self.server: ThreadServer
        self._loop: asyncio.AbstractEventLoop
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._thread.start()
        assert self._ready.wait(PATIENCE_S)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(setattr, self.server, "should_exit", True)
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive()

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Run something on the server's loop."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(PATIENCE_S)

    def until(self, reached: Any) -> None:
        """Wait until something is so on the server's side."""

        async def wait() -> None:
            async with asyncio.timeout(PATIENCE_S):
                while not reached():
                    await asyncio.sleep(0.001)

        self.run(wait())

    @property
    def connections(self) -> int:
        return len(self.server.server_state.connections)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(self._main())

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._loop.set_exception_handler(lambda _, context: self.unhandled.append(context))
        if self._on_disk:
            self.ledger = SqliteLedger(self.settings.home / "ledger.db")
        listener = listen(self.settings)
        self.port = listener.getsockname()[1]
        connector, simulator = make_connector(self.settings), make_simulator(self.settings)
        self.gateway = make_gateway(
            self.settings, ledger=self.ledger, connector=connector, simulator=simulator, log=self._log
        )
        self.server = ThreadServer(uvicorn_config(self.gateway, self.settings), self.gateway)
        self._loop.call_soon(self._ready.set)
        await self.server.serve(sockets=[listener])
        await self.gateway.house.live.close()
        await simulator.close()
        await connector.close()
        await self.ledger.close()


def settings_of(
    tmp_path: Path | str = "/nonexistent", *, key: str | None = KEY, limits: Limits | None = None, **env: str
) -> Settings:
    """Settings as the environment would give them; the limits can only be given in code."""
    environment = {"THALWEG_HOME": str(tmp_path), "THALWEG_PORT": "0", "THALWEG_FIND_ENGINES": "0"} | env
    if key:
        environment["THALWEG_API_KEY"] = key
    settings = load(environment)
    if limits is None:
        return settings
    return Settings(**{name: getattr(settings, name) for name in settings.__struct_fields__} | {"limits": limits})


@contextlib.contextmanager
def running(settings: Settings, *, on_disk: bool = False, log: Log | None = None) -> Iterator[Running]:
    """A gateway that listens. Whatever happened, no bug has shown and every entry is settled."""
    gateway = Running(settings, on_disk=on_disk, log=log)
    gateway.start()
    try:
        yield gateway
        gateway.until(lambda: gateway.ledger.unsettled == 0)
    finally:
        gateway.stop()
    assert gateway.unhandled == []


class Reply(NamedTuple):
    """One HTTP answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def said(self) -> str:
        """The message of an error, in whichever dialect."""
        return str(self.json["error"]["message"])


class Caller:
    """A client's connection."""

    def __init__(self, port: int) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._unread = b""

    def __enter__(self) -> Caller:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def send(self, data: bytes) -> Caller:
        self.sock.sendall(data)
        return self

    def reply(self, *, head: bool = False) -> Reply:
        """The next answer, read to its end and no further. Raises `EOFError` when the connection ends before."""
        status, headers = self.reply_head()
        while status == 100:
            status, headers = self.reply_head()
        if head:
            return Reply(status, headers, b"")
        if headers.get("transfer-encoding") == "chunked":
            return Reply(status, headers, b"".join(self.chunks()))
        return Reply(status, headers, self._take(int(headers["content-length"])))

    def reply_head(self) -> tuple[int, dict[str, str]]:
        head = self._until(b"\r\n\r\n").decode("latin-1")
        first, *lines = head.strip().split("\r\n")
        version, status, *_ = first.split(" ")
        assert version == "HTTP/1.1", head
        pairs = [line.split(": ", 1) for line in lines]
        assert len({name for name, _ in pairs}) == len(pairs), head
        return int(status), {name.lower(): value for name, value in pairs}

    def chunks(self) -> Iterator[bytes]:
        """The chunks of a body, up to the last one."""
        while size := int(self._until(b"\r\n"), 16):
            yield self._take(size)
            assert self._take(2) == b"\r\n"
        assert self._take(2) == b"\r\n"

    def rest(self) -> bytes:
        """Everything up to the end of the connection; a reset is an end, too."""
        pieces = [self._unread]
        self._unread = b""
        with contextlib.suppress(ConnectionResetError):
            while piece := self.sock.recv(65536):
                pieces.append(piece)
        return b"".join(pieces)

    def _until(self, end: bytes) -> bytes:
        while end not in self._unread:
            self._more()
        found, _, self._unread = self._unread.partition(end)
        return found + end

    def _take(self, size: int) -> bytes:
        while len(self._unread) < size:
            self._more()
        found, self._unread = self._unread[:size], self._unread[size:]
        return found

    def _more(self) -> None:
        piece = self.sock.recv(65536)
        if not piece:
            raise EOFError(self._unread)
        self._unread += piece


def request(
    target: str = CHAT,
    body: bytes = b"",
    *,
    method: str = "POST",
    key: str | None = KEY,
    headers: dict[str, str] | None = None,
) -> bytes:
    """The bytes of a request. A header of the value `-` is left out."""
    fields = {"host": "127.0.0.1", "content-type": "application/json", "content-length": str(len(body))}
    if key is not None:
        fields["authorization"] = f"Bearer {key}"
    fields |= headers or {}
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items() if value != "-")
    return f"{method} {target} HTTP/1.1\r\n{lines}\r\n".encode("latin-1") + body


def ask(port: int, target: str = CHAT, body: bytes = b"", **how: Any) -> Reply:
    """One request on a connection of its own."""
    with Caller(port) as caller:
        return caller.send(request(target, body, **how)).reply(head=how.get("method") == "HEAD")


def chat(model: str = "sim/text?pace=0&ttft=0", **fields: Any) -> bytes:
    """A Chat request's body."""
    return json.dumps({"model": model, "messages": MESSAGES} | fields).encode()


def events(body: bytes) -> list[Any]:
    """The data of an SSE body's events, decoded; `[DONE]` as it is."""
    lines = [line.removeprefix("data: ") for line in body.decode().split("\n") if line]
    return [line if line == "[DONE]" else json.loads(line) for line in lines]


def text_of(body: bytes) -> str:
    """The text of a Chat stream."""
    chunks = [event for event in events(body) if event != "[DONE]"]
    return "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"])


class Upstream:
    """A provider on a loopback port that answers each request with the bytes that `answer` makes of it, and closes."""

    def __init__(self, answer: Callable[[bytes], bytes]) -> None:
        self.requests: list[bytes] = []
        self._answer = answer
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}/v1"

    def __enter__(self) -> Upstream:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(PATIENCE_S)
        self._listener.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                with connection:
                    connection.settimeout(PATIENCE_S)
                    asked = _whole_request(connection)
                    self.requests.append(asked)
                    connection.sendall(self._answer(asked))


def _whole_request(connection: socket.socket) -> bytes:
    read = b""
    while b"\r\n\r\n" not in read:
        read += connection.recv(65536)
    head = read.partition(b"\r\n\r\n")[0].lower()
    length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
    while len(read) < len(head) + 4 + length:
        read += connection.recv(65536)
    return read


def answer(status: int, body: bytes, kind: str = "application/json") -> bytes:
    """An HTTP answer that closes its connection."""
    head = f"HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
    return head.encode() + body
