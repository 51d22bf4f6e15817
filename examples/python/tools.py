"""Let a model call functions: gather the calls from a stream, run them, and hand the results back."""

import json
import os
from typing import Any

from openai import OpenAI

client = OpenAI(
    base_url=os.environ.get("BASE_URL", "http://127.0.0.1:8080/v1"),
    api_key=os.environ.get("API_KEY", "any"),
)
model = os.environ.get("MODEL", "sim/tools")


def water_level(gauge: str) -> dict[str, Any]:
    return {"gauge": gauge, "level_cm": 4711}


def sluice(gate: str, opening: str) -> dict[str, Any]:
    return {"gate": gate, "opening": opening, "done": True}


FUNCTIONS = {"water_level": water_level, "sluice": sluice}


def tool(name: str, text: str, **properties: Any) -> dict[str, Any]:
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    return {"type": "function", "function": {"name": name, "description": text, "parameters": schema}}


TOOLS = [
    tool("water_level", "How high the water stands at a gauge", gauge={"type": "string"}),
    tool(
        "sluice",
        "Open or close a gate",
        gate={"type": "string"},
        opening={"type": "string", "enum": ["open", "closed"]},
    ),
]

messages: list[Any] = [{"role": "user", "content": "武汉的水位是多少？请把闸门打开。"}]
stream = client.chat.completions.create(model=model, messages=messages, tools=TOOLS, stream=True)

# A call's first piece has its id and name; every further one a part of its arguments.
calls: dict[int, dict[str, Any]] = {}
for chunk in stream:
    for piece in chunk.choices[0].delta.tool_calls or []:
        call = calls.setdefault(piece.index, {"id": "", "name": "", "arguments": ""})
        call["id"] = piece.id or call["id"]
        call["name"] += piece.function.name or ""
        call["arguments"] += piece.function.arguments or ""
    if chunk.choices[0].finish_reason:
        print(f"[ended: {chunk.choices[0].finish_reason}]")

asked = [
    {"id": call["id"], "type": "function", "function": {"name": call["name"], "arguments": call["arguments"]}}
    for _, call in sorted(calls.items())
]
messages.append({"role": "assistant", "content": None, "tool_calls": asked})
for call in calls.values():
    result = FUNCTIONS[call["name"]](**json.loads(call["arguments"]))
    print(f"[{call['name']} → {json.dumps(result, ensure_ascii=False)}]")
    messages.append({"role": "tool", "tool_call_id": call["id"], "content": json.dumps(result)})

for chunk in client.chat.completions.create(model=model, messages=messages, tools=TOOLS, stream=True):
    print(chunk.choices[0].delta.content or "", end="", flush=True)
print()
