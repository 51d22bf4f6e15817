"""No key leaves the gateway: in no answer, log, file, or text of the settings (RELIABILITY, I11)."""

from __future__ import annotations

import io
import json
import logging
import re
from pathlib import Path

import pytest
from rich.console import Console

from tests.server.gateway import (
    CHAT,
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

GATEWAY = "canary-gateway-7f3a9d2e61"
OPENAI = "sk-canary-openai-1c9e7b4a"
ARK = "canary-ark-0b55d1e0-8a77"
PROXY = "canary-proxy-6e21"
CANARIES = (GATEWAY, OPENAI, ARK, PROXY)
OFFERED = "sk-canary-offered-99aa31"


def echo(asked: bytes) -> bytes:
    """What an upstream might say that repeats the key it was given. The model's name says how."""
    key = re.search(rb"authorization: bearer (\S+)", asked, re.IGNORECASE)
    assert key is not None
    text = f"Incorrect API key provided: {key[1].decode()}. Find yours at https://upstream.example."
    error = {"message": text, "type": "invalid_request_error", "param": None, "code": "invalid_api_key"}
    body = json.dumps({"error": error}).encode()
    how = json.loads(asked.partition(b"\r\n\r\n")[2])["model"]
    if how.isdigit():
        return answer(int(how), body)
    chunk = b'data: {"id":"x","object":"chat.completion.chunk","created":1,"model":"m","choices":[%b]}\n\n'
    start = chunk % b'{"index":0,"delta":{"role":"assistant","content":"x"},"finish_reason":null}'
    return {
        "html": lambda: answer(500, f"<html>{text}</html>".encode(), "text/html"),
        "flat": lambda: answer(400, json.dumps({"message": text, "code": 1}).encode()),
        "header": lambda: answer(500, body).replace(
            b"connection:", b"set-cookie: k=%b\r\nlocation: /%b\r\nconnection:" % (key[1], key[1])
        ),
        "good-then-error": lambda: answer(200, b"data: " + body + b"\n\n", "text/event-stream"),
        "middle": lambda: answer(200, start + b"data: " + body + b"\n\n", "text/event-stream"),
        "not-http": lambda: key[1] + b"\r\n\r\n",
        "cut": lambda: answer(200, start, "text/event-stream").replace(b"content-length: ", b"content-length: 9"),
    }[how]()


HOW = (
    "401",
    "402",
    "403",
    "400",
    "404",
    "429",
    "500",
    "503",
    "html",
    "flat",
    "header",
    "good-then-error",
    "middle",
    "not-http",
    "cut",
)


def everything_said(gateway: Running) -> list[bytes]:
    """A mixed set of requests, right and wrong ones, and all that came back."""
    port, said = gateway.port, []

    def note(reply: Reply) -> None:
        said.append(repr(reply).encode() + reply.body)

    for stream in (True, False):
        for how in HOW:
            note(ask(port, CHAT, chat(f"openai/{how}", stream=stream), key=GATEWAY))
        for how in ("401", "402", "403"):
            note(ask(port, CHAT, chat(f"ark/{how}", stream=stream), key=GATEWAY))
        note(ask(port, CHAT, chat("sim/text?pace=0", stream=stream), key=GATEWAY))
        note(ask(port, CHAT, chat("sim/text?fault=reset&pace=0", stream=False), key=GATEWAY))
    for path in (CHAT, "/v1/models", "/nothing", "/anthropic/v1/messages", "/v1beta/models/x:generateContent"):
        for method in ("GET", "POST", "DELETE"):
            note(ask(port, f"{path}?key={GATEWAY}", method=method, key=GATEWAY))
            note(ask(port, f"{path}?key={OFFERED}", method=method, key=OFFERED))
            note(ask(port, f"{path}?key={OFFERED}", method=method, key=GATEWAY))
    note(ask(port, CHAT, b"{", key=GATEWAY))
    note(ask(port, f"/streams/{'0' * 44}?key={GATEWAY}", method="DELETE", key=None))
    for bad in (b"bad header\r\n", b"host: b\r\n", b"x: " + b"y" * 40_000 + b"\r\n"):
        with Caller(port) as caller:
            caller.send(request(f"{CHAT}?key={GATEWAY}", chat(), key=GATEWAY).replace(b"host:", bad + b"host:"))
            said.append(caller.rest())
    return said


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {
        "THALWEG_API_KEY": GATEWAY,
        "OPENAI_API_KEY": OPENAI,
        "ARK_API_KEY": ARK,
        "THALWEG_HOME": str(tmp_path),
    }


def test_no_key_comes_out(
    environment: dict[str, str],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    with Upstream(echo) as upstream:
        where = {"OPENAI_BASE_URL": upstream.url, "ARK_BASE_URL": upstream.url}
        settings = settings_of(tmp_path, key=None, **environment | where, THALWEG_ATTEMPTS="1")
        with running(settings, on_disk=True) as gateway:
            said = everything_said(gateway)
    assert len(upstream.requests) == 2 * (len(HOW) + 3)
    assert all((OPENAI.encode() in asked) != (ARK.encode() in asked) for asked in upstream.requests)
    assert not any(GATEWAY.encode() in asked for asked in upstream.requests)
    log = "\n".join([caplog.text, *(str(vars(record)) for record in caplog.records)])
    files = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"/v1/chat/completions" in files, "the ledger was not looked at"
    for canary in (*CANARIES, OFFERED):
        assert [each for each in said if canary.encode() in each] == []
        assert canary.encode() not in files
        assert canary not in log
        assert canary not in "".join(capfd.readouterr())


@pytest.mark.parametrize("status", [401, 402, 403])
@pytest.mark.parametrize("stream", [True, False])
def test_an_upstream_that_refuses_our_key_is_a_502_that_names_the_variable(
    environment: dict[str, str], status: int, stream: bool
) -> None:
    with Upstream(echo) as upstream:
        settings = settings_of(key=None, **environment | {"ARK_BASE_URL": upstream.url})
        with running(settings) as gateway:
            reply = ask(gateway.port, CHAT, chat(f"ark/{status}", stream=stream), key=GATEWAY)
            assert reply.status == 502
            assert "ark" in reply.said
            assert "ARK_API_KEY" in reply.said
            assert reply.headers["x-should-retry"] == "false"
            assert gateway.ledger.last_entries(1)[0].upstream_status == status


def test_a_settings_text_hides_its_keys(environment: dict[str, str]) -> None:
    proxy = {"THALWEG_PROXY": f"http://user:{PROXY}@proxy.example:3128"}
    settings = settings_of(key=None, **environment | proxy)
    rich = io.StringIO()
    Console(file=rich, width=1000).print(settings)
    for text in (repr(settings), str(settings), f"{settings!r:>10}", rich.getvalue()):
        assert "host" in text
        assert "127.0.0.1" in text
        assert not any(canary in text for canary in CANARIES)


def test_a_key_goes_to_no_address_that_a_request_names(environment: dict[str, str]) -> None:
    """No field, header or query can say where a key goes (RELIABILITY, R1)."""
    with Upstream(lambda _: answer(500, b"{}")) as canary:
        settings = settings_of(key=None, **environment | {"OPENAI_BASE_URL": "http://127.0.0.1:1/v1"})
        names = (
            "base_url",
            "api_base",
            "url",
            "host",
            "endpoint",
            "proxy",
            "upstream",
            "x-thalweg-upstream",
            "x-base-url",
        )
        with running(settings) as gateway:
            for name in names:
                for target in (CHAT, f"{CHAT}?{name}={canary.url}"):
                    headers = {} if name == "host" else {name: canary.url}
                    reply = ask(
                        gateway.port, target, chat("openai/x", **{name: canary.url}), key=GATEWAY, headers=headers
                    )
                    assert reply.status == 502
            for name in (canary.url, f"openai/{canary.url}", f"openai/../../{canary.url}"):
                assert ask(gateway.port, CHAT, chat(name), key=GATEWAY).status in (404, 502)
        assert canary.requests == []


@pytest.mark.parametrize("how", ["400", "500", "flat", "middle"])
def test_a_key_of_unusual_looks_that_an_upstream_repeats_is_hidden_too(environment: dict[str, str], how: str) -> None:
    with Upstream(echo) as upstream:
        settings = settings_of(key=None, **environment | {"ARK_BASE_URL": upstream.url})
        with running(settings) as gateway:
            assert ARK.encode() not in ask(gateway.port, CHAT, chat(f"ark/{how}", stream=True), key=GATEWAY).body
