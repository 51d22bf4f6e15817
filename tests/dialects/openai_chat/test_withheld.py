"""Usage is cut out of a chunk's text so that what is left is what its writer writes without it, byte by byte."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thalweg.dialects.openai_chat.withheld import withhold_usage
from thalweg.profiles.base import UnaskedUsage

COUNTS = {"prompt_tokens": 3, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 0}}
ABSENT: UnaskedUsage = "absent"
NULL: UnaskedUsage = "null"

CASES: dict[str, tuple[bytes, bytes, bytes]] = {
    "the last": (b'{"a":1,"usage":{"x":{}}}', b'{"a":1}', b'{"a":1,"usage":null}'),
    "the first": (b'{"usage":{"x":1},"a":1}', b'{"a":1}', b'{"usage":null,"a":1}'),
    "in the middle": (b'{"a":1,"usage":{"x":1},"b":2}', b'{"a":1,"b":2}', b'{"a":1,"usage":null,"b":2}'),
    "the only one": (b'{"usage":{"x":1}}', b"{}", b'{"usage":null}'),
    "no object": (b'{"a":[],"usage":17}', b'{"a":[]}', b'{"a":[],"usage":null}'),
    "none": (b'{"a":1,"b":[{"c":2}]}', b'{"a":1,"b":[{"c":2}]}', b'{"a":1,"b":[{"c":2}]}'),
    "nothing at all": (b"{}", b"{}", b"{}"),
    "only further down": (
        b'{"a":{"b":1,"usage":{"x":1}}}',
        b'{"a":{"b":1,"usage":{"x":1}}}',
        b'{"a":{"b":1,"usage":{"x":1}}}',
    ),
    "only further down, and last": (
        b'{"a":[{"b":1,"usage":{}}]}',
        b'{"a":[{"b":1,"usage":{}}]}',
        b'{"a":[{"b":1,"usage":{}}]}',
    ),
    "further down too": (
        b'{"a":{"b":1,"usage":{}},"usage":{"c":1,"usage":{}},"d":2}',
        b'{"a":{"b":1,"usage":{}},"d":2}',
        b'{"a":{"b":1,"usage":{}},"usage":null,"d":2}',
    ),
    "within itself, and last": (
        b'{"a":1,"usage":{"c":1,"usage":{}}}',
        b'{"a":1}',
        b'{"a":1,"usage":null}',
    ),
    "in a text that looks like it": (
        rb'{"a":",\"usage\":{}","usage":{"b":"\"}"},"c":"\\"}',
        rb'{"a":",\"usage\":{}","c":"\\"}',
        rb'{"a":",\"usage\":{}","usage":null,"c":"\\"}',
    ),
    "as a value": (b'{"a":"usage","b":["usage"]}', b'{"a":"usage","b":["usage"]}', b'{"a":"usage","b":["usage"]}'),
    "as the end of a name": (
        rb'{"a":1,"b,\"usage":{"x":1},"usage":{"y":1}}',
        rb'{"a":1,"b,\"usage":{"x":1}}',
        rb'{"a":1,"b,\"usage":{"x":1},"usage":null}',
    ),
    "as the end of the last name": (rb'{"b,\"usage":{"x":1}}', rb'{"b,\"usage":{"x":1}}', rb'{"b,\"usage":{"x":1}}'),
    "its name escaped": (rb'{"\u0075sage":{"x":1},"a":1}', b'{"a":1}', rb'{"\u0075sage":null,"a":1}'),
    "with white space": (
        b' { "a" : 1 ,\n\t"usage" : { "x" : [ 1 , 2 ] } , "b" : 2 } ',
        b' { "a" : 1 , "b" : 2 } ',
        b' { "a" : 1 ,\n\t"usage" : null , "b" : 2 } ',
    ),
    "twice": (b'{"usage":{"x":1},"a":1,"usage":{"y":2},"b":2}', b'{"a":1,"b":2}', b'{"usage":null,"a":1,"usage":null,"b":2}'),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_only_the_objects_own_member_goes(case: str) -> None:
    came, absent, null = CASES[case]
    assert withhold_usage(came, ABSENT) == absent
    assert withhold_usage(came, NULL) == null


WORDS = st.text(st.sampled_from('usage":{},[]\\ \n你🌊')) | st.sampled_from(["usage", '"usage":{', ',"usage":{}', "\\"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=8,
)
ENCODERS: dict[str, Callable[[Any], bytes]] = {
    "msgspec": msgspec.json.encode,
    "compact": lambda value: json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode(),
    "spaced": lambda value: json.dumps(value).encode(),
    "indented": lambda value: json.dumps(value, indent=2).encode(),
}


@pytest.mark.parametrize("encoder", ENCODERS)
@given(
    before=st.dictionaries(WORDS, VALUES, max_size=4), usage=VALUES, after=st.dictionaries(WORDS, VALUES, max_size=2)
)
def test_what_is_left_is_what_the_same_encoder_writes_without_it(
    encoder: str, before: dict[str, Any], usage: Any, after: dict[str, Any]
) -> None:
    encode = ENCODERS[encoder]
    before, after = dict(before), dict(after)
    before.pop("usage", None)
    after = {name: value for name, value in after.items() if name != "usage" and name not in before}
    came = encode(before | {"usage": usage} | after)
    assert withhold_usage(came, ABSENT) == encode(before | after)
    assert withhold_usage(came, NULL) == encode(before | {"usage": None} | after)
    assert withhold_usage(encode(before | after), ABSENT) == encode(before | after)


def test_the_depth_of_what_is_cut_does_not_matter() -> None:
    deep = b"[" * 100_000 + b"]" * 100_000
    assert withhold_usage(b'{"a":1,"usage":{"x":%b}}' % deep, ABSENT) == b'{"a":1}'
