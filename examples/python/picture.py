"""Ask about a picture: one that is sent along, or one at an address.

The latter is given: python picture.py https://example.com/boats.png
"""

import os
import sys

from openai import OpenAI

# 8 × 8 pixels, all of one blue.
BLUE = (
    "data:image/png;base64,"
    "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAIAAABLbSncAAAAEUlEQVR42mOQizqBFTEMLQkAGBlQAUe2mrMAAAAASUVORK5CYII="
)
picture = sys.argv[1] if len(sys.argv) > 1 else BLUE

client = OpenAI(
    base_url=os.environ.get("BASE_URL", "http://127.0.0.1:8080/v1"),
    api_key=os.environ.get("API_KEY", "any"),
)
stream = client.chat.completions.create(
    model=os.environ.get("MODEL", "sim/text"),
    messages=[
        {
            "role": "user",
            "content": [
                {"type": "image_url", "image_url": {"url": picture}},
                {"type": "text", "text": "这张图片里有什么？"},
            ],
        }
    ],
    stream=True,
)

seen = ""
for chunk in stream:
    if chunk.choices and chunk.choices[0].delta.content != "":
        seen += chunk.choices[0].delta.content
print(seen)
