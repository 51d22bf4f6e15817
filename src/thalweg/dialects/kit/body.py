"""Reading a client's JSON body. Every complaint names its field, and none quotes a value."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any, TypeVar

import msgspec
from msgspec import Raw

from thalweg.canon.errors import InvalidRequest

T = TypeVar("T")

NULL = Raw(b"null")
_decode_top = msgspec.json.Decoder(dict[str, Raw]).decode
_AT = re.compile(r" - at `(?:key in )?\$\.?([^`]*)`$")
_ESCAPED_LETTER = re.compile(rb"\\u00[567][0-9a-fA-F]")


def read_body(body: bytes, decode: Callable[[bytes], T], *, once: Iterable[str]) -> T:
    """Decode and check the types; `once` are top-level fields that may not stand twice. Raises `InvalidRequest`."""
    try:
        body.decode()  # the decoder passes over the text of unknown fields
        read = decode(body)
    except msgspec.ValidationError as error:
        raise wrong_type(str(error)) from error
    except RecursionError as error:
        raise too_deep() from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidRequest(f"The request's body is not valid JSON: {error}.") from error
    refuse_duplicates(body, tuple(once))
    return read


def open_top(body: bytes) -> dict[str, Raw]:
    """A body that was read, opened one level. Every value keeps its very bytes."""
    try:
        return _decode_top(body)
    except RecursionError as error:
        # It passed when it was read, from a place nearer to the limit's beginning.
        raise too_deep() from error


def too_deep() -> InvalidRequest:
    """The complaint about nesting."""
    return InvalidRequest("The request's JSON is nested too deeply.")


def missing(param: str) -> InvalidRequest:
    """The complaint about a field that must be there."""
    return InvalidRequest(f"Missing required parameter: '{param}'.", param=param, code="missing_required_parameter")


def wrong(param: str, what: str, code: str = "invalid_value") -> InvalidRequest:
    """The complaint about a field's value; `what` says what it must be."""
    return InvalidRequest(f"Invalid value for '{param}': {what}.", param=param, code=code)


def wrong_type(text: str) -> InvalidRequest:
    """A decoder's complaint, with the field named as the client wrote it."""
    found = _AT.search(text)
    param = re.sub(r"\[\.\.\.\]", "[]", found[1]) if found else None
    reason = text[: found.start()] if found else text
    if lacking := re.fullmatch(r"Object missing required field `(\w+)`", reason):
        return missing(f"{param}.{lacking[1]}" if param else lacking[1])
    if param is None:
        return InvalidRequest(f"The request's body must be a JSON object: {reason}.")
    return wrong(param, reason, code="invalid_type")


def check_bounds(body: Any, bounds: dict[str, tuple[float, float | None]]) -> None:
    """Hold numbers of a body to their least and most."""
    for field, (least, most) in bounds.items():
        value = getattr(body, field)
        if value is not None and (value < least or (most is not None and value > most)):
            raise wrong(field, f"must be at least {least:g}" if value < least else f"must be at most {most:g}")


def check_model(model: str, param: str = "model") -> None:
    """Refuse what cannot be a model's name."""
    if not model:
        raise InvalidRequest(f"'{param}' may not be empty.", param=param, code="invalid_value")
    if "\0" in model or len(model) > 512:
        raise InvalidRequest(f"'{param}' is no model's name.", param=param, code="invalid_value")


@cache
def _quoted(names: tuple[str, ...]) -> tuple[bytes, ...]:
    return tuple(b'"%b"' % name.encode() for name in names)


def refuse_duplicates(body: bytes, once: tuple[str, ...]) -> None:
    """A proxy in front may read the first of two equal keys where we read the last: refuse to guess."""
    if _ESCAPED_LETTER.search(body) is None and max(map(body.count, _quoted(once))) <= 1:
        return
    pairs: list[tuple[str, Any]] = []

    def keep_last(found: list[tuple[str, Any]]) -> None:
        pairs[:] = found

    try:
        # Numbers stay text: they do not matter here, and Python refuses to read very long ones.
        json.loads(body, object_pairs_hook=keep_last, parse_int=str, parse_float=str)
    except RecursionError as error:
        raise too_deep() from error
    names = [name for name, _ in pairs]
    for name in once:
        if names.count(name) > 1:
            raise InvalidRequest(f"'{name}' stands in the request more than once.", param=name, code="duplicate_key")
