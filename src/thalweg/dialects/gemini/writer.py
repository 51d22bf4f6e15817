"""A request of another dialect's client, for a Gemini upstream. Rules: mapping, sections 3 to 12."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from thalweg.canon.losses import Losses
from thalweg.canon.parts import Media, Opaque, Part, Reasoning, Refusal, Text, ToolCall, ToolResult
from thalweg.canon.request import Message, OutputFormat, Request, Sampling, Tool
from thalweg.dialects.base import UpstreamBody
from thalweg.dialects.gemini.arguments import Arguments, arguments_of
from thalweg.dialects.gemini.reader import is_googles_file
from thalweg.dialects.gemini.schema import for_json_schema_field, for_openapi_field
from thalweg.dialects.gemini.signatures import SKIP, own_signature
from thalweg.dialects.gemini.tables import NAME, VENDOR
from thalweg.dialects.gemini.thinking import Generation, generation, say
from thalweg.dialects.kit.tool_names import ToolNames
from thalweg.profiles.base import Profile

_Wire = dict[str, Any]

MOST_STOPS = 5
"""How many stop sequences are taken (ai.google.dev, GenerationConfig, read 2026-11)."""
_MOST_SEED = 2**31 - 1
_GO_ON = "Continue."
_MIMES = {"image": "image/png", "audio": "audio/wav", "video": "video/mp4", "document": "application/pdf"}
_SIGHTS = {"low": "MEDIA_RESOLUTION_LOW", "high": "MEDIA_RESOLUTION_HIGH"}
_REASONING_FIELD = {"anthropic": "thinking", "openai-responses": "reasoning"}
_OPENAPI_FIELDS = {"parameters": "parameters", "response": "responseSchema"}
_FREE_TEXT = {"type": "object", "properties": {"input": {"type": "string"}}, "required": ["input"]}


def encode_request(asked: Request, *, model: str, profile: Profile, losses: Losses) -> UpstreamBody:
    """The body. It does not say the model or whether to stream: the path does."""
    return _Writer(asked, model, losses).body(profile)


class _Writer:
    """Writes one request."""

    def __init__(self, asked: Request, model: str, losses: Losses) -> None:
        self._asked = asked
        self._model = model
        self._losses = losses
        born = generation(model)
        self._born: Generation = born if born is not None else (2, 5)
        self._called = ToolNames("A-Za-z0-9_.:-", most=128, first="A-Za-z_")
        self._names = {part.id: part.name for part in _parts_of(asked) if isinstance(part, ToolCall)}
        """Names of called tools by the ids of the calls."""

    @property
    def _levels(self) -> bool:
        """Whether the model is of the generation that signs its calls, thinks in levels and reads files in results."""
        return self._born >= (3, 0)

    def body(self, profile: Profile) -> UpstreamBody:
        asked = self._asked
        wire: _Wire = {"contents": self._contents()}
        if asked.system:
            wire["systemInstruction"] = {"parts": [{"text": part.text} for part in asked.system]}
        wire |= self._tools()
        if config := self._generation():
            wire["generationConfig"] = config
        if asked.service_tier in ("flex", "priority"):
            wire["serviceTier"] = asked.service_tier
        self._drop_the_rest()
        for field in profile.refused_fields:
            wire.pop(field, None)
        return UpstreamBody(
            body=msgspec.json.encode(wire),
            stops=asked.sampling.stop[MOST_STOPS:],
            tool_names=self._called.back,
            wrapped_tools=frozenset(tool.name for tool in asked.tools if tool.kind == "custom"),
        )

    def _drop_the_rest(self) -> None:
        """What Gemini has no field for."""
        asked = self._asked
        dropped = {
            "logit_bias": asked.sampling.logit_bias is not None,
            "parallel_tool_calls": asked.parallel_tool_calls is False,
            "messages.name": any(message.name for message in asked.messages),
            "user": asked.user is not None,
            "metadata": bool(asked.metadata),
            "verbosity": asked.output.verbosity is not None,
            "cache_control": any(getattr(each, "cache", None) for each in (*_parts_of(asked), *asked.tools)),
        }
        for name, is_there in dropped.items():
            if is_there:
                self._losses.drop(name)

    # The talk.

    def _contents(self) -> list[_Wire]:
        """Every message; the first is a user's, and so is the last, because Gemini takes no other."""
        messages = self._asked.messages
        turn_began = _last_said(messages)
        made: list[_Wire] = []
        for at, message in enumerate(messages):
            if message.role == "assistant":
                made += self._model_turn(message, current=at > turn_began)
            else:
                made += self._user_turn(message)
        if not made or made[0]["role"] != "user":
            made.insert(0, _content("user", [{"text": ""}]))
        if made[-1]["role"] != "user":
            self._losses.approximate("messages", "its last turn is the model's, so that it is asked to continue")
            made.append(_content("user", [{"text": _GO_ON}]))
        return made

    def _user_turn(self, message: Message) -> list[_Wire]:
        """Tool results in a content of their own: Gemini is disturbed where they are mixed with anything."""
        results: list[_Wire] = []
        rest: list[_Wire] = []
        for part in message.parts:
            if isinstance(part, ToolResult):
                written, files = self._result(part)
                results.append(written)
                rest += files
            else:
                rest += self._user_part(message, part)
        return [_content("user", parts) for parts in (results, rest) if parts]

    def _user_part(self, message: Message, part: Part) -> list[_Wire]:
        if isinstance(part, Text) and message.role == "system":
            self._losses.approximate("messages", "an instruction in the middle of the talk becomes a user's text")
            return [{"text": f"<system>{part.text}</system>"}] if part.text else []
        return self._written(part)

    def _model_turn(self, message: Message, *, current: bool) -> list[_Wire]:
        """A turn of the model's. In the turn that is going on, a model that signs its calls refuses a step whose first
        call has lost its signature, unless the mark for that stands there.
        """
        parts: list[_Wire] = []
        called = False
        for part in message.parts:
            written = self._written(part)
            if isinstance(part, ToolCall) and written:
                if current and self._levels and not called and "thoughtSignature" not in written[0]:
                    written[0]["thoughtSignature"] = SKIP
                called = True
            parts += written
        return [_content("model", parts)] if parts else []

    def _written(self, part: Part) -> list[_Wire]:
        return _PARTS[type(part)](self, part)

    def _text(self, part: Any) -> list[_Wire]:
        signature = own_signature(part.signature)
        if signature is not None:
            return [{"text": part.text, "thoughtSignature": signature}]
        return [{"text": part.text}] if part.text else []

    def _reasoning(self, part: Any) -> list[_Wire]:
        """Thoughts go back only to who thought and signed them."""
        signature = own_signature(part.signature)
        return [{"text": part.text, "thought": True, "thoughtSignature": signature}] if signature is not None else []

    def _refusal(self, part: Any) -> list[_Wire]:
        if not part.text:
            return []
        self._losses.approximate("messages", "a refusal becomes a text")
        return [{"text": part.text}]

    def _opaque(self, part: Any) -> list[_Wire]:
        if part.dialect == NAME and isinstance(part.raw, dict):
            return [part.raw]
        self._losses.drop("messages", "a part of it means something only to another API")
        return []

    def _call(self, part: Any) -> list[_Wire]:
        if part.kind == "server":
            self._losses.drop("messages", "a tool that another provider ran means nothing to this one")
            return []
        free = part.kind == "custom"
        read = Arguments({"input": part.arguments}, whole=True) if free else arguments_of(part.arguments)
        if not read.whole:
            self._losses.approximate("messages", "the arguments of a tool call are no JSON object")
        wire: _Wire = {"functionCall": {"name": self._called.alias(part.name), "args": read.value, "id": part.id}}
        signature = own_signature(part.signature)
        return [wire | {"thoughtSignature": signature} if signature is not None else wire]

    def _result(self, part: ToolResult) -> tuple[_Wire, list[_Wire]]:
        """A result, and files of it that must stand behind it."""
        name = self._names.get(part.call_id) or part.name or "unknown"
        text = "\n".join(piece.text for piece in part.parts if isinstance(piece, Text))
        response = _response(text, failed=part.is_error)
        wire: _Wire = {"name": self._called.alias(name), "response": response, "id": part.call_id}
        files = [found for piece in part.parts if isinstance(piece, Media) for found in self._media(piece)]
        if files and self._levels:
            wire["parts"] = files
            return {"functionResponse": wire}, []
        if files:
            self._losses.approximate("messages", "a file in a tool's result stands behind it")
        return {"functionResponse": wire}, files

    def _media(self, part: Any) -> list[_Wire]:
        mime = part.mime or _MIMES[part.kind]
        if part.data is not None:
            return [{"inlineData": {"mimeType": mime, "data": part.data}}]
        place = part.file_id if part.vendor == VENDOR else part.url if is_googles_file(part.url or "") else None
        if place is not None:
            return [{"fileData": {"fileUri": place} | ({"mimeType": part.mime} if part.mime else {})}]
        why = "it takes files of Google's alone, by their names" if part.file_id else "it opens no addresses"
        self._losses.refuse("messages", f"{why}, and this {part.kind} is not in the request")
        return []

    # Tools.

    def _tools(self) -> _Wire:
        asked = self._asked
        choice = asked.tool_choice
        offered = set(choice.names) if choice and choice.mode == "auto" and choice.names else None
        declared = []
        hosted = []
        for at, tool in enumerate(asked.tools):
            if tool.kind == "hosted":
                hosted += self._hosted(tool, at)
            elif offered is None or tool.name in offered:
                declared.append(self._declaration(tool, at))
        tools = [*([{"functionDeclarations": declared}] if declared else []), *hosted]
        if not tools:
            return {}
        wire: _Wire = {"tools": tools}
        if choice and declared and choice.mode != "auto":
            config: _Wire = {"mode": {"none": "NONE", "required": "ANY"}[choice.mode]}
            if choice.names and choice.mode == "required":
                config["allowedFunctionNames"] = [self._called.alias(name) for name in choice.names]
            wire["toolConfig"] = {"functionCallingConfig": config}
        return wire

    def _hosted(self, tool: Tool, at: int) -> list[_Wire]:
        if self._asked.dialect == NAME and isinstance(tool.raw, dict):
            return [tool.raw]
        self._losses.refuse(f"tools[{at}]", "it is run by the provider, and this one has no such tool")
        return []

    def _declaration(self, tool: Tool, at: int) -> _Wire:
        if tool.strict:
            self._losses.drop(f"tools[{at}].strict")
        wire: _Wire = {"name": self._called.alias(tool.name)}
        description = tool.description or (tool.raw or {}).get("description")
        if isinstance(description, str) and description:
            wire["description"] = description
        if tool.kind == "custom":
            self._losses.approximate(f"tools[{at}]", "it takes free text, and becomes a function of one argument")
            return wire | self._schema("parameters", _FREE_TEXT)
        if tool.parameters and tool.parameters.get("properties") != {}:
            wire |= self._schema("parameters", tool.parameters)
        return wire

    def _schema(self, field: str, schema: Any) -> _Wire:
        """A schema in the field that the model's generation has."""
        if self._born >= (2, 5):
            return {f"{field}JsonSchema": for_json_schema_field(schema)}
        return {_OPENAPI_FIELDS[field]: for_openapi_field(schema)}

    # How the answer is made.

    def _generation(self) -> _Wire:
        wire = self._sampling(self._asked.sampling) | self._output(self._asked.output)
        said = say(self._asked.reasoning, self._model, shown=self._shows_thoughts())
        if not said.whole:
            field = _REASONING_FIELD.get(self._asked.dialect, "reasoning_effort")
            self._losses.approximate(field, "the model cannot be told to think just so much")
        if said.config:
            wire["thinkingConfig"] = said.config
        details = {part.detail for part in _parts_of(self._asked) if isinstance(part, Media)} & _SIGHTS.keys()
        if len(details) == 1:
            wire["mediaResolution"] = _SIGHTS[details.pop() or ""]
        return wire

    def _shows_thoughts(self) -> bool:
        """Whether thoughts are asked for. Chat has no word for that, and its clients read them where they come."""
        ask = self._asked.reasoning
        if ask.show != "default":
            return ask.show != "none"
        return ask.mode != "off" and (ask.mode != "default" or self._asked.dialect == "openai-chat")

    def _sampling(self, sampling: Sampling) -> _Wire:
        if sampling.max_tokens == 0:
            self._losses.refuse("max_tokens", "it cannot be told to make nothing")
        seed = sampling.seed
        if seed is not None and not -_MOST_SEED <= seed <= _MOST_SEED:
            self._losses.approximate("seed", "it takes a smaller number")
            seed %= _MOST_SEED
        wire = {
            "maxOutputTokens": sampling.max_tokens or None,
            "temperature": sampling.temperature,
            "topP": sampling.top_p,
            "topK": sampling.top_k,
            "presencePenalty": sampling.presence_penalty,
            "frequencyPenalty": sampling.frequency_penalty,
            "seed": seed,
            "candidateCount": sampling.n if sampling.n > 1 else None,
            "stopSequences": list(sampling.stop[:MOST_STOPS]) or None,
            "responseLogprobs": sampling.logprobs or None,
            "logprobs": sampling.top_logprobs if sampling.logprobs and sampling.top_logprobs else None,
        }
        return {name: value for name, value in wire.items() if value is not None}

    def _output(self, output: OutputFormat) -> _Wire:
        wire: _Wire = {}
        if set(output.modalities) - {"text"}:
            wire["responseModalities"] = [each.upper() for each in output.modalities]
        if output.format == "text":
            return wire
        if not self._levels and any(tool.kind != "hosted" for tool in self._asked.tools):
            self._losses.refuse("response_format", "a model before Gemini 3 takes no such format together with tools")
            return wire
        wire["responseMimeType"] = "application/json"
        if output.format == "json_schema" and output.schema is not None:
            wire |= self._schema("response", output.schema)
        return wire


