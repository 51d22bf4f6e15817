"""A text is cut anywhere, and gone on with: what the client reads is what it would have read without the cut. No I/O."""

from __future__ import annotations

import itertools
import json
import random
import re
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.playbook import BEGIN, JSON, SSE, passes, queue
from thalweg.canon.errors import GatewayError, UpstreamBroke, UpstreamTimeout
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
from thalweg.canon.fold import fold
from thalweg.canon.losses import Losses
from thalweg.canon.parts import Text, ToolCall
from thalweg.canon.policy import Attempts
from thalweg.canon.request import Message, Request, Sampling
from thalweg.canon.response import Response
from thalweg.canon.usage import Usage
from thalweg.client.codecs import decode
from thalweg.dialects.base import UpstreamSide
from thalweg.dialects.registry import DIALECTS
from thalweg.profiles.base import Profile
from thalweg.profiles.providers import ANTHROPIC_REPAIRS, COMPATIBLE, PROVIDERS
from thalweg.relay.attempts import Health, Tries, Way
from thalweg.relay.budget import Budget, Share
from thalweg.relay.exchange import Exchange, Phase
from thalweg.relay.memory import MOST_BYTES
from thalweg.relay.plan import Plan, Timing
from thalweg.relay.taps import Report
from thalweg.upstream.base import ResponseHead

CLIENTS = ("openai-chat", "openai-responses", "anthropic", "gemini")
PROFILES = {"openai-chat": COMPATIBLE, "anthropic": Profile(repairs=ANTHROPIC_REPAIRS)}
PAIRS = list(itertools.product(CLIENTS, PROFILES))
WORDS = ("The ", "river", "\n\n", " 深泓", ' "wide"', "\\", "🦜", " runs.")
WHOLE = "".join(WORDS)
USAGE = Usage(input_tokens=7, output_tokens=9, cached_input_tokens=0)

_QUESTION = Message(role="user", parts=(Text(text="What carries a boat?"),))


# What an upstream says.


def events_of(words: tuple[str, ...], usage: Usage | None = USAGE) -> list[Event]:
    """A text of these words, whole."""
    said: list[Event] = [ResponseStarted(response_id="up-1", model="m-up", created=1), *grown(0, words)]
    reported = [] if usage is None else [UsageReported(usage=usage)]
    return [*said, *reported, ChoiceFinished(reason=FinishReason.STOP), ResponseEnded()]


def grown(index: int, words: tuple[str, ...], kind: Any = "text", **named: Any) -> list[Event]:
    deltas = [PartDelta(index=index, text=word) for word in words]
    return [PartStarted(index=index, kind=kind, **named), *deltas, PartEnded(index=index)]


def frames_of(upstream: str, events: list[Event]) -> list[bytes]:
    asked = Request(model="m-up", messages=(_QUESTION,), dialect=upstream, include_usage=True)
    encoder = DIALECTS[upstream].stream_encoder(asked, response_id="up-1", model="m-up", created=1)
    return [frame for event in events for frame in encoder.encode([event])]


def begun(upstream: str, *words: str) -> list[bytes]:
    """Frames of a text that has not ended."""
    return frames_of(upstream, events_of(words)[: 2 + len(words)])


def whole_of(upstream: str, events: list[Event]) -> bytes:
    asked = Request(model="m-up", messages=(_QUESTION,), dialect=upstream)
    return DIALECTS[upstream].encode_answer(fold(events), asked)


@cache
def stream_of(upstream: str) -> bytes:
    return b"".join(frames_of(upstream, events_of(WORDS)))


def rest_of(upstream: str, told: str, words: tuple[str, ...] = WORDS) -> bytes:
    """What a model says that was told this beginning of its answer."""
    left, rest = len(told), []
    for word in words:
        rest += [word[left:]] if left < len(word) else []
        left = max(left - len(word), 0)
    return b"".join(frames_of(upstream, events_of(tuple(rest))))


# Ends.


class End(NamedTuple):
    """How a stream ends after what was read of it."""

    more: bytes = b""
    error: GatewayError | None = None
    """Of the call; `None` where the body ends as its framing says."""


def broke() -> GatewayError:
    return UpstreamBroke("acme broke off in the middle of its answer", provider="acme")


def slow(phase: Any) -> GatewayError:
    return UpstreamTimeout("acme was slow", phase=phase, provider="acme")


