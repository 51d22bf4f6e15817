"""Show an answer while it is made, then its tokens: they come in a last chunk that has no choices, if asked for."""

import os

from openai import OpenAI

client = OpenAI(
    base_url=os.environ.get("BASE_URL", "http://127.0.0.1:8080/v1"),
    api_key=os.environ.get("API_KEY", "any"),
)
stream = client.chat.completions.create(
    model=os.environ.get("MODEL", "sim/text"),
    messages=[
        {"role": "system", "content": "You are a ferryman."},
        {"role": "user", "content": "你好，请问你是谁？"},
    ],
    stream=True,
    stream_options={"include_usage": True},
)

pieces = []
for chunk in stream:
    if chunk.choices:
        content = chunk.choices[0].delta.content or ""
        print(content, end="", flush=True)
        pieces.append(content)
    elif chunk.usage:
        print(f"\n[input tokens: {chunk.usage.prompt_tokens}]")
        print(f"[output tokens: {chunk.usage.completion_tokens}]")
        print(f"[all tokens: {chunk.usage.total_tokens}]")
print(f"[characters: {len(''.join(pieces))}]")
