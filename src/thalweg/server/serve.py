"""Run the gateway on uvicorn: listen, drain on a signal, leave nothing unsettled."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import signal
import socket
from collections.abc import Callable, Iterator
from types import FrameType

import uvicorn

from thalweg.config import Settings
from thalweg.ledger.lock import HomeLock
from thalweg.ledger.store import SqliteLedger, sqlite_version_warning
from thalweg.server.app import Gateway, make_connector, make_gateway, make_simulator
from thalweg.server.guard import guarded

_log = logging.getLogger("thalweg.server")
_SEND_BUFFER_BYTES = 256 * 1024
"""The kernel's share of a slow reader's backlog; left alone it grows to megabytes for each."""


class GatewayServer(uvicorn.Server):
    """uvicorn with our own way out: a first signal drains, a second one ends at once, and the exit code is 0."""

    def __init__(self, config: uvicorn.Config, gateway: Gateway) -> None:
        super().__init__(config)
        self._gateway = gateway
        self._drain: asyncio.Task[None] | None = None

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle the signals on the loop, and do not raise them again afterwards as uvicorn does."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        try:
            yield
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to drain, or, if that is under way, stop waiting: for streams, and for clients that do not read."""
        if self._drain is None:
            self._gateway.house.live.draining = True
            self._drain = asyncio.get_running_loop().create_task(self._drained())
            return
        self.config.timeout_graceful_shutdown = 0
        if not self._drain.cancel():
            for task in self.server_state.tasks:
                task.cancel()

    async def _drained(self) -> None:
        """Wait for the streams, keep answering probes meanwhile, then let uvicorn close the listener."""
        live = self._gateway.house.live
        try:
            cut = await live.drain(self._gateway.house.settings.limits.drain_s)
        except asyncio.CancelledError:
            cut = await live.drain(0)
        if cut:
            _log.warning("%d streams were ended by the shutdown", cut)
        self.should_exit = True


def listen(settings: Settings) -> socket.socket:
    """The listening socket. Raises `OSError` when the address is taken."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
        listener.bind((settings.host, settings.port))
        listener.listen(2048)
        listener.setblocking(False)
    except BaseException:
        listener.close()
        raise
    return listener


def uvicorn_config(app: Gateway, settings: Settings) -> uvicorn.Config:
    """uvicorn as we need it: no access log, no proxy headers, nothing that we do ourselves."""
    return uvicorn.Config(
        app,
        http=guarded(settings.limits),
        loop="uvloop",
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="error",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=75,
        backlog=2048,
        timeout_graceful_shutdown=5,
    )


def _settle_memory() -> None:
    """What was made at start lives for ever: keep the collector from looking at it, and let it look less often.

    Nothing on a stream's way makes cycles, so that a collection there finds nothing.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


async def serve(settings: Settings, *, listening: Callable[[socket.socket], None]) -> None:
    """Run until a signal. `listening` is told once requests are taken.

    Raises `HomeLocked` when another server uses the same home, `OSError` when the address is taken.
    """
    settings.home.mkdir(parents=True, exist_ok=True, mode=0o700)
    with HomeLock(settings.home):
        listener = listen(settings)
        if warning := sqlite_version_warning():
            _log.warning(warning)
        ledger = SqliteLedger(settings.home / "ledger.db")
        connector, simulator = make_connector(settings), make_simulator()
        try:
            crashed = await ledger.recover()
            if crashed:
                _log.warning("%d requests of an earlier run were found open and settled as crashed", crashed)
            gateway = make_gateway(settings, ledger=ledger, connector=connector, simulator=simulator)
            server = GatewayServer(uvicorn_config(gateway, settings), gateway)
            _settle_memory()
            asyncio.get_running_loop().call_soon(listening, listener)
            await server.serve(sockets=[listener])
            await gateway.house.live.close()
        finally:
            await simulator.close()
            await connector.close()
            await ledger.close()
            listener.close()
