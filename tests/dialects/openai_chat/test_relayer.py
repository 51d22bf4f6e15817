"""One dialect through: each repair row alone, the frames that no row touches, withheld usage, ends, and the watch."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.dialects.openai_chat.streams import (
    CHAT,
    DONE,
    HEAD,
    call,
    check_watch,
    chunk,
    cuts_of,
    decode,
    frame,
    read_strictly,
    relay,
    stream,
    usage_chunk,
)
from thalweg.canon.errors import UpstreamBroke, UpstreamFailed
from thalweg.dialects.base import Watch
from thalweg.dialects.openai_chat.relayer import ChatRelayer
from thalweg.dialects.openai_chat.repairs import ROWS
from thalweg.framing.sse import SseDecoder
from thalweg.profiles.base import Profile
from thalweg.profiles.providers import CHAT_REPAIRS, COMPATIBLE

OPENING = chunk({"role": "assistant", "content": ""})
COUNTS = {"prompt_tokens": 3, "completion_tokens": 5}
MORE = {"prompt_tokens": 3, "completion_tokens": 6}


def without(value: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: inner for name, inner in value.items() if name not in names}


def only(*rows: str) -> Profile:
    return Profile(repairs=frozenset(rows))


def good(*more: dict[str, Any]) -> list[dict[str, Any]]:
    return [OPENING, chunk({"content": "a"}), *more, chunk({"content": ""}, finish="stop")]


# Rows.

Change = tuple[dict[str, Any], dict[str, Any]]

EDITS: dict[str, list[Change]] = {
    "envelope": [
        (without(chunk({"content": "b"}), "id"), chunk({"content": "b"})),
        (without(chunk({"content": "b"}), "model"), chunk({"content": "b"})),
        (without(chunk({"content": "b"}), "created"), chunk({"content": "b"})),
        (chunk({"content": "b"}, id=None), chunk({"content": "b"})),
        (chunk({"content": "b"}, id=7, model=[], created="now"), chunk({"content": "b"})),
        (chunk({"content": "b"}, created=1.5), chunk({"content": "b"})),
        (chunk({"content": "b"}, created=True), chunk({"content": "b"})),
    ],
    "object": [
        (without(chunk({"content": "b"}), "object"), chunk({"content": "b"})),
        (chunk({"content": "b"}, object=""), chunk({"content": "b"})),
        (chunk({"content": "b"}, object="chat.completion.done"), chunk({"content": "b"})),
        (chunk({"content": "b"}, object=None), chunk({"content": "b"})),
    ],
    "delta": [
        (
            HEAD | {"choices": [{"index": 0, "finish_reason": None}]},
            HEAD | {"choices": [{"index": 0, "finish_reason": None, "delta": {}}]},
        ),
        (chunk() | {"choices": [{"index": 0, "delta": None}]}, HEAD | {"choices": [{"index": 0, "delta": {}}]}),
        (
            HEAD | {"choices": [{"delta": {"content": "b"}}]},
            HEAD | {"choices": [{"delta": {"content": "b"}, "index": 0}]},
        ),
    ],
    "content": [
        (chunk({"reasoning_content": "r"}), chunk({"reasoning_content": "r", "content": ""})),
        (chunk({"content": None, "reasoning_content": "r"}), chunk({"content": "", "reasoning_content": "r"})),
        (chunk({}), chunk({"content": ""})),
        (chunk({"content": 5}), chunk({"content": ""})),
    ],
    "content-parts": [
        (
            chunk({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "r"}]}]}),
            chunk({"content": "", "reasoning_content": "r"}),
        ),
        (chunk({"content": [{"type": "text", "text": "b"}]}), chunk({"content": "b"})),
        (chunk({"content": []}), chunk({"content": ""})),
    ],
    "role": [
        (chunk({"role": "assistant", "content": "b"}), chunk({"content": "b"})),
        (chunk({"content": "b", "role": ""}), chunk({"content": "b"})),
    ],
}


@pytest.mark.parametrize(
    ("row", "came", "left"),
    [(row, came, left) for row, changes in EDITS.items() for came, left in changes],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_row_mends_what_it_names_and_nothing_when_it_is_off(
    row: str, came: dict[str, Any], left: dict[str, Any]
) -> None:
    rows = only(row) if row not in ("object", "envelope") else COMPATIBLE
    relayed = relay(stream(*good(came)), profile=rows)
    assert [json.loads(one[6:]) for one in relayed.frames[2:-2]] == [left]
    assert relayed.watch.repaired == {row: 1}
    assert relayed.frames[:2] + relayed.frames[-2:] == [frame(value) for value in good()] + [DONE] or row == "content"
    off = relay(stream(*good(came)), profile=Profile(repairs=CHAT_REPAIRS - {row}))
    assert row not in off.watch.repaired
    assert relay(stream(*good(came)), raw=True).body == stream(*good(came))


CALL_CHANGES: dict[str, tuple[list[dict[str, Any]], list[dict[str, Any]]]] = {
    "good ones stay": (
        [
            call(0, id="c1", type="function", name="f", arguments=""),
            call(0, arguments="{}"),
            call(1, id="c2", type="function", name="g", arguments="{}"),
        ],
        [
            call(0, id="c1", type="function", name="f", arguments=""),
            call(0, arguments="{}"),
            call(1, id="c2", type="function", name="g", arguments="{}"),
        ],
    ),
    "an index is missing": (
        [
            call(None, id="c1", type="function", name="f", arguments="{}"),
            call(None, id="c2", type="function", name="g", arguments="{}"),
        ],
        [
            call(0, id="c1", type="function", name="f", arguments="{}"),
            call(1, id="c2", type="function", name="g", arguments="{}"),
        ],
    ),
    "indexes with gaps": (
        [
            call(1, id="c1", type="function", name="f", arguments="{}"),
            call(5, id="c2", type="function", name="g", arguments="{}"),
        ],
        [
            call(0, id="c1", type="function", name="f", arguments="{}"),
            call(1, id="c2", type="function", name="g", arguments="{}"),
        ],
    ),
    "one index for two": (
        [
            call(0, id="c1", type="function", name="f", arguments="{}"),
            call(0, id="c2", type="function", name="g", arguments="{}"),
        ],
        [
            call(0, id="c1", type="function", name="f", arguments="{}"),
            call(1, id="c2", type="function", name="g", arguments="{}"),
        ],
    ),
    "name and id repeated": (
        [
            call(0, id="c1", type="function", name="f", arguments="{"),
            call(0, id="c1", type="function", name="f", arguments="}"),
        ],
        [call(0, id="c1", type="function", name="f", arguments="{"), call(0, type="function", arguments="}")],
    ),
    "an empty name later, an empty id is harmless": (
        [call(0, id="c1", type="function", name="f", arguments="{"), call(0, id="", name="", arguments="}")],
        [call(0, id="c1", type="function", name="f", arguments="{"), call(0, id="", arguments="}")],
    ),
    "no type": (
        [call(0, id="c1", name="f", arguments="{}")],
        [call(0, id="c1", name="f", arguments="{}", type="function")],
    ),
    "arguments as an object": (
        [call(0, id="c1", type="function", name="f", arguments={"a": 1})],
        [call(0, id="c1", type="function", name="f", arguments='{"a":1}')],
    ),
    "arguments null or absent at first": (
        [call(0, id="c1", type="function", name="f", arguments=None), call(1, id="c2", type="function", name="g")],
        [
            call(0, id="c1", type="function", name="f", arguments=""),
            call(1, id="c2", type="function", name="g", arguments=""),
        ],
    ),
    "no function later": (
        [call(0, id="c1", type="function", name="f", arguments="{}"), call(0)],
        [call(0, id="c1", type="function", name="f", arguments="{}"), {"tool_calls": [{"index": 0, "function": {}}]}],
    ),
    "an empty list": ([{"tool_calls": []}], [{}]),
    "null is left alone": ([{"tool_calls": None}], [{"tool_calls": None}]),
}


@pytest.mark.parametrize("case", CALL_CHANGES)
def test_the_row_for_calls(case: str) -> None:
    came, left = CALL_CHANGES[case]
    relayed = relay(stream(*good(*map(chunk, came))), profile=only("tool-calls"))
    assert [json.loads(one[6:])["choices"][0]["delta"] for one in relayed.frames[2:-2]] == left
    changed = sum(a != b for a, b in zip(came, left, strict=True))
    assert relayed.watch.repaired == ({"tool-calls": changed} if changed else {})


def test_a_custom_tools_call_keeps_its_own_fields() -> None:
    piece = {"index": 0, "id": "c1", "type": "custom", "custom": {"name": "math", "input": "4"}}
    body = stream(
        *good(
            chunk({"content": "", "tool_calls": [piece]}),
            chunk({"content": "", "tool_calls": [{"index": 0, "custom": {"input": "2"}}]}),
        )
    )
    relayed = relay(body)
    assert relayed.body == body
    (made,) = read_strictly(relayed.body).choices[0].calls
    assert (made.id, made.type, made.name, made.arguments) == ("c1", "custom", "math", "42")


def test_a_chunk_that_says_nothing_is_left_out() -> None:
    azure = HEAD | {"id": "", "object": "", "created": 0, "model": "", "choices": [], "prompt_filter_results": []}
    body = frame(azure) + stream(*good())
    assert relay(body).body == stream(*good())
    assert relay(body).watch.repaired == {"empty-choices": 1}
    assert relay(body, profile=only()).body == body
    assert relay(stream(*good({}))).body == stream(*good())


def test_moderation_passes() -> None:
    body = stream(*good(HEAD | {"choices": [], "usage": None, "moderation": {}}))
    assert relay(body).body == body


FRAMINGS: dict[str, bytes] = {
    "CRLF": stream(*good()).replace(b"\n", b"\r\n"),
    "CR": stream(*good()).replace(b"\n", b"\r"),
    "no space": stream(*good()).replace(b"data: ", b"data:"),
    "comments glued to frames": stream(*good()).replace(b"data: ", b": hi\ndata: "),
    "comments and empty frames between": stream(*good()).replace(
        b"data: ", b": hi\n\ndata:\n\n\n\nevent: ping\n\ndata: "
    ),
    "event, id and retry lines": stream(*good()).replace(b"data: ", b"event: message\nid: 1\nretry: 3\ndata: "),
    "a BOM": b"\xef\xbb\xbf" + stream(*good()),
    "an unclosed end": stream(*good())[:-2],
    "one newline": stream(*good()).replace(b"\n\n", b"\n") + b"\n",
    "one newline and no end": stream(*good()).replace(b"\n\n", b"\n"),
    "no end mark": stream(*good(), done=False),
    "no end mark, unclosed": stream(*good(), done=False)[:-2],
    "more after the end mark": stream(*good())[:-2] + b" bye\n\n",
}


@pytest.mark.parametrize("case", FRAMINGS)
def test_framing_becomes_the_one_that_everybody_reads(case: str) -> None:
    body = FRAMINGS[case]
    for size in (len(body), 1, 5):
        assert relay(cuts_of(body, size)).body == stream(*good())
    needed = {"one newline": "one-newline", "one newline and no end": "one-newline", "no end mark": None}.get(
        case, "framing"
    )
    assert set(relay(body).watch.repaired) == ({needed} if needed else set())


@pytest.mark.parametrize("case", FRAMINGS)
def test_raw_leaves_framing_as_it_is(case: str) -> None:
    body = FRAMINGS[case]
    for size in (len(body), 1, 5):
        relayed = relay(cuts_of(body, size), raw=True)
        assert relayed.watch.complete
        # After the end mark's CR nothing is waited for.
        assert relayed.body in (body, body.removesuffix(b"\r\n") + b"\r")


def test_a_chunk_on_many_lines_becomes_one_line_also_where_it_needs_mending() -> None:
    def pretty(value: dict[str, Any]) -> bytes:
        return b"".join(b"data: " + line + b"\n" for line in json.dumps(value, indent=2).encode().split(b"\n")) + b"\n"

    body = (
        b"".join(
            map(pretty, [OPENING, without(chunk({"content": "a\n"}), "object"), chunk({"content": ""}, finish="stop")])
        )
        + DONE
    )
    relayed = relay(body)
    read = read_strictly(relayed.body)
    assert read.choices[0].text == "a\n"
    assert read.done
    assert relay(body, raw=True).body == body


def test_values_that_no_row_touches_keep_their_bytes_and_places() -> None:
    odd = b'data: {"zz":1.10e1,  "id":"i\\u0064","created":7,"choices":[{"finish_reason":null,"x":[ 1,2 ],"delta":{"reasoning_content":"\\u4f60"},"index":0}],"model":"m","y":{"b":1,"a": 2}}\n\n'
    relayed = relay(odd + stream(*good()))
    expected = b'data: {"zz":1.10e1,"id":"i\\u0064","created":7,"choices":[{"finish_reason":null,"x":[ 1,2 ],"delta":{"reasoning_content":"\\u4f60","content":""},"index":0}],"model":"m","y":{"b":1,"a": 2},"object":"chat.completion.chunk"}\n\n'
    assert relayed.frames[0] == expected


def test_every_row_has_its_reason_and_the_profiles_name_rows_that_exist() -> None:
    assert {row.name for row in ROWS} == CHAT_REPAIRS
    assert all(row.why.endswith(".") for row in ROWS)


# Usage.

USAGE: dict[str, list[dict[str, Any]]] = {
    "a chunk of its own": [*good(), usage_chunk()],
    "the finish chunk": [
        OPENING,
        chunk({"content": "a"}),
        chunk({"content": ""}, finish="stop", usage=usage_chunk()["usage"]),
    ],
    "every chunk": [
        OPENING | {"usage": COUNTS},
        chunk({"content": "a"}, usage=COUNTS),
        chunk({"content": ""}, finish="stop", usage=usage_chunk()["usage"]),
    ],
    "twice": [*good()[:-1], chunk({"content": ""}, finish="stop", usage=COUNTS), usage_chunk()],
    "before the end": [
        OPENING,
        usage_chunk(1, 1),
        chunk({"content": "a"}),
        usage_chunk(),
        chunk({"content": ""}, finish="stop"),
    ],
    "a chunk without choices": [*good(), without(usage_chunk(), "choices")],
    "then an empty chunk": [*good(), usage_chunk(), HEAD | {"choices": [], "usage": None}],
}


@pytest.mark.parametrize("place", USAGE)
@pytest.mark.parametrize("end", [True, False], ids=["with the end mark", "without"])
def test_usage_leaves_once_in_a_chunk_of_its_own_just_before_the_end(place: str, end: bool) -> None:
    relayed = relay(stream(*USAGE[place], done=end))
    read = read_strictly(relayed.body)
    assert read.usage == usage_chunk()["usage"]
    assert json.loads(relayed.frames[-2][6:]).keys() == usage_chunk().keys() | set()
    assert relayed.frames[-1] == DONE


@pytest.mark.parametrize("place", USAGE)
@pytest.mark.parametrize("raw", [False, True])
def test_usage_that_nobody_asked_for_is_withheld_and_metered(place: str, raw: bool) -> None:
    relayed = relay(stream(*USAGE[place]), include_usage=False, raw=raw)
    values = [json.loads(one[6:]) for one in relayed.frames[:-1]]
    assert not any(value.get("usage") for value in values)
    assert relayed.watch.raw_usage == usage_chunk()["usage"]
    if not raw:
        assert read_strictly(relayed.body, include_usage=False).usage is None


def test_usage_of_null_stays_where_it_is() -> None:
    body = stream(
        OPENING | {"usage": None},
        chunk({"content": "a"}, usage=None),
        chunk({"content": ""}, finish="stop", usage=None),
    )
    for include_usage in (True, False):
        assert relay(body, include_usage=include_usage).body == body


# Usage in every chunk, and the short way.

ARK = Profile(repairs=CHAT_REPAIRS - {"role"}, chunk_usage="chunk_include_usage", unasked_usage="null")
VLLM = Profile(repairs=CHAT_REPAIRS, chunk_usage="continuous_usage_stats", unasked_usage="absent")
TRICKY = ["a", "你好", '","usage":{"prompt_tokens":1,"completion_tokens":99}}', "usage", "\\", "", "end."]


def arks(number: int | None, delta: dict[str, Any], *, finish: str | None = None) -> dict[str, Any]:
    """A chunk as Ark writes it: usage last, the role each time, no finish reason before the end."""
    choice = {"delta": delta | {"role": "assistant"}, "finish_reason": finish, "index": 0}
    head = {"created": 1765713048, "id": "0217", "model": "doubao", "service_tier": "default"}
    if finish is None:
        del choice["finish_reason"]
    usage = (
        None
        if number is None
        else {
            "completion_tokens": number,
            "prompt_tokens": 97,
            "total_tokens": 97 + number,
            "prompt_tokens_details": {"cached_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0},
        }
    )
    return {"choices": [choice], **head, "object": "chat.completion.chunk", "usage": usage}


def vllms(number: int | None, delta: dict[str, Any], *, finish: str | None = None) -> dict[str, Any]:
    """A chunk as vLLM writes it: usage last, or, with the role, before fields that are set to nothing."""
    value = chunk(delta, finish=finish)
    if number is not None:
        value["usage"] = {"prompt_tokens": 97, "total_tokens": 97 + number, "completion_tokens": number}
    return value | ({"prompt_token_ids": None} if "role" in delta else {})


def told(write: Any, *, every: bool, call_too: bool = True) -> bytes:
    """A stream of text, a call and its end, with usage in every chunk or in none; then usage alone."""
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    deltas += [{"content": word} for word in TRICKY]
    deltas += [{"content": "", "reasoning_content": "hm"}]
    if call_too:
        deltas += [{"content": "", **call(0, id="c1", type="function", name="f", arguments="")}]
        deltas += [{"content": "", **call(0, arguments='{"usage":{}}')}]
    values = [write(i if every else None, delta) for i, delta in enumerate(deltas)]
    last = write(len(deltas) if every else None, {"content": ""}, finish="stop")
    alone = write(len(deltas), {}, finish="stop") | {"choices": []}
    return stream(*values, last, alone)


WRITERS = {"ark": (ARK, arks), "vllm": (VLLM, vllms)}
LINES: dict[str, tuple[bytes, bytes]] = {
    "plain frames": (b"", b""),
    "CRLF": (b"\n", b"\r\n"),
    "CR": (b"\n", b"\r"),
    "no space": (b"data: ", b"data:"),
    "other fields beside": (b"data: ", b": hi\nevent: message\nid: 1\ndata: "),
    "comments between": (b"data: ", b": hi\n\ndata: "),
}


@pytest.mark.parametrize("lines", LINES)
@pytest.mark.parametrize("raw", [False, True], ids=["mended", "raw"])
@pytest.mark.parametrize("include_usage", [False, True], ids=["nothing asked", "usage asked"])
@pytest.mark.parametrize("provider", WRITERS)
def test_the_bytes_are_those_of_a_provider_that_was_not_asked_for_usage_in_every_chunk(
    provider: str, include_usage: bool, raw: bool, lines: str
) -> None:
    """However the reads are cut, and with repairs or without: withholding is none."""
    profile, write = WRITERS[provider]
    asked, unasked = (told(write, every=every).replace(*LINES[lines]) for every in (True, False))
    expected = relay(unasked, profile=profile, include_usage=include_usage, raw=raw)
    assert b'"usage":{' not in expected.body or include_usage
    for size in (len(asked), 700, 7, 1):
        relayed = relay(cuts_of(asked, size), profile=profile, include_usage=include_usage, raw=raw)
        assert relayed.body.splitlines() == expected.body.splitlines() or (raw and lines == "CRLF")
        # The LF of a CRLF belongs to the next frame where a read ends between them, so that it outlives its own.
        assert relayed.body.split() == expected.body.split()
        assert relayed.watch.repaired == expected.watch.repaired
        assert relayed.watch.usage == expected.watch.usage


@pytest.mark.parametrize("raw", [False, True], ids=["mended", "raw"])
@pytest.mark.parametrize("provider", WRITERS)
def test_where_nothing_is_mended_they_are_the_provider_s_own(provider: str, raw: bool) -> None:
    profile, write = WRITERS[provider]
    every, unasked = (told(write, every=every, call_too=False) for every in (True, False))
    alone = unasked.split(b"\n\n")[-3] + b"\n\n"
    assert relay(every, profile=profile, raw=raw).body == unasked
    assert relay(every, profile=profile, raw=raw, include_usage=False).body == unasked.replace(alone, b"")


@pytest.mark.parametrize("option", ["chunk_include_usage", "continuous_usage_stats"])
@pytest.mark.parametrize("provider", WRITERS)
def test_a_client_that_asked_for_it_gets_it_in_every_chunk(provider: str, option: str) -> None:
    profile, write = WRITERS[provider]
    body = told(write, every=True)
    for size in (len(body), 700, 1):
        relayed = relay(cuts_of(body, size), profile=profile, **{option: True})
        assert relayed.body == body
        assert relayed.watch.repaired == {}
    alone = body.split(b"\n\n")[-3] + b"\n\n"
    assert relay(body, profile=profile, include_usage=False, **{option: True}).body == body.replace(alone, b"")


@pytest.mark.parametrize("provider", WRITERS)
def test_text_takes_the_short_way_with_usage_in_every_chunk_too(provider: str) -> None:
    """Else it would be right, and dear."""
    profile, write = WRITERS[provider]
    for chunk_usage in (False, True):
        relayer = ChatRelayer(profile=profile, include_usage=False, chunk_usage=chunk_usage, raw=False)
        relayer.feed(SseDecoder().feed(frame(write(1, {"content": "a", "role": "assistant"}))))
        for number, word in enumerate(TRICKY, 2):
            data = frame(write(number, {"content": word}))
            assert relayer.pass_on(data) == (data if chunk_usage else frame(write(None, {"content": word})))


def no_parser(_: bytes) -> Any:
    raise AssertionError("parsed")


@pytest.mark.parametrize("profile", [COMPATIBLE, ARK, VLLM], ids=["no usage", "ark", "vllm"])
@pytest.mark.parametrize("field", ["content", "reasoning_content", "reasoning"])
def test_chunks_that_differ_in_their_text_alone_are_parsed_no_more(profile: Profile, field: str) -> None:
    write = arks if profile is ARK else vllms

    def said(number: int, text: str) -> bytes:
        return frame(write(number if profile.chunk_usage else None, {"content": "", field: text}))

    relayer = ChatRelayer(profile=profile, include_usage=False, raw=False)
    relayer.feed(SseDecoder().feed(said(1, "first") + said(2, "second") + said(3, "third")))
    relayer._read_text = no_parser
    for number, text in enumerate(("a", "bc", "", "你好", 'a "quote"\n'), 4):
        assert relayer.pass_on(said(number, text)) is not None
    assert (relayer.watch.narrow_chars, relayer.watch.wide_chars) == (len('firstsecondthirdabca "quote"\n'), 2)
    relayer.settle()
    assert (relayer.watch.raw_usage or {}).get("completion_tokens") == (8 if profile.chunk_usage else None)
    with pytest.raises(AssertionError, match="parsed"):
        relayer.pass_on(frame({"pad": 1} | write(9, {"content": "", field: "b"})))


RESTS = {
    "whole": b'{"prompt_tokens":1,"completion_tokens":9}}\n\n',
    "a CR in it": b'{"prompt_tokens":1,\r"completion_tokens":9}}\n\n',
    "an LF in it": b'{"prompt_tokens":1,\n"completion_tokens":9}}\n\n',
    "no UTF-8 in it": b'{"prompt_tokens":1,"completion_tokens":9,"x":"\xff"}}\n\n',
    "other words in it": '{"prompt_tokens":1,"completion_tokens":9,"x":"好"}}\n\n'.encode(),
    "closed wrongly": b'{"prompt_tokens":1,"completion_tokens":9}]\n\n',
    "not closed": b'{"prompt_tokens":1,"completion_tokens":9}\n\n',
    "closed twice": b'{"prompt_tokens":1,"completion_tokens":9}}}\n\n',
    "more behind it": b'{"prompt_tokens":1,"completion_tokens":9},"x":1}\n\n',
    "an error behind it": b'{"prompt_tokens":1,"completion_tokens":9},"error":{"message":"m"}}\n\n',
    "a frame behind it": b'{"prompt_tokens":1,"completion_tokens":9}}\n\ndata: {}\n\n',
    "one LF": b'{"prompt_tokens":1,"completion_tokens":9}}\n',
    "a blank line too many": b'{"prompt_tokens":1,"completion_tokens":9}}\n\n\n',
    "null": b"null}\n\n",
    "nothing": b"",
}


@pytest.mark.parametrize("rest", RESTS)
def test_whatever_stands_behind_a_known_envelope_is_read_as_on_the_long_way(rest: str) -> None:
    """The envelope says nothing of the usage, nor of how the frame ends."""
    begun = b"".join(frame(vllms(number, {"content": word})) for number, word in enumerate("abcd", 1))
    data = frame(vllms(None, {"content": "e"}))[:-3] + b',"usage":' + RESTS[rest]
    for profile in (VLLM, ARK):
        outs = []
        for kind in (ChatRelayer, LongWay):
            relayer, sse = kind(profile=profile, include_usage=False, raw=False), SseDecoder()
            out = relayer.feed(sse.feed(begun))
            passed = relayer.pass_on(data)
            out += relayer.feed(sse.feed(data)) if passed is None else [passed]
            out += relayer.feed(sse.end()) + relayer.end()
            outs.append((out, words(relayer.watch)))
        assert outs[0] == outs[1]


@pytest.mark.parametrize("provider", WRITERS)
def test_a_stream_that_is_cut_has_the_counts_of_its_last_chunk(provider: str) -> None:
    profile, write = WRITERS[provider]
    frames = SseDecoder().feed(told(write, every=True))
    for length in range(1, len(frames)):
        relayer = ChatRelayer(profile=profile, include_usage=False, raw=False)
        relayer.feed(frames[:length])
        relayer.settle()
        values = [json.loads(one.data or b"") for one in frames[:length]]
        last = [value["usage"] for value in values if value["usage"]][-1:]
        assert [relayer.watch.raw_usage] == (last or [None])
        assert relayer.watch.uncovered == (0, 0)


def test_text_after_the_last_report_is_not_covered_by_it() -> None:
    relayer = ChatRelayer(profile=VLLM, include_usage=False, raw=False)
    for number, word in ((1, "a"), (2, "b"), (None, "你好"), (None, "cde"), (3, "f"), (None, "gh"), (None, "天")):
        relayer.feed(SseDecoder().feed(frame(vllms(number, {"content": word}))))
    relayer.settle()
    assert relayer.watch.raw_usage["completion_tokens"] == 3
    assert relayer.watch.uncovered == (2, 1)


@pytest.mark.parametrize("short", [True, False], ids=["the short way", "the long way"])
def test_fewer_tokens_so_far_never_replace_more_but_usage_alone_replaces_all(short: bool) -> None:
    kind = ChatRelayer if short else LongWay
    relayer = kind(profile=VLLM, include_usage=False, raw=False)
    for number in (1, 7, 8, 3, 8, 5):
        relayer.feed(SseDecoder().feed(frame(vllms(number, {"content": "a"}))))
    relayer.settle()
    assert relayer.watch.raw_usage["completion_tokens"] == 8
    relayer.feed(SseDecoder().feed(frame(usage_chunk(3, 6))))
    assert relayer.watch.raw_usage == usage_chunk(3, 6)["usage"]
    relayer.feed(SseDecoder().feed(frame(vllms(5, {"content": "a"}))))
    relayer.settle()
    assert relayer.watch.raw_usage == usage_chunk(3, 6)["usage"]


@pytest.mark.parametrize("raw", [False, True], ids=["mended", "raw"])
@pytest.mark.parametrize("done", [True, False], ids=["with the end mark", "without"])
def test_a_usage_chunk_that_was_asked_for_and_does_not_come_is_made_of_the_last_report(raw: bool, done: bool) -> None:
    values = [vllms(0, {"role": "assistant", "content": ""}), vllms(1, {"content": "a"})]
    values += [vllms(2, {"content": ""}, finish="stop")]
    relayed = relay(stream(*values, done=done), profile=VLLM, raw=raw)
    alone = json.loads(relayed.body.split(b"\n\n")[3][6:])
    assert (alone["choices"], alone["usage"]) == ([], values[-1]["usage"])
    assert relayed.watch.repaired == ({} if raw else {"usage-chunk": 1})


def test_usage_at_another_place_is_left_to_the_long_way() -> None:
    value, usage = vllms(None, {"content": "b"}), {"usage": COUNTS}
    begun = frame(vllms(1, {"content": "a", "role": "assistant"}))
    for data, left in (
        (frame(usage | value), frame(value)),
        (frame({"id": "x"} | usage | value), frame({"id": "x"} | value)),
        (frame(value | usage).replace(b'usage":{', b'usage": {'), frame(value)),
        (frame(value | usage | {"x": 1}), frame(value | {"x": 1})),
        (frame(value | usage | {"x": {"y": 1} | usage}), frame(value | {"x": {"y": 1} | usage})),
    ):
        relayer = ChatRelayer(profile=VLLM, include_usage=False, raw=False)
        relayer.feed(SseDecoder().feed(begun))
        assert relayer.pass_on(data) is None
        assert relayer.feed(SseDecoder().feed(data)) == [left]


def test_counts_that_are_no_counts_are_left_to_the_long_way() -> None:
    begun = frame(vllms(1, {"content": "a", "role": "assistant"}))
    for usage in (
        {"prompt_tokens": 1, "completion_tokens": -2},
        {"prompt_tokens": 1.5, "completion_tokens": 2},
        {"prompt_tokens": 1},
        {"completion_tokens": True, "prompt_tokens": 1},
        {"prompt_tokens": None, "completion_tokens": None},
        {"prompt_tokens": 1, "completion_tokens": 2, "usage": {"prompt_tokens": 1, "completion_tokens": 2}},
        {},
        [],
        17,
        "usage",
        True,
        1234,
        None,
    ):
        data = frame(vllms(None, {"content": "b"}) | {"usage": usage})
        outs = []
        for kind in (ChatRelayer, LongWay):
            relayer = kind(profile=VLLM, include_usage=False, raw=False)
            out = relayer.feed(SseDecoder().feed(begun + data))
            relayer.settle()
            outs.append((out, words(relayer.watch)))
        assert outs[0] == outs[1]


# Ends and errors.


def test_a_missing_end_mark_is_added_to_a_complete_answer_only() -> None:
    assert relay(stream(*good(), done=False)).body == stream(*good())
    broken = relay(stream(*good()[:-1], done=False))
    assert broken.body == stream(*good()[:-1], done=False)
    assert isinstance(broken.watch.error, UpstreamBroke)
    assert not broken.watch.complete


def test_a_choice_that_had_not_finished_is_not_forgotten_because_it_was_common() -> None:
    """Its chunks take the short way; another choice's finish does not end the answer."""
    first = [
        chunk({"content": "x"}, at=1),
        *[chunk({"content": "a"}) for _ in range(3)],
        chunk({"content": ""}, at=1, finish="stop"),
    ]
    for profile in (COMPATIBLE, Profile()):
        relayed = relay(stream(*first, done=False), profile=profile)
        assert relayed.watch.choices == {0, 1}
        assert DONE not in relayed.frames
        assert relayed.watch.error is not None


