"""Requests for an upstream of this dialect, out of the canon.

The upstream is asked to keep nothing, and to give its reasoning back in cipher, so that the client's next turn can
bring it along.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from thalweg.canon.effort import effort_of_budget
from thalweg.canon.losses import Losses
from thalweg.canon.media import standard_base64
from thalweg.canon.parts import Media, Part, Reasoning, Refusal, Text, ToolCall, ToolResult
from thalweg.canon.request import Message, OutputFormat, ReasoningAsk, Request, Sampling
from thalweg.dialects.base import UpstreamBody
from thalweg.dialects.kit.body import too_deep, wrong
from thalweg.dialects.kit.tool_names import ToolNames
from thalweg.dialects.openai_responses.items import Item
from thalweg.dialects.openai_responses.response import write_format
from thalweg.dialects.openai_responses.tables import VENDOR
from thalweg.dialects.openai_responses.tools import is_strict, write_tools
from thalweg.profiles.base import Profile, Thinking

_TIERS = frozenset({"auto", "default", "flex", "scale", "priority", "fast"})
_THOUGHTLESS = ("gpt-3", "gpt-4", "chatgpt-", "gpt-5-chat", "gpt-5.1-chat", "gpt-5.2-chat")
"""Beginnings of OpenAI's models that do not reason, and refuse to be asked for ciphers of it."""


def encode_request(asked: Request, *, model: str, profile: Profile, stream: bool, losses: Losses) -> UpstreamBody:
    """A Responses request for an upstream, from another dialect's client."""
    names = ToolNames()
    wire: dict[str, Any] = {"model": model, "store": False}
    if asked.system:
        wire["instructions"] = "\n\n".join(part.text for part in asked.system)
    wire["input"] = _Turns(names, losses, profile).items(asked.messages)
    wire |= write_tools(asked, names, losses) | _write_sampling(asked.sampling, losses)
    wire |= write_reasoning_ask(asked.reasoning, profile.thinking, losses)
    include = ["reasoning.encrypted_content"] if _may_reason(asked.reasoning, model, profile.thinking) else []
    if asked.sampling.logprobs:
        include.append("message.output_text.logprobs")
    if include:
        wire["include"] = include
    wire |= _write_output(asked, losses) | _write_identity(asked, losses)
    if stream:
        wire["stream"] = True
    for field in profile.refused_fields:
        wire.pop(field, None)
    try:
        body = msgspec.json.encode(wire)
    except RecursionError as error:
        raise too_deep() from error
    return UpstreamBody(body=body, stops=asked.sampling.stop, tool_names=names.back)


def _write_sampling(sampling: Sampling, losses: Losses) -> dict[str, Any]:
    """What this API has of it. Stop sequences it has not: the relay looks for them."""
    for name in ("top_k", "presence_penalty", "frequency_penalty", "seed", "logit_bias"):
        if getattr(sampling, name) is not None:
            losses.drop(name)
    if sampling.n > 1:
        losses.refuse("n", "the model's API makes one answer at a time")
    if sampling.max_tokens == 0:
        losses.refuse("max_tokens", "it makes at least one token")
    wire = {
        "max_output_tokens": sampling.max_tokens or None,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_logprobs": sampling.top_logprobs if sampling.logprobs else None,
    }
    return {name: value for name, value in wire.items() if value is not None}


def write_reasoning_ask(ask: ReasoningAsk, thinking: Thinking, losses: Losses) -> dict[str, Any]:
    """How much to think, in the provider's words. Thoughts are asked for wherever thinking is: else none are told."""
    if ask.mode == "default" and ask.show in ("default", "none"):
        return {}
    if ask.mode == "off":
        if thinking.default == "always":
            losses.approximate("reasoning", "this model cannot be told not to think")
            return {}
        return (
            {"thinking": {"type": "disabled"}} if thinking.switch == "thinking" else {"reasoning": {"effort": "none"}}
        )
    wire: dict[str, Any] = {}
    effort = ask.effort
    if effort is None and ask.budget_tokens is not None:
        effort = effort_of_budget(ask.budget_tokens)
        losses.approximate("reasoning", "a budget of tokens can only be said as an effort")
    if effort is not None and thinking.efforts is not None:
        effort = thinking.efforts.get(effort)
    inner: dict[str, Any] = {} if effort is None else {"effort": effort}
    if thinking.switch == "thinking":
        if ask.mode != "default":
            wire["thinking"] = {"type": "enabled"}
    elif ask.show != "none":
        inner["summary"] = "auto"
    return wire | ({"reasoning": inner} if inner else {})


