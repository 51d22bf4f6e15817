"""Take an answer whole, with what it has cost.

Another question may be given: python whole.py "Which rivers flow into the Baltic?"
"""

import os
import sys

from openai import OpenAI

client = OpenAI(
    base_url=os.environ.get("BASE_URL", "http://127.0.0.1:8080/v1"),
    api_key=os.environ.get("API_KEY", "any"),
)
question = sys.argv[1] if len(sys.argv) > 1 else "请写两行关于大江的诗 🌊"

answer = client.chat.completions.create(
    model=os.environ.get("MODEL", "sim/text"),
    messages=[
        {"role": "system", "content": "You know every river."},
        {"role": "user", "content": question},
    ],
)
print(answer.choices[0].message.content)
print(f"[ended: {answer.choices[0].finish_reason}]")
if answer.usage:
    print(f"[tokens: {answer.usage.prompt_tokens} in, {answer.usage.completion_tokens} out]")
