"""What the simulator asks of a vendor. Nothing here knows one."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, Literal, Protocol

import msgspec

from thalweg.canon.parts import Signature
from thalweg.canon.request import Request
from thalweg.canon.usage import Usage
from thalweg.dialects.base import Dialect
from thalweg.simulator.vendors.proofs import Follower

Tree = dict[str, Any]
"""A request's body as JSON."""


class Asking(msgspec.Struct, frozen=True):
    """What a prover knows of the choice that it signs."""

    entropy: str
    """What random bytes are made of."""
    tree: Tree


class Prover(Protocol):
    """Names and signs the parts of one choice. Each method is asked once for each part, in the order of the answer."""

    def call_id(self, name: str, arguments: str | None) -> str | None:
        """The id of a call, if this vendor has ids; `arguments` is `None` where they do not arrive as they are said."""

    def sign_reasoning(self, text: str, follower: Follower, *, redacted: bool) -> Signature | None:
        """The signature of a thought; the text is what is shown of it."""

    def sign_call(self, name: str, arguments: str | None) -> Signature | None:
        """The signature of a call."""

    def sign_text(self, digest: str) -> Signature | None:
        """The signature of a text that is whole; `digest` is its SHA-256."""


class Spoken(msgspec.Struct, frozen=True):
    """What there is to know of an answer to bring it to the wire as its vendor does."""

    entropy: str
    spent: Callable[[], Usage]
    """The token counts so far."""


def _as_it_is(asked: Request, _: Tree) -> Request:
    return asked


def _no_check(_: Tree) -> None:
    pass


def _plainly(dialect: Dialect, _: Spoken) -> Dialect:
    return dialect


class Vendor(msgspec.Struct, frozen=True, kw_only=True):
    """One vendor, as a value."""

    response_id: Callable[[random.Random], str] | None = None
    """How it names answers; `None` is the simulator's own way."""
    headers: Callable[[str], tuple[tuple[bytes, bytes], ...]] = lambda _: ()
    """What its answers have beside `x-request-id`, from the answer's id."""
    form: Literal["raw", "summary"] = "raw"
    """What it shows of its thoughts."""
    hidden_parts: bool = False
    """Whether thoughts that are not shown are a part all the same, which is signed."""
    must_think: bool = False
    """Whether it never calls a tool without a thought before, where it is told to think."""
    one_choice: bool = False
    """Whether its answers have no choices."""
    usage_last: bool = False
    """Whether usage is told after the finish, and not before it."""
    reads: Callable[[Request, Tree], Request] = _as_it_is
    """The request as its models understand it."""
    prover: Callable[[Asking], Prover] | None = None
    check: Callable[[Tree], None] = _no_check
    """Raises `RequestError`, in its own words, for a talk that it would not go on with."""
    voice: Callable[[Dialect, Spoken], Dialect] = _plainly
    """The dialect with what its answers have beyond it."""


PLAIN = Vendor(usage_last=True)
"""One that signs nothing and checks nothing, as most who speak Chat."""
