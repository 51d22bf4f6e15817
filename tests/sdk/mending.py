"""What a page did to the code on it, undone by rule.

A page that was copied has lost line breaks or indentation, or shows its code inside other code. Each rule here puts back
white space only, or takes away what the page had put before a character; what a rule cannot know, its caller says.
"""

from __future__ import annotations

import io
import itertools
import keyword
import re
import tokenize
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

_OPENING, _CLOSING = tuple("([{"), tuple(")]}")
_INFIX = {"and", "as", "import", "in", "is", "not", "or"}
"""Words that go on with a statement. `if`, `for` and `else` could, but no page does so."""
_VALUES = {"False", "None", "True", "break", "continue", "pass"}
"""Keywords that may be the last word of a statement."""
_SECOND = {"else": ("if", "for", "while", "try"), "except": ("try",), "finally": ("try",)}
"""Clauses that stand where their statement does, and what that may begin with."""
_COMMENT_ENDS = re.compile(r" (?=[)\]}]|[A-Za-z_][A-Za-z0-9_]*(?:[=(.,\[:]| [!-~]))")
"""A comment in Chinese ends before a word that only code has: one with a sign behind it, or a second such word."""


class Mend(NamedTuple):
    """A rule, and why the page needs it."""

    rule: Callable[[str], str]
    reason: str


def unescaped(code: str) -> str:
    """Code from inside a template literal of JavaScript, where `\\` and `` ` `` have a backslash before them."""
    return re.sub(r"\\([\\`])", r"\1", code)


def comments_ended(line: str, mark: str) -> str:
    """Code that stands in one line, with a line break behind every comment that runs into what follows it."""
    before, found, after = line.partition(f" {mark} ")
    if not found:
        return line
    comment, *behind = _COMMENT_ENDS.split(after, maxsplit=1)
    return "\n".join([f"{before}{found}{comment}", *(comments_ended(rest, mark) for rest in behind)])


def statements_broken(code: str) -> str:
    """Python whose statements share a line, each in a line of its own."""
    lines = code.split("\n")
    for row, column in reversed(list(_beginnings(code))):
        line = lines[row - 1]
        lines[row - 1] = f"{line[:column].rstrip()}\n{line[column:]}"
    return "\n".join(lines)


def _beginnings(code: str) -> Iterator[tuple[int, int]]:
    """Where a statement begins behind another one: row from 1, column."""
    tokens = [token for token in tokenize.generate_tokens(io.StringIO(code).readline) if token.string.strip()]
    depth, leads = 0, tokens[0].string
    for before, token in itertools.pairwise(tokens):
        depth += (before.string in _OPENING) - (before.string in _CLOSING) if before.type == tokenize.OP else 0
        if depth or token.type == tokenize.COMMENT:
            continue
        if token.start[0] > before.end[0]:
            leads = token.string
        elif _ends(before) and _begins(token, leads):
            leads = token.string
            yield token.start


def _ends(token: tokenize.TokenInfo) -> bool:
    """Whether a statement, or the head of one, may end with it."""
    if token.type == tokenize.NAME:
        return not keyword.iskeyword(token.string) or token.string in _VALUES
    return token.type in (tokenize.NUMBER, tokenize.STRING) or token.string in (*_CLOSING, ":")


def _begins(token: tokenize.TokenInfo, leads: str) -> bool:
    """Whether it cannot go on with a statement that begins with `leads`."""
    return token.type == tokenize.NAME and (
        token.string not in _INFIX or (token.string, leads != "from") == ("import", True)
    )


def indented(code: str, back: Mapping[str, int]) -> str:
    """Python whose lines begin at the margin, with its blocks moved in.

    A block goes to the end, or to the clause of its own statement, or to the line that begins with a word of `back`,
    which stands as far in as is said there.
    """
    level, depth, levels, out = 0, 0, [("", 0)], []
    for line in map(str.strip, code.split("\n")):
        word = re.match(r"\w*", line)[0]  # type: ignore[index]  # an empty word matches anywhere
        if depth == 0:
            told = next((to for start, to in back.items() if line.startswith(start)), None)
            of = [at for leads, at in levels if leads in _SECOND.get(word, ())]
            level = told if told is not None else of[-1] if of else level
            levels.append((word, level))
        out.append("    " * (level + (depth > 0 and not line.startswith(_CLOSING))) + line if line else "")
        bare = re.sub(r'"[^"\n]*"|#.*', "", line)
        depth += sum(map(bare.count, _OPENING)) - sum(map(bare.count, _CLOSING))
        level += depth == 0 and bare.rstrip().endswith(":")
    return "\n".join(out)


def frames_parted(text: str) -> str:
    """A blank line behind every event, as it is on the wire."""
    return re.sub(r"\s+(?=data: )", "\n\n", text) + "\n\n"


def fields_named(text: str) -> str:
    """The name of its field before every event's payload."""
    return re.sub(r"^(?=\{|\[DONE\])", "data: ", text, flags=re.MULTILINE)
