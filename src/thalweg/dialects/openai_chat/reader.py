"""Reads a checked Chat request into the canon."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from thalweg.canon.errors import InvalidRequest
from thalweg.canon.media import data_url
from thalweg.canon.parts import Media, Opaque, Part, Refusal, Text, ToolCall, ToolResult
from thalweg.canon.request import Message, OutputFormat, ReasoningAsk, Request, Sampling, Tool, ToolChoice
from thalweg.dialects.openai_chat.body import (
    AskedReasoning,
    Body,
    Call,
    ContentPart,
    Function,
    FunctionTool,
    TemplateArguments,
    Url,
    WireMessage,
    WireTool,
)
from thalweg.dialects.openai_chat.signatures import call_signature, signed_parts
from thalweg.dialects.openai_chat.tables import NAME

_EXTENSIONS = (
    "simulator",
    "audio",
    "prediction",
    "web_search_options",
    "store",
    "moderation",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "safety_identifier",
)
_ESSENTIAL = ("web_search_options",)
"""A search that is silently lost gives wrong answers."""
_SERVICE_TIERS = {name: name for name in ("auto", "default", "flex", "priority")}


class Reader:
    """Reads a checked body into the canon. One per request."""

    def __init__(self, body: Body) -> None:
        self.body = body

    def request(self) -> Request:
        """The request. Raises `InvalidRequest` for what has no meaning."""
        body = self.body
        leading = 0
        while leading < len(body.messages) and body.messages[leading].role in ("system", "developer"):
            leading += 1
        system = tuple(
            part
            for i, message in enumerate(body.messages[:leading])
            for part in self._content(message, i)
            if isinstance(part, Text)
        )
        rest = [self._message(message, i + leading) for i, message in enumerate(body.messages[leading:])]
        return Request(
            model=body.model,
            messages=tuple(rest),
            system=system,
            stream=bool(body.stream),
            tools=self._tools(),
            tool_choice=_tool_choice(body.tool_choice, "tool_choice")
            or _tool_choice(body.function_call, "function_call"),
            parallel_tool_calls=body.parallel_tool_calls,
            sampling=self._sampling(),
            reasoning=self._reasoning(),
            output=self._output(),
            user=body.user,
            metadata=body.metadata,
            include_usage=bool(body.stream_options and body.stream_options.include_usage),
            dialect=NAME,
            service_tier=_SERVICE_TIERS.get(body.service_tier or ""),
            extensions=self._extensions(),
            essential=tuple(name for name in _ESSENTIAL if getattr(body, name) is not None),
        )

    def _extensions(self) -> dict[str, Any]:
        found = {name: getattr(self.body, name) for name in _EXTENSIONS}
        # Whether an answer is kept changes nothing for who reads it.
        return {name: value for name, value in found.items() if value is not None and value is not False}

    def _message(self, message: WireMessage, at: int) -> Message:
        read = _ROLES.get(message.role)
        if read is None:
            raise InvalidRequest(
                f"Invalid value for 'messages[{at}].role': {message.role!r} is none of {', '.join(sorted(_ROLES))}.",
                param=f"messages[{at}].role",
                code="invalid_value",
            )
        return read(self, message, at)

    def _user(self, message: WireMessage, at: int) -> Message:
        return Message(role="user", parts=tuple(self._content(message, at)), name=message.name)

    def _system(self, message: WireMessage, at: int) -> Message:
        return Message(role="system", parts=tuple(self._content(message, at)), name=message.name)

    def _assistant(self, message: WireMessage, at: int) -> Message:
        reasoning = message.reasoning_content or message.reasoning or ""
        parts = signed_parts(message.reasoning_details, reasoning, self._content(message, at))
        if message.refusal:
            parts.append(Refusal(text=message.refusal))
        parts += [self._call(call, at, i) for i, call in enumerate(message.tool_calls or [])]
        if message.function_call:
            parts.append(_legacy_call(message.function_call, at))
        return Message(role="assistant", parts=tuple(parts), name=message.name)

    def _tool(self, message: WireMessage, at: int) -> Message:
        if not message.tool_call_id:
            param = f"messages[{at}].tool_call_id"
            raise InvalidRequest(f"Missing required parameter: '{param}'.", param=param)
        return self._result(message, at, message.tool_call_id)

    def _function(self, message: WireMessage, at: int) -> Message:
        return self._result(message, at, f"legacy_{message.name}")

    def _result(self, message: WireMessage, at: int, call_id: str) -> Message:
        parts = tuple(part for part in self._content(message, at) if isinstance(part, Text | Media))
        return Message(role="user", parts=(ToolResult(call_id=call_id, parts=parts, name=message.name),))

    def _content(self, message: WireMessage, at: int) -> list[Part]:
        if message.content is None:
            return []
        if isinstance(message.content, str):
            return [Text(text=message.content)] if message.content or message.role != "assistant" else []
        return [self._part(part, f"messages[{at}].content[{i}]") for i, part in enumerate(message.content)]

    def _part(self, part: ContentPart, at: str) -> Part:
        read = _PARTS.get(part.type)
        if read is None:
            return Opaque(dialect=NAME, raw=part.type)
        found = read(part)
        if found is None:
            raise InvalidRequest(f"Missing required parameter: '{at}.{part.type}'.", param=f"{at}.{part.type}")
        return found

    def _call(self, call: Call, at: int, i: int) -> ToolCall:
        call_id = call.id or f"call_{at}_{i}"
        if call.custom:
            return ToolCall(id=call_id, name=call.custom.name, arguments=call.custom.input, kind="custom")
        if call.function is None:
            param = f"messages[{at}].tool_calls[{i}].function"
            raise InvalidRequest(f"Missing required parameter: '{param}'.", param=param)
        arguments, signature = _arguments(call.function.arguments), call_signature(call.extra_content)
        return ToolCall(id=call_id, name=call.function.name, arguments=arguments, signature=signature)

    def _tools(self) -> tuple[Tool, ...]:
        found = [_tool(tool, f"tools[{i}]") for i, tool in enumerate(self.body.tools or [])]
        found += [_function_tool(function) for function in self.body.functions or []]
        return tuple(found)

    def _sampling(self) -> Sampling:
        body = self.body
        stop = (body.stop,) if isinstance(body.stop, str) else tuple(body.stop or ())
        return Sampling(
            max_tokens=body.max_completion_tokens or body.max_tokens,
            temperature=body.temperature,
            top_p=body.top_p,
            top_k=body.top_k,
            presence_penalty=body.presence_penalty,
            frequency_penalty=body.frequency_penalty,
            seed=body.seed,
            logit_bias=body.logit_bias,
            n=body.n or 1,
            stop=stop,
            logprobs=body.logprobs,
            top_logprobs=body.top_logprobs,
        )

    def _reasoning(self) -> ReasoningAsk:
        """What all the providers' switches say together: an off stands above a budget, and that above an effort."""
        body = self.body
        asked = body.reasoning or AskedReasoning()
        template = body.chat_template_kwargs or TemplateArguments()
        thinking = body.thinking.type != "disabled" if body.thinking else None
        switches = (thinking, body.enable_thinking, template.enable_thinking, asked.enabled)
        budgets = (body.thinking.budget_tokens if body.thinking else None, body.thinking_budget, asked.max_tokens)
        budget = next((each for each in budgets if each is not None), -1)
        effort = body.reasoning_effort or asked.effort
        show: Any = "none" if asked.exclude else "default"
        if False in switches or budget == 0 or effort == "none":
            return ReasoningAsk(mode="off")
        if budget > 0:
            return ReasoningAsk(mode="budget", budget_tokens=budget, show=show)
        if effort:
            return ReasoningAsk(mode="effort", effort=effort, show=show)
        return ReasoningAsk(mode="auto" if True in switches else "default", show=show)

    def _output(self) -> OutputFormat:
        body = self.body
        asked = body.response_format or {}
        schema = asked.get("json_schema")
        schema = schema if isinstance(schema, dict) else {}
        formats = {"json_object": "json", "json_schema": "json_schema"}
        shape: Any = formats.get(str(asked.get("type")), "text")
        return OutputFormat(
            format=shape,
            name=schema.get("name"),
            schema=schema.get("schema"),
            strict=schema.get("strict"),
            description=schema.get("description"),
            modalities=tuple(body.modalities or ()),
            verbosity=body.verbosity,
        )


