"""Recordings of a real gateway, `thalweg serve --record`, with the simulator over HTTP as its providers; and what comes
of them when they are asked for by their names.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.server.gateway import KEY, PATIENCE_S, Caller, Reply, Upstream, answer, ask, request
from tests.server.process import ROOT, Served, environment, served, thalweg
from thalweg.recorder.form import Header, Line, encode
from thalweg.recorder.shelf import Kept, Shelf, look

KEYS = {
    "OPENAI_API_KEY": "sk-openai-canary-4711",
    "ANTHROPIC_API_KEY": "anthropic-canary-4711",
    "GEMINI_API_KEY": "AIzaCanary471147114711",
    "DASHSCOPE_API_KEY": "dashscope-canary-4711",
}
MESSAGES = [{"role": "user", "content": "回声 🦜 hello"}]
CHAT = "/v1/chat/completions"
WEATHER = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


def until(reached: Callable[[], Any], what: str = "this") -> Any:
    end = time.monotonic() + PATIENCE_S
    while not (found := reached()):
        assert time.monotonic() < end, f"{what} does not come"
        time.sleep(0.005)
    return found


@pytest.fixture(scope="module")
def providers() -> Iterator[dict[str, str]]:
    """Where each dialect's provider is: the simulator, in a process of its own."""
    program = ROOT / "tests" / "torture" / "simulator_process.py"
    process = subprocess.Popen(
        [sys.executable, str(program)],
        env=environment(ROOT),
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None and process.stdin is not None
    try:
        base = f"http://127.0.0.1:{int(process.stdout.readline())}"
        yield KEYS | {
            "OPENAI_BASE_URL": f"{base}/v1",
            "ANTHROPIC_BASE_URL": base,
            "GEMINI_BASE_URL": f"{base}/v1beta",
            "DASHSCOPE_BASE_URL": f"{base}/compatible-mode/v1",
            "DASHSCOPE_HTTP_BASE_URL": f"{base}/api/v1",
        }
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


class Recording(NamedTuple):
    """A gateway that records, and its folder."""

    server: Served
    shelf: Shelf

    def ask(self, path: str, body: Any) -> Reply:
        return ask(self.server.port, path, json.dumps(body).encode())

    def recorded(self, path: str, body: Any) -> tuple[Reply, str]:
        """The answer to a request, and the name of the recording that it made."""
        before = set(self.shelf.names())
        reply = self.ask(path, body)
        return reply, self.new(before)

    def new(self, before: set[str]) -> str:
        def found() -> set[str]:
            return {name for name in set(self.shelf.names()) - before if self.file(name).suffix != ".part"}

        (name,) = until(found, "a recording")
        return name

    def file(self, name: str) -> Path:
        found = self.shelf.find(name)
        assert found is not None
        return found

    def look(self, name: str) -> Kept:
        return look(self.file(name))


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory, providers: dict[str, str]) -> Iterator[Recording]:
    home = tmp_path_factory.mktemp("home")
    folder = home / "kept"
    with served(home, "--record", str(folder), **providers) as server:
        yield Recording(server, Shelf(folder))


class Case(NamedTuple):
    """How a client of one dialect asks."""

    path: str
    body: dict[str, Any]
    model: str

    def of(self, model: str) -> tuple[str, dict[str, Any]]:
        """The request for a model."""
        body = self.body | ({} if "%s" in self.path else {"model": model})
        return self.path.replace("%s", model.replace("?", ";")), body


