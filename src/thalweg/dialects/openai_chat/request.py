"""Chat requests: checked as they come in, edited in place for the same dialect, written anew from the canon."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Raw

from thalweg.canon.errors import InvalidRequest
from thalweg.canon.losses import Losses
from thalweg.canon.parts import Media, Opaque, Part, Reasoning, Refusal, Text, ToolCall, ToolResult
from thalweg.canon.request import Message, OutputFormat, ReasoningAsk, Request, Sampling, Tool, ToolChoice
from thalweg.dialects.base import UpstreamBody, count_chars
from thalweg.dialects.kit.body import NULL, check_bounds, check_model, open_top, read_body, too_deep
from thalweg.dialects.openai_chat.tables import NAME
from thalweg.dialects.openai_chat.thinking import EFFORTS, Said, say, takes_effort
from thalweg.profiles.base import Profile, Switch
from thalweg.profiles.base import Thinking as ThinkingFacts


class StreamOptions(msgspec.Struct, frozen=True):
    """`stream_options`."""

    include_usage: bool | None = None
    chunk_include_usage: bool | None = None
    """Ark's word for usage in every chunk."""
    continuous_usage_stats: bool | None = None
    """vLLM's."""


class Url(msgspec.Struct, frozen=True):
    """`image_url` as an object."""

    url: str
    detail: str | None = None


class Audio(msgspec.Struct, frozen=True):
    """`input_audio`."""

    data: str
    format: str | None = None


class File(msgspec.Struct, frozen=True):
    """`file`."""

    file_data: str | None = None
    file_id: str | None = None
    filename: str | None = None


class ContentPart(msgspec.Struct, frozen=True):
    """One part of a message's content; which fields it has follows from its type."""

    type: str
    text: str | None = None
    refusal: str | None = None
    image_url: Url | str | None = None
    video_url: Url | str | None = None
    input_audio: Audio | None = None
    file: File | None = None


class Function(msgspec.Struct, frozen=True):
    """`function` of a call in the history. Some clients send the arguments as an object."""

    name: str
    arguments: str | dict[str, Any] | None = None


class Custom(msgspec.Struct, frozen=True):
    """`custom` of a call in the history."""

    name: str
    input: str = ""


class Call(msgspec.Struct, frozen=True):
    """A tool call in the history."""

    id: str | None = None
    type: str | None = None
    function: Function | None = None
    custom: Custom | None = None


class WireMessage(msgspec.Struct, frozen=True):
    """One message."""

    role: str
    content: str | list[ContentPart] | None = None
    name: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None
    tool_calls: list[Call] | None = None
    function_call: Function | None = None
    tool_call_id: str | None = None


class FunctionTool(msgspec.Struct, frozen=True):
    """`function` of a tool's definition."""

    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class WireTool(msgspec.Struct, frozen=True):
    """A tool's definition."""

    type: str = "function"
    function: FunctionTool | None = None
    custom: dict[str, Any] | None = None


class Thinking(msgspec.Struct, frozen=True):
    """`thinking`, as Ark, DeepSeek, Zhipu and Moonshot have it."""

    type: str
    budget_tokens: int | None = None


class AskedReasoning(msgspec.Struct, frozen=True):
    """`reasoning`, as OpenRouter has it."""

    effort: str | None = None
    max_tokens: int | None = None
    exclude: bool | None = None
    enabled: bool | None = None


class TemplateArguments(msgspec.Struct, frozen=True):
    """`chat_template_kwargs`, as vLLM and llama.cpp have it. What it holds is between client and template."""

    enable_thinking: Any = None


class Body(msgspec.Struct, frozen=True):
    """A request's body. Null means absent; fields that are not here pass to an upstream of the same dialect."""

    model: str
    messages: list[WireMessage]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: int | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    seed: int | None = None
    logit_bias: dict[str, float] | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    stop: str | list[str] | None = None
    tools: list[WireTool] | None = None
    functions: list[FunctionTool] | None = None
    tool_choice: str | dict[str, Any] | None = None
    function_call: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    reasoning_effort: str | None = None
    thinking: Thinking | None = None
    enable_thinking: bool | None = None
    thinking_budget: int | None = None
    reasoning: AskedReasoning | None = None
    chat_template_kwargs: TemplateArguments | None = None
    response_format: dict[str, Any] | None = None
    modalities: list[str] | None = None
    verbosity: str | None = None
    user: str | None = None
    metadata: dict[str, str] | None = None
    simulator: Any = None
    """For the simulator alone, which checks it; no other upstream's concern."""


