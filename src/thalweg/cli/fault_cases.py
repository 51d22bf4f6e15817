"""The cases of `thalweg fault run`: which faults are asked for, and what may become of each. Nothing here does I/O."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from thalweg.server.simulated import faults_of

Dialect = Literal["openai-chat", "openai-responses", "anthropic", "gemini"]
"""Those that clients speak."""
Place = Literal["before", "middle", "finish", "after"]
End = Literal["complete", "status", "error"]
"""The whole answer; an error with a status of its own; an error after the answer has begun."""

DIALECTS: tuple[Dialect, ...] = ("openai-chat", "openai-responses", "anthropic", "gemini")
SEED = 7
"""With it every answer is the same, but for its fault."""
TOKENS = 12
"""Of each answer, one to a delta."""
PLACES: dict[Place, int] = {"before": 1, "middle": 6, "finish": TOKENS + 1, "after": TOKENS + 2}
"""The delta at which a fault stands: the first, one in the middle, the finish, and what follows that."""

_PROMPT = "Say it again: 回声 🦜 and on it goes."
_SCHEMA = {
    "type": "object",
    "properties": {"place": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["place", "days"],
}
_FUNCTIONS = [{"name": name, "parameters": _SCHEMA} for name in ("look_up_weather", "look_up_river")]
_OF_PLACE = frozenset({"error-midstream", "reset", "fin", "eof", "stall", "bad-json", "big-frame", "usage-early"})
"""Faults that stand at a place; the others are everywhere, or nowhere in particular."""
_ANYWHERE: tuple[Place, ...] = ("middle",)
_BREAKS = frozenset({"error-midstream", "reset", "fin", "eof", "stall", "bad-json"})
_COMPLETE: frozenset[End] = frozenset({"complete"})
_STATUS: frozenset[End] = frozenset({"status"})
_FAILED: frozenset[End] = frozenset({"status", "error"})
_ANY: frozenset[End] = frozenset({"complete", "status", "error"})
_BY_PLACE: dict[Place, frozenset[End]] = {
    "before": _FAILED,
    "middle": frozenset({"error"}),
    # Where everything has been said, some dialects' answers are whole; and only then may they end like that.
    "finish": frozenset({"complete", "error"}),
    "after": frozenset({"complete", "error"}),
}
"""How an answer may end that breaks off there."""
_KEPT = {
    400: (400,),
    401: (401, 500, 502),
    402: (402, 500, 502),
    403: (403, 500, 502),
    404: (404,),
    408: (408, 500, 502, 504),
    409: (409,),
    413: (400, 413),
    429: (429,),
}
"""Which status a client may get for an upstream's. The first three are about the gateway's key, not the client's."""


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """One fault at one place, asked for by one client."""

    fault: str
    dialect: Dialect
    place: Place
    stream: bool
    prefix: str = "sim/"
    """What stands before the simulator's own names of models."""

    @property
    def calls(self) -> bool:
        """Whether tools are called in it."""
        return self.fault.startswith(("tool-", "args-"))

    @property
    def model(self) -> str:
        """The model's name, with the fault."""
        size = ",size=2000000" if self.fault == "big-frame" else ""
        return self._named(f"fault={self.fault},at={PLACES[self.place]}{size}")

    @property
    def sound(self) -> Case:
        """The same without its fault."""
        return msgspec.structs.replace(self, fault="tool-none" if self.calls else "", place="middle")

    def _named(self, more: str) -> str:
        own = "tools" if self.calls else "text"
        knobs = ["ttft=0", "pace=0", f"seed={SEED}", *([] if self.calls else [f"tokens={TOKENS}"])]
        if self.fault and self.fault != "tool-none":
            knobs += more.split(",")
        # Gemini's models stand in a path, where SDKs let no question mark in.
        begin, between = (";", ";") if self.dialect == "gemini" else ("?", "&")
        return f"{self.prefix}{own}{begin}{between.join(knobs)}"

    @property
    def body(self) -> bytes:
        """What its client asks, in its dialect."""
        return msgspec.json.encode(_ASK[self.dialect](self))

    @property
    def may(self) -> frozenset[End]:
        """How it may end."""
        if self.fault.startswith("http-") or self.fault in ("refuse", "hang"):
            return _STATUS
        if self.fault == "error-first":
            return _FAILED if self.stream else _STATUS
        if self.fault == "no-done":
            # What has finished may just end, in some dialects: whose the upstream's is, is not known here.
            return _ANY
        if self.fault not in _BREAKS:
            return _COMPLETE
        if not self.stream:
            # A frame is broken in a stream only, and a whole answer may be made of one.
            return _ANY if self.fault == "bad-json" else _STATUS
        return _BY_PLACE[self.place]

    @property
    def same(self) -> bool:
        """Whether a complete answer is the sound one to the last argument and token."""
        return not self.fault.startswith(("args-", "usage-"))

    def takes(self, status: int) -> bool:
        """Whether a status is one that this fault may have for a client."""
        asked = int(self.fault[5:8]) if self.fault.startswith("http-") else 500
        return status in _KEPT.get(asked, range(500, 600))


def _ask_chat(case: Case) -> dict[str, Any]:
    more: dict[str, Any] = {"stream_options": {"include_usage": True}} if case.stream else {}
    if case.calls:
        more["tools"] = [{"type": "function", "function": each} for each in _FUNCTIONS]
    return {"model": case.model, "stream": case.stream, "messages": [{"role": "user", "content": _PROMPT}]} | more


def _ask_responses(case: Case) -> dict[str, Any]:
    more = {"tools": [{"type": "function", **each} for each in _FUNCTIONS]} if case.calls else {}
    return {"model": case.model, "stream": case.stream, "store": False, "input": _PROMPT} | more


def _ask_messages(case: Case) -> dict[str, Any]:
    tools = [{"name": each["name"], "input_schema": each["parameters"]} for each in _FUNCTIONS]
    messages = [{"role": "user", "content": _PROMPT}]
    asked = {"model": case.model, "max_tokens": 4096, "stream": case.stream, "messages": messages}
    return asked | ({"tools": tools} if case.calls else {})


def _ask_gemini(case: Case) -> dict[str, Any]:
    more = {"tools": [{"functionDeclarations": _FUNCTIONS}]} if case.calls else {}
    return {"contents": [{"role": "user", "parts": [{"text": _PROMPT}]}]} | more


_ASK = {
    "openai-chat": _ask_chat,
    "openai-responses": _ask_responses,
    "anthropic": _ask_messages,
    "gemini": _ask_gemini,
}


def cases_of(dialects: Sequence[Dialect], faults: Sequence[str], *, prefix: str) -> list[Case]:
    """Every fault at each place where that makes a difference, streamed and whole, in each of the dialects."""
    made: list[Case] = []
    for dialect in dialects:
        for fault in faults_of(dialect):
            if fault not in faults:
                continue
            for place in tuple(PLACES) if fault in _OF_PLACE else _ANYWHERE:
                for stream in (True, False):
                    if stream or place == "middle":
                        made.append(Case(fault=fault, dialect=dialect, place=place, stream=stream, prefix=prefix))
    return made
