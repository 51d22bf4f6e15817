"""The simulated models: what each says to a request, as passages of tokens. When and in which bytes is not known here.

Source of what they promise: the acceptance suite, "The simulator's side".
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Iterator
from itertools import islice

import msgspec

from thalweg.canon.parts import PartKind, Text, ToolResult
from thalweg.canon.request import Request, Tool
from thalweg.simulator.arguments import fill_arguments
from thalweg.simulator.knobs import Knobs
from thalweg.simulator.pictures import describe
from thalweg.simulator.tokens import split
from thalweg.simulator.turn import Turn

_QUOTED_CHARS = 2_000
"""The longest prompt that is repeated whole."""

_SLOW_S = 12
"""How long `slow` speaks; ten seconds are promised."""


class Scene(msgspec.Struct, frozen=True):
    """What a model knows when it speaks: the request, its last turn, the choice that is being made."""

    asked: Request
    turn: Turn
    knobs: Knobs
    choice: int
    rng: random.Random


class Passage(msgspec.Struct, frozen=True):
    """One part of an answer. `tokens` may be endless and is read once; those of a call are its arguments."""

    kind: PartKind
    tokens: Iterable[str]
    call_id: str | None = None
    name: str | None = None
    call_kind: str = "function"


Speaker = Callable[[Scene], Iterator[Passage]]


class Model(msgspec.Struct, frozen=True):
    """One row of the table."""

    speak: Speaker
    knobs: Knobs = Knobs()
    """What holds where the name does not say otherwise."""
    hidden: bool = False
    """Whether it is kept out of the list of models: it is made for tests."""
    endless: bool = False


_OPENINGS = ("You wrote: ", "Here are your words again: ", "This is what I have read: ")
_CLOSINGS = (
    "A river keeps to its deepest channel. 河流总是沿着深泓流淌 🌊",
    "Flowing water does not go stale. 流水不腐，户枢不蠹 🏞️",
    "Many brooks make one great river. 海纳百川，有容乃大 🐟",
)
_THOUGHTS = (
    "First I look at what was asked.",
    "再想一想：这句话要原样重复。",
    "A good answer repeats every word and adds little.",
    "I check that no character gets lost on the way.",
    "The emoji and the accents must stay whole, too.",
    "还要注意换行和标点。",
    "Nothing else seems to be hidden in it.",
    "Now I am ready to answer.",
)
_THOUGHTS_OF_EFFORT = {"minimal": 1, "low": 2, "medium": 4, "high": 6, "xhigh": 7, "max": 8}


def _text(scene: Scene) -> Iterator[Passage]:
    """Repeats the prompt, and says what it sees in files and tool results."""
    yield Passage("text", _of_length(_reply(scene), scene.knobs.tokens))


def _slow(scene: Scene) -> Iterator[Passage]:
    """The same for a long time."""
    knobs = scene.knobs
    enough = math.ceil(_SLOW_S * (knobs.pace or 5)) * knobs.chunk
    yield Passage("text", _of_length(_reply(scene), enough if knobs.tokens is None else knobs.tokens))


def _endless(scene: Scene) -> Iterator[Passage]:
    """Text for ever."""
    size = scene.knobs.size
    yield Passage("text", _again(_reply(scene)) if size is None else _same("flow " * (size // 5 + 1), size))


def _reasoning(scene: Scene) -> Iterator[Passage]:
    """Thinks, unless it shall not, then speaks as `text`."""
    asked = scene.asked.reasoning
    if asked.mode != "off" and asked.show != "none":
        thoughts = " ".join(_THOUGHTS[: _THOUGHTS_OF_EFFORT.get(asked.effort or "medium", 4)])
        yield Passage("reasoning", islice(split(thoughts), asked.budget_tokens))
    yield from _text(scene)


def _tools(scene: Scene) -> Iterator[Passage]:
    """Calls what is offered, or speaks as `text` when results are there or nothing may be called."""
    tools = [] if scene.turn.results else _callable_tools(scene.asked)
    if not tools:
        yield from _text(scene)
    for tool in tools:
        call_id = f"call_{scene.rng.getrandbits(96):024x}"
        if tool.kind == "custom":
            yield Passage("tool_call", split(_CLOSINGS[0]), call_id, tool.name, "custom")
        else:
            yield Passage("tool_call", split(fill_arguments(tool.parameters, scene.rng)), call_id, tool.name)


MODELS: dict[str, Model] = {
    "text": Model(_text),
    "reasoning": Model(_reasoning),
    "tools": Model(_tools),
    "slow": Model(_slow, Knobs(pace=5)),
    "error-midstream": Model(_text, Knobs(fault=("error-midstream",))),
    "endless": Model(_endless, hidden=True, endless=True),
}
"""The models by name."""


def _callable_tools(asked: Request) -> list[Tool]:
    choice = asked.tool_choice
    if choice and choice.mode == "none":
        return []
    offered = [tool for tool in asked.tools if tool.kind != "hosted"]
    if choice and choice.names:
        offered = [tool for tool in offered if tool.name in choice.names]
    return offered[:1] if asked.parallel_tool_calls is False else offered


def _reply(scene: Scene) -> str:
    """What `text` says: JSON where that was asked for, else words."""
    output = scene.asked.output
    if output.format == "json_schema":
        return fill_arguments(output.schema, scene.rng)
    words = _words(scene)
    return msgspec.json.encode({"answer": words}).decode() if output.format == "json" else words


def _words(scene: Scene) -> str:
    """The prompt in a frame that differs from choice to choice."""
    turn = scene.turn
    at = (scene.rng.randrange(len(_OPENINGS)) + scene.choice) % len(_OPENINGS)
    again = f"({scene.choice + 1}) " if scene.choice else ""
    quoted = [] if turn.results and not turn.prompt else [_OPENINGS[at] + _quoted(turn.prompt)]
    told = [f"The tool answered: {_result_text(result)}" for result in turn.results]
    return again + "\n\n".join([*quoted, *told, *map(describe, turn.media), _CLOSINGS[at]])


def _quoted(prompt: str) -> str:
    """The prompt as it is, or both ends of one that nobody wants to wait for."""
    if len(prompt) <= _QUOTED_CHARS:
        return prompt
    return f"{prompt[: _QUOTED_CHARS - 500]} […] {prompt[-500:]}"


def _result_text(result: ToolResult) -> str:
    return "".join(part.text for part in result.parts if isinstance(part, Text))


def _of_length(text: str, length: int | None) -> Iterator[str]:
    return split(text) if length is None else islice(_again(text), length)


def _again(text: str) -> Iterator[str]:
    while True:
        yield from split(text + "\n\n")


def _same(text: str, size: int) -> Iterator[str]:
    """One big token for ever: it is made once, so that a delta of any size costs nothing."""
    token = text[:size]
    while True:
        yield token
