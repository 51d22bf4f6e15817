"""What falters before the first word is answered by another; what breaks after it is told. Through the whole gateway."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from msgspec.structs import replace

from tests.server.gateway import PATIENCE_S, Caller, Running, Upstream, ask, request, running, settings_of
from thalweg.canon.policy import Alias, Attempts, Leave, Route, Waits
from thalweg.config import Key, Settings
from thalweg.ledger.entry import Reservation, Settlement

SSE = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
TOP = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}


def chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
    return (
        b"data: "
        + json.dumps(TOP | {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}).encode()
        + b"\n\n"
    )


ROLE = chunk({"role": "assistant", "content": ""})
HELLO = chunk({"content": "Hello"})
END = chunk({"content": " there."}) + chunk({}, "stop") + b"data: [DONE]\n\n"
ERROR = b'data: {"error":{"message":"overloaded","type":"server_error","code":null}}\n\n'


def status(code: int, more: str = "") -> bytes:
    body = json.dumps({"error": {"message": f"no: {code}", "type": "t", "code": None}}).encode()
    head = f"HTTP/1.1 {code} X\r\ncontent-type: application/json\r\n{more}content-length: {len(body)}\r\n\r\n"
    return head.encode() + body


def good(asked: bytes) -> bytes:
    """A whole stream, or a whole answer, as it is asked for."""
    if b'"stream":true' in asked.replace(b" ", b""):
        return SSE + ROLE + HELLO + END
    message = {"role": "assistant", "content": "Hello there."}
    body = json.dumps(
        TOP | {"object": "chat.completion", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
    )
    head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    return (head + body).encode()


BEFORE: dict[str, tuple[bytes, str]] = {
    **{f"status {code}": (status(code), "refused") for code in (401, 403, 404, 408, 429, 500, 502, 503, 529)},
    "429 for an hour": (status(429, "retry-after: 3600\r\n"), "refused"),
    "a close before the head": (b"", "upstream_error"),
    "half a head": (b"HTTP/1.1 200 OK\r\ncontent-ty", "upstream_error"),
    "no http": (b"what?\r\n\r\n", "upstream_error"),
    "a head and no body": (SSE, "upstream_error"),
    "a role and no word": (SSE + ROLE, "upstream_error"),
    "half a frame": (SSE + ROLE + HELLO[:40], "upstream_error"),
    "an error as the first event": (SSE + ERROR, "upstream_error"),
    "an error after the role": (SSE + ROLE + ERROR, "upstream_error"),
    "comments and then nothing": (SSE + b": wait\n\n" * 10, "upstream_error"),
    "broken json": (SSE + ROLE + b'data: {"choices": [}\n\n', "upstream_error"),
    "a page": (b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 6\r\n\r\n<html>", "upstream_error"),
}
"""Ways to fail before the first content, and what the first attempt's entry says then."""

AFTER: dict[str, bytes] = {
    "a cut": SSE + ROLE + HELLO,
    "a cut in a frame": SSE + ROLE + HELLO + HELLO[:50],
    "an error": SSE + ROLE + HELLO + ERROR,
    "an error and a good end": SSE + ROLE + HELLO + ERROR + b"data: [DONE]\n\n",
}

MESSAGES = [{"role": "user", "content": "Hi."}]
CLIENTS: dict[str, tuple[str, Callable[[str, bool], dict[str, Any]]]] = {
    "chat": ("/v1/chat/completions", lambda model, stream: {"model": model, "messages": MESSAGES, "stream": stream}),
    "responses": ("/v1/responses", lambda model, stream: {"model": model, "input": "Hi.", "stream": stream}),
    "anthropic": (
        "/v1/messages",
        lambda model, stream: {"model": model, "max_tokens": 9, "messages": MESSAGES, "stream": stream},
    ),
    "gemini": (
        "/v1beta/models/{model}:{verb}",
        lambda model, stream: {"contents": [{"role": "user", "parts": [{"text": "Hi."}]}]},
    ),
}
ENDS = {"chat": b"[DONE]", "responses": b"response.completed", "anthropic": b"message_stop", "gemini": b"finishReason"}


