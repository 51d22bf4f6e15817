"""Google: each step's first call is signed, and so is the end of an answer without calls, as Gemini 3 does it.

What it says to a talk that it does not go on with: the Gemini dossier, sections 5 and 11, and messages that users
report of its API, read 2026-11. Fields are read in both spellings, base64 in both alphabets.
"""

from __future__ import annotations

import random
from base64 import b64decode, b64encode
from collections.abc import Iterator
from hashlib import sha256
from typing import NamedTuple

import msgspec

from thalweg.canon.errors import InvalidRequest
from thalweg.canon.parts import Signature
from thalweg.canon.request import Request
from thalweg.dialects.base import Dialect
from thalweg.simulator.vendors.base import Asking, Spoken, Tree, Vendor
from thalweg.simulator.vendors.proofs import ANYTHING, Follower, judge, plain, seal
from thalweg.simulator.vendors.trees import field, objects, string
from thalweg.simulator.vendors.voice import Accent, Accented

NAME = "google"
_HEAD = b"\x12\xaa\x09\x0a\xa7\x09"
_SIZE = 144
_SHORTEST = len(_HEAD) + 32
_SKIP = "skip_thought_signature_validator"
_SKIPS = (_SKIP, b64encode(_SKIP.encode()).decode().rstrip("="))
"""What is taken in the place of a signature that is lost."""
_NO_ID = b',"id":""}'

_CORRUPTED = "Corrupted thought signature."
_COUNT = (
    "Please ensure that the number of function response parts is equal to the number of function call parts of the "
    "function call turn."
)
_CALL_ORDER = (
    "Please ensure that function call turn comes immediately after a user turn or after a function response turn."
)
_RESPONSE_ORDER = "Please ensure that function response turn comes immediately after a function call turn."


# Answers.


class GoogleProver:
    """Signs one answer's first call, or its text."""

    def __init__(self, asking: Asking) -> None:
        self._entropy = f"{NAME} {asking.entropy}"
        self._called = False

    def call_id(self, _: str, __: str | None) -> None:
        """Calls have no ids."""

    def sign_reasoning(self, _: str, __: Follower, *, redacted: bool) -> None:
        """Thoughts are not signed: what they lead to is."""

    def sign_call(self, name: str, arguments: str | None) -> Signature | None:
        """The signature of the first call; none of those that are made beside it."""
        first, self._called = not self._called, True
        if not first:
            return None
        return self._signature("call", (name, plain("" if arguments is None else arguments)))

    def sign_text(self, digest: str) -> Signature | None:
        """The signature of a text. In a stream it lies on an empty part behind it; it may come back on the text itself,
        since there are SDKs that put the two together.
        """
        return None if self._called else self._signature("text", (digest,))

    def _signature(self, kind: str, own: tuple[str, ...]) -> Signature:
        sealed = _HEAD + seal(f"{NAME} {kind}", own, ANYTHING, entropy=f"{self._entropy} {kind}", size=_SIZE)
        return Signature(vendor=NAME, model="", kind="thought", data=b64encode(sealed).decode())


class _Nameless(Accent):
    """A call without an id has no field for one."""

    def frame(self, data: bytes) -> bytes:
        if b'"functionCall":' not in data:
            return data
        # The frame has one part, and the id is the last field of its call.
        before, found, after = data.rpartition(_NO_ID)
        return before + b"}" + after if found else data

    def body(self, data: bytes) -> bytes:
        if b'"functionCall":' not in data:
            return data
        tree = msgspec.json.decode(data)
        for candidate in objects(tree.get("candidates")):
            for part in objects(candidate.get("content", {}).get("parts")):
                call = part.get("functionCall")
                if isinstance(call, dict) and not call.get("id"):
                    call.pop("id", None)
        return msgspec.json.encode(tree)


def _voice(dialect: Dialect, spoken: Spoken) -> Dialect:
    return Accented(dialect, _Nameless(spoken)).as_dialect()


def _response_id(rng: random.Random) -> str:
    return b64encode(rng.randbytes(17), altchars=b"-_").decode().rstrip("=")


def _read(asked: Request, _: Tree) -> Request:
    """Thoughts are shown where that is asked for, and nowhere else."""
    if asked.reasoning.show in ("summary", "auto"):
        return asked
    hidden = msgspec.structs.replace(asked.reasoning, show="none")
    return msgspec.structs.replace(asked, reasoning=hidden)


# What comes back.