@pytest.mark.parametrize("place", range(4))
def test_an_error_ends_the_stream_and_a_mark_after_it_is_dropped(place: int) -> None:
    values = good()
    error = {"error": {"message": "m", "code": 502}}
    relayed = relay(stream(*values[:place], done=False) + frame(error) + stream(*values[place:]))
    assert relayed.body == stream(*values[:place], done=False)
    assert isinstance(relayed.watch.error, UpstreamFailed)
    assert not relayed.watch.complete


def test_an_error_beside_a_common_choice_is_one() -> None:
    relayed = relay(stream(*good()[:2], chunk({"content": "b"}, error={"message": "m"})))
    assert relayed.body == stream(*good()[:2], done=False)
    assert isinstance(relayed.watch.error, UpstreamFailed)


def test_usage_that_was_held_back_is_not_sent_after_an_error() -> None:
    relayed = relay(stream(*good(), usage_chunk(), done=False) + frame({"error": "late"}) + DONE)
    assert relayed.body == stream(*good(), done=False)
    assert relayed.watch.usage is not None


def test_a_frame_that_is_no_chunk_ends_the_stream() -> None:
    for bad in (
        b"data: hello\n\n",
        b'data: {"choices":5}\n\n',
        b'data: {"choices":5,\n\n',
        b'data: {"\xff":1,"choices":[]}\n\n',
    ):
        relayed = relay(stream(*good()[:-1], done=False) + bad + stream(*good()))
        assert relayed.frames[:2] == list(map(frame, good()[:2]))
        if relayed.watch.error is not None:
            assert relayed.frames == list(map(frame, good()[:2]))


