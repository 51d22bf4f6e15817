"""The log: one line a request, at its end, and what else is to be said; one way out for all of it.

structlog's processors make each line: a stamp, the scrubbing of every text, and one of two forms, JSON for machines or
a short one for a terminal. What the server's libraries log, and our own warnings, come to the same processors through
the standard library's `logging`. A line never holds a key, a prompt, an answer, a query, or the text of an exception.

Writing is a thread's work, because whoever reads the other end of a pipe may not: a line that finds the queue full is
dropped and counted, and the gateway goes on.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import select
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, MutableMapping
from functools import lru_cache
from operator import attrgetter
from queue import SimpleQueue
from typing import Any

import msgspec
import structlog
from rich.console import Console

from thalweg.canon.scrub import HIDDEN, blame, one_line
from thalweg.config import Settings

FIELDS: dict[str, str] = {
    "time": "When the line was made: UTC, with milliseconds.",
    "level": "`info`; `warning` and `error` are for lines that are not about one request.",
    "event": "`request`.",
    "request_id": "`x-request-id`: the client's own, or the gateway's.",
    "stream_id": "`x-thalweg-stream`; the ledger's `request_id`.",
    "client_request_id": "The client's `X-Client-Request-Id`.",
    "trace_id": "Of the `traceparent` that came in, or of the trace that was begun for an invalid one.",
    "key_id": "The name of the client's key, never the key.",
    "method": "HTTP method.",
    "path": "Path without its query, up to the first part that does not look like one.",
    "status": "HTTP status that the client was told; `null` when it left before.",
    "dialect": "The client's dialect.",
    "provider": "Who was asked; `sim` is the simulator.",
    "model": "As the client named it, without knobs.",
    "upstream_model": "As the provider was asked for it.",
    "stream": "Whether the client asked for a stream.",
    "simulated": "Whether the answer is the simulator's.",
    "attempts": "How many attempts were made; what stands here tells of the last one.",
    "continued": "How many of them went on with a text that had broken off.",
    "outcome": "`complete`, `cancelled`, `upstream_error`, `refused` (by the upstream), `gateway_error`, or `rejected` "
    "(by the gateway, before any upstream).",
    "finish_reason": "The provider's word for why the answer ended.",
    "error_kind": "The kind of error, the same word as in the ledger.",
    "upstream_status": "HTTP status of the upstream.",
    "input_tokens": "Tokens read.",
    "output_tokens": "Tokens made.",
    "usage_source": "How the tokens are known: `reported`, `counted`, `estimated`, `unknown`.",
    "ttft_ms": "From the request fully read to the first content handed to the client's socket.",
    "upstream_ttft_ms": "From the request sent upstream to the first content read from there.",
    "duration_ms": "From the request fully read to the end; of one that was rejected, from its header.",
    "upstream_closed_ms": "Of a cancelled answer: until the upstream's connection was seen closed.",
    "deltas": "Pieces of content.",
    "longest_gap_ms": "The longest wait between two reads from the upstream.",
    "repairs": "How many frames each repair row changed.",
}
"""The fields of a request's line, in their order. What is not known, or was never reached, is `null`."""


class Line(msgspec.Struct, kw_only=True):
    """What is said of one request. What each field means is told in `FIELDS`."""

    time: str = ""
    level: str = "info"
    event: str = "request"
    request_id: str | None = None
    stream_id: str | None = None
    client_request_id: str | None = None
    trace_id: str | None = None
    key_id: str | None = None
    method: str | None = None
    path: str
    status: int | None
    dialect: str | None = None
    provider: str | None = None
    model: str | None = None
    upstream_model: str | None = None
    stream: bool | None = None
    simulated: bool | None = None
    attempts: int | None = None
    continued: int | None = None
    outcome: str
    finish_reason: str | None = None
    error_kind: str | None = None
    upstream_status: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    usage_source: str | None = None
    ttft_ms: float | None = None
    upstream_ttft_ms: float | None = None
    duration_ms: float | None = None
    upstream_closed_ms: float | None = None
    deltas: int | None = None
    longest_gap_ms: float | None = None
    repairs: dict[str, int] | None = None


