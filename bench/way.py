"""The gateway's own way of a chunk: from the connection's read to the bytes for the client. `python -m bench.way`.

No socket, no kernel, no other process: what is left is what our Python does for each chunk, in microseconds, for every
pair of dialects. *Warm* is with nothing in between; *cold* after so much other memory was read behind every ten chunks,
as whatever else runs on the machine does between two bursts. Under `valgrind --tool=callgrind` it counts instructions:
of two runs of different `--rounds`, the difference divided by that of the chunks.
"""

import argparse
import asyncio
import itertools
import json
import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import cast

from bench.grammars import Anthropic, Gemini, Grammar, Responses
from bench.upstream import Frames, Script
from thalweg.canon.losses import Losses
from thalweg.dialects.base import UpstreamSide
from thalweg.dialects.registry import DIALECTS
from thalweg.profiles.providers import PROVIDERS
from thalweg.relay.exchange import Exchange
from thalweg.relay.fastpath import Line
from thalweg.relay.plan import Headers, Plan
from thalweg.relay.pump import Pump
from thalweg.relay.turns import TurnKeeper, TurnStore
from thalweg.upstream.base import FastPath, Listener, Origin, ResponseHead, UpstreamRequest
from thalweg.upstream.connection import Connection, ConnectionUser, ReceiveBuffer
from thalweg.upstream.http1 import AnswerReader
from thalweg.upstream.route import Route

_MODEL = Script(50, 1000).model
_ASKED = {"model": _MODEL, "stream": True}
_TURN = [{"role": "user", "content": "What is a thalweg?"}]
_CLIENTS: dict[str, tuple[dict[str, object], bytes]] = {
    "openai-chat": (_ASKED | {"messages": _TURN}, b""),
    "openai-responses": (_ASKED | {"input": "What is a thalweg?"}, b""),
    "anthropic": (_ASKED | {"messages": _TURN, "max_tokens": 4096}, b""),
    "gemini": (
        {"contents": [{"role": "user", "parts": [{"text": "What is a thalweg?"}]}]},
        b"/v1beta/models/m:streamGenerateContent?alt=sse",
    ),
}
"""The body, and the target where it says half of it."""
_UPSTREAMS: dict[str, tuple[str, Callable[[str], Frames | Grammar]]] = {
    "openai-chat": ("openai", Frames),
    "openai-responses": ("openai-responses", Responses),
    "anthropic": ("anthropic", Anthropic),
    "gemini": ("google", Gemini),
}
"""The provider, and what its stream looks like."""
_BURST = 10


_ORIGIN = Origin("http", "127.0.0.1", 80)
_BUFFER = ReceiveBuffer()


class _Transport(asyncio.Transport):
    """Of both connections: takes everything at once."""

    def write(self, data: object) -> None:
        """Take a piece."""

    def writelines(self, list_of_data: object) -> None:
        """Take some."""

    def abort(self) -> None:
        """Do nothing."""


class _Client:
    """Who gets the answer."""

    def __init__(self) -> None:
        self.line = Line(_Transport(), lambda told: False)

    async def send_head(self, status: int, headers: Headers) -> None:
        """Take the head."""

    def write_now(self, data: bytes) -> bool:
        """Take some of the body."""
        return True

    async def send_body(self, data: bytes, *, more: bool) -> None:
        """Take some of the body."""


class _Upstream:
    """A connector, and its one call; what it answers comes by `connection`."""

    closed_at = lost_at = 0.0

    def start(self, request: UpstreamRequest, listener: Listener) -> "_Upstream":
        """Begin the call."""
        self._listener, self.body_received = listener, listener.body_received
        self.connection = Connection(Route(_ORIGIN, None), _BUFFER)
        self.connection.connection_made(_Transport())
        reader = AnswerReader(self, peer="bench", provider="bench")
        self.connection.send((b"", request.body), reader, cast("ConnectionUser", self))  # which hears of no end
        return self

    @property
    def fast_path(self) -> FastPath | None:
        """The listener's."""
        return self._listener.fast_path

    def head_received(self, head: ResponseHead) -> None:
        """Pass the head on."""
        self._listener.head_received(head)

    def when_lost(self, told: Callable[[], None]) -> None:
        """It is."""
        told()

    def abort(self) -> None:
        """Do nothing, as all of these."""

    release = pause_reading = resume_reading = fast_path_opened = abort

    async def close(self) -> None:
        """Do nothing."""


