"""Named cells: one thing that an upstream does, at one place, between two dialects, and what must become of it.

A cell is run once, against the real gateway and a raw upstream. What must become of it is written in tables by hand,
from the dialects' references and from what the gateway promises, and checked for every cell in the same way.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import pytest

from tests.torture.calls import Call, Read
from tests.torture.grid import Mark, Where
from tests.torture.processes import Gateway, until
from tests.torture.readers import CLIENTS, TOKENS
from tests.torture.upstreams import RawConnection, Script
from tests.torture.wires import TEXT, USAGE, Frame
from thalweg.canon.usage import MOST_TOKENS
from thalweg.ledger.entry import Entry, Outcome

DIALECTS = tuple(CLIENTS)
MOST_S = 30.0
"""No cell takes longer, those with a silence included."""
AT_ONCE = 16
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
CHUNKED = b"transfer-encoding: chunked\r\n\r\n"

End = Literal["complete", "error", "status"]
"""A whole answer; an error after the answer has begun; an error with a status of its own before that."""
Counted = Literal["reported", "estimated", "any"]


class Fate(NamedTuple):
    """What must become of a cell."""

    end: End
    kind: str | None = None
    """The class of the fault, in the ledger; by it each dialect has a status."""
    outcome: Outcome = "complete"
    status: int | None = None
    """The upstream's own, where the client may get it."""
    usage: Counted = "reported"
    """How the ledger knows the tokens of a complete answer."""
    retry_after: bytes | None = None
    """When to come again, if the upstream says it."""
    more: str = ""
    """Text that may follow the answer, because in some dialect nothing says that it is over."""


_NO_NAME = re.compile(r"[^\w.-]+")
COMPLETE = Fate("complete")
_STATUSES: dict[str, tuple[int, int, int]] = {
    "not_found": (404, 404, 404),
    "timeout": (504, 504, 504),
    "too_large": (413, 413, 400),
    "rate_limit": (429, 429, 429),
    "upstream_bad": (502, 502, 500),
    "unreachable": (502, 502, 500),
    "upstream_error": (502, 502, 500),
    "upstream_broke": (502, 502, 500),
    "overloaded": (503, 529, 503),
}
"""By the class of a fault: the status that clients of OpenAI's dialects, of Anthropic's and of Gemini's know for it."""


def broken(kind: str, end: End) -> Fate:
    """The upstream fails, in the place that `end` says."""
    return Fate(end, kind, "upstream_error")


class Cell(NamedTuple):
    """One of a table."""

    kind: str
    place: str
    """The phase of a fault, or the upstream's dialect where that is not the client's."""
    upstream: str
    client: str
    fate: Fate
    script: Script
    tools: bool = False
    provider: str = ""
    """By whose name the model is called; the upstream dialect's own where that is empty."""
    expected_text: str = TEXT

    @property
    def name(self) -> str:
        """Also the model's name, so that it is found in the ledger."""
        return _NO_NAME.sub("-", f"{self.kind}.{self.place}.{self.client}")


class Ran(NamedTuple):
    """A cell, and what its client got."""

    cell: Cell
    status: int
    headers: Mapping[bytes, bytes]
    body: bytes
    whole: bool
    took_s: float


@contextlib.asynccontextmanager
async def canary() -> AsyncIterator[tuple[str, list[float]]]:
    """An address that no answer may lead to, and when somebody came there."""
    sung: list[float] = []

    async def sing(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sung.append(time.monotonic())
        writer.close()

    server = await asyncio.start_server(sing, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/canary", sung
    finally:
        server.close()
        await server.wait_closed()


def places_at(host: str) -> dict[str, str]:
    """The gateway's settings that put an upstream of each dialect there. `plain` speaks Chat to clients of all."""
    plain = {"THALWEG_PROVIDER_PLAIN_BASE_URL": f"{host}/v1", "THALWEG_PROVIDER_PLAIN_API_KEY": "sk-plain-canary-4711"}
    return {"openai": f"{host}/v1", "anthropic": host, "google": f"{host}/v1beta", **plain}


async def run_cell(server: Gateway, cell: Cell, provider: str) -> Ran:
    """Ask what the cell's client asks, and hear it out."""
    asked = CLIENTS[cell.client].ask(f"{cell.provider or provider}/{cell.name}", cell.tools)
    call = await Call.begin(server.port, asked.body, path=asked.path)
    try:
        await call.over(MOST_S)
    except TimeoutError:
        pytest.fail(f"hangs: {cell.name}, {call.status}, {bytes(call.body[-300:])!r}")
    finally:
        call.drop()
    took_s = (call.last_at or call.lost_at or 0.0) - call.sent_at
    return Ran(cell, call.status, call.headers, bytes(call.body), call.whole, took_s)


async def run_cells(cells: Sequence[Cell], run: Callable[[Cell], Awaitable[Ran]], at_once: int = AT_ONCE) -> list[Ran]:
    """All of them, some at once."""
    gate = asyncio.Semaphore(at_once)

    async def one(cell: Cell) -> Ran:
        async with gate:
            return await run(cell)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(cell)) for cell in cells]
    return [task.result() for task in tasks]


