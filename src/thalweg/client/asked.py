"""What a program asks for, as keyword arguments: Chat's parameters, and messages of Chat's or of the canon's own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from msgspec.structs import replace

from thalweg.canon.errors import InvalidRequest
from thalweg.canon.parts import Text
from thalweg.canon.request import Message, Request
from thalweg.dialects.base import WireRequest
from thalweg.dialects.registry import DIALECTS

WORDS = "openai-chat"
"""The dialect whose names the parameters have."""

Messages = str | Iterable[Message | Mapping[str, Any]]
"""A prompt, or the talk so far: mappings as Chat has them, or messages of `thalweg.canon`, which keep signatures."""


class Asked(msgspec.Struct, frozen=True):
    """One request, checked."""

    wire: WireRequest
    """In Chat's words; without the messages that only the canon can say."""
    request: Request
    """The whole of it."""
    said_in_full: bool
    """Whether `wire` says all of it."""


def ask(model: str, messages: Messages, parameters: Mapping[str, Any]) -> Asked:
    """Read the arguments. Raises `InvalidRequest`, which names the parameter at fault."""
    if "stream" in parameters:
        raise InvalidRequest("'stream' is no parameter here: call stream() or complete().", param="stream")
    talk: list[Message | Mapping[str, Any]]
    talk = [{"role": "user", "content": messages}] if isinstance(messages, str) else list(messages)
    plain = [message for message in talk if not isinstance(message, Message)]
    whole = len(plain) == len(talk)
    # Parameters are checked also where no message is one of Chat's.
    stand_in = [{"role": "user", "content": ""}] if talk and not plain else plain
    wire = _read({"model": model, "messages": stand_in} | dict(parameters))
    request = wire.canon()
    if not whole:
        read = [message if isinstance(message, Message) else _message(message) for message in talk]
        leading = next((at for at, message in enumerate(read) if message.role != "system"), len(read))
        system = tuple(part for message in read[:leading] for part in message.parts if isinstance(part, Text))
        request = replace(request, messages=tuple(read[leading:]), system=system)
    return Asked(wire, request, whole)


def _message(message: Mapping[str, Any]) -> Message:
    read = _read({"model": "any", "messages": [message]}).canon()
    return read.messages[0] if read.messages else Message(role="system", parts=read.system)


def _read(body: Mapping[str, Any]) -> WireRequest:
    try:
        encoded = msgspec.json.encode(body)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidRequest(f"The arguments cannot be said in JSON: {error}.") from error
    return DIALECTS[WORDS].read_request(encoded)
