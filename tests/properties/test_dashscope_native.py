"""Whatever bytes an upstream sends: nothing foreign is raised, and every cut reads the same."""

from __future__ import annotations

import contextlib
import itertools
import random
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.dialects.dashscope_native.streams import DASH, ID, call, decode, frame, said, texts
from tests.dialects.dashscope_native.test_stream import INCREMENTS, encode
from thalweg.canon.errors import UpstreamError
from thalweg.canon.events import ResponseFailed
from thalweg.canon.finish import FinishReason
from thalweg.canon.fold import fold
from thalweg.canon.parts import Part, Reasoning, Text, ToolCall
from thalweg.canon.response import Choice, Response
from thalweg.canon.usage import Usage
from thalweg.profiles.providers import COMPATIBLE

BITS = st.sampled_from(
    [frame(said("a")), frame(said("ab")), frame(said("", finish="stop")), frame(texts("ab", finish="stop")),
     frame(said("", tool_calls=[call(0, "c", "{", "f")])), frame(said("", tool_calls=[call(0, "", "}")])),
     frame({"code": "X", "message": "m"}, event="error", status=400), b"data:", b"\n", b"\n\n", b"\r\n", b"event:error\n",
     b":HTTP_STATUS/999\n", b"[DONE]", b'{"output":{', b"{}", b"null", b"[[[[", b"\xff", b"\xef\xbb\xbf", b'{"output":5}'],
)  # fmt: skip
BYTES = st.one_of(st.lists(BITS, max_size=10).map(b"".join), st.binary(max_size=60))


def same(one: list[Any], other: list[Any]) -> bool:
    pair = [replace(fold(events), error=None) for events in (one, other)]
    return pair[0] == pair[1] and str(fold(one).error) == str(fold(other).error)


@given(body=BYTES, cuts=st.lists(st.integers(0, 400), max_size=5))
def test_any_bytes_are_decoded_without_a_foreign_error(body: bytes, cuts: list[int]) -> None:
    edges = [0, *sorted(min(at, len(body)) for at in cuts), len(body)]
    events = decode([body[a:b] for a, b in itertools.pairwise(edges)])
    assert same(events, decode(body))
    if isinstance(events[-1], ResponseFailed):
        assert isinstance(events[-1].error, UpstreamError)


@given(body=BYTES)
def test_any_bytes_are_a_whole_answer_or_our_error(body: bytes) -> None:
    with contextlib.suppress(UpstreamError):
        DASH.decode_answer(body, profile=COMPATIBLE, provider="acme")


WORDS = st.text(min_size=1, max_size=8).filter(lambda text: text.isprintable())
# Where the same is said again, an answer of one letter repeated may be read either way: two kinds of letters tell.
PARTS = st.one_of(
    WORDS.map(lambda text: Text(text=f"<{text}>")),
    WORDS.map(lambda text: Reasoning(text=f"<{text}>")),
    st.dictionaries(WORDS, WORDS, max_size=2).map(
        lambda tree: ToolCall(id=f"call_{len(tree)}", name="f", arguments=str(tree).replace("'", '"') or "{}")
    ),
)


@st.composite
def answers(draw: st.DrawFn) -> Response:
    parts: list[Part] = []
    for part in draw(st.lists(PARTS, min_size=1, max_size=5)):
        if not parts or type(part) is not type(parts[-1]):
            parts.append(part)
        elif isinstance(part, ToolCall):
            parts.append(replace(part, id=f"call_x{len(parts)}"))
    calls = any(isinstance(part, ToolCall) for part in parts)
    reason = FinishReason.TOOL_CALLS if calls else draw(st.sampled_from([FinishReason.STOP, FinishReason.LENGTH]))
    usage = Usage(input_tokens=draw(st.integers(0, 99)), output_tokens=draw(st.integers(0, 99)))
    choice = Choice(index=0, parts=tuple(parts), finish_reason=reason, raw_finish_reason=reason.value)
    return Response(response_id=ID, model="", created=None, choices=(choice,), usage=usage, complete=True)


@given(answer=answers())
def test_what_is_streamed_reads_the_same(answer: Response) -> None:
    assert replace(fold(decode(encode(answer, INCREMENTS, size=100))), raw_usage=None) == answer


@given(answer=answers())
def test_what_is_written_whole_says_the_same(answer: Response) -> None:
    read = DASH.decode_answer(DASH.encode_answer(answer, INCREMENTS), profile=COMPATIBLE, provider="acme")
    (mine,), (wanted,) = read.choices, answer.choices
    for kind in (Text, Reasoning, ToolCall):
        ours, theirs = ([p for p in choice.parts if isinstance(p, kind)] for choice in (mine, wanted))
        if kind is ToolCall:
            assert ours == theirs
        else:
            assert "".join(p.text for p in ours) == "".join(p.text for p in theirs)  # type: ignore[union-attr]
    assert (read.usage, mine.finish_reason) == (answer.usage, wanted.finish_reason)


def test_recordings_with_flipped_bytes_raise_nothing_foreign(corpus_root: Path, seeded_random: random.Random) -> None:
    for folder in sorted((corpus_root / "dashscope-native").iterdir()):
        for file in folder.glob("response.*"):
            body = bytearray(file.read_bytes()[:20_000])
            for _ in range(seeded_random.randrange(1, 6)):
                body[seeded_random.randrange(len(body))] = seeded_random.choice(b'\0\n\r"{}[]:,\\ \xff1')
            decode(bytes(body))
            with contextlib.suppress(UpstreamError):
                DASH.decode_answer(bytes(body), profile=COMPATIBLE, provider="acme")
