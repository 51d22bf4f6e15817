"""How a provider says no: the body, and its own words for each kind of fault."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from thalweg.canon.errors import GatewayError, UpstreamError
from thalweg.dialects.base import WireAnswer
from thalweg.simulator.manners.shape import Shape, Slot, fill

JSON = b"application/json"
_OURS = 500
"""The first status that is the provider's own fault."""


class Refusal(msgspec.Struct, frozen=True):
    """A status and what stands in the body. `{model}` in the message is the model's name."""

    status: int
    message: str
    kind: str = "invalid_request"
    """The class of the fault, as in `canon.errors`: gives the words that are not said here."""
    type: Any = None
    code: Any = None
    param: str | None = None
    content_type: bytes | None = None
    body: Shape | Slot | None = None
    """What the body is, where it is not what this provider's errors have."""

    def about(self, model: str) -> Refusal:
        """The same with the model's name in its message."""
        return msgspec.structs.replace(self, message=self.message.replace("{model}", model))


class Errors(msgspec.Struct, frozen=True, kw_only=True):
    """One provider's errors."""

    body: Shape
    words: Mapping[str, tuple[Any, Any]]
    """`type` and `code` for each kind of fault. Where one is not here, those of `server` hold from status 500 on, and
    those of `""` below.
    """
    message: str = "{message}"
    """What is said around a message; may name `{request_id}`."""
    content_type: bytes = JSON
    event: bytes = b""
    """The name of the event that an error in a stream has."""
    done_after: bool = False
    """Whether the end mark follows an error in a stream."""
    no_key: Refusal
    wrong_key: Refusal
    no_model: Refusal
    no_path: Refusal

    def values(self, refusal: Refusal, request_id: str = "") -> dict[Slot, Any]:
        """What there is to fill in."""
        rest = self.words.get("server") if refusal.status >= _OURS else None
        type_, code = self.words.get(refusal.kind) or rest or self.words[""]
        said = self.message.replace("{message}", refusal.message).replace("{request_id}", request_id)
        values: dict[Slot, Any] = {
            Slot.MESSAGE: said,
            Slot.STATUS: refusal.status,
            Slot.TYPE: type_ if refusal.type is None else refusal.type,
            Slot.CODE: code if refusal.code is None else refusal.code,
            Slot.REQUEST_ID: request_id,
        }
        if refusal.param is not None:
            values[Slot.PARAM] = refusal.param
        return values

    def say(self, refusal: Refusal, request_id: str = "") -> WireAnswer:
        """The HTTP answer for a refusal."""
        values, shape = self.values(refusal, request_id), refusal.body or self.body
        body = values[shape] if isinstance(shape, Slot) else fill(shape, values)
        headers = ((b"content-type", refusal.content_type or self.content_type),)
        return WireAnswer(refusal.status, headers, msgspec.json.encode(body))

    def encode(self, error: GatewayError, request_id: str = "") -> WireAnswer:
        """The HTTP answer for an error of ours."""
        wire = self.say(refusal_of(error), request_id)
        if error.retry_after_s is None:
            return wire
        retry = (b"retry-after", b"%d" % max(1, round(error.retry_after_s)))
        return msgspec.structs.replace(wire, headers=(*wire.headers, retry))


def refusal_of(error: GatewayError) -> Refusal:
    """An error of ours, to be said in a provider's words."""
    type_ = error.provider_type if isinstance(error, UpstreamError) else None
    return Refusal(error.status, error.message, error.kind, type=type_, code=error.code, param=error.param)
