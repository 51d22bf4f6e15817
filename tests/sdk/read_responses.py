"""How the official `openai` package reads a Responses stream: event by event, and with its helper.

What the deltas say, what an item says when it is done and what the last event repeats must be the same.
"""

from __future__ import annotations

from typing import Any

from openai import APIError, OpenAI
from read_streams import api_error, other_error

ASKED: dict[str, Any] = {
    "input": "Say it again.",
    "reasoning": {"summary": "auto"},
    "include": ["reasoning.encrypted_content"],
}
TEXTS = {
    "response.output_text.delta": "text",
    "response.refusal.delta": "refusal",
    "response.reasoning_text.delta": "reasoning",
    "response.reasoning_summary_text.delta": "reasoning",
}
ARGUMENTS = ("response.function_call_arguments.delta", "response.custom_tool_call_input.delta")
LAST = ("response.completed", "response.incomplete")


class Grown:
    """What deltas add up to."""

    def __init__(self) -> None:
        self.texts = {"text": "", "refusal": "", "reasoning": ""}
        self.arguments: dict[str, str] = {}
        self.final: Any = None
        self._numbers = 0
        self._items: list[Any] = []

    def take(self, event: Any) -> None:
        assert event.sequence_number == self._numbers, "events are numbered without a gap"
        self._numbers += 1
        assert self.final is None, "nothing comes after the last event"
        if event.type in TEXTS:
            self.texts[TEXTS[event.type]] += event.delta
        elif event.type in ARGUMENTS:
            self.arguments[event.item_id] = self.arguments.get(event.item_id, "") + event.delta
        elif event.type == "response.output_item.done":
            assert event.output_index == len(self._items), "items are numbered in their order"
            self._items.append(event.item)
        elif event.type in LAST:
            self.final = event.response
            assert [item.to_dict() for item in self._items] == [item.to_dict() for item in event.response.output]


def read(client: OpenAI, model: str) -> dict[str, Any]:
    """What one stream says, and the error that ended it, if one did."""
    grown, error = Grown(), None
    try:
        with client.responses.create(model=model, stream=True, **ASKED) as stream:
            for event in stream:
                grown.take(event)
    except APIError as raised:
        error = api_error(raised)
    except Exception as raised:  # noqa: BLE001  # whatever it is, the test is told
        error = other_error(raised)
    if grown.final is None or error:
        return {"choices": {0: grown.texts | {"finish_reason": None, "tool_calls": []}}, "usage": [], "error": error}
    try:
        return told(grown.final, grown)
    except AssertionError as differs:
        return {"choices": {}, "usage": [], "error": other_error(differs)}


def gather(client: OpenAI, model: str) -> dict[str, Any]:
    """What the package's own stream helper makes of one stream."""
    last = None
    try:
        with client.responses.stream(model=model, **ASKED) as stream:
            for event in stream:
                # By its design there is no final response of an answer that was cut.
                last = event.response if event.type == "response.incomplete" else last
            return told(last or stream.get_final_response())
    except APIError as raised:
        error = api_error(raised)
    except Exception as raised:  # noqa: BLE001  # as above
        error = other_error(raised)
    return {"choices": {}, "usage": [], "error": error}


def told(response: Any, grown: Grown | None = None) -> dict[str, Any]:
    """A whole response in the same words as those of other APIs."""
    texts, calls = {"text": "", "refusal": "", "reasoning": ""}, []
    for item in response.output:
        if item.type == "message":
            for part in item.content:
                texts["text" if part.type == "output_text" else "refusal"] += getattr(part, "text", None) or getattr(
                    part, "refusal", ""
                )
        elif item.type == "reasoning":
            texts["reasoning"] += "".join(part.text for part in [*item.summary, *(item.content or ())])
        elif item.type in ("function_call", "custom_tool_call"):
            arguments = item.arguments if item.type == "function_call" else item.input
            calls.append({"id": item.call_id, "name": item.name, "arguments": arguments})
            assert grown is None or grown.arguments.get(item.id, "") == arguments, "deltas differ from arguments"
    assert texts["text"] == response.output_text, "the text differs from `output_text`"
    assert grown is None or grown.texts == texts, "deltas differ from the text"
    why = response.incomplete_details and response.incomplete_details.reason
    choice = texts | {"finish_reason": f"{response.status} {why}" if why else response.status, "tool_calls": calls}
    return {"choices": {0: choice}, "usage": [response.usage.to_dict()] if response.usage else [], "error": None}


def client(url: str) -> OpenAI:
    return OpenAI(base_url=f"{url}/v1", api_key="sk-nobody", max_retries=0, timeout=60)


WAYS = {"responses": read, "responses-helper": gather}
