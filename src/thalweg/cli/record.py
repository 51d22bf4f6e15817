"""`thalweg record`: ask once and keep the answer as it came; or make a recording of what is there already."""

from __future__ import annotations

import asyncio
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import msgspec
from cyclopts import Parameter
from msgspec.structs import replace

from thalweg.canon.scenario import Say, Scenario, ScenarioError
from thalweg.cli.decode import DialectName
from thalweg.cli.layout import milliseconds
from thalweg.cli.main import FAILED, WRONG_USAGE
from thalweg.cli.recordings import told_end, told_scenario_end
from thalweg.cli.visible import readable, visible
from thalweg.cli.words import explain, say
from thalweg.client.anonymous import Anonymiser, Words, refusal
from thalweg.client.scenario import Close, Teller
from thalweg.config import Settings, load, load_client
from thalweg.framing.sse import SseDecoder
from thalweg.recorder.form import (
    EndKind,
    Header,
    Line,
    RecordingError,
    Scrubber,
    decode_line,
    new_name,
    read_line,
    stamp,
)
from thalweg.recorder.keeping import keep, keep_scenario
from thalweg.recorder.shelf import Shelf, header_of, look, name_of

_IMPORTED = "imported"
"""The provider in a recording that is made of a body."""
UNREACHABLE = 4
_CLIENTS = ("openai-chat", "openai-responses", "anthropic", "gemini")
"""Dialects in which a gateway can be asked."""


class _Wrong(Exception):
    """What was called for cannot be. The message is for people."""


def record(
    *words: Annotated[str, Parameter(metavar="MODEL PROMPT"), explain("record.words")],
    body: Annotated[Path | None, Parameter(metavar="FILE", allow_leading_hyphen=True), explain("record.body")] = None,
    dialect: Annotated[DialectName, Parameter(metavar="DIALECT"), explain("record.dialect")] = "openai-chat",
    out: Annotated[Path | None, Parameter(metavar="FOLDER"), explain("record.out")] = None,
    url: Annotated[str | None, Parameter(metavar="URL"), explain("record.url")] = None,
    import_file: Annotated[Path | None, Parameter(name="--import", metavar="FILE"), explain("record.import")] = None,
    anonymise: Annotated[str | None, Parameter(metavar="RECORDING"), explain("record.anonymise")] = None,
    scenario: Annotated[str | None, Parameter(metavar="RECORDING"), explain("record.scenario")] = None,
) -> int:
    """Make one recording, and print the name of its file."""
    settings = load(host="127.0.0.1", port=0, record=out)
    folder = settings.recording.folder or settings.replay_folder
    try:
        if anonymise is not None:
            return _told(_anonymised(anonymise, settings, folder))
        if scenario is not None:
            return _retold(scenario, settings, folder)
        if import_file is not None:
            return _told(_imported(import_file, dialect, " ".join(words), folder))
        return _ask(settings, _asked(words, body, dialect), dialect, url)
    except _Wrong as wrong:
        print(f"thalweg: {wrong}", file=sys.stderr)
        return WRONG_USAGE
    except RecordingError as error:
        print(f"thalweg: {say('record.no_recording', file=anonymise or scenario, why=error)}", file=sys.stderr)
    except ScenarioError as error:
        print(f"thalweg: {say('record.no_scenario', file=scenario, why=error)}", file=sys.stderr)
    except OSError as error:
        if error.filename is None:
            raise
        print(f"thalweg: {say('record.cannot', file=error.filename, why=error.strerror)}", file=sys.stderr)
    return FAILED


def _told(file: Path) -> int:
    """Name the file, and say what is in it."""
    print(file, flush=True)
    kept = look(file)
    took = milliseconds(kept.duration_ms)
    said = say("record.kept", end=told_end(kept), bytes=f"{kept.body_bytes:,}", reads=kept.reads, took=took)
    print(said, file=sys.stderr)
    return 0


# Asking.


def _asked(words: tuple[str, ...], body: Path | None, dialect: str) -> tuple[str, bytes]:
    """The model's name, and the request's body."""
    if dialect not in _CLIENTS:
        raise _Wrong(say("main.no_choice", name="--dialect", value=dialect, choices=", ".join(_CLIENTS)))
    if body is None:
        return _prompted(words, dialect)
    model, more = words[0] if words else "", words[1:]
    if more:
        raise _Wrong(say("record.prompt_and_body"))
    data = sys.stdin.buffer.read() if str(body) == "-" else body.read_bytes()
    if dialect == "gemini":
        if not model:
            raise _Wrong(say("record.no_model"))
        return model, data
    return model, _renamed(data, model, body) if model else data


def _prompted(words: tuple[str, ...], dialect: str) -> tuple[str, bytes]:
    if len(words) < 2:
        raise _Wrong(say("record.no_prompt"))
    if dialect != "openai-chat":
        raise _Wrong(say("record.no_body"))
    messages = [{"role": "user", "content": " ".join(words[1:])}]
    asked = {"model": words[0], "messages": messages, "stream": True, "stream_options": {"include_usage": True}}
    return words[0], msgspec.json.encode(asked)


def _renamed(data: bytes, model: str, file: Path) -> bytes:
    """The body for another model."""
    try:
        asked: Any = msgspec.json.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        asked = None
    if not isinstance(asked, dict):
        raise _Wrong(say("record.no_json", file=readable(str(file))))
    return msgspec.json.encode(asked | {"model": model})


