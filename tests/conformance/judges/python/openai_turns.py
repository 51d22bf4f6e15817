"""Requests of Chat and Responses as applications write them: for every SDK that takes these forms."""

from __future__ import annotations

from typing import Any

from kit import Ask


def chat_messages(ask: Ask, natives: dict[int, Any]) -> list[Any]:
    """The turns as Chat has them."""
    messages: list[Any] = [{"role": "system", "content": ask["system"]}] if ask.get("system") else []
    for turn in ask["turns"]:
        if "user" in turn:
            pictures = [
                {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{picture}"}}
                for picture in turn.get("images", [])
            ]
            text = {"type": "text", "text": turn["user"]}
            messages.append({"role": "user", "content": [text, *pictures] if pictures else turn["user"]})
        elif "echo" in turn:
            messages.append(natives[turn["echo"]])
        elif "results" in turn:
            messages += [
                {"role": "tool", "tool_call_id": result["id"], "content": result["text"]} for result in turn["results"]
            ]
        else:
            messages.append(careless_message(turn))
    return messages


def careless_message(turn: dict[str, Any]) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": turn["said"] or None}
    if turn["calls"]:
        message["tool_calls"] = [
            {"id": call["id"], "type": "function", "function": {"name": call["name"], "arguments": call["arguments"]}}
            for call in turn["calls"]
        ]
    return message


def chat_request(ask: Ask, natives: dict[int, Any]) -> dict[str, Any]:
    request: dict[str, Any] = {"model": ask["model"], "messages": chat_messages(ask, natives)}
    if ask.get("tools"):
        request["tools"] = [
            {
                "type": "function",
                "function": {"name": t["name"], "description": t["description"], "parameters": t["schema"]},
            }
            for t in ask["tools"]
        ]
    if ask.get("max_tokens"):
        request["max_tokens"] = ask["max_tokens"]
    if ask.get("stop"):
        request["stop"] = ask["stop"]
    if ask.get("thinking"):
        request["reasoning_effort"] = "low"
    if ask.get("schema"):
        request["response_format"] = {
            "type": "json_schema",
            "json_schema": {"name": "answer", "schema": ask["schema"], "strict": True},
        }
    return request


def response_items(ask: Ask, natives: dict[int, Any]) -> list[Any]:
    """The turns as Responses has them."""
    items: list[Any] = []
    for turn in ask["turns"]:
        if "user" in turn:
            pictures = [
                {"type": "input_image", "image_url": f"data:image/png;base64,{picture}", "detail": "auto"}
                for picture in turn.get("images", [])
            ]
            content = [{"type": "input_text", "text": turn["user"]}, *pictures] if pictures else turn["user"]
            items.append({"role": "user", "content": content})
        elif "echo" in turn:
            items += natives[turn["echo"]]
        elif "results" in turn:
            items += [
                {"type": "function_call_output", "call_id": result["id"], "output": result["text"]}
                for result in turn["results"]
            ]
        else:
            items += [{"role": "assistant", "content": turn["said"]}] if turn["said"] else []
            items += [
                {
                    "type": "function_call",
                    "call_id": call["id"],
                    "name": call["name"],
                    "arguments": call["arguments"],
                }
                for call in turn["calls"]
            ]
    return items


def response_request(ask: Ask, natives: dict[int, Any]) -> dict[str, Any]:
    request: dict[str, Any] = {"model": ask["model"], "input": response_items(ask, natives), "store": False}
    request["include"] = ["reasoning.encrypted_content"]
    if ask.get("system"):
        request["instructions"] = ask["system"]
    if ask.get("tools"):
        request["tools"] = [
            {
                "type": "function",
                "name": t["name"],
                "description": t["description"],
                "parameters": t["schema"],
                "strict": False,
            }
            for t in ask["tools"]
        ]
    if ask.get("max_tokens"):
        request["max_output_tokens"] = ask["max_tokens"]
    if ask.get("thinking"):
        request["reasoning"] = {"effort": "low", "summary": "auto"}
    if ask.get("schema"):
        request["text"] = {"format": {"type": "json_schema", "name": "answer", "schema": ask["schema"], "strict": True}}
    return request


def careful_messages(message: Any) -> dict[str, Any]:
    """A message with everything that a framework has read, in the form that it takes back."""
    told: dict[str, Any] = message.model_dump(exclude_none=True)
    return told
