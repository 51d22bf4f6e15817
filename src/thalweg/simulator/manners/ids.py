"""How providers number their answers and tool calls: small functions of random bits, so that a seed repeats them."""

from __future__ import annotations

import random
import string
from collections.abc import Callable
from datetime import datetime, timedelta, timezone

AnswerId = Callable[[random.Random, int], str]
"""An answer's id, from random bits and the Unix seconds at which it was made."""
CallId = Callable[[random.Random, str, int], str]
"""A tool call's id, from random bits, the function's name and the call's number in its answer."""

_LETTERS = string.ascii_letters + string.digits
_SMALL = string.ascii_lowercase + string.digits
_HEX = "0123456789abcdef"
_CHINA = timezone(timedelta(hours=8))


def _some(rng: random.Random, alphabet: str, length: int) -> str:
    return "".join(rng.choices(alphabet, k=length))


def letters(length: int, prefix: str = "") -> AnswerId:
    """A prefix and letters and digits, large and small."""
    return lambda rng, _: prefix + _some(rng, _LETTERS, length)


def small(length: int, prefix: str = "") -> AnswerId:
    """A prefix and small letters and digits."""
    return lambda rng, _: prefix + _some(rng, _SMALL, length)


def hexes(length: int, prefix: str = "") -> AnswerId:
    """A prefix and hexadecimal digits."""
    return lambda rng, _: prefix + _some(rng, _HEX, length)


def uuid(prefix: str = "") -> AnswerId:
    """A prefix and a UUID."""
    return lambda rng, _: prefix + "-".join(_some(rng, _HEX, length) for length in (8, 4, 4, 4, 12))


def ark(rng: random.Random, created: int) -> str:
    """`02`, milliseconds, 38 hexadecimal digits: 53 characters."""
    return f"02{created * 1000 + rng.randrange(1000):013d}{_some(rng, _HEX, 38)}"


def dated(rng: random.Random, created: int) -> str:
    """The time in China down to the second, and 16 hexadecimal digits."""
    return f"{datetime.fromtimestamp(created, _CHINA):%Y%m%d%H%M%S}{_some(rng, _HEX, 16)}"


def generation(rng: random.Random, created: int) -> str:
    """`gen-`, Unix seconds, 20 letters and digits."""
    return f"gen-{created}-{_some(rng, _LETTERS, 20)}"


def one_of_a_thousand(rng: random.Random, _: int) -> str:
    """`chatcmpl-` and a number up to 998: soon two answers have the same."""
    return f"chatcmpl-{rng.randrange(999)}"


def call(make: AnswerId) -> CallId:
    """A call's id that says nothing of the call."""
    return lambda rng, _, __: make(rng, 0)


def numbered_call(prefix: str, length: int) -> CallId:
    """A prefix, the call's number in two digits, letters and digits."""
    return lambda rng, _, number: f"{prefix}{number:02d}_{_some(rng, _LETTERS, length)}"


def named_call(_: random.Random, name: str, number: int) -> str:
    """`functions.NAME:NUMBER`: the same in every answer."""
    return f"functions.{name}:{number}"
