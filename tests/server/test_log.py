"""The log of the real server: one line a request with all its fields, nothing secret in it, and nobody waits for it."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import pty
import re
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.server.gateway import (
    CHAT,
    HARD_LIMITS,
    KEY,
    PATIENCE_S,
    Caller,
    Reply,
    Running,
    Upstream,
    answer,
    ask,
    chat,
    request,
    running,
    settings_of,
)
from tests.server.process import environment, served
from thalweg.config import ConfigError, load
from thalweg.server.log import (
    FIELDS,
    MOST_LINES,
    OTHER_FIELDS,
    Line,
    LineWriter,
    Log,
    LogHandler,
    logging_to,
    loop_handler,
)

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


class Lines:
    """A gateway, and the lines that it has written."""

    def __init__(self, gateway: Running, written: list[bytes]) -> None:
        self.gateway = gateway
        self.port = gateway.port
        self._written = written

    def after(self, do: Callable[[], object], count: int = 1) -> list[dict[str, Any]]:
        """The lines that come of something, once there are so many; an answer's comes just after its last byte."""
        before = len(self._written)
        do()
        self.gateway.until(lambda: len(self._written) >= before + count)
        return [json.loads(line) for line in self._written[before:]]

    def of(self, target: str = CHAT, body: bytes = b"", **how: Any) -> dict[str, Any]:
        """The one line that a request leaves."""
        (line,) = self.after(lambda: ask(self.port, target, body, **how))
        return line


@pytest.fixture(scope="module")
def lines() -> Iterator[Lines]:
    written: list[bytes] = []
    with running(settings_of(limits=HARD_LIMITS), log=Log(written.append)) as gateway:
        yield Lines(gateway, written)


# What a line says.


def test_the_fields_are_the_table() -> None:
    assert list(FIELDS) == list(Line.__struct_fields__)


@pytest.mark.parametrize("stream", [True, False])
def test_a_good_request_has_every_field_and_they_are_the_ledgers(lines: Lines, stream: bool) -> None:
    headers = {"x-request-id": "req-1", "x-client-request-id": "client-1"}
    line = lines.of(body=chat("sim/text?pace=0&ttft=0.01&seed=3", stream=stream), headers=headers)
    assert list(line) == list(FIELDS)
    assert TIME.fullmatch(line["time"])
    assert (line["level"], line["event"]) == ("info", "request")
    assert (line["request_id"], line["client_request_id"]) == ("req-1", "client-1")
    assert (line["method"], line["path"], line["status"], line["key_id"]) == ("POST", CHAT, 200, "main")
    assert (line["model"], line["upstream_model"], line["stream"], line["simulated"]) == (
        "sim/text",
        "text",
        stream,
        True,
    )
    lines.gateway.until(lambda: lines.gateway.ledger.unsettled == 0)
    (entry,) = lines.gateway.ledger.last_entries(1)
    assert line["stream_id"] == entry.request_id
    same = ("dialect", "provider", "outcome", "finish_reason", "error_kind", "upstream_status", "usage_source")
    for name in same:
        assert line[name] == getattr(entry, name), name
    assert (line["input_tokens"], line["output_tokens"]) == (entry.usage.input_tokens, entry.usage.output_tokens)
    for name in ("ttft_ms", "upstream_ttft_ms", "duration_ms"):
        assert line[name] == pytest.approx(getattr(entry, name), abs=0.001), name
    assert 5 <= line["upstream_ttft_ms"] <= line["ttft_ms"] <= line["duration_ms"]
    assert line["deltas"] > 0
    assert line["repairs"] == {}
    assert line["upstream_closed_ms"] is None


def test_without_ids_of_its_own_a_request_has_the_gateways(lines: Lines) -> None:
    line = lines.of(body=chat())
    assert line["request_id"] == line["stream_id"]
    assert (line["client_request_id"], line["trace_id"]) == (None, None)