OTHER_FIELDS: dict[str, str] = {
    "time": "As above.",
    "level": "`info`, `warning` or `error`.",
    "event": "What happened, in words. Of an unexpected exception the type and the places of the gateway's own code "
    "that it went through, never its text.",
    "logger": "Who says it: a part of the gateway, or a library.",
    "stream_id": "Of the request that it is about, if any.",
    "error": "Of a library's line: type and places of the exception.",
}
"""The fields of all other lines."""

MOST_LINES = 4096
"""Lines that may wait to be written, of usually 700 bytes and at most some 8 KiB."""
GATHER_S = 0.05
"""How long lines gather before they are written: waking the thread costs more than making a line."""
CLOSE_S = 1.0
"""How long the last lines are waited for."""

_OURS = frozenset(
    {"time", "level", "event", "stream_id", "trace_id", "dialect", "outcome", "error_kind", "usage_source"}
)
"""Fields of a request's line whose values are the gateway's own words or digits. All other texts are scrubbed."""
_IDS = frozenset({"request_id", "client_request_id"})
"""Those that each request may have of its own. The others are the same again and again, and bounded in length."""
_NAMES = tuple(
    field.name
    for field in msgspec.structs.fields(Line)
    if field.type in (str, str | None) and field.name not in _OURS | _IDS
)
_names_of = attrgetter(*_NAMES)
_SHORT = 256
_STATUS_COLOURS = {2: "\x1b[32m", 4: "\x1b[33m", 5: "\x1b[31m"}
_OWN = frozenset({"time", "level", "stream_id"})
"""The same for other lines."""

Fields = MutableMapping[str, Any]
Write = Callable[[bytes], None]


