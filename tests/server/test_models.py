"""Names that are prefixed, bare, misspelt or another's; what is offered; and what is refused in whose name."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.server.gateway import CHAT, KEY, Running, Upstream, answer, ask, chat, running, settings_of
from thalweg.canon.errors import NotFound
from thalweg.config import Settings
from thalweg.dialects.openai_chat.request import ChatRequest
from thalweg.dialects.registry import DIALECTS
from thalweg.profiles.providers import MODELS_DATE, PROVIDERS, SIMULATORS
from thalweg.server.engines import Engines, Found
from thalweg.server.models import MOST_KNOWN, Directory, Routes, Target, offers

COMPATIBLE_MODE = "/compatible-mode/v1/chat/completions"
RELAY = {"THALWEG_PROVIDER_RELAY_BASE_URL": "http://relay:1/v1"}
BOTH = {"OPENAI_API_KEY": "sk-openai-1", "ARK_API_KEY": "ark-key-1"}


def target_of(
    name: str, *, path: str = CHAT, dialect: str = "openai-chat", found: Found | None = None, **env: str
) -> Target:
    settings = settings_of(**env)
    engines = Engines(settings)
    engines.found = found or {}
    target = Directory(settings, engines).resolve(ChatRequest(chat(name)), path, dialect)
    assert target.provider is None or target.row is target.provider.row
    return target


def resolve(name: str, **how: Any) -> tuple[str | None, str]:
    target = target_of(name, **how)
    return (target.provider.row.name if target.provider else None, target.upstream_model)


@pytest.mark.parametrize("row", PROVIDERS, ids=lambda row: row.name)
def test_every_provider_is_called_by_its_name(row: Any) -> None:
    env = {row.key_variable: "key-1"} if row.needs_key else {}
    assert resolve(f"{row.name}/org/model:tag", **env) == (row.name, "org/model:tag")
    for model in row.models:
        assert resolve(f"{row.name}/{model}", **env) == (row.name, model)


def routes_of(
    directory: Directory, name: str, *, path: str = CHAT, dialect: str = "openai-chat", **more: Any
) -> Routes:
    return directory.routes(ChatRequest(chat(name, **more)), path, dialect)


def test_what_a_provider_s_name_means_is_found_out_once_for_each_dialect_and_is_the_same() -> None:
    directory = Directory(settings_of(DASHSCOPE_API_KEY="key-1", DEEPSEEK_API_KEY="key-2"))
    for _ in range(2):
        for name, dialect in (
            ("dashscope/q", "openai-chat"),
            ("dashscope/q", "dashscope-native"),
            ("dashscope/r", "dashscope-native"),
        ):
            target = routes_of(directory, name, dialect=dialect).targets[0]
            fresh = Directory(settings_of(DASHSCOPE_API_KEY="key-1", DEEPSEEK_API_KEY="key-2"))
            assert target == routes_of(fresh, name, dialect=dialect).targets[0]
            assert target.row.dialect == dialect and target.upstream_model == name[-1]
    assert routes_of(directory, "dashscope/q") is routes_of(directory, "dashscope/q")


def test_a_name_whose_meaning_can_change_is_looked_up_each_time() -> None:
    """A bare name means another engine's model when that is found, and a mount's only there."""
    settings = settings_of(OPENAI_API_KEY="sk-openai-1", ARK_API_KEY="ark-key-1")
    engines = Engines(settings)
    directory = Directory(settings, engines)
    with pytest.raises(NotFound):
        routes_of(directory, "own-model")
    assert routes_of(directory, "own-model", path="/api/v3/chat/completions").targets[0].row.name == "ark"
    with pytest.raises(NotFound):
        routes_of(directory, "own-model")
    engines.found = {"ollama": ("own-model",)}
    assert routes_of(directory, "own-model").targets[0].row.name == "ollama"


def test_a_stand_in_is_chosen_for_each_request() -> None:
    directory = Directory(settings_of(THALWEG_SIMULATE="1", OPENAI_API_KEY="sk-openai-1"))
    tools = [{"type": "function", "function": {"name": "f"}}]
    assert routes_of(directory, "openai/m").targets[0].upstream_model == "text"
    assert routes_of(directory, "openai/m", tools=tools).targets[0].upstream_model == "tools"


def test_no_more_names_are_kept_than_so_many() -> None:
    directory = Directory(settings_of(**BOTH))
    for number in range(MOST_KNOWN + 1):
        routes_of(directory, f"openai/{number}")
    assert len(directory._known) == 1


def test_the_keys_of_a_provider_go_with_its_models() -> None:
    target = target_of("openai/m", OPENAI_API_KEY="sk-openai-1")
    assert [key.name for key in target.keys] == ["OPENAI_API_KEY"]
    assert target.provider is not None and target.keys[0].credential == target.provider.credential
    assert target_of("sim/text").keys == () == target_of("ollama/m").keys


FAMILIES = {
    "gpt-5.4-mini": "openai",
    "o3": "openai",
    "claude-sonnet-4-6": "anthropic",
    "Claude-Haiku-4-5-20251001": "anthropic",
    "gemini-2.5-flash": "google",
    "gemma-3-27b-it": "google",
    "doubao-seed-1-8-251215": "ark",
    "ep-20250101-x": "ark",
    "Ling-2.6-flash": "ling",
    "ring-2.6": "ling",
    "qwen-plus": "dashscope",
    "Qwen3-Max": "dashscope",
    "qwq-plus": "dashscope",
    "deepseek-v4-flash": "deepseek",
    "kimi-k3": "moonshot",
    "glm-4.7": "zhipu",
}


@pytest.mark.parametrize(("name", "provider"), FAMILIES.items())
def test_a_bare_name_of_a_family_is_its_provider_s(name: str, provider: str) -> None:
    keys = {row.key_variable: "key-1" for row in PROVIDERS if row.needs_key}
    assert resolve(name, **keys) == (provider, name)
    row = next(row for row in PROVIDERS if row.name == provider)
    with pytest.raises(NotFound, match=row.key_variable):
        resolve(name)


SECOND = [row for row in PROVIDERS if row.sibling_of]


@pytest.mark.parametrize("row", SECOND, ids=lambda row: row.name)
def test_a_client_of_a_provider_s_second_dialect_is_served_in_it(row: Any) -> None:
    env = {row.key_variable: "key-1"}
    for name in (f"{row.sibling_of}/m", f"{row.name}/m"):
        assert resolve(name, dialect=row.dialect, **env) == (row.name, "m")
    # Others are translated to the first, unless they name the second.
    for dialect in ("openai-chat", "anthropic", "gemini"):
        assert resolve(f"{row.sibling_of}/m", dialect=dialect, **env) == (row.sibling_of, "m")
        assert resolve(f"{row.name}/m", dialect=dialect, **env) == (row.name, "m")


def test_a_bare_name_leads_to_the_second_dialect_too() -> None:
    assert resolve("gpt-5", dialect="openai-responses", OPENAI_API_KEY="k") == ("openai-responses", "gpt-5")
    assert resolve("x", path="/api/v3/responses", dialect="openai-responses", ARK_API_KEY="k") == ("ark-responses", "x")
    assert resolve("anything", dialect="openai-responses", ARK_API_KEY="k") == ("ark-responses", "anything")


@pytest.mark.parametrize("vendor", SIMULATORS)
def test_the_simulator_is_called_in_each_of_its_dialects(vendor: str) -> None:
    target = target_of(f"{vendor}/text")
    assert (target.provider, target.upstream_model, target.row) == (None, "text", SIMULATORS[vendor])
    with pytest.raises(NotFound, match="no model"):
        target_of(f"{vendor}/")


FOUND: Found = {"ollama": ("gpt-oss:20b", "phi4", "both"), "lmstudio": ("both",)}


@pytest.mark.parametrize(
    ("name", "path", "env", "found", "target"),
    [
        ("relay/openai/gpt-5.4-mini", CHAT, RELAY, {}, ("relay", "openai/gpt-5.4-mini")),
        ("some-model", CHAT, RELAY, {}, ("relay", "some-model")),
        ("ollama/phi4", CHAT, {}, {}, ("ollama", "phi4")),
        ("phi4", CHAT, {}, FOUND, ("ollama", "phi4")),
        ("phi4", CHAT, BOTH, FOUND, ("ollama", "phi4")),
        ("llama3.2", CHAT, BOTH, {"ollama": ("llama3.2:latest",)}, ("ollama", "llama3.2")),
        ("gpt-oss:20b", CHAT, {}, FOUND, ("ollama", "gpt-oss:20b")),
        ("gpt-oss:20b", CHAT, BOTH, FOUND, ("openai", "gpt-oss:20b")),
        ("anything", CHAT, {}, {"ollama": ()}, ("ollama", "anything")),
        ("anything", CHAT, {"ARK_API_KEY": "a-key"}, {"ollama": ()}, ("ark", "anything")),
        ("anything", CHAT, {"OLLAMA_BASE_URL": "http://gpu:1/v1"}, {}, ("ollama", "anything")),
        ("antdigital/Ling-3.1-flash", COMPATIBLE_MODE, {"DASHSCOPE_API_KEY": "k"}, {}, ("dashscope", "antdigital/Ling-3.1-flash")),
        ("zhipu/glm-4.7", CHAT, {"ZAI_API_KEY": "k"}, {}, ("zhipu", "glm-4.7")),
    ],
)  # fmt: skip
def test_a_name_leads_to_a_provider(
    name: str, path: str, env: dict[str, str], found: Found, target: tuple[str, str]
) -> None:
    assert resolve(name, path=path, found=found, **env) == target


@pytest.mark.parametrize(
    ("name", "env", "said"),
    [
        ("both", {}, "provider/model"),
        ("anything", {}, "provider of: sim."),
        ("anything", BOTH, "provider of: openai, ark, sim."),
        ("opnai/gpt-5.4-mini", BOTH, "Is it openai/gpt-5.4-mini?"),
        ("OpenAI/gpt-5.4-mini", BOTH, "Is it openai/gpt-5.4-mini?"),
        ("deepsek/a/b", {}, "Is it deepseek/a/b?"),
        ("Sim/text", {}, "Is it sim/text?"),
        ("sim-anthropc/text", {}, "Is it sim-anthropic/text?"),
        ("antropic/claude-haiku-4-5", {}, "Is it anthropic/claude-haiku-4-5?"),
        ("gemini/gemini-2.5-flash", {}, "Is it google/gemini-2.5-flash?"),
        ("claude-haiku-4-5", {}, "needs ANTHROPIC_API_KEY"),
        ("google/gemini-2.5-flash", {}, "needs GEMINI_API_KEY or GOOGLE_API_KEY"),
        ("openai-responses/gpt-5", {}, "needs OPENAI_API_KEY"),
        ("openai-responses/", BOTH, "no model"),
        ("realy/x", RELAY, "Is it relay/x?"),
        ("zhipu/glm-4.7", {}, "needs ZHIPUAI_API_KEY or ZAI_API_KEY"),
        ("relay/", RELAY, "no model"),
        ("ollama/", {}, "no model"),
    ],
)
def test_a_name_that_leads_nowhere_says_what_to_do(name: str, env: dict[str, str], said: str) -> None:
    with pytest.raises(NotFound, match=re.escape(said)) as caught:
        resolve(name, found=FOUND if name == "both" else {}, **env)
    assert caught.value.param == "model"


def test_an_engine_whose_usual_port_is_ours_is_not_called() -> None:
    with pytest.raises(NotFound, match="LLAMACPP_BASE_URL") as caught:
        resolve("llamacpp/x", THALWEG_PORT="8080")
    assert caught.value.param == "model"
    moved = {"THALWEG_PORT": "8080", "LLAMACPP_BASE_URL": "http://127.0.0.1:8081/v1"}
    assert resolve("llamacpp/x", **moved) == ("llamacpp", "x")


# What is offered.


def test_every_provider_is_told_of_and_those_that_are_ready_come_first() -> None:
    settings = settings_of(DEEPSEEK_API_KEY="secret-of-deepseek", ZAI_API_KEY="secret-of-zai", **RELAY)
    told = offers(settings, {"vllm": ("m",)}, {})
    assert [offer.name for offer in told[:4]] == ["deepseek", "zhipu", "vllm", "relay"]
    assert {offer.name for offer in told} == {*(row.name for row in PROVIDERS if not row.sibling_of), "relay"}
    assert [offer.ready for offer in told] == [True] * 4 + [False] * (len(told) - 4)
    by_name = {offer.name: offer for offer in told}
    assert (by_name["vllm"].configured, by_name["vllm"].found, by_name["vllm"].models) == (False, True, ("vllm/m",))
    assert by_name["zhipu"].host == "api.z.ai:443"
    assert by_name["moonshot"].key_variables == ("MOONSHOT_API_KEY",)
    assert by_name["relay"].key_variables == ("THALWEG_PROVIDER_RELAY_API_KEY",)
    assert "secret" not in repr(told)


def test_the_list_of_providers_needs_the_gateway_s_key_and_shows_none() -> None:
    with running(settings_of(OPENAI_API_KEY="sk-secret-of-openai")) as gateway:
        assert ask(gateway.port, "/providers", method="GET", key=None).status == 401
        reply = ask(gateway.port, "/providers", method="GET")
        assert ask(gateway.port, "/providers", method="POST").status == 405
    assert reply.json["models_date"] == MODELS_DATE
    first = reply.json["providers"][0]
    assert first == {
        "name": "openai",
        "title": "OpenAI",
        "ready": True,
        "configured": True,
        "found": False,
        "needs_key": True,
        "key_variables": ["OPENAI_API_KEY"],
        "base_url_variable": "OPENAI_BASE_URL",
        "host": "api.openai.com:443",
        "models": [f"openai/{model}" for model in PROVIDERS[0].models],
    }
    assert b"secret" not in reply.body
    assert KEY.encode() not in reply.body


@pytest.mark.parametrize("mount", ["/v1", "/api/v3", "/compatible-mode/v1", "/openai/v1", "/anthropic/v1", "/v1beta"])
def test_models_of_providers_with_a_key_are_listed_on_every_mount(mount: str) -> None:
    with running(settings_of(ANT_LING_API_KEY="ling-key-1")) as gateway:
        answered = ask(gateway.port, f"{mount}/models", method="GET").json
        assert answered["models"] == answered["data"]
        rows = {row["id"]: row for row in answered["data"]}
        assert rows["ling/Ling-2.6-1T"]["owned_by"] == "ling"
        assert rows["ling/Ling-2.6-1T"]["configured"]
        assert not [name for name in rows if name.split("/")[0] not in ("sim", "ling")]
        assert ask(gateway.port, f"{mount}/models/ling/Ling-2.6-1T", method="GET").json == rows["ling/Ling-2.6-1T"]
        assert ask(gateway.port, f"{mount}/models/openai/gpt-5.4-mini", method="GET").status == 404


# Refused in whose name?


def with_key(row: Any, url: str) -> tuple[Settings, str]:
    return settings_of(**{row.key_variable: "a-key-of-ours", row.base_url_variable: url}), row.key_variable


def refusing(asked: bytes) -> bytes:
    """Answer with the status that the model's name says, and repeat the key."""
    head, _, body = asked.partition(b"\r\n\r\n")
    in_path = re.search(rb"/models/(\d+):", head)
    model = in_path[1] if in_path else json.loads(body)["model"]
    key = re.search(rb"(?i)(?:authorization: Bearer|x-api-key:|x-goog-api-key:) (\S+)", asked)
    told = {"message": f"{key[1].decode() if key else 'no key'} is not good", "code": "invalid_api_key"}
    return answer(int(model), json.dumps({"error": told}).encode())


