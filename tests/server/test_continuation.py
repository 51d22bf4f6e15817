"""A text that broke off is gone on with, where its provider takes a beginning. Through the whole gateway."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import pytest
from msgspec.structs import replace

from tests.server.gateway import Running, Upstream, running, settings_of
from tests.server.test_attempts import CLIENTS, Two
from thalweg.canon.parts import Text
from thalweg.canon.policy import Attempts
from thalweg.canon.response import Response
from thalweg.canon.usage import estimate_tokens
from thalweg.client.codecs import decode
from thalweg.config import Settings
from thalweg.dialects.base import count_chars
from thalweg.ledger.entry import Reservation, Settlement

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
WORDS = ["The", " river", " is", " wide", ",", "\n\n", "深", "泓", " runs", " in", " it", "."]
WHOLE = "".join(WORDS)
MODELS = {
    "moonshot": "moonshot/kimi-k3",
    "anthropic": "anthropic/claude-haiku-4-5",
    "deepseek": "deepseek/deepseek-chat",
}
VARIABLES = {"moonshot": "MOONSHOT", "anthropic": "ANTHROPIC", "deepseek": "DEEPSEEK"}


def _data(tree: Any, name: str = "") -> bytes:
    return (f"event: {name}\n" if name else "").encode() + b"data: " + json.dumps(tree).encode() + b"\n\n"


def _chat(delta: dict[str, Any], finish: str | None = None, **more: Any) -> bytes:
    top = {"id": "chatcmpl-7", "object": "chat.completion.chunk", "created": 7, "model": "kimi-k3"}
    return _data(top | {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]} | more)


class Grammar(NamedTuple):
    """How an upstream says it."""

    begin: bytes
    word: Callable[[str], bytes]
    end: bytes
    error: bytes
    thought: bytes
    call: bytes
    beginning: Callable[[dict[str, Any]], str]
    """What a request says that was said already."""


def _block(index: int, block: dict[str, Any], delta: dict[str, Any]) -> bytes:
    return _data(
        {"type": "content_block_start", "index": index, "content_block": block}, "content_block_start"
    ) + _data({"type": "content_block_delta", "index": index, "delta": delta}, "content_block_delta")


def _last(body: dict[str, Any], mark: str = "") -> str:
    last = body["messages"][-1]
    if last["role"] != "assistant":
        return ""
    assert not mark or last[mark] is True
    return str(last["content"])


_CHAT_USAGE = {"prompt_tokens": 10, "completion_tokens": 4, "total_tokens": 14}
_CHAT = Grammar(
    begin=_chat({"role": "assistant", "content": ""}),
    word=lambda word: _chat({"content": word}),
    end=_chat({}, "stop") + _chat({}, choices=[], usage=_CHAT_USAGE) + b"data: [DONE]\n\n",
    error=_data({"error": {"message": "overloaded", "type": "server_error", "code": None}}),
    thought=_chat({"reasoning_content": "Hm."}),
    call=_chat(
        {"tool_calls": [{"index": 0, "id": "c1", "type": "function", "function": {"name": "f", "arguments": "{"}}]}
    ),
    beginning=lambda body: _last(body, "partial"),
)
_MESSAGE = {"id": "msg_7", "type": "message", "role": "assistant", "model": "claude-haiku-4-5", "content": []}
GRAMMARS: dict[str, Grammar] = {
    "moonshot": _CHAT,
    "deepseek": _CHAT._replace(beginning=lambda body: _last(body, "prefix")),
    "anthropic": Grammar(
        begin=_data(
            {"type": "message_start", "message": _MESSAGE | {"usage": {"input_tokens": 10, "output_tokens": 1}}},
            "message_start",
        )
        + _data(
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
            "content_block_start",
        ),
        word=lambda word: _data(
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": word}},
            "content_block_delta",
        ),
        end=_data({"type": "content_block_stop", "index": 0}, "content_block_stop")
        + _data(
            {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 4}},
            "message_delta",
        )
        + _data({"type": "message_stop"}, "message_stop"),
        error=_data({"type": "error", "error": {"type": "overloaded_error", "message": "overloaded"}}, "error"),
        thought=_block(0, {"type": "thinking", "thinking": ""}, {"type": "thinking_delta", "thinking": "Hm."}),
        call=_block(
            1,
            {"type": "tool_use", "id": "t", "name": "f", "input": {}},
            {"type": "input_json_delta", "partial_json": "{"},
        ),
        beginning=_last,
    ),
}

BREAKS: dict[str, Callable[[Grammar], bytes]] = {
    "a cut": lambda _: b"",
    "a cut in a frame": lambda grammar: grammar.word("lost")[:-9],
    "an error": lambda grammar: grammar.error,
    "no json": lambda _: b"data: {]\n\n",
}
"""What comes in the place of the rest."""


class Storyteller:
    """An upstream that tells `WORDS`, breaks off after some of them, and goes on where it is told to."""

    def __init__(self, provider: str, breaks: list[tuple[int, str]]) -> None:
        self.grammar = GRAMMARS[provider]
        self.told: list[str] = []
        """The beginnings that it was asked to go on with."""
        self.targets: list[bytes] = []
        self.asked: list[dict[str, Any]] = []
        self._breaks = list(breaks)
        """After how many words of an answer it breaks off, and how; then it does no more."""

    def answer(self, request: bytes) -> bytes:
        head, _, body = request.partition(b"\r\n\r\n")
        self.targets.append(head.split(b" ", 2)[1])
        tree = json.loads(body)
        self.asked.append(tree)
        beginning = self.grammar.beginning(tree)
        self.told.append(beginning)
        assert WHOLE.startswith(beginning)
        rest = self._words_after(beginning)
        said = HEAD + self.grammar.begin
        if not self._breaks:
            return said + b"".join(map(self.grammar.word, rest)) + self.grammar.end
        count, how = self._breaks.pop(0)
        return said + b"".join(map(self.grammar.word, rest[:count])) + BREAKS[how](self.grammar)

    def _words_after(self, beginning: str) -> list[str]:
        left, words = len(beginning), []
        for word in WORDS:
            if left < len(word):
                words.append(word[left:])
            left = max(left - len(word), 0)
        return words


@contextmanager
def told(
    provider: str, breaks: list[tuple[int, str]], *, model: str = "", **rules: Any
) -> Iterator[tuple[Two, Storyteller]]:
    teller = Storyteller(provider, breaks)
    with Upstream(teller.answer) as upstream, running(_settings(provider, upstream.url, **rules)) as gateway:
        yield Two(gateway), teller


def _settings(provider: str, url: str, **rules: Any) -> Settings:
    name = VARIABLES[provider]
    base = url.removesuffix("/v1") if provider != "moonshot" else url
    settings = settings_of(**{f"{name}_BASE_URL": base, f"{name}_API_KEY": "a-key-of-the-gateway"})
    given = {"backoff_s": 0.001, "cool_down_after": 0, "continuations": 2} | rules
    return replace(settings, attempts=Attempts(**given))


def read(client: str, answer: bytes) -> Response:
    """What a client's decoder makes of the stream."""
    name = {"chat": "openai-chat", "responses": "openai-responses"}.get(client, client)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"200 OK" in head
    return decode(_unchunked(body), name)