_ROLES: dict[str, Callable[[Reader, WireMessage, int], Message]] = {
    "system": Reader._system,
    "developer": Reader._system,
    "user": Reader._user,
    "assistant": Reader._assistant,
    "tool": Reader._tool,
    "function": Reader._function,
}


def _text_part(part: ContentPart) -> Part | None:
    return None if part.text is None else Text(text=part.text)


def _refusal_part(part: ContentPart) -> Part | None:
    return None if part.refusal is None else Refusal(text=part.refusal)


def _image_part(part: ContentPart) -> Part | None:
    return _url_media("image", part.image_url)


def _video_part(part: ContentPart) -> Part | None:
    return _url_media("video", part.video_url)


def _audio_part(part: ContentPart) -> Part | None:
    audio = part.input_audio
    return None if audio is None else Media(kind="audio", mime=f"audio/{audio.format or 'wav'}", data=audio.data)


def _file_part(part: ContentPart) -> Part | None:
    file = part.file
    if file is None:
        return None
    if file.file_data is None:
        return Media(kind="document", file_id=file.file_id, vendor="openai", filename=file.filename)
    mime, data = _split_data_url(file.file_data)
    return Media(kind="document", mime=mime, data=data, filename=file.filename)


_PARTS: dict[str, Callable[[ContentPart], Part | None]] = {
    "text": _text_part,
    "refusal": _refusal_part,
    "image_url": _image_part,
    "video_url": _video_part,
    "input_audio": _audio_part,
    "file": _file_part,
}