@pytest.fixture(scope="module")
def refused() -> Iterator[tuple[Running, Running]]:
    """A gateway with the keys of all providers, and one with nobody's; every provider refuses what it is sent."""
    with Upstream(refusing) as upstream:
        places = {row.base_url_variable: upstream.url for row in PROVIDERS}
        keys = {row.key_variable: f"the-key-for-{row.sibling_of or row.name}" for row in PROVIDERS}
        with running(settings_of(**places, **keys)) as keyed, running(settings_of(**places)) as keyless:
            yield keyed, keyless


SPOKEN = [row for row in PROVIDERS if row.dialect in DIALECTS]


@pytest.mark.parametrize(("status", "said"), [(401, "refused"), (402, "wants payment for"), (403, "forbids this to")])
@pytest.mark.parametrize("row", SPOKEN, ids=lambda row: row.name)
def test_a_provider_that_refuses_the_key_is_named_with_its_variable(
    refused: tuple[Running, Running], row: Any, status: int, said: str
) -> None:
    reply = ask(refused[0].port, CHAT, chat(f"{row.name}/{status}"))
    assert (reply.status, reply.headers["x-should-retry"]) == (502, "false")
    assert reply.said == f"{row.name} {said} {row.key_variable}"
    assert b"the-key-for" not in reply.body


