"""Characters that Python takes for line ends and JSON does not: readers cut there that go through lines of text, as
google-genai's synchronous client does and everyone who uses httpx' `iter_lines`. So streams have them escaped.
"""

from __future__ import annotations

_ESCAPES = ((b"\xe2\x80\xa8", rb"\u2028"), (b"\xe2\x80\xa9", rb"\u2029"), (b"\xc2\x85", rb"\u0085"))


def has_separators(data: bytes) -> bool:
    """Whether one of them stands there unescaped."""
    # Not `in`: of bytes in bytes that makes an error first, and drops it.
    return not data.isascii() and any(data.find(raw) >= 0 for raw, _ in _ESCAPES)


def escape_separators(data: bytes) -> bytes:
    """JSON in UTF-8 with all of them escaped."""
    if data.isascii():
        return data
    for raw, escaped in _ESCAPES:
        data = data.replace(raw, escaped)
    return data