def _ask(settings: Settings, asked: tuple[str, bytes], dialect: str, url: str | None) -> int:
    import uvloop  # only a command that asks needs a loop, and the gateway

    # The same.
    from thalweg.server.once import Question, record_directly, record_through

    question = Question(dialect=dialect, model=asked[0], body=asked[1])
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runs:
        if url is None:
            outcome = runs.run(record_directly(settings, question))
        else:
            outcome = runs.run(record_through(settings, load_client(url=url), question))
    if outcome.refusal is not None:
        print(f"thalweg: {visible(outcome.refusal)}", file=sys.stderr)
    if outcome.file is None:
        return FAILED
    _told(outcome.file)
    kept = look(outcome.file)
    if url is not None and kept.end == "unreachable":
        return UNREACHABLE
    return 0 if kept.end == "whole" and outcome.refusal is None else FAILED


# Of what is there.


def _imported(file: Path, dialect: str, model: str, folder: Path) -> Path:
    """A recording of a body, each frame as a read of its own. When each came, nobody knows: all come at once."""
    data = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    scrubber, at_ms = Scrubber(), time.time_ns() // 1_000_000
    streams = data.lstrip()[:1] not in (b"{", b"[")
    frames = list(_frames(data)) if streams else [data]
    header = Header(
        recorded_at=stamp(at_ms),
        provider=_IMPORTED,
        dialect=dialect,
        model=model,
        path="",
        request=None,
        status=200,
        headers=(("content-type", "text/event-stream" if streams else "application/json"),),
        simulated=False,
    )
    lines = [*(read_line(0.0, frame, scrubber) for frame in frames), Line(end="whole")]
    stem = re.sub(r"[^A-Za-z0-9]+", "-", file.stem).strip("-") or "body"
    return keep(folder, new_name(at_ms, _IMPORTED, model or stem, "0"), header, lines)


def _frames(data: bytes) -> Iterator[bytes]:
    decoder = SseDecoder()
    yield from (frame.raw for frame in (*decoder.feed(data), *decoder.end()) if frame.raw)


def _anonymised(named: str, settings: Settings, folder: Path) -> Path:
    """A recording of the same shape without anybody's words."""
    file = _found(named, settings)
    header = header_of(file)
    kept_headers = tuple(pair for pair in header.headers if pair[0] in ("content-type", "retry-after"))
    shared = replace(header, request=None, headers=kept_headers, simulated=True)
    lines = list(_lines_of(file))
    refused = header.status is not None and header.status >= 400
    made = _refused_lines(header, lines) if refused else _changed_lines(header, lines)
    return keep(folder, f"{name_of(file)[:180]}-anonymous", shared, made)


def _found(named: str, settings: Settings) -> Path:
    """The file of a recording that is there, named by itself or by its path."""
    file = Path(named) if Path(named).is_file() else Shelf(settings.replay_folder).find(named)
    if file is None:
        raise FileNotFoundError(2, say("record.not_there"), named)
    return file


def _lines_of(file: Path) -> Iterator[Line]:
    with file.open("rb") as raw:
        raw.readline()
        for each in raw:
            line = decode_line(each)
            if line is None:
                return
            yield line


def _changed_lines(header: Header, lines: list[Line]) -> Iterator[Line]:
    from thalweg.server.simulated import OWN_WORDS  # only this needs the simulator

    changing, ms, end = Anonymiser(header.dialect, Words(*OWN_WORDS)), header.head_ms, Line(end="cut")
    for line in lines:
        if line.end is not None:
            end = line
            break
        ms = line.ms
        if data := changing.feed(line.body()):
            yield read_line(ms, data)
    if header.status is not None and (data := changing.end()):
        yield read_line(ms, data)
    yield replace(end, error=None, ms=max(end.ms, ms))


def _refused_lines(header: Header, lines: list[Line]) -> Iterator[Line]:
    body = b"".join(line.body() for line in lines if line.end is None)
    pairs = [(name.encode(), value.encode()) for name, value in header.headers]
    ms = max((line.ms for line in lines), default=header.head_ms)
    yield read_line(ms, refusal(header.dialect, header.status or 500, pairs, body).body)
    yield Line(ms=ms, end="whole")


# Scenarios.

_CLOSES: dict[EndKind | None, Close] = {"whole": "whole", "reset": "reset"}
"""Where it was the gateway that left, or the recording is unfinished, nobody knows how it would have gone on."""


def _retold(named: str, settings: Settings, folder: Path) -> int:
    """Make the scenario of a recording; name its file, and say what is in it."""
    file = _found(named, settings)
    header = header_of(file)
    teller = Teller(header.dialect, provider=header.provider, model=header.model, recorded_at=header.recorded_at)
    scenario = _scenario(teller, header, list(_lines_of(file)))
    print(keep_scenario(folder, name_of(file), scenario), flush=True)
    pieces = sum(isinstance(step, Say) for step in scenario.steps)
    took = milliseconds(scenario.duration_ms)
    print(say("record.told", end=told_scenario_end(scenario), pieces=f"{pieces:,}", took=took), file=sys.stderr)
    if teller.left_out:
        print(say("record.left_out", parts=teller.left_out), file=sys.stderr)
    return 0


def _scenario(teller: Teller, header: Header, lines: list[Line]) -> Scenario:
    end = next((line for line in lines if line.end is not None), Line())
    reads = [line for line in lines if line.end is None]
    last_ms = max((line.ms for line in lines), default=header.head_ms)
    if header.status is None:
        return teller.unreachable(last_ms)
    if header.status >= 400:
        pairs = [(name.encode(), value.encode()) for name, value in header.headers]
        return teller.refused(header.head_ms, header.status, pairs, b"".join(line.body() for line in reads))
    for line in reads:
        teller.feed(line.ms, line.body())
    return teller.end(last_ms, _CLOSES.get(end.end, "cut"))
