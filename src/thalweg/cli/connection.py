"""Finds the gateway that a command talks to, or starts one for as long as it is needed.

In this order: the one whose URL is given; the server of this home, whose lock file says where it listens; a gateway
in a thread of this process, on a free loopback port, with the same settings and the same ledger.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

import httpx2
import msgspec

from thalweg import __version__
from thalweg.cli.words import say
from thalweg.config import ClientSettings, Settings, load
from thalweg.ledger.lock import HomeLocked, running_server

_START_S = 20.0
"""How long a gateway may take to begin, or another one that is ending to let go of the home."""
_PAUSE_S = 0.05
_PROBE_S = 2.0
_PATIENCE_S = 1.0
_READ_S = 660.0
"""Longer than a gateway waits for an upstream's first byte; a live one breaks every silence sooner than that."""


class Unreachable(Exception):
    """Nobody answers at `url`. `why` is for people, in their language where it is not the operating system's word."""

    def __init__(self, url: str, why: str) -> None:
        super().__init__(f"{url}: {why}")
        self.url = url
        self.why = why


class Gateway(msgspec.Struct, frozen=True, kw_only=True):
    """Where a gateway is, and what opens it."""

    url: str
    """Without a path of its dialects' and without a slash at its end."""
    api_key: str | None = None
    ca_file: str | None = None

    def client(self) -> httpx2.AsyncClient:
        """A client for it. The environment's proxies are for others: what is asked here goes nowhere else."""
        headers = {"user-agent": f"thalweg/{__version__}", "accept-encoding": "identity"}
        if self.api_key:
            headers["authorization"] = f"Bearer {self.api_key}"
        waits = httpx2.Timeout(_READ_S, connect=5.0)
        return httpx2.AsyncClient(headers=headers, timeout=waits, trust_env=False, verify=self._trust())

    def _trust(self) -> ssl.SSLContext:
        if self.url.startswith("https:"):
            return ssl.create_default_context(cafile=self.ca_file)
        # Without TLS there is no need to load every authority that this machine trusts; so none is trusted.
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

    def __rich_repr__(self) -> list[tuple[str, str]]:
        return [("url", self.url)]

    def __repr__(self) -> str:
        return f"Gateway({self.url!r})"


def why_not(error: httpx2.HTTPError) -> str:
    """Why a gateway cannot be talked to, in a few words: the operating system's own, where it had some."""
    if isinstance(error, httpx2.RemoteProtocolError):
        return say("connection.broke")
    if isinstance(error, httpx2.TimeoutException):
        return say("connection.silent")
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return say("connection.certificate", why=cause.verify_message)
        if isinstance(cause, ssl.SSLError):  # its number is none of the system's errors
            return say("connection.no_tls")
        if isinstance(cause, OSError) and cause.strerror:
            # Nor is that of a name that is not found.
            return os.strerror(cause.errno) if cause.errno and cause.errno > 0 else cause.strerror
        cause = cause.__cause__ or cause.__context__
    return str(error) or type(error).__name__


class Connection:
    """The way to a gateway for one command. What it has started ends with it."""

    def __init__(self, client: ClientSettings, *, waits: Callable[[], None]) -> None:
        self._client = client
        self._waits = waits
        """Told when its own gateway is not ended at once, because others have answers under way."""
        self._own: OwnGateway | None = None

    def open(self) -> Gateway:
        """A gateway that takes requests now.

        Raises `Unreachable`, `HomeLocked` when another process holds the home and does not answer, `ConfigError`, and
        what else keeps a gateway from starting: `LedgerError`, `OSError`.
        """
        url = self._client.url or self._on_this_machine()
        return Gateway(url=url, api_key=self._client.api_key, ca_file=self._client.ca_file)

    def release(self) -> None:
        """Let go of the home, so that a server can take it. A gateway that others use as well goes on until they are
        done, and is waited for where it is wanted again, or at the end.
        """
        if self._own is not None:
            self._own.stop()

    def close(self) -> None:
        """End what was started, and wait for that. An interruption ends it as a crash would."""
        if self._own is None:
            return
        self._own.stop()
        with contextlib.suppress(KeyboardInterrupt):
            if not self._own.join(_PATIENCE_S):
                self._waits()
                self._own.join()
        self._own = None

    def _on_this_machine(self) -> str:
        end = time.monotonic() + _START_S
        while True:
            if self._own is not None and self._own.stopping:
                self._own.join()
                self._own = None
            if self._own is not None:
                return self._own.url
            server = running_server(self._client.home)
            if server is None or server.pid == os.getpid():
                try:
                    self._own = OwnGateway(load(host="127.0.0.1", port=0, home=self._client.home))
                except HomeLocked as locked:  # somebody was quicker
                    server = running_server(locked.home)
                else:
                    return self._own.url
            if server is not None and server.address is not None and _takes_requests(server.address):
                return server.address
            if time.monotonic() > end:
                raise HomeLocked(self._client.home, server.pid if server else None)
            time.sleep(_PAUSE_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _takes_requests(url: str) -> bool:
    """Whether a server is there and not about to end."""
    try:
        return httpx2.get(
            f"{url}/readyz", timeout=_PROBE_S, trust_env=False, verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        ).is_success
    except httpx2.HTTPError:
        return False


class OwnGateway:
    """A gateway in a thread, from its making until `stop`. Requests under way, also those of others, are finished.

    Raises what keeps it from starting. The thread ends with the process, whatever happens.
    """

    def __init__(self, settings: Settings) -> None:
        self.url = ""
        # Those who share it have as long as an answer may take.
        limits = msgspec.structs.replace(settings.limits, drain_s=settings.timeouts.whole_s)
        self._settings = msgspec.structs.replace(settings, limits=limits)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._error: BaseException | None = None
        self._listens = threading.Event()
        self.stopping = False
        self._thread = threading.Thread(target=self._run, name="gateway", daemon=True)
        self._thread.start()
        if not self._listens.wait(_START_S):
            raise TimeoutError(f"the gateway of {str(settings.home)!r} did not start")
        if self._error is not None:
            raise self._error

    def stop(self) -> None:
        """Ask it to end, and wait for nothing."""
        if self._loop is not None and self._stop is not None and not self.stopping:
            self.stopping = True
            self._loop.call_soon_threadsafe(self._stop.set)

    def join(self, timeout_s: float | None = None) -> bool:
        """Wait until it has ended; whether it has."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        # Its warnings are for those who run a server; without a handler Python would print them.
        if not (log := logging.getLogger("thalweg")).handlers:
            log.addHandler(logging.NullHandler())
        try:
            import uvloop  # only a command that needs a gateway of its own loads one

            uvloop.run(self._serve())
        except BaseException as error:  # noqa: BLE001  # the edge of the thread: who waits for it raises it again
            self._error = error
        finally:
            self._listens.set()

    async def _serve(self) -> None:
        # The same, and the server itself.
        from thalweg.server.serve import address_of, serve

        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()

        def listening(listener: socket.socket) -> None:
            self.url = address_of(listener)
            self._listens.set()

        await serve(self._settings, listening=listening, stop=self._stop)