# The watch.


@pytest.mark.parametrize(
    ("delta", "deltas", "chars"),
    [
        ({"content": "abc"}, 1, (3, 0)),
        ({"content": "你好a"}, 1, (1, 2)),
        ({"reasoning_content": "abc", "content": ""}, 1, (3, 0)),
        ({"reasoning_content": "abc", "content": "de"}, 2, (5, 0)),
        ({"reasoning": "abc", "content": ""}, 1, (3, 0)),
        ({"reasoning_details": [{"text": "abc"}], "content": ""}, 1, (3, 0)),
        ({"refusal": "abc", "content": ""}, 1, (3, 0)),
        ({"refusal": "abc"}, 1, (3, 0)),
        ({"content": [{"type": "text", "text": "abc"}]}, 1, (3, 0)),
        ({"content": ""}, 0, (0, 0)),
        ({"content": "", "role": "assistant"}, 0, (0, 0)),
        (call(0, id="c", name="f", arguments="abc"), 1, (3, 0)),
    ],
)
@pytest.mark.parametrize("raw", [False, True])
def test_the_watch_counts_what_a_delta_brings(
    delta: dict[str, Any], deltas: int, chars: tuple[int, int], raw: bool
) -> None:
    """Also on the short way, which the second of two equal chunks takes."""
    watch = relay(stream(OPENING, chunk(delta), chunk(delta), done=False), raw=raw).watch
    assert (watch.deltas, watch.narrow_chars, watch.wide_chars) == (2 * deltas, 2 * chars[0], 2 * chars[1])
    assert watch.content_seen is bool(deltas)
    assert watch.model == "m-1"


