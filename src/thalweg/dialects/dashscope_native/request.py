"""DashScope requests: `{model, input, parameters}`, checked as they come in, and written from the canon.

There is no field that asks for a stream, only the header `X-DashScope-SSE: enable`. Whoever has the headers says it in
the target's query, as `?x-dashscope-sse=enable`. Without that, `parameters.stream` (which some clients send) or
`incremental_output`, which has a meaning in streams only, decides.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal
from urllib.parse import parse_qs

import msgspec
from msgspec import Raw

from thalweg.canon import media
from thalweg.canon.losses import Losses
from thalweg.canon.parts import Media, Opaque, Part, Reasoning, Refusal, Text, ToolCall, ToolResult
from thalweg.canon.request import Message, OutputFormat, ReasoningAsk, Request, Sampling, Tool, ToolChoice
from thalweg.dialects.base import UpstreamBody, count_chars
from thalweg.dialects.dashscope_native.tables import NAME, SSE_HEADER, is_multimodal
from thalweg.dialects.kit.body import check_bounds, check_model, missing, open_top, read_body, too_deep, wrong
from thalweg.dialects.kit.tool_names import ToolNames
from thalweg.profiles.base import Profile


class ContentItem(msgspec.Struct, frozen=True):
    """One piece of a content: its kind is the key it has."""

    text: str | None = None
    image: str | None = None
    audio: str | None = None
    video: str | list[str] | None = None
    file: str | None = None
    cache_control: Any = None


class Function(msgspec.Struct, frozen=True):
    """`function` of a call in the history."""

    name: str
    arguments: str | dict[str, Any] | None = None


class Call(msgspec.Struct, frozen=True):
    """A tool call in the history."""

    function: Function
    id: str | None = None


class WireMessage(msgspec.Struct, frozen=True):
    """One message."""

    role: str
    content: str | list[ContentItem] | None = None
    name: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[Call] | None = None
    tool_call_id: str | None = None
    partial: bool | None = None


class Turn(msgspec.Struct, frozen=True):
    """A turn of the oldest form of history."""

    user: str = ""
    bot: str = ""


class Input(msgspec.Struct, frozen=True):
    """`input`: messages, or one prompt."""

    messages: list[WireMessage] | None = None
    prompt: str | None = None
    history: list[Turn] | None = None


class FunctionTool(msgspec.Struct, frozen=True):
    """`function` of a tool's definition."""

    name: str
    description: str | None = None
    parameters: Any = None


class WireTool(msgspec.Struct, frozen=True):
    """A tool's definition."""

    type: str = "function"
    function: FunctionTool | None = None


class Parameters(msgspec.Struct, frozen=True):
    """`parameters`, as far as they mean something elsewhere."""

    result_format: Literal["text", "message"] | None = None
    incremental_output: bool | None = None
    stream: bool | None = None
    enable_thinking: bool | None = None
    thinking_budget: int | None = None
    reasoning_effort: str | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    seed: int | None = None
    presence_penalty: float | None = None
    stop: str | list[Any] | None = None
    """Texts; of the old models also ids of tokens."""
    tools: list[WireTool] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    n: int | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    response_format: dict[str, Any] | None = None


class Body(msgspec.Struct, frozen=True):
    """A request's body."""

    model: str
    input: Input
    parameters: Parameters = Parameters()
    simulator: Any = None
    """For the simulator alone, which checks it."""


_decode_body = msgspec.json.Decoder(Body).decode
_decode_parameters = msgspec.json.Decoder(dict[str, Any] | None).decode
_BOUNDS: dict[str, tuple[float, float | None]] = {
    "n": (1, 4),
    "max_tokens": (1, None),
    "max_completion_tokens": (1, None),
    "top_logprobs": (0, None),
}
_ONCE = ("model", "input", "parameters")
_ESSENTIAL = ("enable_search", "enable_code_interpreter", "translation_options", "asr_options", "ocr_options")
"""Parameters without which the answer would be another one, where they are on."""


