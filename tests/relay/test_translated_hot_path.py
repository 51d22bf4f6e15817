"""The short way of a translated frame and the long one come to the same: bytes, watch, report and what is kept.

Each stream is made by the upstream's own encoder, with usage in every frame where upstreams have that, and is read frame
by frame, cut anywhere, broken off, and left by its client.
"""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Callable, Collection, Iterable
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.playbook import BEGIN, SSE, Road, passes
from thalweg.canon.errors import Internal, UpstreamError, UpstreamFailed
from thalweg.canon.events import (
    ChoiceFinished,
    Event,
    PartDelta,
    PartEnded,
    PartStarted,
    ResponseEnded,
    ResponseFailed,
    ResponseStarted,
    UsageReported,
)
from thalweg.canon.finish import FinishReason
from thalweg.canon.fold import fold
from thalweg.canon.losses import Losses
from thalweg.canon.parts import Citation, Signature, Text
from thalweg.canon.request import Message, ReasoningAsk, Request, Sampling
from thalweg.canon.usage import Usage
from thalweg.dialects.base import TEMPLATED_CHARS, Dialect, StreamDecoder, UpstreamBody, UpstreamSide
from thalweg.dialects.openai_responses.encoder import MOST_KEPT_CHARS
from thalweg.dialects.registry import DIALECTS
from thalweg.framing.chunked import chunk as chunked
from thalweg.framing.sse import Frame, SseDecoder
from thalweg.profiles.base import Profile
from thalweg.profiles.providers import SIMULATOR
from thalweg.relay.exchange import Exchange
from thalweg.relay.fastpath import Line, TranslatingPath, Transport
from thalweg.relay.memory import Memory
from thalweg.relay.plan import Plan
from thalweg.relay.translator import Reader
from thalweg.relay.turns import TurnKeeper, TurnStore
from thalweg.upstream.base import ResponseHead

PROFILE: Profile = SIMULATOR.profile
CLIENTS = ("openai-chat", "openai-responses", "anthropic", "gemini")
UPSTREAMS = (*CLIENTS, "dashscope-native")
PAIRS = [(client, upstream) for client, upstream in itertools.product(CLIENTS, UPSTREAMS) if client != upstream]

# What is said.

WORDS = [
    "It ",
    "is ",
    "a ",
    "fine ",
    "day, ",
    "好的",
    "，今天",
    "🌊 ",
    '\n\n"quoted" ',
    "data: [DONE]",
    "a\u2028b",
    "end.",
]
ARGUMENTS = ['{"city', '": "', "北京", '", "days', '":\n 3', ', "more": {"x": [1, ', "2]}", "}"]
USAGE = Usage(input_tokens=3, output_tokens=40)


def part(index: int, kind: Any, words: Iterable[str], ended: PartEnded | None = None, **more: Any) -> list[Event]:
    deltas = [PartDelta(index=index, text=word, choice=more.get("choice", 0)) for word in words]
    last = ended or PartEnded(index=index, choice=more.get("choice", 0))
    return [PartStarted(index=index, kind=kind, **more), *deltas, last]


def call(index: int, words: Iterable[str] = ARGUMENTS, **more: Any) -> list[Event]:
    return part(index, "tool_call", words, call_id=f"call_{index}", name=f"look_{index}", **more)


def answer(*parts: list[Event], reason: FinishReason = FinishReason.STOP, choices: int = 1) -> list[Event]:
    started = ResponseStarted(response_id="up-1", model="m-up", created=1)
    finished = [ChoiceFinished(reason=reason, choice=choice) for choice in range(choices)]
    return [started, *itertools.chain(*parts), UsageReported(usage=USAGE), *finished, ResponseEnded()]


def signed(index: int, vendor: str) -> PartEnded:
    proof = Signature(vendor=vendor, model="m-up", kind="signature", data="AAECAwQ=")
    return PartEnded(index=index, signature=proof)


TEXT = answer(part(0, "text", WORDS))
CITED = PartEnded(index=0, citations=(Citation(url="https://a.example", title="A", start=0, end=2),))
PROBABLE = {"content": [{"token": "a", "logprob": -0.5, "bytes": [97], "top_logprobs": []}]}

