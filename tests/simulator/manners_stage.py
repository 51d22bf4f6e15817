"""What the tests of manners share: asking a provider, and looking at its frames."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from tests.simulator.stage import CHAT, bodies, body_of, tool
from thalweg.canon.script import SendHead, Step
from thalweg.dialects.registry import DIALECTS
from thalweg.simulator.manners.base import Listed, Manner
from thalweg.simulator.manners.table import MANNERS
from thalweg.simulator.provider import Simulator

CREATED = 1_700_000_000
TWO_TOOLS = [
    tool("weather", {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}),
    tool("now"),
]
SIMULATORS = {name: Simulator(DIALECTS, manner) for name, manner in MANNERS.items()}

MODELS: list[tuple[Manner, Listed]] = [(manner, listed) for manner in MANNERS.values() for listed in manner.models]


def name_of(listed: Listed) -> str:
    """A name that this model answers to."""
    return listed.name.replace("*", "20250510145437-abcde")


def ask_as(manner: str, model: str, *, seed: int = 1, **fields: Any) -> list[Step]:
    """The provider's answer to one request. A field that is `None` is not sent."""
    sent = {name: each for name, each in fields.items() if each is not None}
    wire = msgspec.json.decode(body_of(model, **sent))
    if "stream_options" in fields:
        wire.pop("stream_options", None)
        wire |= {name: each for name, each in sent.items() if name == "stream_options"}
    return list(SIMULATORS[manner].answer(CHAT, msgspec.json.encode(wire), seed=seed, created=CREATED))


def head_of(steps: Iterable[Step]) -> SendHead:
    return next(step for step in steps if isinstance(step, SendHead))


def headers_of(steps: Iterable[Step]) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in head_of(steps).headers}


def body_bytes(steps: Iterable[Step]) -> bytes:
    return b"".join(bodies(steps))


def tree_of(steps: Iterable[Step]) -> Any:
    return msgspec.json.decode(body_bytes(steps))


def payloads_of(steps: Iterable[Step]) -> list[bytes]:
    """What stands after `data: `, frame by frame; comments are passed over."""
    blocks = body_bytes(steps).split(b"\n\n")
    lines = (line for block in blocks for line in block.split(b"\n"))
    return [line.removeprefix(b"data: ") for line in lines if line.startswith(b"data: ")]


def chunks_of(steps: Iterable[Step]) -> list[dict[str, Any]]:
    """The chunks of a stream, without the end mark."""
    return [msgspec.json.decode(payload) for payload in payloads_of(steps) if payload != b"[DONE]"]