ERRORS = {
    "openai-chat": b'data: {"error":{"message":"overloaded","type":"server_error","code":null}}\n\n',
    "anthropic": b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"no"}}\n\n',
}
ENDS: dict[str, Callable[[str], End]] = {
    "a clean end": lambda _: End(),
    "a reset": lambda _: End(error=broke()),
    "an error": lambda upstream: End(b"\n\n" + ERRORS[upstream]),
    "no json": lambda _: End(b"\n\ndata: {]\n\n"),
    "a silence": lambda _: End(error=slow("gap")),
    "a trickle": lambda _: End(error=slow("floor")),
}


class Told(NamedTuple):
    """What an attempt was asked, and what became of it."""

    beginning: str | None
    report: Report


class Journey:
    """One client's request through its attempts."""

    def __init__(
        self,
        client: str,
        upstream: str,
        *,
        stop: tuple[str, ...] = (),
        trims: bool = False,
        body: bytes | None = None,
        profile: Profile | None = None,
        timing: Timing | None = None,
        continuations: int = 9,
        raw: bool = False,
        array: bool = False,
    ) -> None:
        self.attempts: list[Told] = []
        self.upstream, self._trims, self._client = upstream, trims, client
        self._rules = Attempts(continuations=continuations, most=1)
        self._tries = Tries([Way(0, 0, "acme")], self._rules, Health(), random.Random(1), BEGIN)
        sampling = Sampling(max_tokens=64, stop=stop)
        asked = Request(model="m", messages=(_QUESTION,), sampling=sampling, stream=True, include_usage=True)
        profile = profile or PROFILES[upstream]
        same = client == upstream
        sent = None
        if not same:
            losses = Losses("default")
            sent = DIALECTS[upstream].encode_request(asked, model="m-up", profile=profile, stream=True, losses=losses)
        self.plan = Plan(
            stream_id="str_1",
            asked=DIALECTS[client].read_request(body or asked_in(client), *target_of(client, array=array)),
            dialect=DIALECTS[client],
            upstream=UpstreamSide(DIALECTS[upstream], profile, provider="acme", key_name="ACME_API_KEY"),
            upstream_streams=True,
            sent=sent,
            request=None if same or array else replace(asked, dialect=client),
            created=1,
            tries=self._tries,
            timing=timing or Timing(),
            continues=True,
            raw=raw,
        )
        self.got = b""
        self.heads: list[int] = []
        self.exchange = self._next()

    def _next(self) -> Exchange:
        self.exchange = Exchange(self.plan, now=BEGIN)
        return self.exchange

    def attempt(self, reads: list[bytes], end: End | None = None, *, head: Any = SSE, status: int = 200) -> bool:
        """One attempt, told in these reads. Whether another follows, which is then the one under way."""
        exchange, now = self.exchange, BEGIN + len(self.attempts)
        end = end or End()
        exchange.connected(now)
        exchange.head_received(ResponseHead(status, head), now)
        for data in [*reads, end.more]:
            if data and exchange.phase is not Phase.ENDED:
                passed = passes(exchange, data, now)
                if passed is None:
                    exchange.body_received(data, now)
                elif passed:
                    queue(exchange, passed)
                self._take(now)
        if exchange.phase is not Phase.ENDED:
            if end.error is None:
                exchange.body_ended(now)
            else:
                exchange.call_failed(end.error, now)
        self._take(now)
        before = self.plan.beginning
        self.attempts.append(Told(None if before is None else before.text, exchange.report()))
        if exchange.beginning is None:
            return False
        text = exchange.beginning.text
        told = text.rstrip() if self._trims else text
        self.plan = replace(self.plan, beginning=exchange.beginning, told=told)
        self._next()
        return True

    def _take(self, now: float) -> None:
        exchange = self.exchange
        if exchange.head is not None:
            self.heads.append(exchange.head[0])
            exchange.head = None
        if exchange.pending_bytes:
            self.got += exchange.take()
            exchange.delivered(now)

    @property
    def response(self) -> Response:
        """What the client's decoder makes of what it got."""
        return decode(self.got, self._client)

    @property
    def text(self) -> str:
        return text_of(self.response)


def text_of(response: Response) -> str:
    return "".join(part.text for choice in response.choices for part in choice.parts if isinstance(part, Text))


