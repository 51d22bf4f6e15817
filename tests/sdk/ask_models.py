"""A program: the official `openai` package makes each request that is named on standard input, and says what it got.

Runs in .venv-sdk. A request is the arguments of `chat.completions.create`; with `parse`, the package's own reading of
structured answers is used instead, into a model of pydantic's.
"""

from __future__ import annotations

import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from enum import Enum
from typing import Any

from openai import APIError, APIStatusError, OpenAI
from pydantic import BaseModel, Field

AT_ONCE = 4


class Bank(Enum):
    LEFT = "left"
    RIGHT = "right"


class Sounding(BaseModel):
    station: str
    depth_m: float = Field(ge=0, le=60)
    bank: Bank


class Survey(BaseModel):
    """What structured answers are read into."""

    river: str
    year: int = Field(ge=1850, le=2100)
    soundings: list[Sounding] = Field(min_length=2, max_length=5)
    remark: str | None


def read_stream(client: OpenAI, asked: dict[str, Any]) -> dict[str, Any]:
    got: dict[str, Any] = {"text": "", "reasoning": "", "finish_reason": None, "usage": None, "deltas": 0}
    with client.chat.completions.create(**asked, stream_options={"include_usage": True}) as stream:
        for chunk in stream:
            got["usage"] = chunk.usage.to_dict() if chunk.usage else got["usage"]
            for choice in chunk.choices:
                reasoning = getattr(choice.delta, "reasoning_content", None) or ""
                got["text"] += choice.delta.content or ""
                got["reasoning"] += reasoning
                got["deltas"] += bool(choice.delta.content or reasoning)
                got["finish_reason"] = choice.finish_reason or got["finish_reason"]
    return got


def read_whole(client: OpenAI, asked: dict[str, Any]) -> dict[str, Any]:
    answer = client.chat.completions.create(**asked)
    (choice,) = answer.choices
    return {
        "text": choice.message.content,
        "reasoning": getattr(choice.message, "reasoning_content", None) or "",
        "finish_reason": choice.finish_reason,
        "usage": answer.usage.to_dict() if answer.usage else None,
    }


def parsed(client: OpenAI, asked: dict[str, Any]) -> dict[str, Any]:
    """A structured answer, whole and from the stream helper."""
    whole = client.chat.completions.parse(**asked, response_format=Survey).choices[0].message.parsed
    with client.chat.completions.stream(**asked, response_format=Survey) as stream:
        streamed = stream.get_final_completion().choices[0].message.parsed
    return {"whole": isinstance(whole, Survey), "streamed": isinstance(streamed, Survey)}


def ask(client: OpenAI, asked: dict[str, Any]) -> dict[str, Any]:
    """What came of one request."""
    way = parsed if asked.pop("parse", False) else read_stream if asked.get("stream") else read_whole
    asked.setdefault("messages", [{"role": "user", "content": "回声 🦜"}])
    try:
        return way(client, asked)
    except APIStatusError as raised:
        said = {"status": raised.status_code, "retry_after": raised.response.headers.get("retry-after")}
        return {"error": said | {"message": raised.message, "param": raised.param, "code": raised.code}}
    except APIError as raised:
        return {"error": {"status": None, "message": raised.message}}


def main() -> None:
    client = OpenAI(base_url=os.environ["BASE_URL"], api_key=os.environ["API_KEY"], max_retries=0, timeout=60)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        json.dump(list(pool.map(lambda asked: ask(client, asked), json.load(sys.stdin))), sys.stdout)


if __name__ == "__main__":
    main()