def _may_reason(ask: ReasoningAsk, model: str, thinking: Thinking) -> bool:
    """Whether the model may think, so that it can be asked for the cipher of its thoughts."""
    if ask.mode == "off" and thinking.default != "always":
        return False
    if ask.mode != "default":
        return True
    return thinking.default != "off" and not model.rpartition("/")[2].lower().startswith(_THOUGHTLESS)


def _write_output(asked: Request, losses: Losses) -> dict[str, Any]:
    output = asked.output
    if set(output.modalities) - {"text"}:
        losses.refuse("modalities", "the model's API answers in text alone")
    text: dict[str, Any] = {}
    if output.format != "text":
        text["format"] = _written_format(asked, output)
    if output.verbosity is not None:
        text["verbosity"] = output.verbosity
    return {"text": text} if text else {}


def _written_format(asked: Request, output: OutputFormat) -> dict[str, Any]:
    """Strict where it was asked for, or where the client's API knows no other way and the schema allows it."""
    strict = output.strict
    if output.format == "json_schema" and not asked.dialect.startswith("openai"):
        strict = strict is not False and is_strict(output.schema)
    return write_format(msgspec.structs.replace(output, strict=strict))


def _write_identity(asked: Request, losses: Losses) -> dict[str, Any]:
    wire: dict[str, Any] = {}
    if asked.user is not None:
        wire["user"] = asked.user
    if asked.metadata is not None:
        wire["metadata"] = asked.metadata
    if asked.service_tier in _TIERS:
        wire["service_tier"] = asked.service_tier
    elif asked.service_tier is not None:
        losses.drop("service_tier")
    return wire


class _Turns:
    """Writes the talk as input items. One per request."""

    def __init__(self, names: ToolNames, losses: Losses, profile: Profile) -> None:
        self._names = names
        self._losses = losses
        self._films = "video" in profile.media_urls
        self._custom: set[str] = set()
        """Calls of tools that take free text: their results have a type of their own."""
        self._items: list[Item] = []
        self._thought: Item | None = None
        """Reasoning that waits for what it led to: one that leads to nothing is refused."""

    def items(self, messages: Iterable[Message]) -> list[Item]:
        """The items in order."""
        for message in messages:
            _ROLES[message.role](self, message)
        return self._items

    # What the user says.

    def _user(self, message: Message) -> None:
        content: list[Item] = []
        for part in message.parts:
            if isinstance(part, ToolResult):
                self._say(content)
                content = []
                self._items.append(self._result(part))
            else:
                content += self._content(part)
        self._say(content)

    def _say(self, content: list[Item]) -> None:
        if len(content) == 1 and content[0]["type"] == "input_text":
            self._items.append({"role": "user", "content": content[0]["text"]})
        elif content:
            self._items.append({"role": "user", "content": content})

    def _system(self, message: Message) -> None:
        text = "".join(part.text for part in message.parts if isinstance(part, Text))
        if text:
            self._items.append({"role": "system", "content": text})

    def _result(self, result: ToolResult) -> Item:
        content = [written for part in result.parts for written in self._content(part)]
        if result.is_error:
            self._losses.approximate("messages", "the model's API has no mark for the error of a tool")
            content.insert(0, {"type": "input_text", "text": "Error: "})
        output: Any = content
        if all(part["type"] == "input_text" for part in content):
            output = "".join(part["text"] for part in content)
        kind = "custom_tool_call_output" if result.call_id in self._custom else "function_call_output"
        return {"type": kind, "call_id": result.call_id, "output": output}

    def _content(self, part: Part) -> list[Item]:
        if isinstance(part, Text):
            return [{"type": "input_text", "text": part.text}]
        if not isinstance(part, Media):
            self._left_out()
            return []
        if part.kind == "video" and self._films:
            # Ark's own; OpenAI takes none.
            return [{"type": "input_video", "video_url": part.url or _data_url(part, "video/mp4")}]
        written = _MEDIA[part.kind](part, self._losses)
        return [] if written is None else [written]

    def _left_out(self) -> None:
        self._losses.drop("messages", "a part of it is understood by another provider alone")

    # What the model said.

    def _assistant(self, message: Message) -> None:
        content: list[Item] = []
        for part in message.parts:
            if isinstance(part, Text | Refusal):
                content.append(_SAID[type(part)](part))
                continue
            self._told(content)
            content = []
            if isinstance(part, Reasoning):
                self._thought = _thought(part) or self._thought
            elif isinstance(part, ToolCall) and part.kind != "server":
                self._add(self._call(part))
            else:
                self._left_out()
        self._told(content)
        self._thought = None

    def _add(self, item: Item) -> None:
        """One more item, directly behind the thought that led to it."""
        if self._thought is not None:
            self._items.append(self._thought)
            self._thought = None
        self._items.append(item)

    def _told(self, content: list[Item]) -> None:
        if len(content) == 1 and content[0]["type"] == "output_text":
            self._add({"role": "assistant", "content": content[0]["text"]})
        elif content:
            self._add({"type": "message", "role": "assistant", "content": content})

    def _call(self, call: ToolCall) -> Item:
        name = self._names.alias(call.name)
        if call.kind == "custom":
            self._custom.add(call.id)
            return {"type": "custom_tool_call", "call_id": call.id, "name": name, "input": call.arguments}
        return {"type": "function_call", "call_id": call.id, "name": name, "arguments": call.arguments or "{}"}