@pytest.mark.parametrize(
    ("how", "said"),
    [
        pytest.param({"key": None}, {"status": 401, "error_kind": "auth", "key_id": None}, id="no key"),
        pytest.param({"body": b"{"}, {"status": 400, "error_kind": "invalid_request", "key_id": "main"}, id="no JSON"),
        pytest.param(
            {"body": chat("nobody/x")},
            {"status": 404, "error_kind": "not_found", "model": "nobody/x", "provider": None},
            id="no such model",
        ),
        pytest.param({"method": "GET"}, {"status": 405, "method": "GET"}, id="the wrong method"),
        pytest.param({"target": "/nothing"}, {"status": 404, "path": "/nothing", "key_id": "main"}, id="nowhere"),
        pytest.param({"target": "/v1/models", "key": None, "method": "GET"}, {"status": 401}, id="no key for a list"),
    ],
)
def test_a_refusal_has_its_line(lines: Lines, how: dict[str, Any], said: dict[str, Any]) -> None:
    line = lines.of(**how)
    assert list(line) == list(FIELDS)
    assert line["outcome"] == "rejected"
    assert {name: line[name] for name in said} == said
    assert line["duration_ms"] >= 0


@pytest.mark.parametrize(
    ("model", "stream", "said"),
    [
        pytest.param(
            "sim/text?fault=http-429",
            True,
            {"outcome": "refused", "error_kind": "rate_limit", "status": 429, "upstream_status": 429},
            id="refused upstream",
        ),
        pytest.param(
            "sim/text?fault=reset&pace=0",
            True,
            {"outcome": "upstream_error", "error_kind": "upstream_broke", "status": 200, "usage_source": "estimated"},
            id="broken in the middle",
        ),
        pytest.param(
            "sim/text?fault=reset&pace=0",
            False,
            {"outcome": "upstream_error", "status": 502, "finish_reason": None},
            id="broken, whole",
        ),
    ],
)
def test_a_failure_has_its_line(lines: Lines, model: str, stream: bool, said: dict[str, Any]) -> None:
    line = lines.of(body=chat(model, stream=stream))
    assert {name: line[name] for name in said} == said


def test_a_client_that_leaves_has_its_line(lines: Lines) -> None:
    def leave() -> None:
        with Caller(lines.port) as caller:
            assert caller.send(request(CHAT, chat("sim/slow", stream=True))).reply_head()[0] == 200

    (line,) = lines.after(leave)
    assert (line["outcome"], line["status"]) == ("cancelled", 200)
    assert 0 <= line["upstream_closed_ms"] < 100


def test_one_that_leaves_before_it_is_answered_was_told_nothing(lines: Lines) -> None:
    def leave() -> None:
        with Caller(lines.port) as caller:
            caller.send(request(CHAT, chat("sim/text?ttft=60", stream=True)))
            lines.gateway.until(lambda: len(lines.gateway.gateway.house.live) == 1)

    (line,) = lines.after(leave)
    assert (line["outcome"], line["status"], line["usage_source"]) == ("cancelled", None, "unknown")


def test_what_the_guard_refuses_has_its_line(lines: Lines) -> None:
    def send() -> None:
        with Caller(lines.port) as caller:
            caller.send(request("/v1/x?key=canary").replace(b"host:", b"x: " + b"y" * 40_000 + b"\r\nhost:"))
            caller.rest()

    (line,) = lines.after(send)
    assert (line["status"], line["path"], line["outcome"]) == (431, "/v1/x", "rejected")


def test_a_body_that_never_comes_has_one_line(lines: Lines) -> None:
    def send() -> None:
        with Caller(lines.port) as caller:
            caller.send(request(CHAT, headers={"content-length": "10"}))
            caller.rest()

    (line,) = lines.after(send)
    assert (line["status"], line["error_kind"], line["key_id"]) == (408, "request_timeout", "main")


def test_probes_and_those_who_look_at_metrics_leave_no_line(lines: Lines) -> None:
    def look() -> None:
        for path in ("/livez", "/readyz", "/metrics"):
            assert ask(lines.port, path, method="GET").status == 200
        ask(lines.port, "/v1/models", method="GET")

    (line,) = lines.after(look)
    assert (line["path"], line["status"], line["outcome"]) == ("/v1/models", 200, "complete")


# What no line holds.

