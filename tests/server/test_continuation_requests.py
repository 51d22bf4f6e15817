"""Which requests are gone on with, and how they are put then. Through the whole gateway."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.server.gateway import Caller, Upstream, request, running
from tests.server.test_attempts import CLIENTS, Two, with_keys
from tests.server.test_continuation import (
    GRAMMARS,
    HEAD,
    MODELS,
    WHOLE,
    WORDS,
    Storyteller,
    _settings,
    _unchunked,
    read,
    text_of,
)
from thalweg.client.codecs import decode

USER: dict[str, Any] = {"role": "user", "content": "Hi."}
BEGUN = "".join(WORDS[:3])
BLOCKS = [{"type": "text", "text": "I say: "}]


class Recorder(Storyteller):
    """Tells the story, whatever stands before what it has said."""

    def __init__(self, provider: str) -> None:
        super().__init__(provider, [(3, "a cut")])
        self.shown: list[bytes] = []
        """The keys."""

    def answer(self, request: bytes) -> bytes:
        head, _, body = request.partition(b"\r\n\r\n")
        self.shown.append(head.partition(b"Bearer ")[2].partition(b"\r\n")[0])
        tree = json.loads(body)
        self.asked.append(tree)
        first = len(self.asked) == 1
        said = HEAD + self.grammar.begin
        if first:
            return said + b"".join(map(self.grammar.word, WORDS[:3]))
        return said + b"".join(map(self.grammar.word, WORDS[3:])) + self.grammar.end


def ask(client: str, provider: str, *, keys: tuple[str, ...] = (), headers: Any = None, **fields: Any) -> Any:
    """What the client gets, what the upstream was asked, and the entry."""
    teller = Recorder(provider)
    path, body = CLIENTS[client]
    target = path.format(model=MODELS[provider], verb="streamGenerateContent?alt=sse")
    data = json.dumps(body(MODELS[provider], True) | fields).encode()
    with Upstream(teller.answer) as upstream:
        settings = _settings(provider, upstream.url)
        if keys:
            settings = with_keys(settings, provider, *keys)
        with running(settings) as gateway, Caller(gateway.port) as caller:
            sent = request(target, data, headers={"connection": "close"} | (headers or {}))
            answer = caller.send(sent).rest()
            return answer, teller, [row[2] for row in Two(gateway).entry()]


OWN: dict[str, tuple[str, dict[str, Any], list[dict[str, Any]] | None]] = {
    "none": ("moonshot", USER, [USER, {"role": "assistant", "content": BEGUN, "partial": True}]),
    "a text": (
        "moonshot",
        {"role": "assistant", "content": "I say: ", "partial": True, "name": "river"},
        [{"role": "assistant", "content": "I say: " + BEGUN, "partial": True, "name": "river"}],
    ),
    "a text of an Anthropic client's": (
        "anthropic",
        {"role": "assistant", "content": "I say: "},
        [{"role": "assistant", "content": "I say: " + BEGUN}],
    ),
    "blocks": ("anthropic", {"role": "assistant", "content": BLOCKS}, None),
    "a call": (
        "moonshot",
        {
            "role": "assistant",
            "content": "I look.",
            "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
        },
        None,
    ),
}
"""A last message of the client's, and the last ones of the request for the rest; `None`: it is not gone on with."""


@pytest.mark.parametrize("own", OWN)
def test_a_beginning_of_the_client_s_own_is_gone_on_from(own: str) -> None:
    provider, last, wanted = OWN[own]
    client = "anthropic" if provider == "anthropic" else "chat"
    messages = [last] if last is USER else [USER, last]
    answer, teller, entry = ask(client, provider, messages=messages)
    response = read(client, answer)
    if wanted is None:
        assert response.error is not None and "broke off" in response.error.message
        assert (text_of(response), entry) == (BEGUN, ["upstream_error"])
        return
    assert (response.error, text_of(response)) == (None, WHOLE)
    told = teller.asked[1]["messages"]
    assert told[-len(wanted) :] == wanted
    assert told[:-1] == teller.asked[0]["messages"][: len(told) - 1]


SCHEMA = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}}


@pytest.mark.parametrize(
    "fields", [{"n": 2}, {"response_format": {"type": "json_object"}}, {"response_format": SCHEMA}], ids=repr
)
def test_several_choices_and_json_are_not_gone_on_with(fields: dict[str, Any]) -> None:
    answer, teller, entry = ask("chat", "moonshot", **fields)
    assert read("chat", answer).error is not None
    assert (len(teller.asked), entry) == (1, ["upstream_error"])


@pytest.mark.parametrize("fields", [{"n": 1}, {"response_format": {"type": "text"}}, {"seed": 7}], ids=repr)
def test_others_are_and_say_all_else_again(fields: dict[str, Any]) -> None:
    answer, teller, _ = ask("chat", "moonshot", **fields)
    assert text_of(read("chat", answer)) == WHOLE
    first, second = ({name: tree[name] for name in tree if name != "messages"} for tree in teller.asked)
    assert first == second


def test_it_is_the_same_key_that_goes_on() -> None:
    answer, teller, _ = ask("chat", "moonshot", keys=("sk-two", "sk-three"))
    assert text_of(read("chat", answer)) == WHOLE
    assert len(teller.shown) == 2 and len(set(teller.shown)) == 1


@pytest.mark.parametrize(("client", "provider"), [("chat", "moonshot"), ("anthropic", "anthropic")])
def test_who_wants_the_provider_s_frames_alone_is_told_of_the_break(client: str, provider: str) -> None:
    answer, teller, entry = ask(client, provider, headers={"x-thalweg-raw": "1"})
    response = read(client, answer)
    assert response.error is not None and text_of(response) == "".join(WORDS[:3])
    assert (len(teller.asked), entry) == (1, ["upstream_error"])


@pytest.mark.parametrize(("client", "provider"), [("chat", "moonshot"), ("anthropic", "anthropic")])
def test_up_to_the_break_the_bytes_are_the_provider_s_own(client: str, provider: str) -> None:
    grammar = GRAMMARS[provider]
    answer, _, entry = ask(client, provider)
    body = _unchunked(answer.partition(b"\r\n\r\n")[2])
    assert body.startswith(grammar.begin + b"".join(map(grammar.word, WORDS[:3])))
    assert text_of(read(client, answer)) == WHOLE
    assert entry == ["upstream_error", "complete"]
    response = read(client, answer)
    own = decode(b"".join([grammar.begin, *map(grammar.word, WORDS), grammar.end]), read_name(client))
    assert (response.response_id, response.model, response.created) == (own.response_id, own.model, own.created)


def read_name(client: str) -> str:
    return {"chat": "openai-chat"}.get(client, client)