ANSWERS: dict[str, list[Event]] = {
    "text": TEXT,
    "thoughts, then text": answer(part(0, "reasoning", WORDS), part(1, "text", WORDS)),
    "thoughts in short": answer(part(0, "reasoning", WORDS, form="summary"), part(1, "text", WORDS)),
    **{
        f"thoughts that {vendor} has signed": answer(
            part(0, "reasoning", WORDS, signed(0, vendor), form="summary"), part(1, "text", WORDS)
        )
        for vendor in ("anthropic", "google", "openai")
    },
    "text that is proven": answer(part(0, "text", WORDS, signed(0, "google")), part(1, "text", WORDS)),
    "text with its sources": answer(part(0, "text", WORDS, CITED)),
    "a call": answer(call(0), reason=FinishReason.TOOL_CALLS),
    "text, calls, text": answer(part(0, "text", WORDS), call(1), call(2), part(3, "text", WORDS)),
    "a call that says nothing": answer(call(0, ()), call(1, ("{}",)), part(2, "text", WORDS)),
    "a call of a list": answer(call(0, ("[1, ", "2, ", "3", "]")), part(1, "text", WORDS)),
    "a call that is no JSON": answer(call(0, ("{", "[[", "x")), part(1, "text", WORDS)),
    "a refusal": answer(part(0, "refusal", WORDS), reason=FinishReason.REFUSAL),
    "log probabilities": answer(
        [
            PartStarted(index=0, kind="text"),
            *[PartDelta(index=0, text=word, logprobs=PROBABLE if number % 3 else None) for number, word in enumerate(WORDS)],
            PartEnded(index=0),
        ]
    ),
    "an end in the middle": answer(part(0, "text", WORDS), reason=FinishReason.LENGTH),
    "empty words": answer(part(0, "text", ["a", "", "b", "", "", "c"])),
    "two choices": [
        ResponseStarted(response_id="up-1", model="m-up", created=1),
        PartStarted(index=0, kind="text"),
        PartStarted(index=1, kind="text", choice=1),
        *[PartDelta(index=at, text=word, choice=at) for word in WORDS for at in (0, 1)],
        PartEnded(index=0),
        PartEnded(index=1, choice=1),
        ChoiceFinished(reason=FinishReason.STOP),
        ChoiceFinished(reason=FinishReason.STOP, choice=1),
        ResponseEnded(),
    ],
    "an error": [*TEXT[:9], ResponseFailed(error=UpstreamFailed("the model fell over", provider="acme"))],
    "broken off": TEXT[:9],
}  # fmt: skip

# How it stands on the wire.

_AS_WE_ASK = {"dashscope-native": {"incremental_output": True, "result_format": "message"}}


def wire(upstream: str, events: list[Event]) -> list[bytes]:
    """The frames that an upstream says these events in."""
    asked = Request(
        model="m-up",
        messages=(),
        dialect=upstream,
        include_usage=True,
        reasoning=ReasoningAsk(show="auto"),
        extensions=_AS_WE_ASK.get(upstream, {}),
    )
    encoder = DIALECTS[upstream].stream_encoder(asked, response_id="up-1", model="m-up", created=1)
    said = b"".join(piece for event in events for piece in encoder.encode([event]))
    return [frame.raw for frame in SseDecoder().feed(said)]


Meter = Callable[[int], int | None]
"""How much a frame says was made, by its number; `None` for one that says nothing."""
METERS: dict[str, Meter] = {
    "in every frame": lambda number: number,
    "once": lambda number: number if number == 8 else None,
    "now and then": lambda number: number if number % 3 == 1 else None,
    "that shrinks": lambda number: 40 - number if number % 4 == 2 else number,
    "of the prompt alone at first": lambda number: number if number > 6 else 0,
    "of the prompt alone now and then": lambda number: number if number % 3 else 0,
}
_REPORTS: dict[str, tuple[str, Callable[[int], Any], int]] = {
    "openai-chat": ("usage", lambda made: {"prompt_tokens": 3, "completion_tokens": made, "total_tokens": 3 + made}, 3),
    "gemini": ("usageMetadata", lambda made: {"promptTokenCount": 3, "totalTokenCount": 3 + made} | _visible(made), 1),
    "dashscope-native": ("usage", lambda made: {"input_tokens": 3, "output_tokens": made, "total_tokens": 3 + made}, 1),
}
"""Where usage rides on frames: the field, what it holds, and how many last frames have it anyway or never."""


def _visible(made: int) -> dict[str, int]:
    return {"candidatesTokenCount": made} if made else {}


