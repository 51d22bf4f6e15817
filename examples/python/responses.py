"""The Responses API: an answer while it is made, then a second question that the first answer is sent along with."""

import os
import sys

from openai import OpenAI

client = OpenAI(
    base_url=os.environ.get("BASE_URL", "http://127.0.0.1:8080/v1"),
    api_key=os.environ.get("API_KEY", "any"),
)
talk = [{"role": "user", "content": sys.argv[1] if len(sys.argv) > 1 else "请写两行关于大河的诗 🌊"}]
for _ in range(2):
    # Nothing is stored: thoughts come encrypted, so that they can be sent back.
    with client.responses.create(
        model=os.environ.get("MODEL", "sim/text"),
        input=talk,
        store=False,
        include=["reasoning.encrypted_content"],
        stream=True,
    ) as stream:
        for event in stream:
            if event.type == "response.output_text.delta":
                print(event.delta, end="", flush=True)
            elif event.type == "response.completed":
                answer = event.response
    print(f"\n[{answer.status}; tokens: {answer.usage.input_tokens} in, {answer.usage.output_tokens} out]")
    talk += [*answer.output, {"role": "user", "content": "And what does it say in one word?"}]
