"""Keeps what an assistant's turn had and a client of another dialect may not bring back: thoughts and signatures.

A turn is found again by the ids of its calls, or by what can be seen of it, its text and calls, for clients that write
their history anew. It belongs to whoever's credential it was made for. What is kept is bounded in bytes and in time;
what is lost costs the model its train of thought, never the request.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from hashlib import sha256

import msgspec
from msgspec.structs import replace

from thalweg.canon.events import Event, PartDelta, ResponseEnded
from thalweg.canon.fold import Fold
from thalweg.canon.parts import Part, Reasoning, Text, ToolCall, ToolResult
from thalweg.canon.request import Message

Owner = bytes
"""A digest of the credential that a request presented."""
Key = bytes

MOST_BYTES = 64 * 1024 * 1024
MOST_TURN_BYTES = 1024 * 1024
"""A longer turn is not kept."""
TTL_S = 3600.0


class _Kept(msgspec.Struct):
    """One turn."""

    parts: tuple[Part, ...]
    keys: tuple[Key, ...]
    size: int
    until: float


class TurnStore:
    """The turns of one process. Times are monotonic seconds."""

    def __init__(self, *, most_bytes: int = MOST_BYTES, ttl_s: float = TTL_S) -> None:
        self._most_bytes = most_bytes
        self._ttl_s = ttl_s
        self._turns: OrderedDict[Key, _Kept] = OrderedDict()
        """By their first key, oldest first."""
        self._first: dict[Key, Key] = {}
        """The first key of each key's turn."""
        self.held_bytes = 0

    def __len__(self) -> int:
        return len(self._turns)

    def keep(self, owner: Owner, parts: tuple[Part, ...], now: float) -> None:
        """Keep a turn, if it has anything that a client could lose."""
        if not any(isinstance(part, Reasoning) or getattr(part, "signature", None) for part in parts):
            return
        keys = tuple(dict.fromkeys(_keys(owner, parts)))
        size = _size(parts)
        if not keys or size > MOST_TURN_BYTES:
            return
        for key in keys:
            self._drop(self._first.get(key))
        self._turns[keys[0]] = _Kept(parts, keys, size, now + self._ttl_s)
        self._first |= dict.fromkeys(keys, keys[0])
        self.held_bytes += size
        self.expire(now)

    def expire(self, now: float) -> None:
        """Forget what is too old, and the oldest of what is too much."""
        while self._turns:
            first, kept = next(iter(self._turns.items()))
            if kept.until > now and self.held_bytes <= self._most_bytes:
                return
            self._drop(first)

    def restore(self, owner: Owner, messages: Iterable[Message], now: float) -> tuple[Message, ...]:
        """The messages, with what their assistants' turns have lost: proofs, and the order in which they stood.

        A turn that has proofs of which nothing is known here is left alone.
        """
        self.expire(now)
        if not self._turns:
            return tuple(messages)
        out: list[Message] = []
        renamed: dict[str, str] = {}
        for message in messages:
            if message.role == "assistant":
                message, renamed = self._restored(owner, message)  # noqa: PLW2901  # the same message, made whole
            elif renamed:
                message = _renamed(message, renamed)  # noqa: PLW2901  # the same message, its results with their calls
            out.append(message)
        return tuple(out)

    def _restored(self, owner: Owner, message: Message) -> tuple[Message, dict[str, str]]:
        """One assistant's turn, and the client's ids of its calls that were not the upstream's."""
        kept = self._find(owner, message.parts)
        if kept is None or not _proofs(message.parts) <= _proofs(kept.parts):
            return message, {}
        calls = [part for part in message.parts if isinstance(part, ToolCall)]
        ours = [part for part in kept.parts if isinstance(part, ToolCall)]
        renamed = {theirs.id: own.id for theirs, own in zip(calls, ours, strict=True) if theirs.id != own.id}
        return replace(message, parts=_merged(kept.parts, message.parts)), renamed

    def _find(self, owner: Owner, parts: tuple[Part, ...]) -> _Kept | None:
        calls = _seen_calls(parts)
        for key in _keys(owner, parts):
            kept = self._turns.get(self._first.get(key, b""))
            if kept is not None and _seen_calls(kept.parts) == calls:
                return kept
        return None

    def _drop(self, first: Key | None) -> None:
        kept = None if first is None else self._turns.pop(first, None)
        if kept is None:
            return
        self.held_bytes -= kept.size
        for key in kept.keys:
            self._first.pop(key, None)