def metered(upstream: str, frames: list[bytes], meter: Meter) -> list[bytes]:
    """The frames with usage, as some upstreams send it; the last keep theirs."""
    field, report, last = _REPORTS[upstream]
    out = []
    for number, frame in enumerate(frames):
        head, mark, payload = frame.partition(b"data:")
        tree = json.loads(payload) if payload.strip() != b"[DONE]" else {}
        made = meter(number)
        speaks = tree.get("choices") or tree.get("candidates") or tree.get("output")
        if number >= len(frames) - last or made is None or not speaks:
            out.append(frame)
            continue
        edited = json.dumps(tree | {field: report(made)}, ensure_ascii=False, separators=(",", ":")).encode()
        out.append(head + mark + (b" " if payload[:1] == b" " else b"") + edited + b"\n\n")
    return out


def streams(upstream: str, events: list[Event]) -> list[list[bytes]]:
    """One answer in all the forms that an upstream gives it."""
    plain = wire(upstream, events)
    if upstream == "openai-responses":
        return [plain, hidden(plain)]
    if upstream not in _REPORTS:
        return [plain]
    return [plain, *[metered(upstream, plain, meter) for meter in METERS.values()]]


def hidden(frames: list[bytes]) -> list[bytes]:
    """The frames with a string of any length in each delta, by which OpenAI hides how long its text is."""
    noise = (b"", b"aZ0", b"x" * 17)
    return [
        frame[:-3] + b',"obfuscation":"%b"}\n\n' % noise[number % 3] if b'.delta"' in frame else frame
        for number, frame in enumerate(frames)
    ]


# The two ways.


class LongDecoder:
    """A decoder that knows no short way."""

    def __init__(self, decoder: StreamDecoder) -> None:
        self._decoder = decoder
        self.finishes = decoder.finishes

    def grown(self, _: bytes) -> None:
        return None

    def grows(self, _: bytes) -> str:
        return ""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._decoder, name)


