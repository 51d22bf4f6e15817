"""A program: each official SDK reads the streams named on standard input, and says what it read, in the same words.

Runs in .venv-sdk. The input is a list of models for each way to read, the output a list of readings for each. What an
SDK gathers itself (its helper) and what code gathers from its events must not differ in what is said twice.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from typing import Any

AT_ONCE = 4
MODULES = {
    "chat": "read_streams",
    "chat-helper": "read_streams",
    "responses": "read_responses",
    "responses-helper": "read_responses",
    "messages": "read_messages",
    "messages-helper": "read_messages",
    "gemini": "read_gemini",
    "gemini-chat": "read_gemini",
}
"""Where each way is; a module imports its SDK."""

Reading = dict[str, Any]


def reader(way: str, url: str) -> Callable[[str], Reading]:
    """Reads the stream of one model."""
    module: Any = import_module(MODULES[way])
    client, read = module.client(url), module.WAYS[way]
    return lambda model: read(client, model)


def main() -> None:
    asked: dict[str, list[str]] = json.load(sys.stdin)
    readings = {}
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for way, models in asked.items():
            readings[way] = list(pool.map(reader(way, os.environ["BASE_URL"]), models))
    json.dump(readings, sys.stdout)


if __name__ == "__main__":
    main()
