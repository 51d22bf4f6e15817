"""Run the gateway on uvicorn: listen, drain on a signal, leave nothing unsettled."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from types import FrameType
from typing import TypedDict

import uvicorn

from thalweg.canon.scrub import blame
from thalweg.config import Settings
from thalweg.ledger.lock import HomeLock
from thalweg.ledger.store import SqliteLedger, sqlite_version_warning
from thalweg.server.app import Gateway, make_connector, make_gateway, make_simulator
from thalweg.server.catalogue import keep_lists
from thalweg.server.engines import Engines, Found
from thalweg.server.guard import guarded
from thalweg.server.log import Log, loop_handler, opened, silent
from thalweg.server.recording import RecordingConnector, open_recorder
from thalweg.server.reload import Again, Reloader, watching
from thalweg.upstream.base import Connector

_log = logging.getLogger("thalweg.server")
_SEND_BUFFER_BYTES = 256 * 1024
"""The kernel's share of a slow reader's backlog; left alone it grows to megabytes for each."""
_TELL_EVERY_S = 1.0
Draining = Callable[[int, float], None]
"""Is told how many answers a shutdown waits for, and for how many seconds at most."""


class GatewayServer(uvicorn.Server):
    """uvicorn with our own way out: a first signal drains, a second one ends at once, and the exit code is 0."""

    def __init__(
        self,
        config: uvicorn.Config,
        gateway: Gateway,
        stop: asyncio.Event | None = None,
        draining: Draining = lambda _count, _left_s: None,
        reloader: Reloader | None = None,
    ) -> None:
        super().__init__(config)
        self._gateway = gateway
        self._draining = draining
        self._stop = stop
        """Takes the place of the signals, where those are another's."""
        self._reloader = reloader
        """Is asked to read the settings again at SIGHUP."""
        self._on_terminal = os.isatty(0)
        self._drain: asyncio.Task[None] | None = None

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle the signals on the loop, and do not raise them again afterwards as uvicorn does."""
        loop = asyncio.get_running_loop()
        if self._stop is not None:
            waiting = loop.create_task(self._until(self._stop))
            try:
                yield
            finally:
                waiting.cancel()
            return
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        loop.add_signal_handler(signal.SIGHUP, self.hang_up)
        try:
            yield
        finally:
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                loop.remove_signal_handler(number)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to drain, or, if that is under way, stop waiting: for streams, and for clients that do not read."""
        if self._drain is None:
            self._gateway.house.live.draining = True
            self._drain = asyncio.get_running_loop().create_task(self._drained())
            return
        # uvicorn's word for waiting no longer. A limit of no seconds would do it too, but be logged as an error.
        self.force_exit = True
        if not self._drain.cancel():
            self._cancel_tasks()

    def hang_up(self) -> None:
        """Read the settings again; or end, where it was the terminal that has gone, which sends the same signal."""
        if self._reloader is None or (self._on_terminal and not os.isatty(0)):
            self.handle_exit(signal.SIGHUP, None)
        else:
            self._reloader.ask()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close what is open, and let go of what is still under way for a client that does not read."""
        await super().shutdown(sockets)
        self._cancel_tasks()

    def _cancel_tasks(self) -> None:
        for task in self.server_state.tasks:
            task.cancel()

    async def _until(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self.handle_exit(signal.SIGTERM, None)

    async def _drained(self) -> None:
        """Wait for the streams, keep answering probes meanwhile, then let uvicorn close the listener."""
        live, limit_s = self._gateway.house.live, self._gateway.house.settings.limits.drain_s
        telling = asyncio.get_running_loop().create_task(self._tell_of_drain(limit_s))
        try:
            cut = await live.drain(limit_s)
        except asyncio.CancelledError:
            cut = await live.drain(0)
        finally:
            telling.cancel()
        if cut:
            _log.warning("streams that were ended by the shutdown: %d", cut)
        self.should_exit = True

    async def _tell_of_drain(self, limit_s: float) -> None:
        """Say each second what is still waited for."""
        end = time.monotonic() + limit_s
        while count := len(self._gateway.house.live):
            self._draining(count, max(end - time.monotonic(), 0.0))
            await asyncio.sleep(_TELL_EVERY_S)


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
        http=guarded(settings.limits, app.refused),
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


@contextlib.contextmanager
def _log_of(settings: Settings, *, own_process: bool) -> Iterator[Log]:
    """The server's log; silent where the process, and its standard output, are another's."""
    if not own_process:
        yield silent()
        return
    with opened(settings) as log:
        asyncio.get_running_loop().set_exception_handler(loop_handler(log))
        yield log


def _settle_memory() -> None:
    """What was made at start lives for ever: keep the collector from looking at it, and let it look less often.

    Nothing on a stream's way makes cycles, so that a collection there finds nothing.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