class DashScopeRequest:
    """A checked request with the bytes it came in."""

    def __init__(self, body: bytes, target: bytes = b"") -> None:
        self._bytes = body
        self.body = read_body(body, _decode_body, once=_ONCE)
        parameters = self.body.parameters
        check_model(self.body.model)
        check_bounds(parameters, _BOUNDS)
        if not self.body.input.messages and self.body.input.prompt is None:
            raise missing("input.messages")
        path, _, query = target.decode("latin-1").partition("?")
        self.model = self.body.model
        self.stream = _asks_stream(query, parameters)
        self.max_output_tokens = parameters.max_completion_tokens or parameters.max_tokens
        self._multimodal = "/multimodal-generation/" in path or (
            "/text-generation/" not in path and is_multimodal(self.model)
        )

    def prompt_chars(self) -> tuple[int, int]:
        """Characters of text in the prompt, ASCII and others."""
        counts = [count_chars(text) for message in _messages(self.body.input) for text in _texts(message.content)]
        return sum(narrow for narrow, _ in counts), sum(wide for _, wide in counts)

    def edited(self, *, model: str, profile: Profile, stream: bool) -> bytes:
        """The original body with the model's name put in."""
        top = dict(open_top(self._bytes))
        top["model"] = Raw(msgspec.json.encode(model))
        return msgspec.json.encode(top)

    def left_out(self, profile: Profile) -> tuple[str, ...]:
        """Nothing is left out."""
        return ()

    def canon(self) -> Request:
        """The request in no dialect."""
        try:
            return self._canon()
        except RecursionError as error:
            raise too_deep() from error

    def _canon(self) -> Request:
        body, parameters = self.body, self.body.parameters
        messages = _messages(body.input)
        leading = next((at for at, each in enumerate(messages) if each.role != "system"), len(messages))
        read = [_message(message, f"input.messages[{at}]") for at, message in enumerate(messages)]
        extensions = self._extensions()
        return Request(
            model=self.model,
            messages=tuple(read[leading:]),
            system=tuple(part for message in read[:leading] for part in message.parts if isinstance(part, Text)),
            stream=self.stream,
            tools=tuple(_tool(tool, f"parameters.tools[{at}]") for at, tool in enumerate(parameters.tools or ())),
            tool_choice=_tool_choice(parameters.tool_choice),
            parallel_tool_calls=parameters.parallel_tool_calls,
            sampling=_sampling(parameters),
            reasoning=_reasoning(parameters),
            output=_output(parameters.response_format or {}),
            dialect=NAME,
            extensions=extensions,
            essential=tuple(name for name in _ESSENTIAL if extensions.get(name)),
        )

    def _extensions(self) -> dict[str, Any]:
        """What only this dialect knows: the form of the answer, and every parameter without a meaning elsewhere."""
        said = _decode_parameters(open_top(self._bytes).get("parameters", Raw(b"null"))) or {}
        found = {name: value for name, value in said.items() if name not in _CANONICAL and value is not None}
        if self._multimodal:
            found["multimodal"] = True
        stop = self.body.parameters.stop
        if isinstance(stop, list) and any(not isinstance(each, str) for each in stop):
            found["stop"] = stop
        if self.body.simulator is not None:
            found["simulator"] = self.body.simulator
        return found


_CANONICAL = frozenset(Parameters.__struct_fields__) - {"result_format", "incremental_output"}


def _asks_stream(query: str, parameters: Parameters) -> bool:
    asked = {name.lower(): values for name, values in parse_qs(query).items()}
    if header := asked.get(SSE_HEADER.decode()):
        return header[0].lower() == "enable"
    return parameters.incremental_output is True if parameters.stream is None else parameters.stream


def _messages(asked: Input) -> list[WireMessage]:
    if asked.messages:
        return asked.messages
    turns = [
        (role, text) for turn in asked.history or () for role, text in (("user", turn.user), ("assistant", turn.bot))
    ]
    return [WireMessage(role=role, content=text) for role, text in (*turns, ("user", asked.prompt or ""))]


