"""The shapes of Responses on the wire, as lenient as the providers are.

Only the frame of an event is typed; every leaf may be anything, because somewhere it is. Reading a leaf therefore
always asks for its type.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec import Raw

from thalweg.dialects.kit.body import NULL


class ResponseHead(msgspec.Struct):
    """What is read of a response object."""

    id: Any = None
    model: Any = None
    created_at: Any = None
    status: Any = None
    error: Any = None
    incomplete_details: Any = None
    output: Any = None
    usage: Any = None


class WireEvent(msgspec.Struct):
    """One event of a stream, of any type."""

    type: Any = None
    sequence_number: Any = None
    output_index: Any = None
    content_index: Any = None
    summary_index: Any = None
    item_id: Any = None
    delta: Any = None
    text: Any = None
    refusal: Any = None
    arguments: Any = None
    input: Any = None
    logprobs: Any = None
    annotation: Any = None
    part: Any = None
    item: Any = None
    response: Raw = NULL
    error: Any = None
    code: Any = None
    message: Any = None
    param: Any = None


class CommonDelta(msgspec.Struct, gc=False):
    """The common event, which only adds text. What may not be there has a type of its own, so that the parser refuses
    it.
    """

    type: Literal[
        "response.output_text.delta",
        "response.reasoning_summary_text.delta",
        "response.reasoning_text.delta",
        "response.refusal.delta",
        "response.function_call_arguments.delta",
        "response.custom_tool_call_input.delta",
    ]
    delta: str
    item_id: str
    output_index: int
    sequence_number: int
    error: None = None
    response: None = None


class CommonGrowth(msgspec.Struct, gc=False):
    """The common event once more, as a decoder wants it: a part that goes on, and nothing else."""

    type: Literal[
        "response.output_text.delta",
        "response.reasoning_summary_text.delta",
        "response.reasoning_text.delta",
        "response.function_call_arguments.delta",
        "response.custom_tool_call_input.delta",
    ]
    delta: str
    output_index: int
    content_index: int = 0
    summary_index: int = 0
    logprobs: tuple[()] | None = ()
    error: None = None


class WatchedEvent(msgspec.Struct):
    """What a relay wants to know of any event. Items and parts are not opened."""

    type: Any = None
    sequence_number: Any = None
    output_index: Any = None
    item_id: Any = None
    delta: Any = None
    item: Raw = NULL
    response: Raw = NULL
    error: Any = None
    code: Any = None
    message: Any = None
    param: Any = None


class ItemHead(msgspec.Struct):
    """What a relay wants to know of an item."""

    type: Any = None
    id: Any = None


read_event = msgspec.json.Decoder(WireEvent).decode
read_common = msgspec.json.Decoder(CommonDelta).decode
read_growth = msgspec.json.Decoder(CommonGrowth).decode
read_watched = msgspec.json.Decoder(WatchedEvent).decode
read_response = msgspec.json.Decoder(ResponseHead).decode
read_item_head = msgspec.json.Decoder(ItemHead).decode
read_any = msgspec.json.Decoder().decode


class TextGrown(msgspec.Struct, gc=False):
    """`response.output_text.delta`, as we write it. The order of the fields is OpenAI's."""

    type: str
    sequence_number: int
    item_id: str
    output_index: int
    content_index: int
    delta: str
    logprobs: list[Any]


class ContentGrown(msgspec.Struct, gc=False):
    """`response.refusal.delta` and `response.reasoning_text.delta`."""

    type: str
    sequence_number: int
    item_id: str
    output_index: int
    content_index: int
    delta: str


class SummaryGrown(msgspec.Struct, gc=False):
    """`response.reasoning_summary_text.delta`."""

    type: str
    sequence_number: int
    item_id: str
    output_index: int
    summary_index: int
    delta: str


class CallGrown(msgspec.Struct, gc=False):
    """`response.function_call_arguments.delta` and `response.custom_tool_call_input.delta`."""

    type: str
    sequence_number: int
    item_id: str
    output_index: int
    delta: str


def string(value: Any) -> str:
    """A text, or an empty one."""
    return value if isinstance(value, str) else ""


def objects(value: Any) -> list[dict[str, Any]]:
    """The objects of a list; of anything else, none."""
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []
