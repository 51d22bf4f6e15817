"""The least that this stack costs: two protocols on uvloop, and bytes from one to the other. `python -m bench.bare`.

It knows no HTTP, no key and no ledger, parses nothing and decides nothing. What a gateway on this stack takes beyond it
is the gateway's own; what it takes beyond nginx no gateway on this stack can save.
"""

import asyncio
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import uvloop

from bench.process import child, free_port, python, wait_listening
from bench.server import Server, Site


class _Side(asyncio.Protocol):
    """One end of a relayed connection."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.other: asyncio.Transport | None = None
        self.waiting: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is none by its class

    def data_received(self, data: bytes) -> None:
        if self.other is None:
            self.waiting.append(data)
        else:
            self.other.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.other is not None:
            self.other.close()


async def _serve(port: int, upstream_port: int) -> None:
    loop = asyncio.get_running_loop()

    async def connect(client: _Side) -> None:
        upstream = _Side()
        upstream.other = client.transport
        await loop.create_connection(lambda: upstream, "127.0.0.1", upstream_port)
        client.other = upstream.transport
        assert client.other is not None
        client.other.writelines(client.waiting)

    tasks: set[asyncio.Task[None]] = set()

    class Client(_Side):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            task = loop.create_task(connect(self))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    server = await loop.create_server(Client, "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


@contextmanager
def serve_bare(site: Site) -> Iterator[Server]:
    """Run it before the upstream."""
    directory = Path(tempfile.mkdtemp(prefix="bare-", dir=site.directory))
    port, log = free_port(), directory / "bare.log"
    start_s = time.monotonic()
    command = python("bench.bare", str(port), str(site.upstream_port))
    with child(command, core=site.cores.measured, log=log) as process:
        wait_listening(process, port, log)
        yield Server(port, (process.pid,), (time.monotonic() - start_s) * 1000)


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1]), int(sys.argv[2])))
