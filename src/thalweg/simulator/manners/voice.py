"""A dialect spoken in a manner: what the simulator asks of a dialect while it answers one request."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import msgspec

from thalweg.canon.errors import GatewayError
from thalweg.canon.request import Request
from thalweg.canon.response import Response
from thalweg.canon.usage import Usage
from thalweg.dialects.base import Dialect, StreamEncoder, WireAnswer
from thalweg.simulator.delivery import Style
from thalweg.simulator.manners.answer import write_answer
from thalweg.simulator.manners.base import Manner
from thalweg.simulator.manners.form import Facts
from thalweg.simulator.manners.shape import Slot
from thalweg.simulator.manners.stream import MannerEncoder


class Voice:
    """Stands in the place of the dialect, for one answer."""

    def __init__(self, plain: Dialect, manner: Manner, facts: Facts, spent: Callable[[], Usage]) -> None:
        self._plain = plain
        self._errors = manner.errors
        self._facts = facts
        self._spent = spent
        self.name = plain.name
        self._stream_type = manner.stream_type

    def as_dialect(self) -> Dialect:
        """The same for those who want a dialect. It has only what answering asks for, so this is not checked."""
        return cast(Dialect, self)

    def stream_encoder(self, asked: Request, *, response_id: str, model: str, created: int) -> StreamEncoder:
        """An encoder in the manner's form, which has an id and a model's name of its own."""
        # Whether usage is sent, and where, is the form's to say.
        asked = msgspec.structs.replace(asked, include_usage=True)
        plain = self._plain.stream_encoder(asked, response_id=response_id, model=model, created=created)
        return MannerEncoder(plain, self._facts, self._errors, self._spent, self._stream_type)

    def encode_answer(self, answer: Response, asked: Request) -> bytes:
        """A whole answer in the manner's form."""
        return write_answer(self._plain.encode_answer(answer, asked), self._facts, answer.usage)

    def encode_error(self, error: GatewayError) -> WireAnswer:
        """An error before the answer has begun, in the provider's words."""
        return self._errors.encode(error, self._facts.request_id)


def style_of(manner: Manner, facts: Facts) -> Style:
    """What an answer in this manner has around its content."""
    head = facts.head()
    headers = ((name, head[value].encode() if isinstance(value, Slot) else value) for name, value in manner.headers)
    return Style(
        headers=tuple(headers),
        answer_type=manner.answer_type,
        opening=manner.opening,
        keepalive=manner.keepalive,
        whole_keepalive=manner.whole_keepalive,
        keepalive_s=manner.keepalive_s,
    )
