"""The response object, which every answer has at its beginning and at its end, and whole answers, both ways."""

from __future__ import annotations

from typing import Any

import msgspec

from thalweg.canon.parts import Opaque, Part, Reasoning, Refusal, Text, ToolCall
from thalweg.canon.request import OutputFormat, ReasoningAsk, Request
from thalweg.canon.response import Choice, Response
from thalweg.canon.usage import Usage
from thalweg.dialects.kit.frames import broke
from thalweg.dialects.kit.refusals import error_in_stream
from thalweg.dialects.openai_responses.items import (
    PREFIXES,
    Item,
    ItemIds,
    logprobs_of,
    parts_of_item,
    type_of_call,
    write_call,
    write_carrier,
    write_message,
    write_reasoning,
    write_refusal,
    write_signature,
    write_text,
)
from thalweg.dialects.openai_responses.tables import (
    NAME,
    finish_of_parts,
    is_usage,
    status_of,
    usage_to_canon,
    usage_to_wire,
)
from thalweg.dialects.openai_responses.wire import ResponseHead, objects, read_response, string


class AskedInResponses(Request, frozen=True, kw_only=True):
    """A request of this dialect's client, with the fields that its answer repeats."""

    echo: dict[str, Any] = msgspec.field(default_factory=dict)
    of_ark: bool = False
    """Whether it came to Ark's path, where its SDKs ask."""


class Page:
    """Writes the response object of one answer, at any state of it. What the request said is repeated in it."""

    __slots__ = ("_head", "_tail", "ids")

    def __init__(self, asked: Request, *, response_id: str, model: str, created: int) -> None:
        self.ids = ItemIds(response_id)
        self._head = {"id": response_id, "object": "response", "created_at": created}
        self._tail = {"model": model} | _defaults(asked)
        if isinstance(asked, AskedInResponses):
            self._tail |= asked.echo

    def write(
        self,
        status: str,
        output: list[Item],
        *,
        why: str | None = None,
        error: dict[str, Any] | None = None,
        usage: Usage | None = None,
    ) -> dict[str, Any]:
        """The object. No enumeration is null in it: ark-go refuses that."""
        state = {
            "status": status,
            "background": False,
            "error": error,
            "incomplete_details": {"reason": why} if why else None,
            "output": output,
            "usage": None if usage is None else usage_to_wire(usage),
        }
        return self._head | state | self._tail


def _defaults(asked: Request) -> dict[str, Any]:
    """What OpenAI repeats of every request, said or not."""
    sampling = asked.sampling
    tail: dict[str, Any] = {
        "instructions": None,
        "max_output_tokens": sampling.max_tokens,
        "max_tool_calls": None,
        "metadata": asked.metadata or {},
        "parallel_tool_calls": asked.parallel_tool_calls is not False,
        "previous_response_id": None,
        "reasoning": write_effort(asked.reasoning),
        "store": False,
        "temperature": 1.0 if sampling.temperature is None else sampling.temperature,
        "text": {"format": write_format(asked.output)},
        "tool_choice": "auto",
        "tools": [],
        "top_logprobs": sampling.top_logprobs or 0,
        "top_p": 1.0 if sampling.top_p is None else sampling.top_p,
        "truncation": "disabled",
        "user": asked.user,
    }
    if asked.output.verbosity:
        tail["text"]["verbosity"] = asked.output.verbosity
    if asked.service_tier:
        tail["service_tier"] = asked.service_tier
    return tail


def write_effort(ask: ReasoningAsk) -> dict[str, Any]:
    """`reasoning`, as far as anything of it was asked for."""
    wire: dict[str, Any] = {}
    if ask.mode == "off":
        wire["effort"] = "none"
    elif ask.effort:
        wire["effort"] = ask.effort
    if ask.show in ("summary", "auto"):
        wire["summary"] = "auto"
    return wire


def write_format(output: OutputFormat) -> dict[str, Any]:
    """`text.format`: flat, unlike Chat's."""
    if output.format == "json":
        return {"type": "json_object"}
    if output.format != "json_schema":
        return {"type": "text"}
    wire: dict[str, Any] = {"type": "json_schema", "name": output.name or "output", "schema": output.schema or {}}
    for name, value in (("strict", output.strict), ("description", output.description)):
        if value is not None:
            wire[name] = value
    return wire


# Whole answers.


def encode_answer(answer: Response, asked: Request) -> bytes:
    """A whole answer for a client. Of several choices it is the first: the dialect has one."""
    page = Page(asked, response_id=answer.response_id, model=answer.model, created=answer.created or 0)
    choice = answer.choices[0] if answer.choices else Choice(index=0, parts=(), finish_reason=None)
    refused = any(isinstance(part, Refusal) for part in choice.parts)
    status, why = status_of(choice.finish_reason, refused=refused)
    output = _Writer(page.ids, choice.logprobs, asked).items(choice.parts, status)
    return msgspec.json.encode(page.write(status, output, why=why, usage=answer.usage or Usage()))