class LineWriter:
    """Writes lines to a descriptor from a thread of its own, which is there from the first line on."""

    def __init__(self, descriptor: int) -> None:
        self.dropped = 0
        """Lines that were thrown away, because too many were waiting or nobody is at the other end."""
        self._descriptor = descriptor
        self._lines: deque[bytes] = deque()
        self._asleep = True
        self._wake: SimpleQueue[None] = SimpleQueue()
        """Filled to wake the thread; an event would do in Python what this does in C."""
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    def write(self, line: bytes) -> None:
        """Take a line to be written soon. Never waits; may be called from any thread."""
        if len(self._lines) >= MOST_LINES or self._closing.is_set():
            self.dropped += 1
            return
        self._lines.append(line)
        if self._asleep:
            self._asleep = False
            if self._thread is None:
                self._start()
            self._wake.put(None)

    def close(self) -> None:
        """Write what is left, for `CLOSE_S` at most. What comes later is dropped."""
        self._closing.set()
        self._wake.put(None)
        if self._thread is not None:
            self._thread.join(CLOSE_S)
            self._thread = None

    def _start(self) -> None:
        # A daemon: a reader who does not read must not keep the process from ending.
        self._thread = threading.Thread(target=self._run, name="thalweg-log", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._closing.is_set():
            self._wake.get()
            self._closing.wait(GATHER_S)
            self._asleep = True
            self._write_all()
        self._write_all()

    def _write_all(self) -> None:
        while self._lines:
            lines = [self._lines.popleft() for _ in range(min(len(self._lines), _SHORT))]
            try:
                self._put(b"".join(lines))
            except OSError:
                self.dropped += len(lines)  # closed by whoever read it

    def _put(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            try:
                view = view[os.write(self._descriptor, view) :]
            except BlockingIOError:
                # Somebody who shares the descriptor has made it so.
                select.select([], [self._descriptor], [], 1.0)


class Log:
    """Makes lines and hands them to `write`. `secrets` are hidden wherever they would stand."""

    def __init__(
        self,
        write: Write,
        *,
        dropped: Callable[[], int] = lambda: 0,
        requests: bool = True,
        pretty: bool = False,
        colours: bool = False,
        secrets: Iterable[str] = (),
    ) -> None:
        self.dropped = dropped
        """How many lines were thrown away so far."""
        self.requests = requests
        """Whether requests have lines at all."""
        self._write = write
        self._now, self._scrub = _Clock(), _Scrub(secrets)
        self._pretty = _Pretty(colours) if pretty else None
        logger = structlog.wrap_logger(
            _Sink(write),
            processors=[self._stamped, self._scrub, self._pretty or _as_json],
            wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        )
        self._logger: structlog.typing.FilteringBoundLogger = logger.bind()

    def request(self, line: Line) -> None:
        """The line of one request that is over; it belongs to the log from now on.

        It does not go through structlog's logger, which would copy thirty fields three times.
        """
        line.time = self._now()
        self._scrub.line(line)
        self._write(msgspec.json.encode(line) + b"\n" if self._pretty is None else self._pretty.request(line))

    def hide(self, secrets: Iterable[str]) -> None:
        """Hide these as well from now on."""
        self._scrub.know(secrets)

    def say(self, level: str, event: str, **fields: Any) -> None:
        """Any other line. `level` is the name of one of structlog's methods."""
        getattr(self._logger, level)(event, **fields)

    def _stamped(self, _: Any, level: str, fields: Fields) -> Fields:
        """Time, level and event first."""
        return {"time": self._now(), "level": level, "event": None, **fields}


def silent() -> Log:
    """A log that says nothing."""
    return Log(lambda _: None, requests=False)


@contextlib.contextmanager
def opened(settings: Settings, descriptor: int = 1) -> Iterator[Log]:
    """The log of a server, on standard output, for as long as the server runs; all that is logged goes there."""
    writer = LineWriter(descriptor)
    on_terminal = os.isatty(descriptor)
    log = Log(
        writer.write,
        dropped=lambda: writer.dropped,
        requests=settings.log != "off",
        pretty=settings.log == "pretty" or (settings.log != "json" and on_terminal),
        colours=on_terminal and not Console().no_color,
        secrets=secrets_of(settings),
    )
    with logging_to(log):
        try:
            yield log
        finally:
            writer.close()


def secrets_of(settings: Settings) -> Iterator[str]:
    """The keys that this gateway knows, its own and its providers'."""
    if settings.api_key:
        yield settings.api_key
    for provider in settings.providers.values():
        for credential in (provider.credential, *(key.credential for key in provider.more_keys)):
            if credential is not None:
                yield credential.value.rpartition(b" ")[2].decode("latin-1")


class _Sink:
    """The end of structlog's chain: whatever the level, the bytes are written."""

    def __init__(self, write: Write) -> None:
        self.info = self.warning = self.error = self.critical = write


class _Clock:
    """Tells the time as lines have it. The text of a second is made once."""

    def __init__(self) -> None:
        self._second = 0
        self._text = ""

    def __call__(self) -> str:
        second, ms = divmod(time.time_ns() // 1_000_000, 1000)
        if second != self._second:
            self._second, self._text = second, time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        return f"{self._text}.{ms:03d}Z"


_LEAST_SECRET = 8
"""A shorter word, such as the `any` that a test shows as its key, protects nothing and stands in ordinary text."""


class _Scrub:
    """Cleans every text that is not the gateway's own word. Most are the same again and again, and are kept clean."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self._secrets: set[str] = set()
        self.know(secrets)

    def know(self, secrets: Iterable[str]) -> None:
        """Hide these, too. What was known stays hidden: a request may still be under way with it."""
        self._secrets |= {each for each in secrets if len(each) >= _LEAST_SECRET}
        known = sorted(self._secrets, key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, known))) if known else None
        self._clean = lru_cache(maxsize=1024)(self._all_cleaned)

    def __call__(self, _: Any, __: str, fields: Fields) -> Fields:
        """Clean every text but the time and the gateway's own id."""
        for name, value in fields.items():
            if isinstance(value, str) and name not in _OWN:
                fields[name] = self._cleaned(value)
        return fields

    def line(self, line: Line) -> None:
        """The same for a request's line."""
        if line.request_id is not line.stream_id:
            line.request_id = self._cleaned_or_none(line.request_id)
        if line.client_request_id is not None:
            line.client_request_id = self._cleaned(line.client_request_id)
        values = _names_of(line)
        clean = self._clean(values)
        if clean != values:
            for name, value in zip(_NAMES, clean, strict=True):
                setattr(line, name, value)

    def _all_cleaned(self, values: tuple[str | None, ...]) -> tuple[str | None, ...]:
        return tuple(map(self._cleaned_or_none, values))

    def _cleaned_or_none(self, text: str | None) -> str | None:
        return None if text is None else self._cleaned(text)

    def _cleaned(self, text: str) -> str:
        return one_line(self._known.sub(HIDDEN, text) if self._known else text)


def _as_json(_: Any, __: str, fields: Fields) -> bytes:
    return msgspec.json.encode(fields) + b"\n"


class _Pretty:
    """Lines for people: of a request what they look for first, of everything else structlog's own form."""

    def __init__(self, colours: bool) -> None:
        self._colours = colours
        self._other = structlog.dev.ConsoleRenderer(colors=colours, pad_event_to=0)

    def __call__(self, logger: Any, level: str, fields: Fields) -> bytes:
        """Any line but a request's."""
        stamped = {"timestamp": fields.pop("time"), **fields}
        return str(self._other(logger, level, stamped)).encode() + b"\n"

    def request(self, line: Line) -> bytes:
        """A request's line."""
        told = (
            line.time[11:],
            self._coloured(line.status),
            _words(line.method, line.path),
            _target(line),
            _words(line.outcome, line.finish_reason, line.error_kind),
            _tokens(line),
            _ms("TTFT", line.ttft_ms),
            _ms("", line.duration_ms),
            line.request_id,
        )
        return "  ".join(filter(None, told)).encode() + b"\n"

    def _coloured(self, status: int | None) -> str:
        text = "---" if status is None else str(status)
        colour = _STATUS_COLOURS.get((status or 0) // 100, "")
        return f"{colour}{text}\x1b[0m" if self._colours and colour else text


def _words(*words: str | None) -> str:
    return " ".join(filter(None, words))


def _target(line: Line) -> str:
    """The model, and who was asked for it where its name does not say so."""
    model, provider = line.model or "", line.provider or ""
    return model if model.startswith(f"{provider}/") or not provider else f"{model} at {provider}"


def _tokens(line: Line) -> str:
    read, made = line.input_tokens, line.output_tokens
    if read is None and made is None:
        return ""
    about = "" if line.usage_source == "reported" else "about "
    return f"{about}{'?' if read is None else read}+{'?' if made is None else made} tokens"


def _ms(what: str, ms: float | None) -> str:
    return "" if ms is None else f"{what} {ms:,.0f} ms".strip()


class LogHandler(logging.Handler):
    """What is said through the standard library's `logging`, in the log."""

    def __init__(self, log: Log) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        """Make a line of a record, with nothing in it that an exception says."""
        level = (
            "error" if record.levelno >= logging.ERROR else "warning" if record.levelno >= logging.WARNING else "info"
        )
        fields: dict[str, Any] = {"logger": record.name}
        if stream_id := getattr(record, "stream_id", None):
            fields["stream_id"] = stream_id
        if record.exc_info and record.exc_info[1] is not None:
            fields["error"] = blame(record.exc_info[1])
        with contextlib.suppress(Exception):  # whoever logs must not fail for it
            self._log.say(level, _message(record), **fields)


def _message(record: logging.LogRecord) -> str:
    """The record's text. A library's is cut before the first value that it shows: that may be anything."""
    try:
        text = record.getMessage()
    except Exception:  # noqa: BLE001  # arguments that do not fit their text, or a repr that raises
        text = str(record.msg)
    if record.name.partition(".")[0] == "thalweg":
        return text
    return re.split(r"[\n<({\[]", text, maxsplit=1)[0].strip()


@contextlib.contextmanager
def logging_to(log: Log) -> Iterator[None]:
    """Have all that this process logs go to `log`: of loggers, of threads that die, of errors told to nobody."""
    root = logging.getLogger()
    before = root.handlers[:], root.level, threading.excepthook, sys.unraisablehook
    root.handlers[:] = [LogHandler(log)]
    root.setLevel(logging.WARNING)
    threading.excepthook = lambda died: log.say("error", "a thread died", error=_blamed(died.exc_value))
    sys.unraisablehook = lambda told: log.say("error", "an error that nobody could take", error=_blamed(told.exc_value))
    try:
        yield
    finally:
        root.handlers[:], level, threading.excepthook, sys.unraisablehook = before
        root.setLevel(level)


def loop_handler(log: Log) -> Callable[[Any, dict[str, Any]], None]:
    """What an event loop calls for an error that nobody could take. The loop's own would show its text."""

    def handle(_: Any, context: dict[str, Any]) -> None:
        what = re.split(r"[\n<({\[]", str(context.get("message", "")), maxsplit=1)[0].strip()
        log.say(
            "error", what or "an error in the event loop", logger="asyncio", error=_blamed(context.get("exception"))
        )

    return handle


def _blamed(error: BaseException | None) -> str | None:
    return None if error is None else blame(error)