def address_of(listener: socket.socket) -> str:
    """The URL under which programs on this machine reach a listener."""
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  # looked for, not bound to
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@contextlib.asynccontextmanager
async def _engines_told(
    engines: Engines, found: Callable[[Found], None], warnings: Sequence[str]
) -> AsyncIterator[None]:
    """Look for engines meanwhile."""
    looking = asyncio.get_running_loop().create_task(_tell_of_engines(engines, found, warnings))
    try:
        yield
    finally:
        await looking


async def _tell_of_engines(engines: Engines, found: Callable[[Found], None], warnings: Sequence[str]) -> None:
    """Tell `found`, and then what is to be warned of: before, it would stand in the midst of what people are told."""
    try:
        found(await engines.look())
    except Exception as error:  # noqa: BLE001  # the edge of a look that nobody asked for: it may not end the server
        _log.error("looking for engines on this machine failed: %s", blame(error))
    for warning in warnings:
        _log.warning("%s", warning)


class _Upstreams(TypedDict):
    """What answers: real upstreams, and those of this process."""

    connector: Connector
    simulator: Connector


@contextlib.asynccontextmanager
async def _upstreams(settings: Settings) -> AsyncIterator[_Upstreams]:
    """The connectors of a gateway, with a recorder around them where one is wanted. Raises `CannotRecord`."""
    recorder = open_recorder(settings)
    made = _Upstreams(connector=make_connector(settings), simulator=make_simulator(settings))
    if recorder is not None:
        made["connector"] = RecordingConnector(made["connector"], recorder)
        if settings.recording.simulated:
            made["simulator"] = RecordingConnector(made["simulator"], recorder, simulated=True)
    try:
        yield made
    finally:
        await made["simulator"].close()
        await made["connector"].close()
        if recorder is not None:
            await asyncio.to_thread(recorder.close)


@contextlib.asynccontextmanager
async def _lists_kept(gateway: Gateway, *, fetch: bool) -> AsyncIterator[None]:
    """Keep the providers' lists of models up to date meanwhile; without `fetch` those that are on disk will do."""
    house = gateway.house
    work = keep_lists(house.catalogue, house.connector) if fetch else asyncio.to_thread(house.catalogue.read)
    keeping = asyncio.get_running_loop().create_task(work)
    try:
        yield
    finally:
        keeping.cancel()
        await asyncio.wait([keeping])
        if not keeping.cancelled() and (error := keeping.exception()) is not None:
            _log.error("keeping lists of models failed: %s", blame(error))


async def serve(
    settings: Settings,
    *,
    listening: Callable[[socket.socket], None],
    found: Callable[[Found], None] = lambda _: None,
    draining: Draining = lambda _count, _left_s: None,
    stop: asyncio.Event | None = None,
    again: Again | None = None,
) -> None:
    """Run until a signal; with `stop`, until that, and signals are not touched. `listening` is told once requests are
    taken, `found` a moment later of the engines that run on this machine, and `draining` of what the end waits for.
    `again` reads the settings anew, where they may change while it runs.

    Raises `HomeLocked` when another server uses the same home, `OSError` when the address is taken, and its kind
    `CannotRecord`.
    """
    settings.home.mkdir(parents=True, exist_ok=True, mode=0o700)
    async with contextlib.AsyncExitStack() as closing:
        log = closing.enter_context(_log_of(settings, own_process=stop is None))
        lock = closing.enter_context(HomeLock(settings.home))
        listener = closing.enter_context(contextlib.closing(listen(settings)))
        ledger = SqliteLedger(settings.home / "ledger.db")
        closing.push_async_callback(ledger.close)
        warnings = await _warnings(settings, ledger)
        upstreams = await closing.enter_async_context(_upstreams(settings))
        gateway = make_gateway(settings, ledger=ledger, log=log, **upstreams)
        closing.push_async_callback(gateway.house.media.close)
        closing.push_async_callback(gateway.house.live.close)
        reloader = Reloader(gateway.house, again) if again is not None else None
        server = GatewayServer(uvicorn_config(gateway, settings), gateway, stop, draining, reloader)
        if stop is None:  # else the process is another's
            _settle_memory()
        lock.announce(address_of(listener))
        asyncio.get_running_loop().call_soon(listening, listener)
        # Beside the serving: looking delays nothing, and is over long before it.
        await closing.enter_async_context(_engines_told(gateway.house.engines, found, warnings))
        # A server within another program is there for its talk alone, and asks nobody anything beside.
        await closing.enter_async_context(_lists_kept(gateway, fetch=stop is None and settings.fetch_models))
        await closing.enter_async_context(watching(reloader))
        # In this task, so that the signals are ours before `listening` is told.
        await server.serve(sockets=[listener])


async def _warnings(settings: Settings, ledger: SqliteLedger) -> list[str]:
    """What an operator is to know at the start: of the settings, the library, and what an earlier run has left."""
    warnings = [f"{name} is no setting and is ignored" for name in settings.ignored]
    warnings += map(str, settings.warnings)
    if warning := sqlite_version_warning():
        warnings.append(warning)
    if crashed := await ledger.recover():
        warnings.append(f"requests of an earlier run that were found open and settled as crashed: {crashed}")
    return warnings
