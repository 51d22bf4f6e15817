"""Ark's SDK at its plainest, as Ark's own pages teach it: what is in `delta.content` is printed without a look at it.

A `with` block closes the connection however it is left. PLAIN=1 does without one, as many programs do.
"""

import os

from volcenginesdkarkruntime import Ark

client = Ark(
    base_url=os.environ.get("BASE_URL", "http://127.0.0.1:8080/api/v3"),
    api_key=os.environ.get("API_KEY", "any"),
)
completion = client.chat.completions.create(
    model=os.environ.get("MODEL", "sim/text"),
    messages=[
        {"role": "system", "content": "You are a helpful assistant."},
        {"role": "user", "content": "水边有哪些植物？🌿"},
    ],
    stream=True,
)
if os.environ.get("PLAIN"):
    for chunk in completion:
        if not chunk.choices:
            continue
        print(chunk.choices[0].delta.content, end="")
else:
    with completion:
        for chunk in completion:
            if chunk.choices[0].delta.content is not None:
                print(chunk.choices[0].delta.content, end="")
