"""The beginning of an answer that a request brings: what the assistant has said already, and is not to say again.

Providers have different words for it: the last message is the assistant's, with `partial` or `prefix` in it, or with
`continue_final_message` beside the messages; where the dialect has no such word, that it is the last one says it all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from thalweg.simulator.models import Passage
from thalweg.simulator.vendors.base import Tree

_UNMARKED = frozenset({"anthropic"})


def beginning_of(tree: Tree, dialect: str) -> str:
    """What the answer is to go on from; empty where it is to begin."""
    messages = tree.get("messages")
    last = messages[-1] if isinstance(messages, list) and messages else None
    if not isinstance(last, dict) or last.get("role") != "assistant":
        return ""
    marked = last.get("partial") is True or last.get("prefix") is True or tree.get("continue_final_message") is True
    return _text(last.get("content")) if marked or dialect in _UNMARKED else ""


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    blocks = content if isinstance(content, list) else []
    return "".join(str(block.get("text", "")) for block in blocks if isinstance(block, dict))


def rest_of(passages: Iterable[Passage], beginning: str) -> Iterator[Passage]:
    """What is left to say after a beginning. One that is not ours is passed over: all is said."""
    passages = iter(passages)
    for passage in passages if beginning else ():
        if passage.kind == "text":
            yield msgspec.structs.replace(passage, tokens=_after(passage.tokens, beginning))
            break
    yield from passages


def _after(tokens: Iterable[str], beginning: str) -> Iterator[str]:
    tokens, left, said = iter(tokens), beginning, []
    for token in tokens:
        if left.startswith(token):
            said.append(token)
            left = left[len(token) :]
        else:
            if token.startswith(left):
                yield token[len(left) :]
            else:
                yield from (*said, token)
            break
        if not left:
            break
    yield from tokens
