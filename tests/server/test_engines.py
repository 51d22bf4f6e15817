"""Engines on this machine: who is asked and how, what is taken for an engine, and what an answer may not do."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from msgspec.structs import replace

from tests.server.gateway import ask, running, settings_of
from thalweg.canon.origin import Credential, Origin
from thalweg.config import Settings
from thalweg.server import engines
from thalweg.server.engines import MOST_ANSWER_BYTES, MOST_MODELS, Engines, Found, find_engines

Answer = tuple[int, bytes] | Callable[[BaseHTTPRequestHandler], None]


def models(*names: str, owner: Any = "vllm") -> bytes:
    rows = [{"id": name, "object": "model", "created": 1, "owned_by": owner} for name in names]
    return json.dumps({"object": "list", "data": rows}).encode()


class Engine:
    """A program on a loopback port that answers each path with what the test says, and 404 otherwise."""

    def __init__(self, **answers: Answer) -> None:
        self.answers = {f"/{name.replace('_', '/')}": answer for name, answer in answers.items()}
        self.asked: list[tuple[str, dict[str, str]]] = []
        engine = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                engine.asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
                answer = engine.answers.get(self.path, (404, b"{}"))
                if callable(answer):
                    answer(self)
                    return
                status, body = answer
                self.send_response(status)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                with contextlib.suppress(OSError):
                    self.wfile.write(body)

            def log_message(self, *_: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def __enter__(self) -> Engine:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def at(settings: Settings, *, placed: bool = False, **ports: int) -> Settings:
    """The settings with providers at these ports, as if their usual ones were these; unless `placed`."""
    providers = dict(settings.providers)
    for name, port in ports.items():
        providers[name] = replace(providers[name], origin=Origin("http", "127.0.0.1", port), placed=placed)
    return replace(settings, providers=providers)


def only(*names: str) -> Settings:
    """Settings that look for these engines and no others."""
    settings = replace(settings_of(), find_engines=True)
    wanted = {name: each for name, each in settings.providers.items() if name in names or each.row.needs_key}
    return replace(settings, providers=wanted)


def find(settings: Settings) -> Found:
    return asyncio.run(find_engines(settings))


# Who is it?

VERSION = (200, b'{"version":"0.9.1"}')
IDENTIFIED: list[tuple[str, str, dict[str, Answer], tuple[str, ...] | None]] = [
    ("vllm", "by its owner", {"v1_models": (200, models("a", "b/c"))}, ("a", "b/c")),
    ("vllm", "another server", {"v1_models": (200, models("a", owner="sglang"))}, None),
    ("vllm", "no owner", {"v1_models": (200, models("a", owner=None))}, None),
    ("vllm", "no list", {"v1_models": (200, b'{"object":"list"}')}, None),
    ("vllm", "without models", {"v1_models": (200, models())}, None),
    ("ollama", "by its library", {"v1_models": (200, models("llama3:8b", owner="library"))}, ("llama3:8b",)),
    ("ollama", "by its version", {"v1_models": (200, models("me/x", owner="me")), "api_version": VERSION}, ("me/x",)),
    ("ollama", "without models", {"v1_models": (200, b'{"data":null}'), "api_version": VERSION}, ()),
    ("ollama", "another", {"v1_models": (200, models("x", owner="me"))}, None),
    ("ollama", "no version", {"v1_models": (200, models("x", owner="me")), "api_version": (200, b"{}")}, None),
    ("ollama", "no object", {"v1_models": (200, models("x", owner="me")), "api_version": (200, b"[]")}, None),
    ("llamacpp", "by its owner", {"v1_models": (200, models("q.gguf", owner="llamacpp"))}, ("q.gguf",)),
    ("llamacpp", "another gateway", {"v1_models": (200, models("sim/text", owner="thalweg"))}, None),
    ("lmstudio", "by its owner", {"v1_models": (200, models("q/w", owner="organization_owner"))}, ("q/w",)),
    ("lmstudio", "another", {"v1_models": (200, models("q/w", owner="openai"))}, None),
]


@pytest.mark.parametrize(
    ("name", "answers", "found"),
    [(name, answers, found) for name, _, answers, found in IDENTIFIED],
    ids=[f"{name}, {what}" for name, what, *_ in IDENTIFIED],
)
def test_an_engine_at_its_usual_port_says_who_it_is(
    name: str, answers: dict[str, Answer], found: tuple[str, ...] | None
) -> None:
    with Engine(**answers) as engine:
        assert find(at(only(name), **{name: engine.port})) == ({} if found is None else {name: found})


@pytest.mark.parametrize("name", ["vllm", "ollama", "llamacpp", "lmstudio"])
def test_at_an_address_that_was_given_nobody_doubts(name: str) -> None:
    with Engine(v1_models=(200, models("x", owner="sglang"))) as engine:
        assert find(at(only(name), placed=True, **{name: engine.port})) == {name: ("x",)}
    with Engine(v1_models=(200, b"<html>")) as engine:
        assert find(at(only(name), placed=True, **{name: engine.port})) == {}


def test_an_added_provider_on_this_machine_is_asked_too() -> None:
    with Engine(v1_models=(200, models("org/x", owner=None))) as engine:
        env = {"THALWEG_PROVIDER_NEAR_BASE_URL": f"http://localhost:{engine.port}/v1"}
        assert find(settings_of(**env)) == {"near": ("org/x",)}


# What an answer may not do.


def hang(_: BaseHTTPRequestHandler) -> None:
    threading.Event().wait(2)


def trickle(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    with contextlib.suppress(OSError):
        for _ in range(100):
            handler.wfile.write(b" ")
            threading.Event().wait(0.02)


def elsewhere(port: int) -> Callable[[BaseHTTPRequestHandler], None]:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(302)
        handler.send_header("location", f"http://127.0.0.1:{port}/v1/models")
        handler.send_header("content-length", "0")
        handler.end_headers()

    return answer


def garbage(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"\x00\xff SSH-2.0\r\n\r\n")


def zipped(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("content-encoding", "gzip")
    handler.send_header("content-length", "4")
    handler.end_headers()
    handler.wfile.write(b"\x1f\x8b\x08\x00")


BAD: dict[str, Answer] = {
    "an error": (500, models("x")),
    "a wish for a key": (401, b"{}"),
    "nothing": (200, b""),
    "half of a JSON": (200, models("x")[:-5]),
    "a list": (200, b"[]"),
    "data of another kind": (200, b'{"data":"x"}'),
    "a model without a name": (200, b'{"data":[{"owned_by":"vllm"}]}'),
    "a name that is a number": (200, b'{"data":[{"id":5,"owned_by":"vllm"}]}'),
    "an endless depth": (200, b'{"data":' + b"[" * 100_000),
    "too much": (200, models("x").replace(b'"data"', b'"pad":"' + b"x" * MOST_ANSWER_BYTES + b'","data"')),
    "half a character": (200, b'{"data":[{"id":"\xff","owned_by":"vllm"}]}'),
    "silence": hang,
    "a trickle": trickle,
    "no HTTP": garbage,
    "a packed body": zipped,
}


@pytest.mark.parametrize("bad", BAD)
def test_what_is_no_list_of_models_is_no_engine_and_costs_little_time(bad: str) -> None:
    with Engine(v1_models=BAD[bad]) as engine:
        begun = time.monotonic()
        assert find(at(only("vllm"), placed=True, vllm=engine.port)) == {}
        assert time.monotonic() - begun < 1.5


def test_nobody_there_is_nobody_found() -> None:
    with Engine() as engine:
        port = engine.port
    assert find(at(only("vllm"), vllm=port)) == {}


def test_a_redirection_is_not_followed() -> None:
    with Engine(v1_models=(200, models("x"))) as other, Engine(v1_models=elsewhere(other.port)) as engine:
        assert find(at(only("vllm"), placed=True, vllm=engine.port)) == {}
        assert other.asked == []


def test_names_that_a_terminal_would_obey_and_endless_lists_are_cut() -> None:
    names = ["good", "\x1b[2Jbad", "new\nline", "x" * 201, *(f"m{i}" for i in range(MOST_MODELS))]
    with Engine(v1_models=(200, models(*names))) as engine:
        found = find(at(only("vllm"), vllm=engine.port))["vllm"]
    assert found == ("good", *(f"m{i}" for i in range(MOST_MODELS - 4)))


# Who is asked, and how.


def never_asked(settings: Settings) -> bool:
    return find(settings) == {}


def test_only_this_machine_is_asked_and_by_plain_http_only(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    ask_really = engines._ask

    async def note(client: Any, provider: Any) -> tuple[str, ...] | None:
        asked.append(str(provider.origin))
        return await ask_really(client, provider)

    monkeypatch.setattr(engines, "_ask", note)
    with Engine(v1_models=(200, models("x"))) as engine:
        settings = at(only("vllm"), placed=True, vllm=engine.port)
        vllm = settings.providers["vllm"]
        for origin in (
            Origin("http", "192.0.2.1", engine.port),
            Origin("http", "gpu.example", engine.port),
            Origin("https", "127.0.0.1", engine.port),
            Origin("http", "127.0.0.1.example", engine.port),
        ):
            assert never_asked(replace(settings, providers={"vllm": replace(vllm, origin=origin)}))
        assert never_asked(replace(settings, simulate=True))
        assert never_asked(replace(settings, providers={"vllm": replace(vllm, is_self=True)}))
        usual = at(settings, vllm=engine.port)
        assert never_asked(replace(usual, find_engines=False))
        assert asked == []
        assert find(replace(settings, find_engines=False)) == {"vllm": ("x",)}, "where a variable says"
        assert asked == [f"http://127.0.0.1:{engine.port}"]


def test_providers_elsewhere_are_never_asked() -> None:
    with Engine(v1_models=(200, models("x"))) as engine:
        settings = settings_of(OPENAI_API_KEY="sk-1", OPENAI_BASE_URL=f"http://127.0.0.1:{engine.port}/v1")
        assert never_asked(settings)
        assert engine.asked == []


def test_a_question_carries_the_hop_mark_and_a_key_only_where_one_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with Engine(v1_models=(200, models("x"))) as engine:
        settings = at(only("vllm"), vllm=engine.port)
        assert find(settings) == {"vllm": ("x",)}
        origin = settings.providers["vllm"].origin
        key = Credential(origin=origin, header=b"authorization", value=b"Bearer key-1")
        keyed = {"vllm": replace(settings.providers["vllm"], credential=key)}
        assert find(replace(settings, providers=keyed)) == {"vllm": ("x",)}
        (path, plain), (_, with_key) = engine.asked
    assert path == "/v1/models"
    assert plain["x-thalweg-hop"] == "1"
    assert "authorization" not in plain
    assert with_key["authorization"] == "Bearer key-1"


def test_all_are_asked_at_once() -> None:
    names = ("vllm", "ollama", "llamacpp", "lmstudio")
    all_there = threading.Barrier(len(names), timeout=5)

    def together(handler: BaseHTTPRequestHandler) -> None:
        all_there.wait()
        body = models("x")
        handler.send_response(200)
        handler.send_header("content-length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    with contextlib.ExitStack() as running_engines:
        ports = {name: running_engines.enter_context(Engine(v1_models=together)).port for name in names}
        assert find(at(only(*names), placed=True, **ports)) == dict.fromkeys(names, ("x",))


def test_several_that_look_look_together_and_what_was_found_holds_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    with Engine(v1_models=(200, models("x"))) as engine:
        settings = at(only("vllm"), vllm=engine.port)

        async def looks() -> list[Found]:
            looking = Engines(settings)
            assert looking.found == {}
            return [*await asyncio.gather(*(looking.look() for _ in range(5))), await looking.look()]

        assert asyncio.run(looks()) == [{"vllm": ("x",)}] * 6
        assert len(engine.asked) == 1
        monkeypatch.setattr(engines, "FRESH_S", 0.0)
        asyncio.run(looks())
        assert len(engine.asked) == 7


# In the gateway.


@pytest.fixture(scope="module")
def ollama() -> Iterator[Engine]:
    with Engine(v1_models=(200, models("llama3:8b", "me/own", owner="library"))) as engine:
        yield engine


def test_a_found_engine_s_models_are_listed_and_it_is_named(ollama: Engine) -> None:
    with running(at(only("ollama", "vllm"), ollama=ollama.port, vllm=1)) as gateway:
        rows = {row["id"]: row for row in ask(gateway.port, "/v1/models", method="GET").json["data"]}
        assert {"ollama/llama3:8b", "ollama/me/own", "sim/text"} <= set(rows)
        assert (rows["ollama/me/own"]["owned_by"], rows["ollama/me/own"]["configured"]) == ("ollama", False)
        assert ask(gateway.port, "/v1/models/ollama/me/own", method="GET").json["id"] == "ollama/me/own"
        listed = ask(gateway.port, "/providers", method="GET").json["providers"]
        first, second, *_ = listed
        assert (first["name"], first["found"], first["ready"], first["configured"]) == ("ollama", True, True, False)
        assert first["host"] == f"127.0.0.1:{ollama.port}"
        assert first["models"] == ["ollama/llama3:8b", "ollama/me/own"]
        assert not second["ready"]
        vllm = next(row for row in listed if row["name"] == "vllm")
        assert (vllm["found"], vllm["ready"], vllm["models"]) == (False, False, [])


def test_a_gateway_that_looks_is_not_looked_at_in_turn(ollama: Engine) -> None:
    """Two that looked at each other would each wait for the other."""
    before = len(ollama.asked)
    with running(at(only("ollama"), ollama=ollama.port)) as gateway:
        hop = {"x-thalweg-hop": "1"}
        rows = ask(gateway.port, "/v1/models", method="GET", headers=hop).json["data"]
        assert all(row["owned_by"] == "thalweg" for row in rows)
    assert len(ollama.asked) == before
