"""Costs that were reckoned by hand, one for each kind of rate, and what must hold for all of them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from thalweg.canon.money import Money, nano_of
from thalweg.canon.usage import Usage
from thalweg.catalogue.cost import cost
from thalweg.catalogue.price import Price, Rates, Tier, rates_of


def price(*tiers: tuple[int, dict[str, str]], **amounts: str) -> Price:
    return Price(
        currency="USD",
        rates=rates_of(amounts),
        tiers=tuple(Tier(above_input_tokens=above, rates=rates_of(more)) for above, more in tiers),
    )


def usage(input_tokens: int | None, output_tokens: int | None, **parts: int) -> Usage:
    return Usage(input_tokens=input_tokens, output_tokens=output_tokens, **parts)


PLAIN = {"input": "3", "output": "15"}
CACHED = PLAIN | {"cached_input": "0.3", "cache_write": "3.75", "cache_write_1h": "6"}
LONG = (200_000, {"input": "6", "output": "22.5", "cached_input": "0.6"})
AUDIO = {"input": "2.5", "output": "10", "audio_input": "40", "audio_output": "80"}

RECKONED: list[tuple[str, Price, Usage, dict[str, int], str | None]] = [
    ("input and output", price(**PLAIN), usage(1000, 500), {}, "0.0105"),
    ("one token of each", price(**PLAIN), usage(1, 1), {}, "0.000018"),
    ("no token", price(**PLAIN), usage(0, 0), {}, "0"),
    ("nothing is known", price(**PLAIN), Usage(), {}, None),
    ("only the output is known", price(**PLAIN), usage(None, 100), {}, "0.0015"),
    ("only the input is known", price(**PLAIN), usage(100, None), {}, "0.0003"),
    # 600 at 3, 400 at 0.3.
    ("a part came from the cache", price(**CACHED), usage(1000, 0, cached_input_tokens=400), {}, "0.00192"),
    # 500 at 3, 300 at 0.3, 200 at 3.75.
    ("a part came from the cache, a part went there", price(**CACHED),
     usage(1000, 0, cached_input_tokens=300, cache_write_tokens=200), {}, "0.00234"),
    # 800 at 3, 50 at 3.75, 150 at 6.
    ("written for an hour", price(**CACHED), usage(1000, 0, cache_write_tokens=200),
     {"cache_write_1h_tokens": 150}, "0.0034875"),
    ("an hour without a rate of its own", price(**PLAIN, cache_write="3.75"), usage(200, 0, cache_write_tokens=200),
     {"cache_write_1h_tokens": 150}, "0.00075"),
    ("a cache without a rate costs as input", price(**PLAIN), usage(1000, 0, cached_input_tokens=400), {}, "0.003"),
    ("reasoning is output", price(**PLAIN), usage(0, 1000, reasoning_tokens=900), {}, "0.015"),
    # 100 at 15, 900 at 3.
    ("reasoning has its own rate", price(**PLAIN, reasoning="3"), usage(0, 1000, reasoning_tokens=900), {}, "0.0042"),
    # 800 at 2.5, 200 at 40; 50 at 10, 50 at 80.
    ("audio on both sides", price(**AUDIO), usage(1000, 100, audio_input_tokens=200, audio_output_tokens=50), {},
     "0.0145"),
    ("at the bound the first rates hold", price(LONG, **CACHED), usage(200_000, 1000), {}, "0.615"),
    # All of the prompt at 6, not only the one token beyond.
    ("above it the second, for every token", price(LONG, **CACHED), usage(200_001, 1000), {}, "1.222506"),
    ("cached input of a long prompt", price(LONG, **CACHED), usage(300_000, 0, cached_input_tokens=300_000), {}, "0.18"),
    ("the highest of several bounds", price((10, PLAIN), (20, {"input": "9", "output": "9"}), **PLAIN),
     usage(21, 0), {}, "0.000189"),
    # 37.5 at 10⁻⁹ each: a half goes up, and once.
    ("half of the smallest amount goes up", price(input="0.0375", output="0"), usage(1, 0), {}, "0.000000038"),
    ("two of them are exact", price(input="0.0375", output="0"), usage(2, 0), {}, "0.000000075"),
    ("less than half of it is nothing", price(input="0.000499999", output="0"), usage(1, 0), {}, "0"),
    ("free", price(input="0", output="0"), usage(10**6, 10**6), {}, "0"),
    ("more cached than there is", price(**CACHED), usage(100, 0, cached_input_tokens=500), {}, "0.00003"),
    ("more of both than there is", price(**CACHED), usage(100, 0, cached_input_tokens=60, cache_write_tokens=60), {},
     "0.000168"),
    ("more reasoning than output", price(**PLAIN, reasoning="3"), usage(0, 10, reasoning_tokens=50), {}, "0.00003"),
    ("a count below nothing", price(**PLAIN), usage(-5, 10, cached_input_tokens=-3), {}, "0.00015"),
    ("a hundred million tokens", price(**PLAIN), usage(10**8, 10**8), {}, "1800"),
]  # fmt: skip


@pytest.mark.parametrize(("_", "at", "used", "more", "amount"), RECKONED, ids=[row[0] for row in RECKONED])
def test_the_cost_is_what_it_is_by_hand(
    _: str, at: Price, used: Usage, more: dict[str, int], amount: str | None
) -> None:
    assert cost(at, used, **more) == (None if amount is None else Money("USD", nano_of(amount)))


# What holds for every price and every usage.

rate = st.integers(min_value=0, max_value=10**12)
count = st.integers(min_value=0, max_value=10**7)


@st.composite
def prices(draw: Any, *, tiers: bool = False) -> Price:
    def some() -> Rates:
        return Rates(
            input=draw(rate), output=draw(rate), cached_input=draw(st.none() | rate), cache_write=draw(st.none() | rate),
            reasoning=draw(st.none() | rate), audio_input=draw(st.none() | rate),
        )  # fmt: skip

    bounds = sorted(draw(st.sets(st.integers(0, 10**7), max_size=3))) if tiers else []
    return Price(
        currency="USD",
        rates=some(),
        tiers=tuple(Tier(above_input_tokens=bound, rates=some()) for bound in bounds),
    )


@st.composite
def usages(draw: Any) -> Usage:
    """A usage whose parts do not exceed their wholes."""
    cached, written, audio, text = (draw(count) for _ in range(4))
    reasoning, said = draw(count), draw(count)
    return Usage(
        input_tokens=cached + written + audio + text, cached_input_tokens=cached, cache_write_tokens=written,
        audio_input_tokens=audio, output_tokens=reasoning + said, reasoning_tokens=reasoning,
    )  # fmt: skip


def nano(at: Price, used: Usage) -> int:
    found = cost(at, used)
    assert found is not None
    return found.nano


def together(one: Usage, other: Usage) -> Usage:
    fields = ("input_tokens", "cached_input_tokens", "cache_write_tokens", "audio_input_tokens", "output_tokens",
              "reasoning_tokens")  # fmt: skip
    return Usage(**{field: getattr(one, field) + getattr(other, field) for field in fields})


@given(
    prices(tiers=True),
    st.builds(Usage, **{name: st.none() | st.integers(-5, 10**9) for name in Usage.__struct_fields__}),
)
def test_it_is_never_negative_whatever_an_upstream_says(at: Price, used: Usage) -> None:
    found = cost(at, used)
    assert (found is None) == (used.input_tokens is None and used.output_tokens is None)
    assert found is None or found.nano >= 0


@given(prices(), usages(), usages())
def test_two_answers_cost_what_they_cost_together(at: Price, one: Usage, other: Usage) -> None:
    """But for the rounding, which is once each."""
    assert abs(nano(at, together(one, other)) - nano(at, one) - nano(at, other)) <= 1


@given(prices(), usages(), st.sampled_from(["input_tokens", "output_tokens"]), count)
def test_more_tokens_never_cost_less(at: Price, used: Usage, side: str, more: int) -> None:
    longer = Usage(
        **{name: getattr(used, name) for name in Usage.__struct_fields__} | {side: getattr(used, side) + more}
    )
    assert nano(at, longer) >= nano(at, used)


@given(prices(), usages())
def test_a_cache_that_is_cheaper_never_makes_it_dearer(at: Price, used: Usage) -> None:
    at = replace(at, rates=replace(at.rates, cached_input=min(at.rates.cached_input or 0, at.rates.input)))
    read = used.input_tokens or 0
    all_of_it = Usage(input_tokens=read, cached_input_tokens=read, output_tokens=0)
    assert nano(at, all_of_it) <= nano(at, Usage(input_tokens=read, output_tokens=0))


@given(prices(tiers=True), usages())
def test_it_is_the_sum_of_its_tokens_at_some_rates(at: Price, used: Usage) -> None:
    """Every token is paid once: with one amount for all kinds, the parts do not matter."""
    flat = Rates(input=7_000_000, output=7_000_000)
    plain = Price(
        currency="USD",
        rates=flat,
        tiers=tuple(Tier(above_input_tokens=t.above_input_tokens, rates=flat) for t in at.tiers),
    )
    total = used.total_tokens
    assert total is not None
    assert nano(plain, used) == 7 * total