def _texts(content: str | list[ContentItem] | None) -> list[str]:
    if isinstance(content, str):
        return [content]
    return [item.text for item in content or () if item.text]


def _message(message: WireMessage, at: str) -> Message:
    read = _ROLES.get(message.role)
    if read is None:
        raise wrong(f"{at}.role", f"must be one of {', '.join(sorted(_ROLES))}")
    return read(message, at)


def _user(message: WireMessage, at: str) -> Message:
    return Message(role="user", parts=tuple(_content(message.content, at)))


def _system(message: WireMessage, at: str) -> Message:
    return Message(role="system", parts=tuple(_content(message.content, at)))


def _assistant(message: WireMessage, at: str) -> Message:
    parts: list[Part] = []
    if message.reasoning_content:
        parts.append(Reasoning(text=message.reasoning_content))
    parts += [part for part in _content(message.content, at) if not isinstance(part, Text) or part.text]
    parts += [_call(call, at, i) for i, call in enumerate(message.tool_calls or ())]
    return Message(role="assistant", parts=tuple(parts))


def _tool_message(message: WireMessage, at: str) -> Message:
    call_id = message.tool_call_id or message.name
    if not call_id:
        raise missing(f"{at}.tool_call_id")
    parts = tuple(part for part in _content(message.content, at) if isinstance(part, Text | Media))
    return Message(role="user", parts=(ToolResult(call_id=call_id, parts=parts, name=message.name),))


_ROLES: dict[str, Callable[[WireMessage, str], Message]] = {
    "user": _user,
    "system": _system,
    "assistant": _assistant,
    "tool": _tool_message,
}


def _call(call: Call, at: str, i: int) -> ToolCall:
    arguments = call.function.arguments
    text = arguments if isinstance(arguments, str) else msgspec.json.encode(arguments or {}).decode()
    return ToolCall(id=call.id or call.function.name or f"{at}.{i}", name=call.function.name, arguments=text)


def _content(content: str | list[ContentItem] | None, at: str) -> list[Part]:
    if isinstance(content, str):
        return [Text(text=content)]
    found: list[Part] = []
    for i, item in enumerate(content or ()):
        found += _item(item, f"{at}.content[{i}]")
    return found


def _item(item: ContentItem, at: str) -> list[Part]:
    cache = "5m" if item.cache_control else None
    parts: list[Part] = []
    if item.text is not None:
        parts.append(Text(text=item.text, cache=cache))
    kinds: tuple[tuple[media.MediaKind, str | None], ...] = (
        ("image", item.image),
        ("audio", item.audio),
        ("document", item.file),
    )
    parts += [_media(kind, url, at, cache) for kind, url in kinds if url]
    if isinstance(item.video, str):
        parts.append(_media("video", item.video, at, cache))
    elif item.video:
        # Pictures that are a film have no meaning elsewhere.
        parts.append(Opaque(dialect=NAME, raw={"video": item.video}))
    return parts


def _media(kind: media.MediaKind, url: str, at: str, cache: str | None) -> Media:
    try:
        found = media.data_url(url)
    except ValueError as error:
        raise wrong(f"{at}.{kind}", str(error)) from error
    if found is None:
        return Media(kind=kind, url=url, cache=cache)
    return Media(kind=kind, mime=found[0], data=found[1], cache=cache)


def _tool(tool: WireTool, at: str) -> Tool:
    if tool.function is None:
        if tool.type == "function":
            raise missing(f"{at}.function")
        return Tool(name=tool.type, kind="hosted", raw=msgspec.to_builtins(tool))
    schema = tool.function.parameters
    return Tool(
        name=tool.function.name,
        description=tool.function.description,
        parameters=schema if isinstance(schema, dict) else None,
    )


def _tool_choice(choice: str | dict[str, Any] | None) -> ToolChoice | None:
    if choice is None:
        return None
    if isinstance(choice, str):
        if choice not in ("auto", "none", "required"):
            raise wrong("parameters.tool_choice", "must be auto, none or a function")
        return ToolChoice(mode=choice)  # type: ignore[arg-type]  # just checked
    function = choice.get("function")
    name = function.get("name") if isinstance(function, dict) else None
    if not isinstance(name, str):
        raise wrong("parameters.tool_choice", "it names no tool")
    return ToolChoice(mode="required", names=(name,))


