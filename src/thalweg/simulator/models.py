"""The simulated models: what each says to a request, as passages of tokens. When and in which bytes is not known here.

Source of what `text`, `reasoning`, `tools`, `slow` and `error-midstream` promise: the acceptance suite, "The
simulator's side".
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

import msgspec

from thalweg.canon.finish import FinishReason
from thalweg.canon.parts import PartKind, Text, ToolResult
from thalweg.canon.request import Request, Tool
from thalweg.canon.scenario import Scenario
from thalweg.simulator.arguments import fill_arguments, fill_schema
from thalweg.simulator.knobs import Knobs
from thalweg.simulator.markdown import article
from thalweg.simulator.pictures import describe, facts
from thalweg.simulator.tokens import count, split
from thalweg.simulator.turn import Turn
from thalweg.simulator.words import CHINESE, Voice, thoughts, voice_for

_QUOTED_CHARS = 2_000
"""The longest prompt that is repeated whole."""
_SHORT_CHARS = 60
"""The longest prompt that is greeted, when it is the first of a talk."""

_SLOW_S = 12
"""How long `slow` speaks; ten seconds are promised."""
_LONG_TOKENS = 4_000


class Scene(msgspec.Struct, frozen=True):
    """What a model knows when it speaks: the request, its last turn, the choice that is being made."""

    asked: Request
    turn: Turn
    knobs: Knobs
    choice: int
    rng: random.Random
    must_think: bool = False
    """Whether a call may not come without a thought before it, where thinking is asked for."""


class Passage(msgspec.Struct, frozen=True):
    """One part of an answer. `tokens` may be endless and is read once; those of a call are its arguments."""

    kind: PartKind
    tokens: Iterable[str]
    call_id: str | None = None
    name: str | None = None
    call_kind: str = "function"
    hidden: bool = False
    """Whether it is counted and takes its time, and is not sent."""
    redacted: bool = False
    """Whether of a hidden thought nothing but its ciphertext may be seen."""
    finish: FinishReason | None = None
    """Why the answer ends after it; `None` lets it go on, or end as usual."""


Speaker = Callable[[Scene], Iterator[Passage]]


class Model(msgspec.Struct, frozen=True):
    """One row of the table."""

    speak: Speaker
    says: str
    """What it does, in one sentence."""
    knobs: Knobs = Knobs()
    """What holds where neither name nor field says otherwise."""
    hidden: bool = False
    """Whether it is kept out of the list of models: it is made for tests."""
    endless: bool = False
    stream_only: bool = False
    """Whether it refuses a request that does not stream."""
    scenario: Scenario | None = None
    """What it tells instead of speaking."""


def speak_text(scene: Scene) -> Iterator[Passage]:
    """Repeats the prompt, and says what it sees in files and tool results."""
    yield _shaped(scene) or Passage("text", _of_length(_words(scene), scene.knobs.tokens))


def _slow(scene: Scene) -> Iterator[Passage]:
    knobs = scene.knobs
    enough = math.ceil(_SLOW_S * (knobs.pace or 5)) * knobs.chunk
    yield Passage("text", _of_length(_words(scene), enough if knobs.tokens is None else knobs.tokens))


def _endless(scene: Scene) -> Iterator[Passage]:
    size = scene.knobs.size
    yield Passage("text", _again(_words(scene)) if size is None else _same("flow " * (size // 5 + 1), size))


def _reasoning(scene: Scene) -> Iterator[Passage]:
    yield from _thoughts(scene, unasked=True)
    yield from speak_text(scene)


def _tools(scene: Scene) -> Iterator[Passage]:
    """Calls what is offered, or speaks as `text` when results are there or nothing may be called."""
    tools = [] if scene.turn.results else _callable_tools(scene.asked)
    if scene.must_think:
        yield from _thoughts(scene)
    if not tools:
        yield from speak_text(scene)
    for tool in tools:
        yield _call(scene, tool)


def _call(scene: Scene, tool: Tool, arguments: str | None = None) -> Passage:
    """A call with these arguments, or with any that fit."""
    call_id = f"call_{scene.rng.getrandbits(96):024x}"
    if tool.kind == "custom":
        return Passage("tool_call", split(CHINESE.closings[0]), call_id, tool.name, "custom")
    given = fill_arguments(tool.parameters, scene.rng) if arguments is None else arguments
    return Passage("tool_call", split(given), call_id, tool.name)


_STEPS = 3
"""How often `agent` calls before it answers."""


def _agent(scene: Scene) -> Iterator[Passage]:
    """Goes through three steps with calls, whatever comes of them, and then tells all results."""
    tools = _callable_tools(scene.asked)
    step = scene.turn.steps + 1 if tools else _STEPS + 1
    # Each step is another draw, also where a seed is given: no two calls of one task may have one id.
    scene = msgspec.structs.replace(scene, rng=random.Random(f"step {step} {scene.rng.getrandbits(64)}"))
    yield from _thoughts(scene, unasked=True)
    if step == 1:
        pair = [tools[0], tools[1 % len(tools)]]
        for tool in pair[:1] if scene.asked.parallel_tool_calls is False else pair:
            yield _call(scene, tool)
    elif step == 2:
        yield _call(scene, tools[-1], "{}")
    elif step == _STEPS:
        yield _call(scene, tools[0], _nested(tools[0], scene.rng))
    else:
        yield _shaped(scene) or Passage("text", _of_length(_told(scene), scene.knobs.tokens))


def _nested(tool: Tool, rng: random.Random) -> str:
    """Arguments that fit, and beside them, unless the schema forbids it, what is easily spoiled on the way."""
    fitting: dict[str, Any] = msgspec.json.decode(fill_arguments(tool.parameters, rng))
    if not (isinstance(tool.parameters, dict) and tool.parameters.get("additionalProperties") is False):
        fitting["détails 深泓"] = {
            "鱼": ["🐟", "e\u0301", 'a "quote", a \\ and a\nline', "\u2028"],
            "numbers": [0, -7, 2.5, 1e21, 9007199254740991],
            "nothing": [None, True, False, {}, [], ""],
        }
    return msgspec.json.encode(fitting).decode()


def _told(scene: Scene) -> str:
    """Every result since the user's last words, in order."""
    told = [_voice(scene).told + _result_text(result) for result in scene.turn.all_results]
    return _framed(scene, [*told, *map(describe, scene.turn.media)])


