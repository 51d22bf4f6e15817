"""`thalweg record` and `thalweg recordings`, with the simulator over HTTP as the provider."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.server.gateway import CHAT, KEY, ask
from tests.server.process import ROOT, environment, served, thalweg
from tests.server.test_recording import until
from thalweg.canon.parts import Reasoning, ToolCall
from thalweg.canon.response import Response
from thalweg.client.codecs import decode
from thalweg.recorder.shelf import Kept, Shelf, look

KEYS = {"OPENAI_API_KEY": "sk-openai-canary-4711", "ANTHROPIC_API_KEY": "anthropic-canary-4711"}


@pytest.fixture(scope="module")
def base() -> Iterator[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "thalweg", "simulate", "--port", "0"],
        env=environment(ROOT),
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    try:
        yield process.stderr.readline().split()[-1].removesuffix("/v1")
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


@pytest.fixture
def env(base: str, tmp_path: Path) -> dict[str, str]:
    return environment(tmp_path, OPENAI_BASE_URL=f"{base}/v1", ANTHROPIC_BASE_URL=base, **KEYS)


def test_a_question_becomes_a_recording_that_can_be_listed_and_played(tmp_path: Path, env: dict[str, str]) -> None:
    done = thalweg("record", "openai/text?pace=0&ttft=0", "hello", "深泓", env=env)
    assert done.returncode == 0, done.stderr
    file = Path(done.stdout.strip())
    assert file.parent == tmp_path / "recordings"
    assert done.stderr.startswith("whole: ")
    kept = look(file)
    assert json.loads(kept.header.request or "")["messages"] == [{"role": "user", "content": "hello 深泓"}]
    listed = thalweg("recordings", "--json", env=env)
    (line,) = listed.stdout.splitlines()
    assert json.loads(line) | {"name": kept.name, "end": "whole", "provider": "openai"} == json.loads(line)
    assert kept.name in thalweg("recordings", env=env).stdout
    with served(tmp_path) as server:
        body = {"model": f"replay/{kept.name}", "messages": [{"role": "user", "content": "x"}]}
        assert "深泓" in ask(server.port, CHAT, json.dumps(body).encode()).json["choices"][0]["message"]["content"]
        through = thalweg(
            "record", "--url", f"http://127.0.0.1:{server.port}/v1", "sim/text", "hello",
            env=env | {"THALWEG_API_KEY": KEY},
        )  # fmt: skip
    kept = look(Path(through.stdout.strip()))
    assert (through.returncode, kept.header.provider, kept.header.simulated) == (0, "thalweg", True)


def test_a_body_is_sent_as_it_is_in_its_dialect(tmp_path: Path, env: dict[str, str]) -> None:
    body = '{ "max_tokens": 50, "model": "anthropic/text", "messages": [{"role": "user", "content": "hello"}] }'
    (tmp_path / "q.json").write_text(body)
    out = tmp_path / "elsewhere"
    ways = [["--body", str(tmp_path / "q.json")], ["--body", str(tmp_path / "q.json"), "anthropic/text?seed=2"]]
    for way in ways:
        done = thalweg("record", *way, "--dialect", "anthropic", "--out", str(out), env=env)
        assert done.returncode == 0, done.stderr
    kept = [look(file) for file in sorted(out.iterdir())]
    assert [each.header.dialect for each in kept] == ["anthropic", "anthropic"]
    assert [each.header.model for each in kept] == ["text", "text?seed=2"]
    sent = json.loads(kept[0].header.request or "")
    assert list(sent.items()) == list((json.loads(body) | {"model": "text"}).items())
    assert [dict(each.header.headers)["content-type"] for each in kept] == ["application/json"] * 2


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["openai/text"], 2, "ask it something"),
        (["openai/text", "hi", "--dialect", "dashscope-native"], 2, "openai-responses"),
        (["openai/text", "hi", "--dialect", "gemini"], 2, "--body"),
        (["--body", "/nonexistent"], 1, "/nonexistent"),
        (["nobody/x", "hi"], 1, "not known here"),
        (["deepseek/x", "hi"], 1, "DEEPSEEK_API_KEY"),
        (["openai/error-429", "hi"], 1, "refused (429)"),
        (["openai/text?fault=reset&at=3", "hi"], 1, "reset: "),
        (["--url", "http://127.0.0.1:1", "sim/text", "hi"], 4, "unreachable"),
        (["sim/text", "hi", "--out", "/dev/null/x"], 1, "/dev/null/x"),
        (["--anonymise", "nothing"], 1, "no such recording"),
        (["--import", "/nonexistent"], 1, "/nonexistent"),
        (["--scenario", "nothing"], 1, "no such recording"),
        (["--scenario", "/etc/hostname"], 1, "is no recording"),
    ],
)
def test_what_goes_wrong_is_said_in_words(env: dict[str, str], arguments: list[str], code: int, said: str) -> None:
    done = thalweg("record", *arguments, env=env)
    assert (done.returncode, said in done.stderr) == (code, True), done.stderr
    assert "Traceback" not in done.stderr


def test_an_interruption_keeps_what_was_heard(tmp_path: Path, env: dict[str, str]) -> None:
    command = [sys.executable, "-m", "thalweg", "record", "openai/endless?pace=200", "hi"]
    process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    shelf = Shelf(tmp_path / "recordings")
    until(lambda: shelf.names() and look_at(shelf).reads > 3)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert (process.returncode, b"Traceback" in said) == (130, False)
    assert look_at(shelf).end == "left"


def test_an_import_is_the_body_frame_by_frame_and_anonymous_without_its_words(
    tmp_path: Path, env: dict[str, str]
) -> None:
    delta = '{"id":"x","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":%s,"finish_reason":%s}]}'
    frames = [delta % ('{"content":"Confidential"}', "null"), delta % ("{}", '"stop"'), "[DONE]"]
    body = "".join(f"data: {frame}\n\n" for frame in frames)
    (tmp_path / "a talk.sse").write_text(body)
    done = thalweg("record", "--import", str(tmp_path / "a talk.sse"), env=env)
    assert done.returncode == 0, done.stderr
    imported = Path(done.stdout.strip())
    reads = [json.loads(line) for line in imported.read_text().splitlines()][1:-1]
    assert [read["text"] for read in reads] == [f"data: {frame}\n\n" for frame in frames]
    done = thalweg("record", "--anonymise", look(imported).name, env=env)
    assert done.returncode == 0, done.stderr
    made = Path(done.stdout.strip())
    assert "Confidential" not in made.read_text()
    assert made.name == f"{look(imported).name}-anonymous.jsonl"
    assert look(made).header.request is None
    with served(tmp_path) as server:
        asked = {"messages": [{"role": "user", "content": "x"}]}
        said = [
            ask(server.port, CHAT, json.dumps(asked | {"model": f"replay/{look(file).name}"}).encode()).json
            for file in (imported, made)
        ]
    texts = [each["choices"][0]["message"]["content"] for each in said]
    assert texts[0] == "Confidential"
    assert len(texts[1]) == len(texts[0])


CALLS = {
    "stream": True,
    "stream_options": {"include_usage": True},
    "messages": [{"role": "user", "content": "Weather in 杭州?"}],
    "tools": [{"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}],
}


def test_a_recording_becomes_a_scenario_that_any_client_can_ask_for(tmp_path: Path, env: dict[str, str]) -> None:
    """Made while the server runs: it is there at once, in two dialects, with its time, and with a fault."""
    (tmp_path / "q.json").write_text(json.dumps(CALLS | {"model": "openai/agent?pace=200&ttft=0.3"}))
    with served(tmp_path) as server:
        kept = look(Path(thalweg("record", "--body", str(tmp_path / "q.json"), env=env).stdout.strip()))
        made = thalweg("record", "--scenario", kept.name, env=env)
        assert made.returncode == 0, made.stderr
        file = Path(made.stdout.strip())
        assert (file.name, file.stat().st_mode & 0o777) == (f"{kept.name}.scenario.json", 0o600)
        assert made.stderr.startswith("whole: pieces: ")
        model = f"sim/scenario/{kept.name}"
        began = time.monotonic()
        one = chat(server.port, model)
        assert time.monotonic() - began >= 0.9 * kept.duration_ms / 1000
        two = messages(server.port, f"{model}?ttft=0&pace=0")
        assert (one["reasoning"], one["calls"]) == (two["reasoning"], two["calls"])
        assert one["calls"]
        assert one["usage"] == two["usage"] == (kept.usage["input_tokens"], kept.usage["output_tokens"])
        broken = ask(server.port, CHAT, json.dumps(CALLS | {"model": f"{model}?fault=reset&at=4&pace=0"}).encode())
        assert b"upstream_broke_off" in broken.body
        assert b"[DONE]" not in broken.body
        listed = json.loads(ask(server.port, "/v1/models", method="GET").body)["data"]
        assert model in [row["id"] for row in listed]
        none = ask(server.port, CHAT, json.dumps(CALLS | {"model": "sim/scenario/none"}).encode())
        assert (none.status, "scenario/none" in none.json["error"]["message"]) == (404, True)


def chat(port: int, model: str) -> dict[str, Any]:
    """What a client of Chat reads."""
    answer = decode(ask(port, CHAT, json.dumps(CALLS | {"model": model}).encode()).body, "openai-chat")
    return read(answer)


def messages(port: int, model: str) -> dict[str, Any]:
    """What a client of Anthropic's reads."""
    asked = {
        "model": model,
        "max_tokens": 3000,
        "thinking": {"type": "enabled", "budget_tokens": 2000},
        "messages": [{"role": "user", "content": "x"}],
    }
    return read(decode(ask(port, "/anthropic/v1/messages", json.dumps(asked).encode()).body, "anthropic"))


