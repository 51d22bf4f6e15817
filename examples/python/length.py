"""Bound an answer's length, and notice that it was cut."""

import os

from openai import OpenAI

client = OpenAI(
    base_url=os.environ.get("BASE_URL", "http://127.0.0.1:8080/v1"),
    api_key=os.environ.get("API_KEY", "any"),
)
with client.chat.completions.create(
    model=os.environ.get("MODEL", "sim/text"),
    messages=[{"role": "user", "content": "从一数到一百"}],
    max_tokens=8,
    stream=True,
    stream_options={"include_usage": True},
) as stream:
    for chunk in stream:
        if chunk.usage:
            print(f"\n[output tokens: {chunk.usage.completion_tokens}]")
        for choice in chunk.choices:
            print(choice.delta.content or "", end="", flush=True)
            if choice.finish_reason == "length":
                print(" … [cut]", end="")