GATEWAY = "canary-gateway-7f3a9d2e61"
OPENAI = "canary-openai-1c9e7b4a"
SECRETS = (GATEWAY, OPENAI)
PROMPT, SYSTEM, ANSWER, TOOL = "CANARY the prompt", "CANARY the system", "CANARY the answer", "CANARY_tool"
OFFERED = ("sk-canary-offered-99aa31", "AIzaCanary0123456789", "canary-query-key")
PICTURE = "data:image/png;base64,Q0FOQVJZ" + "QUFBQ0FOQVJZ" * 20
MODELS = (
    "CANARY write me a poem",
    "canary\nforged: 1",
    "canary\x1b[2J\x1b[31m",
    "canary" * 20_000,
    "sk-canary-0123456789",
    f"openai/{PICTURE}",
    "openai/CANARY a prompt as a model",
    "canary\u202e\u2028",
    "?key=canary",
)


def repeating(asked: bytes) -> bytes:
    """What an upstream might say that repeats all that it was told, by the name of its model."""
    head, _, body = asked.partition(b"\r\n\r\n")
    key = re.search(rb"authorization: bearer (\S+)", head, re.IGNORECASE)
    told = f"{ANSWER} {key[1].decode() if key else ''} {body.decode()}"
    how = json.loads(body)["model"]
    error = {"message": told, "type": told, "code": told, "param": told}
    if how.isdigit():
        return answer(int(how), json.dumps({"error": error}).encode())
    chunk = {"id": told, "object": "chat.completion.chunk", "created": 1, "model": told}
    choice = {"index": 0, "delta": {"role": "assistant", "content": told}, "finish_reason": None}
    first = b"data: " + json.dumps(chunk | {"choices": [choice]}).encode() + b"\n\n"
    last = (
        b"data: " + json.dumps(chunk | {"choices": [choice | {"delta": {}, "finish_reason": told}]}).encode() + b"\n\n"
    )
    good = answer(200, first + last + b"data: [DONE]\n\n", "text/event-stream")
    otherwise = {
        "error": lambda: answer(
            200, first + b"data: " + json.dumps({"error": error}).encode() + b"\n\n", "text/event-stream"
        ),
        "cut": lambda: answer(200, first, "text/event-stream").replace(b"content-length: ", b"content-length: 9"),
        "html": lambda: answer(502, told.encode(), "text/html"),
        "no-http": lambda: told.encode() + b"\r\n\r\n",
        "no-json": lambda: answer(200, told.encode()),
    }
    return otherwise.get(how, lambda: good)()


def everything(port: int) -> None:
    """Requests, good and bad, with canaries wherever a client or an upstream can put one."""
    messages = [
        {"role": "system", "content": SYSTEM},
        {
            "role": "user",
            "content": [{"type": "text", "text": PROMPT}, {"type": "image_url", "image_url": {"url": PICTURE}}],
        },
    ]
    tools = [{"type": "function", "function": {"name": TOOL, "parameters": {"type": "object"}}}]

    def generate(model: str, **how: Any) -> Reply:
        fields = {"messages": messages, "tools": tools, "user": "CANARY user", "metadata": {"a": "CANARY"}}
        body = json.dumps({"model": model, **fields, **how.pop("fields", {})}).encode()
        return ask(port, how.pop("target", CHAT), body, **{"key": GATEWAY} | how)

    for stream in (True, False):
        for how in ("good", "error", "cut", "html", "no-http", "no-json", "400", "401", "404", "429", "500"):
            generate(f"openai/{how}", fields={"stream": stream})
        for how in ("text?pace=0", "reasoning?pace=0", "tools?pace=0", "text?fault=reset&pace=0"):
            generate(f"sim/{how}", fields={"stream": stream})
    for model in MODELS:
        generate(model)
    for offered in OFFERED:
        generate("sim/text?pace=0", key=offered)
        generate("sim/text?pace=0", key=None, headers={"x-goog-api-key": offered})
        for path in (
            CHAT,
            "/v1/models",
            f"/nothing/{OFFERED[0]}",
            f"/v1/models/{OFFERED[1]}",
            f"/streams/{OFFERED[0]}",
        ):
            for method in ("GET", "POST", "DELETE"):
                ask(port, f"{path}?key={offered}&q=CANARY", method=method, key=None)
                ask(port, f"{path}?q=CANARY%0aforged", method=method, key=GATEWAY)
    for name in ("x-request-id", "x-client-request-id", "traceparent", "tracestate", "user-agent", "x-canary"):
        generate("sim/text?pace=0", headers={name: f"sk-canary-0123456789 {GATEWAY}"})
    ask(port, "/%0acanary%1b[2J", method="GET", key=GATEWAY)
    for wrong in (b"{CANARY", b"CANARY", json.dumps({"model": 7, "CANARY": "CANARY"}).encode()):
        ask(port, CHAT, wrong, key=GATEWAY)
    with Caller(port) as caller:
        caller.send(request(f"{CHAT}?key={GATEWAY}").replace(b"host:", b"x: canary" + b"y" * 40_000 + b"\r\nhost:"))
        caller.rest()


