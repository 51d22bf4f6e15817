"""Ask several questions at once; each answer is printed when it is there, gathered from its stream."""

import asyncio
import os

from openai import AsyncOpenAI

QUESTIONS = ["讲一个渡口的故事", "Tell of a ferry 🛶", "Erzähle von einer Fähre"]


async def ask(client: AsyncOpenAI, question: str) -> str:
    stream = await client.chat.completions.create(
        model=os.environ.get("MODEL", "sim/text"),
        messages=[{"role": "user", "content": question}],
        stream=True,
    )
    pieces = []
    async for chunk in stream:
        if chunk.choices[0].delta.content:
            pieces.append(chunk.choices[0].delta.content)
    return "".join(pieces)


async def main() -> None:
    async with AsyncOpenAI(
        base_url=os.environ.get("BASE_URL", "http://127.0.0.1:8080/v1"),
        api_key=os.environ.get("API_KEY", "any"),
    ) as client:
        for answer in asyncio.as_completed([ask(client, question) for question in QUESTIONS]):
            print(await answer, end="\n---\n", flush=True)


asyncio.run(main())
