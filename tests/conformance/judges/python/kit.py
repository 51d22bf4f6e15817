"""What every judge in Python shares: it reads what is asked of its SDK, a line each, and says what the SDK read.

A judge never judges: it only tells what an application would have seen. The cases and what must come of them stand in
`tests.conformance.cases`, once for all languages. The lines are described in `tests.conformance.judge`.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import sys
import warnings
from collections.abc import Awaitable, Callable
from importlib.metadata import version
from typing import Any

BASE = os.environ.get("BASE_URL", "http://127.0.0.1:8080")
KEY = os.environ.get("API_KEY", "any")
TIMEOUT_S = 30.0

Ask = dict[str, Any]


class Got:
    """What was read of one answer so far. It is told also where the SDK has raised in the middle."""

    def __init__(self) -> None:
        self.native: Any = None
        """The answer as the SDK gives it back to the provider in the next turn."""
        self.finish: str | None = None
        self.usage: dict[str, int | None] | None = None
        self.more: dict[str, Any] = {}
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._calls: dict[Any, dict[str, Any]] = {}

    @property
    def text(self) -> str:
        return "".join(self._text)

    def say(self, piece: str | None) -> None:
        if piece:
            self._text.append(piece)

    def think(self, piece: str | None) -> None:
        if piece:
            self._reasoning.append(piece)

    def call(self, key: Any, call_id: str | None, name: str | None, arguments: Any) -> None:
        """A call, or a further piece of the arguments of the one with this key."""
        call = self._calls.setdefault(key, {"id": None, "name": None, "arguments": ""})
        call["id"] = call["id"] or call_id
        call["name"] = call["name"] or name
        if isinstance(arguments, str):
            call["arguments"] += arguments
        elif arguments is not None:
            call["arguments"] = arguments

    def count(self, into: int | None, out: int | None, reasoning: int | None = None) -> None:
        self.usage = {"input": into, "output": out, "reasoning": reasoning}

    def told(self) -> dict[str, Any]:
        return {
            "text": self.text,
            "deltas": len(self._text),
            "reasoning": "".join(self._reasoning),
            "thoughts": len(self._reasoning),
            "calls": [call | {"arguments": _parsed(call["arguments"])} for call in self._calls.values()],
            "finish": self.finish,
            "usage": self.usage,
        } | self.more


Way = Callable[[Ask, Got], Awaitable[None] | None]


class Client:
    """One SDK in one dialect. A subclass has its `ways`, and keeps of earlier answers what it needs to echo them."""

    def __init__(self) -> None:
        self.natives: dict[int, Any] = {}

    def ways(self) -> dict[str, Way]:
        raise NotImplementedError

    def models(self) -> list[str]:
        """The names that the SDK lists."""
        raise NotImplementedError

    def count(self, ask: Ask) -> int | None:
        """How many tokens the provider says that a request would have."""
        raise NotImplementedError


def png(picture: str) -> bytes:
    return base64.b64decode(picture)


def tools_results(ask: Ask) -> dict[str, str]:
    """What each tool answers, for SDKs that run the loop themselves."""
    return {tool["name"]: tool["result"] for tool in ask.get("tools") or []}


def _parsed(arguments: Any) -> Any:
    if not isinstance(arguments, str):
        return arguments
    try:
        return json.loads(arguments or "{}")
    except ValueError:
        return {"_unparsed": arguments}


def _error(raised: BaseException) -> dict[str, Any]:
    if isinstance(raised, ExceptionGroup):
        return _error(raised.exceptions[0])
    status = getattr(raised, "status_code", None) or getattr(raised, "code", None)
    kinds = [kind.__name__ for kind in type(raised).__mro__ if kind not in (Exception, BaseException, object)]
    message = getattr(raised, "message", None) or str(raised)
    return {"kinds": kinds, "status": status if isinstance(status, int) else None, "message": str(message)[:400]}


async def _answer(client: Client, ask: Ask) -> dict[str, Any]:
    got = Got()
    told: dict[str, Any] = {}
    try:
        if ask["way"] == "models":
            return {"models": client.models()}
        if ask["way"] == "count":
            return {"count": client.count(ask)}
        done = client.ways()[ask["way"]](ask, got)
        if done is not None:
            await done
    except Exception as raised:  # noqa: BLE001 - whatever an SDK raises is what its user would see
        told["error"] = _error(raised)
        if os.environ.get("TRACE"):
            import traceback

            traceback.print_exc()
    client.natives[ask["id"]] = got.native
    return got.told() | told


async def _main(clients: dict[str, Client], packages: list[str]) -> None:
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what an SDK prints is no answer
    print(json.dumps({"versions": {name: version(name) for name in packages}}), file=out, flush=True)
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        ask = json.loads(line)
        told = await _answer(clients[ask["client"]], ask)
        print(json.dumps({"id": ask["id"]} | told, ensure_ascii=True, default=str), file=out, flush=True)


def serve(clients: dict[str, Client], packages: list[str]) -> None:
    """Answer line after line, until there are no more."""
    warnings.simplefilter("ignore")
    asyncio.run(_main(clients, packages))