def check(ran: Ran) -> Read | None:
    """No false end, an honest error in the client's dialect, and never more or else than the answer."""
    cell, fate = ran.cell, ran.cell.fate
    said = f"{cell.name}: {ran.status} {ran.body[-600:]!r}"
    assert ran.whole, said
    assert b"canary-4711" not in ran.body, said
    assert b"location" not in ran.headers and ran.headers.get(b"retry-after") == fate.retry_after, ran.headers
    if fate.end == "status":
        column = {"anthropic": 1, "gemini": 2}.get(cell.client, 0)
        assert fate.kind is not None
        wanted = fate.status if fate.status and column < 2 else _STATUSES[fate.kind][column]
        assert ran.status == wanted, f"not {wanted}: {said}"
        assert CLIENTS[cell.client].error(json.loads(ran.body)), said
        return None
    assert ran.status == 200, said
    got = CLIENTS[cell.client].read(ran.body)
    assert (cell.expected_text + fate.more).startswith(got.text), said
    if fate.end == "error":
        assert got.error and not got.done, said
        return got
    assert got.done and got.error is None and got.finish, said
    assert got.text.startswith("" if cell.tools else cell.expected_text), said
    return got


def check_entry(ran: Ran, entries: Sequence[Entry], got: Read | None) -> None:
    """One entry, with the right outcome, and with counts that can be."""
    cell, fate = ran.cell, ran.cell.fate
    assert len(entries) == 1, (cell.name, entries)
    [entry] = entries
    said = f"{cell.name}: {entry}"
    assert entry.outcome == fate.outcome, f"not {fate.outcome}: {said}"
    assert entry.error_kind == fate.kind, f"not {fate.kind}: {said}"
    for tokens in (entry.usage.input_tokens, entry.usage.output_tokens):
        assert tokens is None or 0 <= tokens <= MOST_TOKENS, said
    if fate.end == "complete" and fate.usage != "any":
        assert entry.usage_source == fate.usage, f"not {fate.usage}: {said}"
    if fate.end == "complete" and fate.usage == "reported":
        assert (entry.usage.input_tokens, entry.usage.output_tokens) == USAGE, said
        assert got is not None and got.usage, said
        assert tuple(got.usage[name] for name in TOKENS[cell.client]) == USAGE, (cell.name, got.usage)
    elif got is not None and got.text:
        assert entry.usage.output_tokens, said


def marks_of(done: Sequence[Ran], wrong: Mapping[str, str]) -> dict[Where, Mark]:
    """How each cell ended, for the page."""
    return {
        Where(ran.cell.kind, ran.cell.client, ran.cell.place): "wrong" if ran.cell.name in wrong else ran.cell.fate.end
        for ran in done
    }


def sample_of(cells: Sequence[Any], count: int | None, rng: random.Random) -> list[Any]:
    """Some of them, in any order; all of them for `None`."""
    return rng.sample(list(cells), len(cells) if count is None else min(count, len(cells)))


async def check_all(server: Gateway, done: Sequence[Ran]) -> dict[str, str]:
    """Every cell by itself; what is wrong with those that do not hold, by their names."""
    await server.settled()
    entries = server.entries_by_model()
    wrong = {}
    for ran in done:
        try:
            check_entry(ran, entries.get(ran.cell.name, []), check(ran))
        except AssertionError as error:
            wrong[ran.cell.name] = str(error).partition("\nassert")[0]
    return wrong


def in_words(wrong: Mapping[str, str], of: int) -> str:
    """All of them."""
    return "\n".join([f"{len(wrong)} of {of} cells do not hold:", *(f"{at}: {wrong[at]}" for at in sorted(wrong))])


async def nothing_left(server: Gateway, files: int, *upstreams: Callable[[], int]) -> None:
    """Descriptors are back to where they were, but for connections that are kept for later."""
    await until(
        lambda: server.open_files() <= files + sum(open_() for open_ in upstreams),
        every_s=0.02,
        what="as few descriptors as before",
    )


async def send_frames(connection: RawConnection, frames: Sequence[Frame]) -> None:
    """Each in a chunk of its own."""
    for frame in frames:
        await connection.send_chunk(frame.encoded)
