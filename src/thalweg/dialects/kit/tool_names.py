"""Names of tools for upstreams that take fewer than the client did."""

from __future__ import annotations

import re
from hashlib import sha256


class ToolNames:
    """The names of one request's tools. `allowed` is the set of characters, as a regular expression has it."""

    def __init__(self, allowed: str = "A-Za-z0-9_-", most: int = 64, first: str | None = None) -> None:
        """`most` is the longest name; `first`, if it differs, the set of its first character."""
        self._fits = re.compile(f"[{first or allowed}][{allowed}]{{0,{most - 1}}}")
        self._bad = re.compile(f"[^{allowed}]")
        self._most = most
        self._starts = first is not None
        self.back: dict[str, str] = {}
        """The client's name, by what the upstream is told, where the two differ."""

    def alias(self, name: str) -> str:
        """The name itself where it is legal, else one made of it: the same at every turn, and no other tool's."""
        if self._fits.fullmatch(name):
            return name
        mark = "_" + sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:6]
        stem = self._bad.sub("_", name)
        stem = f"t_{stem}" if self._starts else stem
        alias = stem[: self._most - len(mark)] + mark
        self.back[alias] = name
        return alias