def test_the_time_is_watched_also_where_it_comes_after_everything_else() -> None:
    early = without(OPENING, "created") | {"model": "m-1"}
    relayed = relay(stream(early, without(chunk({"content": "a"}), "created"), chunk({"content": "b"}), done=False))
    assert relayed.watch.created == HEAD["created"]


def test_a_text_that_quotes_the_end_of_a_stream_takes_the_short_way() -> None:
    relayer = ChatRelayer(profile=COMPATIBLE, include_usage=False, raw=False)
    relayer.feed(SseDecoder().feed(frame(OPENING)))
    for said in ('{"finish_reason":"stop"}', '"choices":[]', "data: [DONE]\n\n"):
        data = frame(chunk({"content": said}))
        assert relayer.pass_on(data) == data


@pytest.mark.parametrize("blank", [b"data:  \n\n", b"data: \t \n\n", b"data: \n\n"])
def test_a_blank_frame_is_left_out(blank: bytes) -> None:
    relayed = relay(frame(OPENING) + blank + stream(*good()[1:]))
    assert relayed.body == stream(*good())
    assert relayed.watch.complete and relayed.watch.repaired == {"framing": 1}


def test_a_role_is_said_once_for_each_choice() -> None:
    roles = [chunk({"role": "assistant", "content": ""}, at=at) for at in (0, 1, 0, 1)]
    relayed = relay(stream(*roles, chunk({"content": "a"}), chunk({"content": "b"}, at=1)))
    assert ["role" in json.loads(one[6:])["choices"][0]["delta"] for one in relayed.frames[:4]] == [
        True,
        True,
        False,
        False,
    ]
    assert relayed.watch.repaired == {"role": 2}


