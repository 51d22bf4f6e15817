"""`thalweg`: the edge of the process. What it lets in and out, and how it ends; the commands are in `commands`.

Exit codes, of every command: 0 done, 1 failed, 2 wrong usage, 3 wrong setting, 4 unreachable, 130 interrupted.
Standard output is data; what else there is to say goes to standard error, and colour to terminals only.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Callable
from io import TextIOWrapper
from types import FrameType

COMMANDS = (
    "chat", "serve", "models", "usage", "logs", "config", "doctor", "simulate", "record", "recordings", "fault",
    "decode", "transcode", "completion",
)  # fmt: skip
"""In the order in which they are listed. Each is the function of its name in the module of its name."""

FAILED, WRONG_USAGE, WRONG_SETTING, INTERRUPTED = 1, 2, 3, 130


def run() -> None:
    """The entry point."""
    can_be_interrupted = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if can_be_interrupted:
        signal.signal(signal.SIGINT, _leave)
    _open_what_is_closed()
    if isinstance(sys.stdout, TextIOWrapper):
        # A terminal that is not in UTF-8 shows a mark for what it lacks, instead of ending the answer.
        sys.stdout.reconfigure(errors="replace")
    # Not at the top: it takes a while, in which Ctrl-C shall already end it without a traceback.
    from thalweg.cli.commands import run_command

    if can_be_interrupted:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    code = _guarded(run_command)
    if can_be_interrupted:
        signal.signal(signal.SIGINT, _leave)
    sys.exit(code)


def _guarded(command: Callable[[list[str]], int]) -> int:
    """The exit code of a command, whatever becomes of its output."""
    try:
        code = command(sys.argv[1:])
        sys.stdout.flush()
    except KeyboardInterrupt:
        code = INTERRUPTED
    except BrokenPipeError:
        code = FAILED  # whoever read our output has seen enough
    except OSError as error:
        # A full disk behind the output, mostly. What a command can name by itself it has.
        code = FAILED
        with contextlib.suppress(OSError):
            place = f"{error.filename}: " if error.filename else ""
            print(f"thalweg: {place}{error.strerror or error}", file=sys.stderr)
    _drop_what_cannot_be_written()
    return code


def _leave(_number: int, _frame: FrameType | None) -> None:
    """End at once: nothing has begun yet, or everything is over."""
    os._exit(INTERRUPTED)


def _open_what_is_closed() -> None:
    """Put the null device where a standard stream is missing (`2>&-`): the first file to be opened would be in its
    place, and be written to.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            null = os.open(os.devnull, os.O_RDWR)
            if null != number:
                os.dup2(null, number)
                os.close(null)
            setattr(sys, name, os.fdopen(number, "w" if number else "r", encoding="utf-8"))


def _drop_what_cannot_be_written() -> None:
    """What is still buffered for a reader who has gone must not fail again when Python ends."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
