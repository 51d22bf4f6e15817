"""What the simulator's tests share: asking it, and reading its answers as any client of the dialect would."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from thalweg.canon.events import Event, PartDelta
from thalweg.canon.fold import fold
from thalweg.canon.response import Choice, Response
from thalweg.canon.script import SendBody, SendHead, Step
from thalweg.dialects.registry import DIALECTS
from thalweg.framing.sse import Frame, SseDecoder
from thalweg.profiles.base import Profile
from thalweg.simulator.provider import Simulator

CHAT = "openai-chat"
SIMULATOR = Simulator(DIALECTS)


def body_of(model: str, prompt: Any = "hello", **fields: Any) -> bytes:
    messages = fields.pop("messages", None) or [{"role": "user", "content": prompt}]
    wire = {"model": model, "messages": messages, "stream": True, "stream_options": {"include_usage": True}} | fields
    if not wire["stream"]:
        del wire["stream_options"]
    return msgspec.json.encode(wire)


def ask(model: str, prompt: Any = "hello", *, seed: int = 1, **fields: Any) -> list[Step]:
    return list(SIMULATOR.answer(CHAT, body_of(model, prompt, **fields), seed=seed, created=1_700_000_000))


def status_of(steps: Iterable[Step]) -> int:
    return next(step.status for step in steps if isinstance(step, SendHead))


def bodies(steps: Iterable[Step]) -> list[bytes]:
    return [step.data for step in steps if isinstance(step, SendBody)]


def frames(steps: Iterable[Step]) -> list[Frame]:
    decoder = SseDecoder()
    return [frame for data in bodies(steps) for frame in decoder.feed(data)] + decoder.end()


def events(steps: Iterable[Step]) -> list[Event]:
    """What the dialect's own decoder reads, framed as the bytes were written."""
    framing = SseDecoder()
    decoder = DIALECTS[CHAT].stream_decoder(profile=Profile(), provider="sim")
    found = [event for data in bodies(steps) for event in decoder.feed(framing.feed(data))]
    return [*found, *decoder.feed(framing.end()), *decoder.end()]


def response(steps: Iterable[Step]) -> Response:
    return fold(events(steps))


def choice(steps: Iterable[Step], at: int = 0) -> Choice:
    return response(steps).choices[at]


def deltas(steps: Iterable[Step], choice: int = 0) -> list[str]:
    return [event.text for event in events(steps) if isinstance(event, PartDelta) and event.choice == choice]


def said(steps: Iterable[Step], at: int = 0) -> str:
    """The text of one choice."""
    return "".join(getattr(part, "text", "") for part in choice(steps, at).parts if type(part).__name__ == "Text")


def whole(steps: Iterable[Step]) -> Response:
    """An answer that does not stream."""
    return DIALECTS[CHAT].decode_answer(b"".join(bodies(steps)), profile=Profile(), provider="sim")


def tool(name: str, parameters: Any = None) -> dict[str, Any]:
    function = {"name": name} | ({} if parameters is None else {"parameters": parameters})
    return {"type": "function", "function": function}
