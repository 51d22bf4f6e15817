"""The SDK of Volcengine Ark, asynchronous: one answer streamed, one stopped in the middle, one taken whole."""

import asyncio
import os

from volcenginesdkarkruntime import AsyncArk

MODEL = os.environ.get("MODEL", "sim/text")
SLOW_MODEL = os.environ.get("SLOW_MODEL", "sim/slow")


async def main() -> None:
    client = AsyncArk(
        base_url=os.environ.get("BASE_URL", "http://127.0.0.1:8080/api/v3"),
        api_key=os.environ.get("API_KEY", "any"),
    )
    question = [{"role": "user", "content": "讲讲三峡 ⛰️"}]

    async for chunk in await client.chat.completions.create(model=MODEL, messages=question, stream=True):
        print(chunk.choices[0].delta.content, end="", flush=True)
    print("\n---")

    pieces = 0
    async with await client.chat.completions.create(model=SLOW_MODEL, messages=question, stream=True) as stream:
        async for chunk in stream:
            pieces += bool(chunk.choices[0].delta.content)
            if pieces == 3:
                break
    print(f"[stopped after {pieces} pieces]")

    whole = await client.chat.completions.create(model=MODEL, messages=question)
    print(whole.choices[0].message.content)
    await client.close()


asyncio.run(main())
