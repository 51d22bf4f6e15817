"""`thalweg completion`: a shell's completion script, printed or put where the shell looks for it."""

from __future__ import annotations

import sys
from typing import Annotated, Literal

from cyclopts import Parameter
from cyclopts.completion import ShellDetectionError, detect_shell

from thalweg.cli.commands import make_app
from thalweg.cli.main import FAILED, WRONG_USAGE
from thalweg.cli.words import explain, say

Shell = Literal["bash", "zsh", "fish"]
_SHELLS = ("bash", "zsh", "fish")
_STARTUP = {"bash": "~/.bashrc", "zsh": "~/.zshrc"}
"""Where a line is added that loads the script, unless it is there; fish needs none."""


def completion(
    shell: Annotated[Shell | None, explain("completion.shell")] = None,
    /,
    *,
    install: Annotated[bool, Parameter(negative=()), explain("completion.install")] = False,
) -> int:
    """Print or install the completion script: `completion.help` among the words says how."""
    if shell is None:
        shell = _own_shell()
    if shell is None:
        print(f"thalweg: {say('completion.which', shells=', '.join(_SHELLS))}", file=sys.stderr)
        return WRONG_USAGE
    if install:
        return _install(shell)
    print(_script(shell), end="")
    return 0


def _own_shell() -> Shell | None:
    """The shell that this was called from."""
    try:
        found = detect_shell()
    except ShellDetectionError:
        return None
    return found if found != "powershell" else None


def _script(shell: Shell) -> str:
    return make_app().generate_completion(prog_name="thalweg", shell=shell)


def _install(shell: Shell) -> int:
    try:
        file = make_app().install_completion(shell=shell)
    except OSError as error:
        print(f"thalweg: {say('completion.cannot', file=error.filename, why=error.strerror)}", file=sys.stderr)
        return FAILED
    print(say("completion.installed", file=file), file=sys.stderr)
    if shell in _STARTUP:
        print(say("completion.startup", file=_STARTUP[shell]), file=sys.stderr)
    return 0