_decode_body = msgspec.json.Decoder(Body).decode
_decode_options = msgspec.json.Decoder(dict[str, Raw] | None).decode
_BOUNDS: dict[str, tuple[float, float | None]] = {
    "n": (1, 128),
    "max_tokens": (1, None),
    "max_completion_tokens": (1, None),
    "top_logprobs": (0, None),
}
_ONCE = ("model", "stream", "max_tokens", "max_completion_tokens", "messages")


class ChatRequest:
    """A checked Chat request with the bytes it came in."""

    def __init__(self, body: bytes) -> None:
        self._bytes = body
        self._opened: dict[str, Raw] | None = None
        self.body = _read(body)
        self.model = self.body.model
        self.stream = bool(self.body.stream)
        self.max_output_tokens = self.body.max_completion_tokens or self.body.max_tokens
        options = self.body.stream_options
        self.include_usage = bool(options and options.include_usage)
        """Whether the client asked for a usage chunk."""
        self.chunk_usage = bool(options and (options.chunk_include_usage or options.continuous_usage_stats))
        """Whether the client asked for usage in every chunk, by whichever word."""

    def edited(self, *, model: str, profile: Profile, stream: bool) -> bytes:
        """The original body with the gateway's own fields put in; every other value keeps its very bytes."""
        top = dict(self._top())
        top["model"] = Raw(msgspec.json.encode(model))
        if stream or self.stream:
            top["stream"] = Raw(b"true" if stream else b"false")
        if not stream:
            top.pop("stream_options", None)
        elif profile.asks_usage:
            options = _decode_options(top.get("stream_options", b"null")) or {}
            options |= dict.fromkeys(_usage_options(profile, self.body.n), Raw(b"true"))
            top["stream_options"] = Raw(msgspec.json.encode(options))
        for field in profile.refused_fields:
            top.pop(field, None)
        self._say_effort(top, profile.thinking)
        return msgspec.json.encode(top)

    def left_out(self, profile: Profile) -> tuple[str, ...]:
        """Names of the client's fields that `edited` leaves out, or of which it can only say a part."""
        names = [name for name in sorted(profile.refused_fields) if self._top().get(name, NULL) != NULL]
        if (said := self._effort_said(profile.thinking)) is not None and not said.whole:
            names.append("reasoning_effort")
        return tuple(names)

    def _top(self) -> dict[str, Raw]:
        """The body opened one level."""
        if self._opened is None:
            self._opened = open_top(self._bytes)
        return self._opened

    def _say_effort(self, top: dict[str, Raw], thinking: ThinkingFacts) -> None:
        """Put `reasoning_effort` into the words of a provider that does not take it as it came."""
        said = self._effort_said(thinking)
        if said is None:
            return
        if "reasoning_effort" not in said.fields:
            del top["reasoning_effort"]
        for name, value in said.fields.items():
            inner = _decode_options(top.get(name, NULL)) if name == "chat_template_kwargs" else None
            top[name] = Raw(msgspec.json.encode((inner or {}) | value if isinstance(value, dict) else value))

    def _effort_said(self, thinking: ThinkingFacts) -> Said | None:
        """The client's `reasoning_effort` for this provider; `None` where there is none, or it passes as it came."""
        effort = self.body.reasoning_effort
        if effort not in EFFORTS:
            return None
        taken = takes_effort(effort, thinking)
        if _switched(self.body, thinking.switch):
            # The provider's own switch, set by the client, wins.
            return None if taken else Said({}, whole=False)
        if taken and not thinking.on_with_effort:
            return None
        return say(_asked_effort(effort), thinking)

    def prompt_chars(self) -> tuple[int, int]:
        """Characters of text in all messages, ASCII and others."""
        counts = [count_chars(text) for message in self.body.messages for text in _texts(message)]
        return sum(narrow for narrow, _ in counts), sum(wide for _, wide in counts)

    def canon(self) -> Request:
        """The request in no dialect."""
        try:
            return _Reader(self.body).request()
        except RecursionError as error:
            raise too_deep() from error


_SWITCH_FIELDS: dict[Switch, tuple[str, ...]] = {
    "reasoning_effort": (),
    "thinking": ("thinking",),
    "enable_thinking": ("enable_thinking", "thinking_budget"),
    "reasoning": ("reasoning",),
    "chat_template_kwargs": (),
}


def _switched(body: Body, switch: Switch) -> bool:
    """Whether the client has set that switch. Arguments of a template may be there for other ends."""
    template = body.chat_template_kwargs
    if switch == "chat_template_kwargs" and template is not None:
        return template.enable_thinking is not None
    return any(getattr(body, field) is not None for field in _SWITCH_FIELDS[switch])


