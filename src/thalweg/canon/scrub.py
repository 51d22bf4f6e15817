"""Remove what looks like a credential from a text that people or logs will see."""

from __future__ import annotations

import re

_SECRET = re.compile(
    r"""
      \b(?:sk|rk|pk|ak)-[A-Za-z0-9_*-]{6,}            # OpenAI's family, masked ones too
    | \bAIza[A-Za-z0-9_-]{10,}                        # Google
    | (?i:\bbearer\s+)[A-Za-z0-9._~+/=*-]{6,}         # any Authorization value that was echoed
    | (?i:(?<=[?&]key=)|(?<=api_key=)|(?<=apikey=))[^\s&"']{6,}
    """,
    re.VERBOSE,
)


def scrub(text: str) -> str:
    """The text with each likely credential replaced by `[hidden]`."""
    return _SECRET.sub("[hidden]", text)