def target_of(client: str, *, array: bool) -> tuple[bytes, ...]:
    """Gemini's clients say it there if they want events; else they get an array of answers."""
    path = b"/v1beta/models/m:streamGenerateContent"
    return (path if array else path + b"?alt=sse",) if client == "gemini" else ()


def asked_in(client: str, **more: Any) -> bytes:
    said = [{"role": "user", "content": "What carries a boat?"}]
    bodies: dict[str, dict[str, Any]] = {
        "openai-chat": {"messages": said, "stream_options": {"include_usage": True}, "max_tokens": 64},
        "openai-responses": {"input": "What carries a boat?"},
        "anthropic": {"messages": said, "max_tokens": 64},
        "gemini": {"contents": [{"role": "user", "parts": [{"text": "What carries a boat?"}]}]},
    }
    named = {} if client == "gemini" else {"model": "m", "stream": True}
    return json.dumps(bodies[client] | named | more).encode()


def summed(journey: Journey) -> Usage:
    """What the ledger counts: the sum of the attempts."""
    usage = Usage()
    for each in journey.attempts:
        usage = usage.plus(each.report.usage)
    return usage


def check_whole(journey: Journey, uncut: Response) -> None:
    """What the client has read is what it would have read without a cut, and costs what the attempts cost."""
    read, usage = journey.response, summed(journey)
    assert (read.error, text_of(read)) == (None, text_of(uncut))
    assert [(choice.index, choice.finish_reason) for choice in read.choices] == [
        (choice.index, choice.finish_reason) for choice in uncut.choices
    ]
    assert (read.response_id, read.model) == (uncut.response_id, uncut.model)
    assert read.usage is not None
    assert (read.usage.input_tokens, read.usage.output_tokens) == (usage.input_tokens, usage.output_tokens)
    assert journey.heads == [200]
    numbers = [int(each) for each in re.findall(rb'"sequence_number":(\d+)', journey.got)]
    assert numbers == [*range(len(numbers))]
    assert journey.exchange.held_bytes == 0
    assert len([part for choice in read.choices for part in choice.parts]) == 1


@cache
def uncut(client: str, upstream: str) -> Response:
    journey = Journey(client, upstream)
    assert not journey.attempt([stream_of(upstream)])
    assert journey.response.error is None
    return journey.response


def in_frames(data: bytes) -> list[bytes]:
    return [frame + b"\n\n" for frame in data.split(b"\n\n")[:-1]]


def split(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


READS: dict[str, Callable[[bytes], list[bytes]]] = {
    "at once": lambda data: [data],
    "frame by frame": lambda data: [*in_frames(data), data.rpartition(b"\n\n")[2]],
    "byte by byte": lambda data: split(data, 1),
}


def cuts(upstream: str) -> range:
    """Every byte at which a stream can be cut whose text has begun and has not ended."""
    data = stream_of(upstream)
    begins = data.index(b"The ")
    return range(data.index(b"\n\n", begins) + 2, data.index(b"runs."))


WAYS = [(client, upstream, False) for client, upstream in PAIRS]
WAYS += [(client, upstream, True) for client, upstream in PAIRS if client == upstream]
"""From where to where, and whether repairs are off."""


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("reads", READS)
@pytest.mark.parametrize(("client", "upstream", "raw"), WAYS)
def test_wherever_a_text_is_cut_the_client_reads_it_whole(
    client: str, upstream: str, raw: bool, reads: str, end: str
) -> None:
    data = stream_of(upstream)
    for at in cuts(upstream)[:: 1 if (reads, end) == ("at once", "a clean end") else 41]:
        journey = Journey(client, upstream, raw=raw)
        assert journey.attempt(READS[reads](data[:at]), ENDS[end](upstream)), at
        assert WHOLE.startswith(journey.plan.told) and journey.plan.told, at
        assert not journey.attempt(READS[reads](rest_of(upstream, journey.plan.told))), at
        check_whole(journey, uncut(client, upstream))


@given(st.data())
@pytest.mark.parametrize(("client", "upstream"), PAIRS)
def test_it_may_be_cut_again_and_again_and_read_in_any_pieces(client: str, upstream: str, data: Any) -> None:
    journey, follows = Journey(client, upstream), True
    journey_reads: list[tuple[int, int]] = []
    for _ in range(data.draw(st.integers(1, 4))):
        whole = rest_of(upstream, journey.plan.told)
        at = data.draw(st.integers(len(whole) // 3, len(whole) * 2 // 3))
        size = data.draw(st.integers(1, len(whole)))
        journey_reads.append((at, size))
        follows = journey.attempt(split(whole[:at], size), ENDS[data.draw(st.sampled_from(list(ENDS)))](upstream))
        if not follows:
            break
    if follows:
        assert not journey.attempt([rest_of(upstream, journey.plan.told)])
    read = journey.response
    assert WHOLE.startswith(text_of(read)), journey_reads
    if read.error is None:
        assert text_of(read) == WHOLE, journey_reads
    else:
        assert not text_of(read).strip() or any(choice.finish_reason for choice in read.choices) or not follows


# Stop sequences that the gateway looks for itself.

STOPS = ("(1)", "(2)", "(3)", "(4)", "river bed")
"""More than a Chat upstream can be told of."""


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("The ", "river bed", " is dry."), "The "),
        (("The ", "river be", "ach", " is dry."), "The river beach is dry."),
        (("The ", "river"), "The river"),
        (("No ", "(1", "2)", " either", "(4"), "No (12) either(4"),
    ],
)
@pytest.mark.parametrize("client", ["anthropic", "gemini"])
def test_a_stop_sequence_is_found_across_the_seam(client: str, words: tuple[str, ...], text: str) -> None:
    stream = b"".join(begun("openai-chat", *words))
    for at in range(len(b"".join(begun("openai-chat", words[0]))), len(stream)):
        journey = Journey(client, "openai-chat", stop=STOPS)
        if journey.attempt([stream[:at]], End(error=broke())):
            assert not journey.attempt(in_frames(rest_of("openai-chat", journey.plan.told, words)))
        read = journey.response
        assert (read.error, text_of(read)) == (None, text), at
        reason = FinishReason.STOP_SEQUENCE if "river bed" in "".join(words) else FinishReason.STOP
        if client == "anthropic":
            assert read.choices[0].finish_reason is reason