def shown_form(form: str, asked: Request) -> str:
    """Where a reasoning item's text stands. Who asks for summaries reads nothing else, so that the thoughts of those
    who tell them whole stand in their place (@ai-sdk/openai 3.0, read 2026-11). Ark itself tells all thoughts as
    summaries, asked or not, and its SDK for Java fails at anything else (2.0.11, read 2026-11).
    """
    wanted = asked.reasoning.show in ("summary", "auto") or (isinstance(asked, AskedInResponses) and asked.of_ark)
    return "summary" if wanted else form


class _Writer:
    """Writes the items of one answer's parts."""

    def __init__(self, ids: ItemIds, logprobs: dict[str, Any] | None, asked: Request) -> None:
        self._ids = ids
        self._asked = asked
        self._logprobs: list[Any] = (logprobs or {}).get("content") or []
        self._content: list[dict[str, Any]] = []
        self._output: list[Item] = []

    def items(self, parts: tuple[Part, ...], status: str) -> list[Item]:
        """Items in the order of their parts; texts in a row are one message. The last one has the answer's status."""
        for part in parts:
            if isinstance(part, Text | Refusal):
                self._say(part)
                continue
            self._shut()
            self._item(part)
        self._shut()
        if self._output and "status" in self._output[-1] and status != "completed":
            self._output[-1]["status"] = status
        return self._output

    def _say(self, part: Text | Refusal) -> None:
        if isinstance(part, Refusal):
            self._content.append(write_refusal(part.text))
            return
        self._content.append(write_text(part.text, part.citations, self._logprobs))
        self._logprobs = []
        if part.signature is not None:
            self._shut()
            self._output.append(write_carrier(self._ids.next("rs_"), part.signature))

    def _shut(self) -> None:
        if self._content:
            self._output.append(write_message(self._ids.next(PREFIXES["message"]), self._content, "completed"))
            self._content = []

    def _item(self, part: Part) -> None:
        if isinstance(part, Reasoning):
            own = part.signature.item_id if part.signature is not None else None
            item_id = own or self._ids.next("rs_")
            encrypted = None if part.signature is None else write_signature(part.signature, item_id)
            form = shown_form(part.form, self._asked)
            self._output.append(write_reasoning(item_id, form, part.text, encrypted))
        elif isinstance(part, ToolCall):
            self._output.append(write_call(self._ids.next(PREFIXES[type_of_call(part.kind)]), part, "completed"))
            if part.signature is not None:
                self._output.append(write_carrier(self._ids.next("rs_"), part.signature))
        elif isinstance(part, Opaque) and part.dialect == NAME and isinstance(part.raw, dict):
            self._output.append(part.raw)


def decode_answer(body: bytes, *, provider: str = "") -> Response:
    """A whole answer. Raises `UpstreamFailed` for one that failed, `UpstreamBroke` for what is no answer."""
    read = _read(body, provider)
    status = string(read.status)
    if read.error or status in ("failed", "cancelled"):
        said = read.error or {"message": f"{provider or 'the upstream'} ended the answer with status {status}"}
        raise error_in_stream(said, provider=provider)
    if not isinstance(read.output, list) and not status:
        raise broke(provider, "sent JSON that is no answer")
    response_id, model = string(read.id), string(read.model)
    items = objects(read.output)
    parts = tuple(
        part for i, item in enumerate(items) for part in parts_of_item(item, model=model, about=(response_id, i))
    )
    ended = status not in ("queued", "in_progress")
    why = why_incomplete(read)
    return Response(
        response_id=response_id,
        model=model,
        created=created_of(read),
        choices=(
            Choice(
                index=0,
                parts=parts,
                finish_reason=finish_of_parts(status, why, parts) if ended else None,
                raw_finish_reason=(status or "completed") if ended else None,
                logprobs=_logprobs(items),
            ),
        ),
        usage=usage_to_canon(read.usage) if is_usage(read.usage) else None,
        raw_usage=read.usage,
        complete=ended,
    )


def _read(body: bytes, provider: str) -> ResponseHead:
    try:
        return read_response(body.strip())
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise broke(provider, "sent a body that is no answer") from error


def created_of(read: ResponseHead) -> int | None:
    """When the answer was begun; some say it as a float."""
    value = read.created_at
    return int(value) if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 2**53 else None


def why_incomplete(read: ResponseHead) -> str | None:
    """The reason of an answer that is incomplete."""
    found = read.incomplete_details
    return string(found.get("reason")) or None if isinstance(found, dict) else None


def _logprobs(items: list[Item]) -> dict[str, Any] | None:
    tokens: list[Any] = []
    for item in items:
        if item.get("type") != "message":
            continue
        for content in objects(item.get("content")):
            tokens += (logprobs_of(content.get("logprobs")) or {"content": []})["content"]
    return logprobs_of(tokens)
