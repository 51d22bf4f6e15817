"""Stop an answer in the middle. Leaving the `with` closes the connection, and the provider stops as well."""

import os

from openai import OpenAI

ENOUGH = 5

client = OpenAI(
    base_url=os.environ.get("BASE_URL", "http://127.0.0.1:8080/v1"),
    api_key=os.environ.get("API_KEY", "any"),
)

pieces = 0
with client.chat.completions.create(
    model=os.environ.get("MODEL", "sim/slow"),
    messages=[{"role": "user", "content": "写一部关于长江的长篇小说"}],
    stream=True,
) as stream:
    for chunk in stream:
        content = chunk.choices[0].delta.content
        if content:
            print(content, end="", flush=True)
            pieces += 1
        if pieces == ENOUGH:
            break
print(f"\n[stopped after {pieces} pieces]")