_ROLES: dict[str, Callable[[_Turns, Message], None]] = {
    "user": _Turns._user,
    "assistant": _Turns._assistant,
    "system": _Turns._system,
}


def _said_text(part: Any) -> Item:
    return {"type": "output_text", "text": part.text}


def _said_refusal(part: Any) -> Item:
    return {"type": "refusal", "refusal": part.text}


_SAID: dict[type, Callable[[Any], Item]] = {Text: _said_text, Refusal: _said_refusal}


def _thought(part: Reasoning) -> Item | None:
    """A reasoning item as its provider made it. Thoughts of other vendors are nothing to this one."""
    signature = part.signature
    if signature is None or signature.vendor != VENDOR:
        return None
    item: Item = {"type": "reasoning"}
    if signature.item_id:
        item["id"] = signature.item_id
    told = part.text if part.form == "summary" else ""
    item["summary"] = [{"type": "summary_text", "text": told}] if told else []
    return item | {"encrypted_content": signature.data}


# Media.


def _write_image(media: Media, losses: Losses) -> Item | None:
    wire: Item = {"type": "input_image"}
    if media.url is not None and not _is_fetched(media.url, losses):
        return None
    if media.file_id is None:
        wire["image_url"] = media.url or _data_url(media, "image/png")
    elif _is_own(media, losses):
        wire["file_id"] = media.file_id
    else:
        return None
    return wire | {"detail": media.detail or "auto"}


def _write_document(media: Media, losses: Losses) -> Item | None:
    if media.file_id is not None:
        return {"type": "input_file", "file_id": media.file_id} if _is_own(media, losses) else None
    if media.url is not None:
        return {"type": "input_file", "file_url": media.url} if _is_fetched(media.url, losses) else None
    if (media.mime or "").startswith("text/"):
        losses.approximate("messages", "a text document is carried as text")
        text = _decoded(media)
        return {"type": "input_text", "text": f"{media.filename}\n\n{text}" if media.filename else text}
    data = _data_url(media, "application/pdf")
    return {"type": "input_file", "filename": media.filename or "document.pdf", "file_data": data}


def _decoded(media: Media) -> str:
    try:
        return b64decode(standard_base64(media.data or "")).decode("utf-8", "replace")
    except ValueError as error:
        raise wrong("messages", "a document in it is not base64") from error


def _refuse(media: Media, losses: Losses) -> None:
    losses.refuse("messages", f"the model's API takes no {media.kind}")


def _is_own(media: Media, losses: Losses) -> bool:
    """Whether the provider knows this file."""
    if media.vendor != VENDOR:
        losses.refuse("messages", "a file in it lies with another provider")
    return media.vendor == VENDOR


def _is_fetched(url: str, losses: Losses) -> bool:
    """Whether an address is one that the provider can fetch: others lie in some other vendor's store."""
    if url[:8].lower().startswith(("http://", "https://")):
        return True
    losses.refuse("messages", "a file in it lies with another provider")
    return False


def _data_url(media: Media, mime: str) -> str:
    return f"data:{media.mime or mime};base64,{media.data or ''}"


_MEDIA: dict[str, Callable[[Media, Losses], Item | None]] = {
    "image": _write_image,
    "document": _write_document,
    "audio": _refuse,
    "video": _refuse,
}