def _unchunked(body: bytes) -> bytes:
    pieces = []
    while body:
        size, _, body = body.partition(b"\r\n")
        pieces.append(body[: int(size, 16)])
        body = body[int(size, 16) + 2 :]
    return b"".join(pieces)


def text_of(response: Response) -> str:
    return "".join(part.text for part in response.choices[0].parts if isinstance(part, Text))


def continued(gateway: Running) -> list[bool]:
    return [each.continued for each in gateway.ledger.postings if isinstance(each, Reservation)]


@pytest.mark.parametrize("how", BREAKS)
@pytest.mark.parametrize("after", [1, 6, len(WORDS)])
@pytest.mark.parametrize("provider", GRAMMARS)
@pytest.mark.parametrize("client", CLIENTS)
def test_a_text_that_broke_off_is_gone_on_with(client: str, provider: str, after: int, how: str) -> None:
    with told(provider, [(after, how)]) as (two, teller):
        code, answer = two.ask(client, stream=True, model=MODELS[provider])
        response = read(client, answer)
        assert (code, response.error, text_of(response)) == (200, None, WHOLE)
        assert response.choices[0].finish_reason is not None
        assert answer.count(b'"continued_at"') == 1
        assert b'"continued_at":%d,"attempt":2' % len("".join(WORDS[:after])) in answer
        said = "".join(WORDS[:after])
        assert teller.told == ["", said.rstrip() if provider == "anthropic" else said]
        assert two.entry() == [(provider, 1, "upstream_error"), (provider, 2, "complete")]
        assert continued(two.gateway) == [False, True]


