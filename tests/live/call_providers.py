"""A program: the official `openai` package calls models as standard input says, and says what it read, a line for each.

Runs in .venv-sdk. A line of input is an object with `id` and `ask`, the arguments of the call. Chunks are added up as
application code does it, without a look whether `content` is there.
"""

from __future__ import annotations

import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from openai import APIError, APIStatusError, OpenAI

AT_ONCE = 8


def thoughts_of(message: Any) -> str:
    """Providers have two names for it; whoever added both up would read some of them twice."""
    return getattr(message, "reasoning_content", None) or getattr(message, "reasoning", None) or ""


def read_stream(stream: Any, said: dict[str, Any]) -> None:
    calls: dict[int, dict[str, str]] = {}
    said |= {"text": "", "thoughts": "", "calls": [], "finish": None, "usage": [], "chunks": 0}
    with stream:
        for chunk in stream:
            said["chunks"] += 1
            if chunk.usage and (counts := chunk.usage.to_dict()):
                said["usage"].append({"alone": not chunk.choices, **counts})
            for choice in chunk.choices:
                said["text"] += choice.delta.content
                said["thoughts"] += thoughts_of(choice.delta)
                said["finish"] = choice.finish_reason or said["finish"]
                for piece in choice.delta.tool_calls or ():
                    call = calls.setdefault(piece.index, {"id": "", "name": "", "arguments": ""})
                    call["id"] += piece.id or ""
                    call["name"] += piece.function.name or ""
                    call["arguments"] += piece.function.arguments or ""
                    said["calls"] = [call for _, call in sorted(calls.items())]


def read_whole(answer: Any, said: dict[str, Any]) -> None:
    message = answer.choices[0].message
    said |= {"text": message.content or "", "thoughts": thoughts_of(message), "finish": answer.choices[0].finish_reason}
    said["calls"] = [
        {"id": call.id, "name": call.function.name, "arguments": call.function.arguments}
        for call in message.tool_calls or ()
    ]
    said["usage"] = [answer.usage.to_dict()] if answer.usage else []


def call(client: OpenAI, order: dict[str, Any]) -> dict[str, Any]:
    said: dict[str, Any] = {"id": order["id"], "error": None, "headers": {}}
    try:
        raw = client.chat.completions.with_raw_response.create(**order["ask"])
        said["headers"] = dict(raw.headers)
        (read_stream if order["ask"].get("stream") else read_whole)(raw.parse(), said)
    except APIStatusError as error:
        said["headers"] = dict(error.response.headers)
        said["error"] = {"status": error.status_code, "message": error.message, "body": error.body}
    except APIError as error:
        said["error"] = {"status": None, "message": error.message, "body": error.body}
    return said


def main() -> None:
    client = OpenAI(base_url=os.environ["BASE_URL"], api_key=os.environ["API_KEY"], max_retries=0, timeout=60)
    orders = [json.loads(line) for line in sys.stdin]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for said in pool.map(lambda order: call(client, order), orders):
            print(json.dumps(said))


main()
