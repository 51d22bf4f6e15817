"""How many bytes everything together may hold: one budget for a process, and each request's share of it.

What is large is counted exactly, when it grows: a request's body, a frame or an answer that is being gathered, what a
slow client has not taken of them. Asking costs two additions, and the common chunk never asks: up to `SMALL_BYTES` a
stream holds what it needs, and the sweep that gives all streams the time adds that up (`surveyed_bytes`).
"""

from __future__ import annotations

from thalweg.canon.errors import Unavailable

MIB = 1024 * 1024
RESERVED_PART = 16
"""One part in so many is for requests under way: where only that is left, no new ones are taken."""
SMALL_BYTES = 64 * 1024
"""What a stream may hold without asking, so that short answers are given also where the budget is spent."""


class Budget:
    """The bytes of all requests together. One for a process, used on the loop's thread."""

    __slots__ = ("limit_bytes", "surveyed_bytes", "taken_bytes")

    def __init__(self, limit_bytes: int = 512 * MIB) -> None:
        self.limit_bytes = limit_bytes
        self.taken_bytes = 0
        """What was asked for and not given back."""
        self.surveyed_bytes = 0
        """What was held besides when it was last looked at."""

    @property
    def held_bytes(self) -> int:
        """What is held now, as far as is known."""
        return self.taken_bytes + self.surveyed_bytes

    @property
    def spent(self) -> bool:
        """Whether nothing is left for new requests."""
        return self.taken_bytes + self.surveyed_bytes >= self.limit_bytes - self.limit_bytes // RESERVED_PART


class Share:
    """What one request has taken of the budget: for its body, and for its answer. Give it back with `close`."""

    __slots__ = ("_budget", "answer_bytes", "request_bytes")

    def __init__(self, budget: Budget | None = None) -> None:
        self._budget = budget or Budget()
        self.request_bytes = 0
        self.answer_bytes = 0

    def hold_request(self, size: int) -> bool:
        """Hold so many bytes of request from now on. `False`: there is no room, and as many are held as before."""
        if not self._take(size - self.request_bytes):
            return False
        self.request_bytes = size
        return True

    def hold_answer(self, size: int) -> bool:
        """The same for the answer."""
        if not self._take(size - self.answer_bytes):
            return False
        self.answer_bytes = size
        return True

    def close(self) -> None:
        """Give everything back. May be called twice."""
        self._budget.taken_bytes -= self.request_bytes + self.answer_bytes
        self.request_bytes = self.answer_bytes = 0

    def _take(self, more: int) -> bool:
        budget = self._budget
        if more > 0 and budget.taken_bytes + budget.surveyed_bytes + more > budget.limit_bytes:
            return False
        budget.taken_bytes += more
        return True


def no_room() -> Unavailable:
    """What a client is told for whom no bytes are left."""
    error = Unavailable("The gateway holds as many bytes as it may (THALWEG_BUFFER_MB). Try again in a moment.")
    error.retry_after_s = 1.0
    return error