@pytest.mark.parametrize("form", ["json", "pretty"])
def test_no_key_prompt_or_answer_comes_out(tmp_path: Path, form: str) -> None:
    with Upstream(repeating) as upstream:
        keys = {"THALWEG_API_KEY": GATEWAY, "OPENAI_API_KEY": OPENAI, "OPENAI_BASE_URL": upstream.url}
        with served(tmp_path, THALWEG_LOG=form, **keys) as server:
            everything(server.port)
            metrics = ask(server.port, "/metrics", method="GET", key=GATEWAY).body.decode()
            server.stop()
            assert server.exit_code() == 0
    said = "".join(server.printed)
    assert len(upstream.requests) > 20
    assert said.count(CHAT) > 50, "the log was not looked at"
    assert "thalweg_requests_total{" in metrics
    for text in (said, metrics):
        found = [
            line for line in text.splitlines() if "canary" in line.lower() or "Q0FOQVJZ" in line or "forged" in line
        ]
        assert found == []
        assert "\x1b" not in text
    logged = [line for line in said.splitlines() if CHAT in line]
    assert all(len(line) < 2000 for line in logged)
    if form == "json":
        assert all(set(json.loads(line)) == set(FIELDS) for line in logged)


# Exceptions that nobody foresaw.


class Bug(Exception):
    """Its text may be anybody's."""


@contextmanager
def logged(capsys: pytest.CaptureFixture[str]) -> Iterator[list[dict[str, Any]]]:
    """Everything that is logged in this process, as it would be in the server's."""
    found: list[dict[str, Any]] = []
    with logging_to(Log(lambda line: found.append(json.loads(line)))):
        yield found
    assert capsys.readouterr() == ("", "")


def raising(*_: Any, **__: Any) -> Any:
    canary = {"canary": "a client's words"}
    raise Bug(f"canary {canary}")


@pytest.mark.parametrize(
    ("where", "place", "status"),
    [
        pytest.param(
            "thalweg.dialects.openai_chat.OpenAIChat.read_request", "endpoints/generate.py", 500, id="reading"
        ),
        pytest.param("thalweg.server.simulated.Play.__call__", "upstream/played.py", 502, id="in the simulator"),
        pytest.param("thalweg.dialects.openai_chat.OpenAIChat.relayer", "relay/exchange.py", 500, id="at the head"),
        pytest.param("thalweg.server.models.Directory.listed", "endpoints/models.py", 500, id="elsewhere"),
    ],
)
def test_a_bug_is_told_by_type_and_place_and_never_by_its_words(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], where: str, place: str, status: int
) -> None:
    monkeypatch.setattr(where, raising)
    with logged(capsys) as found:
        log = Log(lambda line: found.append(json.loads(line)))
        gateway = Running(settings_of(), log=log)
        gateway.start()
        # As `serve` does: the simulator's script raises in a callback of the loop, where nobody can take it.
        gateway.run(_hand_errors_to(log))
        target = "/v1/models" if "models" in where else CHAT
        reply = ask(gateway.port, target, chat(stream=True), method="GET" if target != CHAT else "POST")
        gateway.until(lambda: len(found) >= 2)
        gateway.stop()
    assert reply.status == status
    assert "canary" not in reply.body.decode() + json.dumps(found)
    (told,) = [line for line in found if line["level"] == "error"]
    assert set(told) <= set(OTHER_FIELDS)
    said = told["event"] + " " + told.get("error", "")
    assert "Bug at " in said
    assert re.search(rf"{re.escape(place)}:\d+", said), said
    if status == 500:
        (line,) = [line for line in found if line["event"] == "request"]
        assert told["stream_id"] in (line["stream_id"], line["request_id"])
        assert told["stream_id"] in reply.body.decode()


