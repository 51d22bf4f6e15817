"""Anthropic: thoughts are signed, and its rules for turns with tools are kept.

What it says to a talk that it does not go on with: the Anthropic dossier, sections 8 and 11, and messages that users
report of its API, read 2026-11.
"""

from __future__ import annotations

import random
from base64 import b64decode, b64encode
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, NamedTuple

import msgspec

from thalweg.canon.errors import InvalidRequest
from thalweg.canon.events import Event, ResponseStarted, UsageReported
from thalweg.canon.parts import Signature
from thalweg.canon.request import ReasoningAsk, Request
from thalweg.dialects.base import Dialect
from thalweg.simulator.vendors.base import Asking, Spoken, Tree, Vendor
from thalweg.simulator.vendors.proofs import (
    A_TEXT,
    SOMETHING_ELSE,
    CallIds,
    Follower,
    Verdict,
    a_call,
    check,
    judge,
    seal,
)
from thalweg.simulator.vendors.trees import objects, string
from thalweg.simulator.vendors.voice import Accent, Accented

NAME = "anthropic"
_IDS = CallIds("toolu_01", 22)
_HEAD = b"\x12\xd4\x02\x0a"
"""How the bytes of a signature begin."""
_SIZE = 160
_THOUGHTS = {"thinking": ("signature", "thinking"), "redacted_thinking": ("data", "redacted")}
"""Where the signature of a block is, and what kind it has."""
_ON = ("enabled", "adaptive")


# Answers.


class AnthropicProver:
    """Signs one answer's thoughts and names its calls."""

    def __init__(self, asking: Asking) -> None:
        self._entropy = f"{NAME} {asking.entropy}"
        self._made = 0

    def _next(self) -> str:
        self._made += 1
        return f"{self._entropy} {self._made}"

    def call_id(self, name: str, arguments: str | None) -> str:
        """An id that checks name and arguments."""
        return _IDS.make(self._next(), name, arguments)

    def sign_reasoning(self, text: str, follower: Follower, *, redacted: bool) -> Signature:
        """The signature of a thought; of one that is redacted, the thought itself, encrypted."""
        kind, own = ("redacted", ()) if redacted else ("thinking", (text,))
        sealed = _HEAD + seal(f"{NAME} {kind}", own, follower, entropy=self._next(), size=_SIZE)
        data = b64encode(sealed).decode()
        return Signature(vendor=NAME, model="", kind="redacted" if redacted else "signature", data=data)

    def sign_call(self, _: str, __: str | None) -> None:
        """Calls are not signed."""

    def sign_text(self, _: str) -> None:
        """Texts are not signed."""


class _Counted(Accent):
    """The prompt's tokens stand at the beginning of a stream, too."""

    def events(self, events: list[Event]) -> list[Event]:
        if any(isinstance(event, ResponseStarted) for event in events):
            return [*events, UsageReported(usage=self.spoken.spent())]
        return events


def _voice(dialect: Dialect, spoken: Spoken) -> Dialect:
    return Accented(dialect, _Counted(spoken)).as_dialect()


def _message_id(rng: random.Random) -> str:
    return "msg_01" + "".join(rng.choices("123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz", k=22))


def _headers(response_id: str) -> tuple[tuple[bytes, bytes], ...]:
    return ((b"request-id", b"req_011" + check("request", response_id).hex()[:21].encode()),)


def _read(asked: Request, tree: Tree) -> Request:
    """It thinks where it is told to, and then shows it unless it is told not to."""
    thinking = tree.get("thinking")
    if isinstance(thinking, dict) and thinking.get("type") in _ON:
        return asked
    return msgspec.structs.replace(asked, reasoning=ReasoningAsk(mode="off"))


# What comes back.


class _Block(NamedTuple):
    """A block, and where it stands."""

    path: str
    message: int
    tree: Tree

    @property
    def kind(self) -> str:
        return string(self.tree.get("type"))


class _Turn(NamedTuple):
    """Messages of one role in a row, which count as one."""

    role: str
    blocks: list[_Block]


def _check(tree: Tree) -> None:
    """Raises `InvalidRequest`."""
    turns = _turns(tree.get("messages"))
    for turn in turns:
        if turn.role == "assistant":
            _check_thoughts(turn)
            _check_calls(turn)
    thinking = tree.get("thinking")
    if isinstance(thinking, dict) and thinking.get("type") == "enabled":
        _check_beginning(turns)
    _check_results(turns)


def _turns(messages: Any) -> list[_Turn]:
    turns: list[_Turn] = []
    for at, message in enumerate(objects(messages)):
        role = string(message.get("role"))
        if role == "system":
            continue
        if not turns or turns[-1].role != role:
            turns.append(_Turn(role, []))
        turns[-1].blocks.extend(_blocks(at, message.get("content")))
    return turns


def _blocks(at: int, content: Any) -> Iterator[_Block]:
    if isinstance(content, str):
        yield _Block(f"messages.{at}.content.0", at, {"type": "text", "text": content})
        return
    for i, block in enumerate(objects(content)):
        yield _Block(f"messages.{at}.content.{i}", at, block)


