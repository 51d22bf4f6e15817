"""OpenAI's Responses: reasoning comes back encrypted, and items say which ones belong together.

What it says to a talk that it does not go on with: the Responses dossier, and messages that users report of its API,
read 2026-11. Items are kept nowhere: their ids tell which reasoning they follow.
"""

from __future__ import annotations

import random
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import NamedTuple

import msgspec

from thalweg.canon.errors import InvalidRequest, RequestError
from thalweg.canon.parts import Signature
from thalweg.canon.request import Request
from thalweg.dialects.base import Dialect
from thalweg.simulator.vendors.base import Asking, Spoken, Tree, Vendor
from thalweg.simulator.vendors.proofs import A_TEXT, SOMETHING_ELSE, CallIds, Follower, a_call, check, judge, seal
from thalweg.simulator.vendors.trees import objects, string, texts
from thalweg.simulator.vendors.voice import Accent, Accented

NAME = "openai"
ENCRYPTED = "reasoning.encrypted_content"
"""What must be included to be given ciphertexts."""
_IDS = CallIds("call_", 24)
_HEAD = b"\x80\x00\x00\x00\x00"
_SIZE = 320
_CALLS = {"function_call": "arguments", "custom_tool_call": "input"}
_OUTPUTS = ("function_call_output", "custom_tool_call_output")
_KEPT_ELSEWHERE = ("previous_response_id", "conversation")
"""Fields that say that a part of the talk is not in the request."""


# Answers.


class OpenAIProver:
    """Signs one answer's reasoning, where that is asked for, and names its calls."""

    def __init__(self, asking: Asking) -> None:
        self._entropy = f"{NAME} {asking.entropy}"
        included = asking.tree.get("include")
        self._encrypts = isinstance(included, list) and ENCRYPTED in included
        self._made = 0

    def _next(self) -> str:
        self._made += 1
        return f"{self._entropy} {self._made}"

    def call_id(self, name: str, arguments: str | None) -> str:
        """An id that checks name and arguments."""
        return _IDS.make(self._next(), name, arguments)

    def sign_reasoning(self, text: str, follower: Follower, *, redacted: bool) -> Signature | None:
        """The ciphertext of a reasoning item."""
        if not self._encrypts:
            return None
        sealed = _HEAD + seal(NAME, (text,), follower, entropy=self._next(), size=_SIZE)
        return Signature(vendor=NAME, model="", kind="encrypted", data=urlsafe_b64encode(sealed).decode())

    def sign_call(self, _: str, __: str | None) -> None:
        """Calls are not signed."""

    def sign_text(self, _: str) -> None:
        """Texts are not signed."""


_NONE = "ff"
"""In the place of the reasoning's number: the item follows none."""


class ItemId(NamedTuple):
    """An item's id: 24 digits of its answer's, its number, the number of the reasoning that it follows, a check."""

    prefix: str
    answer: str
    number: str
    reasoning: str

    @property
    def text(self) -> str:
        """The id."""
        own = self.answer + self.number + self.reasoning
        return f"{self.prefix}_{own}{check('item', self.prefix, own).hex()[:22]}"

    @property
    def led_by(self) -> str | None:
        """The id of the reasoning that it follows, which must come back with it."""
        if self.reasoning == _NONE:
            return None
        return ItemId("rs", self.answer, self.reasoning, _NONE).text


_OWN_ID = re.compile(r"(rs|fc|msg|ctc)_([0-9a-f]{24})([0-9a-f]{2})([0-9a-f]{2})[0-9a-f]{22}")


def read_item_id(item_id: str) -> ItemId | None:
    """What an id says; `None` for one that the simulator did not give out."""
    found = _OWN_ID.fullmatch(item_id)
    read = ItemId(*found.groups()) if found else None
    return read if read is not None and read.text == item_id else None


class _Named(Accent):
    """Every item has an id that can be checked, in the place of the one that the encoder made."""

    _MADE = re.compile(rb'"(rs|fc|msg|ctc)_gw[a-z2-7]+[0-9a-f]*"')

    def __init__(self, spoken: Spoken) -> None:
        super().__init__(spoken)
        self._answer = check("answer", spoken.entropy).hex()[:24]
        self._given: dict[bytes, bytes] = {}
        self._reasoning = _NONE

    def frame(self, data: bytes) -> bytes:
        return self._MADE.sub(self._own, data)

    body = frame

    def _own(self, found: re.Match[bytes]) -> bytes:
        if found[0] not in self._given:
            prefix, number = found[1].decode(), f"{len(self._given):02x}"
            thought = prefix == "rs"
            given = ItemId(prefix, self._answer, number, _NONE if thought else self._reasoning)
            self._reasoning = number if thought else self._reasoning
            self._given[found[0]] = f'"{given.text}"'.encode()
        return self._given[found[0]]


def _voice(dialect: Dialect, spoken: Spoken) -> Dialect:
    return Accented(dialect, _Named(spoken)).as_dialect()


def _response_id(rng: random.Random) -> str:
    return f"resp_{rng.getrandbits(200):050x}"


def _read(asked: Request, _: Tree) -> Request:
    """A summary is shown where one is asked for."""
    if asked.reasoning.show in ("summary", "auto"):
        return asked
    hidden = msgspec.structs.replace(asked.reasoning, show="none")
    return msgspec.structs.replace(asked, reasoning=hidden)