def _sampling(parameters: Parameters) -> Sampling:
    stop = [parameters.stop] if isinstance(parameters.stop, str) else parameters.stop or ()
    return Sampling(
        max_tokens=parameters.max_completion_tokens or parameters.max_tokens,
        temperature=parameters.temperature,
        top_p=parameters.top_p,
        top_k=parameters.top_k,
        presence_penalty=parameters.presence_penalty,
        seed=parameters.seed,
        n=parameters.n or 1,
        stop=tuple(each for each in stop if isinstance(each, str)),
        logprobs=parameters.logprobs,
        top_logprobs=parameters.top_logprobs,
    )


def _reasoning(parameters: Parameters) -> ReasoningAsk:
    budget, effort = parameters.thinking_budget, parameters.reasoning_effort
    if parameters.enable_thinking is False or effort == "none":
        return ReasoningAsk(mode="off")
    if budget:
        return ReasoningAsk(mode="budget", budget_tokens=budget)
    if effort:
        return ReasoningAsk(mode="effort", effort=effort)
    return ReasoningAsk(mode="auto" if parameters.enable_thinking else "default")


def _output(asked: dict[str, Any]) -> OutputFormat:
    schema = asked.get("json_schema")
    schema = schema if isinstance(schema, dict) else {}
    kinds: dict[Any, Literal["json", "json_schema"]] = {"json_object": "json", "json_schema": "json_schema"}
    return OutputFormat(
        format=kinds.get(asked.get("type"), "text"),
        name=schema.get("name"),
        schema=schema.get("schema"),
        strict=schema.get("strict"),
        description=schema.get("description"),
    )


# Writing.

_MOST_CHOICES = 4
_MOST_TEMPERATURE = 1.99
"""Temperatures are below 2."""
_BUDGETS = {"minimal": 1024, "low": 2048, "medium": 8192, "high": 16384}
"""Tokens for an effort, where a budget is all that can be given; above `high` the model's own bound holds."""


def encode_request(asked: Request, *, model: str, profile: Profile, stream: bool, losses: Losses) -> UpstreamBody:
    """A request for an upstream, from another dialect's client: always messages, always increments."""
    return _Writer(asked, model, profile, losses).body(stream=stream)