class LongWay:
    """A dialect whose decoder knows no short way."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect

    def __getattr__(self, name: str) -> Any:
        return getattr(self._dialect, name)

    def stream_decoder(self, **facts: Any) -> StreamDecoder:
        return LongDecoder(self._dialect.stream_decoder(**facts))


def plan(client: str, behind: Dialect, sent: UpstreamBody, kept: TurnStore) -> Plan:
    front = DIALECTS[client]
    asked = Request(
        model="the/model",
        messages=(Message(role="user", parts=(Text(text="What carries a boat?"),)),),
        sampling=Sampling(max_tokens=64),
        stream=True,
        include_usage=True,
        reasoning=ReasoningAsk(effort="high", show="auto"),
    )
    body = front.encode_request(asked, model="the/model", profile=PROFILE, stream=True, losses=Losses("lenient")).body
    read = front.read_request(body, front.request_target(b"/v1", "the/model", stream=True))
    return Plan(
        stream_id="own",
        asked=read,
        dialect=front,
        upstream=UpstreamSide(behind, PROFILE, provider="acme", key_name="ACME_API_KEY"),
        upstream_streams=True,
        sent=sent,
        request=read.canon(),
        listener=TurnKeeper(kept, b"owner", lambda: BEGIN),
        created=2,
    )


class Told:
    """What came of a stream: bytes with the times at which they came, the head, the watch, the report, what was kept."""

    def __init__(
        self,
        given: Plan,
        kept: TurnStore,
        reads: Iterable[bytes],
        *,
        short: bool,
        leaves: bool,
        silences: Collection[int] = (),
    ) -> None:
        exchange = self.exchange = Exchange(given, now=BEGIN)
        self.kept = kept
        self.said: list[tuple[float, bytes]] = []
        self.held: list[int] = []
        self.passed = 0
        road = Road(exchange)
        exchange.connected(BEGIN)
        exchange.head_received(ResponseHead(200, SSE), BEGIN)
        now = BEGIN
        for number, data in enumerate(reads):
            now += 0.5
            if exchange.settled:
                break
            passed = road.passes(data, now) if short else None
            if passed is not None:
                self.passed += 1
                if passed:
                    self.said.append((now, passed))
            else:
                road.shut()
                exchange.body_received(data, now)
            self._take(now)
            if number in silences:
                road.shut()
                now += given.timing.keepalive_s + 0.5
                exchange.ticked(now, reading=True)
                self._take(now)
                self.held.append(exchange.held_bytes)
        road.shut()
        if leaves:
            exchange.client_left(now + 1)
            exchange.give_up(now + 2)
        elif not exchange.settled:
            exchange.body_ended(now + 1)
            self._take(now + 1)

    def _take(self, now: float) -> None:
        if self.exchange.pending_bytes:
            self.said.append((now, self.exchange.take()))
            self.exchange.delivered(now)

    @property
    def everything(self) -> tuple[Any, ...]:
        """All that can be seen of it, for comparison."""
        exchange, watch = self.exchange, self.exchange.watch
        error = exchange.error
        words = (type(error), error.message, error.code, error.kind) if isinstance(error, UpstreamError) else error
        seen = {name: getattr(watch, name) for name in type(watch).__slots__} | {"error": repr(watch.error)}
        report = msgspec.structs.asdict(exchange.report())
        return (
            self.said,
            self.held,
            exchange.head,
            exchange.phase,
            words,
            seen,
            report,
            self.kept.held_bytes,
            len(self.kept),
        )


def both(
    client: str,
    upstream: str,
    reads: list[bytes],
    *,
    sent: UpstreamBody | None = None,
    leaves: bool = False,
    silences: Collection[int] = (),
) -> Told:
    """Run a stream both ways; what is returned went the short way where it could."""
    behind = DIALECTS[upstream]
    runs = []
    for dialect, short in ((behind, True), (behind, False), (LongWay(behind), True)):
        kept = TurnStore()
        given = plan(client, dialect, sent or UpstreamBody(body=b"{}"), kept)
        runs.append(Told(given, kept, reads, short=short, leaves=leaves, silences=silences))
    short_way, long_way, longest_way = runs
    assert (long_way.passed, longest_way.passed) == (0, 0)
    assert short_way.everything == long_way.everything
    assert short_way.everything == longest_way.everything
    return short_way


def read(client: str, told: Told) -> Any:
    """The answer that a client makes of what it was told."""
    frames, decoder = SseDecoder(), DIALECTS[client].stream_decoder(profile=PROFILE, provider="us")
    body = b"".join(said for _, said in told.said)
    answer = fold([*decoder.feed(frames.feed(body) + frames.end()), *decoder.end()])
    assert answer.complete
    return answer


def cut(body: bytes, places: Iterable[int]) -> list[bytes]:
    ends = sorted({place for place in places if 0 < place < len(body)})
    return [body[a:b] for a, b in zip([0, *ends], [*ends, len(body)], strict=True)]


def pairs() -> list[Any]:
    return [pytest.param(*pair, id=f"{pair[0]} from {pair[1]}") for pair in PAIRS]


# The tests.


@pytest.mark.parametrize(("client", "upstream"), pairs())
@pytest.mark.parametrize("events", ANSWERS.values(), ids=ANSWERS)
def test_a_read_for_each_frame(client: str, upstream: str, events: list[Event]) -> None:
    for frames in streams(upstream, events):
        both(client, upstream, frames)


@pytest.mark.parametrize(("client", "upstream"), pairs())
@pytest.mark.parametrize("events", ANSWERS.values(), ids=ANSWERS)
def test_reads_of_some_frames_and_of_parts_of_one(
    client: str, upstream: str, events: list[Event], seeded_random: random.Random
) -> None:
    """A short way after a read that ended within a frame would tear it."""
    for frames in streams(upstream, events):
        body, ends = b"".join(frames), list(itertools.accumulate(map(len, frames)))
        both(client, upstream, cut(body, seeded_random.choices(range(len(body)), k=7)))
        some = [end for end in ends if seeded_random.random() < 0.8]
        both(client, upstream, cut(body, [*some, *seeded_random.choices(range(len(body)), k=3)]))


@pytest.mark.parametrize(("client", "upstream"), pairs())
def test_the_same_is_read_however_it_is_cut(client: str, upstream: str) -> None:
    for frames in streams(upstream, TEXT):
        whole = both(client, upstream, [b"".join(frames)])
        by_frame = both(client, upstream, frames)
        assert read(client, by_frame) == read(client, whole)


@pytest.mark.parametrize(("client", "upstream"), pairs())
@pytest.mark.parametrize("name", ["text", "thoughts, then text", "text, calls, text"])
def test_a_client_that_leaves(client: str, upstream: str, name: str, seeded_random: random.Random) -> None:
    """What was made and not yet read of its usage is not lost."""
    for frames in streams(upstream, ANSWERS[name]):
        for at in (6, *seeded_random.choices(range(1, len(frames)), k=4)):
            both(client, upstream, frames[:at], leaves=True)


@pytest.mark.parametrize(("client", "upstream"), pairs())
@pytest.mark.parametrize("name", ["thoughts, then text", "text, calls, text"])
def test_silences_between_the_frames(client: str, upstream: str, name: str, seeded_random: random.Random) -> None:
    """What is said then, and what is held, knows of every frame before it."""
    for frames in streams(upstream, ANSWERS[name]):
        silences = seeded_random.sample(range(len(frames)), k=len(frames) // 3)
        told = both(client, upstream, frames, silences=silences)
        assert told.held
        assert len(told.said) > len(both(client, upstream, frames).said)


@pytest.mark.parametrize("upstream", ["openai-chat", "anthropic"])
def test_an_answer_that_is_too_long_to_be_kept(upstream: str) -> None:
    """It is refused at the same place, however much would have been said without a look."""
    quarter = MOST_KEPT_CHARS // 4
    sizes = [*[quarter] * 3, quarter - TEMPLATED_CHARS - 10_000, *[3_000] * 240]
    reads = wire(upstream, answer(part(0, "text", ["x" * size for size in sizes])))
    # What is read the long way meets the relay's own bound first, so only the decoder's short way is taken away.
    told, other = (
        Told(plan("openai-responses", behind, UpstreamBody(body=b"{}"), kept), kept, reads, short=True, leaves=False)
        for behind, kept in ((DIALECTS[upstream], TurnStore()), (LongWay(DIALECTS[upstream]), TurnStore()))
    )
    # The short way tells of it when the next frame comes.
    assert [said for _, said in told.said] == [said for _, said in other.said]
    assert told.passed > 20
    assert isinstance(told.exchange.error, Internal)


@pytest.mark.parametrize(("client", "upstream"), pairs())
def test_a_part_of_more_text_than_is_written_without_a_look(client: str, upstream: str) -> None:
    words = ["a", *["b" * 10_000] * 40, "c" * TEMPLATED_CHARS, "d", "e"]
    told = both(client, upstream, wire(upstream, answer(part(0, "text", words))))
    assert read(client, told).choices[0].parts == (Text(text="".join(words)),)
    frames = wire(upstream, answer(call(0, ['{"a": "', *words, '"}'])))
    both(client, upstream, frames, silences=[len(frames) - 7, len(frames) - 6])


@pytest.mark.parametrize("upstream", _REPORTS)
def test_the_last_usage_counts_of_a_stream_that_its_client_leaves(upstream: str) -> None:
    frames = metered(upstream, wire(upstream, TEXT), METERS["in every frame"])
    client = "anthropic" if upstream != "anthropic" else "gemini"
    for at in range(6, len(frames) - 4):
        told = both(client, upstream, frames[:at], leaves=True)
        report = told.exchange.report()
        assert (report.usage.output_tokens, report.usage_source) == (at - 1, "reported")
        assert told.passed


@pytest.mark.parametrize("upstream", _REPORTS)
def test_a_report_on_the_prompt_alone_covers_no_text(upstream: str) -> None:
    frames = metered(upstream, wire(upstream, TEXT), lambda _: 0)
    told = both("anthropic", upstream, frames[:9], leaves=True)
    report = told.exchange.report()
    assert (report.usage.input_tokens, report.usage_source) == (3, "estimated")
    assert report.usage.output_tokens


SHORT = {
    "text": len(WORDS) - 1,
    "thoughts, then text": len(WORDS) * 2 - 2,
    "a call": len(ARGUMENTS) - 1,
    "text, calls, text": len(WORDS) * 2 - 2 + len(ARGUMENTS) * 2 - 2,
}
"""How many frames at least take the short way: all by which a part goes on that has begun, when the gate is open."""
WHOLE_CALLS = ("gemini",)
"""Upstreams whose calls come in one piece."""
LATE = {"dashscope-native": 2}
"""Upstreams of which only the first frames show whether they hold increments."""


@pytest.mark.parametrize(
    ("client", "upstream", "name"),
    [(*pair, name) for pair in PAIRS for name in SHORT if "call" not in name or pair[1] not in WHOLE_CALLS],
)
def test_the_common_stream_takes_the_short_way(client: str, upstream: str, name: str) -> None:
    """Else there would be nothing to compare, and nothing gained."""
    for frames in streams(upstream, ANSWERS[name])[:2]:
        told = both(client, upstream, frames)
        assert told.passed >= SHORT[name] - LATE.get(upstream, 0) * (2 if "call" in name else 1)


class CountingDecoder:
    """A decoder that counts the frames that it must open."""

    def __init__(self, decoder: StreamDecoder) -> None:
        self._decoder = decoder
        self.finishes, self.grown = decoder.finishes, decoder.grown
        self.opened = 0

    def feed(self, frames: Iterable[Frame]) -> list[Event]:
        taken = list(frames)
        self.opened += len(taken)
        return self._decoder.feed(taken)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._decoder, name)


@pytest.mark.parametrize("upstream", UPSTREAMS)
def test_in_a_read_of_several_frames_the_common_ones_take_it_too(upstream: str) -> None:
    """A machine that has much to do finds several in each read."""
    decoder = CountingDecoder(DIALECTS[upstream].stream_decoder(profile=PROFILE, provider="acme"))
    frames = wire(upstream, TEXT)
    read = Reader(decoder).feed(SseDecoder().feed(b"".join(frames)))
    assert [event.text for event in read if isinstance(event, PartDelta)] == WORDS
    assert decoder.opened <= len(frames) - len(WORDS) + 1 + LATE.get(upstream, 0)


def test_a_text_that_stops_may_end_takes_the_long_way() -> None:
    sent = UpstreamBody(body=b"{}", stops=("fine day",))
    told = both("openai-chat", "anthropic", wire("anthropic", TEXT), sent=sent)
    assert told.passed == 0
    assert told.exchange.watch.cut


def test_so_do_arguments_whose_free_text_is_still_inside() -> None:
    sent = UpstreamBody(body=b"{}", wrapped_tools=frozenset({"look_0"}))
    events = answer(call(0, ('{"input', '": "a', 'b"}')), part(1, "text", WORDS))
    told = both("openai-responses", "anthropic", wire("anthropic", events), sent=sent)
    assert told.passed == 0, "nor does anything after them"


def test_a_frame_that_does_not_pass_has_left_no_trace() -> None:
    for client, upstream in PAIRS:
        kept = TurnStore()
        exchange = Exchange(plan(client, DIALECTS[upstream], UpstreamBody(body=b"{}"), kept), now=BEGIN)
        exchange.connected(BEGIN)
        exchange.head_received(ResponseHead(200, SSE), BEGIN)
        frames = wire(upstream, TEXT)
        for frame in frames[:8]:
            exchange.body_received(frame, BEGIN)
        exchange.take()
        before = {name: getattr(exchange.watch, name) for name in type(exchange.watch).__slots__}
        usual = frames[8]
        others = [frames[-1], usual * 2, usual[:-1], b"\n", b": c\n\n", usual.replace(b"\n", b"\r"), b"x" + usual, b""]
        for data in others:
            assert passes(exchange, data, BEGIN + 5) is None, (client, upstream, data)
            assert {name: getattr(exchange.watch, name) for name in type(exchange.watch).__slots__} == before
        assert passes(exchange, usual, BEGIN + 5) is not None


ODD_USAGES = {
    "not of ASCII": '{"said":"好",%s',
    "no text": '{"said":"\udcff",%s',
    "with a line's end in it": "{\n%s",
    "with another line's end": "{\r%s",
    "of nothing": "{}",
    "null": "null",
    "a number": "7",
    "no JSON": '{"promptTokenCount":',
    "of many": "[%s]",
    "after what looks like its beginning": '"a","b":%s',
}


@pytest.mark.parametrize("odd", ODD_USAGES.values(), ids=ODD_USAGES)
@pytest.mark.parametrize(("client", "upstream"), [pair for pair in PAIRS if pair[1] in ("openai-chat", "gemini")])
def test_usage_that_is_odd_in_some_frames(client: str, upstream: str, odd: str) -> None:
    """However much has passed by the bytes around it before."""
    field = _REPORTS[upstream][0].encode()
    frames = metered(upstream, wire(upstream, TEXT), METERS["in every frame"])
    for at in range(5, len(frames) - 2):
        head, name, usage = frames[at].partition(b'"%b":' % field)
        if not name or not usage.startswith(b"{"):
            continue
        usage, _, rest = usage.partition(b"}")
        said = odd.encode("utf-8", "surrogateescape").replace(b"%s", usage[1:] + b"}")
        both(client, upstream, [*frames[:at], head + name + said + rest, *frames[at + 1 :]])


ODD_NUMBERS = (
    "7",
    "10",
    "12345678901234567890",
    "1" * 40,
    "07",
    "00",
    "-7",
    "1.5",
    "1e3",
    "7e",
    "",
    '"7"',
    "null",
    "[7]",
)


@pytest.mark.parametrize("odd", ODD_NUMBERS)
@pytest.mark.parametrize("client", ["openai-chat", "anthropic", "gemini"])
def test_a_number_that_is_odd_in_some_frames(client: str, odd: str) -> None:
    """However many have passed by the bytes around theirs before. The parser has the last word on what is a number."""
    frames = wire("openai-responses", TEXT)
    for at in range(5, len(frames) - 4):
        head, name, rest = frames[at].partition(b'"sequence_number":')
        said = head + name + odd.encode() + rest.lstrip(b"0123456789")
        told = both(client, "openai-responses", [*frames[:at], said, *frames[at + 1 :]])
        assert told.passed >= len(WORDS) - 2 or told.exchange.watch.error is not None


@pytest.mark.parametrize("upstream", ["openai-responses", "gemini"])
def test_numbers_and_usage_of_any_length(upstream: str) -> None:
    """Each takes the short way, as those do that are as long as the ones before."""
    words = ["word "] * 1200
    frames = wire(upstream, answer(part(0, "text", words)))
    if upstream == "gemini":
        frames = metered(upstream, frames, METERS["in every frame"])
    assert both("anthropic", upstream, frames).passed >= len(words) - 1


@pytest.mark.parametrize("upstream", CLIENTS)
def test_what_is_around_a_text_is_soon_known(upstream: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long the numbers beside it are; from then on the decoder reads none of the common frames. The first ones
    have a text that does not stand there as it is.
    """
    frames = wire(upstream, answer(part(0, "text", ["\n"] * 2 + ["word "] * 1200)))
    if upstream in _REPORTS:
        frames = metered(upstream, frames, METERS["in every frame"])
    kind, asked = type(DIALECTS[upstream].stream_decoder(profile=PROFILE, provider="acme")), []
    grows = kind.grows
    monkeypatch.setattr(kind, "grows", lambda self, data: (asked.append(data), grows(self, data))[1])
    client, kept = "anthropic" if upstream == "openai-responses" else "openai-responses", TurnStore()
    told = Told(
        plan(client, DIALECTS[upstream], UpstreamBody(body=b"{}"), kept), kept, frames, short=True, leaves=False
    )
    assert told.passed >= 1199
    assert len(asked) < 100


