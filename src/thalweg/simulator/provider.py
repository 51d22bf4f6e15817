"""The simulated provider: a request's bytes in, the steps of its answer out. It has no clock, no socket, no state."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from thalweg.canon.errors import GatewayError, InvalidRequest, MethodNotAllowed, NotFound, RequestError
from thalweg.canon.script import Step
from thalweg.dialects.base import Dialect, WireAnswer
from thalweg.simulator.delivery import deliver_stream, deliver_whole, whole_answer
from thalweg.simulator.faults import table as faults
from thalweg.simulator.knobs import read_name
from thalweg.simulator.models import MODELS
from thalweg.simulator.performance import Order, perform

_DIALECT_OF_PATH = {
    b"/chat/completions": "openai-chat",
    b"/responses": "openai-responses",
    b"/messages": "anthropic",
}
_OWNER = "thalweg-simulator"


class Simulator:
    """A provider in every dialect it is given, by name."""

    def __init__(self, dialects: Mapping[str, Dialect]) -> None:
        self._dialects = dialects

    def respond(self, method: bytes, target: bytes, body: bytes, *, seed: int, created: int) -> Iterator[Step]:
        """What an HTTP request gets: an answer on a dialect's path, the list of models, or an error status."""
        path = target.partition(b"?")[0]
        name = next((name for end, name in _DIALECT_OF_PATH.items() if path.endswith(end)), "")
        if name in self._dialects:
            if method == b"POST":
                return self.answer(name, body, seed=seed, created=created)
            return self._refusal(MethodNotAllowed(f"{path.decode('latin-1')} takes POST only."), name)
        if method == b"GET" and path.endswith(b"/models"):
            return whole_answer(_models(created))
        message = f"The simulated provider has no {method.decode('latin-1')} {path.decode('latin-1')}."
        return self._refusal(NotFound(message), next(iter(self._dialects)))

    def answer(self, dialect_name: str, body: bytes, *, seed: int, created: int) -> Iterator[Step]:
        """The answer to a generation request in that dialect. The same arguments give the same bytes.

        `seed` holds where the model's name gives none; `created` is in Unix seconds. Never raises for what the request
        holds: it is refused in its dialect.
        """
        dialect = self._dialects[dialect_name]
        try:
            order = _order(dialect, body, seed=seed, created=created)
        except RequestError as error:
            return self._refusal(error, dialect_name)
        if (steps := faults.instead(dialect, order)) is not None:
            return steps
        beats = faults.in_events(order, perform(order))
        if order.asked.stream:
            sent = faults.in_frames(dialect, order, deliver_stream(dialect, order, beats))
        else:
            sent = deliver_whole(dialect, order, beats)
        return faults.on_connection(order, sent)

    def _refusal(self, error: GatewayError, dialect_name: str) -> Iterator[Step]:
        return whole_answer(self._dialects[dialect_name].encode_error(error))


def _order(dialect: Dialect, body: bytes, *, seed: int, created: int) -> Order:
    """Read the request. Raises `RequestError` for what the simulator cannot answer."""
    asked = dialect.read_request(body).canon()
    name, turned = read_name(asked.model)
    model = MODELS.get(name.removeprefix("sim/"))
    if model is None:
        raise NotFound(f"The simulator has no model {name!r}; there are {', '.join(_listed())}.", param="model")
    if model.endless and not asked.stream and asked.sampling.max_tokens is None:
        raise InvalidRequest(f"The answer of {name!r} has no end: it must be streamed.", param="stream")
    knobs = msgspec.structs.replace(model.knobs, **turned)
    faults.check(knobs.fault)
    seed = next(each for each in (knobs.seed, asked.sampling.seed, seed) if each is not None)
    return Order(asked=asked, model=model, knobs=knobs, seed=seed, created=created)


def _listed() -> list[str]:
    return [name for name, model in MODELS.items() if not model.hidden]


def _models(created: int) -> WireAnswer:
    rows = [{"id": name, "object": "model", "created": created, "owned_by": _OWNER} for name in _listed()]
    body = msgspec.json.encode({"object": "list", "data": rows})
    return WireAnswer(200, ((b"content-type", b"application/json"),), body)
