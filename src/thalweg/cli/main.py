"""`thalweg`: finds the command and runs it. Exit codes: 0 done, 1 failed, 2 wrong usage, 3 wrong setting."""

from __future__ import annotations

import sys

import cyclopts

from thalweg import __version__

app = cyclopts.App(
    name="thalweg",
    version=__version__,
    help="A streaming gateway for large language models.\n\n"
    "Try:\n    thalweg serve\n    thalweg usage --by model\n    thalweg simulate --port 9000",
    # The only format that keeps examples on lines of their own.
    help_format="plaintext",
)
# Said here and not where the command is, so that a list of commands does not load them all.
_HELP = {
    "serve": """Run the gateway until a signal.

Try:
    thalweg serve
    OPENAI_API_KEY=sk-… thalweg serve --port 9000
    thalweg serve --simulate""",
    "simulate": """Run the simulator over HTTP, for tests of anything that speaks to a provider.

Try:
    thalweg simulate --port 9000
    OPENAI_BASE_URL=http://127.0.0.1:9000/v1 OPENAI_API_KEY=any thalweg serve""",
    "usage": """Show requests and tokens from the ledger. Works while the server runs.

Try:
    thalweg usage
    thalweg usage --by model --days 7
    thalweg usage --json | jq .totals""",
    "decode": """Print the folded answer of each recorded stream or whole answer, one JSON object a line.

Try:
    thalweg decode --dialect openai-chat answer.sse
    curl -sN … | thalweg decode --dialect openai-chat -""",
}
for _name, _text in _HELP.items():
    app.command(f"thalweg.cli.{_name}:{_name}", name=_name, help=_text)


def run() -> None:
    """The entry point."""
    try:
        code = app(sys.argv[1:])
    except KeyboardInterrupt:
        code = 130
    sys.exit(code if isinstance(code, int) else 0)