def read(answer: Response) -> dict[str, Any]:
    parts = answer.choices[0].parts
    assert answer.usage is not None
    return {
        "reasoning": "".join(part.text for part in parts if isinstance(part, Reasoning)),
        "calls": [(part.name, json.loads(part.arguments)) for part in parts if isinstance(part, ToolCall)],
        "usage": (answer.usage.input_tokens, answer.usage.output_tokens),
    }


def test_a_refusal_becomes_a_scenario_that_refuses(tmp_path: Path, env: dict[str, str]) -> None:
    asked = thalweg("record", "openai/error-429?retry_after=7", "hi", env=env)
    made = thalweg("record", "--scenario", asked.stdout.strip(), env=env)
    assert (made.returncode, made.stderr.startswith("refused (429): ")) == (0, True), made.stderr
    name = look(Path(asked.stdout.strip())).name
    with served(tmp_path) as server:
        body = {"contents": [{"parts": [{"text": "x"}]}]}
        path = f"/v1beta/models/sim/scenario/{name}:generateContent"
        answer = ask(server.port, path, json.dumps(body).encode())
        assert (answer.status, answer.headers["retry-after"]) == (429, "7")
        assert answer.json["error"]["status"] == "RESOURCE_EXHAUSTED"


def test_what_a_scenario_cannot_have_is_told(tmp_path: Path, env: dict[str, str]) -> None:
    found = {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []}
    said = {"type": "text", "text": "Found."}
    body = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [found, said],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 1, "output_tokens": 1},
    }
    (tmp_path / "answer.json").write_text(json.dumps(body))
    imported = thalweg("record", "--import", str(tmp_path / "answer.json"), "--dialect", "anthropic", env=env)
    made = thalweg("record", "--scenario", imported.stdout.strip(), env=env)
    assert made.returncode == 0, made.stderr
    assert made.stderr.splitlines()[1:] == ["Parts that a scenario cannot have, left out: 1"]


