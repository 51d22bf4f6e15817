"""Show an answer of any provider while it is made, without a gateway: the package itself asks.

Another question may be given: python in_process.py "Which rivers flow into the Baltic?"
"""

import asyncio
import os
import sys

import thalweg

model = os.environ.get("MODEL", "sim/text")
question = sys.argv[1] if len(sys.argv) > 1 else "请写两行关于大江的诗 🌊"


async def main() -> None:
    async with thalweg.stream(model, question) as answer:
        async for text in answer.texts():
            print(text, end="", flush=True)
    said = answer.response
    print(f"\n[ended: {said.choice.finish_reason}, tokens: {said.usage.output_tokens if said.usage else 'unknown'}]")


asyncio.run(main())
