"""A program: the simulator on a free port. Says its port, then its counters for each line that it reads."""

from __future__ import annotations

import asyncio
import json
import sys

import uvloop

from thalweg.server.simulated import SimulatorServer, serve_simulator


def _counters(server: SimulatorServer) -> str:
    return json.dumps(
        {
            "requests_seen": server.requests_seen,
            "bytes_sent": server.bytes_sent,
            "open_connections": server.open_connections,
            "open_answers": server.open_answers,
        }
    )


async def _run() -> None:
    server = await serve_simulator()
    print(server.port, flush=True)
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while await lines.readline():
        print(_counters(server), flush=True)
    await server.close()


if __name__ == "__main__":
    uvloop.run(_run())
