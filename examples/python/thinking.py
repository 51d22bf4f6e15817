"""Show what a model thinks, then what it answers. Every chunk has either the one or the other."""

import os

from openai import OpenAI

client = OpenAI(
    base_url=os.environ.get("BASE_URL", "http://127.0.0.1:8080/v1"),
    api_key=os.environ.get("API_KEY", "any"),
    timeout=1800,  # who thinks deeply takes long
)
stream = client.chat.completions.create(
    model=os.environ.get("MODEL", "sim/reasoning"),
    messages=[{"role": "user", "content": "会思考的模型和不思考的模型有什么不同？"}],
    stream=True,
)

thoughts = ""
answer = ""
with stream:
    for chunk in stream:
        delta = chunk.choices[0].delta
        if hasattr(delta, "reasoning_content") and delta.reasoning_content:
            thoughts += delta.reasoning_content
            print(delta.reasoning_content, end="", flush=True)
        else:
            if thoughts and not answer:
                print("\n---")
            answer += delta.content
            print(delta.content, end="", flush=True)
print(f"\n[{len(thoughts)} characters thought, {len(answer)} said]")