def test_it_may_break_off_again() -> None:
    with told("moonshot", [(3, "a cut"), (0, "an error"), (5, "a cut")], continuations=3) as (two, teller):
        _, answer = two.ask("chat", stream=True, model=MODELS["moonshot"])
        assert text_of(read("chat", answer)) == WHOLE
        assert teller.told == ["", *("".join(WORDS[:count]) for count in (3, 3, 8))]
        assert [row[2] for row in two.entry()] == ["upstream_error"] * 3 + ["complete"]


def test_after_so_many_times_the_failure_is_told() -> None:
    with told("moonshot", [(3, "a cut"), (2, "an error"), (1, "a cut")]) as (two, teller):
        _, answer = two.ask("anthropic", stream=True, model=MODELS["moonshot"])
        response = read("anthropic", answer)
        assert text_of(response) == "".join(WORDS[:6])
        assert response.error is not None and "broke off" in response.error.message
        assert len(teller.told) == 3
        assert b"message_stop" not in answer


def test_it_is_only_done_where_somebody_asked_for_it() -> None:
    with told("moonshot", [(3, "a cut")], continuations=0) as (two, teller):
        _, answer = two.ask("chat", stream=True, model=MODELS["moonshot"])
        assert read("chat", answer).error is not None
        assert len(teller.told) == 1


@pytest.mark.parametrize("what", ["thought", "call"])
@pytest.mark.parametrize("provider", GRAMMARS)
def test_a_thought_and_a_call_are_never_gone_on_with(provider: str, what: str) -> None:
    grammar = GRAMMARS[provider]
    odd: bytes = getattr(grammar, what)
    words = grammar.word("Hello") if what == "call" else b""
    begin = (
        grammar.begin if what == "call" or provider != "anthropic" else grammar.begin.partition(b"event: content")[0]
    )
    with (
        Upstream(lambda _: HEAD + begin + words + odd) as upstream,
        running(_settings(provider, upstream.url)) as gateway,
    ):
        two = Two(gateway)
        _, answer = two.ask("chat", stream=True, model=MODELS[provider])
        assert read("chat", answer).error is not None
        assert two.entry() == [(provider, 1, "upstream_error")]


def test_the_client_is_told_what_all_attempts_used_and_the_entry_says_so() -> None:
    with told("moonshot", [(3, "a cut")]) as (two, _):
        _, answer = two.ask("anthropic", stream=True, model=MODELS["moonshot"])
        usage = read("anthropic", answer).usage
        settled = [each for each in two.gateway.ledger.postings if isinstance(each, Settlement)]
        assert [each.usage_source for each in settled] == ["estimated", "reported"]
        [entry] = two.gateway.ledger.last_entries(1)
        assert usage is not None
        assert (usage.input_tokens, usage.output_tokens) == (entry.usage.input_tokens, entry.usage.output_tokens)
        assert (entry.attempts, entry.continued, entry.usage_source) == (2, 1, "estimated")


def test_a_cap_on_tokens_is_lowered_by_what_was_made() -> None:
    with told("anthropic", [(8, "a cut")]) as (two, teller):
        two.ask("anthropic", stream=True, model=MODELS["anthropic"])
        assert [body["max_tokens"] for body in teller.asked] == [
            9,
            9 - estimate_tokens(*count_chars("".join(WORDS[:8]))),
        ]


def test_a_beginning_goes_where_the_provider_takes_it() -> None:
    with told("deepseek", [(4, "a cut")]) as (two, teller):
        two.ask("chat", stream=True, model=MODELS["deepseek"])
        assert teller.targets == [b"/chat/completions", b"/beta/chat/completions"]


def test_where_it_is_refused_the_break_is_told() -> None:
    grammar, answers = GRAMMARS["moonshot"], [HEAD + _CHAT.begin + _CHAT.word("Hello")]
    refusal = json.dumps({"error": {"message": "no partial mode here", "type": "invalid_request_error"}}).encode()
    answers.append(
        b"HTTP/1.1 400 X\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(refusal) + refusal
    )
    assert grammar is not None
    with Upstream(lambda _: answers.pop(0)) as upstream, running(_settings("moonshot", upstream.url)) as gateway:
        two = Two(gateway)
        _, answer = two.ask("chat", stream=True, model=MODELS["moonshot"])
        response = read("chat", answer)
        assert text_of(response) == "Hello"
        assert response.error is not None and "broke off" in response.error.message
        assert b"partial mode" not in answer
        assert [row[2] for row in two.entry()] == ["upstream_error", "refused"]
