"""What the user said last, and how many tokens the whole request has."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from typing import Any

import msgspec

from thalweg.canon.parts import Media, Opaque, Part, Reasoning, Refusal, Text, ToolCall, ToolResult
from thalweg.canon.request import Message, Request
from thalweg.simulator.tokens import count

_MEDIA_TOKENS = 85
"""What one file costs, whatever its size."""


class Turn(msgspec.Struct, frozen=True):
    """The user's last turn: every message since the assistant spoke."""

    prompt: str
    results: tuple[ToolResult, ...]
    media: tuple[Media, ...]
    steps: int = 0
    """How often the assistant has called tools, and was answered, since the user's last words."""
    all_results: tuple[ToolResult, ...] = ()
    """The results of all those steps, in order."""


def last_turn(messages: Iterable[Message]) -> Turn:
    """The last turn of a talk; an empty one where the user said nothing. An assistant's unfinished words are passed
    over.
    """
    messages = tuple(messages)
    parts = [part for message in reversed(_last_messages(messages)) for part in message.parts]
    steps = _steps(messages)
    results = tuple(part for part in parts if isinstance(part, ToolResult))
    inside = [part for result in results for part in result.parts]
    return Turn(
        prompt="\n".join(part.text for part in parts if isinstance(part, Text)),
        results=results,
        media=tuple(part for part in [*parts, *inside] if isinstance(part, Media)),
        steps=len(steps),
        all_results=tuple(result for step in reversed(steps) for result in step),
    )


def _steps(messages: Iterable[Message]) -> list[list[ToolResult]]:
    """The results of each step since the user's last words, last step first. Whoever is told a result and a word beside
    it is still at the same task.
    """
    steps: list[list[ToolResult]] = []
    for role, run in groupby(reversed(tuple(messages)), key=lambda message: message.role == "assistant"):
        if role:
            continue
        parts = [part for message in reversed(list(run)) for part in message.parts if message.role == "user"]
        results = [part for part in parts if isinstance(part, ToolResult)]
        if results:
            steps.append(results)
        elif parts:
            break
    return steps


def _last_messages(messages: Iterable[Message]) -> list[Message]:
    """The user's messages of the last turn, last first."""
    found: list[Message] = []
    for message in reversed(tuple(messages)):
        if message.role == "user":
            found.append(message)
        elif message.role == "assistant" and found:
            break
    return found


def input_tokens(asked: Request) -> int:
    """The tokens of everything in a request: instructions, talk, files and the tools' definitions."""
    parts = [*asked.system, *(part for message in asked.messages for part in message.parts)]
    tools = sum(count(msgspec.json.encode(tool).decode()) for tool in asked.tools)
    return sum(map(_part_tokens, parts)) + tools


def _part_tokens(part: Part) -> int:
    return sum(count(text) for text in _TEXTS[type(part)](part)) + _MEDIA_TOKENS * isinstance(part, Media)


def _own_text(part: Text | Reasoning | Refusal) -> Iterator[str]:
    yield part.text


def _call_texts(part: ToolCall) -> Iterator[str]:
    yield part.name
    yield part.arguments


def _result_texts(part: ToolResult) -> Iterator[str]:
    for inner in part.parts:
        yield from _TEXTS[type(inner)](inner)


def _no_text(_: Part) -> Iterator[str]:
    return iter(())


_TEXTS: dict[type, Callable[[Any], Iterator[str]]] = {
    Text: _own_text,
    Reasoning: _own_text,
    Refusal: _own_text,
    ToolCall: _call_texts,
    ToolResult: _result_texts,
    Media: _no_text,
    Opaque: _no_text,
}
