"""`thalweg serve`: run the gateway."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import uvloop
from cyclopts import Parameter

from thalweg.cli.announcement import Announcement
from thalweg.cli.layout import Paper
from thalweg.cli.main import FAILED
from thalweg.cli.told import told
from thalweg.cli.words import explain, say
from thalweg.config import Settings, load
from thalweg.ledger.entry import LedgerError
from thalweg.server.recording import CannotRecord
from thalweg.server.serve import serve as serve_until_signal


def serve(
    *,
    host: Annotated[str | None, Parameter(metavar="ADDRESS"), explain("serve.host")] = None,
    port: Annotated[int | None, Parameter(metavar="PORT"), explain("serve.port")] = None,
    home: Annotated[Path | None, Parameter(metavar="FOLDER"), explain("serve.home")] = None,
    config: Annotated[Path | None, Parameter(metavar="FILE"), explain("serve.config")] = None,
    simulate: Annotated[bool | None, explain("serve.simulate")] = None,
    record: Annotated[Path | None, Parameter(metavar="FOLDER"), explain("serve.record")] = None,
    record_max_mb: Annotated[float | None, Parameter(metavar="MIB"), explain("serve.record_max_mb")] = None,
    record_simulated: Annotated[bool, Parameter(negative=""), explain("serve.record_simulated")] = False,
    replay: Annotated[Path | None, Parameter(metavar="FOLDER"), explain("serve.replay")] = None,
    open_page: Annotated[bool, Parameter(name="--open", negative=""), explain("serve.open")] = False,
) -> int:
    """Run the gateway until a signal."""
    flags: dict[str, Any] = {
        "host": host,
        "port": port,
        "home": home,
        "simulate": simulate,
        "record": record,
        "record_max_mb": record_max_mb,
        "record_simulated": record_simulated,
        "replay": replay,
    }

    def again(**others: Any) -> Settings:
        return load(config=config, **(flags | others))

    settings = again()
    announcement = Announcement(settings, Paper(stderr=True), open_page=open_page)
    running = serve_until_signal(
        settings,
        listening=announcement.listening,
        found=announcement.found,
        draining=announcement.draining,
        again=again,
    )
    try:
        uvloop.run(running)
    except LedgerError as error:
        return _failed(told(error))
    except CannotRecord as error:
        return _failed(say("serve.cannot_record", folder=error.filename, why=error.strerror))
    except OSError as error:
        # An address has no file name, a home that cannot be made or written has.
        if error.filename:
            return _failed(say("serve.cannot_use", file=error.filename, why=error.strerror))
        return _failed(told_address(f"{settings.host}:{settings.port}", error))
    announcement.ended()
    return 0


def told_address(address: str, error: OSError) -> str:
    """Why an address cannot be listened on."""
    if error.errno == errno.EADDRINUSE:
        return say("serve.port_taken", address=address)
    # A name that is not found has a number that is none of the system's errors, and the loops add words of their own.
    why = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
    return say("serve.cannot_listen", address=address, why=why)


def _failed(why: str) -> int:
    print(f"thalweg: {why}", file=sys.stderr)
    return FAILED
