"""W3C Trace Context: which `traceparent` goes on, which begins anew, and that only the upstream that is called has it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.server.gateway import CHAT, Running, Upstream, answer, ask, chat, running, settings_of
from thalweg.server.log import Log
from thalweg.server.trace import MAX_STATE_BYTES, Trace, trace_of

TRACE, PARENT = "12345678901234567890123456789012", "1234567890123456"
GOOD = f"00-{TRACE}-{PARENT}-01"
SENT = re.compile(rb"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")


def read(*parents: str, state: tuple[str, ...] = ()) -> Trace:
    headers = [(b"traceparent", parent.encode("latin-1")) for parent in parents]
    return trace_of([*headers, *((b"tracestate", each.encode("latin-1")) for each in state)])


# The standard's own cases (its test suite's table, and section 3.2 on versions).


@pytest.mark.parametrize(
    ("parent", "flags"),
    [
        pytest.param(GOOD, 1, id="sampled"),
        pytest.param(f"00-{TRACE}-{PARENT}-00", 0, id="not sampled"),
        pytest.param(f"00-{TRACE}-{PARENT}-02", 2, id="a random trace id"),
        pytest.param(f"00-{TRACE}-{PARENT}-ff", 3, id="reserved flags are sent as zero"),
        pytest.param(f"cc-{TRACE}-{PARENT}-01", 1, id="a later version"),
        pytest.param(f"cc-{TRACE}-{PARENT}-01-what-the-future-will-be-like", 1, id="a later version that goes on"),
        pytest.param(f"cc-{TRACE}-{PARENT}-01-", 1, id="a later version that ends with a dash"),
        pytest.param(f" {GOOD} ", 1, id="blanks around it"),
    ],
)
def test_a_valid_parent_is_continued(parent: str, flags: int) -> None:
    found = read(parent)
    assert (found.trace_id.decode(), found.flags) == (TRACE, flags)


@pytest.mark.parametrize(
    "parents",
    [
        pytest.param([f"ff-{TRACE}-{PARENT}-01"], id="the version that is forbidden"),
        pytest.param([f".0-{TRACE}-{PARENT}-01"], id="a version that is no number"),
        pytest.param([f"0-{TRACE}-{PARENT}-01"], id="a version too short"),
        pytest.param([f"000-{TRACE}-{PARENT}-01"], id="a version too long"),
        pytest.param([f"CC-{TRACE}-{PARENT}-01"], id="a version in capitals"),
        pytest.param([f"00-{'0' * 32}-{PARENT}-01"], id="a trace id of zeros"),
        pytest.param([f"00-{TRACE}-{'0' * 16}-01"], id="a parent id of zeros"),
        pytest.param([f"00-{TRACE[:-1]}-{PARENT}-01"], id="a trace id too short"),
        pytest.param([f"00-{TRACE}3-{PARENT}-01"], id="a trace id too long"),
        pytest.param([f"00-{TRACE}-{PARENT[:-1]}-01"], id="a parent id too short"),
        pytest.param([f"00-{TRACE}-{PARENT}7-01"], id="a parent id too long"),
        pytest.param([f"00-{TRACE[:-1]}A-{PARENT}-01"], id="a trace id in capitals"),
        pytest.param([f"00-{TRACE}-{PARENT[:-1]}.-01"], id="a parent id that is no number"),
        pytest.param([f"00-{TRACE}-{PARENT}-.0"], id="flags that are no number"),
        pytest.param([f"00-{TRACE}-{PARENT}-1"], id="flags too short"),
        pytest.param([f"00-{TRACE}-{PARENT}-001"], id="flags too long"),
        pytest.param([f"00-{TRACE}-{PARENT}-01."], id="more than version 0 has"),
        pytest.param([f"{GOOD}-more"], id="more than version 0 has, after a dash"),
        pytest.param([f"cc-{TRACE}-{PARENT}-01.more"], id="a later version that goes on without a dash"),
        pytest.param([f"cc-{TRACE}-{PARENT}"], id="a later version without flags"),
        pytest.param([f"00_{TRACE}_{PARENT}_01"], id="no dashes"),
        pytest.param([""], id="nothing"),
        pytest.param(["é" * 55], id="no ASCII"),
        pytest.param([f"00-{TRACE}-{PARENT}-01\x00"], id="a NUL"),
        pytest.param(["0" * 100_000], id="something very long"),
        pytest.param([GOOD, GOOD.replace("2-1", "3-1")], id="two of them"),
        pytest.param([GOOD, GOOD], id="the same twice"),
    ],
)
def test_an_invalid_parent_begins_a_new_trace(parents: list[str]) -> None:
    one, other = read(*parents, state=("a=1",)), read(*parents)
    assert TRACE.encode() not in (one.trace_id, other.trace_id)
    assert re.fullmatch(rb"[0-9a-f]{32}", one.trace_id)
    assert one.trace_id != other.trace_id
    assert (one.flags, one.state) == (2, b""), "its id is random, nobody has recorded it, and no state goes along"


@pytest.mark.parametrize(
    ("states", "sent"),
    [
        pytest.param(("congo=t61rcWkgMzE,rojo=00f067aa0ba902b7",), "congo=t61rcWkgMzE,rojo=00f067aa0ba902b7", id="one"),
        pytest.param(("a=1", "b=2 , c=3"), "a=1,b=2 , c=3", id="several, in order"),
        pytest.param(("a=1", "", "b=2"), "a=1,b=2", id="an empty one among them"),
        pytest.param(("a=" + "x" * (MAX_STATE_BYTES - 2),), "a=" + "x" * (MAX_STATE_BYTES - 2), id="as long as may be"),
        pytest.param(("a=" + "x" * (MAX_STATE_BYTES - 1),), "", id="a byte more is dropped whole"),
        pytest.param(("x" * 300, "y" * 300), "", id="too long together"),
        pytest.param(("a=é",), "", id="no ASCII"),
        pytest.param(("a=\x7f",), "", id="a control character"),
        pytest.param((), "", id="none"),
    ],
)
def test_the_state_goes_along_as_it_came(states: tuple[str, ...], sent: str) -> None:
    found = read(GOOD, state=states)
    assert found.trace_id.decode() == TRACE, "whatever the state is"
    assert dict(found.headers()).get(b"tracestate", b"").decode() == sent


def test_every_call_has_a_parent_id_of_its_own() -> None:
    found = read(GOOD)
    sent = [SENT.fullmatch(dict(found.headers())[b"traceparent"]) for _ in range(2)]
    assert all(match is not None and match[1].decode() == TRACE and match[3] == b"01" for match in sent)
    parents = {match[2].decode() for match in sent if match is not None}
    assert len(parents | {PARENT}) == 3


# On the real server.


def headers_of(asked: bytes) -> dict[str, str]:
    head = asked.partition(b"\r\n\r\n")[0].decode("latin-1").lower()
    return dict(line.split(": ", 1) for line in head.split("\r\n")[1:])


WHOLE = json.dumps(
    {"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}]}
).encode()  # fmt: skip


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream(lambda _: answer(200, WHOLE)) as listening:
        yield listening


@pytest.fixture(scope="module")
def lines() -> list[bytes]:
    return []


@pytest.fixture(scope="module")
def gateway(upstream: Upstream, lines: list[bytes]) -> Iterator[Running]:
    settings = settings_of(OPENAI_API_KEY="sk-openai-0123", OPENAI_BASE_URL=upstream.url)
    with running(settings, log=Log(lines.append)) as listening:
        yield listening


def asked_upstream(gateway: Running, upstream: Upstream, **headers: str) -> dict[str, str]:
    before = len(upstream.requests)
    assert ask(gateway.port, CHAT, chat("openai/m"), headers=headers).status == 200
    assert len(upstream.requests) == before + 1
    return headers_of(upstream.requests[-1])


def last_trace(gateway: Running, lines: list[bytes], count: int) -> Any:
    gateway.until(lambda: len(lines) == count + 1)
    return json.loads(lines[-1])["trace_id"]


def test_the_upstream_gets_the_clients_trace(gateway: Running, upstream: Upstream, lines: list[bytes]) -> None:
    count = len(lines)
    got = asked_upstream(gateway, upstream, traceparent=GOOD, tracestate="congo=t61rcWkgMzE")
    assert got["traceparent"].startswith(f"00-{TRACE}-")
    assert got["traceparent"].endswith("-01")
    assert PARENT not in got["traceparent"].split("-")
    assert got["tracestate"] == "congo=t61rcwkgmze"  # read here in small letters
    assert last_trace(gateway, lines, count) == TRACE


def test_without_one_nothing_is_sent(gateway: Running, upstream: Upstream, lines: list[bytes]) -> None:
    count = len(lines)
    got = asked_upstream(gateway, upstream, tracestate="congo=t61rcWkgMzE")
    assert "traceparent" not in got
    assert "tracestate" not in got
    assert last_trace(gateway, lines, count) is None


def test_an_invalid_one_is_not_passed_on(gateway: Running, upstream: Upstream, lines: list[bytes]) -> None:
    count = len(lines)
    got = asked_upstream(gateway, upstream, traceparent=GOOD.replace("00-", "ff-"), tracestate="a=1")
    _, trace_id, parent_id, flags = got["traceparent"].split("-")
    assert TRACE not in trace_id
    assert (len(trace_id), len(parent_id), flags) == (32, 16, "02")
    assert "tracestate" not in got
    assert last_trace(gateway, lines, count) == trace_id


def test_the_simulator_gets_it_too(gateway: Running, lines: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    simulator, requests = gateway.gateway.house.simulator, []
    start = simulator.start
    monkeypatch.setattr(simulator, "start", lambda *what: (requests.append(what[0]), start(*what))[1])
    count = len(lines)
    reply = ask(gateway.port, CHAT, chat(stream=True), headers={"traceparent": GOOD})
    assert reply.status == 200
    assert "traceparent" not in reply.headers
    (request,) = requests
    assert dict(request.headers)[b"traceparent"].startswith(b"00-" + TRACE.encode())
    assert last_trace(gateway, lines, count) == TRACE


def test_a_request_that_is_refused_is_found_by_its_trace(gateway: Running, lines: list[bytes]) -> None:
    count = len(lines)
    assert ask(gateway.port, CHAT, b"{", headers={"traceparent": GOOD}).status == 400
    assert last_trace(gateway, lines, count) == TRACE