def test_what_was_held_back_is_said_where_nothing_comes_to_it() -> None:
    journey = Journey("anthropic", "openai-chat", stop=STOPS)
    assert journey.attempt(begun("openai-chat", "A ", "river be"))
    assert b"river" not in journey.got
    assert not journey.attempt(frames_of("openai-chat", events_of(())))
    assert journey.text == "A river be"


# What a continuation may look like.

_CALL = grown(1, ('{"a":1}',), "tool_call", call_id="call_1", name="look")
_BEGIN = ResponseStarted(response_id="up-2", model="m-up", created=2)


def _ends(reason: FinishReason = FinishReason.STOP) -> list[Event]:
    return [UsageReported(usage=USAGE), ChoiceFinished(reason=reason), ResponseEnded()]


RESTS: dict[str, tuple[list[Event], str, FinishReason]] = {
    "text": ([_BEGIN, *grown(0, (" runs",)), *_ends()], "The river runs", FinishReason.STOP),
    "nothing": ([_BEGIN, *_ends()], "The river", FinishReason.STOP),
    "nothing, for it was long enough": ([_BEGIN, *_ends(FinishReason.LENGTH)], "The river", FinishReason.LENGTH),
    "an empty text": ([_BEGIN, *grown(0, ()), *_ends()], "The river", FinishReason.STOP),
    "a call": (
        [_BEGIN, *grown(0, ('{"a":1}',), "tool_call", call_id="call_1", name="look"), *_ends(FinishReason.TOOL_CALLS)],
        "The river",
        FinishReason.TOOL_CALLS,
    ),
    "text and a call": (
        [_BEGIN, *grown(0, (" runs",)), *_CALL, *_ends(FinishReason.TOOL_CALLS)],
        "The river runs",
        FinishReason.TOOL_CALLS,
    ),
    "a thought first": (
        [_BEGIN, *grown(0, ("Hm.",), "reasoning"), *grown(1, (" runs",)), *_ends()],
        "The river runs",
        FinishReason.STOP,
    ),
}