TOOLS = {"tools": [{"type": "function", "function": {"name": "weather", "parameters": WEATHER}}]}
GEMINI = {"contents": [{"role": "user", "parts": [{"text": "hello"}]}]}
CASES = {
    "chat": Case(CHAT, {"messages": MESSAGES, "stream": True}, "openai/reasoning"),
    "chat with usage": Case(
        CHAT, {"messages": MESSAGES, "stream": True, "stream_options": {"include_usage": True}}, "openai/text"
    ),
    "chat in pieces of characters": Case(CHAT, {"messages": MESSAGES, "stream": True}, "openai/text?fault=cut-utf8"),
    "chat with tools": Case(CHAT, {"messages": MESSAGES, "stream": True} | TOOLS, "openai/tools"),
    "chat in one piece": Case(CHAT, {"messages": MESSAGES}, "openai/text"),
    "responses": Case("/v1/responses", {"input": "hello", "stream": True}, "openai/reasoning"),
    "anthropic": Case("/v1/messages", {"messages": MESSAGES, "stream": True, "max_tokens": 500}, "anthropic/text"),
    "gemini": Case("/v1beta/models/%s:streamGenerateContent?alt=sse", GEMINI, "google/text"),
    "gemini in one piece": Case("/v1beta/models/%s:generateContent", GEMINI, "google/text"),
    "dashscope, for a client of chat": Case(CHAT, {"messages": MESSAGES, "stream": True}, "dashscope-native/text"),
}
OF_OURS = re.compile(rb'"(?:id|model)":"[^"]*"|"created":\d+')
"""What the gateway makes itself where it translates."""


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_replay_is_to_its_client_what_the_provider_was(recording: Recording, case: Case) -> None:
    reply, name = recording.recorded(*case.of(f"{case.model}{'&' if '?' in case.model else '?'}seed=3&pace=0&ttft=0"))
    again = recording.ask(*case.of(f"replay/{name}"))
    assert (reply.status, again.status) == (200, 200)
    if case.model.startswith("dashscope-native"):
        assert OF_OURS.sub(b"-", again.body) == OF_OURS.sub(b"-", reply.body) != reply.body
    else:
        assert again.body == reply.body
    assert again.headers["x-thalweg-simulated"] == "1"
    assert "x-thalweg-simulated" not in reply.headers
    kept = recording.look(name)
    assert kept.end == "whole"
    assert kept.header.provider == ("openai-responses" if case.path == "/v1/responses" else case.model.split("/")[0])
    assert kept.usage is not None
    assert kept.usage["output_tokens"] > 0
    # Once more, to see that nothing is left of the first.
    assert OF_OURS.sub(b"-", recording.ask(*case.of(f"replay/{name}?speed=max")).body) == OF_OURS.sub(b"-", again.body)


CLIENTS = [
    Case(CHAT, {"messages": MESSAGES, "stream": True}, ""),
    Case(CHAT, {"messages": MESSAGES}, ""),
    Case("/v1/responses", {"input": "hello", "stream": True}, ""),
    Case("/v1/messages", {"messages": MESSAGES, "stream": True, "max_tokens": 500}, ""),
    Case("/v1beta/models/%s:streamGenerateContent?alt=sse", GEMINI, ""),
    Case("/v1beta/models/%s:generateContent", GEMINI, ""),
]


@pytest.mark.parametrize("dialect", ["chat", "chat in one piece", "responses", "anthropic", "gemini"])
def test_any_client_may_ask_for_a_recording(recording: Recording, dialect: str) -> None:
    case = CASES[dialect]
    model = case.model.replace("reasoning", "text")
    _, name = recording.recorded(*case.of(f"{model}?seed=1&pace=0&ttft=0&chunk=1000"))
    for client in CLIENTS:
        reply = recording.ask(*client.of(f"replay/{name}?speed=max"))
        assert reply.status == 200
        assert "流水不腐".encode() in reply.body or "深泓".encode() in reply.body or "海纳百川".encode() in reply.body


@pytest.mark.parametrize(("fault", "end"), [("reset", "reset"), ("fin", "cut"), ("eof", "whole")])
def test_a_stream_that_broke_breaks_again(recording: Recording, fault: str, end: str) -> None:
    case = CASES["chat"]
    reply, name = recording.recorded(*case.of(f"openai/text?seed=3&pace=0&ttft=0&fault={fault}&at=6"))
    again = recording.ask(*case.of(f"replay/{name}"))
    assert recording.look(name).end == end
    assert b"[DONE]" not in again.body
    assert b'"error"' in again.body
    before, told = again.body.split(b'\n\ndata: {"error"')
    assert before == reply.body.split(b'\n\ndata: {"error"')[0]
    assert b"replay" in told