@pytest.mark.parametrize(("client", "upstream"), pairs())
def test_texts_with_more_escapes_than_they_need(client: str, upstream: str) -> None:
    """They are written like all others, whatever way they go."""
    words = ["a", "b", "c", "好的", "tab\t", "🌊", "a/b", 'say "', "\u2028", "\x85", "é", "end"]
    frames = []
    for frame in wire(upstream, answer(part(0, "text", words))):
        escaped = frame.decode().encode("ascii", "backslashreplace")
        frames.append(
            escaped.replace(b"\\x", b"\\u00").replace(b"\\U0001f30a", rb"\ud83c\udf0a").replace(b"a/b", rb"a\/b")
        )
    both(client, upstream, frames)


def test_a_delta_of_another_kind_in_a_frame_of_the_same_form() -> None:
    frames = wire("openai-responses", TEXT)
    for at in range(5, len(frames) - 4):
        for kind in (b"refusal", b"output_next"):
            other = frames[at].replace(b"output_text", kind)
            both("openai-chat", "openai-responses", [*frames[:at], other, *frames[at + 1 :]])


def test_calls_of_which_nobody_says_that_they_are_whole() -> None:
    """They end where the next begins, if they are JSON by then."""
    frames = wire("openai-responses", answer(call(0), call(1), reason=FinishReason.TOOL_CALLS))
    ends = [at for at, frame in enumerate(frames) if b".done" in frame.partition(b"\n")[0]]
    both("openai-chat", "openai-responses", [frame for at, frame in enumerate(frames) if at not in ends[:2]])


