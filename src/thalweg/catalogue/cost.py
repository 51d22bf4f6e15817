"""What an answer costs: its counts of tokens by a price, in whole numbers, rounded once."""

from __future__ import annotations

from thalweg.canon.money import Money
from thalweg.canon.usage import Usage
from thalweg.catalogue.price import Price, Rates

_MILLION = 1_000_000


def cost(price: Price, usage: Usage, *, cache_write_1h_tokens: int = 0) -> Money | None:
    """The cost, to the nearest 10⁻⁹ of a currency unit; a half goes up. `None` where neither side's tokens are known.

    A side that is unknown is not counted: what comes of the other is then a lower bound. Of the tokens that were
    written to a cache, `cache_write_1h_tokens` are those that it keeps for an hour.
    """
    if usage.input_tokens is None and usage.output_tokens is None:
        return None
    rates = price.rates_of(usage.input_tokens or 0)
    millionths = _input(rates, usage, cache_write_1h_tokens) + _output(rates, usage)
    return Money(price.currency, (millionths + _MILLION // 2) // _MILLION)


def _input(rates: Rates, usage: Usage, written_1h: int) -> int:
    """Each token once: what came from the cache, then what was written to it, then audio, then the rest as text."""
    cached, left = _part(usage.cached_input_tokens, usage.input_tokens or 0)
    written, left = _part(usage.cache_write_tokens, left)
    long, short = _part(written_1h, written)
    audio, text = _part(usage.audio_input_tokens, left)
    write = _first(rates.cache_write, rates.input)
    return (
        cached * _first(rates.cached_input, rates.input)
        + short * write
        + long * _first(rates.cache_write_1h, write)
        + audio * _first(rates.audio_input, rates.input)
        + text * rates.input
    )


def _output(rates: Rates, usage: Usage) -> int:
    reasoning, left = _part(usage.reasoning_tokens, usage.output_tokens or 0)
    audio, text = _part(usage.audio_output_tokens, left)
    return (
        reasoning * _first(rates.reasoning, rates.output)
        + audio * _first(rates.audio_output, rates.output)
        + text * rates.output
    )


def _part(part: int | None, whole: int) -> tuple[int, int]:
    """A part of a whole and the rest. What is said to be more than the whole, as some upstreams do, is all of it."""
    whole = max(whole, 0)
    taken = min(max(part or 0, 0), whole)
    return taken, whole - taken


def _first(rate: int | None, wider: int) -> int:
    return wider if rate is None else rate
