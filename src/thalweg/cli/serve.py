"""`thalweg serve`: run the gateway."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import uvloop
from cyclopts import Parameter

from thalweg.cli.announcement import Announcement
from thalweg.cli.layout import Paper
from thalweg.cli.main import FAILED
from thalweg.cli.words import explain, say
from thalweg.config import load
from thalweg.ledger.entry import LedgerError
from thalweg.server.serve import serve as serve_until_signal


def serve(
    *,
    host: Annotated[str | None, Parameter(metavar="ADDRESS"), explain("serve.host")] = None,
    port: Annotated[int | None, Parameter(metavar="PORT"), explain("serve.port")] = None,
    home: Annotated[Path | None, Parameter(metavar="FOLDER"), explain("serve.home")] = None,
    simulate: Annotated[bool | None, explain("serve.simulate")] = None,
    open_page: Annotated[bool, Parameter(name="--open", negative=""), explain("serve.open")] = False,
) -> int:
    """Run the gateway until a signal."""
    settings = load(host=host, port=port, home=home, simulate=simulate)
    announcement = Announcement(settings, Paper(stderr=True), open_page=open_page)
    running = serve_until_signal(
        settings, listening=announcement.listening, found=announcement.found, draining=announcement.draining
    )
    try:
        uvloop.run(running)
    except LedgerError as error:
        return _failed(str(error))
    except OSError as error:
        # An address has no file name, a home that cannot be made or written has.
        if error.filename:
            return _failed(say("serve.cannot_use", file=error.filename, why=error.strerror))
        return _failed(say("serve.cannot_listen", address=f"{settings.host}:{settings.port}", why=error.strerror))
    announcement.ended()
    return 0


def _failed(why: str) -> int:
    print(f"thalweg: {why}", file=sys.stderr)
    return FAILED
