"""The simulated provider: a request's bytes in, the steps of its answer out. It has no clock, no socket, no state.

It answers as itself, or in the manner of one real provider: for good, or where a request's knob `as` asks for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import msgspec

from thalweg.canon.errors import GatewayError, InvalidRequest, MethodNotAllowed, NotFound, RequestError
from thalweg.canon.request import Request
from thalweg.canon.script import Step
from thalweg.dialects.base import Dialect, WireAnswer
from thalweg.simulator.catalogue import LISTED, MODELS
from thalweg.simulator.delivery import Style, deliver_stream, deliver_whole, plain_style, whole_answer
from thalweg.simulator.faults import table as faults
from thalweg.simulator.knobs import Turned, read_knobs
from thalweg.simulator.manners import house
from thalweg.simulator.manners.base import Manner
from thalweg.simulator.manners.errors import Refusal
from thalweg.simulator.manners.table import MANNERS
from thalweg.simulator.manners.voice import Voice, style_of
from thalweg.simulator.models import Model
from thalweg.simulator.performance import Order, Tally, perform
from thalweg.simulator.turn import input_tokens

_CHAT = "openai-chat"
"""The dialect of all manners."""
_DIALECT_OF_PATH = {
    b"/chat/completions": "openai-chat",
    b"/responses": "openai-responses",
    b"/messages": "anthropic",
}
_OWNER = "thalweg-simulator"

_STREAM_ONLY = "This model only support stream mode, please enable the stream parameter to access the model."
"""Alibaba Model Studio's own words (its page of error messages, read 2026-11)."""


class _Prepared(NamedTuple):
    """An answer that is to be made, and how it is brought to the wire."""

    order: Order
    dialect: Dialect
    style: Style
    tally: Tally