def test_of_an_anonymous_recording_the_scenario_is_anonymous(tmp_path: Path, env: dict[str, str]) -> None:
    asked = thalweg("record", "openai/text?pace=0&ttft=0", "Confidential", env=env)
    anonymous = thalweg("record", "--anonymise", asked.stdout.strip(), env=env)
    made = thalweg("record", "--scenario", anonymous.stdout.strip(), env=env)
    assert made.returncode == 0, made.stderr
    assert "Confidential" not in Path(made.stdout.strip()).read_text()


def test_scenarios_are_listed_and_one_that_is_none_is_named(tmp_path: Path, env: dict[str, str]) -> None:
    folder = tmp_path / "some"
    asked = thalweg("record", "sim/text?pace=0", "hi", "--out", str(folder), env=env)
    name = look(Path(asked.stdout.strip())).name
    thalweg("record", "--scenario", asked.stdout.strip(), "--out", str(folder), env=env)
    (folder / "broken.scenario.json").write_text('{"form": 1, "steps": [{"type": "sing"}]}')
    done = thalweg("recordings", str(folder), "--json", env=env)
    assert done.returncode == 1
    assert "broken cannot be read" in done.stderr
    assert "steps[0]" in done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(line["name"], line["kind"]) for line in lines] == [(name, "recording"), (name, "scenario")]
    assert lines[1]["end"] == "whole"
    assert lines[1]["pieces"] > 3
    shown = thalweg("recordings", str(folder), env=env | {"COLUMNS": "200"}).stdout
    assert "scenario" in shown
    assert f"pieces: {lines[1]['pieces']}" in shown


def test_the_simulator_on_a_port_of_its_own_tells_them_too(tmp_path: Path, env: dict[str, str]) -> None:
    folder = tmp_path / "some"
    asked = thalweg("record", "sim/text?pace=0", "深泓", "--out", str(folder), env=env)
    name = look(Path(asked.stdout.strip())).name
    thalweg("record", "--scenario", asked.stdout.strip(), "--out", str(folder), env=env)
    command = [sys.executable, "-m", "thalweg", "simulate", "--port", "0", "--scenarios", str(folder)]
    process = subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        port = int(process.stderr.readline().split(":")[-1].split("/")[0])
        body = {"model": f"scenario/{name}", "messages": [{"role": "user", "content": "whatever"}]}
        answer = ask(port, CHAT, json.dumps(body).encode())
        assert "深泓" in answer.json["choices"][0]["message"]["content"]
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


def test_a_list_names_what_cannot_be_read_and_shows_the_rest(tmp_path: Path, env: dict[str, str]) -> None:
    folder = tmp_path / "some"
    assert thalweg("recordings", str(folder), env=env).stderr == "thalweg: There are no recordings in ~/some.\n"
    thalweg("record", "sim/text", "hi", "--out", str(folder), env=env)
    (folder / "broken.jsonl").write_text("?")
    done = thalweg("recordings", str(folder), env=env)
    assert (done.returncode, len(done.stdout.splitlines())) == (1, 2)
    assert done.stderr.startswith("thalweg: broken cannot be read: ")


def look_at(shelf: Shelf) -> Kept:
    file = shelf.find(shelf.names()[0])
    assert file is not None
    return look(file)
