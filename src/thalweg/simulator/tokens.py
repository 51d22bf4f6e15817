"""A tokenizer without a vocabulary, and the search for stop sequences in its tokens.

A token is a CJK character, a piece of a word, up to three digits, some white space, or any other character; combining
marks, variation selectors and joined emoji stay with what they belong to. Joined, the tokens are the text.
"""

from __future__ import annotations

import re
import unicodedata
from collections import deque
from collections.abc import Iterable, Iterator

_PIECE = re.compile(
    r"""
      [ ]?[A-Za-z\u00C0-\u024F\u0370-\u058F]{1,6}   # Latin, Greek, Cyrillic, Armenian: a piece of a word
    | [0-9]{1,3}
    | [\U0001F1E6-\U0001F1FF]{2}                    # two regional indicators are one flag
    | \s{1,8}
    | .
    """,
    re.VERBOSE | re.DOTALL,
)
_JOINER = "\u200d"
_FIRST_MARK = "\u0300"


def split(text: str) -> Iterator[str]:
    """The tokens of a text, none of them empty."""
    held = ""
    for found in _PIECE.finditer(text):
        piece = found[0]
        if held and (_belongs(piece[0]) or held[-1] == _JOINER):
            held += piece
            continue
        if held:
            yield held
        held = piece
    if held:
        yield held


def count(text: str) -> int:
    """How many tokens a text has."""
    return sum(1 for _ in split(text))


def _belongs(char: str) -> bool:
    """Whether a character is drawn together with the one before it."""
    if char < _FIRST_MARK:
        return False
    if char == _JOINER or "\U0001f3fb" <= char <= "\U0001f3ff" or "\U000e0020" <= char <= "\U000e007f":
        return True
    return unicodedata.category(char)[0] == "M"


class StopSearch:
    """Cuts one text before the stop sequence that is complete first. Lives as long as the text."""

    def __init__(self, stops: Iterable[str]) -> None:
        self._stops = tuple(stop for stop in stops if stop)
        self._longest = max(map(len, self._stops), default=0)
        self.found: str | None = None
        """The sequence that ended the text; `None` while there was none."""

    def cut(self, tokens: Iterable[str]) -> Iterator[str]:
        """The tokens before the stop sequence. Holds back what may be the beginning of one."""
        held: deque[str] = deque()
        tail = ""
        for token in tokens:
            held.append(token)
            tail += token
            if (at := self._search(tail)) is not None:
                yield from _up_to(held, at)
                return
            while held and len(tail) - len(held[0]) >= self._longest - 1:
                tail = tail[len(held[0]) :]
                yield held.popleft()
        yield from held

    def _search(self, text: str) -> int | None:
        """Where the sequence that is complete first begins; that does not depend on where the tokens end."""
        places = [(at + len(stop), at, stop) for stop in self._stops if (at := text.find(stop)) >= 0]
        if not places:
            return None
        _, at, self.found = min(places)
        return at


def _up_to(tokens: Iterable[str], length: int) -> Iterator[str]:
    for token in tokens:
        if length <= 0:
            return
        yield token[:length]
        length -= len(token)
