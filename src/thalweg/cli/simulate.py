"""`thalweg simulate`: the simulator as a provider on a port of its own."""

from __future__ import annotations

import asyncio
import signal
import sys

import uvloop

from thalweg.server.simulated import serve_simulator


def simulate(*, port: int = 9100, host: str = "127.0.0.1") -> int:
    """Run the simulator over HTTP, for tests of anything that speaks to a provider.

    Parameters
    ----------
    port
        Port to listen on; 0 takes a free one.
    host
        Address to listen on.
    """
    try:
        uvloop.run(_until_signal(host, port))
    except OSError as error:
        print(f"thalweg: cannot listen on {host}:{port}: {error.strerror}", file=sys.stderr)
        return 1
    return 0


async def _until_signal(host: str, port: int) -> None:
    server = await serve_simulator(host, port)
    print(f"The simulator listens on http://{host}:{server.port}/v1", file=sys.stderr, flush=True)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await stop.wait()
    await server.close()
