"""Law 6 and invariants I1, I2, I5, I8, I9, I13: what goes wrong below the meaning, in every phase and dialect.

22 kinds × 3 phases × 4 client dialects, over real sockets. The upstream speaks the client's dialect. A phase says where
in an answer the fault stands: before its first content, within it, after the last. Faults of making a connection have
no answer to stand in: they are tried alone, while another answer of the same upstream is under way, and after one that
has ended; that other answer must come to no harm. These upstreams, and those behind TLS, speak Chat.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import trustme

from tests.torture.broken_bytes import END, KINDS, PHASES, SHORT_S, Phase, script_of, story, tiny_events
from tests.torture.calls import Call
from tests.torture.cells import (
    CHUNKED,
    DIALECTS,
    HEAD,
    MOST_S,
    Cell,
    Ran,
    check_all,
    in_words,
    marks_of,
    nothing_left,
    places_at,
    run_cell,
    run_cells,
    sample_of,
)
from tests.torture.processes import Gateway, gateway, until
from tests.torture.readers import CLIENTS
from tests.torture.sizes import both_sizes, percentile
from tests.torture.upstreams import RawConnection, RawUpstream, Script, raw_upstream
from tests.torture.wires import CHAT, SAID, TEXT, WIRES

CONNECT_S = 1.0
SILENCE_S = 2.0
"""The gateway's patience with a silent upstream."""
WHOLE_S = 1.5
"""Its patience with one that says nothing without a pause."""
TIMEOUTS = {
    "THALWEG_TIMEOUT_CONNECT_S": str(CONNECT_S),
    "THALWEG_TIMEOUT_FIRST_BYTE_S": str(SILENCE_S),
    "THALWEG_TIMEOUT_GAP_S": str(SILENCE_S),
}
ENDLESS = "comments only"
HEAVY = ("100,000 tiny events", "event of 10 MiB", "gzip bomb")
"""Kinds that keep both cores busy: they run a few at once, so that no other cell waits for them in vain."""
GROWN_MOST_BYTES = 160 * 1024 * 1024
NO_NAME = ".".join(["n" * 60] * 5)
"""Longer than a name can be: it is looked up, and nobody outside this machine is asked."""
MADE_ELSEWHERE = ("refused", "no such name", "connect hangs", "head hangs", "TLS fails")


class Counts(NamedTuple):
    cells: int | None
    tiny: int


COUNTS = {"sample": Counts(30, 2_000), "full": Counts(None, 100_000)}


def test_there_are_22_kinds() -> None:
    assert len(KINDS) == 22


class Companion:
    """Another answer of the same upstream: half of it comes at once, the rest when it may."""

    def __init__(self) -> None:
        self.released = asyncio.Event()

    async def script(self, connection: RawConnection) -> None:
        connection.keeps = True
        told = story(CHAT, "during")
        await connection.send(HEAD + CHUNKED)
        await connection.send_chunk(told.ahead)
        while not self.released.is_set():
            # Or it would be silent for too long itself.
            await connection.send_chunk(CHAT.idle.encoded)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.released.wait(), SILENCE_S / 5)
        await connection.send_chunk(told.behind)
        await connection.send(END)

    def check(self, call: Call) -> None:
        got = CLIENTS["openai-chat"].read(bytes(call.body))
        assert got.done and got.text == TEXT, got