def test_a_survey_knows_of_texts_that_the_exchange_was_not_told() -> None:
    exchange = Exchange(
        plan("openai-responses", DIALECTS["anthropic"], UpstreamBody(body=b"{}"), TurnStore()), now=BEGIN
    )
    exchange.connected(BEGIN)
    exchange.head_received(ResponseHead(200, SSE), BEGIN)
    frames = wire("anthropic", TEXT)
    for frame in frames[:5]:
        exchange.body_received(frame, BEGIN)
    exchange.take()
    exchange.delivered(BEGIN)
    written: list[bytes] = []
    path = TranslatingPath(
        exchange, Line(cast(Transport, SimpleNamespace(write=written.append)), lambda told: False), _raise
    )
    path.open()
    began = path.survey()
    for frame in frames[5:7]:
        assert path.take(chunked(frame))
    assert (exchange.held_bytes, path.survey()) == (began, began + len(WORDS[3] + WORDS[4]))
    path.publish()
    assert exchange.held_bytes == path.survey() == began + len(WORDS[3] + WORDS[4])
    kept = Kept()
    exchange.memory = cast(Memory, kept)
    assert path.survey() == exchange.held_bytes
    assert path.take(chunked(frames[7]))
    assert kept.frames == [frames[7]], "what is kept from now on"