def _check_thoughts(turn: _Turn) -> None:
    for block, follower in zip(turn.blocks, [*turn.blocks[1:], None], strict=True):
        if block.kind not in _THOUGHTS:
            continue
        slot, _ = _THOUGHTS[block.kind]
        value = block.tree.get(slot)
        if value is None:
            raise InvalidRequest(f"{block.path}.{block.kind}.{slot}: Field required")
        verdict = _verdict(block, string(value), _follower(follower))
        if verdict == "good":
            if follower is None:
                raise InvalidRequest(
                    f"messages.{block.message}: The final block in an assistant message cannot be `{block.kind}`."
                )
            continue
        if verdict == "moved":
            raise InvalidRequest(
                f"{block.path}: `thinking` or `redacted_thinking` blocks in the latest assistant message cannot be "
                "modified. These blocks must remain as they were in the original response."
            )
        raise InvalidRequest(f"{block.path}: Invalid `{slot}` in `{block.kind}` block")


def _verdict(block: _Block, value: str, follower: Follower | None) -> Verdict:
    sealed = _opened(value)
    _, kind = _THOUGHTS[block.kind]
    own = (string(block.tree.get("thinking")),) if kind == "thinking" else ()
    return "changed" if sealed is None else judge(f"{NAME} {kind}", sealed, own, follower)


def _opened(value: str) -> bytes | None:
    """The bytes of a signature; `None` for what is no such thing, or is written otherwise than it was."""
    try:
        data = b64decode(value, validate=True)
    except ValueError:
        return None
    if b64encode(data).decode() != value or not data.startswith(_HEAD):
        return None
    return data[len(_HEAD) :]


def _follower(block: _Block | None) -> Follower | None:
    if block is None:
        return None
    if block.kind == "tool_use":
        return a_call(string(block.tree.get("name")), block.tree.get("input"))
    return A_TEXT if block.kind == "text" else SOMETHING_ELSE


def _check_calls(turn: _Turn) -> None:
    seen: set[str] = set()
    for block in turn.blocks:
        if block.kind != "tool_use":
            continue
        call_id = string(block.tree.get("id"))
        if call_id in seen:
            raise InvalidRequest("messages: `tool_use` ids must be unique")
        seen.add(call_id)
        if not _IDS.belongs(call_id, block.tree.get("name"), block.tree.get("input")):
            what = "its `id` belongs to another `name` or `input`"
            raise InvalidRequest(f"{block.path}: Invalid `tool_use` block: {what}")


def _check_beginning(turns: list[_Turn]) -> None:
    """The last turn with calls begins with a thought, as long as their results are what is to be answered."""
    if len(turns) < 2 or turns[-1].role == "assistant" or turns[-2].role != "assistant":
        return
    said, answered = turns[-2].blocks, turns[-1].blocks
    calls = any(block.kind == "tool_use" for block in said)
    results = any(block.kind == "tool_result" for block in answered)
    if calls and results and said[0].kind not in _THOUGHTS:
        raise InvalidRequest(
            f"{said[0].path}.type: Expected `thinking` or `redacted_thinking`, but found `{said[0].kind}`. When "
            "`thinking` is enabled, a final `assistant` message must start with a thinking block (preceeding the "
            "lastmost set of `tool_use` and `tool_result` blocks). We recommend you include thinking blocks from "
            "previous turns. To avoid this requirement, disable `thinking`. Please consult our documentation at "
            "https://docs.claude.com/en/docs/build-with-claude/extended-thinking"
        )


def _check_results(turns: list[_Turn]) -> None:
    nobody = _Turn("user", [])
    for turn, after in pairwise([nobody, *turns, nobody]):
        if turn.role == "assistant":
            _check_answered(turn, after)
        if after.role == "user":
            _check_asked(turn, after)


def _check_answered(turn: _Turn, after: _Turn) -> None:
    """Every call has its result at the beginning of the next turn."""
    first = next((at for at, block in enumerate(after.blocks) if block.kind != "tool_result"), len(after.blocks))
    answered = {string(block.tree.get("tool_use_id")) for block in after.blocks[:first]}
    calls = [block for block in turn.blocks if block.kind == "tool_use"]
    lacking = [call_id for block in calls if (call_id := string(block.tree.get("id"))) not in answered]
    if lacking:
        raise InvalidRequest(
            f"messages.{calls[-1].message}: `tool_use` ids were found without `tool_result` blocks immediately after: "
            f"{', '.join(lacking)}. Each `tool_use` block must have a corresponding `tool_result` block in the next "
            "message."
        )


def _check_asked(turn: _Turn, after: _Turn) -> None:
    """Every result has its call in the turn before."""
    called = {string(block.tree.get("id")) for block in turn.blocks if block.kind == "tool_use"}
    seen: set[str] = set()
    for block in after.blocks:
        if block.kind != "tool_result":
            continue
        call_id = string(block.tree.get("tool_use_id"))
        if call_id not in called:
            raise InvalidRequest(
                f"{block.path}: unexpected `tool_use_id` found in `tool_result` blocks: {call_id}. Each "
                "`tool_result` block must have a corresponding `tool_use` block in the previous message."
            )
        if call_id in seen:
            raise InvalidRequest(
                f"{block.path}: each tool_use must have a single result. Found multiple `tool_result` blocks with id: "
                f"{call_id}"
            )
        seen.add(call_id)


ANTHROPIC = Vendor(
    response_id=_message_id,
    headers=_headers,
    form="summary",
    hidden_parts=True,
    one_choice=True,
    must_think=True,
    reads=_read,
    prover=AnthropicProver,
    check=_check,
    voice=_voice,
)
"""The vendor of the dialect `anthropic`."""
