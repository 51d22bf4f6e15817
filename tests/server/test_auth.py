"""Who may call: every route, every carrier of a key, and the rules for a gateway without one."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.server.gateway import CHAT, KEY, Caller, Reply, Running, ask, chat, request, settings_of
from thalweg.canon.errors import Forbidden, Unauthenticated
from thalweg.server.app import CHAT_PATHS, ENDPOINTS
from thalweg.server.auth import Doorkeeper, Identity

WRONG = "sk-gateway-0000000000"


def shape(reply: Reply) -> str:
    """Whose error this is."""
    fields = set(reply.json["error"]) - {"details"}
    if reply.json.get("type") == "error":
        return "anthropic" if fields == {"type", "message"} else "?"
    return {("code", "message", "param", "type"): "openai", ("code", "message", "status"): "gemini"}[
        tuple(sorted(fields))
    ]


# The route table

ROUTES = [(each.method, each.path, each.access) for each in ENDPOINTS] + [
    ("POST", path, "caller") for path in CHAT_PATHS
]


def concrete(path: str) -> str:
    return path.replace("{model:path}", "sim/text").replace("{stream_id}", "0" * 44).replace("{file:path}", "mark.svg")


@pytest.mark.parametrize(("method", "path", "access"), ROUTES, ids=[f"{method} {path}" for method, path, _ in ROUTES])
def test_a_route_keeps_its_rule(keyed: Running, method: str, path: str, access: str) -> None:
    path = concrete(path)
    for each in {method, "HEAD", "OPTIONS", "PATCH"}:
        statuses = [ask(keyed.port, path, chat(), method=each, key=key).status for key in (None, WRONG, KEY)]
        if access == "caller":
            assert statuses[:2] == [401, 401], each
        assert statuses[2] not in (401, 403, 500), each
        if each == method and access == "anyone":
            assert statuses == [200, 200, 200]


def test_every_route_says_who_may_call_it() -> None:
    assert {access for _, _, access in ROUTES} == {"anyone", "caller"}
    assert {path for _, path, access in ROUTES if access == "anyone"} == {"/livez", "/readyz", "/", "/web/{file:path}"}


# Carriers

CARRIERS: dict[str, dict[str, Any]] = {
    "authorization": {"headers": {"authorization": f"Bearer {KEY}"}},
    "authorization in small letters": {"headers": {"authorization": f"bearer {KEY}"}},
    "authorization in capitals": {"headers": {"AUTHORIZATION": f"BEARER {KEY}"}},
    "authorization with more spaces": {"headers": {"authorization": f"Bearer   {KEY}  "}},
    "x-api-key": {"headers": {"x-api-key": KEY}},
    "x-api-key in capitals": {"headers": {"X-API-KEY": KEY}},
    "x-api-key between spaces": {"headers": {"x-api-key": f"  {KEY}\t"}},
    "x-goog-api-key": {"headers": {"x-goog-api-key": KEY}},
    "api-key": {"headers": {"api-key": KEY}},
    "the query": {"target": f"{CHAT}?key={KEY}"},
    "the query among others": {"target": f"{CHAT}?alt=sse&key={KEY}&x"},
    "the query in escapes": {"target": f"{CHAT}?key={''.join(f'%{ord(ch):02x}' for ch in KEY)}"},
    "two alike": {"headers": {"authorization": f"Bearer {KEY}", "x-api-key": KEY}},
    "five alike": {
        "target": f"{CHAT}?key={KEY}",
        "headers": {"authorization": f"Bearer {KEY}", "x-api-key": KEY, "x-goog-api-key": KEY, "api-key": KEY},
    },
    "one and empty ones": {
        "target": f"{CHAT}?key=",
        "headers": {"authorization": "Bearer ", "x-api-key": "", "api-key": KEY},
    },
}


@pytest.mark.parametrize("how", CARRIERS.values(), ids=CARRIERS.keys())
def test_a_key_is_taken_from_any_carrier(keyed: Running, how: dict[str, Any]) -> None:
    assert ask(keyed.port, **{"target": CHAT, "body": chat(), "key": None} | how).status == 200


REFUSED: dict[str, dict[str, Any]] = {
    "nothing": {},
    "another key": {"headers": {"x-api-key": WRONG}},
    "a prefix": {"headers": {"x-api-key": KEY[:-1]}},
    "the first 20 characters": {"headers": {"x-api-key": KEY[:20]}},
    "more than the key": {"headers": {"x-api-key": KEY + "x"}},
    "the key in capitals": {"headers": {"x-api-key": KEY.upper()}},
    "the key twice": {"headers": {"x-api-key": f"{KEY},{KEY}"}},
    "the key with a space inside": {"headers": {"x-api-key": KEY[:5] + " " + KEY[5:]}},
    "the key with a NUL escaped": {"target": f"{CHAT}?key={KEY}%00"},
    "an empty bearer": {"headers": {"authorization": "Bearer "}},
    "no bearer": {"headers": {"authorization": KEY}},
    "another scheme": {"headers": {"authorization": f"Basic {KEY}"}},
    "a scheme glued on": {"headers": {"authorization": f"Bearer{KEY}"}},
    "a tab after the scheme": {"headers": {"authorization": f"Bearer\t{KEY}"}},
    "two schemes": {"headers": {"authorization": f"Bearer Bearer {KEY}"}},
    "an empty header": {"headers": {"x-api-key": ""}},
    "spaces": {"headers": {"x-api-key": "   "}},
    "an empty query": {"target": f"{CHAT}?key="},
    "spaces in the query": {"target": f"{CHAT}?key=%20"},
    "another word in the query": {"target": f"{CHAT}?monkey={KEY}"},
    "the word in capitals": {"target": f"{CHAT}?KEY={KEY}"},
    "the fragment": {"target": f"{CHAT}#key={KEY}"},
    "letters outside ASCII": {"headers": {"x-api-key": "ключ".encode().decode("latin-1")}},
    "letters outside ASCII in the query": {"target": f"{CHAT}?key=%D0%BA%FF"},
    "look-alikes of full width": {"headers": {"x-api-key": KEY.replace("s", "ｓ").encode().decode("latin-1")}},
    "two that differ": {"headers": {"authorization": f"Bearer {KEY}", "x-api-key": WRONG}},
    "two that differ, the right one last": {"headers": {"authorization": f"Bearer {WRONG}", "x-api-key": KEY}},
    "a header and a query that differ": {"target": f"{CHAT}?key={WRONG}", "headers": {"x-api-key": KEY}},
    "two queries that differ": {"target": f"{CHAT}?key={WRONG}&key={KEY}"},
    "SQL": {"headers": {"x-api-key": "' OR '1'='1"}},
    "LIKE": {"headers": {"x-api-key": "sk-%"}},
    "the digest": {"headers": {"x-api-key": "e" * 64}},
    "null": {"headers": {"x-api-key": "null"}},
    "10 KiB": {"headers": {"x-api-key": "x" * 10_240}},
    "a cookie": {"headers": {"cookie": f"key={KEY}"}},
    "a proxy's header": {"headers": {"proxy-authorization": f"Bearer {KEY}"}},
    "the body": {"body": chat(key=KEY, api_key=KEY)},
}


@pytest.mark.parametrize("how", REFUSED.values(), ids=REFUSED.keys())
def test_what_is_not_the_key_is_refused(keyed: Running, how: dict[str, Any]) -> None:
    reply = ask(keyed.port, **{"target": CHAT, "body": chat(), "key": None} | how)
    assert (reply.status, reply.json["error"]["code"]) == (401, "invalid_api_key")
    assert KEY.encode() not in reply.body
    assert WRONG.encode() not in reply.body


def test_there_are_enough_credentials() -> None:
    assert len(CARRIERS) + len(REFUSED) >= 40


def test_two_lines_of_one_header_that_differ_are_refused(keyed: Running) -> None:
    for line in (f"authorization: Bearer {WRONG}", f"x-api-key: {WRONG}"):
        with Caller(keyed.port) as caller:
            sent = request(CHAT, chat()).replace(b"host:", line.encode() + b"\r\nhost:", 1)
            assert caller.send(sent).reply().status == 401


@pytest.mark.parametrize("name", ["authorization", "x-api-key", "x-goog-api-key", "api-key", "key"])
def test_a_key_of_1_mib_is_a_header_too_large(keyed: Running, name: str) -> None:
    long = "x" * 2**20
    how: dict[str, Any] = {"target": f"{CHAT}?key={long}"} if name == "key" else {"headers": {name: f"Bearer {long}"}}
    reply = ask(keyed.port, **{"target": CHAT, "body": chat(), "key": None} | how)
    assert reply.status == 431


@pytest.mark.parametrize("key", [None, WRONG])
@pytest.mark.parametrize("path", [CHAT, "/nothing", "/v1/models", "/anthropic/v1/messages"])
def test_the_key_is_checked_before_the_body_is_read(keyed: Running, path: str, key: str | None) -> None:
    with Caller(keyed.port) as caller:
        begun = time.monotonic()
        reply = caller.send(request(path, b"x" * 1000, key=key)[:-1000]).reply()
        assert reply.status == 401
        assert time.monotonic() - begun < keyed.settings.limits.body_timeout_s


def test_doorkeepers_of_different_keys_do_not_let_each_others_callers_in() -> None:
    scope = {"method": "POST", "headers": [(b"x-api-key", KEY.encode())], "query_string": b""}
    assert Doorkeeper(settings_of()).identify(scope) == Identity("main")
    with pytest.raises(Unauthenticated):
        Doorkeeper(settings_of(key=WRONG)).identify(scope)


# Paths of every dialect, those that lead nowhere too

MOUNTS = [
    ("/v1/responses", "openai"),
    ("/api/v3/responses", "openai"),
    ("/v1/embeddings", "openai"),
    ("/v1/files", "openai"),
    ("/v1/batches", "openai"),
    ("/nothing", "openai"),
    ("/anthropic/v1/messages", "anthropic"),
    ("/anthropic/v1/messages/count_tokens", "anthropic"),
    ("/v1/messages", "anthropic"),
    ("/v1/messages/count_tokens", "anthropic"),
    ("/v1beta/models/x:generateContent", "gemini"),
    ("/v1beta/models/x:streamGenerateContent?alt=sse", "gemini"),
    ("/v1alpha/models/x:countTokens", "gemini"),
    ("/v1/models/x:generateContent", "gemini"),
    ("/v1beta/vendor/x:generateContent", "gemini"),
]


@pytest.mark.parametrize(("path", "dialect"), MOUNTS)
def test_nothing_is_told_to_strangers(keyed: Running, path: str, dialect: str) -> None:
    """A body that is wrong everywhere: without a key that is not looked at."""
    for key, statuses in ((None, {401}), (WRONG, {401}), (KEY, {400, 404})):
        reply = ask(keyed.port, path, b"[]", key=key)
        assert reply.status in statuses
        assert shape(reply) == dialect
        assert reply.headers["content-type"].lower() in ("application/json", "application/json; charset=utf-8")
        assert "x-request-id" in reply.headers
    if reply.status == 404:
        assert path.partition("?")[0] in reply.said


def test_a_model_whose_name_has_a_colon_is_no_gemini_call(keyed: Running) -> None:
    assert shape(ask(keyed.port, "/v1/models/llama3:8b", method="GET")) == "openai"


# Without a key

LOCAL_HOSTS = ["127.0.0.1", "127.0.0.1:8080", "localhost", "LOCALHOST:1", "[::1]", "[::1]:8080"]
EVIL_HOSTS = [
    "evil.example",
    "evil.example:8080",
    "localhost.evil.example",
    "127.0.0.1.evil.example",
    "127.0.0.2",
    "0.0.0.0",
    "127.1",
    "2130706433",
    "0x7f.1",
    "192.168.0.1",
    "[::ffff:127.0.0.1]",
    "[::]",
    "localhost.",
    "a",
]
PATHS = [("POST", CHAT), ("GET", "/v1/models"), ("DELETE", "/streams/x"), ("POST", "/nothing")]


def refusal(keyless: Running, **how: Any) -> str:
    reply = ask(keyless.port, **{"target": CHAT, "body": chat(), "key": None} | how)
    assert reply.status == 403, reply
    assert "THALWEG_API_KEY" in reply.said
    return reply.said


@pytest.mark.parametrize("host", LOCAL_HOSTS)
def test_local_programs_need_no_key(keyless: Running, host: str) -> None:
    assert ask(keyless.port, CHAT, chat(), key=None, headers={"host": host}).status == 200
    assert ask(keyless.port, CHAT, chat(), key="anything", headers={"host": host}).status == 200


@pytest.mark.parametrize("host", EVIL_HOSTS)
@pytest.mark.parametrize(("method", "path"), PATHS)
def test_another_host_is_refused_without_a_key(keyless: Running, host: str, method: str, path: str) -> None:
    assert "Host" in refusal(keyless, target=path, method=method, headers={"host": host})


@pytest.mark.parametrize(
    "origin",
    ["https://evil.example", "null", "http://localhost", "http://127.0.0.1:1", "https://127.0.0.1", "", "file://"],
)
@pytest.mark.parametrize(("method", "path"), PATHS)
def test_a_page_from_elsewhere_is_refused_without_a_key(keyless: Running, origin: str, method: str, path: str) -> None:
    assert "origin" in refusal(keyless, target=path, method=method, headers={"origin": origin})


def test_the_gateways_own_pages_may_call(keyless: Running) -> None:
    for host in ("127.0.0.1:8080", "localhost"):
        own = {"host": host, "origin": f"http://{host}"}
        assert ask(keyless.port, CHAT, chat(), key=None, headers=own).status == 200


@pytest.mark.parametrize(
    "name",
    [
        "forwarded",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-proto",
        "x-forwarded-port",
        "X-Forwarded-Server",
        "x-real-ip",
    ],
)
def test_what_came_through_a_proxy_is_refused_without_a_key(keyless: Running, name: str) -> None:
    assert "proxy" in refusal(keyless, headers={name: "127.0.0.1"})


@pytest.mark.parametrize(
    "kind",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "",
        "-",
        "application/jsonp",
    ],
)
def test_what_a_form_can_send_is_refused_without_a_key(keyless: Running, kind: str) -> None:
    assert "content type" in refusal(keyless, headers={"content-type": kind})


@pytest.mark.parametrize("kind", ["application/json", "Application/JSON; charset=utf-8", "application/json ;x"])
def test_json_is_taken_however_it_is_written(keyless: Running, kind: str) -> None:
    assert ask(keyless.port, CHAT, chat(), key=None, headers={"content-type": kind}).status == 200


def test_a_preflight_gets_nothing(keyless: Running) -> None:
    asked = {"origin": "https://evil.example", "access-control-request-method": "POST", "content-type": "-"}
    reply = ask(keyless.port, CHAT, method="OPTIONS", key=None, headers=asked)
    assert reply.status == 403
    assert not any(name.startswith("access-control") for name in reply.headers)


def test_the_loopback_rules_are_checked_before_the_body_is_read(keyless: Running) -> None:
    with Caller(keyless.port) as caller:
        sent = request(CHAT, b"x" * 1000, key=None, headers={"host": "evil.example"})
        assert caller.send(sent[:-1000]).reply().status == 403


def test_with_a_key_none_of_that_matters(keyed: Running) -> None:
    headers = {
        "host": "gateway.example",
        "origin": "https://x",
        "x-forwarded-for": "1.2.3.4",
        "content-type": "text/plain",
    }
    assert ask(keyed.port, CHAT, chat(), headers=headers).status == 200


def test_probes_are_for_anyone(keyless: Running) -> None:
    for path in ("/livez", "/readyz"):
        assert ask(keyless.port, path, method="GET", key=None, headers={"host": "10.0.0.1:8080"}).status == 200


def test_without_a_key_a_caller_is_named_local() -> None:
    scope = {"method": "GET", "headers": [(b"host", b"localhost")], "query_string": b""}
    doorkeeper = Doorkeeper(settings_of(key=None))
    assert doorkeeper.identify(scope) == Identity("local")
    with pytest.raises(Forbidden):
        doorkeeper.identify(scope | {"headers": []})