class TurnKeeper:
    """Listens to an answer, and keeps its first choice once it is whole."""

    __slots__ = (
        "_chars",
        "_clock",
        "_fold",
        "_owner",
        "_part",
        "_pieces",
        "_store",
    )

    def __init__(self, store: TurnStore, owner: Owner, clock: Callable[[], float]) -> None:
        self._store = store
        self._owner = owner
        self._clock = clock
        self._fold = Fold()
        self._chars = 0
        self._part = -1
        """The part that grew last."""
        self._pieces: list[str] = []
        """Its text so far."""

    def grow(self, event: PartDelta) -> None:
        """One event by which a part grows."""
        self._chars += len(event.text)
        if self._chars > MOST_TURN_BYTES:
            return
        if event.index != self._part:
            self._part, self._pieces = event.index, self._fold.pieces_of(event.index)
        self._pieces.append(event.text)

    def hear(self, events: list[Event]) -> None:
        """Some events."""
        if self._chars > MOST_TURN_BYTES:
            return
        self._chars += sum(len(event.text) for event in events if type(event) is PartDelta)
        self._fold.feed(events)
        if events and type(events[-1]) is ResponseEnded and self._chars <= MOST_TURN_BYTES:
            answer = self._fold.response()
            if answer.choices:
                self._store.keep(self._owner, answer.choices[0].parts, self._clock())


def _proofs(parts: tuple[Part, ...]) -> set[str]:
    """The signatures in a turn, which may have come back without a model's name."""
    return {found.data for part in parts if (found := getattr(part, "signature", None)) is not None}


def _merged(kept: tuple[Part, ...], said: tuple[Part, ...]) -> tuple[Part, ...]:
    """The turn as it was; its text as the client now has it, without the proof of words that it has changed."""
    said = _without_thoughts(kept, said)
    if _seen_text(kept) == _seen_text(said):
        return kept
    texts = iter([part for part in said if isinstance(part, Text)])
    out: list[Part] = []
    for part in kept:
        if isinstance(part, Text):
            continue
        if isinstance(part, ToolCall):
            out += texts
        out.append(part)
    return (*out, *texts)


def _without_thoughts(kept: tuple[Part, ...], said: tuple[Part, ...]) -> tuple[Part, ...]:
    """What was said, without the turn's own thoughts: some clients send them back as a text, between tags."""
    thoughts = {part.text.strip() for part in kept if isinstance(part, Reasoning)}
    out: list[Part] = []
    for part in said:
        found = _THOUGHT.match(part.text) if isinstance(part, Text) else None
        if found is None or found[1].strip() not in thoughts:
            out.append(part)
        elif isinstance(part, Text) and (rest := part.text[found.end() :]):
            out.append(replace(part, text=rest))
    return tuple(out)


_THOUGHT = re.compile(r"\s*<think>(.*?)</think>\s*", re.DOTALL)
"""As pydantic-ai writes thoughts for a model of which it does not know that it takes them."""


def _renamed(message: Message, names: dict[str, str]) -> Message:
    parts = tuple(
        replace(part, call_id=names.get(part.call_id, part.call_id)) if isinstance(part, ToolResult) else part
        for part in message.parts
    )
    return replace(message, parts=parts)


def _keys(owner: Owner, parts: tuple[Part, ...]) -> Iterator[Key]:
    """By each call's id, then by what can be seen."""
    for part in parts:
        if isinstance(part, ToolCall) and part.id:
            yield sha256(b"\0".join((b"call", owner, part.id.encode("utf-8", "surrogatepass")))).digest()
    text, calls = _seen_text(parts), _seen_calls(parts)
    if text or calls:
        yield sha256(b"\0".join((b"seen", owner, msgspec.json.encode((text, calls))))).digest()


def _seen_text(parts: Iterable[Part]) -> str:
    text = "".join(part.text for part in parts if isinstance(part, Text)).strip()
    return text.encode("utf-8", "replace").decode()


def _seen_calls(parts: Iterable[Part]) -> list[tuple[str, str]]:
    """Names and arguments of the calls, without the white space and order of keys that a client may change."""
    return [(part.name, _plain(part.arguments)) for part in parts if isinstance(part, ToolCall)]


def _plain(arguments: str) -> str:
    try:
        return msgspec.json.encode(msgspec.json.decode(arguments or "{}"), order="deterministic").decode()
    except (msgspec.MsgspecError, RecursionError, UnicodeEncodeError):
        return arguments.encode("utf-8", "replace").decode()


def _size(parts: tuple[Part, ...]) -> int:
    """About how many bytes a turn takes."""
    size = 0
    for part in parts:
        signature = getattr(part, "signature", None)
        size += 256 + len(getattr(part, "text", "")) + len(getattr(part, "arguments", ""))
        size += len(signature.data) if signature is not None else 0
    return size
