"""`thalweg serve`: run the gateway."""

from __future__ import annotations

import logging
import socket
import sys
from pathlib import Path

import uvloop

from thalweg.config import ConfigError, Settings, load
from thalweg.ledger.entry import LedgerError
from thalweg.server.serve import serve as serve_until_signal


def serve(
    *,
    host: str | None = None,
    port: int | None = None,
    home: Path | None = None,
    simulate: bool | None = None,
) -> int:
    """Run the gateway until a signal.

    Parameters
    ----------
    host
        Address to listen on [default: THALWEG_HOST, 127.0.0.1]. Any other than loopback needs THALWEG_API_KEY.
    port
        Port to listen on [default: THALWEG_PORT, 8080]; 0 takes a free one.
    home
        Where the ledger lives [default: THALWEG_HOME, the XDG data directory].
    simulate
        Answer every model's name from the simulator.
    """
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    try:
        settings = load(host=host, port=port, home=home, simulate=simulate)
    except ConfigError as error:
        print(f"thalweg: {error}", file=sys.stderr)
        return 3
    try:
        uvloop.run(serve_until_signal(settings, listening=lambda listener: _announce(listener, settings)))
    except LedgerError as error:
        print(f"thalweg: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        # An address has no file name, a home that cannot be made or written has.
        what = f"use {error.filename}" if error.filename else f"listen on {settings.host}:{settings.port}"
        print(f"thalweg: cannot {what}: {error.strerror}", file=sys.stderr)
        return 1
    return 0


def _announce(listener: socket.socket, settings: Settings) -> None:
    """Say where to call, and what can be called."""
    host, port = listener.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    have = [name for name, provider in settings.providers.items() if provider.credential]
    missing = [p.row.key_variable for p in settings.providers.values() if not p.credential]
    print(f"Thalweg listens on http://{shown}:{port}", file=sys.stderr)
    print(f"  models: sim/text{''.join(f', {name}/…' for name in have)}", file=sys.stderr)
    if missing:
        print(f"  for more, set {' or '.join(missing)}", file=sys.stderr)
    sys.stderr.flush()
