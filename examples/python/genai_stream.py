"""Google's SDK: an answer while it is made. Every chunk's text is printed without a look whether it has one."""

import os
import sys

from google import genai

client = genai.Client(
    # With its scheme: the SDK does not add one.
    http_options={"base_url": os.environ.get("BASE_URL", "http://127.0.0.1:8080")},
    api_key=os.environ.get("API_KEY", "any"),
)
response = client.models.generate_content_stream(
    model=os.environ.get("MODEL", "sim/text"),
    contents=sys.argv[1] if len(sys.argv) > 1 else "请写两行关于大江的诗 🌊",
)
for chunk in response:
    print(chunk.text, end="", flush=True)
