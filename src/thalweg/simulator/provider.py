"""The simulated provider: a request's bytes in, the steps of its answer out. It has no clock, no socket, no state.

It answers as itself, or in the manner of one real provider: for good, or where a request's knob `as` asks for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple

import msgspec

from thalweg.canon.errors import GatewayError, InvalidRequest, MethodNotAllowed, NotFound, RequestError
from thalweg.canon.request import Request
from thalweg.canon.scenario import Scenario
from thalweg.canon.script import Step
from thalweg.dialects.base import Dialect, WireAnswer
from thalweg.simulator import retelling
from thalweg.simulator.about import count_tokens, list_models, read_tree, tell_model
from thalweg.simulator.beginning import beginning_of
from thalweg.simulator.catalogue import Repertoire
from thalweg.simulator.delivery import Style, deliver_stream, deliver_whole, plain_style, whole_answer
from thalweg.simulator.faults import table as faults
from thalweg.simulator.knobs import FIELD, Turned, read_knobs
from thalweg.simulator.manners import house
from thalweg.simulator.manners.base import Manner
from thalweg.simulator.manners.errors import Refusal
from thalweg.simulator.manners.table import MANNERS
from thalweg.simulator.manners.voice import Voice, style_of
from thalweg.simulator.models import Model
from thalweg.simulator.paths import Headers, Place, find, told_target
from thalweg.simulator.performance import Beat, Order, Tally, perform
from thalweg.simulator.turn import input_tokens
from thalweg.simulator.vendors.base import Spoken, Tree
from thalweg.simulator.vendors.table import vendor_of

_CHAT = "openai-chat"
"""The dialect of all manners."""
_STREAM_ONLY = "This model only support stream mode, please enable the stream parameter to access the model."
"""Alibaba Model Studio's own words (its page of error messages, read 2026-11)."""


_NONE: Mapping[str, Scenario] = MappingProxyType({})


class _Prepared(NamedTuple):
    """An answer that is to be made, and how it is brought to the wire."""

    order: Order
    dialect: Dialect
    style: Style
    beats: Iterator[Beat]


class Simulator:
    """A provider in every dialect it is given, by name; or, in a manner, one provider as it really behaves.

    `scenarios` are answers that it tells again, by name; each is looked up when it is asked for.
    """

    def __init__(
        self,
        dialects: Mapping[str, Dialect],
        manner: Manner | None = None,
        *,
        scenarios: Mapping[str, Scenario] = _NONE,
    ) -> None:
        self._dialects = dialects
        self._manner = manner
        self._models = Repertoire(scenarios)

    def refuse_key(self, authorization: bytes | None, *, seed: int) -> Iterator[Step] | None:
        """The answer to a request whose key is missing or wrong; `None` where it is to be answered as it is.

        `authorization` is that header's value. Without a manner every key is taken, and none is needed.
        """
        if self._manner is None or (refusal := house.refuse_key(self._manner, authorization)) is None:
            return None
        return _say(self._manner, refusal, seed)

    def respond(
        self, method: bytes, target: bytes, body: bytes, *, seed: int, created: int, headers: Headers = ()
    ) -> Iterator[Step]:
        """What an HTTP request gets: an answer on a dialect's path, a count of tokens, the models, or an error status.

        Names of headers are lower case.
        """
        path = target.partition(b"?")[0]
        if self._manner is not None:
            return self._respond_as(self._manner, method, path, body, seed=seed, created=created)
        headers = tuple(headers)
        place = find(target, headers)
        name = place.dialect if place.dialect in self._dialects else next(iter(self._dialects))
        try:
            if place.wish == "nothing" or place.dialect not in self._dialects:
                raise NotFound(f"The simulated provider has no {_shown(method)} {_shown(path)}.")
            if place.wish == "models":
                return whole_answer(_tell_models(self._models, method, path, place, created))
            if method != b"POST":
                raise MethodNotAllowed(f"{_shown(path)} takes POST only.")
            if place.wish == "count":
                return whole_answer(count_tokens(self._models, self._dialects[name], target, body, faults.FAULTS))
        except RequestError as error:
            return self._refusal(error, name)
        return self.answer(name, body, seed=seed, created=created, target=told_target(place, target, headers))

    def _respond_as(
        self, manner: Manner, method: bytes, path: bytes, body: bytes, *, seed: int, created: int
    ) -> Iterator[Step]:
        found = house.find(manner, method, path.decode("latin-1"))
        if isinstance(found, Refusal):
            return _say(manner, found, seed)
        if found == "models":
            return whole_answer(house.list_models(manner, created))
        return self.answer(_CHAT, body, seed=seed, created=created)

    def answer(self, dialect_name: str, body: bytes, *, seed: int, created: int, target: bytes = b"") -> Iterator[Step]:
        """The answer to a generation request in that dialect. The same arguments give the same bytes.

        `target` is the path and query it came to, where the dialect says half of it there. `seed` holds where the
        model's name gives none; `created` is in Unix seconds. Never raises for what the request holds: it is refused in
        its dialect.
        """
        try:
            prepared = self._prepare(dialect_name, body, target, seed=seed, created=created)
        except RequestError as error:
            return self._refusal(error, dialect_name, seed=seed)
        if not isinstance(prepared, _Prepared):
            return prepared
        order, dialect, style, beats = prepared
        if (steps := faults.instead(dialect, order) or retelling.instead(dialect, order)) is not None:
            return steps
        beats = faults.in_events(dialect.name, order, beats)
        if order.asked.stream:
            sent = faults.in_frames(dialect, order, deliver_stream(dialect, order, beats, style))
        else:
            sent = faults.in_whole(dialect, order, deliver_whole(dialect, order, beats, style))
        return faults.on_connection(order, retelling.as_it_ended(order, sent))

    def _prepare(
        self, dialect_name: str, body: bytes, target: bytes, *, seed: int, created: int
    ) -> _Prepared | Iterator[Step]:
        """Read the request; a provider's refusal where its manner has one. Raises `RequestError` for our own."""
        dialect = self._dialects[dialect_name]
        asked = dialect.read_request(body, target).canon()
        tree = read_tree(body)
        asked = _with_knobs(asked, tree)
        name, turned = read_knobs(asked, faults.FAULTS)
        manner = self._manner_for(turned.get("manner"), dialect_name)
        if manner is None:
            order = _ordered(asked, self._models.find(name), name, turned, seed=seed, created=created)
            return _plainly(dialect, order, tree)
        taken = house.take(manner, asked, name, self._models.get(name), body)
        if isinstance(taken, Refusal):
            return _say(manner, taken, seed)
        order = _ordered(taken.asked, taken.model, name, turned, seed=seed, created=created)
        facts = house.facts_of(manner, taken, name, seed=order.seed, created=created)
        tally, beats = _performed(order)
        voice = Voice(dialect, manner, facts, tally.usage)
        return _Prepared(order, voice.as_dialect(), style_of(manner, facts), beats)

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


