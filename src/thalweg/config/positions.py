"""On which line each key of a TOML text stands. The standard library's reader does not say.

The text must have been read by that reader: what is wrong in it is not looked for here.
"""

from __future__ import annotations

import re
import tomllib

Path = tuple[str | int, ...]
"""The way to a value: names of keys, and places in lists."""

_BLANK = re.compile(r"[ \t]*")
_SPACE = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_KEY = re.compile(r"""[A-Za-z0-9_-]+|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'""")
_TEXTS = re.compile(
    r'"""(?:[^\\]|\\.)*?"""(?:"{0,2})' r"|'''.*?'''(?:'{0,2})" r'|"(?:[^"\\\n]|\\.)*"' r"|'[^'\n]*'", re.DOTALL
)
_PLAIN = re.compile(r"[^,\]}#\n]*")


def lines_of(text: str) -> dict[Path, int]:
    """The line of each key, table and list item, from 1; of a key that comes twice as a table, the first."""
    return _Scanner(text).run()


class _Scanner:
    """One pass over a text."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._counted, self._line = 0, 1
        self._found: dict[Path, int] = {}
        self._lists: dict[Path, int] = {}
        """Of lists of tables, how many items there are."""

    def run(self) -> dict[Path, int]:
        table: Path = ()
        self._skip(_SPACE)
        while self._at < len(self._text):
            if self._text[self._at] == "[":
                table = self._header()
            else:
                self._pair(table)
            self._skip(_SPACE)
        return self._found

    def _header(self) -> Path:
        is_list = self._text.startswith("[[", self._at)
        line = self._here()
        self._at += 1 + is_list
        path: Path = ()
        names = self._names()
        for position, name in enumerate(names):
            path = (*path, name)
            self._found.setdefault(path, line)
            if is_list and position == len(names) - 1:
                self._lists[path] = self._lists.get(path, 0) + 1
            if path in self._lists:
                path = (*path, self._lists[path] - 1)
                self._found.setdefault(path, line)
        self._at += 1 + is_list
        return path

    def _pair(self, table: Path) -> None:
        line, path = self._here(), table
        for name in self._names():
            path = (*path, name)
            self._found.setdefault(path, line)
        self._at += 1
        self._value(path)

    def _names(self) -> list[str]:
        """A key with its dots, up to what follows it."""
        names = []
        while True:
            self._skip(_BLANK)
            raw = self._take(_KEY)
            names.append(tomllib.loads(f"x={raw}")["x"] if raw[0] in "\"'" else raw)
            self._skip(_BLANK)
            if self._text[self._at] != ".":
                return names
            self._at += 1

    def _value(self, path: Path) -> None:
        self._skip(_BLANK)
        first = self._text[self._at]
        if first in "\"'":
            self._take(_TEXTS)
        elif first == "[":
            self._list(path)
        elif first == "{":
            self._inline(path)
        else:
            self._take(_PLAIN)

    def _list(self, path: Path) -> None:
        self._at += 1
        for position in range(len(self._text)):
            self._skip(_SPACE)
            if self._text[self._at] == "]":
                break
            item = (*path, position)
            self._found[item] = self._here()
            self._value(item)
            self._skip(_SPACE)
            if self._text[self._at] == ",":
                self._at += 1
        self._at += 1

    def _inline(self, path: Path) -> None:
        self._at += 1
        self._skip(_SPACE)
        while self._text[self._at] != "}":
            self._pair(path)
            self._skip(_SPACE)
            if self._text[self._at] == ",":
                self._at += 1
            self._skip(_SPACE)
        self._at += 1

    def _here(self) -> int:
        self._line += self._text.count("\n", self._counted, self._at)
        self._counted = self._at
        return self._line

    def _skip(self, pattern: re.Pattern[str]) -> None:
        self._take(pattern)

    def _take(self, pattern: re.Pattern[str]) -> str:
        found = pattern.match(self._text, self._at)
        assert found is not None, "the text is TOML"
        self._at = found.end()
        return found[0]
