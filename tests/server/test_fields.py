"""What a body may hold: each field of the wrong type, broken and poisonous JSON, names of models that are none.

Source of the vectors: RELIABILITY section 7.4.
"""

from __future__ import annotations

import itertools
import json
import logging
import time
import typing
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from tests.server.gateway import CHAT, MESSAGES, Caller, Reply, Running, ask, chat, request, running, settings_of
from thalweg.dialects.openai_chat import body as wire

P99_S = 0.1
SIM = "sim/text?pace=0&ttft=0&tokens=3"


@pytest.fixture(scope="module")
def roomy() -> Iterator[Running]:
    """A gateway with its usual limits, which has read every body of this file without a bug."""
    with running(settings_of()) as gateway:
        yield gateway


@pytest.fixture(autouse=True)
def _no_bug_in_the_log(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    yield
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []


def refusal(reply: Reply) -> dict[str, Any]:
    error: dict[str, Any] = reply.json["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert len(reply.body) < 4096
    return error


# Types

CANDIDATES: dict[str, Any] = {
    "text": "x",
    "number": 1,
    "fraction": 1.5,
    "true": True,
    "array": [1],
    "array of texts": ["x"],
    "object": {},
    "object of numbers": {"a": [1]},
}

INSIDE: dict[type[msgspec.Struct], tuple[str, dict[str, Any], Callable[[Any], dict[str, Any]]]] = {
    wire.Body: ("", {}, lambda value: value),
    wire.StreamOptions: ("stream_options", {}, lambda value: {"stream_options": value}),
    wire.Thinking: ("thinking", {"type": "enabled"}, lambda value: {"thinking": value}),
    wire.WireMessage: ("messages[0].", {"role": "user"}, lambda value: {"messages": [value]}),
    wire.ContentPart: (
        "messages[0].content[0].",
        {"type": "text", "text": "x"},
        lambda value: {"messages": [{"role": "user", "content": [value]}]},
    ),
    wire.Call: (
        "messages[0].tool_calls[0].",
        {},
        lambda value: {"messages": [{"role": "assistant", "tool_calls": [value]}]},
    ),
    wire.Function: (
        "messages[0].tool_calls[0].function.",
        {"name": "x"},
        lambda value: {"messages": [{"role": "assistant", "tool_calls": [{"function": value}]}]},
    ),
    wire.WireTool: ("tools[0].", {}, lambda value: {"tools": [value]}),
    wire.FunctionTool: ("tools[0].function.", {"name": "x"}, lambda value: {"tools": [{"function": value}]}),
}


def types_of(struct: type[msgspec.Struct]) -> dict[str, Any]:
    return {name: kind for name, kind in typing.get_type_hints(struct).items() if name in struct.__struct_fields__}


def fits(value: Any, kind: Any) -> bool:
    try:
        msgspec.json.decode(json.dumps(value), type=kind)
    except msgspec.ValidationError:
        return False
    return True


WRONG = {
    f"{at}{name} as {what}": (at, name, put(base | {name: value}))
    for struct, (at, base, put) in INSIDE.items()
    for name, kind in types_of(struct).items()
    for what, value in CANDIDATES.items()
    if not fits(value, kind)
}


def test_every_field_has_wrong_types_in_the_table() -> None:
    for struct in INSIDE:
        for name, kind in types_of(struct).items():
            if kind is typing.Any:
                continue  # any value passes here: only the provider whose field it is minds
            assert sum(not fits(value, kind) for value in CANDIDATES.values()) >= 3, (struct, name)


@pytest.mark.parametrize("struct", INSIDE, ids=lambda struct: struct.__name__)
def test_a_field_of_the_wrong_type_is_named(roomy: Running, struct: type[msgspec.Struct]) -> None:
    with Caller(roomy.port) as caller:
        for what, (at, name, fields) in WRONG.items():
            if at != INSIDE[struct][0]:
                continue
            reply = caller.send(request(CHAT, chat(**{"model": SIM} | fields))).reply()
            assert reply.status == 400, what
            error = refusal(reply)
            assert error["type"] == "invalid_request_error"
            path = (at.removesuffix(".") + "." + name).removeprefix(".")
            assert (error["param"] or "").startswith(path), (what, error)
            assert path in error["message"]


@pytest.mark.parametrize("stream", [True, False])
def test_null_is_absent_for_every_optional_field(roomy: Running, stream: bool) -> None:
    optional = [name for name, kind in types_of(wire.Body).items() if type(None) in typing.get_args(kind)]
    assert len(optional) > 25
    with Caller(roomy.port) as caller:
        for names in [*([name] for name in optional), optional]:
            fields = {"stream": stream} | dict.fromkeys(names)
            assert caller.send(request(CHAT, chat(SIM, **fields))).reply().status == 200, names


@pytest.mark.parametrize("field", ["model", "messages"])
def test_a_required_field_is_asked_for(roomy: Running, field: str) -> None:
    for body in (
        chat(**{field: None}),
        json.dumps({k: v for k, v in json.loads(chat()).items() if k != field}).encode(),
    ):
        reply = ask(roomy.port, CHAT, body)
        assert (reply.status, refusal(reply)["param"]) == (400, field)


# JSON


def having(raw: str, *, model: str = SIM) -> bytes:
    """A body with something written in by hand."""
    return b'{"model":"%b","messages":[{"role":"user","content":"hello"}],%b}' % (model.encode(), raw.encode())


def deep(depth: int) -> str:
    return "[" * depth + "]" * depth


def deep_object(depth: int) -> str:
    return '{"a":' * depth + "1" + "}" * depth


GOOD, BAD = (200,), (400,)
EITHER = (200, 400)
JSON: dict[str, tuple[bytes, tuple[int, ...]]] = {
    "nothing": (b"", BAD),
    "space": (b" \n", BAD),
    "null": (b"null", BAD),
    "true": (b"true", BAD),
    "number": (b"1", BAD),
    "text": (b'"x"', BAD),
    "array": (b"[]", BAD),
    "array of a body": (b"[" + chat() + b"]", BAD),
    "empty object": (b"{}", BAD),
    "cut after a brace": (b"{", BAD),
    "cut in a name": (chat()[:5], BAD),
    "cut in a value": (chat()[:-2], BAD),
    "trailing comma": (chat()[:-1] + b",}", BAD),
    "trailing text": (chat() + b"x", BAD),
    "two bodies": (chat() * 2, BAD),
    "comment": (b"/* */" + chat(), BAD),
    "single quotes": (chat().replace(b'"', b"'"), BAD),
    "names without quotes": (chat().replace(b'"model"', b"model"), BAD),
    "form": (b"model=x&messages=y", BAD),
    "HTML": (b"<html></html>", BAD),
    "byte order mark": (b"\xef\xbb\xbf" + chat(), BAD),
    "UTF-16": (chat().decode().encode("utf-16"), BAD),
    "UTF-32": (chat().decode().encode("utf-32"), BAD),
    "bad UTF-8 in the prompt": (having('"user":"x"').replace(b"hello", b"\xff"), BAD),
    "bad UTF-8 in an unknown field": (having('"x":"hello"').replace(b"hello", b"\xff"), BAD),
    "overlong UTF-8": (having('"user":"x"').replace(b"hello", b"\xc0\xaf"), BAD),
    "half a character": (having('"user":"x"').replace(b"hello", "🦜".encode()[:2]), BAD),
    "surrogate in UTF-8": (having('"user":"x"').replace(b"hello", b"\xed\xa0\x80"), BAD),
    "lone surrogate in the prompt": (having('"user":"x"').replace(b"hello", b"\\ud800"), BAD),
    "lone surrogate in an unknown field": (having(r'"x":"\ud800"'), EITHER),
    "lone surrogate in a name": (having(r'"\ud800":1'), EITHER),
    "surrogates the wrong way round": (having('"user":"x"').replace(b"hello", b"\\udc00\\ud800"), BAD),
    "surrogate pair": (having('"user":"x"').replace(b"hello", b"\\ud83e\\udd9c"), GOOD),
    "raw NUL": (having('"user":"\0"'), BAD),
    "raw newline in a text": (having('"user":"\n"'), BAD),
    "NUL in the prompt": (having('"user":"x"').replace(b"hello", b"\\u0000"), GOOD),
    "NUL in the model": (having('"user":"x"', model="sim/text\\u0000"), BAD),
    "bad escape": (having(r'"user":"\x"'), BAD),
    "every kind of line end": (
        having('"user":"x"').replace(b"hello", rb"\r\n\n\u2028\u2029data: [DONE]\n\n"),
        GOOD,
    ),
    **{
        f"{word} as {field}": (having(f'"{field}":{word}'), BAD)
        for word in ("NaN", "Infinity", "-Infinity", "1e400", "-1e400", ".5", "01", "+1", "0x10", "1_000")
        for field in ("temperature", "max_tokens")
    },
    "1e400 in an unknown field": (having('"x":1e400'), EITHER),
    "NaN in an unknown field": (having('"x":NaN'), BAD),
    **{
        f"5,000 digits as {field}": (having(f'"{field}":{"9" * 5000}'), BAD)
        for field in ("max_tokens", "seed", "temperature", "n", "top_k")
    },
    "5,000 digits in an unknown field": (having(f'"x":{"9" * 5000}'), EITHER),
    "5,000 digits beside a doubled name": (having(f'"x":{"9" * 5000},"model":"y"'), BAD),
    "5,000 digits in a schema": (having(f'"response_format":{{"x":{"9" * 5000}}}'), EITHER),
    **{f"{n} as seed": (having(f'"seed":{n}'), EITHER) for n in (2**53 + 1, 2**63, 2**64, -(2**63), 2**100)},
    **{f"{n} as max_tokens": (having(f'"max_tokens":{n}'), BAD) for n in (0, -1, 1.5, -(2**63))},
    **{f"{n} as n": (having(f'"n":{n}'), BAD) for n in (0, -1, 129, 10**9)},
    **{
        f"{name} twice": (having(f'"{name}":1,"{name}":2'), BAD)
        for name in ("model", "messages", "stream", "max_tokens", "max_completion_tokens")
    },
    "model twice, once escaped": (having(r'"\u006dodel":"x"'), BAD),
    "stream twice, once escaped": (having(r'"stream":false,"str\u0065am":true'), BAD),
    "an unknown field twice": (having('"x":1,"x":2'), GOOD),
    "model inside another field": (having('"metadata":{"model":"x","stream":"y"}'), GOOD),
    "100,000 fields": (having(",".join(f'"x{i}":{i}' for i in range(100_000))), GOOD),
    "100,000 equal fields": (having(",".join('"x":1' for i in range(100_000))), GOOD),
    "100,000 labels": (having('"metadata":{' + ",".join(f'"x{i}":"y"' for i in range(100_000)) + "}"), GOOD),
    "10,000 messages": (chat(SIM, messages=MESSAGES * 10_000), GOOD),
    "512 tools": (chat(SIM, tools=[{"type": "function", "function": {"name": f"f{i}"}} for i in range(512)]), GOOD),
    **{
        f"1 MiB of {what} as the prompt": (chat(SIM, messages=[{"role": "user", "content": text}]), GOOD)
        for what, text in {
            "letters": "x" * 2**20,
            "quotes": '"' * 2**19,
            "newlines": "\n" * 2**19,
            "parrots": "🦜" * 2**17,
            "combining marks": "e" + "\u0301" * 2**17,
            "backslashes": "\\" * 2**19,
        }.items()
    },
    "1 MiB as user": (chat(SIM, user="x" * 2**20), GOOD),
    "1 MiB as an unknown field": (chat(SIM, x="x" * 2**20), GOOD),
    "1 MiB as the model": (chat("x" * 2**20), BAD),
    "1 MiB as a role": (chat(SIM, messages=[{"role": "x" * 2**20, "content": "x"}]), BAD),
    "1 MiB as a name": (chat(SIM, **{"x" * 2**20: 1}), GOOD),
    "1 MiB as tool_choice": (chat(SIM, tool_choice="x" * 2**20), BAD),
    "a role that is none": (chat(SIM, messages=[{"role": "root", "content": "x"}]), BAD),
    "no role": (chat(SIM, messages=[{"content": "x"}]), BAD),
    "no messages": (chat(SIM, messages=[]), BAD),
    "an empty message": (chat(SIM, messages=[{}]), BAD),
    "an empty prompt": (chat(SIM, messages=[{"role": "user", "content": ""}]), GOOD),
    "no parts": (chat(SIM, messages=[{"role": "user", "content": []}]), GOOD),
    "a part without content": (chat(SIM, messages=[{"role": "user", "content": [{"type": "image_url"}]}]), BAD),
    "a part of an unknown type": (chat(SIM, messages=[{"role": "user", "content": [{"type": ""}]}]), GOOD),
    "only an assistant": (chat(SIM, messages=[{"role": "assistant"}]), GOOD),
    "only a system": (chat(SIM, messages=[{"role": "system", "content": ""}]), GOOD),
    "a tool without its call": (chat(SIM, messages=[{"role": "tool", "content": "x"}]), BAD),
    "an empty call": (chat(SIM, messages=[{"role": "assistant", "tool_calls": [{}]}]), BAD),
    "an empty tool": (chat(SIM, tools=[{}]), BAD),
    "a tool of an unknown type": (chat(SIM, tools=[{"type": ""}]), EITHER),
    "an empty tool choice": (chat(SIM, tool_choice={}), BAD),
    "everything empty": (
        chat(
            SIM,
            stop=[],
            tools=[],
            functions=[],
            logit_bias={},
            metadata={},
            modalities=[],
            response_format={},
            user="",
            reasoning_effort="",
            verbosity="",
            stream_options={},
        ),
        GOOD,
    ),
}
DEPTHS = (10, 100, 1000, 10_000, 100_000, 1_000_000)
for _depth in DEPTHS:
    _right = GOOD if _depth == 10 else EITHER if _depth <= 1000 else (400, 413)
    for _where, _body in {
        "an unknown field": having(f'"x":{deep(_depth)}'),
        "an unknown field of objects": having(f'"x":{deep_object(_depth)}'),
        "a schema": having(f'"response_format":{{"type":"json_schema","json_schema":{deep_object(_depth)}}}'),
        "a schema to be filled": having(
            '"response_format":{"type":"json_schema","json_schema":{"schema":'
            + '{"type":"object","required":["a"],"properties":{"a":' * _depth
            + "{}"
            + "}}" * _depth
            + "}}"
        ),
        "a tool's parameters": having(
            '"tools":[{"type":"function","function":{"name":"f","parameters":'
            + '{"type":"array","minItems":1,"items":' * _depth
            + "{}"
            + "}" * _depth
            + "}}]",
            model="sim/tools?pace=0&ttft=0",
        ),
        "a call's arguments": chat(SIM).replace(
            b'"messages": [',
            b'"messages": [{"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":%b}}]},'
            % deep_object(_depth).encode(),
        ),
    }.items():
        JSON[f"depth {_depth} in {_where}"] = (_body, _right)
    JSON[f"depth {_depth} as the body"] = (deep(_depth).encode(), BAD)
    JSON[f"depth {_depth} as the messages"] = (b'{"model":"x","messages":%b}' % deep(_depth).encode(), BAD)
    JSON[f"depth {_depth} without an end"] = (b'{"x":' + b"[" * _depth, BAD)


def test_the_table_is_large_enough() -> None:
    assert len(JSON) >= 80


@pytest.mark.parametrize(("body", "right"), JSON.values(), ids=JSON.keys())
def test_a_body_is_answered_or_refused_and_never_a_bug(roomy: Running, body: bytes, right: tuple[int, ...]) -> None:
    with Caller(roomy.port) as caller:
        reply = caller.send(request(CHAT, body)).reply()
        assert reply.status in right, reply.body[:500]
        if reply.status != 200:
            assert refusal(reply)["type"] == "invalid_request_error"
        assert caller.send(request(CHAT, chat(SIM))).reply().status == 200


def test_refusals_are_quick(roomy: Running) -> None:
    """The 99th percentile of all bodies up to 64 KiB; larger ones cost what reading them costs."""
    took = []
    with Caller(roomy.port) as caller:
        for body, _ in itertools.islice(itertools.cycle(each for each in JSON.values() if len(each[0]) < 65536), 1000):
            begun = time.perf_counter()
            caller.send(request(CHAT, body)).reply()
            took.append(time.perf_counter() - begun)
    assert sorted(took)[989] < P99_S


# Names

UNKNOWN = [
    "nothing",
    "nobody/model",
    "nobody/",
    "/",
    "//",
    "/model",
    "//host/model",
    "sim/",
    "sim/nothing",
    "sim/TEXT",
    "sim/text/",
    "sim/text/../tools",
    "sim/../text",
    "sim//text",
    "SIM/text",
    "../sim/text",
    "../../etc/passwd",
    "%2e%2e%2fsim%2ftext",
    "..%252f",
    "sim%2ftext",
    "http://127.0.0.1:1/v1",
    "https://evil.example/v1/chat/completions",
    "file:///etc/passwd",
    "models/sim/text",
    "x:generateContent?x=",
    "sim/text:generateContent",
    "a\r\nb",
    "sim/text\r\n",
    "sim/text\r\nx-evil: 1",
    "a\tb",
    " sim/text",
    "sim/text ",
    " ",
    "'; DROP TABLE posting; --",
    "%",
    "_",
    "*",
    "$(id)",
    "{{7*7}}",
    "${jndi:ldap://x}",
    "<script>alert(1)</script>",
    "模型",
    "🦜",
    "\u202etxet/mis",
    "e\u0301" * 100,
    "null",
    "x" * 512,
]


def test_there_are_enough_names() -> None:
    assert len(UNKNOWN) >= 40


@pytest.mark.parametrize("name", UNKNOWN, ids=range(len(UNKNOWN)))
def test_a_name_that_is_no_models_is_told_so(roomy: Running, name: str) -> None:
    reply = ask(roomy.port, CHAT, chat(name))
    error = refusal(reply)
    assert (reply.status, error["param"], error["code"]) == (404, "model", "model_not_found")
    assert set(reply.headers) >= {"x-thalweg-stream", "x-request-id"}
    assert not any("evil" in header for header in reply.headers)


@pytest.mark.parametrize("name", ["", "\0", "sim/text\0", "x" * 513, "x" * 10_240, "🦜" * 10_240])
def test_a_name_that_cannot_be_one_is_a_wrong_value(roomy: Running, name: str) -> None:
    reply = ask(roomy.port, CHAT, chat(name))
    assert (reply.status, refusal(reply)["param"]) == (400, "model")


@pytest.mark.parametrize(
    ("name", "variable"),
    [
        ("openai/gpt-5.4-mini", "OPENAI_API_KEY"),
        ("gpt-5.4-mini", "OPENAI_API_KEY"),
        ("o3", "OPENAI_API_KEY"),
        ("openai/", "OPENAI_API_KEY"),
        ("openai/../x", "OPENAI_API_KEY"),
        ("ark/doubao-seed-1-8-251215", "ARK_API_KEY"),
        ("doubao-seed-1-8-251215", "ARK_API_KEY"),
        ("ep-20261120-abcde", "ARK_API_KEY"),
    ],
)
def test_a_provider_without_a_key_names_the_variable(roomy: Running, name: str, variable: str) -> None:
    reply = ask(roomy.port, CHAT, chat(name))
    assert (reply.status, refusal(reply)["param"]) == (404, "model")
    assert variable in reply.said


@pytest.mark.parametrize(
    ("mount", "variable"),
    [("/api/v3", "ARK_API_KEY"), ("/openai/v1", "OPENAI_API_KEY"), ("/v1", None), ("/compatible-mode/v1", None)],
)
def test_a_bare_name_means_the_mounts_provider(roomy: Running, mount: str, variable: str | None) -> None:
    reply = ask(roomy.port, f"{mount}/chat/completions", chat("some-model"))
    assert reply.status == 404
    assert variable is None or variable in reply.said


@pytest.mark.parametrize(
    "knob", ["fault=nonsense", "pace=abc", "pace=-1", "pace=nan", "x=1", "tokens=1e10", "&&", "ttft", "=", "seed="]
)
def test_a_knob_that_is_none_is_a_wrong_value(roomy: Running, knob: str) -> None:
    reply = ask(roomy.port, CHAT, chat(f"sim/text?{knob}"))
    assert (reply.status, refusal(reply)["param"]) == (400, "model")


def test_refused_requests_are_in_the_ledger_only_where_an_upstream_was_asked(roomy: Running) -> None:
    before = len(roomy.ledger.postings)
    ask(roomy.port, CHAT, chat("nothing"))
    ask(roomy.port, CHAT, b"{")
    assert len(roomy.ledger.postings) == before
    ask(roomy.port, CHAT, chat("sim/nothing"))
    assert roomy.ledger.last_entries(1)[0].outcome == "refused"