def _url_media(kind: Any, value: Url | str | None) -> Media | None:
    if value is None:
        return None
    url, detail = (value, None) if isinstance(value, str) else (value.url, value.detail)
    mime, data = _split_data_url(url)
    return Media(kind=kind, mime=mime, data=data, url=None if data is not None else url, detail=detail)


def _split_data_url(url: str) -> tuple[str | None, str | None]:
    """Type and base64 payload of a data URL; (None, None) for any other. Raises `InvalidRequest` for a broken one."""
    try:
        return data_url(url) or (None, None)
    except ValueError as error:
        raise InvalidRequest(f"Invalid value for 'messages': {error}.", param="messages") from error


def _legacy_call(function: Function, at: int) -> ToolCall:
    return ToolCall(
        id=f"legacy_{function.name}", name=function.name, arguments=_arguments(function.arguments), kind="legacy"
    )


def _arguments(value: str | dict[str, Any] | None) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else msgspec.json.encode(value).decode()


def _tool(tool: WireTool, at: str) -> Tool:
    if tool.type == "function":
        if tool.function is None:
            raise InvalidRequest(f"Missing required parameter: '{at}.function'.", param=f"{at}.function")
        return _function_tool(tool.function)
    if tool.type == "custom" and tool.custom and isinstance(tool.custom.get("name"), str):
        return Tool(name=tool.custom["name"], kind="custom", raw=tool.custom)
    return Tool(name=tool.type, kind="hosted", raw=msgspec.to_builtins(tool))


def _function_tool(function: FunctionTool) -> Tool:
    return Tool(
        name=function.name,
        description=function.description,
        parameters=function.parameters,
        strict=function.strict,
    )


def _tool_choice(value: str | dict[str, Any] | None, field: str) -> ToolChoice | None:
    if value is None:
        return None
    if isinstance(value, str):
        if value not in ("auto", "none", "required"):
            raise InvalidRequest(f"Invalid value for '{field}': {value!r}.", param=field)
        mode: Any = value
        return ToolChoice(mode=mode)
    if value.get("type") == "allowed_tools" and isinstance(value.get("allowed_tools"), dict):
        allowed = value["allowed_tools"]
        tools = allowed.get("tools")
        if not isinstance(tools, list):
            param = f"{field}.allowed_tools.tools"
            raise InvalidRequest(f"Invalid value for '{param}': expected an array.", param=param)
        mode = "required" if allowed.get("mode") == "required" else "auto"
        return ToolChoice(mode=mode, names=tuple(filter(None, map(_named, tools))))
    name = _named(value)
    if name is None:
        raise InvalidRequest(f"Invalid value for '{field}': it names no tool.", param=field)
    return ToolChoice(mode="required", names=(name,))


def _named(value: Any) -> str | None:
    if not isinstance(value, dict):
        return None
    inner = value.get("function") or value.get("custom") or value
    name = inner.get("name") if isinstance(inner, dict) else None
    return name if isinstance(name, str) else None
