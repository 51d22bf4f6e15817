"""Signatures and ids prove what they stand for, and nothing else."""

from __future__ import annotations

import re
from typing import Any

import msgspec
from hypothesis import assume, given
from hypothesis import strategies as st

from thalweg.simulator.vendors.openai import ItemId, read_item_id
from thalweg.simulator.vendors.proofs import (
    A_TEXT,
    ANYTHING,
    SOMETHING_ELSE,
    CallIds,
    Follower,
    a_call,
    check,
    judge,
    plain,
    seal,
)

any_text = st.text(st.characters(exclude_categories=[]))
words = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | words,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=4),
    max_leaves=12,
)
objects = st.dictionaries(words, json_values, max_size=4)
followers = st.sampled_from([ANYTHING, A_TEXT, a_call("f", "{}"), a_call("g", '{"x":1}'), a_call("", "")])
IDS = CallIds("toolu_01", 22)


@given(st.lists(any_text, max_size=4), st.lists(any_text, max_size=4))
def test_a_check_is_of_these_values_in_this_order(one: list[str], other: list[str]) -> None:
    assert (check(*one) == check(*other)) is (one == other)


@given(words, st.lists(any_text, max_size=2), followers, any_text)
def test_a_signature_holds_on_its_part_before_its_follower(
    kind: str, own: list[str], follower: Follower, salt: str
) -> None:
    assume(salt.isascii())
    sealed = seal(kind, tuple(own), follower, entropy=salt, size=64)
    assert len(sealed) == 96
    assert judge(kind, sealed, tuple(own), follower) == "good"
    assert judge(kind + "x", sealed, tuple(own), follower) == "changed"
    assert judge(kind, sealed, (*own, "more"), follower) == "changed"
    for other in (A_TEXT, a_call("f", "{}"), SOMETHING_ELSE, None):
        wanted = "good" if follower in (other, ANYTHING) else "moved"
        assert judge(kind, sealed, tuple(own), other) == wanted


@given(st.integers(0, 95), st.integers(0, 7))
def test_a_signature_with_any_bit_changed_is_no_signature(at: int, bit: int) -> None:
    sealed = bytearray(seal("k", ("own",), A_TEXT, entropy="e", size=64))
    sealed[at] ^= 1 << bit
    assert judge("k", bytes(sealed), ("own",), A_TEXT) != "good"


@given(st.binary(max_size=200))
def test_no_other_bytes_are_a_signature(data: bytes) -> None:
    assert judge("k", data, (), ANYTHING) == "changed"


@given(words, words, objects)
def test_an_id_belongs_to_its_call_however_that_is_written(entropy: str, name: str, arguments: dict[str, Any]) -> None:
    call_id = IDS.make(entropy, name, msgspec.json.encode(arguments).decode())
    assert re.fullmatch(r"toolu_01[0-9A-Za-z]{22}", call_id)
    turned_round = dict(reversed(arguments.items()))
    assert IDS.belongs(call_id, name, arguments)
    assert IDS.belongs(call_id, name, turned_round)
    assert IDS.belongs(call_id, name, msgspec.json.format(msgspec.json.encode(turned_round), indent=3).decode())
    assert not IDS.belongs(call_id, name + "x", arguments)
    assert not IDS.belongs(call_id, name, arguments | {"one more key than there are": 1})


@given(words, words, objects)
def test_an_id_that_says_nothing_belongs_to_any_call(entropy: str, name: str, arguments: dict[str, Any]) -> None:
    call_id = IDS.make(entropy, "f", None)
    assert re.fullmatch(r"toolu_01[0-9A-Za-z]{22}", call_id)
    assert IDS.belongs(call_id, name, arguments)


@given(st.one_of(words, st.from_regex(r"toolu_01[0-9A-Za-z]{22}", fullmatch=True), st.none(), st.integers()), words)
def test_an_id_from_elsewhere_belongs_to_any_call(call_id: Any, name: str) -> None:
    assert IDS.belongs(call_id, name, {})


def test_the_last_letters_of_an_id_count() -> None:
    call_id = IDS.make("e", "f", "{}")
    for at in range(len("toolu_01") + 13, len(call_id)):
        other = "0" if call_id[at] != "0" else "1"
        assert not IDS.belongs(call_id[:at] + other + call_id[at + 1 :], "f", {})


@given(json_values)
def test_arguments_have_one_form(value: Any) -> None:
    text = msgspec.json.encode(value).decode()
    assert plain(value) == plain(text) or value in ("", None) or isinstance(value, str)
    assert plain(plain(text)) == plain(text)


def test_numbers_of_either_kind_are_the_same() -> None:
    assert plain('{"a":1.0,"b":[2.0,0.5]}') == plain({"b": [2, 0.5], "a": 1}) == '{"a":1,"b":[2,0.5]}'
    assert plain('{"a":1}') != plain('{"a":true}')
    assert plain("") == plain(None) == plain("{}") == "{}"
    assert plain("no {json") == "no {json"


@given(st.integers(0, 254), st.integers(0, 254), st.sampled_from(["fc", "msg", "ctc"]))
def test_an_items_id_says_which_reasoning_it_follows(number: int, reasoning: int, prefix: str) -> None:
    answer = "0123456789abcdef01234567"
    led = ItemId(prefix, answer, f"{number:02x}", f"{reasoning:02x}")
    read = read_item_id(led.text)
    assert read == led
    assert led.led_by == ItemId("rs", answer, f"{reasoning:02x}", "ff").text
    assert read_item_id(led.led_by or "") is not None
    assert read_item_id(led.text[:-1] + ("0" if led.text[-1] != "0" else "1")) is None
    assert read_item_id(f"rs_{led.text.partition('_')[2]}") is None


@given(any_text)
def test_no_other_text_is_an_items_id(text: str) -> None:
    assert read_item_id(text) is None