class Origins:
    """Upstreams of their own, for cells that are about the making of a connection."""

    def __init__(self, stack: contextlib.AsyncExitStack, tls: ssl.SSLContext) -> None:
        self.settings: dict[str, str] = {}
        self.own: dict[str, RawUpstream] = {}
        self.deaf = stack.enter_context(contextlib.ExitStack())
        self._stack = stack
        self._tls = tls
        self._made = 0

    async def make(self, kind: str, phase: Phase, companion: Companion, name: str) -> str:
        """An upstream for one cell, and the name of the provider that it will be."""
        self._made += 1
        provider = f"own-{self._made}"
        if kind == "no such name":
            url = f"http://{NO_NAME}/v1"
        elif kind == "TLS fails":
            server = await asyncio.start_server(Tls(self._tls, phase).serve, "127.0.0.1", 0)
            self._stack.push_async_callback(_close, server)
            url = f"https://localhost:{server.sockets[0].getsockname()[1]}/v1"
        else:
            # A request on the connection that the other answer has left is not answered, and tried again on a new one.
            scripts = {f"with.{name}": companion.script, name: _leave}
            backlog = 1 if kind == "connect hangs" else 100
            own = await self._stack.enter_async_context(raw_upstream(scripts, backlog=backlog))
            self.own[name], url = own, own.url
        self.settings[f"THALWEG_PROVIDER_{provider.upper().replace('-', '_')}_BASE_URL"] = url
        return provider

    def break_off(self, cell: Cell) -> None:
        """From now on nobody gets a connection."""
        own = self.own.get(cell.name)
        if own is not None and cell.kind == "refused":
            own.stop_listening()
        elif own is not None:
            own.grow_deaf(self.deaf)

    @property
    def open_connections(self) -> int:
        return sum(own.open_connections for own in self.own.values())


async def _leave(_: RawConnection) -> None:
    """Say nothing, and go."""


async def _close(server: asyncio.Server) -> None:
    server.close()
    await server.wait_closed()


