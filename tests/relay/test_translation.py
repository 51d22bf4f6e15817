"""Exchanges between two dialects, pair by pair: the gate, silences, errors, cuts, leaving, stops and whole answers."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.playbook import BEGIN, JSON, SSE, passes, queue
from thalweg.canon.errors import UpstreamBroke
from thalweg.canon.events import (
    ChoiceFinished,
    Event,
    PartDelta,
    PartEnded,
    PartStarted,
    ResponseEnded,
    ResponseStarted,
    UsageReported,
)
from thalweg.canon.finish import FinishReason
from thalweg.canon.fold import Fold, fold
from thalweg.canon.losses import Losses
from thalweg.canon.parts import Reasoning, Text, ToolCall
from thalweg.canon.request import Message, Request, Sampling
from thalweg.canon.response import Response
from thalweg.canon.usage import Usage
from thalweg.dialects.base import UpstreamSide
from thalweg.dialects.registry import DIALECTS
from thalweg.framing.sse import SseDecoder
from thalweg.profiles.providers import SIMULATOR
from thalweg.relay.budget import Budget, Share
from thalweg.relay.exchange import Exchange, Phase, Wish
from thalweg.relay.plan import Bounds, Plan
from thalweg.upstream.base import ResponseHead

PROFILE = SIMULATOR.profile
CLIENTS = ("openai-chat", "openai-responses", "anthropic", "gemini")
UPSTREAMS = (*CLIENTS, "dashscope-native")
PAIRS = [(client, upstream) for client, upstream in itertools.product(CLIENTS, UPSTREAMS) if client != upstream]

ASKED = Request(
    model="the/model",
    messages=(Message(role="user", parts=(Text(text="What carries a boat?"),)),),
    sampling=Sampling(max_tokens=64),
    stream=True,
)
PARTS: tuple[Any, ...] = (
    Text(text="Water, 深泓. "),
    ToolCall(id="call_abc", name="look", arguments='{"where":"below"}'),
)
USAGE = Usage(input_tokens=7, output_tokens=9, cached_input_tokens=0)


AS_WE_ASK = {"dashscope-native": {"incremental_output": True, "result_format": "message"}}
"""What our requests to an upstream hold that decides how it answers."""


def said(*parts: Any, finish: FinishReason = FinishReason.TOOL_CALLS) -> list[Event]:
    """The events of an answer, each text in pieces."""
    events: list[Event] = [ResponseStarted(response_id="up-1", model="m-up", created=1)]
    for index, part in enumerate(parts):
        is_call = isinstance(part, ToolCall)
        text = part.arguments if is_call else part.text
        kind: Any = "tool_call" if is_call else "reasoning" if isinstance(part, Reasoning) else "text"
        named = {"call_id": part.id, "name": part.name} if is_call else {}
        events.append(PartStarted(index=index, kind=kind, **named))
        events += [PartDelta(index=index, text=piece) for piece in (text[:3], text[3:]) if piece]
        events.append(PartEnded(index=index))
    return [*events, UsageReported(usage=USAGE), ChoiceFinished(reason=finish), ResponseEnded()]


def wire(upstream: str, events: list[Event]) -> list[bytes]:
    """What an upstream makes of events, a piece for each that it says."""
    asked = Request(
        model="m-up",
        messages=ASKED.messages,
        dialect=upstream,
        include_usage=True,
        extensions=AS_WE_ASK.get(upstream, {}),
    )
    encoder = DIALECTS[upstream].stream_encoder(asked, response_id="up-1", model="m-up", created=1)
    pieces = [b"".join(encoder.encode([event])) for event in events]
    return [piece for piece in pieces if piece]


def whole(upstream: str, events: list[Event]) -> bytes:
    asked = Request(model="m-up", messages=ASKED.messages, dialect=upstream, extensions=AS_WE_ASK.get(upstream, {}))
    return DIALECTS[upstream].encode_answer(fold(events), asked)


@dataclass
class Talk:
    """One exchange and what its client got."""

    client: str
    upstream: str
    stream: bool = True
    upstream_streams: bool = True
    stop: tuple[str, ...] = ()
    answer_bytes: int = 32 * 1024 * 1024
    budget: Budget | None = None
    heads: list[int] = field(default_factory=list)
    kinds: list[bytes] = field(default_factory=list)
    got: bytes = b""

    def __post_init__(self) -> None:
        front, behind = DIALECTS[self.client], DIALECTS[self.upstream]
        sampling = Sampling(max_tokens=64, stop=self.stop)
        asked = Request(model="the/model", messages=ASKED.messages, sampling=sampling, stream=self.stream)
        body = front.encode_request(asked, model="the/model", profile=PROFILE, stream=self.stream, losses=Losses()).body
        read = front.read_request(body, front.request_target(b"/v1", "the/model", stream=self.stream))
        request = read.canon()
        sent = behind.encode_request(
            request, model="m-up", profile=PROFILE, stream=self.upstream_streams, losses=Losses("lenient")
        )
        if self.stop and not sent.stops:
            sent = type(sent)(body=sent.body, stops=self.stop)
        self.exchange = Exchange(
            Plan(
                stream_id="own",
                asked=read,
                dialect=front,
                upstream=UpstreamSide(behind, PROFILE, provider="acme", key_name="ACME_API_KEY"),
                upstream_streams=self.upstream_streams,
                sent=sent,
                request=request,
                created=2,
                bounds=Bounds(answer_bytes=self.answer_bytes),
            ),
            now=BEGIN,
            share=Share(self.budget) if self.budget else None,
        )
        self.exchange.connected(BEGIN)

    def head(self, status: int = 200, headers: Any = SSE) -> Talk:
        self.exchange.head_received(ResponseHead(status, headers), BEGIN)
        return self.taken()

    def body(self, *pieces: bytes, at: float = 0.0) -> Talk:
        for piece in pieces:
            if self.exchange.phase is Phase.ENDED:
                break
            passed = passes(self.exchange, piece, BEGIN + at)
            if passed is not None:
                queue(self.exchange, passed)
            else:
                self.exchange.body_received(piece, BEGIN + at)
            self.taken(at)
        return self

    def ended(self) -> Talk:
        if self.exchange.phase is not Phase.ENDED:
            self.exchange.body_ended(BEGIN)
        return self.taken()

    def tick(self, at: float) -> Talk:
        self.exchange.ticked(BEGIN + at, reading=True)
        return self.taken(at)

    def taken(self, at: float = 0.0) -> Talk:
        exchange = self.exchange
        if exchange.head is not None:
            status, headers = exchange.head
            self.heads.append(status)
            self.kinds.append(dict(headers)[b"content-type"])
            exchange.head = None
        if exchange.pending_bytes:
            self.got += exchange.take()
            exchange.delivered(BEGIN + at)
        return self

    def read(self) -> Response:
        """What the client makes of it."""
        dialect = DIALECTS[self.client]
        if not self.stream:
            return dialect.decode_answer(self.got, profile=PROFILE, provider="us")
        frames, decoder, gathered = SseDecoder(), dialect.stream_decoder(profile=PROFILE, provider="us"), Fold()
        gathered.feed(decoder.feed(frames.feed(self.got)) + decoder.feed(frames.end()) + decoder.end())
        return gathered.response()


def check(answer: Response, *parts: Any, finish: FinishReason = FinishReason.TOOL_CALLS) -> None:
    (choice,) = answer.choices
    shown = [(type(part), getattr(part, "text", ""), getattr(part, "arguments", "")) for part in choice.parts]
    assert shown == [(type(part), getattr(part, "text", ""), getattr(part, "arguments", "")) for part in parts]
    assert choice.finish_reason is finish
    assert answer.complete
    assert answer.usage is not None
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (7, 9)


each_pair = pytest.mark.parametrize(("client", "upstream"), PAIRS)


@each_pair
@pytest.mark.parametrize("upstream_streams", [True, False], ids=["upstream streams", "upstream whole"])
@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
def test_an_answer_comes_whole_or_streamed_whatever_the_upstream_does(
    client: str, upstream: str, stream: bool, upstream_streams: bool
) -> None:
    talk = Talk(client, upstream, stream=stream, upstream_streams=upstream_streams)
    if upstream_streams:
        talk.head().body(*wire(upstream, said(*PARTS))).ended()
    else:
        talk.head(headers=JSON).body(whole(upstream, said(*PARTS))).ended()
    answer = talk.read()
    check(answer, *PARTS)
    assert answer.model == "the/model", "the name that the client asked for"
    assert "up-1" not in talk.got.decode(), "the answer is ours to name"
    report = talk.exchange.report()
    assert (report.outcome, report.usage_source) == ("complete", "reported")
    assert (report.usage.input_tokens, report.usage.output_tokens) == (7, 9)
    assert talk.exchange.wish is Wish.RELEASE
    assert talk.heads == [200]
    assert talk.kinds[0].startswith(b"text/event-stream" if stream else b"application/json")


@each_pair
def test_each_delta_leaves_in_the_turn_it_came_in(client: str, upstream: str) -> None:
    talk = Talk(client, upstream).head()
    for piece in wire(upstream, said(Text(text="abcdef"), finish=FinishReason.STOP)):
        before = talk.got
        talk.body(piece)
        for text in ("abc", "def"):
            if text.encode() in piece and b'"completed"' not in piece and b"done" not in piece:
                assert text.encode() in talk.got[len(before) :]


@each_pair
def test_nothing_leaves_before_there_is_content(client: str, upstream: str) -> None:
    talk = Talk(client, upstream).head().body(*wire(upstream, said()[:1]))
    assert (talk.got, talk.heads, talk.exchange.phase) == (b"", [], Phase.HOLDING)


REFUSALS = {
    "openai-chat": b'{"error":{"message":"Slow down.","type":"x_vendor","code":"y_vendor","param":"z"}}',
    "openai-responses": b'{"error":{"message":"Slow down.","type":"x_vendor","code":"y_vendor","param":"z"}}',
    "anthropic": b'{"type":"error","error":{"type":"x_vendor","message":"Slow down."}}',
    "gemini": b'{"error":{"code":429,"message":"Slow down.","status":"X_VENDOR"}}',
    "dashscope-native": b'{"code":"X_vendor","message":"Slow down.","request_id":"r"}',
}


@each_pair
def test_a_refusal_keeps_its_status_and_is_said_in_the_client_s_words(client: str, upstream: str) -> None:
    talk = Talk(client, upstream).head(429, (*JSON, (b"retry-after", b"7"))).body(REFUSALS[upstream]).ended()
    assert talk.heads == [429]
    assert b"Slow down." in talk.got
    assert b"vendor" not in talk.got.lower(), "the other vendor's words stay there"
    error = json.loads(talk.got)["error"]
    words = {"anthropic": ("type", "rate_limit_error"), "gemini": ("status", "RESOURCE_EXHAUSTED")}
    field_name, word = words.get(client, ("type", "rate_limit_error"))
    assert error[field_name] == word
    assert talk.exchange.report().outcome == "refused"


@each_pair
@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
def test_an_upstream_that_breaks_off_never_ends_like_a_good_one(client: str, upstream: str, stream: bool) -> None:
    pieces = wire(upstream, said(*PARTS))
    for at in range(len(pieces)):
        talk = Talk(client, upstream, stream=stream).head().body(*pieces[:at])
        if talk.exchange.phase is Phase.ENDED:
            break
        talk.exchange.call_failed(UpstreamBroke("acme broke off", provider="acme"), BEGIN)
        talk.taken()
        report = talk.exchange.report()
        assert report.outcome == "upstream_error"
        if stream and talk.heads == [200]:
            answer = talk.read()
            assert answer.error is not None, at
            assert not answer.complete
            assert "acme broke off" in answer.error.message
        else:
            assert talk.heads[0] >= 500
            assert b"acme broke off" in talk.got


@each_pair
def test_text_before_a_cut_is_counted(client: str, upstream: str) -> None:
    talk = Talk(client, upstream).head().body(*wire(upstream, said(Text(text="word " * 40))[:4]))
    talk.exchange.client_left(BEGIN + 1)
    report = talk.exchange.report()
    assert talk.exchange.wish is Wish.ABORT
    assert (report.outcome, report.usage_source) == ("cancelled", "estimated")
    assert 40 <= (report.usage.output_tokens or 0) <= 60


@each_pair
def test_silences_are_broken_in_a_form_that_changes_nothing(client: str, upstream: str) -> None:
    """Before the upstream answers, before its first word, and between two words."""
    pieces = wire(upstream, said(*PARTS))
    talk = Talk(client, upstream).tick(11)
    assert talk.heads == [200]
    talk.tick(22)
    alive = talk.got
    assert alive, "a client is told that somebody is there"
    talk.head().tick(33)
    for at, piece in enumerate(pieces):
        talk.body(piece, at=40 + 11 * at)
        if talk.exchange.phase is not Phase.ENDED:
            talk.tick(40 + 11 * at + 10.5)
    talk.ended()
    assert talk.got.startswith(alive)
    assert len(talk.got) > len(Talk(client, upstream).head().body(*pieces).ended().got)
    check(talk.read(), *PARTS)
    assert b"\n:" not in talk.got
    assert not talk.got.startswith(b":")


@each_pair
@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
def test_a_stop_sequence_of_ours_ends_the_answer_and_the_call(client: str, upstream: str, stream: bool) -> None:
    pieces = wire(upstream, said(Text(text="one two END three"), finish=FinishReason.STOP))
    talk = Talk(client, upstream, stream=stream, stop=("END",)).head()
    for piece in pieces:
        if talk.exchange.phase is not Phase.ENDED:
            talk.body(piece)
    assert talk.exchange.wish is Wish.ABORT, "the upstream is still at it"
    answer = talk.read()
    assert [part.text for part in answer.choices[0].parts if isinstance(part, Text)] == ["one two "]
    wanted = FinishReason.STOP_SEQUENCE if client == "anthropic" else FinishReason.STOP
    assert answer.choices[0].finish_reason is wanted
    assert answer.complete
    report = talk.exchange.report()
    assert (report.outcome, report.finish_reason) == ("complete", "stop_sequence")
    assert report.usage_source == "estimated"
    assert answer.usage is not None
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (
        report.usage.input_tokens,
        report.usage.output_tokens,
    )


@each_pair
@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
def test_usage_that_nobody_told_is_guessed(client: str, upstream: str, stream: bool) -> None:
    silent = [
        each for each in said(Text(text="one two three"), finish=FinishReason.STOP) if type(each) is not UsageReported
    ]
    talk = Talk(client, upstream, stream=stream).head()
    for piece in wire(upstream, silent):
        talk.body(piece)
    if talk.exchange.phase is not Phase.ENDED:
        talk.ended()
    answer, report = talk.read(), talk.exchange.report()
    assert answer.usage is not None
    if report.usage_source == "estimated":
        assert (answer.usage.input_tokens, answer.usage.output_tokens) == (5, 4)
    else:
        assert upstream in ("openai-responses", "anthropic"), "their streams cannot be silent"


@each_pair
def test_a_client_that_leaves_after_the_finish_is_waited_for_with_usage(client: str, upstream: str) -> None:
    pieces = wire(upstream, said(Text(text="abc"), finish=FinishReason.STOP))
    talk = Talk(client, upstream).head()
    for piece in pieces:
        talk.body(piece)
        if talk.exchange.watch.finished and talk.exchange.phase is Phase.SENDING:
            talk.exchange.client_left(BEGIN)
            assert talk.exchange.phase is Phase.LINGERING
    if talk.exchange.phase is not Phase.ENDED:
        talk.ended()
    report = talk.exchange.report()
    assert (report.usage.output_tokens, report.usage_source) == (9, "reported")


@each_pair
def test_a_long_whole_answer_keeps_its_client_alive(client: str, upstream: str) -> None:
    """Once there is content, so that a refusal keeps its status; then white space until it is whole."""
    pieces = wire(upstream, said(*PARTS))
    talk = Talk(client, upstream, stream=False).head().tick(11)
    assert (talk.got, talk.heads) == (b"", []), "it may still be refused"
    talk.body(*pieces[:3], at=12).tick(13)
    assert (talk.heads, talk.kinds, talk.got) == ([200], [b"application/json"], b"\n")
    talk.tick(24)
    assert talk.got == b"\n\n"
    talk.body(*pieces[3:], at=30).ended()
    check(talk.read(), *PARTS)
    assert (talk.heads, talk.exchange.report().outcome) == ([200], "complete")


@each_pair
def test_a_long_whole_answer_that_breaks_off_is_cut(client: str, upstream: str) -> None:
    pieces = wire(upstream, said(*PARTS))
    talk = Talk(client, upstream, stream=False).head().body(*pieces[:3], at=1).tick(11)
    talk.exchange.call_failed(UpstreamBroke("acme broke off", provider="acme"), BEGIN + 12)
    talk.taken()
    assert talk.got == b"\n"
    assert talk.exchange.client_gone, "the connection is closed without an end"
    assert talk.exchange.finished
    assert talk.exchange.report().outcome == "upstream_error"


@pytest.mark.parametrize("upstream", [each for each in UPSTREAMS if each != "openai-responses"])
def test_an_answer_that_its_writer_cannot_keep_ends_with_an_error(
    upstream: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Responses says the whole text again at its end, so that its writer must keep it."""
    monkeypatch.setattr("thalweg.dialects.openai_responses.encoder.MOST_KEPT_CHARS", 10)
    pieces = wire(upstream, said(Text(text="abc" + "d" * 20), finish=FinishReason.STOP))
    talk = Talk("openai-responses", upstream).head()
    for piece in pieces:
        if talk.exchange.phase is not Phase.ENDED:
            talk.body(piece)
    assert talk.exchange.wish is Wish.ABORT, "it is not read to its end for nothing"
    answer = talk.read()
    assert answer.error is not None
    assert "too long to be kept" in answer.error.message
    assert talk.got.count(b"event: response.failed") == 1
    assert talk.exchange.report().outcome == "gateway_error"


