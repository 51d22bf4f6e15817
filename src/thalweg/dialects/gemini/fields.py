"""Field names as Google's JSON has them: every one may come as lowerCamelCase or as snake_case, mixed in one body.

What lies inside of schemas, arguments and responses are the client's own names, which stay as they are.
"""

from __future__ import annotations

import re
from typing import Any

_LETTER = re.compile(r"_([a-z0-9])")
_OWN = frozenset(
    {
        "args",
        "response",
        "parameters",
        "parametersJsonSchema",
        "responseJsonSchema",
        "responseSchema",
        "labels",
        "partMetadata",
    }
)
"""Fields whose values have names that are not Google's."""


def camel(name: str) -> str:
    """One name in lowerCamelCase."""
    return _LETTER.sub(lambda found: found[1].upper(), name) if "_" in name[1:] else name


def normalised(tree: Any) -> Any:
    """A body with all of Google's names in lowerCamelCase. Where both spellings stand, the camel's own counts."""
    if isinstance(tree, list):
        return [normalised(each) for each in tree]
    if not isinstance(tree, dict):
        return tree
    made: dict[str, Any] = {}
    for name, value in tree.items():
        named = camel(name)
        if named == name or named not in tree:
            made[named] = value if named in _OWN else normalised(value)
    return made
