"""`thalweg simulate`: the simulator as a provider on a port of its own."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path
from typing import Annotated

import uvloop
from cyclopts import Parameter

from thalweg.cli.bounds import bounded
from thalweg.cli.main import FAILED, WRONG_USAGE
from thalweg.cli.mistakes import describe_choice
from thalweg.cli.serve import told_address
from thalweg.cli.words import explain, say
from thalweg.config import load
from thalweg.server.simulated import Play, manner_names, serve_simulator

_AS = Parameter(help=say("main.choices", said=say("simulate.as"), choices=", ".join(manner_names())))


def simulate(
    *,
    port: Annotated[int, Parameter(metavar="PORT"), explain("simulate.port"), bounded(0, 65_535)] = 9100,
    host: Annotated[str, Parameter(metavar="ADDRESS"), explain("simulate.host")] = "127.0.0.1",
    manner: Annotated[str | None, Parameter(name="--as", metavar="NAME"), _AS] = None,
    scenarios: Annotated[Path | None, Parameter(metavar="FOLDER"), explain("simulate.scenarios")] = None,
) -> int:
    """Run the simulator over HTTP, for tests of anything that speaks to a provider."""
    if manner is not None and manner not in manner_names():
        mistake = describe_choice("--as", manner, manner_names())
        return _ended(WRONG_USAGE, say("main.see", mistake=mistake, command="thalweg simulate --help"))
    try:
        folder = load(host="127.0.0.1", port=0, replay=scenarios).replay_folder
        uvloop.run(_until_signal(host, port, Play(manner=manner, scenarios=folder)))
    except OSError as error:
        return _ended(FAILED, told_address(f"{host}:{port}", error))
    return 0


def _ended(code: int, why: str) -> int:
    print(f"thalweg: {why}", file=sys.stderr)
    return code


async def _until_signal(host: str, port: int, play: Play) -> None:
    server = await serve_simulator(host, port, play=play)
    url = f"http://{host}:{server.port}{play.base_path}"
    said = say("simulate.listens", url=url)
    if play.title:
        said = say("simulate.listens_as", url=url, title=play.title)
    print(said, file=sys.stderr, flush=True)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await stop.wait()
    await server.close()
