"""What a provider does with a request before it answers: its paths, its keys, its models, its refusals."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Literal

import msgspec

from thalweg.canon.request import Request
from thalweg.canon.scenario import Begin
from thalweg.dialects.base import WireAnswer
from thalweg.simulator.catalogue import MODELS, own_name
from thalweg.simulator.manners.base import Asked, Listed, Manner
from thalweg.simulator.manners.errors import JSON, Refusal
from thalweg.simulator.manners.form import Facts
from thalweg.simulator.manners.shape import Slot, fill
from thalweg.simulator.models import Model, Passage, Scene

BAD_KEY = b"sk-bad"
"""How a key begins that no hosted provider takes, and no other where keys are asked for."""


def request_id(manner: Manner, seed: int) -> str:
    """The same for the same seed."""
    return manner.request_id(random.Random(f"request {seed}"), 0)


def find(manner: Manner, method: bytes, path: str) -> Literal["chat", "models"] | Refusal:
    """What lies at a path below one of the provider's base paths."""
    while "//" in path:
        path = path.replace("//", "/")
    for base in manner.base_paths:
        if method == b"POST" and path == f"{base}/chat/completions":
            return "chat"
        if method == b"GET" and path == f"{base}/models":
            return "models"
    return manner.errors.no_path


def refuse_key(manner: Manner, authorization: bytes | None) -> Refusal | None:
    """What is said to a key that is missing or wrong."""
    scheme, _, key = (authorization or b"").partition(b" ")
    key = key.strip()
    if scheme.lower() != b"bearer" or not key:
        return manner.errors.no_key if manner.hosted else None
    return manner.errors.wrong_key if key.startswith(BAD_KEY) else None


def list_models(manner: Manner, created: int) -> WireAnswer:
    """The provider's list of models."""
    shown = (listed.name for listed in manner.models if not listed.hidden)
    rows = [fill(manner.model_row, {Slot.MODEL: name, Slot.CREATED: created}) for name in shown]
    body = msgspec.json.encode(fill(manner.model_list, {Slot.CHOICES: rows}))
    return WireAnswer(200, ((b"content-type", JSON),), body)


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """A request that a provider takes, and who answers it."""

    asked: Request
    """With its thinking as this provider reads it."""
    model: Model
    listed: Listed
    thinks: bool
    body: dict[str, object]


def take(manner: Manner, asked: Request, name: str, plain: Model | None, body: bytes) -> Taken | Refusal:
    """Find the model and check the request as this provider does. The simulator's own models are here, too: `plain` is
    the one of that name.
    """
    listed = manner.model(name) if plain is None else _OWN_THAT_THINKS if _thinks(plain, name) else _OWN
    if listed is None:
        return manner.errors.no_model.about(name)
    tree: dict[str, object] = msgspec.json.decode(body)
    reasoning = listed.thinking(manner.read_thinking(tree))
    if not (listed.form or manner.form).shows_reasoning:
        reasoning = msgspec.structs.replace(reasoning, show="none")
    asked = msgspec.structs.replace(asked, reasoning=reasoning)
    thinks = reasoning.mode != "off"
    if (refusal := manner.refuses(Asked(body=tree, request=asked, listed=listed, thinks=thinks))) is not None:
        return refusal
    return Taken(asked=asked, model=plain or _ASSISTANT, listed=listed, thinks=thinks, body=tree)


def _thinks(plain: Model, name: str) -> bool:
    """Whether a model of the simulator's own thinks unasked."""
    if plain.scenario is None:
        return own_name(name) == "reasoning"
    return any(isinstance(step, Begin) and step.part == "reasoning" for step in plain.scenario.steps)


def facts_of(manner: Manner, taken: Taken, name: str, *, seed: int, created: int) -> Facts:
    """What is to be known of one answer to write it in its form."""
    form = taken.listed.form or manner.form
    found = taken.body.get("stream_options")
    options = found if isinstance(found, dict) else {}
    return Facts(
        form=form,
        response_id=form.answer_id(random.Random(f"id {seed}"), created),
        created=created,
        model=taken.listed.shown or name,
        request_id=request_id(manner, seed),
        seed=seed,
        thinks=taken.thinks,
        usage_asked=options.get("include_usage") is True,
        usage_in_each=form.usage_in_each(options),
        padded=options.get("include_obfuscation") is not False,
    )


_OWN = Listed(name="*")
_OWN_THAT_THINKS = Listed(name="*", thinks="on")


def _assist(scene: Scene) -> Iterator[Passage]:
    """Thinks where it shall, then calls what is offered or speaks."""
    # What is said after the thoughts is the other speaker's, and its choices, too.
    thinking = msgspec.structs.replace(scene, rng=random.Random(0))
    for passage in MODELS["reasoning"].speak(thinking):
        if passage.kind != "reasoning":
            break
        yield passage
    yield from MODELS["tools"].speak(scene)


_ASSISTANT = Model(_assist, "Thinks, calls tools and speaks, as it is asked.")
