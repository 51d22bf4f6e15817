"""The commands with their help. A command's module is loaded only when it is the one that is wanted."""

from __future__ import annotations

import sys

import cyclopts

from thalweg import __version__
from thalweg.cli.help import PageFormatter
from thalweg.cli.main import COMMANDS, WRONG_SETTING, WRONG_USAGE
from thalweg.cli.mistakes import describe_mistake
from thalweg.cli.told import told
from thalweg.cli.words import say
from thalweg.config import ConfigError

_CALLS = {
    "chat": "thalweg chat [OPTIONS] [MODEL] [PROMPT...]",
    "models": "thalweg models [OPTIONS] [SEARCH]",
    "logs": "thalweg logs [OPTIONS] [REQUEST]",
    "config": "thalweg config check|show|schema [OPTIONS] [FILE]",
    "record": "thalweg record [OPTIONS] [MODEL] [PROMPT...]",
    "recordings": "thalweg recordings [OPTIONS] [FOLDER]",
    "fault": "thalweg fault run|list [OPTIONS]",
    "decode": "thalweg decode --dialect DIALECT FILE...",
    "transcode": "thalweg transcode --from DIALECT --to DIALECT [OPTIONS] FILE",
    "completion": "thalweg completion [--install] [bash|zsh|fish]",
}
"""How a command is called, where its parameters do not say it."""


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


def run_command(arguments: list[str]) -> int:
    """Run the command that is called, and return its exit code."""
    try:
        code = app(arguments)
    except cyclopts.CycloptsError as mistake:
        print(f"thalweg: {describe_mistake(mistake, COMMANDS)}", file=sys.stderr)
        return WRONG_USAGE
    except ConfigError as error:
        print(f"thalweg: {told(error)}", file=sys.stderr)
        return WRONG_SETTING
    return code if isinstance(code, int) else 0
