"""`thalweg`: finds the command and runs it. Exit codes: 0 done, 1 failed, 2 wrong usage, 3 wrong setting."""

from __future__ import annotations

import sys

import cyclopts

from thalweg import __version__

app = cyclopts.App(
    name="thalweg",
    version=__version__,
    help="A streaming gateway for large language models.\n\n"
    "Examples: thalweg serve  ·  thalweg usage  ·  thalweg simulate --port 9000",
)
app.command("thalweg.cli.serve:serve", name="serve")
app.command("thalweg.cli.simulate:simulate", name="simulate")
app.command("thalweg.cli.usage:usage", name="usage")


def run() -> None:
    """The entry point."""
    try:
        code = app(sys.argv[1:])
    except KeyboardInterrupt:
        code = 130
    sys.exit(code if isinstance(code, int) else 0)
