"""The shape of a manner, and of a model in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import msgspec

from thalweg.canon.request import ReasoningAsk, Request
from thalweg.simulator.manners.errors import Errors, Refusal
from thalweg.simulator.manners.form import Form
from thalweg.simulator.manners.ids import AnswerId, uuid
from thalweg.simulator.manners.shape import Shape, Slot, of
from thalweg.simulator.manners.thinking import OFF, Switch

EVENT_STREAM = b"text/event-stream"


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """A model that a provider has. It speaks, calls the tools that it is offered, and may think before that."""

    name: str
    """An ending `*` stands for anything."""
    thinks: Literal["never", "off", "on", "always"] = "never"
    """Whether it thinks where the request does not say; `never` and `always` heed no request."""
    form: Form | None = None
    """How its answers look, where they do not look as the provider's others."""
    shown: str | None = None
    """What it calls itself in an answer, where that is not the name it was asked by."""
    marks: frozenset[str] = frozenset()
    """What the provider's checks know of it."""
    hidden: bool = False
    """Whether the list of models leaves it out."""

    def names(self, name: str) -> bool:
        """Whether this is the model of that name."""
        return name.startswith(self.name[:-1]) if self.name.endswith("*") else name == self.name

    def thinking(self, asked: ReasoningAsk | None) -> ReasoningAsk:
        """How it thinks, when the request says this."""
        if self.thinks == "never":
            return OFF
        if self.thinks == "always":
            return asked if asked and asked.mode != "off" else ReasoningAsk()
        return asked or (OFF if self.thinks == "off" else ReasoningAsk())


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A request as a provider's checks see it."""

    body: Mapping[str, Any]
    request: Request
    listed: Listed
    thinks: bool


Check = Callable[[Asked], Refusal | None]
"""Refuses a request, or does not."""

MODEL_ROW = of(id=Slot.MODEL, object="model", created=Slot.CREATED, owned_by="system")
MODEL_LIST = of(object="list", data=Slot.CHOICES)


class Manner(msgspec.Struct, frozen=True, kw_only=True):
    """One provider's behaviour on the wire."""

    name: str
    title: str
    base_paths: tuple[str, ...]
    """Where its API lies; the first is the usual one."""
    hosted: bool = True
    """Whether it wants a key."""
    models: tuple[Listed, ...]
    any_model: Listed | None = None
    """What answers to a name that is none of its models'; `None` where such a name is refused."""
    form: Form
    errors: Errors
    switches: tuple[Switch, ...] = ()
    """By what its models can be made to think; the first that a request sets holds."""
    checks: tuple[Check, ...] = ()
    request_id: AnswerId = uuid()
    stream_type: bytes = EVENT_STREAM
    answer_type: bytes = b"application/json"
    headers: tuple[tuple[bytes, Slot | bytes], ...] = ((b"x-request-id", Slot.REQUEST_ID),)
    """What an answer has beside its type; a slot is the request's id or the answer's."""
    opening: bytes = b""
    """What comes before the first chunk of every stream."""
    keepalive: bytes = b""
    """What breaks a silence in a stream; nothing does where it is empty."""
    keepalive_s: float = 15.0
    """How long a silence is before it is broken."""
    whole_keepalive: bytes = b""
    """What comes in each such silence before a whole answer."""
    model_row: Shape = MODEL_ROW
    model_list: Shape = MODEL_LIST

    def model(self, name: str) -> Listed | None:
        """The model of that name."""
        return next((listed for listed in self.models if listed.names(name)), self.any_model)

    def read_thinking(self, body: Mapping[str, Any]) -> ReasoningAsk | None:
        """What the request's switches say."""
        found = (switch(body) for switch in self.switches)
        return next((ask for ask in found if ask is not None), None)

    def refuses(self, asked: Asked) -> Refusal | None:
        """The first thing that this provider does not take."""
        found = (check(asked) for check in self.checks)
        return next((refusal for refusal in found if refusal is not None), None)
