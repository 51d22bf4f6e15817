"""Signatures and ids that prove themselves: a few random-looking bytes and a check over them and what they stand for.

The key is no secret, because nothing but a simulated answer hangs on it.
"""

from __future__ import annotations

import hmac
from hashlib import sha256, shake_256
from typing import Any, Literal, NamedTuple

import msgspec

_KEY = b"thalweg simulator"
_LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_CHECK_BYTES = 16
_SALT_CHARS, _MARK_CHARS = 8, 5
_MOST_EXACT = 2**53

Verdict = Literal["good", "changed", "moved"]
"""Of a signature: as it was given out; altered, or with another text; on its own part, but before another one."""


def check(*about: str | bytes) -> bytes:
    """32 bytes that only these values give, in this order."""
    mac = hmac.new(_KEY, digestmod=sha256)
    for value in about:
        data = value if isinstance(value, bytes) else value.encode("utf-8", "surrogatepass")
        mac.update(len(data).to_bytes(8, "big") + data)
    return mac.digest()


class Follower(NamedTuple):
    """What stands behind a part that is signed, as far as the signature covers it."""

    kind: int
    about: tuple[str, ...] = ()


ANYTHING = Follower(0)
"""Nobody could know what would follow when it was signed, or what is told of it is not what was said."""
A_TEXT = Follower(1)
"""A text, whichever: a reader may have stopped it."""


SOMETHING_ELSE = Follower(3)
"""What is signed never stands before it."""


def a_call(name: str, arguments: Any) -> Follower:
    """A call of that name with those arguments, which may be text or JSON that was read."""
    return Follower(2, (name, plain(arguments)))


def seal(kind: str, own: tuple[str, ...], follower: Follower, *, entropy: str, size: int) -> bytes:
    """The bytes of a signature of that kind over `own`, the part itself, and what follows it. `size` is of its salt."""
    salt = bytearray(shake_256(entropy.encode()).digest(size))
    salt[0] = salt[0] & ~3 | follower.kind
    return bytes(salt) + _own(kind, bytes(salt), own) + _place(kind, bytes(salt), follower)


def judge(kind: str, sealed: bytes, own: tuple[str, ...], follower: Follower | None) -> Verdict:
    """Whether a signature belongs to this part, and to this place. `follower` is `None` where nothing follows."""
    salt, checks = sealed[: -2 * _CHECK_BYTES], sealed[-2 * _CHECK_BYTES :]
    if not salt or not hmac.compare_digest(checks[:_CHECK_BYTES], _own(kind, salt, own)):
        return "changed"
    covered = ANYTHING if salt[0] & 3 == ANYTHING.kind else follower
    if covered is None or not hmac.compare_digest(checks[_CHECK_BYTES:], _place(kind, salt, covered)):
        return "moved"
    return "good"


def _own(kind: str, salt: bytes, own: tuple[str, ...]) -> bytes:
    return check("own", kind, salt, *own)[:_CHECK_BYTES]


def _place(kind: str, salt: bytes, follower: Follower) -> bytes:
    return check("place", kind, salt, bytes([follower.kind]), *follower.about)[:_CHECK_BYTES]


class CallIds:
    """Ids of one vendor's calls: a prefix and letters, some of which check the call's name and arguments."""

    def __init__(self, prefix: str, length: int) -> None:
        self._prefix = prefix
        self._checked = length - _SALT_CHARS - _MARK_CHARS

    def make(self, entropy: str, name: str, arguments: str | None) -> str:
        """The id of a call; one that says nothing where its arguments are `None`, because they do not arrive whole."""
        salt = _letters(shake_256(entropy.encode()).digest(32), _SALT_CHARS)
        if arguments is None:
            rest = check("plain", self._prefix, salt)
            return self._prefix + salt + _letters(rest, _MARK_CHARS + self._checked)
        return self._prefix + salt + self._mark(salt) + self._check(salt, name, arguments)

    def belongs(self, call_id: Any, name: Any, arguments: Any) -> bool:
        """Whether this call may have this id: one that does not look like the simulator's own always may."""
        if not isinstance(call_id, str) or not call_id.startswith(self._prefix):
            return True
        body = call_id[len(self._prefix) :]
        salt, mark = body[:_SALT_CHARS], body[_SALT_CHARS : _SALT_CHARS + _MARK_CHARS]
        if mark != self._mark(salt):
            return True
        return body[_SALT_CHARS + _MARK_CHARS :] == self._check(salt, str(name), arguments)

    def _mark(self, salt: str) -> str:
        return _letters(check("mark", self._prefix, salt), _MARK_CHARS)

    def _check(self, salt: str, name: str, arguments: Any) -> str:
        return _letters(check("call", self._prefix, salt, name, plain(arguments)), self._checked)


def _letters(data: bytes, length: int) -> str:
    number, found = int.from_bytes(data, "big"), []
    for _ in range(length):
        number, at = divmod(number, len(_LETTERS))
        found.append(_LETTERS[at])
    return "".join(found)


def plain(arguments: Any) -> str:
    """Arguments in one form, however they were written: a client may sort keys, and knows one kind of number only.

    Text that is no JSON is itself.
    """
    value = arguments
    if isinstance(arguments, str):
        try:
            value = msgspec.json.decode(arguments or "{}")
        except (msgspec.DecodeError, RecursionError):
            return arguments
    try:
        return msgspec.json.encode(_normal({} if value is None else value), order="sorted").decode()
    except (msgspec.MsgspecError, RecursionError):
        return ""


def _normal(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _normal(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_normal(each) for each in value]
    if isinstance(value, float) and value.is_integer() and abs(value) < _MOST_EXACT:
        return int(value)
    return value