class _Writer:
    """Writes one request."""

    def __init__(self, asked: Request, model: str, profile: Profile, losses: Losses) -> None:
        self._asked = asked
        self._model = model
        self._profile = profile
        self._losses = losses
        self._multimodal = is_multimodal(model)
        self._names = ToolNames()

    def body(self, *, stream: bool) -> UpstreamBody:
        """The whole request."""
        parameters: dict[str, Any] = {"result_format": "message"}
        if stream:
            parameters["incremental_output"] = True
        parameters |= self._sampling() | self._tools() | self._thinking() | self._format()
        for field in self._profile.refused_fields:
            parameters.pop(field, None)
        self._drop_the_rest()
        wire = {"model": self._model, "input": {"messages": self._messages()}, "parameters": parameters}
        return UpstreamBody(
            body=msgspec.json.encode(wire),
            tool_names=self._names.back,
            wrapped_tools=frozenset(tool.name for tool in self._asked.tools if tool.kind == "custom"),
        )

    def _drop_the_rest(self) -> None:
        asked, sampling = self._asked, self._asked.sampling
        gone = {
            "frequency_penalty": sampling.frequency_penalty,
            "logit_bias": sampling.logit_bias,
            "user": asked.user,
            "metadata": asked.metadata,
            "verbosity": asked.output.verbosity,
            "service_tier": asked.service_tier,
        }
        for name, value in gone.items():
            if value is not None:
                self._losses.drop(name)
        if set(asked.output.modalities) - {"text"}:
            self._losses.refuse("modalities", "the model answers in text only")

    def _sampling(self) -> dict[str, Any]:
        sampling, losses = self._asked.sampling, self._losses
        n, temperature = sampling.n, sampling.temperature
        if n > _MOST_CHOICES:
            losses.refuse("n", f"it is at most {_MOST_CHOICES}")
            n = _MOST_CHOICES
        if temperature is not None and temperature > _MOST_TEMPERATURE:
            losses.approximate("temperature", "it must be below 2")
            temperature = _MOST_TEMPERATURE
        if sampling.max_tokens == 0:
            losses.refuse("max_tokens", "it makes at least one token")
        wire = {
            "max_tokens": sampling.max_tokens or None,
            "temperature": temperature,
            "top_p": sampling.top_p,
            "top_k": sampling.top_k,
            "presence_penalty": sampling.presence_penalty,
            "seed": sampling.seed,
            "n": n if n > 1 else None,
            "stop": list(sampling.stop) or None,
            "logprobs": sampling.logprobs,
            "top_logprobs": sampling.top_logprobs,
        }
        return {name: value for name, value in wire.items() if value is not None}

    def _thinking(self) -> dict[str, Any]:
        ask, thinking = self._asked.reasoning, self._profile.thinking
        if ask.mode == "default":
            return {}
        if ask.mode == "off":
            if thinking.default == "always":
                self._losses.approximate("reasoning_effort", "the model always thinks")
                return {}
            return {"enable_thinking": False}
        wire: dict[str, Any] = {"enable_thinking": True}
        effort = ask.effort or ""
        if ask.budget_tokens:
            wire["thinking_budget"] = max(ask.budget_tokens, thinking.least_budget or 1)
        elif thinking.efforts and effort in thinking.efforts:
            wire["reasoning_effort"] = thinking.efforts[effort]
        elif budget := _BUDGETS.get(effort):
            self._losses.approximate("reasoning_effort", "it is told as a budget of tokens")
            wire["thinking_budget"] = budget
        elif effort:
            self._losses.approximate("reasoning_effort", "the model thinks as much as it may")
        return wire

    def _format(self) -> dict[str, Any]:
        output = self._asked.output
        if output.format == "text":
            return {}
        if output.format == "json":
            return {"response_format": {"type": "json_object"}}
        inner = {
            "name": output.name or "output",
            "schema": output.schema,
            "strict": output.strict,
            "description": output.description,
        }
        schema = {name: value for name, value in inner.items() if value is not None}
        return {"response_format": {"type": "json_schema", "json_schema": schema}}

    # Tools.

    def _tools(self) -> dict[str, Any]:
        for at, tool in enumerate(self._asked.tools):
            if tool.kind == "hosted":
                self._losses.refuse(f"tools[{at}]", "no tool of its provider's is there")
        tools = [tool for tool in self._asked.tools if tool.kind != "hosted"]
        choice = self._asked.tool_choice
        if choice is not None and len(choice.names) > (choice.mode == "required"):
            self._losses.approximate("tool_choice", "the other tools are left out")
            tools = [tool for tool in tools if tool.name in choice.names]
        if not tools:
            return {}
        wire: dict[str, Any] = {"tools": [self._tool(tool) for tool in tools]}
        if choice is not None:
            wire["tool_choice"] = self._choice(choice, tools)
        if self._asked.parallel_tool_calls is not None:
            wire["parallel_tool_calls"] = self._asked.parallel_tool_calls
        return wire

    def _tool(self, tool: Tool) -> dict[str, Any]:
        schema = tool.parameters
        if tool.kind == "custom":
            schema = {"type": "object", "properties": {"input": {"type": "string"}}, "required": ["input"]}
        named = {"name": self._names.alias(tool.name), "description": tool.description, "parameters": schema}
        return {"type": "function", "function": {key: value for key, value in named.items() if value is not None}}

    def _choice(self, choice: ToolChoice, tools: list[Tool]) -> Any:
        if choice.mode != "required":
            return choice.mode
        if len(tools) == 1 or len(choice.names) == 1:
            name = choice.names[0] if choice.names else tools[0].name
            return {"type": "function", "function": {"name": self._names.alias(name)}}
        self._losses.approximate("tool_choice", "it can name one tool, or leave the choice to the model")
        return "auto"

    # Messages.

    def _messages(self) -> list[dict[str, Any]]:
        wire: list[dict[str, Any]] = []
        if self._asked.system:
            wire.append({"role": "system", "content": self._content(self._asked.system, separator="\n\n")})
        for message in self._asked.messages:
            wire += self._assistant(message) if message.role == "assistant" else self._user(message)
        return wire

    def _user(self, message: Message) -> list[dict[str, Any]]:
        """Results of tools become messages of their own; what they hold beside text follows as the user's."""
        wire: list[dict[str, Any]] = []
        rest: list[Part] = []
        for part in message.parts:
            if isinstance(part, ToolResult):
                wire.append(self._result(part))
                rest += [each for each in part.parts if isinstance(each, Media)]
        if len(rest):
            self._losses.approximate("tool_result", "what is no text in it follows as a message of the user's")
        rest += [part for part in message.parts if not isinstance(part, ToolResult)]
        if content := self._content(rest):
            wire.append({"role": message.role, "content": content})
        return wire

    def _result(self, result: ToolResult) -> dict[str, Any]:
        texts = tuple(part for part in result.parts if isinstance(part, Text))
        if result.is_error:
            self._losses.approximate("is_error", "it is said in words")
            texts = (Text(text="Error: "), *texts)
        text = "".join(part.text for part in texts)
        content = [{"text": text}] if self._multimodal else text
        return {"role": "tool", "content": content, "tool_call_id": result.call_id}

    def _assistant(self, message: Message) -> list[dict[str, Any]]:
        wire: dict[str, Any] = {"role": "assistant", "content": self._content(message.parts)}
        # What another vendor has signed is for that vendor alone.
        thoughts = [p.text for p in message.parts if isinstance(p, Reasoning) and p.signature is None and p.text]
        if thoughts:
            wire["reasoning_content"] = "".join(thoughts)
        calls = [part for part in message.parts if isinstance(part, ToolCall)]
        if calls:
            wire["tool_calls"] = [self._call(call, at) for at, call in enumerate(calls)]
        return [wire] if wire["content"] or calls else []

    def _call(self, call: ToolCall, at: int) -> dict[str, Any]:
        arguments = call.arguments or "{}"
        if call.kind == "custom":
            arguments = msgspec.json.encode({"input": call.arguments}).decode()
        function = {"name": self._names.alias(call.name), "arguments": arguments}
        return {"index": at, "id": call.id, "type": "function", "function": function}

    def _content(self, parts: Any, *, separator: str = "") -> str | list[dict[str, Any]]:
        """A content as the model's path has it: a list, or one text."""
        if not self._multimodal:
            return separator.join(filter(None, (self._text_of(part) for part in parts)))
        return [item for part in parts if (item := self._item(part))]

    def _text_of(self, part: Part) -> str:
        if isinstance(part, Text):
            if part.cache:
                self._losses.drop("cache_control", "only models that see have such marks")
            return part.text
        if isinstance(part, Media):
            self._losses.refuse("messages", f"the model takes no {part.kind}")
        return part.text if isinstance(part, Refusal) else ""

    def _item(self, part: Part) -> dict[str, Any] | None:
        if isinstance(part, Text | Refusal):
            item: dict[str, Any] | None = {"text": part.text} if part.text else None
        elif isinstance(part, Media):
            item = self._media(part)
        else:
            return None
        if item is not None and isinstance(part, Text | Media) and part.cache:
            item["cache_control"] = {"type": "ephemeral"}
        return item

    def _media(self, part: Media) -> dict[str, Any] | None:
        if part.file_id is not None or part.kind == "document":
            self._losses.refuse("messages", "the model takes no file but pictures, sounds and films")
            return None
        return {part.kind: part.url or f"data:{part.mime or _MIME[part.kind]};base64,{part.data}"}


_MIME = {"image": "image/png", "audio": "audio/wav", "video": "video/mp4"}
