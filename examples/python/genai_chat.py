"""Google's SDK: a talk that it keeps itself, with thoughts, and the tokens of each answer."""

import os

from google import genai
from google.genai import types

client = genai.Client(
    http_options={"base_url": os.environ.get("BASE_URL", "http://127.0.0.1:8080")},
    api_key=os.environ.get("API_KEY", "any"),
)
chat = client.chats.create(
    model=os.environ.get("MODEL", "sim/reasoning"),
    config=types.GenerateContentConfig(thinking_config=types.ThinkingConfig(include_thoughts=True)),
)
for question in ("Which rivers flow into the Baltic?", "那么哪条最长？🌊"):
    thoughts = 0
    for chunk in chat.send_message_stream(question):
        for part in chunk.candidates[0].content.parts:
            if part.thought:
                thoughts += len(part.text)
            elif part.text:
                print(part.text, end="", flush=True)
        if chunk.candidates[0].finish_reason:
            usage = chunk.usage_metadata
    tokens = f"{usage.prompt_token_count} in, {usage.candidates_token_count} out"
    print(f"\n[{thoughts} characters thought; tokens: {tokens}]")