@pytest.mark.parametrize("whole", [False, True], ids=["stream", "whole"])
@pytest.mark.parametrize("rest", RESTS)
@pytest.mark.parametrize(("client", "upstream"), PAIRS)
def test_whatever_goes_on_is_read(client: str, upstream: str, rest: str, whole: bool) -> None:
    events, text, reason = RESTS[rest]
    journey = Journey(client, upstream)
    assert journey.attempt(begun(upstream, "The ", "river"))
    if whole:
        assert not journey.attempt([whole_of(upstream, events)], head=JSON)
    else:
        assert not journey.attempt(frames_of(upstream, events))
    read, usage = journey.response, summed(journey)
    assert (read.error, text_of(read), read.choices[0].finish_reason) == (None, text, reason)
    assert read.usage is not None
    assert (read.usage.input_tokens, read.usage.output_tokens) == (usage.input_tokens, usage.output_tokens)
    assert read.response_id == uncut(client, upstream).response_id
    calls = [part for part in read.choices[0].parts if isinstance(part, ToolCall)]
    assert [(call.name, call.arguments) for call in calls] == ([("look", '{"a":1}')] if "call" in rest else [])
    assert journey.got.count(b'"continued_at":9') == 1


@pytest.mark.parametrize("client", CLIENTS)
def test_an_end_without_its_mark_is_an_end(client: str) -> None:
    journey = Journey(client, "openai-chat")
    assert journey.attempt(begun("openai-chat", "The ", "river"))
    frames = frames_of("openai-chat", events_of((" runs.",)))
    assert frames.pop() == b"data: [DONE]\n\n"
    assert not journey.attempt(frames)
    assert (journey.response.error, journey.text) == (None, "The river runs.")


@pytest.mark.parametrize(
    ("rest", "text"),
    [
        ("\n\n- Two", "- One\n\n- Two"),
        ("- Two", "- One\n\n- Two"),
        ("\n- Two", "- One\n\n- Two"),
        ("\n\n\n- Two", "- One\n\n\n- Two"),
        (" - Two", "- One\n\n - Two"),
    ],
)
@pytest.mark.parametrize("size", [1, 2, 9])
def test_white_space_that_the_upstream_was_not_told_is_not_said_twice(rest: str, text: str, size: int) -> None:
    journey = Journey("openai-chat", "anthropic", trims=True)
    assert journey.attempt(begun("anthropic", "- One", "\n\n"))
    assert journey.plan.told == "- One"
    assert not journey.attempt(frames_of("anthropic", events_of(tuple(split_text(rest, size)))))
    assert journey.text == text


def split_text(text: str, size: int) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)]


# The account.


@pytest.mark.parametrize(("client", "upstream"), [pair for pair in PAIRS if pair[0] != pair[1]])
def test_usage_that_nobody_told_is_guessed_alike_for_client_and_entry(client: str, upstream: str) -> None:
    journey = Journey(client, upstream)
    assert journey.attempt(begun(upstream, "The ", "river"))
    frames = frames_of(upstream, events_of((" runs.",), usage=None))
    untold = [frame for frame in frames if b'"choices":[]' not in frame]
    assert not journey.attempt(untold)
    first, second = (each.report.usage.input_tokens for each in journey.attempts)
    if first:
        assert second and second > first, "what it was told is read, too"
    read, usage = journey.response.usage, summed(journey)
    assert read is not None
    assert (read.input_tokens, read.output_tokens) == (usage.input_tokens, usage.output_tokens)


@pytest.mark.parametrize("asked", [{}, {"include_usage": True}, {"chunk_include_usage": True}], ids=repr)
def test_usage_in_every_chunk_is_added_up(asked: dict[str, bool]) -> None:
    profile = replace(COMPATIBLE, chunk_usage="chunk_include_usage")

    def metered(frames: list[bytes]) -> list[bytes]:
        counts = [(7, made, 7 + made) for made in range(len(frames))]
        return [
            frame.replace(
                b'"usage":null', b'"usage":{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d}' % count
            )
            for frame, count in zip(frames, counts, strict=True)
        ]

    body = asked_in("openai-chat", stream_options=asked)
    journey = Journey("openai-chat", "openai-chat", body=body, profile=profile)
    assert journey.attempt(metered(begun("openai-chat", "The ", "river")))
    [first] = journey.attempts
    assert (first.report.usage, first.report.usage_source) == (
        replace(first.report.usage, input_tokens=7, output_tokens=2),
        "reported",
    )
    assert not journey.attempt(metered(frames_of("openai-chat", events_of((" runs.",)))))
    assert journey.text == "The river runs."
    read, usage = journey.response.usage, summed(journey)
    if "include_usage" in asked:
        assert read is not None
        assert (read.input_tokens, read.output_tokens) == (usage.input_tokens, usage.output_tokens) == (14, 11)


