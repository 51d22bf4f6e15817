"""Envelopes, ids, losses and files: what is put in comes out, and what is broken is told apart."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thalweg.canon.effort import effort_of_budget
from thalweg.canon.envelope import PREFIX, is_wrapped, unwrap, wrap
from thalweg.canon.errors import UnsupportedParameter
from thalweg.canon.ids import call_id
from thalweg.canon.losses import Losses
from thalweg.canon.media import data_url, kind_of, mime_of, standard_base64
from thalweg.canon.parts import Signature

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
SIGNATURES = st.builds(Signature, vendor=TEXTS, model=TEXTS, kind=TEXTS, data=TEXTS, item_id=st.none() | TEXTS)


@given(SIGNATURES, TEXTS)
def test_an_envelope_holds_a_signature_whatever_is_in_it(signature: Signature, place: str) -> None:
    wrapped = wrap(signature, place)
    assert unwrap(wrapped) == (signature, place)
    assert is_wrapped(wrapped)
    assert wrapped.isascii()
    assert set(wrapped[len(PREFIX) :]) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


@given(SIGNATURES, st.integers(0, 200), st.sampled_from("A!=é"))
def test_an_envelope_that_was_changed_is_none_or_holds_another(signature: Signature, at: int, letter: str) -> None:
    wrapped = wrap(signature)
    at = len(PREFIX) + at % (len(wrapped) - len(PREFIX))
    unwrap(wrapped[:at] + letter + wrapped[at + 1 :])  # never raises
    assert unwrap(wrapped[:at]) is None


@pytest.mark.parametrize(
    "value", ["", "gw1.", "gw1.!", "gw1.bnVsbA", "ErUBCkYIBRgC", "gw2.W10", "gw1." + "A" * 5_000_000]
)
def test_what_is_no_envelope_is_left_alone(value: str) -> None:
    assert unwrap(value) is None


@given(st.none() | st.text(max_size=60))
def test_an_id_of_a_call_fits_everywhere(given_id: str | None) -> None:
    made = call_id(given_id, "r", 1)
    assert 1 <= len(made) <= 40
    assert made.isascii()
    assert made == call_id(given_id, "r", 1)
    assert call_id(made) == made


def test_ids_that_are_no_different_but_for_what_does_not_fit_stay_apart() -> None:
    ids = ["f:0", "f.0", "f 0", "f;0", "f:1"]
    assert len({call_id(each) for each in ids}) == len(ids)
    assert call_id("f:0", "r1") != call_id("f:0", "r2")
    assert call_id("toolu_01A", "r1") == "toolu_01A"


def test_what_is_lost_is_named_or_refused() -> None:
    losses = Losses()
    losses.drop("seed")
    losses.approximate("temperature", "it is at most 1")
    losses.drop("seed")
    assert losses.names == ("seed", "temperature")
    with pytest.raises(UnsupportedParameter) as caught:
        losses.refuse("n", "there is one answer")
    assert (caught.value.param, caught.value.code, caught.value.status) == ("n", "unsupported_parameter", 400)
    assert "'n'" in caught.value.message


@pytest.mark.parametrize(
    "lose", [lambda it: it.drop("a"), lambda it: it.approximate("a", "b"), lambda it: it.refuse("a", "b")]
)
def test_the_strict_lose_nothing_and_the_lenient_all(lose: object) -> None:
    with pytest.raises(UnsupportedParameter):
        lose(Losses("strict"))  # type: ignore[operator]
    losses = Losses("lenient")
    lose(losses)  # type: ignore[operator]
    assert losses.names == ("a",)


@pytest.mark.parametrize(
    ("tokens", "effort"),
    [(0, "minimal"), (1024, "minimal"), (1025, "low"), (8192, "medium"), (16384, "high"), (24577, "xhigh")],
)
def test_a_budget_comes_near_to_an_effort(tokens: int, effort: str) -> None:
    assert effort_of_budget(tokens) == effort


PNG = "iVBORw0KGgo="


@pytest.mark.parametrize(
    ("url", "found"),
    [
        (f"data:image/png;base64,{PNG}", ("image/png", PNG)),
        (f"DATA:image/jpg;base64,{PNG}", ("image/jpeg", PNG)),
        (f"data:;base64,{PNG.rstrip('=')}", ("image/png", PNG)),
        (f"data:application/octet-stream;base64,{PNG}", ("image/png", PNG)),
        ("data:image/png;name=a;base64,_-8", ("image/png", "/+8=")),
        ("https://example.com/data:", None),
    ],
)
def test_data_urls(url: str, found: object) -> None:
    assert data_url(url) == found


@pytest.mark.parametrize("url", ["data:image/png", "data:image/png,abc", "data:image/png;base64,!!", "data:;base64,A"])
def test_broken_data_urls(url: str) -> None:
    with pytest.raises(ValueError, match="data"):
        data_url(url)


def test_base64_is_put_in_its_standard_form() -> None:
    assert standard_base64(" _-8\n") == "/+8="
    assert (kind_of("image/png"), kind_of("audio/wav"), kind_of("application/pdf"), kind_of(None)) == (
        "image", "audio", "document", "document",
    )  # fmt: skip
    assert mime_of(None, "UklGRgAAAABXRUJQVlA4") == "image/webp"
