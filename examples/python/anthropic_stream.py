"""Anthropic's SDK: an answer while it is made, then why it ended and its tokens."""

import os
import sys

import anthropic

client = anthropic.Anthropic(
    base_url=os.environ.get("BASE_URL", "http://127.0.0.1:8080/anthropic"),
    api_key=os.environ.get("API_KEY", "any"),
)
question = sys.argv[1] if len(sys.argv) > 1 else "请写两行关于大江的诗 🌊"

with client.messages.stream(
    model=os.environ.get("MODEL", "sim/text"),
    max_tokens=1024,
    messages=[{"role": "user", "content": question}],
) as stream:
    for text in stream.text_stream:
        print(text, end="", flush=True)
    message = stream.get_final_message()
print(f"\n[ended: {message.stop_reason}; tokens: {message.usage.input_tokens} in, {message.usage.output_tokens} out]")