async def _hand_errors_to(log: Log) -> None:
    asyncio.get_running_loop().set_exception_handler(loop_handler(log))


def test_a_tap_that_fails_keeps_nobody_from_the_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("thalweg.server.meter.Meter.ended", raising)
    with logged(capsys) as found:
        gateway = Running(settings_of(), log=Log(lambda line: found.append(json.loads(line))))
        gateway.start()
        assert ask(gateway.port, CHAT, chat()).status == 200
        gateway.until(lambda: len(found) >= 2)
        gateway.stop()
    assert {line["level"] for line in found} == {"error", "info"}
    assert "canary" not in json.dumps(found)


@pytest.mark.parametrize(
    ("logger", "message", "arguments", "event"),
    [
        pytest.param("uvicorn.error", "Exception in ASGI application\n", (), "Exception in ASGI application", id="uvicorn"),
        pytest.param("asyncio", "Task exception was never retrieved\nfuture: <Task exception=Bug('canary')>", (),
                     "Task exception was never retrieved", id="asyncio"),
        pytest.param("asyncio", "Exception in callback f('canary')", (), "Exception in callback f", id="a callback"),
        pytest.param("httptools", "got %r", (b"canary",), "got b'canary'", id="a value that it shows"),
        pytest.param("thalweg.server", "%d streams were ended", (3,), "3 streams were ended", id="ours"),
        pytest.param("thalweg.server", "key sk-canary-0123456789", (), "key [hidden]", id="ours, with a key"),
        pytest.param("any", "%d", ("canary",), "%d", id="arguments that do not fit"),
    ],
)  # fmt: skip
def test_what_libraries_log_goes_the_same_way(
    capsys: pytest.CaptureFixture[str], logger: str, message: str, arguments: tuple[Any, ...], event: str
) -> None:
    with logged(capsys) as found:
        try:
            raising()
        except Bug:
            logging.getLogger(logger).exception(message, *arguments)
        logging.getLogger(logger).info("not worth a line")
    (line,) = found
    assert (line["level"], line["logger"]) == ("error", logger)
    assert line["event"] == event
    assert ".Bug at a place that is not ours" in line["error"]
    if "%r" not in message:
        assert "canary" not in json.dumps(line)


def test_threads_that_die_and_errors_told_to_nobody_go_the_same_way(capsys: pytest.CaptureFixture[str]) -> None:
    class Dying:
        def __del__(self) -> None:
            raising()

    with logged(capsys) as found:
        thread = threading.Thread(target=raising)
        thread.start()
        thread.join()
        Dying()
    assert [line["event"] for line in found] == ["a thread died", "an error that nobody could take"]
    assert "canary" not in json.dumps(found)


def test_a_log_that_cannot_write_does_not_fail_its_caller() -> None:
    handler = LogHandler(Log(lambda _: raising()))
    logging.LoggerAdapter(logging.Logger("x"), {}).logger.addHandler(handler)
    handler.emit(logging.LogRecord("thalweg", logging.ERROR, "", 0, "anything", None, None))


# Forms and places.


def test_off_leaves_out_requests_and_nothing_else(tmp_path: Path) -> None:
    with served(tmp_path, THALWEG_LOG="off", THALWEG_DRAIN_S="0.1") as server, Caller(server.port) as caller:
        assert ask(server.port, CHAT, chat()).status == 200
        caller.send(request(CHAT, chat("sim/slow", stream=True))).reply_head()
        server.stop()
        caller.rest()
        assert server.exit_code() == 0
    said = "".join(server.printed)
    assert '"event":"request"' not in said
    assert "streams that were ended by the shutdown: 1" in said