def _asked_effort(effort: str) -> ReasoningAsk:
    return ReasoningAsk(mode="off") if effort == "none" else ReasoningAsk(mode="effort", effort=effort)


def _usage_options(profile: Profile, choices: int | None) -> list[str]:
    """The members of `stream_options` by which usage is asked for. In every chunk it is where there is one choice: of
    several, vLLM counts in a chunk that chunk's alone (its `chat_completion/serving.py`, read 2026-11).
    """
    every = [profile.chunk_usage] if profile.chunk_usage and (choices or 1) == 1 else []
    return ["include_usage", *every]


def _texts(message: WireMessage) -> list[str]:
    if isinstance(message.content, str):
        return [message.content]
    return [part.text for part in message.content or () if part.text]


def _read(body: bytes) -> Body:
    """Decode and check. Every complaint names its field."""
    read = read_body(body, _decode_body, once=_ONCE)
    check_model(read.model)
    if not read.messages:
        raise InvalidRequest("'messages' must have at least one message.", param="messages", code="empty_array")
    check_bounds(read, _BOUNDS)
    return read


class _Reader:
    """Reads a checked body into the canon. One per request."""

    def __init__(self, body: Body) -> None:
        self.body = body

    def request(self) -> Request:
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
            extensions={} if body.simulator is None else {"simulator": body.simulator},
        )

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
        parts: list[Part] = []
        if reasoning := message.reasoning_content or message.reasoning:
            parts.append(Reasoning(text=reasoning))
        parts += self._content(message, at)
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
        return ToolCall(id=call_id, name=call.function.name, arguments=_arguments(call.function.arguments))

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