def test_the_time_to_the_first_word_is_that_of_its_delivery() -> None:
    """Also where the word was still on its way when the text broke off."""
    journey = Journey("openai-chat", "openai-chat")
    exchange = journey.exchange
    exchange.connected(BEGIN)
    exchange.head_received(ResponseHead(200, SSE), BEGIN)
    exchange.body_received(b"".join(begun("openai-chat", "The ")), BEGIN + 1)
    exchange.call_failed(broke(), BEGIN + 1)
    exchange.take()
    exchange.delivered(BEGIN + 2)
    beginning = exchange.beginning
    assert beginning is not None
    journey.plan = replace(journey.plan, beginning=beginning, told=beginning.text)
    journey.exchange = journey.exchange.__class__(journey.plan, now=BEGIN)
    assert not journey.attempt(frames_of("openai-chat", events_of(("river",))))
    assert (exchange.report().ttft_ms, journey.exchange.report().ttft_ms) == (2000, 2000)


# What is held.


@pytest.mark.parametrize("reads", [1, 64])
def test_of_a_long_answer_nothing_is_kept_and_it_is_not_gone_on_with(reads: int) -> None:
    journey = Journey("openai-chat", "openai-chat")
    word = begun("openai-chat", "x" * 60_000)[-1]
    many = MOST_BYTES // len(word) + 1
    assert not journey.attempt([*begun("openai-chat", "The "), *split(word * many, len(word) * reads)])
    assert journey.response.error is not None
    assert journey.exchange.held_bytes == 0


