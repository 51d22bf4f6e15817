"""Text from elsewhere on a terminal: what a model, a file or a server says is shown, and never obeyed."""

from __future__ import annotations

_SHOWN: dict[int, int | None] = {code: 0x2400 + code for code in range(0x20) if code not in (0x09, 0x0A)}
"""The pictures of control characters."""
_SHOWN |= {0x7F: 0x2421, 0x0D: None} | dict.fromkeys(range(0x80, 0xA0), 0xFFFD)
# Marks that turn the direction of what follows can make one address look like another.
_SHOWN |= dict.fromkeys((*range(0x202A, 0x202F), *range(0x2066, 0x206A)), 0xFFFD)


def readable(text: str) -> str:
    """The text of a call or a key press, with a mark for each byte that was no UTF-8: it could not be sent or kept."""
    return text.encode(errors="surrogateescape").decode(errors="replace")


def visible(text: str) -> str:
    """The text with its control characters shown; only line ends and tabs do what they say."""
    return text.translate(_SHOWN)
