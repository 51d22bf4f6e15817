"""The same with the SDK of Volcengine Ark: thinking first, then the answer, then the tokens."""

import os

from volcenginesdkarkruntime import Ark

client = Ark(
    base_url=os.environ.get("BASE_URL", "http://127.0.0.1:8080/api/v3"),
    api_key=os.environ.get("API_KEY", "any"),
)
completion = client.chat.completions.create(
    model=os.environ.get("MODEL", "sim/reasoning"),
    messages=[
        {"role": "system", "content": "You are a botanist."},
        {"role": "user", "content": "水边长什么植物？"},
    ],
    thinking={"type": os.environ.get("THINKING", "enabled")},
    stream=True,
    stream_options={"include_usage": True},
)

thoughts = ""
with completion:
    for chunk in completion:
        if chunk.usage:
            print(f"\n[tokens: {chunk.usage.prompt_tokens} in, {chunk.usage.completion_tokens} out]")
        if not chunk.choices:
            continue
        delta = chunk.choices[0].delta
        if getattr(delta, "reasoning_content", None):
            thoughts += delta.reasoning_content
        elif delta.content is not None:
            print(delta.content, end="", flush=True)
print(f"[{len(thoughts)} characters thought]")