def _plainly(dialect: Dialect, order: Order, tree: Tree) -> _Prepared:
    """An answer of the simulator's own. Raises `RequestError` for what its vendor would not answer."""
    vendor = vendor_of(dialect.name)
    order = msgspec.structs.replace(
        order,
        asked=vendor.reads(order.asked, tree),
        vendor=vendor,
        tree=tree,
        beginning=beginning_of(tree, dialect.name),
    )
    faults.check(dialect.name, order)
    vendor.check(tree)
    tally, beats = _performed(order)
    voice = vendor.voice(dialect, Spoken(order.entropy, tally.usage))
    return _Prepared(order, voice, plain_style(order), beats)


def _performed(order: Order) -> tuple[Tally, Iterator[Beat]]:
    """The events of an answer, and what counts its tokens while they come."""
    scenario = order.model.scenario
    if scenario is not None:
        retold = retelling.RetoldTally(scenario)
        return retold, retelling.retell(order, scenario, retold)
    tally = Tally(input_tokens(order.asked))
    return tally, perform(order, tally)


def _with_knobs(asked: Request, tree: Tree) -> Request:
    """The request with the field that turns knobs, also where its dialect passes over fields that it does not know."""
    if FIELD in asked.extensions or tree.get(FIELD) is None:
        return asked
    return msgspec.structs.replace(asked, extensions=asked.extensions | {FIELD: tree[FIELD]})


def _ordered(asked: Request, model: Model, name: str, turned: Turned, *, seed: int, created: int) -> Order:
    """An order of that model. Raises `RequestError` for what it cannot do."""
    if model.endless and not asked.stream and asked.sampling.max_tokens is None:
        raise InvalidRequest(f"The answer of {name!r} has no end: it must be streamed.", param="stream")
    if model.stream_only and not asked.stream:
        raise InvalidRequest(_STREAM_ONLY, code="invalid_parameter_error")
    knobs = model.knobs.turned(turned)
    seed = next(each for each in (knobs.seed, asked.sampling.seed, seed) if each is not None)
    return Order(asked=asked, model=model, knobs=knobs, seed=seed, created=created, turned=frozenset(turned))


def _tell_models(models: Repertoire, method: bytes, path: bytes, place: Place, created: int) -> WireAnswer:
    """The list of models, or one of them."""
    if method != b"GET":
        raise NotFound(f"The simulated provider has no {_shown(method)} {_shown(path)}.")
    if not place.model:
        return list_models(models, place.dialect, created)
    return tell_model(models, place.dialect, place.model, created)


def _shown(data: bytes) -> str:
    return data.decode("latin-1")
