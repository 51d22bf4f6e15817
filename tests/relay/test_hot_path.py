"""The short way of a frame and the long one come to the same: bytes, watch and report, however the reads are cut."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.playbook import BEGIN, DONE, ROLE, SSE, Road, chunk, fault, finish, frame, passes, plan, text, usage
from thalweg.canon.errors import UpstreamError
from thalweg.dialects.anthropic_messages import AnthropicMessages
from thalweg.dialects.base import UpstreamSide, Watch
from thalweg.dialects.openai_chat import OpenAIChat
from thalweg.dialects.openai_chat.relayer import ChatRelayer
from thalweg.dialects.registry import DIALECTS
from thalweg.profiles.base import Profile
from thalweg.profiles.providers import CHAT_REPAIRS, COMPATIBLE, PROVIDERS
from thalweg.relay.exchange import Exchange, Phase
from thalweg.relay.memory import Memory
from thalweg.relay.plan import Plan
from thalweg.relay.taps import Report
from thalweg.upstream.base import ResponseHead


def reasoning(words: str) -> bytes:
    return chunk({"content": "", "reasoning_content": words})


def call(arguments: str, **more: Any) -> bytes:
    return chunk({"content": "", "tool_calls": [{"index": 0, "function": {"arguments": arguments}} | more]})


WORDS = ["It ", "is ", "", "a ", "fine ", "day, ", "好的", "，今天", "🌊 ", '\\n\\n"quoted" ', "data: [DONE]", "end."]
SPOKEN = [text(words) for words in WORDS]


def made(tokens: int) -> dict[str, int]:
    return {"prompt_tokens": 3, "completion_tokens": tokens, "total_tokens": 3 + tokens}


BARE = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1700000000, "model": "m-1"}

STREAMS: dict[str, list[bytes]] = {
    "plain text": [ROLE, *SPOKEN, finish(), usage(), DONE],
    "no role first": [*SPOKEN, finish(), DONE],
    "the role again and again": [chunk({"role": "assistant", "content": words}) for words in WORDS] + [finish(), DONE],
    "reasoning, then text": [ROLE, reasoning("hm, "), reasoning("所以"), *SPOKEN, finish(), usage(), DONE],
    "both in one delta": [ROLE, chunk({"content": "a", "reasoning_content": "b"}), *SPOKEN, finish(), DONE],
    "both in each delta": [
        ROLE,
        *[chunk({"content": words, "reasoning_content": "hm"}) for words in WORDS],
        *[chunk({"content": "so", "reasoning_content": words}) for words in WORDS],
        finish(),
        DONE,
    ],
    "two choices": [ROLE, text("a"), text("x", at=1), text("b"), text("y", at=1), finish(), finish(at=1), DONE],
    "a second choice that begins late": [ROLE, *SPOKEN, text("x", at=1), text("more"), finish(), finish(at=1), DONE],
    "text, then a call": [
        ROLE,
        *SPOKEN,
        call("", id="c1", type="function"),
        call('{"city":'),
        call('"北京"}'),
        text("after"),
        finish("tool_calls"),
        DONE,
    ],
    "text after the finish reason": [ROLE, text("a"), finish(), text("b"), text(""), DONE],
    "usage on every chunk": [
        ROLE,
        *[
            frame(
                BARE
                | {
                    "choices": [{"index": 0, "delta": {"content": words}, "finish_reason": None}],
                    "usage": {"prompt_tokens": 3, "completion_tokens": i},
                }
            )
            for i, words in enumerate(WORDS)
        ],
        finish(),
        DONE,
    ],
    "usage last in every chunk, as it is made": [
        *[chunk({"content": words}, usage=made(i)) for i, words in enumerate(WORDS)],
        chunk({"content": ""}, finish="stop", usage=made(len(WORDS))),
        usage(3, len(WORDS)),
        DONE,
    ],
    "usage in every chunk, and of its own none": [
        *[chunk({"content": words}, usage=made(i)) for i, words in enumerate(WORDS)],
        chunk({"content": ""}, finish="stop", usage=made(len(WORDS))),
        DONE,
    ],
    "usage that shrinks, stops and comes again": [
        ROLE,
        *[chunk({"content": "a"}, usage=made(i)) for i in (5, 3, 6)],
        *SPOKEN,
        chunk({"content": "a"}, usage={}),
        usage(9, 90),
        *[chunk({"content": "a"}, usage=made(i)) for i in (7, 95, 1)],
        finish(),
    ],
    "usage last, broken off": [*[chunk({"content": words}, usage=made(i)) for i, words in enumerate(WORDS)], text("a")],
    "usage null on every chunk": [ROLE, *[chunk({"content": w}, usage=None) for w in WORDS], finish(), usage(), DONE],
    "content null and absent": [ROLE, chunk({"content": None}), chunk({}), *SPOKEN, chunk({"content": None}), DONE],
    "a refusal": [
        ROLE,
        chunk({"content": "", "refusal": "No"}),
        text(""),
        chunk({"content": "", "refusal": "."}),
        DONE,
    ],
    "logprobs": [
        ROLE,
        *[
            frame(
                BARE
                | {
                    "choices": [
                        {"index": 0, "delta": {"content": w}, "logprobs": {"content": []}, "finish_reason": None}
                    ]
                }
            )
            for w in WORDS
        ],
        finish(),
        DONE,
    ],
    "unknown fields": [
        ROLE,
        *[chunk({"content": w, "new": {"a": [1]}}, padding="....") for w in WORDS],
        finish(),
        DONE,
    ],
    "no object": [
        frame({"id": "c", "created": 1, "model": "m", "choices": [{"index": 0, "delta": {"content": w}}]})
        for w in WORDS
    ]
    + [DONE],
    "no created": [frame({**BARE, "created": None, "choices": [{"index": 0, "delta": {"content": w}}]}) for w in WORDS]
    + [DONE],
    "created that changes": [ROLE, text("a"), chunk({"content": "b"}, created=1700000009), text("c"), finish(), DONE],
    "an index that is missing": [
        ROLE,
        *[frame(BARE | {"choices": [{"delta": {"content": w}, "finish_reason": None}]}) for w in WORDS],
        finish(),
        DONE,
    ],
    "finish reason as a word for none": [ROLE, *[chunk({"content": w}, finish="null") for w in WORDS], finish(), DONE],
    "comments between": [ROLE, *[piece for w in WORDS for piece in (text(w), b": ping\n\n")], finish(), DONE],
    "ids and events": [b"event: message\nid: 7\n" + piece for piece in [ROLE, *SPOKEN, finish(), DONE]],
    "CRLF": [piece.replace(b"\n", b"\r\n") for piece in [ROLE, *SPOKEN, finish(), DONE]],
    "CRLF from the middle on": [ROLE, *SPOKEN, *[piece.replace(b"\n", b"\r\n") for piece in [*SPOKEN, finish(), DONE]]],
    "one newline between": [piece[:-1] for piece in [ROLE, *SPOKEN, finish()]] + [b"\n", DONE],
    "a blank line too many": [piece + b"\n" for piece in [ROLE, *SPOKEN, finish(), DONE]],
    "no space after data": [piece.replace(b"data: ", b"data:", 1) for piece in [ROLE, *SPOKEN, finish(), DONE]],
    "an error in the middle": [ROLE, *SPOKEN, fault(), text("more"), DONE],
    "an error on a chunk with text": [ROLE, text("a"), chunk({"content": "b"}, error={"message": "no"}), DONE],
    "an empty error": [ROLE, text("a"), chunk({"content": "b"}, error={}), chunk({"content": "c"}, error=None), DONE],
    "no end mark": [ROLE, *SPOKEN, finish(), usage()],
    "broken off": [ROLE, *SPOKEN],
    "broken off within a frame": [ROLE, *SPOKEN, text("half")[:-20]],
    "no JSON": [ROLE, text("a"), b"data: {nonsense\n\n", text("b"), DONE],
    "no UTF-8": [ROLE, text("a"), text("b").replace(b"b", b"\xff"), text("c"), DONE],
    "content of another type": [ROLE, *[chunk({"content": c}) for c in (1, ["a"], {"a": 1}, True)], text("a"), DONE],
    "content as parts": [ROLE, *[chunk({"content": [{"type": "text", "text": w}]}) for w in WORDS], finish(), DONE],
    "choices empty": [frame(BARE | {"choices": []}), ROLE, *SPOKEN, frame(BARE | {"choices": []}), finish(), DONE],
    "garbage after the end": [ROLE, *SPOKEN, finish(), DONE, text("more"), fault(), DONE],
    "a byte order mark": [b"\xef\xbb\xbf" + ROLE, *SPOKEN, finish(), DONE],
    "white space in the JSON": [
        b"data: " + json.dumps(BARE | {"choices": [{"index": 0, "delta": {"content": w}}]}).encode() + b" \n\n"
        for w in WORDS
    ]
    + [DONE],
    "one great frame among small ones": [ROLE, text("a"), text("x" * 100_000), text("b"), finish(), DONE],
}

PROFILES = {
    "every repair": COMPATIBLE,
    "no repairs": Profile(),
    "a role each time": Profile(repairs=CHAT_REPAIRS - {"role"}),
    "usage in every chunk, or null": Profile(repairs=CHAT_REPAIRS, chunk_usage="chunk_include_usage"),
    "usage in every chunk, or nothing": Profile(
        repairs=CHAT_REPAIRS - {"role"}, chunk_usage="continuous_usage_stats", unasked_usage="absent"
    ),
    "no comments out": Profile(repairs=CHAT_REPAIRS - {"framing"}),
}


class Told:
    """What came of a stream: bytes with the times at which they came, the head, the watch, the report."""

    def __init__(self, given: Plan, reads: Iterable[bytes], *, short: bool, leaves: bool = False) -> None:
        exchange = self.exchange = Exchange(given, now=BEGIN)
        self.said: list[tuple[float, bytes]] = []
        self.passed = 0
        road = Road(exchange)
        now = BEGIN + 0.5
        exchange.connected(now)
        exchange.head_received(ResponseHead(200, SSE), now + 0.25)
        for number, data in enumerate(reads):
            now = BEGIN + 1 + number * 0.5
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
        road.shut()
        if leaves:
            exchange.client_left(now + 1)
            exchange.give_up(now + 2)
        if not exchange.settled:
            exchange.body_ended(now + 1)
            self._take(now + 1)

    def _take(self, now: float) -> None:
        if self.exchange.pending_bytes:
            self.said.append((now, self.exchange.take()))
            self.exchange.delivered(now)

    @property
    def everything(self) -> tuple[Any, ...]:
        """All that can be seen of it, for comparison."""
        exchange = self.exchange
        error = exchange.error
        words = (type(error), error.message, error.code, error.kind) if isinstance(error, UpstreamError) else error
        return self.said, exchange.head, exchange.phase, exchange.wish, words, watched(exchange.watch), report(exchange)


def watched(watch: Watch) -> dict[str, Any]:
    seen = {name: getattr(watch, name) for name in Watch.__slots__}
    return seen | {"error": repr(watch.error)}


def report(exchange: Exchange) -> dict[str, Any]:
    said: Report = exchange.report()
    return msgspec.structs.asdict(said)


class LongRelayer(ChatRelayer):
    """Knows no short way, not even within."""

    __slots__ = ()

    def pass_on(self, data: bytes) -> bytes | None:
        return None


class LongChat(OpenAIChat):
    """Chat, every frame of which is opened."""

    def relayer(
        self, asked: Any, *, profile: Profile, raw: bool, provider: str, response_id: str, created: int
    ) -> LongRelayer:
        return LongRelayer(
            profile=profile,
            include_usage=asked.include_usage,
            chunk_usage=asked.chunk_usage,
            raw=raw,
            provider=provider,
        )


def both(reads: list[bytes], **changes: Any) -> Told:
    """Run a stream both ways; what is returned went the short way where it could."""
    short, long = Told(plan(**changes), reads, short=True), Told(plan(**changes), reads, short=False)
    longest = Told(plan(**changes, dialect=LongChat()), reads, short=True)
    assert (long.passed, longest.passed) == (0, 0)
    assert short.everything == long.everything
    assert short.everything == longest.everything
    return short


def cut(body: bytes, places: Iterable[int]) -> list[bytes]:
    ends = sorted({place for place in places if 0 < place < len(body)})
    return [body[a:b] for a, b in zip([0, *ends], [*ends, len(body)], strict=True)]


def plans() -> list[Any]:
    found = [
        pytest.param(
            {"profile": profile, "include_usage": asked}, id=f"{name}, usage {'asked' if asked else 'withheld'}"
        )
        for name, profile in PROFILES.items()
        for asked in (True, False)
    ]
    metered = {"profile": PROFILES["usage in every chunk, or null"]}
    every = {"stream_options": {"chunk_include_usage": True}}
    return [
        *found,
        pytest.param({"raw": True, "include_usage": True}, id="raw"),
        pytest.param({"raw": True, **metered}, id="raw, usage in every chunk withheld"),
        pytest.param(metered | every, id="usage in every chunk passed on"),
    ]


@pytest.mark.parametrize("changes", plans())
@pytest.mark.parametrize("stream", STREAMS.values(), ids=STREAMS)
def test_a_read_for_each_frame(stream: list[bytes], changes: dict[str, Any]) -> None:
    both(stream, **changes)


@pytest.mark.parametrize("stream", STREAMS.values(), ids=STREAMS)
def test_reads_cut_anywhere(stream: list[bytes], seeded_random: random.Random) -> None:
    body = b"".join(stream)
    for _ in range(12):
        both(cut(body, seeded_random.choices(range(len(body)), k=seeded_random.randint(1, 30))))


@pytest.mark.parametrize("stream", STREAMS.values(), ids=STREAMS)
def test_reads_of_several_frames_and_of_parts_of_one(stream: list[bytes], seeded_random: random.Random) -> None:
    """A short way after a read that ended within a frame would tear it."""
    for _ in range(12):
        reads, rest = [], b""
        for piece in stream:
            rest += piece
            how = seeded_random.random()
            if how < 0.5:
                reads.append(rest)
                rest = b""
            elif how < 0.75:
                at = seeded_random.randrange(len(rest)) + 1
                reads.append(rest[:at])
                rest = rest[at:]
        both([read for read in [*reads, rest] if read])


FRAMES = [piece for stream in STREAMS.values() for piece in stream if len(piece) < 2000]


@given(pieces=st.lists(st.sampled_from(FRAMES), max_size=12), places=st.sets(st.integers(0, 3000), max_size=4))
def test_any_frames_in_any_order(pieces: list[bytes], places: set[int]) -> None:
    both([ROLE, text("a"), *pieces])
    body = b"".join([ROLE, text("a"), *pieces])
    both(cut(body, places), include_usage=True)


def test_the_common_stream_takes_the_short_way() -> None:
    """Else there would be nothing to compare, and nothing gained."""
    told = both(STREAMS["plain text"])
    assert told.passed == len(SPOKEN) - 1, "all but the text that opens the gate"
    assert told.exchange.phase is Phase.ENDED


OF_CHAT = [provider for provider in PROVIDERS if provider.dialect == "openai-chat"]


@pytest.mark.parametrize("provider", OF_CHAT, ids=lambda provider: provider.name)
def test_so_do_the_known_providers_streams(provider: Any) -> None:
    told = both(STREAMS["plain text"], profile=provider.profile)
    assert told.passed == len(SPOKEN) - 1


@pytest.mark.parametrize("profile", [name for name, profile in PROFILES.items() if profile.chunk_usage])
def test_so_do_streams_with_usage_in_every_chunk(profile: str) -> None:
    told = both(STREAMS["usage last in every chunk, as it is made"], profile=PROFILES[profile])
    assert told.passed == len(WORDS) - 1
    assert told.exchange.report().usage.output_tokens == len(WORDS)


@pytest.mark.parametrize("include_usage", [False, True])
def test_the_largest_usage_counts_of_those_that_come_with_chunks(include_usage: bool) -> None:
    """Though they are looked at one by one, and the watch is told of some at once."""
    made = [1, 2, 5, 3, 4, 9, 8, 9, 7, 12, 11, 10, 12, 2, 1]
    for end in range(4, len(made)):
        chunks = [_metered(words, at) for words, at in zip(WORDS * 2, made[:end], strict=False)]
        told = both(
            [ROLE, *chunks, finish(), DONE],
            profile=PROFILES["usage in every chunk, or null"],
            include_usage=include_usage,
        )
        assert told.exchange.report().usage.output_tokens == max(made[:end])
        both([ROLE, *chunks], profile=PROFILES["usage in every chunk, or null"], include_usage=include_usage)


def test_usage_now_and_then_covers_all_text_before_it() -> None:
    """Also what has passed before it, and was not told yet."""
    for plain in range(1, 7):
        chunks = [*map(text, WORDS[:plain]), _metered("x", 9), *map(text, WORDS[:2])]
        for end in range(3, len(chunks) + 1):
            profile = PROFILES["usage in every chunk, or null"]
            both([ROLE, text("a"), *chunks[:end]], profile=profile)
            both([ROLE, text("a"), _metered("b", 2), *chunks[:end]], profile=profile)


def _metered(words: str, made: int) -> bytes:
    """A chunk with usage."""
    counts = {"prompt_tokens": 3, "completion_tokens": made, "total_tokens": 3 + made}
    return frame(json.loads(text(words)[6:]) | {"usage": counts})


def test_reasoning_takes_the_short_way_too() -> None:
    assert both([ROLE, *[reasoning(words) for words in WORDS], finish(), DONE]).passed == len(WORDS) - 1


def test_nothing_passes_by_the_short_way_before_or_after_its_time() -> None:
    exchange = Exchange(plan(), now=BEGIN)
    assert not passes(exchange, text("a"), BEGIN), "no head"
    exchange.connected(BEGIN)
    exchange.head_received(ResponseHead(200, SSE), BEGIN)
    assert not passes(exchange, text("a"), BEGIN), "no content"
    exchange.body_received(ROLE + text("a"), BEGIN)
    assert not passes(exchange, text("b"), BEGIN), "something waits"
    exchange.take()
    assert passes(exchange, text("b"), BEGIN)
    exchange.body_received(text("c")[:10], BEGIN)
    assert not passes(exchange, text("d"), BEGIN), "within a frame"
    exchange.body_received(text("c")[10:], BEGIN)
    exchange.take()
    assert passes(exchange, text("d"), BEGIN)
    exchange.body_received(finish(), BEGIN)
    exchange.take()
    exchange.client_left(BEGIN)
    assert not passes(exchange, text("e"), BEGIN), "nobody to send it to"
    exchange.body_received(usage(), BEGIN)
    assert not passes(exchange, text("e"), BEGIN), "still nobody"


def test_nothing_passes_after_the_end() -> None:
    exchange = Exchange(plan(), now=BEGIN)
    exchange.connected(BEGIN)
    exchange.head_received(ResponseHead(200, SSE), BEGIN)
    exchange.body_received(ROLE + text("a"), BEGIN)
    exchange.take()
    exchange.give_up(BEGIN)
    assert not passes(exchange, text("b"), BEGIN)


def test_a_frame_that_does_not_pass_has_left_no_trace() -> None:
    exchange = Exchange(plan(), now=BEGIN)
    exchange.connected(BEGIN)
    exchange.head_received(ResponseHead(200, SSE), BEGIN)
    exchange.body_received(ROLE + text("a"), BEGIN)
    exchange.take()
    before = watched(exchange.watch), exchange.heard_at, exchange.longest_gap_s
    for data in (usage(), DONE, finish(), text("x", at=1), fault(), text("a") * 2, text("a")[:-1], b"\n", b": c\n\n"):
        assert not passes(exchange, data, BEGIN + 5)
        assert (watched(exchange.watch), exchange.heard_at, exchange.longest_gap_s) == before


def test_no_utf8_where_nobody_reads_is_refused_on_either_way() -> None:
    both([ROLE, text("a"), chunk({"content": "b"}, pad="@").replace(b"@", b"\xff"), DONE])


# Where the relayer itself is not asked.


ANTHROPIC = AnthropicMessages()
_BEGUN = [
    {
        "type": "message_start",
        "message": {"id": "m", "type": "message", "role": "assistant", "model": "m", "content": []},
    },
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
]
_ENDED = [
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 9}},
    {"type": "message_stop"},
]


def event(value: dict[str, Any], spaces: int = 0) -> bytes:
    said = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return f"event: {value['type']}\ndata: {said[:-1]}{' ' * spaces}}}\n\n".encode()


def said(words: str, spaces: int = 0) -> bytes:
    return event({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": words}}, spaces)


@pytest.mark.parametrize("escapes", [True, False])
@pytest.mark.parametrize("padded", [True, False])
def test_anthropic_s_frames_with_spaces_and_with_separators(padded: bool, escapes: bool) -> None:
    words = [*WORDS[:8], "a\u2028b", "c\u2029", "\x85d", "好\u2028", 'a"b', "}", '"}}', "e", "好"]
    deltas = [said(words, number % 4 if padded else 0) for number, words in enumerate(words)]
    frames = [*map(event, _BEGUN), *deltas, *map(event, _ENDED)]
    profile = Profile(repairs=frozenset({"separators"} if escapes else ()))
    given = plan(dialect=ANTHROPIC, profile=profile, max_tokens=64)
    short, long = Told(given, frames, short=True), Told(given, frames, short=False)
    assert short.everything == long.everything
    assert short.passed >= len(WORDS)
    assert (b"\xe2\x80\xa8" in b"".join(data for _, data in short.said)) is not escapes
    assert short.exchange.report().deltas == len([word for word in words if word])


def test_what_only_looks_like_anthropic_s_frame() -> None:
    begun = [*map(event, _BEGUN), *[said("word ")] * 4]
    for odd in (
        said("a").replace(b'"}}', b'"} , "x": 1}'),
        said("a").replace(b'"}}', b'"}\t}'),
        said("a").replace(b'"}}', b'"}}}'),
        said("a").replace(b'"a"', b'"a\xff"'),
        said("a").replace(b'"a"', b'"a","text":"b"'),
        said("a").replace(b'"a"', b"7"),
        said("a")[:-1],
    ):
        given = plan(dialect=ANTHROPIC, max_tokens=64)
        short, long = (Told(given, [*begun, odd, said("b")], short=short) for short in (True, False))
        assert short.everything == long.everything


def test_what_passes_is_kept_where_it_may_have_to_be_gone_on_with() -> None:
    for stream in (STREAMS["plain text"], STREAMS["usage last in every chunk, as it is made"]):
        kept = []
        for short in (True, False):
            exchange = Exchange(plan(), now=BEGIN)
            exchange.memory = Memory(0)
            road = Road(exchange)
            exchange.connected(BEGIN)
            exchange.head_received(ResponseHead(200, SSE), BEGIN)
            for data in stream[:8]:
                if not short or road.passes(data, BEGIN) is None:
                    road.shut()
                    exchange.body_received(data, BEGIN)
                    exchange.take()
            road.shut()
            kept.append(exchange.memory._pieces)
        assert kept[0] == kept[1] == stream[:8]


GEMINI = DIALECTS["gemini"]


def generating(made: int | None, words: str, *, lf: bool = True, **more: Any) -> bytes:
    candidate = {"content": {"parts": [{"text": words}], "role": "model"}, "index": 0} | more
    usage = (
        {} if made is None else {"usageMetadata": {"promptTokenCount": 3, "totalTokenCount": 3 + made} | _made(made)}
    )
    said = json.dumps({"candidates": [candidate]} | usage | {"responseId": "r"}, ensure_ascii=False).encode()
    return b"data: " + said + (b"\n\n" if lf else b"\r\n\r\n")


def _made(tokens: int) -> dict[str, int]:
    return {"candidatesTokenCount": tokens} if tokens else {}


def passing_gemini(*, escapes: bool = True, array: bool = False) -> Plan:
    given = plan(profile=Profile(repairs=frozenset({"separators"} if escapes else ())))
    target = b"/v1beta/models/m:streamGenerateContent" + (b"" if array else b"?alt=sse")
    asked = GEMINI.read_request(b'{"contents":[{"parts":[{"text":"hi"}]}]}', target)
    side = UpstreamSide(GEMINI, given.upstream.profile, provider="acme", key_name="ACME_API_KEY")
    return msgspec.structs.replace(given, asked=asked, dialect=GEMINI, upstream=side)


@pytest.mark.parametrize("before", [3, 4, 5, 6, 7])
def test_the_usage_of_a_frame_that_is_looked_at_after_all_takes_no_later_one_s_place(before: int) -> None:
    frames = [generating(number, "so") for number in range(1, before + 1)]
    frames += [generating(before + 1, "a\u2028b"), generating(before + 2, "c", safetyRatings=[])]
    told = [Told(passing_gemini(), frames, short=short, leaves=True) for short in (True, False)]
    assert told[0].everything == told[1].everything
    assert told[0].exchange.report().usage.output_tokens == before + 2


@pytest.mark.parametrize("lf", [True, False])
@pytest.mark.parametrize("array", [True, False])
@pytest.mark.parametrize("escapes", [True, False])
@pytest.mark.parametrize(
    "counts",
    [
        lambda number: number,
        lambda number: 0 if number % 5 == 4 else number,
        lambda number: None if number % 5 == 4 else number,
        lambda number: 20 - number,
        lambda number: number if number == 8 else None,
    ],
    ids=["growing", "of the prompt alone now and then", "left out now and then", "shrinking", "once"],
)
@pytest.mark.parametrize("ends", ["whole", "broken off", "left", "gone on with"])
def test_gemini_s_frames_with_usage(counts: Any, ends: str, escapes: bool, array: bool, lf: bool) -> None:
    """Of an answer that is cut off, what was reported and what was not is told apart."""
    words = [*WORDS, "c\u2029", *WORDS, "so"]
    frames = [generating(counts(number), each, lf=lf) for number, each in enumerate(words)]
    if ends in ("whole", "gone on with"):
        frames.append(generating(99, "", lf=lf, finishReason="STOP"))
    if ends == "gone on with":
        frames += [generating(100, each, lf=lf) for each in WORDS]
    given = passing_gemini(escapes=escapes, array=array)
    both_ways = [Told(given, frames, short=short, leaves=ends == "left") for short in (True, False)]
    assert both_ways[0].everything == both_ways[1].everything
    assert both_ways[0].passed > len(WORDS)