class Simulator:
    """A provider in every dialect it is given, by name; or, in a manner, one provider as it really behaves."""

    def __init__(self, dialects: Mapping[str, Dialect], manner: Manner | None = None) -> None:
        self._dialects = dialects
        self._manner = manner

    def refuse_key(self, authorization: bytes | None, *, seed: int) -> Iterator[Step] | None:
        """The answer to a request whose key is missing or wrong; `None` where it is to be answered as it is.

        `authorization` is that header's value. Without a manner every key is taken, and none is needed.
        """
        if self._manner is None or (refusal := house.refuse_key(self._manner, authorization)) is None:
            return None
        return _say(self._manner, refusal, seed)

    def respond(self, method: bytes, target: bytes, body: bytes, *, seed: int, created: int) -> Iterator[Step]:
        """What an HTTP request gets: an answer on a dialect's path, the list of models, or an error status."""
        path = target.partition(b"?")[0]
        if self._manner is not None:
            return self._respond_as(self._manner, method, path, body, seed=seed, created=created)
        name = next((name for end, name in _DIALECT_OF_PATH.items() if path.endswith(end)), "")
        if name in self._dialects:
            if method == b"POST":
                return self.answer(name, body, seed=seed, created=created)
            return self._refusal(MethodNotAllowed(f"{path.decode('latin-1')} takes POST only."), name)
        if method == b"GET" and path.endswith(b"/models"):
            return whole_answer(_models(created))
        message = f"The simulated provider has no {method.decode('latin-1')} {path.decode('latin-1')}."
        return self._refusal(NotFound(message), next(iter(self._dialects)))

    def _respond_as(
        self, manner: Manner, method: bytes, path: bytes, body: bytes, *, seed: int, created: int
    ) -> Iterator[Step]:
        found = house.find(manner, method, path.decode("latin-1"))
        if isinstance(found, Refusal):
            return _say(manner, found, seed)
        if found == "models":
            return whole_answer(house.list_models(manner, created))
        return self.answer(_CHAT, body, seed=seed, created=created)

    def answer(self, dialect_name: str, body: bytes, *, seed: int, created: int) -> Iterator[Step]:
        """The answer to a generation request in that dialect. The same arguments give the same bytes.

        `seed` holds where the model's name gives none; `created` is in Unix seconds. Never raises for what the request
        holds: it is refused in its dialect.
        """
        try:
            prepared = self._prepare(dialect_name, body, seed=seed, created=created)
        except RequestError as error:
            return self._refusal(error, dialect_name, seed=seed)
        if not isinstance(prepared, _Prepared):
            return prepared
        order, dialect, style, tally = prepared
        if (steps := faults.instead(dialect, order)) is not None:
            return steps
        beats = faults.in_events(order, perform(order, tally))
        if order.asked.stream:
            sent = faults.in_frames(dialect, order, deliver_stream(dialect, order, beats, style))
        else:
            sent = deliver_whole(dialect, order, beats, style)
        return faults.on_connection(order, sent)

    def _prepare(self, dialect_name: str, body: bytes, *, seed: int, created: int) -> _Prepared | Iterator[Step]:
        """Read the request; a provider's refusal where its manner has one. Raises `RequestError` for our own."""
        dialect = self._dialects[dialect_name]
        asked = dialect.read_request(body).canon()
        name, turned = read_knobs(asked, faults.FAULTS)
        manner = self._manner_for(turned.get("manner"), dialect_name)
        if manner is None:
            order = _order(asked, name, turned, seed=seed, created=created)
            return _Prepared(order, dialect, plain_style(order), Tally(input_tokens(asked)))
        taken = house.take(manner, asked, name, body)
        if isinstance(taken, Refusal):
            return _say(manner, taken, seed)
        order = _ordered(taken.asked, taken.model, name, turned, seed=seed, created=created)
        facts, tally = house.facts_of(manner, taken, name, seed=order.seed, created=created), Tally(input_tokens(asked))
        voice = Voice(dialect, manner, facts, tally.usage)
        return _Prepared(order, voice.as_dialect(), style_of(manner, facts), tally)

    def _manner_for(self, named: str | None, dialect_name: str) -> Manner | None:
        """The manner that a request asks for, or else the simulator's own."""
        if named is None:
            return self._manner
        if dialect_name != _CHAT:
            raise InvalidRequest(f"The knob 'as' is for requests in the dialect {_CHAT} only.", code="invalid_value")
        if named not in MANNERS:
            what = f"Invalid value for the knob 'as': there are {', '.join(MANNERS)}."
            raise InvalidRequest(what, code="invalid_value")
        return MANNERS[named]

    def _refusal(self, error: GatewayError, dialect_name: str, *, seed: int = 0) -> Iterator[Step]:
        if self._manner is not None:
            return whole_answer(self._manner.errors.encode(error, house.request_id(self._manner, seed)))
        return whole_answer(self._dialects[dialect_name].encode_error(error))


def _say(manner: Manner, refusal: Refusal, seed: int) -> Iterator[Step]:
    return whole_answer(manner.errors.say(refusal, house.request_id(manner, seed)))


def _order(asked: Request, name: str, turned: Turned, *, seed: int, created: int) -> Order:
    """Find the model. Raises `RequestError` for what the simulator cannot answer."""
    model = MODELS.get(name.removeprefix("sim/"))
    if model is None:
        raise NotFound(f"The simulator has no model {name!r}; there are {', '.join(LISTED)}.", param="model")
    return _ordered(asked, model, name, turned, seed=seed, created=created)


def _ordered(asked: Request, model: Model, name: str, turned: Turned, *, seed: int, created: int) -> Order:
    """An order of that model. Raises `RequestError` for what it cannot do."""
    if model.endless and not asked.stream and asked.sampling.max_tokens is None:
        raise InvalidRequest(f"The answer of {name!r} has no end: it must be streamed.", param="stream")
    if model.stream_only and not asked.stream:
        raise InvalidRequest(_STREAM_ONLY, code="invalid_parameter_error")
    knobs = model.knobs.turned(turned)
    seed = next(each for each in (knobs.seed, asked.sampling.seed, seed) if each is not None)
    return Order(asked=asked, model=model, knobs=knobs, seed=seed, created=created)


def _models(created: int) -> WireAnswer:
    rows = [{"id": name, "object": "model", "created": created, "owned_by": _OWNER} for name in LISTED]
    body = msgspec.json.encode({"object": "list", "data": rows})
    return WireAnswer(200, ((b"content-type", b"application/json"),), body)