@pytest.mark.parametrize("row", SPOKEN, ids=lambda row: row.name)
def test_a_key_goes_in_the_header_that_its_provider_reads(row: Any) -> None:
    with Upstream(lambda _: answer(503, b"{}")) as upstream:
        with running(with_key(row, upstream.url)[0]) as gateway:
            ask(gateway.port, CHAT, chat(f"{row.name}/m"))
        head = upstream.requests[0].partition(b"\r\n\r\n")[0].decode().lower()
    fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:])
    said = "bearer a-key-of-ours" if row.key_header == "authorization" else "a-key-of-ours"
    assert {name for name, value in fields.items() if "a-key-of-ours" in value} == {row.key_header}
    assert fields[row.key_header] == said
    assert KEY.lower() not in head


@pytest.mark.parametrize("row", [row for row in PROVIDERS if not row.needs_key], ids=lambda row: row.name)
def test_an_engine_that_wants_a_key_is_named_with_the_variable_to_set(
    refused: tuple[Running, Running], row: Any
) -> None:
    reply = ask(refused[1].port, CHAT, chat(f"{row.name}/401"))
    assert (reply.status, reply.said) == (502, f"{row.name} refused a request without a key (set {row.key_variable})")


def test_the_variable_that_is_named_is_the_one_that_held_the_key() -> None:
    with Upstream(lambda _: answer(401, b"{}")) as upstream:
        settings = settings_of(ZAI_API_KEY="a-key-of-ours", ZHIPUAI_BASE_URL=upstream.url)
        with running(settings) as gateway:
            assert ask(gateway.port, CHAT, chat("zhipu/x")).said == "zhipu refused ZAI_API_KEY"