HOLDING = [("openai-responses", "text"), ("gemini", "call")]
"""Clients whose stream needs something kept: what is said again at its end, and a call until it is whole."""


@pytest.mark.parametrize("upstream", ["openai-chat", "anthropic"])
@pytest.mark.parametrize(("client", "kind"), HOLDING)
def test_what_a_translation_keeps_has_its_bound_and_is_in_the_budget(client: str, kind: str, upstream: str) -> None:
    part = Text(text="w" * 3) if kind == "text" else ToolCall(id="call_1", name="look", arguments='{"a":"')
    piece = wire(upstream, [*said(part)[:3], PartDelta(index=0, text="x" * 50_000)])[-1]
    budget = Budget(10_000_000)
    talk = Talk(client, upstream, answer_bytes=2_000_000, budget=budget).head().body(*wire(upstream, said(part)[:3]))
    rounds = 0
    while talk.exchange.phase is not Phase.ENDED:
        talk.body(piece).tick(0.0)
        rounds += 1
        assert rounds < 60, "it keeps on keeping"
        if talk.exchange.phase is not Phase.ENDED and rounds > 2:
            assert budget.held_bytes >= 50_000 * (rounds - 1), "everybody's budget knows of it"
    assert talk.exchange.wish is Wish.ABORT
    answer = talk.read()
    assert answer.error is not None
    assert "must be kept" in answer.error.message
    talk.exchange.share.close()
    assert budget.held_bytes == 0
