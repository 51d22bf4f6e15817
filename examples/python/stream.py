"""Show an answer while it is made, and say why it ended.

Another question may be given: python stream.py "Which rivers flow into the Baltic?"
"""

import os
import sys

from openai import OpenAI

client = OpenAI(
    base_url=os.environ.get("BASE_URL", "http://127.0.0.1:8080/v1"),
    api_key=os.environ.get("API_KEY", "any"),
)
question = sys.argv[1] if len(sys.argv) > 1 else "请写两行关于大江的诗 🌊"

stream = client.chat.completions.create(
    model=os.environ.get("MODEL", "sim/text"),
    messages=[{"role": "user", "content": question}],
    stream=True,
)
for chunk in stream:
    choice = chunk.choices[0]
    if choice.delta.content is not None:
        print(choice.delta.content, end="", flush=True)
    if choice.finish_reason:
        print(f"\n[ended: {choice.finish_reason}]")