# What reaches a provider, and what is said of the rest.


def sent_to(provider: str, **fields: Any) -> tuple[dict[str, Any], str | None]:
    """The body that a provider gets, and the header that says what it did not get."""
    whole = {"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": []}
    row = next(row for row in PROVIDERS if row.name == provider)
    with Upstream(lambda _: answer(200, json.dumps(whole).encode())) as upstream:
        with running(with_key(row, upstream.url)[0]) as gateway:
            reply = ask(gateway.port, CHAT, chat(f"{provider}/m", **fields))
        (asked,) = upstream.requests
    return json.loads(asked.partition(b"\r\n\r\n")[2]), reply.headers.get("x-thalweg-dropped")


def test_what_is_dropped_is_named_in_a_header() -> None:
    body, dropped = sent_to("openai", thinking={"type": "disabled"}, enable_thinking=False, top_k=5)
    assert dropped == "enable_thinking, thinking"
    assert (body.keys() & {"thinking", "enable_thinking"}, body["top_k"]) == (set(), 5)
    body, dropped = sent_to("ark", reasoning_effort="max")
    assert (body["reasoning_effort"], dropped) == ("high", "reasoning_effort")
    body, dropped = sent_to("deepseek", reasoning_effort="none", some_field=1)
    assert (body["thinking"], body["some_field"], dropped) == ({"type": "disabled"}, 1, None)


