"""One request and the recording of its answer, without a server: behind `thalweg record`.

The gateway is there with all it does, but for a listener and a ledger that stays: what is asked is not booked.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from thalweg.canon.errors import GatewayError
from thalweg.canon.origin import Credential, Origin
from thalweg.config import ClientSettings, Settings, parse_base_url
from thalweg.ledger.memory import MemoryLedger
from thalweg.server.app import GENERATION_PATHS, make_connector, make_gateway, make_simulator
from thalweg.server.recording import RecordingConnector, make_recorder
from thalweg.server.wire import Message, Scope
from thalweg.upstream.base import Connector, UpstreamRequest
from thalweg.upstream.gather import gather

_GEMINI = "/v1beta/models/{model}:streamGenerateContent"
_JSON = (b"content-type", b"application/json")


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked, in a dialect that clients speak."""

    dialect: str
    model: str
    body: bytes

    @property
    def path(self) -> str:
        """Where it is asked."""
        if self.dialect == "gemini":
            # In a path a question mark would end it.
            return _GEMINI.format(model=self.model.replace("?", ";").replace("&", ";"))
        return GENERATION_PATHS[self.dialect][0]

    @property
    def query(self) -> bytes:
        """What stands behind its path."""
        return b"alt=sse" if self.dialect == "gemini" else b""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it."""

    file: Path | None
    """The recording; `None` where no upstream was asked."""
    refusal: str | None
    """Why the gateway itself gave no answer."""


async def record_directly(settings: Settings, question: Question) -> Outcome:
    """Ask the provider that the model's name means. Raises `CannotRecord`."""
    recorder = make_recorder(settings)
    connector = RecordingConnector(make_connector(settings), recorder)
    simulator = RecordingConnector(make_simulator(settings), recorder, simulated=True)
    ear = _Ear(question.body)
    try:
        gateway = make_gateway(settings, ledger=MemoryLedger(), connector=connector, simulator=simulator)
        try:
            await gateway(_scope(settings, question), ear.receive, ear.send)
        finally:
            await gateway.house.media.close()
    finally:
        await simulator.close()
        await connector.close()
        await asyncio.to_thread(recorder.close)
    return Outcome(file=next(iter(recorder.written), None), refusal=ear.refusal())


async def record_through(settings: Settings, client: ClientSettings, question: Question) -> Outcome:
    """Ask a gateway, and record what it answers. Raises `CannotRecord`."""
    assert client.url is not None
    recorder = make_recorder(settings)
    # A gateway is on this machine or in the house: what goes to it takes no proxy.
    connector: Connector = RecordingConnector(
        make_connector(msgspec.structs.replace(settings, proxy_environment={})), recorder
    )
    refusal = None
    try:
        await gather(
            connector,
            _request(client, client.url, question),
            most_bytes=settings.buffers.answer_bytes,
            timeout_s=settings.timeouts.whole_s or 3600.0,
        )
    except GatewayError as error:
        refusal = error.message
    finally:
        await connector.close()
        await asyncio.to_thread(recorder.close)
    return Outcome(file=next(iter(recorder.written), None), refusal=refusal)


def _request(client: ClientSettings, url: str, question: Question) -> UpstreamRequest:
    origin, base = parse_base_url(url, "--url")
    path = urlsplit(question.path).path.replace(" ", "%20").encode()
    key = None if client.api_key is None else _credential(origin, client.api_key)
    return UpstreamRequest(
        origin=origin,
        method=b"POST",
        target=base + path + (b"?" + question.query if question.query else b""),
        headers=(_JSON, (b"accept", b"text/event-stream"), (b"user-agent", b"thalweg")),
        body=question.body,
        credential=key,
        provider="thalweg",
        setting="--url",
    )


def _credential(origin: Origin, key: str) -> Credential:
    return Credential(origin=origin, header=b"authorization", value=b"Bearer " + key.encode())


def _scope(settings: Settings, question: Question) -> Scope:
    headers = [(b"host", b"127.0.0.1"), _JSON]
    if settings.api_key:
        headers.append((b"authorization", b"Bearer " + settings.api_key.encode()))
    return {
        "type": "http",
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": question.path,
        "raw_path": question.path.encode(),
        "query_string": question.query,
        "root_path": "",
        "headers": headers,
        "client": ("127.0.0.1", 0),
        "server": ("127.0.0.1", 0),
    }


class _Ear:
    """The client's side of the one request: sends its body, and keeps what it is refused with."""

    def __init__(self, body: bytes) -> None:
        self._body: bytes | None = body
        self._status = 0
        self._said: list[bytes] = []

    async def receive(self) -> Message:
        """The body, and then nothing: this client stays."""
        if self._body is None:
            await asyncio.get_running_loop().create_future()
        body, self._body = self._body, None
        return {"type": "http.request", "body": body or b"", "more_body": False}

    async def send(self, message: Message) -> None:
        """Note the status, and of a refusal the body."""
        self._status = message.get("status", self._status)
        if self._status >= 400:
            self._said.append(message.get("body", b""))

    def refusal(self) -> str | None:
        """The message of an error, in whichever dialect."""
        if self._status < 400:
            return None
        try:
            said: Any = msgspec.json.decode(b"".join(self._said))
            return str(said["error"]["message"])
        except (msgspec.MsgspecError, KeyError, TypeError):
            return f"status {self._status}"