def test_a_refusal_is_refused_again(recording: Recording) -> None:
    case = CASES["chat"]
    reply, name = recording.recorded(*case.of("openai/text?fault=http-429-retry-after&retry_after=7"))
    again = recording.ask(*case.of(f"replay/{name}"))
    assert (reply.status, again.status) == (429, 429)
    assert again.headers["retry-after"] == reply.headers["retry-after"] == "7"


def test_the_time_is_that_of_the_recording_or_a_part_of_it(tmp_path: Path) -> None:
    """A recording of 1.2 seconds, whose text says when it is due."""
    header = Header(
        recorded_at="2026-11-29T12:00:00.000Z", provider="x", dialect="openai-chat", model="m", path="/", request=None,
        status=200, headers=(("content-type", "text/event-stream"),),
    )  # fmt: skip
    chunk = 'data: {"id":"x","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":"%s"},"finish_reason":%s}]}\n\n'
    lines = [Line(ms=at, text=chunk % (at, "null")) for at in (0, 600)]
    lines += [Line(ms=1200, text=chunk % ("", '"stop"') + "data: [DONE]\n\n"), Line(ms=1200, end="whole")]
    (tmp_path / "timed.jsonl").write_bytes(b"".join(map(encode, [header, *lines])))
    took = {}
    with served(tmp_path, "--replay", str(tmp_path)) as server:
        for speed in ("", "?speed=4", "?speed=max"):
            begun = time.monotonic()
            body = json.dumps({"model": f"replay/timed{speed}", "messages": MESSAGES, "stream": True}).encode()
            with Caller(server.port) as caller:
                caller.send(request(CHAT, body)).reply_head()
                assert b"[DONE]" in b"".join(caller.chunks())
            took[speed] = time.monotonic() - begun
        models = ask(server.port, "/v1/models", method="GET").json["data"]
        assert models[-1]["id"] == "replay/timed"
    assert 1.2 <= took[""] < 5
    assert 0.3 <= took["?speed=4"] < 1.2
    assert took["?speed=max"] < 0.3


@pytest.mark.parametrize(
    ("model", "status", "said"),
    [
        ("replay/nothing", 404, "no recording 'nothing'"),
        ("replay/../x", 404, "no recording"),
        ("replay/", 404, "no recording"),
        ("replay/broken", 404, "does not begin as a recording"),
        ("replay/broken?speed=fast", 400, "speed"),
        ("replay/broken?speed=0", 400, "speed"),
        ("replay/broken?pace=1", 400, "takes 'speed' alone"),
    ],
)
def test_a_name_that_leads_nowhere_says_so(recording: Recording, model: str, status: int, said: str) -> None:
    (recording.shelf.folder / "broken.jsonl").write_bytes(b"{}\n")
    reply = recording.ask(CHAT, {"model": model, "messages": MESSAGES})
    (recording.shelf.folder / "broken.jsonl").unlink()
    assert (reply.status, said in reply.said) == (status, True), reply.body


def test_nothing_secret_is_in_any_recording(recording: Recording) -> None:
    """Planted: in what the client sends, in what goes to the provider, and in what the provider repeats."""
    planted = "sk-planted-0123456789abcdef"
    body = {"model": "openai/echo?pace=0&ttft=0", "messages": [{"role": "user", "content": f"key {planted}"}]}
    _, name = recording.recorded(CHAT, body | {"user": KEY})
    said = recording.file(name).read_text()
    assert planted not in said
    assert "[hidden]" in said
    for file in recording.shelf.folder.iterdir():
        for secret in (planted, KEY, *KEYS.values()):
            assert secret not in file.read_text()
        assert "key=" not in json.loads(file.read_bytes().splitlines()[0])["path"]


def test_a_provider_that_repeats_our_key_does_not_get_it_written(tmp_path: Path) -> None:
    key = "opaque.key.0123456789"
    refusal = json.dumps({"error": {"message": f"Incorrect API key provided: {key}"}}).encode()
    folder = tmp_path / "kept"
    with Upstream(lambda _: answer(401, refusal)) as upstream:
        env = {"OPENAI_API_KEY": key, "OPENAI_BASE_URL": upstream.url}
        with served(tmp_path, "--record", str(folder), **env) as server:
            body = json.dumps({"model": "openai/m", "messages": MESSAGES}).encode()
            assert ask(server.port, CHAT, body).status == 502
            (file,) = until(lambda: list(folder.glob("*.jsonl")))
    assert key not in file.read_text()
    assert look(file).header.status == 401


