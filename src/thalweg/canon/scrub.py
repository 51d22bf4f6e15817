"""Take out of a text what neither a log nor a stranger may see, and say of an exception only where it was raised.

What looks like a credential is found by its look. A prompt has no look: a text that may hold one does not belong in a
log at all, and what is left (names, paths, ids) is bounded here in length and alphabet.
"""

from __future__ import annotations

import re
from functools import lru_cache
from types import TracebackType

HIDDEN = "[hidden]"

MAX_TEXT = 256
"""Characters of any one text in a log."""

_SECRET = re.compile(
    r"""
      \b(?:sk|rk|pk|ak)-[A-Za-z0-9_*-]{6,}            # OpenAI's family, masked ones too
    | \bAIza[A-Za-z0-9_-]{10,}                        # Google
    | (?i:\bbearer\s+)[A-Za-z0-9._~+/=*-]{6,}         # any Authorization value that was echoed
    | (?i:(?<=[?&]key=)|(?<=api_key=)|(?<=apikey=))[^\s&"']{6,}
    """,
    re.VERBOSE,
)
_SIGNS = ("sk-", "rk-", "pk-", "ak-", "aiza", "bearer", "key=")
"""One of these stands in every such credential, in small letters. Most texts have none, and are done with at once."""
_BULK = re.compile(
    r"""
      (?i:data:)[^\s,;]{0,64}[;,]\S*                  # a data: URL, and with it whatever it carries
    | \?\S+                                           # a query
    | \beyJ[A-Za-z0-9_.-]{8,}                         # a JSON Web Token
    """,
    re.VERBOSE,
)
# Long enough for an encoded key or picture. Hexadecimal ids are, too, so three kinds of characters must be there.
_RUN = re.compile(r"[A-Za-z0-9+/_-]{40,}={0,2}")
_RUN_IN_NAME = re.compile(r"[A-Za-z0-9]{32,}")
# What would end a line, steer a terminal, turn the direction of a line, or cannot be encoded.
_UNPRINTABLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\ud800-\udfff]+"
)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]*")
_MOST_NAME = 100
_PATH = re.compile(r"[A-Za-z0-9._:/@+~%*-]*")
_OWN = __file__.removesuffix("canon/scrub.py")
_MOST_PLACES = 5


def scrub(text: str) -> str:
    """The text with each likely credential replaced by `[hidden]`."""
    small = text.lower()
    return _SECRET.sub(HIDDEN, text) if any(sign in small for sign in _SIGNS) else text


def one_line(text: str) -> str:
    """The text as a log may have it: one line of at most `MAX_TEXT` characters, without credentials, queries, `data:`
    URLs, encoded bytes and control characters.
    """
    # Cut first, with room for what hiding takes away: a pattern is not to run over 100 kB.
    bounded = _UNPRINTABLE.sub(" ", text[: 4 * MAX_TEXT])
    clean = _RUN.sub(_unless_plain, _BULK.sub(HIDDEN, scrub(bounded)))
    return clean if len(clean) <= MAX_TEXT else f"{clean[: MAX_TEXT - 1]}…"


def name_of(text: str) -> str:
    """A name that a stranger gave to something (a model, a finish reason), without its query; `[hidden]` where it does
    not look like a name.
    """
    name = text.partition("?")[0]
    return _name_of(name) if len(name) <= _MOST_NAME else HIDDEN


@lru_cache(maxsize=1024)
def _name_of(name: str) -> str:
    return _RUN_IN_NAME.sub(_unless_plain, scrub(name)) if _NAME.fullmatch(name) else HIDDEN


def _unless_plain(run: re.Match[str]) -> str:
    """What stands for a long run of letters and digits: itself, unless it mixes small ones, big ones and digits."""
    kinds = (any("a" <= char <= "z" for char in run[0]), any("A" <= char <= "Z" for char in run[0]))
    return HIDDEN if all(kinds) and any("0" <= char <= "9" for char in run[0]) else run[0]


def path_of(text: str) -> str:
    """The path of a request, up to the first part that does not look like one."""
    plain = _PATH.match(text[:MAX_TEXT])
    assert plain is not None
    if plain.end() == len(text):
        return text
    return f"{plain[0].rpartition('/')[0]}/{HIDDEN}"


def blame(error: BaseException) -> str:
    """The type of an exception and the places of our own code that it went through, the innermost first.

    Never its text, nor any value: those may be a client's words.
    """
    frames = _places(error.__traceback__)
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    why = f" because of {_type(cause)}" if cause is not None else ""
    where = " < ".join(frames[::-1][:_MOST_PLACES]) or "a place that is not ours"
    return f"{_type(error)}{why} at {where}"


def _places(trace: TracebackType | None) -> list[str]:
    found = []
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if file.startswith(_OWN):
            found.append(f"{file[len(_OWN) :]}:{trace.tb_lineno}")
        trace = trace.tb_next
    return found


def _type(error: BaseException) -> str:
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
