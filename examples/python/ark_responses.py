"""Ark's SDK and its Responses API: thinking first, then the answer, then the tokens."""

import os

from volcenginesdkarkruntime import Ark

client = Ark(
    base_url=os.environ.get("BASE_URL", "http://127.0.0.1:8080/api/v3"),
    api_key=os.environ.get("API_KEY", "any"),
)
stream = client.responses.create(
    model=os.environ.get("MODEL", "sim-chat/reasoning"),
    input=[{"role": "user", "content": "水边长什么植物？🌿"}],
    thinking={"type": "enabled"},
    stream=True,
)

thoughts = ""
with stream:
    for event in stream:
        if event.type in ("response.reasoning_summary_text.delta", "response.reasoning_text.delta"):
            thoughts += event.delta
        elif event.type == "response.output_text.delta":
            print(event.delta, end="", flush=True)
        elif event.type == "response.completed":
            usage = event.response.usage
            print(f"\n[tokens: {usage.input_tokens} in, {usage.output_tokens} out]")
print(f"[{len(thoughts)} characters thought]")