def test_a_client_that_goes_leaves_what_was_heard(recording: Recording) -> None:
    before = set(recording.shelf.names())
    body = json.dumps({"model": "openai/endless?pace=200&ttft=0", "messages": MESSAGES, "stream": True}).encode()
    with Caller(recording.server.port) as caller:
        caller.send(request(CHAT, body)).reply_head()
        next(caller.chunks())
    name = recording.new(before)
    assert recording.look(name).end == "left"
    again = recording.ask(CHAT, {"model": f"replay/{name}?speed=max", "messages": MESSAGES, "stream": True})
    assert b'"error"' in again.body


def test_a_killed_gateway_leaves_a_part_that_can_be_played(tmp_path: Path, providers: dict[str, str]) -> None:
    folder = tmp_path / "kept"
    shelf = Shelf(folder)
    body = json.dumps({"model": "openai/endless?pace=200&ttft=0", "messages": MESSAGES, "stream": True}).encode()
    with served(tmp_path, "--record", str(folder), **providers) as server, Caller(server.port) as caller:
        caller.send(request(CHAT, body)).reply_head()
        until(lambda: shelf.names() and look_at(shelf).reads > 10)
        server.process.kill()
        server.process.wait()
    (name,) = shelf.names()
    assert (look_at(shelf).end, shelf.find(name)) == (None, folder / f"{name}.jsonl.part")
    with served(tmp_path, "--replay", str(folder)) as server:
        body = json.dumps({"model": f"replay/{name}?speed=max", "messages": MESSAGES, "stream": True}).encode()
        reply = ask(server.port, CHAT, body)
    assert reply.body.count(b"data: ") > 10
    assert b'"error"' in reply.body
    assert b"[DONE]" not in reply.body


def look_at(shelf: Shelf) -> Kept:
    file = shelf.find(shelf.names()[0])
    assert file is not None
    return look(file)


def test_streams_go_on_where_nothing_can_be_written(tmp_path: Path, providers: dict[str, str]) -> None:
    folder = tmp_path / "kept"
    with served(tmp_path, "--record", str(folder), **providers) as server:
        until(lambda: any("to ~/kept" in line for line in server.printed), "a word on the folder")
        folder.rmdir()
        for _ in range(2):
            body = json.dumps({"model": "openai/text?pace=0&ttft=0", "messages": MESSAGES, "stream": True}).encode()
            assert b"[DONE]" in ask(server.port, CHAT, body).body
        server.stop()
        assert server.exit_code() == 0
    said = [json.loads(line)["event"] for line in server.printed if "cannot record" in line]
    assert said == [f"cannot record to {folder}: No such file or directory; answers go on and are not recorded"]


def test_a_folder_that_cannot_be_ends_the_start_and_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    folder = tmp_path / "file" / "kept"
    done = thalweg("serve", "--port", "0", "--record", str(folder), env=environment(tmp_path))
    assert (done.returncode, done.stdout) == (1, "")
    assert f"cannot record to {folder}: Not a directory" in done.stderr


def test_the_simulator_is_recorded_only_where_that_is_wished(tmp_path: Path) -> None:
    body = json.dumps({"model": "sim/text?pace=0&ttft=0&seed=1", "messages": MESSAGES, "stream": True}).encode()
    for flags, count in (((), 0), (("--record-simulated",), 1)):
        folder = tmp_path / f"kept{count}"
        with served(tmp_path, "--record", str(folder), *flags) as server:
            reply = ask(server.port, CHAT, body)
            server.stop()
            server.exit_code()
        assert len(list(folder.iterdir())) == count
    (name,) = Shelf(folder).names()
    assert look_at(Shelf(folder)).header.simulated
    with served(tmp_path, "--replay", str(folder)) as server:
        again = ask(server.port, CHAT, body.replace(b"sim/text?pace=0&ttft=0&seed=1", f"replay/{name}".encode()))
    assert again.body == reply.body