class Kept:
    """A memory that holds much."""

    held_bytes = 70_000

    def __init__(self) -> None:
        self.frames: list[bytes] = []

    def keep(self, frame: bytes) -> None:
        self.frames.append(frame)


def _raise(error: Exception) -> None:
    raise error


ODD_PADDING = (
    '"',
    '"a\\"b"',
    '"\\',
    '"好"',
    '"a\nb"',
    '"a" ',
    "7",
    "null",
    "{}",
    '""""',
    '"a","delta":"twice"',
    '"a"}}',
)


@pytest.mark.parametrize("odd", ODD_PADDING)
def test_padding_that_is_odd_in_some_frames(odd: str) -> None:
    frames = hidden(wire("openai-responses", TEXT))
    for at in range(5, len(frames) - 4):
        head, name, _ = frames[at].partition(b'"obfuscation":')
        both(
            "openai-chat", "openai-responses", [*frames[:at], head + name + odd.encode() + b"}\n\n", *frames[at + 1 :]]
        )


@pytest.mark.parametrize("client", ["openai-chat", "openai-responses", "anthropic"])
def test_places_of_sources_in_a_text_of_more_than_ascii(client: str) -> None:
    """They are counted in bytes, and say nothing to a client that counts characters."""
    support = {"segment": {"startIndex": 0, "endIndex": 2, "text": "It"}, "groundingChunkIndices": [0]}
    found = {"groundingChunks": [{"web": {"uri": "https://a.example", "title": "A"}}], "groundingSupports": [support]}
    frames = wire("gemini", TEXT)
    for number in range(len(frames)):
        tree = json.loads(frames[number].partition(b"data: ")[2])
        tree["candidates"][0]["groundingMetadata"] = found
        said = json.dumps(tree, ensure_ascii=False, separators=(",", ":")).encode()
        both(client, "gemini", [*frames[:number], b"data: " + said + b"\n\n", *frames[number + 1 :]])


@pytest.mark.parametrize("upstream", ["openai-chat", "gemini"])
def test_quotes_in_a_text_beside_usage(upstream: str) -> None:
    """They are none that end it."""
    words = ["a", "b", "c", "d", 'say "', '"', '\\"', '","usage":{}', "e"]
    frames = metered(upstream, wire(upstream, answer(part(0, "text", words))), METERS["in every frame"])
    told = both("anthropic", upstream, frames)
    assert read("anthropic", told).choices[0].parts == (Text(text="".join(words)),)


FRAMES = {
    upstream: [frame for events in ANSWERS.values() for frames in streams(upstream, events) for frame in frames]
    for upstream in UPSTREAMS
}


@given(data=st.data(), pair=st.sampled_from(PAIRS))
def test_any_frames_in_any_order(data: st.DataObject, pair: tuple[str, str]) -> None:
    client, upstream = pair
    begun = wire(upstream, TEXT)[:7]
    pieces = data.draw(st.lists(st.sampled_from(FRAMES[upstream]), max_size=12))
    both(client, upstream, [*begun, *pieces])
    body = b"".join([*begun, *pieces])
    places = data.draw(st.sets(st.integers(0, len(body)), max_size=4))
    both(client, upstream, cut(body, places))