def _redacted(scene: Scene) -> Iterator[Passage]:
    for passage in _thoughts(scene, unasked=True):
        yield msgspec.structs.replace(passage, hidden=True, redacted=True)
    yield from speak_text(scene)


def _json(scene: Scene) -> Iterator[Passage]:
    yield from _thoughts(scene)
    yield _shaped(scene) or Passage("text", split(_small_object(scene)))


def _vision(scene: Scene) -> Iterator[Passage]:
    yield from _thoughts(scene)
    yield _shaped(scene) or Passage("text", _of_length(_seen(scene), scene.knobs.tokens))


def _long(scene: Scene) -> Iterator[Passage]:
    yield from _thoughts(scene)
    length = _LONG_TOKENS if scene.knobs.tokens is None else scene.knobs.tokens
    yield _shaped(scene) or Passage("text", article(_quoted(scene.turn.prompt), scene.rng, length))


def _filter(scene: Scene) -> Iterator[Passage]:
    """Speaks as `text` for two thirds of it, or for as many tokens as are asked for."""
    words, length = _words(scene), scene.knobs.tokens
    said = _of_length(words, count(words) * 2 // 3 if length is None else length)
    yield Passage("text", said, finish=FinishReason.CONTENT_FILTER)


SPEAKERS: dict[str, Model] = {
    "text": Model(speak_text, "Repeats the prompt, and says what it sees in files and tool results."),
    "reasoning": Model(_reasoning, "Thinks, unless it is told not to, then answers as `text`."),
    "tools": Model(
        _tools,
        "Calls every tool that is offered once, with arguments that fit its schema; with their results, answers.",
    ),
    "agent": Model(
        _agent,
        "Thinks and calls in three steps: two tools at once, one without arguments, one with nested ones in many "
        "scripts; then tells all results.",
    ),
    "redacted": Model(_redacted, "Thinks what nobody may see, then answers as `text`."),
    "json": Model(_json, "Answers with JSON: of the schema that was sent, or else a small object."),
    "vision": Model(_vision, "Says what it finds in the images that were sent with the prompt: format, size, colour."),
    "long": Model(_long, f"Writes an article of {_LONG_TOKENS:,} tokens in Markdown, or of as many as `tokens` says."),
    "slow": Model(_slow, f"Speaks as `text` for {_SLOW_S} seconds.", Knobs(pace=5)),
    "filter": Model(_filter, "Speaks as `text`, and is cut short by a content filter."),
    "stream-only": Model(speak_text, "Speaks as `text`, and refuses requests that do not stream.", stream_only=True),
    "endless": Model(_endless, "Speaks for ever; it must be streamed, or capped.", hidden=True, endless=True),
}
"""Those that give an answer, by name."""


def _thoughts(scene: Scene, *, unasked: bool = False) -> Iterator[Passage]:
    """What is thought before the answer, where that is asked for, or may be `unasked`."""
    asked = scene.asked.reasoning
    if asked.mode == "off" or (asked.mode == "default" and not unasked):
        return
    # A budget is a cap and says nothing of effort: whoever gives one sees it used up where that is possible.
    effort = "max" if asked.mode == "budget" else asked.effort
    yield Passage("reasoning", islice(split(thoughts(effort)), asked.budget_tokens), hidden=asked.show == "none")


def _callable_tools(asked: Request) -> list[Tool]:
    choice = asked.tool_choice
    if choice and choice.mode == "none":
        return []
    offered = [tool for tool in asked.tools if tool.kind != "hosted"]
    if choice and choice.names:
        offered = [tool for tool in offered if tool.name in choice.names]
    return offered[:1] if asked.parallel_tool_calls is False else offered


def _shaped(scene: Scene) -> Passage | None:
    """The answer in the shape that was asked for; `None` where that is plain text."""
    output = scene.asked.output
    if output.format == "text":
        return None
    fitted = output.format == "json_schema" and output.schema is not None
    return Passage("text", split(fill_schema(output.schema, scene.rng) if fitted else _small_object(scene)))


def _small_object(scene: Scene) -> str:
    return msgspec.json.encode({"answer": _words(scene), "characters": len(scene.turn.prompt)}).decode()


def _words(scene: Scene) -> str:
    """The prompt in a frame that differs from choice to choice."""
    told = [_voice(scene).told + _result_text(result) for result in scene.turn.results]
    return _framed(scene, [*told, *map(describe, scene.turn.media)])


def _seen(scene: Scene) -> str:
    """The prompt, and what the images with it are."""
    media = scene.turn.media
    images = [each for each in media if each.kind == "image"]
    names = [f"Image {at} of {len(images)}" for at in range(1, len(images) + 1)] if len(images) > 1 else ["The image"]
    seen = [facts(image, name) for image, name in zip(images, names, strict=False)]
    others = [describe(each) for each in media if each.kind != "image"]
    return _framed(scene, [*(seen or ["There is no image in your last message, so there is nothing to see."]), *others])


def _framed(scene: Scene, paragraphs: list[str]) -> str:
    turn, voice = scene.turn, _voice(scene)
    at = (scene.rng.randrange(len(voice.openings)) + scene.choice) % len(voice.openings)
    again = f"({scene.choice + 1}) " if scene.choice else ""
    greeting = voice.greeting if _is_greeted(scene) else ""
    quoted = [] if turn.results and not turn.prompt else [greeting + voice.openings[at] + _quoted(turn.prompt)]
    return again + "\n\n".join([*quoted, *paragraphs, voice.closings[at]])


def _voice(scene: Scene) -> Voice:
    """The voice in the language of the user's last words, which may be some turns ago."""
    messages = (message for message in reversed(scene.asked.messages) if message.role == "user")
    words = (part.text for message in messages for part in message.parts if isinstance(part, Text))
    return voice_for(scene.turn.prompt or next(words, ""))


def _is_greeted(scene: Scene) -> bool:
    """Whether this is the beginning of a talk, and short enough to be one."""
    short = len(scene.turn.prompt) <= _SHORT_CHARS and not scene.turn.results
    return short and all(message.role != "assistant" for message in scene.asked.messages)


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
