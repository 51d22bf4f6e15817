"""Leave the adding up to the SDK's own stream helper."""

import os

from openai import OpenAI

client = OpenAI(
    base_url=os.environ.get("BASE_URL", "http://127.0.0.1:8080/v1"),
    api_key=os.environ.get("API_KEY", "any"),
)

text = ""
with client.chat.completions.stream(
    model=os.environ.get("MODEL", "sim/text"),
    messages=[{"role": "user", "content": "请说说运河 🚢"}],
    stream_options={"include_usage": True},
) as stream:
    for event in stream:
        if event.type == "content.delta":
            text += event.delta
            print(event.delta, end="", flush=True)
    final = stream.get_final_completion()

message = final.choices[0].message
print(f"\n[{message.role}, ended: {final.choices[0].finish_reason}, the same text: {message.content == text}]")
if final.usage:
    print(f"[tokens: {final.usage.prompt_tokens} in, {final.usage.completion_tokens} out]")