class Two:
    """A gateway with an alias of two routes, the first of which says what a test wants it to."""

    def __init__(self, gateway: Running, said: list[bytes] | None = None) -> None:
        self.gateway = gateway
        self._said = said or [b""]

    def say(self, what: bytes) -> None:
        """Have the first route say that from now on."""
        self._said[0] = what

    def ask(self, client: str, *, stream: bool, model: str = "both", **how: Any) -> tuple[int, bytes]:
        path, body = CLIENTS[client]
        verb = "streamGenerateContent?alt=sse" if stream else "generateContent"
        data = json.dumps(body(model, stream)).encode()
        with Caller(self.gateway.port) as caller:
            sent = request(path.format(model=model, verb=verb), data, headers={"connection": "close"}, **how)
            answer = caller.send(sent).rest()
        return int(answer.split(b" ", 2)[1]), answer

    def entry(self) -> list[tuple[str, int, str]]:
        """The attempts of the last request: provider, number, outcome."""
        self.gateway.until(lambda: self.gateway.ledger.unsettled == 0)
        postings = self.gateway.ledger.postings
        last = next(each.request_id for each in reversed(postings))
        mine = [each for each in postings if each.request_id == last]
        outcomes = {each.attempt: each.outcome for each in mine if isinstance(each, Settlement)}
        return [(each.provider, each.attempt, outcomes[each.attempt]) for each in mine if isinstance(each, Reservation)]


def routed(first: str, second: str, **attempts: Any) -> Settings:
    settings = settings_of(THALWEG_PROVIDER_FIRST_BASE_URL=first, THALWEG_PROVIDER_SECOND_BASE_URL=second)
    rules = Attempts(**{"backoff_s": 0.001, "cool_down_after": 0} | attempts)
    both = Alias(name="both", routes=(Route(model="first/m"), Route(model="second/m")))
    return replace(settings, aliases={"both": both}, attempts=rules)


@pytest.fixture(scope="module")
def two() -> Iterator[Two]:
    said: list[bytes] = [b""]
    with (
        Upstream(lambda _: said[0]) as first,
        Upstream(good) as second,
        running(routed(first.url, second.url)) as gateway,
    ):
        yield Two(gateway, said)


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("fault", BEFORE)
def test_a_failure_before_the_first_word_is_not_seen(two: Two, fault: str, client: str, stream: bool) -> None:
    says, outcome = BEFORE[fault]
    two.say(says)
    code, answer = two.ask(client, stream=stream)
    assert code == 200, answer
    assert b"there." in answer
    assert b"error" not in answer.replace(b'"error":null', b"")
    if stream:
        assert ENDS[client] in answer
    assert two.entry() == [("first", 1, outcome), ("second", 2, "complete")]


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("fault", AFTER)
def test_a_failure_after_the_first_word_is_told_and_never_spliced(two: Two, fault: str, client: str) -> None:
    two.say(AFTER[fault])
    code, answer = two.ask(client, stream=True)
    assert code == 200
    assert b"Hello" in answer and b"there." not in answer
    assert b"error" in answer and ENDS[client] not in answer
    assert two.entry() == [("first", 1, "upstream_error")]


@pytest.mark.parametrize("client", CLIENTS)
def test_what_the_client_did_wrong_is_told_at_once(two: Two, client: str) -> None:
    two.say(status(400))
    code, answer = two.ask(client, stream=True)
    assert code == 400 and b"no: 400" in answer
    assert two.entry() == [("first", 1, "refused")]


def test_where_nobody_answers_the_last_failure_is_told(two: Two) -> None:
    two.say(status(503))
    code, answer = two.ask("chat", stream=True, model="first/m")
    assert code == 503 and b"no: 503" in answer
    assert two.entry() == [("first", 1, "refused"), ("first", 2, "refused")]


