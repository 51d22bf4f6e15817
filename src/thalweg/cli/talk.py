"""Asks a model and tells what came of it: the way of one message, for a single answer and for a conversation."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import sys
import termios
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Self, TextIO

import msgspec

from thalweg.canon.parts import Part, Reasoning, Refusal, Text, ToolCall
from thalweg.canon.response import Response
from thalweg.cli.asking import Asking, Failure, Listed, Outcome, Show, list_models
from thalweg.cli.connection import Connection
from thalweg.cli.paragraph import wrap
from thalweg.cli.region import Size
from thalweg.cli.session import Session
from thalweg.cli.show import PlainShow, SilentShow, TerminalShow, Waiting
from thalweg.cli.visible import visible
from thalweg.cli.words import say

DONE, FAILED, UNREACHABLE, INTERRUPTED = 0, 1, 4, 130


class Manner(msgspec.Struct, frozen=True, kw_only=True):
    """How answers are shown."""

    plain: bool = False
    json: bool = False
    verbose: bool = False

    @property
    def converses(self) -> bool:
        """Whether there is a person to have a conversation with."""
        return sys.stdin.isatty() and sys.stdout.isatty() and not self.json

    def show(self) -> Show:
        """Somebody who shows one answer."""
        waiting = Waiting(sys.stderr, on=sys.stderr.isatty() and not is_dumb())
        if self.json:
            return SilentShow(waiting)
        if sys.stdout.isatty() and not is_dumb():
            return TerminalShow(waiting, sys.stdout, terminal_size, markdown=not self.plain)
        return PlainShow(waiting, sys.stdout, closes_line=sys.stdout.isatty())


@functools.cache
def is_dumb() -> bool:
    """Whether the terminal, if there is one, takes text only."""
    if not (sys.stdout.isatty() or sys.stderr.isatty()):
        return True
    from rich.console import Console  # slow to load, and without a terminal not wanted

    return Console().is_dumb_terminal


def terminal_size(stream: TextIO | None = None) -> Size:
    """Of the terminal that answers are shown on, or of another stream's."""
    try:
        columns, rows = os.get_terminal_size((stream or sys.stdout).fileno())
    except OSError:
        columns, rows = 80, 24
    return Size(columns or 80, rows or 24)


class Talk:
    """Asks by one connection, one message after the other. To be closed."""

    def __init__(self, connection: Connection, manner: Manner) -> None:
        self._connection = connection
        self._runner = asyncio.Runner()
        self.manner = manner

    def models(self) -> list[Listed]:
        """The models that can be called. Raises as `Connection.open`."""
        return self._runner.run(list_models(self._connection.open()))

    def ask(self, session: Session) -> Outcome:
        """Ask what the session has come to, and show the answer. Raises as `Connection.open`."""
        gateway = self._connection.open()
        with _keys_unseen():
            outcome = self._runner.run(Asking(gateway, self.manner.show()).ask(session.request()))
        session.answered(text_of(outcome.response) or calls_of(outcome.response))
        return outcome

    def rest(self) -> None:
        """Until the next message the home may be another's."""
        self._connection.release()

    def tell(self, outcome: Outcome, session: Session) -> int:
        """What there is to say of an answer that is over, and the exit code it comes to."""
        if self.manner.json:
            print(msgspec.json.encode(summary(outcome, session.model)).decode())
        if outcome.stopped is not None:
            complain(_told_stop(outcome))
        elif outcome.failure is not None:
            complain(_told_failure(outcome.failure, outcome))
        elif key := _CUT.get(_finish(outcome)):
            complain(say(key))
        if self.manner.verbose:
            remark(_figures(outcome))
        if outcome.stopped is not None:
            return INTERRUPTED
        if outcome.failure is None:
            return DONE
        return UNREACHABLE if outcome.failure.kind == "unreachable" else FAILED

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._runner.close()