def test_a_form_that_is_none_is_a_wrong_setting() -> None:
    with pytest.raises(ConfigError, match="THALWEG_LOG must be one of auto, json, pretty, off"):
        load({"THALWEG_LOG": "xml", "THALWEG_HOME": "/nonexistent"})


@pytest.mark.parametrize(("no_color", "coloured"), [("", True), ("1", False)])
def test_on_a_terminal_lines_are_for_people(tmp_path: Path, no_color: str, coloured: bool) -> None:
    ours, theirs = pty.openpty()
    env = environment(tmp_path, THALWEG_API_KEY=KEY, NO_COLOR=no_color, TERM="xterm-256color")
    command = [sys.executable, "-m", "thalweg", "serve", "--port", "0"]
    process = subprocess.Popen(command, env=env, stdout=theirs, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        found = next(match for line in process.stderr if (match := re.search(r"listens on http://\S+:(\d+)", line)))
        assert ask(int(found[1]), CHAT, chat("sim/text?pace=0", stream=True)).status == 200
        said = ""
        while "tokens" not in said:
            assert select.select([ours], [], [], PATIENCE_S)[0], said
            said += os.read(ours, 65536).decode()
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 0
    finally:
        process.kill()
        process.wait()
        process.stderr.close()
        os.close(ours)
        os.close(theirs)
    (line,) = [each for each in said.splitlines() if CHAT in each]
    assert re.search(r"\d\d:\d\d:\d\d\.\d{3}Z  .*200.*  POST /v1/chat/completions  sim/text  complete stop", line), line
    assert "TTFT" in line
    assert ("\x1b[32m200\x1b[0m" in line) is coloured


# Nobody waits for it.


def test_a_pipe_that_nobody_reads_stops_no_request(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "thalweg", "serve", "--port", "0"]
    process = subprocess.Popen(
        command,
        env=environment(tmp_path, THALWEG_API_KEY=KEY),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None and process.stdout is not None
        found = next(match for line in process.stderr if (match := re.search(r"listens on http://\S+:(\d+)", line)))
        with Caller(int(found[1])) as caller:
            for _ in range(250):  # some 130 KB, twice what the pipe takes
                assert caller.send(request("/v1/models", method="GET")).reply().status == 200
        begun = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 0
        assert time.monotonic() - begun < 3, "the last lines are waited for, but not for ever"
    finally:
        process.kill()
        process.wait()
        for stream in (process.stderr, process.stdout):
            if stream is not None:
                stream.close()


def test_lines_that_find_no_room_are_dropped_and_counted() -> None:
    read, write = os.pipe()
    os.set_blocking(read, False)
    writer = LineWriter(write)
    try:
        for number in range(2 * MOST_LINES):
            writer.write(b"%0100d\n" % number)
        assert writer.dropped >= MOST_LINES // 2
        kept, dropped = b"", writer.dropped
        closing = threading.Thread(target=writer.close)
        closing.start()
        while closing.is_alive() or select.select([read], [], [], 0)[0]:
            if select.select([read], [], [], 0.05)[0]:
                kept += os.read(read, 1 << 20)
    finally:
        os.close(read)
        os.close(write)
    numbers = [int(line) for line in kept.splitlines()]
    assert numbers == sorted(numbers), "in order"
    assert len(numbers) + dropped == 2 * MOST_LINES


def test_a_reader_that_is_gone_is_no_error() -> None:
    read, write = os.pipe()
    os.close(read)
    writer = LineWriter(write)
    writer.write(b"a line\n")
    writer.close()
    writer.write(b"another\n")
    os.close(write)
    assert writer.dropped == 2


def test_a_descriptor_that_somebody_made_nonblocking_is_waited_for() -> None:
    read, write = os.pipe()
    os.set_blocking(write, False)
    writer = LineWriter(write)
    lines = [b"%01000d\n" % number for number in range(200)]
    for line in lines:
        writer.write(line)
    kept = b""
    while len(kept) < sum(map(len, lines)):
        kept += os.read(read, 1 << 20)
    writer.close()
    os.close(read)
    os.close(write)
    assert kept == b"".join(lines)
    assert writer.dropped == 0