def test_a_refusal_to_try_again_is_believed(two: Two) -> None:
    two.say(status(503, "x-should-retry: false\r\n"))
    assert two.ask("chat", stream=True, model="first/m")[0] == 503
    assert two.entry() == [("first", 1, "refused")]


@pytest.mark.parametrize(
    "wish", ["first-content=100ms", "first-byte=100ms, gap=100ms", "connect=2, first-content=0.1s"]
)
def test_who_says_nothing_in_time_is_passed_over(wish: str) -> None:
    with Silent() as silent, Upstream(good) as second, running(routed(silent.url, second.url)) as gateway:
        two = Two(gateway)
        path, body = CLIENTS["chat"]
        reply = ask(gateway.port, path, json.dumps(body("both", True)).encode(), headers={"x-thalweg-timeout": wish})
        assert reply.status == 200 and b"there." in reply.body
        assert [row[0] for row in two.entry()] == ["first", "second"]
        alone = ask(gateway.port, path, json.dumps(body("first/m", True)).encode(), headers={"x-thalweg-timeout": wish})
        assert alone.status == 504 and "0.1 s" in alone.said


class Silent:
    """A provider that takes requests and says nothing."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._held: list[socket.socket] = []
        self._asked = threading.Event()
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/v1"
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Silent:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for each in self._held:
            each.close()

    def until_asked(self) -> None:
        """Wait until a request has come."""
        assert self._asked.wait(PATIENCE_S)

    def until_closed(self) -> None:
        """Wait until every connection was closed from the other side."""
        for each in self._held:
            each.settimeout(PATIENCE_S)
            with contextlib.suppress(ConnectionResetError):
                while each.recv(65536):
                    pass

    def _serve(self) -> None:
        try:
            while True:
                self._held.append(self._listener.accept()[0])
                self._held[-1].recv(1, socket.MSG_PEEK)
                self._asked.set()
        except OSError:
            return


@pytest.mark.parametrize(
    ("header", "value", "words"),
    [
        ("x-thalweg-timeout", "soon", "must be seconds"),
        ("x-thalweg-timeout", "gap=", "must be seconds"),
        ("x-thalweg-timeout", "gaps=3", "first-content"),
        ("x-thalweg-timeout", "0", "more than 0"),
        ("x-thalweg-timeout", "whole=99999", "up to a day"),
        ("x-thalweg-policy", "stay", "must be one of"),
        ("x-thalweg-policy", "keep", "keeps no streams yet"),
    ],
)
@pytest.mark.parametrize("client", CLIENTS)
def test_a_wrong_wish_is_refused_by_name(two: Two, client: str, header: str, value: str, words: str) -> None:
    path, body = CLIENTS[client]
    target = path.format(model="both", verb="generateContent")
    reply = ask(two.gateway.port, target, json.dumps(body("both", False)).encode(), headers={header: value})
    assert reply.status == 400
    assert header in reply.said and words in reply.said


def test_keys_take_turns_and_a_refused_one_is_followed_by_the_next() -> None:
    shown: list[bytes] = []

    def answer(asked: bytes) -> bytes:
        key = asked.partition(b"Bearer ")[2].partition(b"\r\n")[0]
        shown.append(key)
        return status(401) if key == b"sk-two" else good(asked)

    with Upstream(answer) as upstream:
        settings = settings_of(THALWEG_PROVIDER_FIRST_BASE_URL=upstream.url, THALWEG_PROVIDER_FIRST_API_KEY="sk-one")
        with running(with_keys(settings, "first", "sk-two", "sk-three")) as gateway:
            path, body = CLIENTS["chat"]
            for _ in range(6):
                assert ask(gateway.port, path, json.dumps(body("first/m", True)).encode()).status == 200
    # The second rests after its refusal, as long as there are others.
    assert shown == [b"sk-one", b"sk-two", b"sk-three", b"sk-three", b"sk-one", b"sk-three", b"sk-three"]


def with_keys(settings: Settings, provider: str, *keys: str) -> Settings:
    """The settings with further keys."""
    found = settings.providers[provider]
    assert found.credential is not None
    more = tuple(
        Key(f"KEY_{at}", replace(found.credential, value=b"Bearer " + key.encode())) for at, key in enumerate(keys, 2)
    )
    return replace(settings, providers=settings.providers | {provider: replace(found, more_keys=more)})


def test_a_route_s_own_times_hold_for_it_alone() -> None:
    with Silent() as silent, Upstream(good) as second:
        settings = routed(silent.url, second.url)
        hasty = Route(model="first/m", timeouts=Waits(first_byte_s=0.05))
        both = Alias(name="both", routes=(hasty, Route(model="second/m")))
        with running(replace(settings, aliases={"both": both})) as gateway:
            path, body = CLIENTS["chat"]
            reply = ask(gateway.port, path, json.dumps(body("both", True)).encode())
            assert reply.status == 200 and b"there." in reply.body


def test_an_alias_is_listed(two: Two) -> None:
    assert "both" in [each.name for each in two.gateway.gateway.house.directory.listed()]


# A second route beside a silent first one.


def hedged(first: str, second: str, *, after_s: float = 0.05) -> Settings:
    return routed(first, second, hedge_after_s=after_s)


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize("client", CLIENTS)
def test_where_the_first_is_silent_the_second_has_the_client(client: str, stream: bool) -> None:
    with Silent() as silent, Upstream(good) as second, running(hedged(silent.url, second.url)) as gateway:
        two = Two(gateway)
        code, answer = two.ask(client, stream=stream)
        assert code == 200 and b"there." in answer, answer
        assert two.entry() == [("first", 1, "cancelled"), ("second", 2, "complete")]
        silent.until_closed()


def test_where_the_first_speaks_in_time_nobody_else_is_asked() -> None:
    with (
        Upstream(good) as first,
        Upstream(good) as second,
        running(hedged(first.url, second.url, after_s=5)) as gateway,
    ):
        two = Two(gateway)
        assert two.ask("chat", stream=True)[0] == 200
        assert two.entry() == [("first", 1, "complete")]
        assert second.requests == []


def test_where_the_second_fails_the_first_goes_on() -> None:
    asked_both = threading.Event()

    def slow(asked: bytes) -> bytes:
        assert asked_both.wait(PATIENCE_S)
        # The second's answer is not only on its way, but known.
        gateway.until(lambda: any(isinstance(each, Settlement) for each in gateway.ledger.postings))
        return good(asked)

    def broken(_: bytes) -> bytes:
        asked_both.set()
        return status(500)

    with Upstream(slow) as first, Upstream(broken) as second, running(hedged(first.url, second.url)) as gateway:
        two = Two(gateway)
        code, answer = two.ask("chat", stream=True)
        assert code == 200 and b"there." in answer
        assert two.entry() == [("first", 1, "complete"), ("second", 2, "refused")]


def test_where_both_fail_the_last_failure_is_told() -> None:
    failed = threading.Event()

    def slow(_: bytes) -> bytes:
        assert failed.wait(PATIENCE_S)
        return status(503)

    def broken(_: bytes) -> bytes:
        failed.set()
        return status(500)

    with Upstream(slow) as first, Upstream(broken) as second:
        settings = routed(first.url, second.url, hedge_after_s=0.05, each=1)
        with running(settings) as gateway:
            two = Two(gateway)
            code, answer = two.ask("chat", stream=True)
            assert code in (500, 503) and b"no: %d" % code in answer
            assert sorted(two.entry()) == [("first", 1, "refused"), ("second", 2, "refused")]


def test_both_are_closed_when_the_client_leaves() -> None:
    with Silent() as first, Silent() as second, running(hedged(first.url, second.url)) as gateway:
        path, body = CLIENTS["chat"]
        with Caller(gateway.port) as caller:
            caller.send(request(path, json.dumps(body("both", True)).encode()))
            first.until_asked()
            second.until_asked()
        first.until_closed()
        second.until_closed()
        gateway.until(lambda: gateway.ledger.unsettled == 0)
        assert [row[2] for row in Two(gateway).entry()] == ["cancelled", "cancelled"]


def test_a_stop_ends_both_and_is_told() -> None:
    with Silent() as first, Silent() as second, running(hedged(first.url, second.url)) as gateway:
        path, body = CLIENTS["chat"]
        with Caller(gateway.port) as caller:
            caller.send(request(path, json.dumps(body("both", True)).encode()))
            first.until_asked()
            second.until_asked()
            [stream_id] = gateway.gateway.house.live.ids
            ask(gateway.port, f"/streams/{stream_id}", method="DELETE")
            assert caller.reply().status == 499
        first.until_closed()
        second.until_closed()


def test_where_the_first_speaks_after_all_the_second_is_closed() -> None:
    with Silent() as second:

        def slow(asked: bytes) -> bytes:
            second.until_asked()
            return good(asked)

        with Upstream(slow) as first, running(hedged(first.url, second.url)) as gateway:
            path, body = CLIENTS["chat"]
            with Caller(gateway.port) as caller:
                # The client stays, so that it is not its leaving that closes the second.
                reply = caller.send(request(path, json.dumps(body("both", True)).encode())).reply()
                assert reply.status == 200 and reply.body.count(b"there.") == 1
                second.until_closed()
                assert Two(gateway).entry() == [("first", 1, "complete"), ("second", 2, "cancelled")]


# What is said for a provider, and by a request.


def test_a_provider_s_own_times_hold_for_it() -> None:
    with Silent() as silent, Upstream(good) as second:
        settings = routed(silent.url, second.url)
        hasty = replace(settings.providers["first"], timeouts=Waits(first_byte_s=0.05))
        with running(replace(settings, providers=settings.providers | {"first": hasty})) as gateway:
            path, body = CLIENTS["chat"]
            reply = ask(gateway.port, path, json.dumps(body("first/m", True)).encode())
            assert reply.status == 504 and "0.05 s" in reply.said


@pytest.mark.parametrize("said_by", ["request", "provider", "gateway"])
def test_a_drain_reads_what_its_client_did_not_wait_for(said_by: str) -> None:
    asked, gone = threading.Event(), threading.Event()

    def slow(request: bytes) -> bytes:
        asked.set()
        assert gone.wait(PATIENCE_S)
        return good(request)

    drain = Leave(kind="drain", seconds=PATIENCE_S)
    with Upstream(slow) as first:
        settings = routed(first.url, first.url)
        if said_by == "provider":
            provider = replace(settings.providers["first"], leave=drain)
            settings = replace(settings, providers=settings.providers | {"first": provider})
        elif said_by == "gateway":
            settings = replace(settings, leave=drain)
        headers = {"x-thalweg-policy": "drain 10s"} if said_by == "request" else {}
        with running(settings) as gateway:
            path, body = CLIENTS["chat"]
            with Caller(gateway.port) as caller:
                caller.send(request(path, json.dumps(body("first/m", True)).encode(), headers=headers))
                assert asked.wait(PATIENCE_S)
                [stream_id] = gateway.gateway.house.live.ids
            live = gateway.gateway.house.live
            gateway.until(lambda: live._streams[stream_id].course.exchange.client_gone)
            gone.set()
            gateway.until(lambda: gateway.ledger.unsettled == 0)
            settled = gateway.ledger.postings[-1]
    assert (settled.outcome, settled.usage_source) == ("cancelled", "estimated")
    assert settled.usage.output_tokens