def test_the_model_is_watched_also_where_the_first_chunk_does_not_say_it() -> None:
    first = without(OPENING, "id", "model")
    assert relay(stream(first, chunk({"content": "a"}), done=False)).watch.model == "m-1"
    later = relay(stream(first, chunk({"content": "a"}), without(chunk({"content": "b"}), "id"), done=False))
    assert json.loads(later.frames[-1][6:])["id"] == "chatcmpl-1"


# The short way, and any chunk at all.

JUNK = (
    st.none()
    | st.booleans()
    | st.integers(-2, 3)
    | st.text("ab\u4f60", max_size=3)
    | st.just([])
    | st.just({})
    | st.just([None])
    | st.just(0.5)
)


def mostly(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(strategy, strategy, strategy, strategy, JUNK)


def some(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional={name: mostly(value) for name, value in fields.items()})


WORD = st.text("ab\u4f60", max_size=4)
PIECES = st.lists(
    some(index=st.integers(0, 2), id=st.sampled_from(["", "c1", "c2"]), type=st.just("function"),
         function=some(name=st.sampled_from(["", "f"]), arguments=st.sampled_from(["", "{", "}", "{}"])),
         custom=some(name=WORD, input=WORD)),
    max_size=2,
)  # fmt: skip
DELTAS = some(
    role=st.just("assistant"), content=WORD, reasoning_content=WORD, reasoning=WORD, refusal=WORD, tool_calls=PIECES,
    reasoning_details=st.lists(some(text=WORD, signature=WORD), max_size=2), function_call=some(name=WORD, arguments=WORD),
    annotations=st.just([{"a": 1}]),
)  # fmt: skip
CHOICES = st.lists(
    some(index=st.integers(0, 1), delta=DELTAS, finish_reason=st.sampled_from([None, "stop", ""]), logprobs=st.none()),
    max_size=2,
)
CHUNKS = some(
    id=st.sampled_from(["x", ""]), object=st.just("chat.completion.chunk"), created=st.integers(0, 1), model=st.just("m"),
    choices=CHOICES, usage=st.sampled_from([None, COUNTS, MORE]), error=st.sampled_from([None, {}, {"message": "m"}]),
)  # fmt: skip
COMMON = st.builds(
    lambda word, usage: chunk({"content": word}, id="x", created=1, model="m", **usage),
    WORD,
    st.sampled_from([{}, {}, {"usage": None}, {"usage": COUNTS}, {"usage": MORE}]),
)
BODIES = st.lists(st.one_of(CHUNKS, COMMON, COMMON), max_size=8)
PROFILES = st.sampled_from(
    [
        COMPATIBLE,
        ARK,
        VLLM,
        Profile(repairs=CHAT_REPAIRS - {"role"}),
        Profile(),
        only("content"),
        only("usage-chunk", "tool-calls"),
    ]
)
SLOTS = (
    "choices",
    "complete",
    "content_seen",
    "deltas",
    "done",
    "finishes",
    "model",
    "narrow_chars",
    "raw_usage",
    "repaired",
    "usage",
    "wide_chars",
)


def words(watch: Watch) -> dict[str, Any]:
    return {slot: getattr(watch, slot) for slot in SLOTS} | {"error": str(watch.error)}


class LongWay(ChatRelayer):
    """Without the short way."""

    __slots__ = ()

    def pass_on(self, data: bytes) -> bytes | None:
        return None


@given(values=BODIES, done=st.booleans(), asked=st.tuples(st.booleans(), st.booleans()), profile=PROFILES)
def test_the_short_way_comes_to_the_same(
    values: list[Any], done: bool, asked: tuple[bool, bool], profile: Profile
) -> None:
    outs = []
    for kind in (ChatRelayer, LongWay):
        relayer = kind(profile=profile, include_usage=asked[0], chunk_usage=asked[1], raw=False, provider="acme")
        out = relayer.feed(SseDecoder().feed(stream(*values, done=done)))
        outs.append((out + relayer.end(), words(relayer.watch)))
    assert outs[0] == outs[1]


@given(values=BODIES, done=st.booleans(), raw=st.booleans(), include_usage=st.booleans(), profile=PROFILES)
def test_any_chunks_are_relayed_and_decoded_alike(
    values: list[Any], done: bool, raw: bool, include_usage: bool, profile: Profile
) -> None:
    body = stream(*values, done=done)
    relayed = relay(body, raw=raw, include_usage=include_usage, profile=profile)
    check_watch(relayed.watch, decode(body))
    if raw and include_usage and profile.chunk_usage is None and relayed.watch.error is None:
        assert relayed.body == body


@given(values=BODIES)
def test_what_all_rows_have_mended_reads_well(values: list[Any]) -> None:
    """Whatever came: framing, heads, content, roles, calls and usage are what every client reads."""
    relayed = relay(stream(*values))
    read = read_strictly_but_roles(relayed.body)
    assert read.done is relayed.watch.complete


def read_strictly_but_roles(body: bytes) -> Any:
    """A role that is no role, and fields that clients do not add up, are the provider's own."""
    kept = []
    for block in body.split(b"\n\n")[:-1]:
        one = block
        if block != b"data: [DONE]":
            value = json.loads(block[6:])
            for choice in value.get("choices") or ():
                for name in ("role", "reasoning_content", "reasoning", "reasoning_details", "refusal", "function_call"):
                    choice["delta"].pop(name, None)
                if not isinstance(choice.get("finish_reason"), str | None):
                    choice["finish_reason"] = None
                for piece in choice["delta"].get("tool_calls") or ():
                    clean_piece(piece)
            if value.get("choices") and value.get("usage") not in (None, COUNTS, MORE):
                value.pop("usage")
            if value.get("error") is not None:
                value.pop("error")
            one = b"data: " + msgspec.json.encode(value)
        kept.append(one + b"\n\n")
    return read_strictly(b"".join(kept), whole=False)


def clean_piece(piece: dict[str, Any]) -> None:
    """Types, ids and names of other types than text are nothing that a row undertakes to mend."""
    for name in ("id", "type"):
        if not isinstance(piece.get(name), str):
            piece.pop(name, None)
    piece.setdefault("type", "function")
    piece["type"] = "function"
    if piece.pop("custom", None) is not None:
        piece.setdefault("function", {})
    function = piece.get("function")
    if isinstance(function, dict):
        function.setdefault("arguments", "")
        if not isinstance(function.get("name"), str):
            function.pop("name", None)


def test_a_relayer_reads_the_client_s_wish_from_the_request() -> None:
    def asked(**more: Any) -> Any:
        return CHAT.read_request(
            json.dumps({"model": "m", "messages": [{"role": "user", "content": "?"}]} | more).encode()
        )

    body = stream(*good(), usage_chunk())
    for request, told in (
        (asked(), False),
        (asked(stream_options={"include_usage": True}), True),
        (asked(stream_options={"include_usage": False}), False),
    ):
        relayer = CHAT.relayer(request, profile=COMPATIBLE, raw=False, provider="acme", response_id="x", created=1)
        out = relayer.feed(SseDecoder().feed(body))
        assert (frame(usage_chunk()) in out) is told


def test_an_empty_delta_of_another_object_is_no_empty_delta() -> None:
    body = stream(chunk({"role": "assistant", "content": "a"}, x={"delta": {}}), *good()[1:])
    assert relay(body).body == body


def test_the_short_mend_of_an_empty_delta_is_the_long_one() -> None:
    """A delta that looks empty only inside a string, or stands twice, or wants more mends, takes the long way."""
    begun = b'"id":"c","object":"chat.completion.chunk","created":1,"model":"m"'
    empty = b'{"index":0,"delta":{},"finish_reason":"stop"}'
    for payload, wants in (
        (b'{%b,"choices":[%b]}' % (begun, empty), b'"delta":{"content":""}'),
        (b'{%b,"choices":[%b],"x":"\\"delta\\":{}"}' % (begun, empty), b'"x":"\\"delta\\":{}"'),
        (b'{%b,"choices":[%b],"x":{"delta":{}}}' % (begun, empty), b'"x":{"delta":{}}'),
        (b'{"id":"c","created":1,"model":"m","choices":[%b]}' % empty, b'"object":"chat.completion.chunk"'),
    ):
        relayer = ChatRelayer(profile=COMPATIBLE, include_usage=False, raw=False)
        (sent,) = relayer.feed(SseDecoder().feed(b"data: %b\n\n" % payload))
        chunk = json.loads(sent[6:])
        assert chunk["choices"] == [{"index": 0, "delta": {"content": ""}, "finish_reason": "stop"}]
        assert wants in sent
        assert relayer.watch.repaired["content"] == 1