# What comes back.


class _NotKept(RequestError):
    """An item is only named, and was never kept. OpenAI says so with 404, and means the request."""

    http_status = 404


def _check(tree: Tree) -> None:
    """Raises `RequestError`."""
    items = objects(tree.get("input"))
    _check_pairs(items, whole=all(tree.get(name) is None for name in _KEPT_ELSEWHERE))
    _check_ids(items, tree)
    for at, item in enumerate(items):
        after = items[at + 1] if at + 1 < len(items) else None
        if item.get("type") == "reasoning":
            _check_reasoning(item, after, kept=tree.get("store") is not False)
        elif item.get("type") in _CALLS and not _IDS.belongs(item.get("call_id"), item.get("name"), _arguments(item)):
            what = "the call of that 'call_id' had another name or other arguments"
            raise InvalidRequest(f"Invalid 'input[{at}]': {what}.", param=f"input[{at}]", code="invalid_value")


def _arguments(item: Tree) -> object:
    return item.get(_CALLS[string(item.get("type"))])


def _check_reasoning(item: Tree, after: Tree | None, *, kept: bool) -> None:
    encrypted, item_id = string(item.get("encrypted_content")), string(item.get("id"))
    ours = read_item_id(item_id) is not None
    if encrypted:
        sealed, text = _opened(encrypted), "".join([*texts(item.get("summary")), *texts(item.get("content"))])
        verdict = "changed" if sealed is None else judge(NAME, sealed, (text,), _follower(after))
        if verdict == "changed":
            raise _unverified(encrypted)
        if verdict == "moved" and not _is_reference(after):
            raise _unfollowed(item_id)
    elif ours and not kept:
        raise _NotKept(
            f"Item with id '{item_id}' not found. Items are not persisted when `store` is set to false. Try again with "
            "`store` set to true, or remove this item from your input.",
            param="input",
        )
    if (encrypted or ours) and not _is_reference(after) and _follower(after) in (None, SOMETHING_ELSE):
        raise _unfollowed(item_id)


def _opened(value: str) -> bytes | None:
    try:
        data = urlsafe_b64decode(value)
    except ValueError:
        return None
    if urlsafe_b64encode(data).decode() != value or not data.startswith(_HEAD):
        return None
    return data[len(_HEAD) :]


def _unverified(encrypted: str) -> InvalidRequest:
    shown = f"{encrypted[:4]}...{encrypted[-4:]}"
    what = "could not be verified. Reason: Encrypted content could not be decrypted or parsed."
    return InvalidRequest(f"The encrypted content {shown} {what}", code="invalid_encrypted_content")


def _unfollowed(item_id: str) -> InvalidRequest:
    what = "of type 'reasoning' was provided without its required following item."
    return InvalidRequest(f"Item '{item_id}' {what}", param="input")


def _follower(item: Tree | None) -> Follower | None:
    if item is None:
        return None
    kind = _kind(item)
    if kind in _CALLS:
        return a_call(string(item.get("name")), _arguments(item))
    return A_TEXT if kind == "message" and item.get("role") == "assistant" else SOMETHING_ELSE


def _is_reference(item: Tree | None) -> bool:
    """Whether it only names an item, which is kept nowhere."""
    return item is not None and item.get("type") == "item_reference"


def _kind(item: Tree) -> str:
    return string(item.get("type")) or ("message" if "role" in item else "")


def _check_pairs(items: list[Tree], *, whole: bool) -> None:
    """Every output has its call before it, every call its output behind it; where the talk is `whole`."""
    called: dict[str, None] = {}
    answered: set[str] = set()
    for item in items:
        call_id = string(item.get("call_id"))
        if item.get("type") in _CALLS:
            called[call_id] = None
        elif item.get("type") in _OUTPUTS:
            if whole and call_id not in called:
                what = f"No tool call found for function call output with call_id {call_id}."
                raise InvalidRequest(what, param="input")
            answered.add(call_id)
    if lacking := [call_id for call_id in called if call_id not in answered]:
        raise InvalidRequest(f"No tool output found for function call {lacking[0]}.", param="input")


def _check_ids(items: list[Tree], tree: Tree) -> None:
    """No item stands twice, and each of ours has the reasoning that it follows before it."""
    seen: set[str] = set()
    whole = all(tree.get(name) is None for name in _KEPT_ELSEWHERE)
    for item in items:
        item_id = string(item.get("id"))
        own = read_item_id(item_id)
        if own is None:
            continue
        if item_id in seen:
            what = "Remove duplicate items from your input and try again."
            raise InvalidRequest(f"Duplicate item found with id {item_id}. {what}", param="input")
        if whole and own.led_by is not None and own.led_by not in seen:
            what = f"was provided without its required 'reasoning' item: '{own.led_by}'."
            raise InvalidRequest(f"Item '{item_id}' of type '{_kind(item)}' {what}", param="input")
        seen.add(item_id)


OPENAI = Vendor(
    response_id=_response_id,
    form="summary",
    hidden_parts=True,
    one_choice=True,
    reads=_read,
    prover=OpenAIProver,
    check=_check,
    voice=_voice,
)
"""The vendor of the dialect `openai-responses`."""