_PARTS: dict[type[Part], Callable[[_Writer, Any], list[_Wire]]] = {
    Text: _Writer._text,
    Media: _Writer._media,
    Reasoning: _Writer._reasoning,
    ToolCall: _Writer._call,
    Refusal: _Writer._refusal,
    Opaque: _Writer._opaque,
}


def _content(role: str, parts: list[_Wire]) -> _Wire:
    return {"role": role, "parts": parts}


def _parts_of(asked: Request) -> Iterable[Part]:
    """Every part of the request, those inside of results too."""
    for message in asked.messages:
        for part in message.parts:
            yield part
            if isinstance(part, ToolResult):
                yield from part.parts
    yield from asked.system


def _last_said(messages: tuple[Message, ...]) -> int:
    """Where the user last said something that is no result: there the turn that is going on began."""
    said = (at for at, each in enumerate(messages) if each.role == "user" and not _only_results(each))
    return max(said, default=-1)


def _only_results(message: Message) -> bool:
    return all(isinstance(part, ToolResult) for part in message.parts)


def _response(text: str, *, failed: bool) -> _Wire | msgspec.Raw:
    """A result as the object that Gemini wants."""
    if failed:
        return {"error": text}
    read = arguments_of(text)
    if text.strip() and read.whole and text.lstrip()[:1] == "{":
        return read.value
    return {"output": text}