class _Part(NamedTuple):
    """A part, and the number of the content that it stands in, from 1."""

    position: int
    tree: Tree

    @property
    def call(self) -> Tree | None:
        found = field(self.tree, "functionCall", "function_call")
        return found if isinstance(found, dict) else None

    @property
    def answers(self) -> bool:
        return isinstance(field(self.tree, "functionResponse", "function_response"), dict)

    @property
    def signature(self) -> str:
        return string(field(self.tree, "thoughtSignature", "thought_signature"))


class _Turn(NamedTuple):
    """Contents of one role in a row, which count as one."""

    role: str
    parts: list[_Part]

    @property
    def calls(self) -> list[_Part]:
        return [part for part in self.parts if part.call is not None]

    @property
    def answers(self) -> list[_Part]:
        return [part for part in self.parts if part.answers]


def _check(tree: Tree) -> None:
    """Raises `InvalidRequest`."""
    contents = objects(tree.get("contents"))
    turns = _turns(contents)
    _check_order(turns)
    current = _current_turn(contents)
    for turn in turns:
        if turn.role == "model":
            _check_signatures(turn)
            _check_first_call(turn, current)


def _turns(contents: list[Tree]) -> list[_Turn]:
    turns: list[_Turn] = []
    for position, content in enumerate(contents, 1):
        role = "model" if content.get("role") == "model" else "user"
        if not turns or turns[-1].role != role:
            turns.append(_Turn(role, []))
        turns[-1].parts.extend(_Part(position, part) for part in _parts(content))
    return turns


def _parts(content: Tree) -> Iterator[Tree]:
    found = content.get("parts")
    yield from objects([found] if isinstance(found, dict) else found)


def _current_turn(contents: list[Tree]) -> int:
    """Where the current turn begins: at the last content of the user that is more than answers of functions."""
    starts = (
        position
        for position, content in enumerate(contents, 1)
        if content.get("role") != "model" and any(not _Part(position, part).answers for part in _parts(content))
    )
    return max(starts, default=0)


def _check_order(turns: list[_Turn]) -> None:
    for at, turn in enumerate(turns):
        before = turns[at - 1] if at else None
        if turn.role == "model" and turn.calls:
            if before is None:
                raise InvalidRequest(_CALL_ORDER)
            after = turns[at + 1] if at + 1 < len(turns) else _Turn("user", [])
            if len(after.answers) != len(turn.calls):
                raise InvalidRequest(_COUNT)
        if turn.role == "user" and turn.answers and (before is None or not before.calls):
            raise InvalidRequest(_RESPONSE_ORDER)


def _check_signatures(turn: _Turn) -> None:
    """Each signature is one of ours, on the part that it was given out with."""
    said = sha256()
    first = next(iter(turn.calls), None)
    for part in turn.parts:
        text = string(part.tree.get("text")) if part.tree.get("thought") is not True else ""
        said.update(text.encode("utf-8", "surrogatepass"))
        if part.signature and part.signature.rstrip("=") not in _SKIPS:
            sealed = _opened(part.signature)
            kind, own = _covered(part, said.hexdigest())
            misplaced = kind == "call" and part is not first
            if sealed is None or misplaced or judge(f"{NAME} {kind}", sealed, own, ANYTHING) != "good":
                raise InvalidRequest(_CORRUPTED)


def _covered(part: _Part, said: str) -> tuple[str, tuple[str, ...]]:
    """The kind of signature that may lie on a part, and what it must be of: a text's is of all that was said so far."""
    if part.call is not None:
        return "call", (string(part.call.get("name")), plain(part.call.get("args")))
    if "text" in part.tree and part.tree.get("thought") is not True:
        return "text", (said,)
    return "none", ()


def _opened(value: str) -> bytes | None:
    """The bytes of a signature; `None` for what cannot be one."""
    standard = value.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        data = b64decode(standard + "=" * (-len(standard) % 4), validate=True)
    except ValueError:
        return None
    return data[len(_HEAD) :] if data.startswith(_HEAD) and len(data) > _SHORTEST else None


def _check_first_call(turn: _Turn, current: int) -> None:
    """In the current turn, each step's first call has its signature."""
    first = next(iter(turn.calls), None)
    if first is None or first.position <= current or first.signature:
        return
    name = string((first.call or {}).get("name"))
    raise InvalidRequest(
        "Function call is missing a thought_signature in functionCall parts. This is required for tools to work "
        "correctly, and missing thought_signature may lead to degraded model performance. Additional data, function "
        f"call `default_api:{name}` , position {first.position}. Please refer to "
        "https://ai.google.dev/gemini-api/docs/thought-signatures for more details."
    )


GOOGLE = Vendor(
    response_id=_response_id,
    form="summary",
    reads=_read,
    prover=GoogleProver,
    check=_check,
    voice=_voice,
)
"""The vendor of the dialect `gemini`."""