def test_no_proxy_stands_between_us_and_this_machine() -> None:
    """What a proxy elsewhere calls 127.0.0.1 is the proxy's own machine."""
    whole = {"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": []}
    with Upstream(lambda _: answer(200, json.dumps(whole).encode())) as upstream:
        settings = settings_of(OLLAMA_BASE_URL=upstream.url, THALWEG_PROXY="http://127.0.0.1:1")
        with running(settings) as gateway:
            assert ask(gateway.port, CHAT, chat("ollama/x")).status == 200
            assert "cannot be reached" in ask(gateway.port, CHAT, chat("llamacpp/x")).said


CHUNKS = (
    b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,'
    b'"delta":{"role":"assistant","content":"whole"},"finish_reason":null}],"usage":null}\n\n'
    b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,'
    b'"delta":{"content":""},"finish_reason":"stop"}],"usage":null}\n\n'
    b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[],'
    b'"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}\n\n'
    b"data: [DONE]\n\n"
)


@pytest.mark.parametrize("model", ["qwq-plus", "qvq-max", "qwen3-8b", "qwen-omni-turbo"])
def test_a_model_that_only_streams_serves_a_client_that_does_not(model: str) -> None:
    with Upstream(lambda _: answer(200, CHUNKS, "text/event-stream")) as upstream:
        row = next(row for row in PROVIDERS if row.name == "dashscope")
        with running(with_key(row, upstream.url)[0]) as gateway:
            reply = ask(gateway.port, CHAT, chat(f"dashscope/{model}"))
            (entry,) = gateway.ledger.last_entries(1)
        (asked,) = upstream.requests
    body = json.loads(asked.partition(b"\r\n\r\n")[2])
    assert (body["stream"], body["stream_options"]) == (True, {"include_usage": True})
    assert b"accept: text/event-stream" in asked.lower()
    assert reply.headers["content-type"] == "application/json"
    assert reply.json["object"] == "chat.completion"
    assert reply.json["choices"][0]["message"]["content"] == "whole"
    assert reply.json["usage"]["total_tokens"] == 5
    assert (entry.stream, entry.usage_source, entry.usage.output_tokens) == (False, "reported", 2)


def test_other_models_of_the_same_provider_answer_whole() -> None:
    body, _ = sent_to("dashscope")
    assert not body.get("stream")