def test_what_is_kept_counts_for_all_attempts_together() -> None:
    journey = Journey("openai-chat", "openai-chat")
    third = "x" * (MOST_BYTES // 3)
    assert journey.attempt(begun("openai-chat", third))
    assert journey.exchange.held_bytes >= len(third)
    assert journey.attempt(begun("openai-chat", third))
    assert not journey.attempt(begun("openai-chat", third))
    assert journey.text == third * 3


def test_where_there_is_no_room_for_it_it_is_forgotten_and_the_answer_goes_on() -> None:
    budget = Budget(256 * 1024)
    journey = Journey("openai-chat", "openai-chat")
    exchange = journey.exchange = Exchange(journey.plan, now=BEGIN, share=Share(budget))
    exchange.connected(BEGIN)
    exchange.head_received(ResponseHead(200, SSE), BEGIN)
    for data in begun("openai-chat", *["x" * 1000] * 400):
        exchange.body_received(data, BEGIN)
        exchange.take()
        exchange.delivered(BEGIN)
    assert exchange.held_bytes > 256 * 1024
    exchange.ticked(BEGIN + 1, reading=True)
    assert (exchange.phase, exchange.held_bytes) == (Phase.SENDING, 0)
    exchange.call_failed(broke(), BEGIN + 1)
    assert exchange.beginning is None
    assert budget.taken_bytes == 0


# Failures of the attempt that goes on.


def _refusal(more: tuple[tuple[bytes, bytes], ...] = ()) -> Any:
    return (*JSON, *more)


@pytest.mark.parametrize(
    ("after", "pause_s"), [(None, 0.1), (b"3", 3.0), (b"3600", None)], ids=["unsaid", "soon", "in an hour"]
)
def test_who_says_when_to_come_again_is_believed(after: bytes | None, pause_s: float | None) -> None:
    journey = Journey("openai-chat", "openai-chat")
    assert journey.attempt(begun("openai-chat", "The "))
    head = _refusal(() if after is None else ((b"retry-after", after),))
    follows = journey.attempt([b'{"error":{"message":"busy","type":"t","code":null}}'], status=503, head=head)
    assert follows is (pause_s is not None)
    if pause_s is None:
        assert journey.response.error is not None and "broke off" in journey.response.error.message
    else:
        assert journey.plan.tries is not None
        assert pause_s <= journey.plan.tries.pause_s <= max(pause_s, 2.0)


# What is not gone on with is told as where nobody goes on.


@pytest.mark.parametrize("end", ["a clean end", "a reset", "an error"])
@pytest.mark.parametrize("begin", ["a thought", "a call", "white space"])
@pytest.mark.parametrize(("client", "upstream"), PAIRS)
def test_what_cannot_be_gone_on_with_ends_as_ever(client: str, upstream: str, begin: str, end: str) -> None:
    parts = {"a thought": grown(0, ("Hm.",), "reasoning"), "a call": _CALL, "white space": grown(0, (" ", "\n"))}
    frames = frames_of(upstream, [_BEGIN, *parts[begin][:-1]])
    got = []
    for continuations in (0, 9):
        journey = Journey(client, upstream, continuations=continuations)
        assert not journey.attempt(frames, ENDS[end](upstream))
        assert journey.response.error is not None
        got.append(journey.got)
    assert got[0] == got[1]


@pytest.mark.parametrize("end", ["a clean end", "a reset", "an error"])
@pytest.mark.parametrize("client", CLIENTS)
def test_what_is_not_gone_on_with_after_all_ends_as_ever(client: str, end: str) -> None:
    """What was held back for a stop sequence is said, too."""
    got = []
    for continuations in (0, 9):
        journey = Journey(client, "openai-chat", stop=STOPS, continuations=continuations)
        exchange = journey.exchange
        if journey.attempt(begun("openai-chat", "The ", "river be"), ENDS[end]("openai-chat")):
            assert exchange.beginning is not None
            exchange.breaks_off(exchange.beginning.error)
            journey.got += exchange.take()
            exchange.delivered(BEGIN + 1)
        assert journey.response.error is not None
        got.append(journey.got)
    if client == "openai-chat":
        assert [decode(each, client).choices for each in got] == [decode(got[0], client).choices] * 2
    else:
        assert got[0] == got[1]


# Silences.


@pytest.mark.parametrize(("client", "upstream"), PAIRS)
def test_a_silence_of_the_attempt_that_goes_on_is_broken_as_ever(client: str, upstream: str) -> None:
    journey = Journey(client, upstream)
    assert journey.attempt(begun(upstream, "The ", "river"))
    exchange = journey.exchange
    exchange.connected(BEGIN + 1)
    exchange.ticked(BEGIN + 9, reading=True)
    assert not exchange.pending_bytes
    for at in (10, 20, 30):
        exchange.ticked(BEGIN + at, reading=True)
        assert exchange.pending_bytes
        journey._take(BEGIN + at)
    assert not journey.attempt(frames_of(upstream, events_of((" runs.",))))
    assert (journey.response.error, journey.text) == (None, "The river runs.")


@pytest.mark.parametrize(
    ("waits", "at", "phase"),
    [
        ({"first_byte_s": 5.0}, 7, "first_byte"),
        ({"first_content_s": 5.0}, 7, "first_content"),
        ({"whole_s": 5.0}, 6, "whole"),
    ],
)
@pytest.mark.parametrize("client", CLIENTS)
def test_an_attempt_that_is_too_slow_to_go_on_is_told_as_the_break(
    client: str, waits: dict[str, float], at: int, phase: str
) -> None:
    journey = Journey(client, "openai-chat", timing=Timing(**waits), continuations=1)
    assert journey.attempt(begun("openai-chat", "The ", "river"))
    exchange = journey.exchange
    exchange.connected(BEGIN + 1)
    exchange.ticked(BEGIN + at, reading=True)
    journey._take(BEGIN + at)
    assert isinstance(exchange.error, UpstreamTimeout) and exchange.error.phase == phase
    error = journey.response.error
    assert error is not None and "broke off" in error.message
    assert journey.text == "The river"


@pytest.mark.parametrize("raw", [False, True], ids=["mended", "raw"])
@pytest.mark.parametrize("dialect", CLIENTS)
def test_an_error_stands_on_lines_of_its_own_wherever_the_body_ended(dialect: str, raw: bool) -> None:
    """Where nobody goes on, too: what a frame's beginning leaves would be read as a part of it."""
    data = b"".join(begun(dialect, "The ", "river", " runs."))
    row = next(row for row in PROVIDERS if row.dialect == dialect)
    for at in range(data.index(b"The ") + 4, len(data)):
        journey = Journey(dialect, dialect, profile=row.profile, raw=raw, continuations=0)
        assert not journey.attempt([data[:at]])
        error = journey.response.error
        assert error is not None and "broke off" in error.message, at


# The attempt that goes on fails, too.

_SAID_NO = b'{"type":"error","error":{"message":"no","type":"t","code":null}}'
FAILS: dict[str, tuple[dict[str, Any], bytes, bool]] = {
    "a head and nothing": ({}, b"", True),
    "comments": ({}, b": wait\n\n" * 3, True),
    "no json": ({}, b"data: {]\n\n", True),
    "a whole error": ({"head": JSON}, _SAID_NO, True),
    "a page": ({"head": ((b"content-type", b"text/html"),)}, b"<html>", True),
    "500": ({"status": 500, "head": JSON}, _SAID_NO, True),
    "529": ({"status": 529, "head": JSON}, _SAID_NO, True),
    "400": ({"status": 400, "head": JSON}, _SAID_NO, False),
    "401": ({"status": 401, "head": JSON}, _SAID_NO, False),
    "404": ({"status": 404, "head": JSON}, _SAID_NO, False),
    "429": ({"status": 429, "head": JSON}, _SAID_NO, False),
    "302": ({"status": 302}, b"", True),
}
"""How, with what body, and whether it is tried once more."""


@pytest.mark.parametrize("fails", FAILS)
@pytest.mark.parametrize(("client", "upstream"), PAIRS)
def test_where_it_fails_again_and_again_the_first_break_is_told(client: str, upstream: str, fails: str) -> None:
    how, body, again = FAILS[fails]
    journey = Journey(client, upstream, continuations=3)
    assert journey.attempt(begun(upstream, "The ", "river"))
    for left in (2, 1, 0):
        assert journey.attempt([body], **how) is (again and bool(left))
        if not again:
            break
    error = journey.response.error
    assert error is not None and "broke off before" in error.message
    assert journey.text == "The river"
    assert journey.got.count(b"continued_at") == 0
    assert len(journey.attempts) == (4 if again else 2)


@pytest.mark.parametrize("fails", [name for name, (_, _, again) in FAILS.items() if again])
@pytest.mark.parametrize(("client", "upstream"), PAIRS)
def test_where_it_fails_once_it_is_tried_again(client: str, upstream: str, fails: str) -> None:
    how, body, _ = FAILS[fails]
    journey = Journey(client, upstream)
    assert journey.attempt(begun(upstream, *WORDS[:2]))
    assert journey.attempt([body], **how)
    assert not journey.attempt([rest_of(upstream, journey.plan.told)])
    check_whole(journey, uncut(client, upstream))


# Odd framing.

ODD: dict[str, Callable[[bytes], bytes]] = {
    "crlf": lambda data: data.replace(b"\n", b"\r\n"),
    "cr": lambda data: data.replace(b"\n", b"\r"),
    "no space": lambda data: data.replace(b": {", b":{"),
    "comments": lambda data: data.replace(b"\n\n", b"\n\n: wait\n\n"),
    "identifiers": lambda data: data.replace(b"data: ", b"id: 7\ndata: "),
}


@pytest.mark.parametrize("end", ["a clean end", "a reset"])
@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize(("client", "upstream", "raw"), WAYS)
def test_odd_framing_is_cut_and_joined_as_well(client: str, upstream: str, raw: bool, odd: str, end: str) -> None:
    data, wanted = ODD[odd](stream_of(upstream)), uncut(client, upstream)
    begins, ends = data.index(b"river"), data.index(b"runs.")
    for at in range(begins, ends, 11):
        journey = Journey(client, upstream, raw=raw)
        assert journey.attempt([data[:at]], ENDS[end](upstream)), at
        assert WHOLE.startswith(journey.plan.told), at
        assert not journey.attempt(split(ODD[odd](rest_of(upstream, journey.plan.told)), 50)), at
        assert (journey.response.error, journey.text) == (None, text_of(wanted)), at


@pytest.mark.parametrize("upstream", PROFILES)
def test_an_array_of_answers_stays_one(upstream: str) -> None:
    for at in cuts(upstream)[::11]:
        for goes_on in (True, False):
            journey = Journey("gemini", upstream, array=True)
            exchange = journey.exchange
            assert journey.attempt([stream_of(upstream)[:at]])
            if goes_on:
                assert not journey.attempt([rest_of(upstream, journey.plan.told)])
                assert (journey.response.error, journey.text) == (None, WHOLE)
            else:
                assert exchange.beginning is not None
                exchange.breaks_off(exchange.beginning.error)
                journey.got += exchange.take()
            assert ("error" in json.loads(journey.got)[-1]) is not goes_on