@contextlib.contextmanager
def _keys_unseen() -> Iterator[None]:
    """While an answer is on its way to a terminal, what is typed shall not stand in its midst."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        yield
        return
    before = termios.tcgetattr(sys.stdin)
    silent = termios.tcgetattr(sys.stdin)
    silent[3] &= ~termios.ECHO
    termios.tcsetattr(sys.stdin, termios.TCSADRAIN, silent)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


def complain(message: str) -> None:
    """Say on standard error what went wrong."""
    remark(f"thalweg: {visible(message)}")


def remark(text: str) -> None:
    """Write lines to standard error; on a terminal they are broken at its width, below their own beginnings."""
    for line in text.split("\n"):
        indent = " " * (len(line) - len(line.lstrip(" ")))
        if sys.stderr.isatty():
            for part in wrap(line.strip(), terminal_size(sys.stderr).columns - len(indent)):
                print(indent + part, file=sys.stderr)
        else:
            print(line, file=sys.stderr)


def text_of(response: Response) -> str:
    """What the model says, refusals included."""
    return "".join(part.text for part in _parts(response) if isinstance(part, Text | Refusal))


def calls_of(response: Response) -> str:
    """What stands for an answer of tool calls alone in the conversation: nobody here runs them."""
    calls = [part for part in _parts(response) if isinstance(part, ToolCall)]
    return "\n".join(f"[{call.name}({call.arguments})]" for call in calls)


def _parts(response: Response) -> tuple[Part, ...]:
    return response.choices[0].parts if response.choices else ()


def summary(outcome: Outcome, model: str) -> dict[str, Any]:
    """An answer as one JSON object."""
    response = outcome.response
    choice = response.choices[0] if response.choices else None
    failure = outcome.failure
    return {
        "text": text_of(response),
        "reasoning": "".join(part.text for part in _parts(response) if isinstance(part, Reasoning)) or None,
        "tool_calls": [_call(part) for part in _parts(response) if isinstance(part, ToolCall)],
        "finish_reason": choice.finish_reason if choice else None,
        "usage": response.usage,
        "usage_source": _source(outcome),
        "ttft_ms": _rounded(outcome.ttft_ms),
        "tokens_per_s": _rounded(outcome.tokens_per_s),
        "stream_id": outcome.stream_id,
        "request_id": outcome.request_id,
        "model": model,
        "stopped": outcome.stopped,
        "error": failure and {"message": failure.message, "code": failure.code, "status": failure.status},
    }


def _call(call: ToolCall) -> dict[str, Any]:
    arguments: Any = call.arguments
    with contextlib.suppress(msgspec.DecodeError, RecursionError):  # what is no JSON stays the text that it is
        arguments = msgspec.json.decode(call.arguments)
    return {"id": call.id, "name": call.name, "arguments": arguments}


def _source(outcome: Outcome) -> str:
    if outcome.response.usage is not None:
        return "reported"
    return (outcome.stopped and outcome.stopped.source) or "unknown"


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)


def _told_stop(outcome: Outcome) -> str:
    stopped = outcome.stopped
    if outcome.stream_id is None and outcome.ttft_ms is None:
        return say("chat.stopped_early")
    if stopped is None or stopped.upstream_closed_ms is None:
        return say("chat.stopped_unheard")
    tokens = "?" if stopped.tokens is None else stopped.tokens
    return say("chat.stopped", ms=f"{stopped.upstream_closed_ms:.1f}", tokens=tokens, source=stopped.source)


_CUT = {
    "length": "chat.cut_length",
    "context_overflow": "chat.cut_context_overflow",
    "content_filter": "chat.cut_content_filter",
}
"""What to say of an answer that ended for such a reason: it may look whole."""


def _told_failure(failure: Failure, outcome: Outcome) -> str:
    said = say(f"chat.{failure.kind}", message=failure.message)
    lines = [said, *_advice(failure, is_stream=outcome.stream_id is not None)]
    if outcome.request_id is not None:
        lines.append(say("chat.request", id=outcome.request_id))
    return "\n".join([lines[0], *(f"  {line}" for line in lines[1:])])


_ADVICE = {
    401: "chat.advice_key",
    403: "chat.advice_key",
    404: "chat.advice_model",
    413: "chat.advice_large",
    429: "chat.advice_wait",
    502: "chat.advice_provider",
    503: "chat.advice_later",
    504: "chat.advice_later",
}
"""What to do, by the answer's status. What is not here tells that in its own message."""


def _advice(failure: Failure, *, is_stream: bool) -> list[str]:
    if failure.kind == "broke":
        return [say("chat.advice_again")]
    key = _ADVICE.get(failure.status or 0)
    if failure.status == 404 and not is_stream:  # it is the path that is not there
        key = "chat.advice_url"
    return [say(key)] if key else []


def _usage_figures(outcome: Outcome) -> dict[str, Any]:
    usage = outcome.response.usage
    counts = {
        "input": usage.input_tokens if usage else None,
        "output": usage.output_tokens if usage else outcome.stopped and outcome.stopped.tokens,
    }
    shown = {name: "?" if count is None else f"{count:,}" for name, count in counts.items()}
    return shown | {"source": _source(outcome)}


def _finish(outcome: Outcome) -> str:
    if outcome.stopped is not None:
        return "cancelled"
    choices = outcome.response.choices
    return str(choices[0].finish_reason or "?") if choices else "?"


_FIGURES: tuple[tuple[str, Callable[[Outcome], dict[str, Any] | None]], ...] = (
    ("chat.figure_ttft", lambda o: None if o.ttft_ms is None else {"ms": f"{o.ttft_ms:,.0f}"}),
    ("chat.figure_rate", lambda o: None if o.tokens_per_s is None else {"rate": f"{o.tokens_per_s:,.1f}"}),
    ("chat.figure_usage", _usage_figures),
    ("chat.figure_finish", lambda o: {"reason": _finish(o)}),
    ("chat.figure_stream", lambda o: None if o.stream_id is None else {"id": o.stream_id}),
)


def _figures(outcome: Outcome) -> str:
    told = [(key, values(outcome)) for key, values in _FIGURES]
    return " · ".join(say(key, **values) for key, values in told if values is not None)
