"""Complaints about a client's request in Anthropic's manner: the path with dots, a colon, what is wrong.

`messages.0.content.1.text: Field required`. No complaint quotes a value.
"""

from __future__ import annotations

import re

import msgspec

from thalweg.canon.errors import InvalidRequest

SHAPELESS = "Input does not match the expected shape."
REQUIRED = "Field required"
_AT = re.compile(r" - at `(?:key in )?\$\.?([^`]*)`$")
_INDEX = re.compile(r"\[(\d+)\]")
_EXPECTED = re.compile(r"Expected `([a-z]+)(?: \| null)?`,")
_LACKING = re.compile(r"Object missing required field `(\w+)`")
_WORDS = {
    "str": "Input should be a valid string",
    "int": "Input should be a valid integer",
    "float": "Input should be a valid number",
    "bool": "Input should be a valid boolean",
    "array": "Input should be a valid list",
    "object": "Input should be a valid dictionary",
}


def wrong(path: str, what: str, code: str = "invalid_value") -> InvalidRequest:
    """The complaint about a field."""
    return InvalidRequest(f"{path}: {what}", param=path, code=code)


def missing(path: str) -> InvalidRequest:
    """The complaint about a field that must be there."""
    return wrong(path, REQUIRED, code="missing_required_parameter")


def wrong_type(error: msgspec.ValidationError) -> InvalidRequest:
    """A decoder's complaint, in these words."""
    text = str(error)
    found = _AT.search(text)
    reason = text[: found.start()] if found else text
    path = _INDEX.sub(r".\1", found[1]).replace("[...]", "") if found else ""
    if lacking := _LACKING.match(reason):
        return missing(f"{path}.{lacking[1]}" if path else lacking[1])
    expected = _EXPECTED.match(reason)
    what = _WORDS.get(expected[1], SHAPELESS) if expected else SHAPELESS
    return wrong(path, what, code="invalid_type") if path else InvalidRequest(what, code="invalid_type")
