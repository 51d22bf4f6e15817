"""Repair rows: each names one way in which a provider's Chat frames break SDKs or common code, and the mend.

A row says which chunks need it and edits only those, only there: the JSON is opened level by level, and every value
that no row touches keeps its very bytes and its place. What SDKs need, and how it was found out, is told beside each
row; `docs/repairs.md` is made from this table.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Raw

from thalweg.dialects.openai_chat.calls import CallBook, CallSlot, custom_of, name_of
from thalweg.dialects.openai_chat.tables import CHUNK_OBJECT
from thalweg.dialects.openai_chat.wire import (
    Chunk,
    ChunkChoice,
    FunctionPiece,
    ToolPiece,
    arguments_of,
    reasoning_of,
    text_of,
)

_object = msgspec.json.Decoder(dict[str, Raw]).decode
_array = msgspec.json.Decoder(list[Raw]).decode
_EMPTY = Raw(b'""')
Tree = dict[str, Any]
"""A JSON object opened one level: names to raw values, or to what a row put there."""


class ChoiceMemory:
    """What the rows must remember of the calls of one choice through the stream."""

    __slots__ = ("book", "identified", "named")

    def __init__(self) -> None:
        self.book = CallBook()
        self.identified: set[CallSlot] = set()
        """Calls whose id has been passed on."""
        self.named: set[CallSlot] = set()
        """Calls whose name has been passed on."""


class Memory(msgspec.Struct, eq=False):
    """What the rows must remember through the stream."""

    choices: dict[int, ChoiceMemory] = {}
    """Of those with calls."""
    roles: set[int] = set()
    """Choices whose role has been said."""
    response_id: str | None = None
    response_model: str | None = None
    created: int | None = None

    @property
    def knows_answer(self) -> bool:
        """Whether id and model have been said."""
        return self.response_id is not None and self.response_model is not None

    def choice(self, at: int) -> ChoiceMemory:
        """The memory of one choice."""
        if at not in self.choices:
            self.choices[at] = ChoiceMemory()
        return self.choices[at]


class Draft:
    """One chunk being mended: as it was read, and its JSON opened down to the deltas."""

    __slots__ = ("choices", "chunk", "deltas", "top")

    def __init__(self, payload: bytes, chunk: Chunk) -> None:
        self.chunk = chunk
        self.top: Tree = _object(payload)
        self.choices: list[Tree] = [_object(raw) for raw in _array(self.top["choices"])] if chunk.choices else []
        self.deltas: list[Tree] = [_object(choice["delta"]) if _has(choice, "delta") else {} for choice in self.choices]

    def payload(self) -> bytes:
        """The JSON again."""
        for choice, delta in zip(self.choices, self.deltas, strict=True):
            choice["delta"] = delta
        if self.choices:
            self.top["choices"] = self.choices
        return msgspec.json.encode(self.top)


def _has(tree: Tree, name: str) -> bool:
    value = tree.get(name)
    return value is not None and bytes(value) != b"null"


def _mend_object(draft: Draft, _: Memory) -> bool:
    if draft.chunk.object == CHUNK_OBJECT:
        return False
    draft.top["object"] = CHUNK_OBJECT
    return True


def _mend_envelope(draft: Draft, memory: Memory) -> bool:
    """`id` and `model` strings, `created` an integer: the first good ones of the stream fill the gaps."""
    chunk, mended = draft.chunk, False
    for name, value, kind, kept in (
        ("id", chunk.id, str, memory.response_id or "chatcmpl"),
        ("model", chunk.model, str, memory.response_model or ""),
        ("created", chunk.created, int, memory.created or 0),
    ):
        if type(value) is not kind:
            draft.top[name] = kept
            mended = True
    return mended


def _mend_delta(draft: Draft, _: Memory) -> bool:
    """A choice without `index` or `delta`."""
    mended = False
    for tree, choice in zip(draft.choices, draft.chunk.choices or (), strict=True):
        if choice.delta is None:
            mended = True
        if type(choice.index) is not int:
            tree["index"] = 0
            mended = True
    return mended


def _mend_content(draft: Draft, _: Memory) -> bool:
    mended = False
    for delta, choice in zip(draft.deltas, draft.chunk.choices or (), strict=True):
        if not isinstance(choice.delta and choice.delta.content, str | list):
            delta["content"] = _EMPTY
            mended = True
    return mended


def _mend_content_parts(draft: Draft, _: Memory) -> bool:
    mended = False
    for delta, choice in zip(draft.deltas, draft.chunk.choices or (), strict=True):
        if choice.delta and isinstance(choice.delta.content, list):
            delta["content"] = text_of(choice.delta.content)
            if reasoning := reasoning_of(choice.delta):
                delta["reasoning_content"] = reasoning
            mended = True
    return mended


def _mend_role(draft: Draft, memory: Memory) -> bool:
    mended = False
    for delta, choice in zip(draft.deltas, draft.chunk.choices or (), strict=True):
        if not _has(delta, "role"):
            continue
        if _index(choice) in memory.roles:
            del delta["role"]
            mended = True
        memory.roles.add(_index(choice))
    return mended


def _mend_tool_calls(draft: Draft, memory: Memory) -> bool:
    mended = False
    for delta, choice in zip(draft.deltas, draft.chunk.choices or (), strict=True):
        if not _has(delta, "tool_calls"):
            continue
        pieces = choice.delta.tool_calls if choice.delta else None
        if not pieces:
            del delta["tool_calls"]
            mended = True
            continue
        trees = [_object(raw) for raw in _array(delta["tool_calls"])]
        seen = memory.choice(_index(choice))
        # Every piece is looked at, also behind one that was mended: the book must hear of all.
        changes = [_mend_piece(tree, piece, seen) for tree, piece in zip(trees, pieces, strict=True)]
        if any(changes):
            delta["tool_calls"] = trees
            mended = True
    return mended


def _mend_piece(tree: Tree, piece: ToolPiece, seen: ChoiceMemory) -> bool:
    """Index from 0 without gaps, id and name once, a type at first, `function` always there, arguments a string."""
    before = len(seen.book.slots)
    slot = seen.book.place(piece)
    first = len(seen.book.slots) > before
    mended = False
    if piece.index != slot.number:
        tree["index"] = slot.number
        mended = True
    if first and not isinstance(piece.type, str):
        tree["type"] = "custom" if custom_of(piece) else "function"
        mended = True
    if slot in seen.identified and isinstance(piece.id, str) and piece.id:
        # openai-python's helper adds ids up like names: "call_1call_1".
        del tree["id"]
        mended = True
    elif slot.call_id:
        seen.identified.add(slot)
    if custom_of(piece) is None:
        mended |= _mend_function(tree, piece, slot, seen, first=first)
    return mended


def _mend_function(tree: Tree, piece: ToolPiece, slot: CallSlot, seen: ChoiceMemory, *, first: bool) -> bool:
    function: Tree = _object(tree["function"]) if _has(tree, "function") else {}
    said = piece.function or FunctionPiece()
    mended = piece.function is None
    if "name" in function and (slot in seen.named or not name_of(piece)):
        del function["name"]
        mended = True
    elif name_of(piece):
        seen.named.add(slot)
    if not isinstance(said.arguments, str) and (first or "arguments" in function):
        function["arguments"] = arguments_of(said.arguments)
        mended = True
    if mended:
        tree["function"] = function
    return mended


def _index(choice: ChunkChoice) -> int:
    return choice.index if isinstance(choice.index, int) else 0


Mend = Callable[[Draft, Memory], bool]
"""Edits a draft, and says whether it changed anything."""


class Row:
    """One repair: its name, why it is needed, and its mend, where it is one that edits chunks."""

    __slots__ = ("mend", "name", "why")

    def __init__(self, name: str, why: str, mend: Mend | None = None) -> None:
        self.name = name
        self.why = why
        self.mend = mend


def is_sound(chunk: Chunk, memory: Memory) -> bool:
    """Whether no row can want to change this chunk, seen without opening its JSON. `False` may be a false alarm."""
    if type(chunk.id) is not str or type(chunk.model) is not str or type(chunk.created) is not int:
        return False
    if chunk.object != CHUNK_OBJECT:
        return False
    choices = chunk.choices or ()
    for choice in choices:
        if not _is_sound_choice(choice, memory):
            return False
    for choice in choices:
        if choice.delta is not None and choice.delta.role is not None:
            memory.roles.add(choice.index)
    return True


def _is_sound_choice(choice: ChunkChoice, memory: Memory) -> bool:
    delta = choice.delta
    if delta is None or type(choice.index) is not int or type(delta.content) is not str or delta.tool_calls is not None:
        return False
    return delta.role is None or choice.index not in memory.roles


def fill_empty_delta(payload: bytes, chunk: Chunk, memory: Memory) -> bytes | None:
    """The `content` row for the one chunk that needs it in every stream of OpenAI's: the finish, with `"delta":{}`.

    Done on the text, for a third of what opening the JSON costs. Inside a string the quotes would be escaped, so that
    what is found is the delta. `None` where the chunk is another, or wants another mend too.
    """
    choices = chunk.choices
    delta = choices[0].delta if choices and len(choices) == 1 else None
    if delta is None or delta.content is not None or payload.count(_EMPTY_DELTA) != 1:
        return None
    delta.content = ""
    if is_sound(chunk, memory):
        return payload.replace(_EMPTY_DELTA, _FILLED_DELTA)
    delta.content = None
    return None


_EMPTY_DELTA = b'"delta":{}'
_FILLED_DELTA = b'"delta":{"content":""}'

ROWS: tuple[Row, ...] = (
    Row("framing", "Comments, CR line ends, `id:`, `event:` and unclosed frames break Ark's Go and Java clients, "
                   "openai-python after an id, and readers that split at blank lines. Sent as one plain data line."),
    Row("one-newline", "Events with a single newline between them are read as none by nearly every SDK."),
    Row("empty-choices", "A chunk with `choices: []` and no usage panics where code reads `choices[0]`. Left out."),
    Row("usage-chunk", "Usage on a chunk with choices is not seen by `if chunk.choices … elif chunk.usage`. "
                       "Sent in a chunk of its own, last."),
    Row("envelope", "`id`, `model` and `created` must be there and typed for ark-go.", _mend_envelope),
    Row("object", "Without `object: chat.completion.chunk` openai-python's helper skips the chunk.", _mend_object),
    Row("delta", "A choice without `delta` or `index` raises in openai-python's and -node's helpers.", _mend_delta),
    Row("content-parts", "A list as content is read by no Chat client. Text and reasoning become strings.",
        _mend_content_parts),
    Row("content", "`content` null or absent raises in `text += delta.content`, as tutorials teach. Sent as `\"\"`.",
        _mend_content),
    Row("role", "A repeated role adds up to \"assistantassistant\" in openai-python's helper.", _mend_role),
    Row("tool-calls", "Indexes missing, reused or with gaps, repeated ids and names, and missing types raise or "
                      "run together.",
        _mend_tool_calls),
)  # fmt: skip
"""Every row, in the order in which they are applied."""

MENDS: tuple[Row, ...] = tuple(row for row in ROWS if row.mend is not None)
"""The rows that edit a chunk; the others are the relayer's own."""