def _pump(client: str, upstream: str, store: TurnStore, connector: _Upstream) -> Pump:
    front, behind = DIALECTS[client], DIALECTS[upstream]
    body, target = _CLIENTS[client]
    asked = front.read_request(json.dumps(body).encode(), target)
    row = next(row for row in PROVIDERS if row.name == _UPSTREAMS[upstream][0])
    profile = row.profile_of(_MODEL)
    sent = request = keeper = None
    if front is not behind:
        request = asked.canon()
        sent = behind.encode_request(request, model=_MODEL, profile=profile, stream=True, losses=Losses("default"))
        keeper = TurnKeeper(store, b"bench", time.monotonic)
    plan = Plan(
        stream_id="bench",
        asked=asked,
        dialect=front,
        upstream=UpstreamSide(behind, profile, provider=row.name, key_name="KEY"),
        upstream_streams=True,
        sent=sent,
        request=request,
        listener=keeper,
    )
    nothing = UpstreamRequest(origin=_ORIGIN, method=b"POST", target=b"/", headers=(), body=b"")
    return Pump(Exchange(plan, now=time.monotonic()), connector=connector, request=nothing, client=_Client())


def _burst(connections: Sequence[Connection], size: int) -> None:
    for connection in connections:
        connection.buffer_updated(size)


def _read(connections: Sequence[Connection], read: bytes) -> None:
    _BUFFER.memory[: len(read)] = read
    _burst(connections, len(read))


def _time(connections: Sequence[Connection], size: int, rounds: int, other: bytearray) -> float:
    """Return microseconds for a chunk."""
    took = 0.0
    for _ in range(rounds):
        for at in range(0, len(connections), _BURST):
            other.count(b"\1")  # which reads it all
            burst = connections[at : at + _BURST]
            began = time.perf_counter()
            _burst(burst, size)
            took += time.perf_counter() - began
    return took / rounds / len(connections) * 1e6


async def measure(client: str, upstream: str, options: argparse.Namespace) -> list[float]:
    """Return the warm figure and the cold one."""
    frames, store = _UPSTREAMS[upstream][1](_MODEL), TurnStore()
    running, connections = [], []
    for _ in range(options.streams):
        connector = _Upstream()
        running.append(asyncio.create_task(_pump(client, upstream, store, connector).run()))
        await asyncio.sleep(0)
        connections.append(connector.connection)
    for begun in (frames.opening, *map(frames.content, range(4))):
        _read(connections, begun)
        for _ in range(3):
            await asyncio.sleep(0)  # until each pump waits
    read, sizes = len(frames.content(3)), (0, round(options.other * 1e6))
    runs = [[_time(connections, read, options.rounds, bytearray(size)) for size in sizes] for _ in range(options.runs)]
    for task in running:
        task.cancel()
    await asyncio.wait(running)
    return [median(run[at] for run in runs) for at in range(len(sizes))]


def main() -> None:
    """Measure every pair, or one."""
    parser = argparse.ArgumentParser(prog="python -m bench.way", description="What our Python does for each chunk.")
    parser.add_argument("pairs", nargs="*", metavar="CLIENT,UPSTREAM", help=f"of {', '.join(_CLIENTS)}; else all pairs")
    parser.add_argument("--streams", type=int, default=200, help="in turn (200)")
    parser.add_argument("--rounds", type=int, default=20, help="chunks of each in a run (20)")
    parser.add_argument("--runs", type=int, default=5, help="the median is shown (5)")
    parser.add_argument("--other", type=float, default=2.0, metavar="MB", help="memory read between two bursts (2)")
    options = parser.parse_args()
    pairs = [tuple(pair.split(",")) for pair in options.pairs] or list(itertools.product(_CLIENTS, _UPSTREAMS))
    print(f"{'client':18}{'upstream':18}{'warm':>8}{'cold':>8}  (µs a chunk)")
    for client, upstream in pairs:
        warm, cold = asyncio.run(measure(client, upstream, options))
        print(f"{client:18}{upstream:18}{warm:8.2f}{cold:8.2f}", flush=True)


if __name__ == "__main__":
    main()