class Tls:
    """An upstream behind TLS, by hand: what it sends last is no record of this connection."""

    def __init__(self, context: ssl.SSLContext, phase: Phase) -> None:
        self._phase = phase
        self._context = context

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            await self._serve(reader, writer)
        writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._phase == "before":
            await reader.read(1)
            writer.write(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")
            await writer.drain()
            return
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = self._context.wrap_bio(incoming, outgoing, server_side=True)
        heard, trusted = b"", False
        while not heard.endswith(b"}"):
            with contextlib.suppress(ssl.SSLWantReadError):
                if not trusted:
                    tls.do_handshake()
                    trusted = True
                while True:
                    heard += tls.read(65_536)
            writer.write(outgoing.read())
            if not heard.endswith(b"}"):
                data = await reader.read(65_536)
                if not data:
                    return
                incoming.write(data)
        told = story(CHAT, self._phase).ahead
        tls.write(HEAD + CHUNKED + b"%x\r\n%b\r\n" % (len(told), told))
        writer.write(outgoing.read())
        await writer.drain()
        # What is read together with it is lost with it.
        await asyncio.sleep(SHORT_S)
        writer.write(b"\x17\x03\x03\x00\x40" + bytes(64))
        await writer.drain()
        await reader.read()


async def cell_of(kind: str, phase: Phase, client: str, origins: Origins, counts: Counts) -> tuple[Cell, Companion]:
    """One cell, and who goes with it."""
    companion = Companion()
    fate = KINDS[kind].expected[PHASES.index(phase)]
    cell = Cell(kind, phase, client, client, fate, companion.script)
    if kind == "100,000 tiny events":
        script, text = tiny_events(WIRES[client], phase, counts.tiny)
        return cell._replace(script=script, expected_text=text), companion
    if (play := KINDS[kind].play) is not None:
        if kind == "BOM" and phase == "during":
            cell = cell._replace(expected_text=TEXT.replace("回声", "\ufeff回声"))
        return cell._replace(script=script_of(play, WIRES[client], phase)), companion
    if kind == "head hangs":
        return cell._replace(script=_silent_head(phase), provider="plain"), companion
    return cell._replace(provider=await origins.make(kind, phase, companion, cell.name)), companion


def _silent_head(phase: Phase) -> Script:
    """Nothing at all comes, or half of the head, or all of it but for its end."""
    said = {"before": b"", "during": HEAD[: len(HEAD) // 2], "after": HEAD + CHUNKED[:-2]}[phase]

    async def script(connection: RawConnection) -> None:
        if said:
            await connection.send(said)
        await connection.stay()

    return script


async def run_beside(server: Gateway, cell: Cell, companion: Companion, origins: Origins) -> Ran:
    """Run a cell while another answer of its upstream is under way, or after that has ended."""
    provider = cell.provider if cell.name in origins.own else "plain"
    asked = CLIENTS["openai-chat"].ask(f"{provider}/with.{cell.name}", False)
    other = await Call.begin(server.port, asked.body, path=asked.path)
    try:
        await until(lambda: SAID[1].encode() in other.body, what=f"the first half beside {cell.name}")
        if cell.place == "after":
            companion.released.set()
            await other.over(MOST_S)
        origins.break_off(cell)
        ran = await run_cell(server, cell, "")
        companion.released.set()
        await other.over(MOST_S)
        companion.check(other)
    finally:
        other.drop()
    return ran


async def _run_group(
    home: Path, cells: Sequence[tuple[Cell, Companion]], origins: Origins, at_once: int, **settings: str
) -> tuple[list[Ran], dict[str, str]]:
    """Some cells at one gateway, which must be as before at the end."""
    companions = {cell.name: companion for cell, companion in cells}
    scripts = {cell.name: cell.script for cell, _ in cells}
    scripts |= {f"with.{cell.name}": companion.script for cell, companion in cells}
    async with raw_upstream(scripts) as upstream:
        places = places_at(upstream.url.removesuffix("/v1"))
        async with gateway(home, **places, **origins.settings, **(TIMEOUTS | settings)) as server:
            files = server.open_files()

            async def run(cell: Cell) -> Ran:
                if cell.provider and cell.place != "before" and cell.kind != "TLS fails":
                    return await run_beside(server, cell, companions[cell.name], origins)
                origins.break_off(cell)
                return await run_cell(server, cell, WIRES[cell.upstream].provider)

            resident = server.resident_bytes()
            done = await run_cells([cell for cell, _ in cells], run, at_once)
            assert server.resident_bytes() - resident < GROWN_MOST_BYTES
            wrong = await check_all(server, done)
            await nothing_left(server, files, lambda: upstream.open_connections + origins.open_connections)
    return done, wrong


@contextlib.asynccontextmanager
async def _origins(tmp_path: Path) -> AsyncIterator[Origins]:
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    async with contextlib.AsyncExitStack() as stack:
        origins = Origins(stack, context)
        origins.settings["THALWEG_CA_FILE"] = str(tmp_path / "ca.pem")
        yield origins


@both_sizes(COUNTS)
async def test_every_kind_in_every_phase(
    tmp_path: Path,
    seeded_random: random.Random,
    figures: Callable[..., None],
    table: Callable[..., None],
    counts: Counts,
) -> None:
    every = [(kind, phase, client) for kind in KINDS for phase in PHASES for client in DIALECTS]
    chosen = sample_of(every, counts.cells, seeded_random)
    done: list[Ran] = []
    wrong: dict[str, str] = {}
    async with _origins(tmp_path) as origins:
        cells = [await cell_of(*each, origins, counts) for each in chosen]
        groups = {
            "endless": [each for each in cells if each[0].kind == ENDLESS],
            "heavy": [each for each in cells if each[0].kind in HEAVY],
            "light": [each for each in cells if each[0].kind not in (ENDLESS, *HEAVY)],
        }
        for name, group in groups.items():
            whole_s, at_once = (WHOLE_S, 16) if name == "endless" else (60.0, 2 if name == "heavy" else 16)
            if not group:
                continue
            settings = {"THALWEG_TIMEOUT_WHOLE_S": str(whole_s)}
            if name == "heavy":
                settings |= dict.fromkeys(TIMEOUTS, "20")
            ran, failed = await _run_group(tmp_path / name, group, origins, at_once, **settings)
            done, wrong = done + ran, wrong | failed
    table("upstream bytes", list(KINDS), PHASES, marks_of(done, wrong))
    assert not wrong, in_words(wrong, len(done))
    took = [ran.took_s * 1000 for ran in done]
    figures(
        "time of a cell",
        f"{len(done)} cells of {len(KINDS)} kinds × {len(PHASES)} phases × 4 client dialects",
        p50=percentile(took, 0.5),
        p99=percentile(took, 0.99),
        worst=max(took),
        note="0 false ends, 0 hangs, one entry each; descriptors back to base",
    )
