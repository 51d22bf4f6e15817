"""Anthropic's SDK: lets the model think and call functions until it answers. Its blocks go back as they came."""

import json
import os

import anthropic

client = anthropic.Anthropic(
    base_url=os.environ.get("BASE_URL", "http://127.0.0.1:8080/anthropic"),
    api_key=os.environ.get("API_KEY", "any"),
)
tools = [
    {
        "name": "water_level",
        "description": "The water level at a gauge",
        "input_schema": {"type": "object", "properties": {"gauge": {"type": "string"}}, "required": ["gauge"]},
    },
    {
        "name": "list_gauges",
        "description": "All gauges",
        "input_schema": {"type": "object", "properties": {}},
    },
]
answers = {"water_level": {"level_cm": 4711}, "list_gauges": {"gauges": ["宜昌", "沙市"]}}
talk = [{"role": "user", "content": "How high is the river?"}]

while True:
    with client.messages.stream(
        model=os.environ.get("MODEL", "sim/agent"),
        max_tokens=4096,
        thinking={"type": "enabled", "budget_tokens": 1024},
        tools=tools,
        messages=talk,
    ) as stream:
        for text in stream.text_stream:
            print(text, end="", flush=True)
        message = stream.get_final_message()
    calls = [block for block in message.content if block.type == "tool_use"]
    if not calls:
        break
    print("[calls: " + ", ".join(f"{call.name} {json.dumps(call.input, ensure_ascii=False)}" for call in calls) + "]")
    results = [
        {"type": "tool_result", "tool_use_id": call.id, "content": json.dumps(answers[call.name], ensure_ascii=False)}
        for call in calls
    ]
    talk += [{"role": "assistant", "content": message.content}, {"role": "user", "content": results}]
print(f"\n[ended: {message.stop_reason}]")