_ROLES: dict[str, Callable[[_Reader, WireMessage, int], Message]] = {
    "system": _Reader._system,
    "developer": _Reader._system,
    "user": _Reader._user,
    "assistant": _Reader._assistant,
    "tool": _Reader._tool,
    "function": _Reader._function,
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
    """Type and base64 payload of a data URL; (None, None) for any other."""
    if not url.startswith("data:"):
        return None, None
    head, comma, payload = url[5:].partition(",")
    return (head.partition(";")[0] or None, payload) if comma else (None, None)


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


def encode_request(request: Request, *, model: str, profile: Profile, stream: bool, losses: Losses) -> UpstreamBody:
    """A Chat request for an upstream, from another dialect's client."""
    wire: dict[str, Any] = {"model": model, "messages": _write_messages(request, profile)}
    wire |= _write_sampling(request.sampling, profile) | _write_tools(request)
    wire |= say(request.reasoning, profile.thinking).fields
    if request.output.format != "text":
        wire["response_format"] = _write_format(request.output)
    for field, value in (
        ("user", request.user),
        ("metadata", request.metadata),
        ("verbosity", request.output.verbosity),
    ):
        if value is not None:
            wire[field] = value
    if stream:
        wire["stream"] = True
        if profile.asks_usage:
            wire["stream_options"] = dict.fromkeys(_usage_options(profile, request.sampling.n), True)
    for field in profile.refused_fields:
        wire.pop(field, None)
    return UpstreamBody(body=msgspec.json.encode(wire))


def _write_messages(request: Request, profile: Profile) -> list[dict[str, Any]]:
    wire: list[dict[str, Any]] = []
    if request.system:
        wire.append({"role": "system", "content": "\n\n".join(part.text for part in request.system)})
    for message in request.messages:
        wire += _MESSAGES[message.role](message, profile)
    return wire


def _write_user(message: Message, _: Profile) -> list[dict[str, Any]]:
    """Tool results become messages of their own, before whatever else the user said."""
    results = [
        {"role": "tool", "tool_call_id": part.call_id, "content": _result_text(part)}
        for part in message.parts
        if isinstance(part, ToolResult)
    ]
    rest = [part for part in message.parts if not isinstance(part, ToolResult)]
    media = [m for part in message.parts if isinstance(part, ToolResult) for m in part.parts if isinstance(m, Media)]
    content = [_write_part(part) for part in [*media, *rest] if isinstance(part, Text | Media)]
    if not content:
        return results
    if len(content) == 1 and content[0]["type"] == "text":
        return [*results, {"role": "user", "content": content[0]["text"]}]
    return [*results, {"role": "user", "content": content}]


def _write_system(message: Message, _: Profile) -> list[dict[str, Any]]:
    return [{"role": "system", "content": "".join(p.text for p in message.parts if isinstance(p, Text))}]


def _write_assistant(message: Message, profile: Profile) -> list[dict[str, Any]]:
    text = "".join(part.text for part in message.parts if isinstance(part, Text))
    calls = [_write_call(part) for part in message.parts if isinstance(part, ToolCall)]
    wire: dict[str, Any] = {"role": "assistant", "content": text or (None if calls else "")}
    if reasoning := "".join(part.text for part in message.parts if isinstance(part, Reasoning)):
        wire[profile.reasoning_field] = reasoning
    if refusal := "".join(part.text for part in message.parts if isinstance(part, Refusal)):
        wire["refusal"] = refusal
    if calls:
        wire["tool_calls"] = calls
    return [wire]


_MESSAGES: dict[str, Callable[[Message, Profile], list[dict[str, Any]]]] = {
    "user": _write_user,
    "system": _write_system,
    "assistant": _write_assistant,
}


def _write_call(call: ToolCall) -> dict[str, Any]:
    if call.kind == "custom":
        return {"id": call.id, "type": "custom", "custom": {"name": call.name, "input": call.arguments}}
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


def _result_text(result: ToolResult) -> str:
    text = "".join(part.text for part in result.parts if isinstance(part, Text))
    return f"Error: {text}" if result.is_error else text


def _write_part(part: Text | Media) -> dict[str, Any]:
    if isinstance(part, Text):
        return {"type": "text", "text": part.text}
    return _MEDIA[part.kind](part)


def _write_image(media: Media) -> dict[str, Any]:
    image: dict[str, Any] = {"url": media.url or f"data:{media.mime or 'image/png'};base64,{media.data}"}
    if media.detail:
        image["detail"] = media.detail
    return {"type": "image_url", "image_url": image}


def _write_audio(media: Media) -> dict[str, Any]:
    kind = (media.mime or "audio/wav").rpartition("/")[2]
    return {"type": "input_audio", "input_audio": {"data": media.data, "format": kind}}


def _write_video(media: Media) -> dict[str, Any]:
    return {"type": "video_url", "video_url": {"url": media.url or f"data:{media.mime};base64,{media.data}"}}


def _write_document(media: Media) -> dict[str, Any]:
    if media.file_id:
        return {"type": "file", "file": {"file_id": media.file_id}}
    data = f"data:{media.mime or 'application/pdf'};base64,{media.data}"
    return {"type": "file", "file": {"file_data": data, "filename": media.filename or "document"}}


_MEDIA: dict[str, Callable[[Media], dict[str, Any]]] = {
    "image": _write_image,
    "audio": _write_audio,
    "video": _write_video,
    "document": _write_document,
}


def _write_sampling(sampling: Sampling, profile: Profile) -> dict[str, Any]:
    wire: dict[str, Any] = {
        profile.max_tokens_field: sampling.max_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "presence_penalty": sampling.presence_penalty,
        "frequency_penalty": sampling.frequency_penalty,
        "seed": sampling.seed,
        "logit_bias": sampling.logit_bias,
        "n": sampling.n if sampling.n > 1 else None,
        "stop": list(sampling.stop[:4]) or None,
        "logprobs": sampling.logprobs,
        "top_logprobs": sampling.top_logprobs,
    }
    return {name: value for name, value in wire.items() if value is not None}


def _write_tools(request: Request) -> dict[str, Any]:
    tools = [_write_tool(tool) for tool in request.tools if tool.kind != "hosted"]
    if not tools:
        return {}
    wire: dict[str, Any] = {"tools": tools}
    if request.tool_choice:
        wire["tool_choice"] = _write_choice(request.tool_choice)
    if request.parallel_tool_calls is not None:
        wire["parallel_tool_calls"] = request.parallel_tool_calls
    return wire


def _write_tool(tool: Tool) -> dict[str, Any]:
    if tool.kind == "custom":
        return {"type": "custom", "custom": tool.raw}
    named = {"name": tool.name, "description": tool.description, "parameters": tool.parameters, "strict": tool.strict}
    return {"type": "function", "function": {name: value for name, value in named.items() if value is not None}}


def _write_choice(choice: ToolChoice) -> Any:
    if not choice.names:
        return choice.mode
    tools = [{"type": "function", "function": {"name": name}} for name in choice.names]
    if len(tools) == 1 and choice.mode == "required":
        return tools[0]
    return {"type": "allowed_tools", "allowed_tools": {"mode": choice.mode, "tools": tools}}


def _write_format(output: OutputFormat) -> dict[str, Any]:
    if output.format == "json":
        return {"type": "json_object"}
    inner = {"name": output.name or "output", "schema": output.schema, "strict": output.strict}
    if output.description:
        inner["description"] = output.description
    return {"type": "json_schema", "json_schema": {name: value for name, value in inner.items() if value is not None}}
