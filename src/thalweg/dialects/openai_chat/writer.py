"""Writes a Chat request for an upstream, from another dialect's client."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from thalweg.canon.losses import Losses
from thalweg.canon.parts import Media, Opaque, Part, Reasoning, Refusal, Text, ToolCall, ToolResult
from thalweg.canon.request import Message, OutputFormat, Request, Sampling, Tool, ToolChoice
from thalweg.dialects.base import UpstreamBody
from thalweg.dialects.kit.tool_names import ToolNames
from thalweg.dialects.openai_chat.signatures import GOOGLE, OPENROUTER, call_extra, message_details
from thalweg.dialects.openai_chat.tables import NAME
from thalweg.dialects.openai_chat.thinking import say
from thalweg.dialects.openai_chat.usage_options import usage_options
from thalweg.profiles.base import Profile

MOST_STOPS = 4
"""How many stop sequences Chat takes."""
_TEXTS = ("text/", "application/json", "application/xml")
"""Types of documents that can be put into the prompt as they are."""


def encode_request(request: Request, *, model: str, profile: Profile, stream: bool, losses: Losses) -> UpstreamBody:
    """A Chat request for an upstream. Raises `UnsupportedParameter` for what may not be lost."""
    return _Writer(request, profile, losses).written(model, stream=stream)


class _Writer:
    """Writes one request."""

    def __init__(self, request: Request, profile: Profile, losses: Losses) -> None:
        self._request = request
        self._profile = profile
        self._losses = losses
        self._names = ToolNames()

    def written(self, model: str, *, stream: bool) -> UpstreamBody:
        request, profile = self._request, self._profile
        wire: dict[str, Any] = {"model": model, "messages": self._messages()}
        wire |= self._sampling(request.sampling) | self._tools()
        said = say(request.reasoning, profile.thinking)
        if not said.whole:
            self._losses.approximate("reasoning", "it cannot be told to think that much")
        wire |= said.fields
        if request.output.format != "text":
            wire["response_format"] = _write_format(request.output)
        wire |= self._others()
        if stream:
            wire["stream"] = True
            if profile.asks_usage:
                wire["stream_options"] = dict.fromkeys(usage_options(profile, request.sampling.n), True)
        for field in profile.refused_fields:
            if wire.pop(field, None) is not None:
                self._losses.drop(field)
        body = msgspec.json.encode(wire)
        return UpstreamBody(body=body, stops=self._unsaid_stops(), tool_names=self._names.back)

    def _unsaid_stops(self) -> tuple[str, ...]:
        """Stop sequences to be looked for in the answer: all, where it cannot be told of each."""
        stops = self._request.sampling.stop
        return stops if "stop" in self._profile.refused_fields or len(stops) > MOST_STOPS else ()

    def _others(self) -> dict[str, Any]:
        request = self._request
        wire: dict[str, Any] = {
            "user": request.user,
            "metadata": request.metadata,
            "verbosity": request.output.verbosity,
            "modalities": [*request.output.modalities] or None,
        }
        if request.service_tier is not None:
            if "service_tier" in self._profile.optional_fields:
                wire["service_tier"] = request.service_tier
            else:
                self._losses.drop("service_tier")
        return {name: value for name, value in wire.items() if value is not None}

    # Messages.

    def _messages(self) -> list[dict[str, Any]]:
        wire: list[dict[str, Any]] = []
        system = self._request.system
        if system:
            wire.append({"role": "system", "content": "\n\n".join(part.text for part in system)})
        for at, message in enumerate(self._request.messages):
            wire += _MESSAGES[message.role](self, message, f"messages[{at}]")
        marked = [*system, *(part for message in self._request.messages for part in message.parts)]
        if any(getattr(part, "cache", None) for part in marked):
            self._losses.drop("cache_control")
        return wire

    def _user(self, message: Message, at: str) -> list[dict[str, Any]]:
        """Tool results become messages of their own, before whatever else the user said."""
        results = [part for part in message.parts if isinstance(part, ToolResult)]
        wire = [
            {"role": "tool", "tool_call_id": each.call_id, "content": self._result_text(each, at)} for each in results
        ]
        media = [part for each in results for part in each.parts if isinstance(part, Media)]
        if media:
            self._losses.approximate(f"{at}.content", "files in a tool's result follow it in a message of the user's")
        rest = [part for part in message.parts if not isinstance(part, ToolResult)]
        content = [found for part in [*media, *rest] if (found := self._part(part, at)) is not None]
        if not content:
            return wire
        plain = len(content) == 1 and content[0]["type"] == "text"
        said: dict[str, Any] = {"role": "user", "content": content[0]["text"] if plain else content}
        if message.name:
            said["name"] = message.name
        return [*wire, said]

    def _system(self, message: Message, _: str) -> list[dict[str, Any]]:
        return [{"role": "system", "content": "".join(p.text for p in message.parts if isinstance(p, Text))}]

    def _assistant(self, message: Message, at: str) -> list[dict[str, Any]]:
        text = "".join(part.text for part in message.parts if isinstance(part, Text))
        calls = [self._call(part) for part in message.parts if isinstance(part, ToolCall)]
        wire: dict[str, Any] = {"role": "assistant", "content": text or (None if calls else "")}
        reasoning = "".join(part.text for part in message.parts if isinstance(part, Reasoning) and not part.redacted)
        if reasoning and self._profile.reasoning_field:
            wire[self._profile.reasoning_field] = reasoning
        if details := message_details(_of_vendor(message.parts, OPENROUTER)):
            wire["reasoning_details"] = details
        if refusal := "".join(part.text for part in message.parts if isinstance(part, Refusal)):
            wire["refusal"] = refusal
        if calls:
            wire["tool_calls"] = calls
        self._drop_opaque(message, at)
        return [wire]

    def _call(self, call: ToolCall) -> dict[str, Any]:
        name = self._names.alias(call.name)
        if call.kind == "custom":
            return {"id": call.id, "type": "custom", "custom": {"name": name, "input": call.arguments}}
        wire: dict[str, Any] = {"id": call.id, "type": "function"}
        wire["function"] = {"name": name, "arguments": call.arguments or "{}"}
        if call.signature and call.signature.vendor == GOOGLE and self._profile.call_signatures:
            wire["extra_content"] = call_extra(call.signature)
        return wire

    def _result_text(self, result: ToolResult, at: str) -> str:
        text = "".join(part.text for part in result.parts if isinstance(part, Text))
        if not result.is_error:
            return text
        self._losses.approximate(f"{at}.is_error", "a failed tool is told of in words")
        return f"Error: {text}"

    def _part(self, part: Part, at: str) -> dict[str, Any] | None:
        if isinstance(part, Text):
            return {"type": "text", "text": part.text}
        if isinstance(part, Media):
            return _MEDIA[part.kind](self, part, at)
        if isinstance(part, Opaque):
            self._losses.drop(f"{at}.content", "only the API that it belongs to knows a part of it")
        return None

    def _drop_opaque(self, message: Message, at: str) -> None:
        if any(isinstance(part, Opaque) and part.dialect != NAME for part in message.parts):
            self._losses.drop(f"{at}.content", "only the API that it belongs to knows a part of it")

    # Files.

    def _image(self, media: Media, at: str) -> dict[str, Any] | None:
        if self._is_foreign(media, at):
            return None
        image: dict[str, Any] = {"url": media.url or f"data:{media.mime or 'image/png'};base64,{media.data}"}
        if media.detail:
            image["detail"] = media.detail
        return {"type": "image_url", "image_url": image}

    def _audio(self, media: Media, at: str) -> dict[str, Any] | None:
        if media.data is None:
            self._losses.refuse(f"{at}.content", "sounds are taken as bytes only")
            return None
        kind = (media.mime or "audio/wav").rpartition("/")[2]
        return {"type": "input_audio", "input_audio": {"data": media.data, "format": _FORMATS.get(kind, kind)}}

    def _video(self, media: Media, at: str) -> dict[str, Any] | None:
        if self._is_foreign(media, at):
            return None
        return {"type": "video_url", "video_url": {"url": media.url or f"data:{media.mime};base64,{media.data}"}}

    def _document(self, media: Media, at: str) -> dict[str, Any] | None:
        if media.file_id and media.vendor == "openai":
            return {"type": "file", "file": {"file_id": media.file_id}}
        if self._is_foreign(media, at):
            return None
        if media.data is None:
            self._losses.refuse(f"{at}.content", "documents are taken as bytes only")
            return None
        if media.mime and media.mime.startswith(_TEXTS):
            self._losses.approximate(f"{at}.content", "a document in plain text becomes a part of the prompt")
            text = b64decode(media.data).decode("utf-8", "replace")
            return {"type": "text", "text": f"{media.filename}:\n{text}" if media.filename else text}
        data = f"data:{media.mime or 'application/pdf'};base64,{media.data}"
        return {"type": "file", "file": {"file_data": data, "filename": media.filename or "document"}}

    def _is_foreign(self, media: Media, at: str) -> bool:
        if media.file_id is None:
            return False
        self._losses.refuse(f"{at}.content", "the file lies with another provider")
        return True

    # The rest.

    def _sampling(self, sampling: Sampling) -> dict[str, Any]:
        if sampling.max_tokens == 0:
            self._losses.refuse("max_tokens", "it makes at least one token")
        wire: dict[str, Any] = {
            self._profile.max_tokens_field: sampling.max_tokens or None,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "presence_penalty": sampling.presence_penalty,
            "frequency_penalty": sampling.frequency_penalty,
            "seed": sampling.seed,
            "logit_bias": sampling.logit_bias,
            "n": sampling.n if sampling.n > 1 else None,
            "stop": None if "stop" in self._profile.refused_fields else [*sampling.stop[:MOST_STOPS]] or None,
            "logprobs": sampling.logprobs,
            "top_logprobs": sampling.top_logprobs,
        }
        if sampling.top_k is not None:
            if "top_k" in self._profile.optional_fields:
                wire["top_k"] = sampling.top_k
            else:
                self._losses.drop("top_k")
        return {name: value for name, value in wire.items() if value is not None}

    def _tools(self) -> dict[str, Any]:
        request, tools = self._request, []
        for at, tool in enumerate(request.tools):
            if tool.kind == "hosted":
                self._losses.refuse(f"tools[{at}]", f"{tool.name!r} is run by the provider that it belongs to")
            else:
                tools.append(self._tool(tool))
        if not tools:
            return {}
        wire: dict[str, Any] = {"tools": tools}
        if request.tool_choice:
            wire["tool_choice"] = self._choice(request.tool_choice)
        if request.parallel_tool_calls is not None:
            wire["parallel_tool_calls"] = request.parallel_tool_calls
        return wire

    def _tool(self, tool: Tool) -> dict[str, Any]:
        name = self._names.alias(tool.name)
        if tool.kind == "custom":
            raw = tool.raw if isinstance(tool.raw, dict) else {}
            shown = {key: value for key, value in raw.items() if key != "type"}
            return {"type": "custom", "custom": shown | {"name": name}}
        named = {"name": name, "description": tool.description, "parameters": tool.parameters, "strict": tool.strict}
        return {"type": "function", "function": {key: value for key, value in named.items() if value is not None}}

    def _choice(self, choice: ToolChoice) -> Any:
        if not choice.names:
            return choice.mode
        tools = [{"type": "function", "function": {"name": self._names.alias(name)}} for name in choice.names]
        if len(tools) == 1 and choice.mode == "required":
            return tools[0]
        return {"type": "allowed_tools", "allowed_tools": {"mode": choice.mode, "tools": tools}}


_MESSAGES: dict[str, Callable[[_Writer, Message, str], list[dict[str, Any]]]] = {
    "user": _Writer._user,
    "system": _Writer._system,
    "assistant": _Writer._assistant,
}
_MEDIA: dict[str, Callable[[_Writer, Media, str], dict[str, Any] | None]] = {
    "image": _Writer._image,
    "audio": _Writer._audio,
    "video": _Writer._video,
    "document": _Writer._document,
}
_FORMATS = {"mpeg": "mp3", "x-wav": "wav"}


def _of_vendor(parts: Iterable[Part], vendor: str) -> list[Part]:
    """Thoughts with that vendor's signature."""
    found = (part for part in parts if isinstance(part, Reasoning) and part.signature)
    return [part for part in found if part.signature and part.signature.vendor == vendor]


def _write_format(output: OutputFormat) -> dict[str, Any]:
    if output.format == "json":
        return {"type": "json_object"}
    inner = {"name": output.name or "output", "schema": output.schema, "strict": output.strict}
    if output.description:
        inner["description"] = output.description
    return {"type": "json_schema", "json_schema": {name: value for name, value in inner.items() if value is not None}}
