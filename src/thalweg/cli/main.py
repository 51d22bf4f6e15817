"""`thalweg`: finds the command and runs it. A command's module is loaded only when it is the one that is wanted.

Exit codes, of every command: 0 done, 1 failed, 2 wrong usage, 3 wrong setting, 4 unreachable, 130 interrupted.
Standard output is data; what else there is to say goes to standard error, and colour to terminals only.
"""

from __future__ import annotations

import contextlib
import os
import sys
from io import TextIOWrapper

import cyclopts

from thalweg import __version__
from thalweg.cli.help import PageFormatter
from thalweg.cli.mistakes import describe_mistake
from thalweg.cli.words import say
from thalweg.config import ConfigError

COMMANDS = ("chat", "serve", "models", "usage", "logs", "doctor", "simulate", "decode", "completion")
"""In the order in which they are listed. Each is the function of its name in the module of its name."""

_CALLS = {
    "chat": "thalweg chat [OPTIONS] [MODEL] [PROMPT...]",
    "models": "thalweg models [OPTIONS] [SEARCH]",
    "logs": "thalweg logs [OPTIONS] [REQUEST]",
    "decode": "thalweg decode --dialect DIALECT FILE...",
    "completion": "thalweg completion [--install] [bash|zsh|fish]",
}
"""How a command is called, where its parameters do not say it."""

FAILED, WRONG_USAGE, WRONG_SETTING, INTERRUPTED = 1, 2, 3, 130


def make_app() -> cyclopts.App:
    """The commands with their names and help, none of them loaded."""
    made = cyclopts.App(
        name="thalweg",
        version=__version__,
        help=say("main.help"),
        help_format="plaintext",
        help_formatter=PageFormatter(),
        group_commands=cyclopts.Group.create_default_commands(say("main.commands")),
        group_arguments=cyclopts.Group.create_default_arguments(say("main.arguments")),
        group_parameters=cyclopts.Group.create_default_parameters(say("main.options")),
        # A wrong call is told by us, in the reader's language, and not by a box.
        exit_on_error=False,
        print_error=False,
        result_action="return_value",
    )
    for flag, key in (("--help", "main.show_help"), ("--version", "main.show_version")):
        made[flag].help = say(key)
    for position, name in enumerate(COMMANDS):
        made.command(
            f"thalweg.cli.{name}:{name}",
            name=name,
            help=say(f"{name}.help"),
            usage=_CALLS.get(name),
            sort_key=position,
        )
    return made


app = make_app()


def run() -> None:
    """The entry point."""
    if isinstance(sys.stdout, TextIOWrapper):
        # A terminal that is not in UTF-8 shows a mark for what it lacks, instead of ending the answer.
        sys.stdout.reconfigure(errors="replace")
    try:
        code = _run(sys.argv[1:])
        sys.stdout.flush()
    except KeyboardInterrupt:
        code = INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has seen enough; what is buffered must not fail again when Python ends.
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = FAILED
    sys.exit(code)


def _run(arguments: list[str]) -> int:
    try:
        code = app(arguments)
    except cyclopts.CycloptsError as mistake:
        print(f"thalweg: {describe_mistake(mistake, COMMANDS)}", file=sys.stderr)
        return WRONG_USAGE
    except ConfigError as error:
        print(f"thalweg: {error}", file=sys.stderr)
        return WRONG_SETTING
    return code if isinstance(code, int) else 0
