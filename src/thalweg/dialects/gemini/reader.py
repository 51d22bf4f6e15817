"""A Gemini client's body in no dialect.

google-genai's chat sends a model's turn back as one content for each chunk of the stream that it came in, so pieces of
one turn are joined again here: its thoughts get back the signature that came after them.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec.structs import replace

from thalweg.canon.ids import call_id
from thalweg.canon.media import kind_of, mime_of, standard_base64
from thalweg.canon.parts import Media, Opaque, Part, Reasoning, Signature, Text, ToolCall, ToolResult
from thalweg.canon.request import Message, OutputFormat, ReasoningAsk, Request, Sampling, Tool, ToolChoice
from thalweg.dialects.gemini import body as wire
from thalweg.dialects.gemini.body import Body, Read
from thalweg.dialects.gemini.schema import from_openapi
from thalweg.dialects.gemini.signatures import read_signature
from thalweg.dialects.gemini.tables import NAME, VENDOR
from thalweg.dialects.gemini.target import Target
from thalweg.dialects.kit.body import wrong

_ROLES: dict[str | None, Any] = {
    None: "user",
    "": "user",
    "user": "user",
    "function": "user",
    "tool": "user",
    "model": "assistant",
    "assistant": "assistant",
    "system": "system",
}
_MODES: dict[str, Any] = {"AUTO": "auto", "VALIDATED": "auto", "ANY": "required", "NONE": "none"}
_TIERS = {"standard": "default", "default": "default", "flex": "flex", "priority": "priority"}
_READ_AT_TOP = frozenset(Body.__struct_fields__)
_READ_OF_GENERATION = frozenset(wire.Generation.__struct_fields__)
_ESSENTIAL = ("cachedContent", "continuationToken")
"""What holds a part of the talk that nobody else has."""
_GOOGLES_FILES = ("generativelanguage.googleapis.com/", "gs://", "www.youtube.com/", "youtube.com/", "youtu.be/")
_SIGHTS = {"LOW": "low", "MEDIUM": "auto", "HIGH": "high", "ULTRA_HIGH": "high"}


def is_googles_file(uri: str) -> bool:
    """Whether only Google can open it: a file of its own API, its storage, or a film of YouTube."""
    return uri.removeprefix("https://").removeprefix("http://").startswith(_GOOGLES_FILES)


class Reader:
    """Reads a checked body into the canon. One per request."""

    def __init__(self, read: Read, target: Target) -> None:
        self._body = read.body
        self._tree = read.tree
        self._target = target
        self._turn = 0
        """How many turns of the model came so far."""
        self._calls: list[ToolCall] = []
        """Those of the last turn that have no result yet."""
        self._given: set[str] = set()
        """Ids of calls that the client gave itself."""
        self._extensions: dict[str, Any] = {}

    def request(self) -> Request:
        """The request."""
        body = self._body
        asked = body.generationConfig or wire.Generation()
        self._gather_extensions()
        return Request(
            model=self._target.model,
            messages=self._messages(),
            system=self._system(),
            stream=self._target.stream,
            tools=self._tools(),
            tool_choice=self._tool_choice(),
            sampling=_sampling(asked),
            reasoning=_reasoning(asked.thinkingConfig or wire.Thinking()),
            output=_output(asked),
            metadata=body.labels,
            service_tier=_TIERS.get((body.serviceTier or "").lower()),
            framing=self._target.framing,
            dialect=NAME,
            extensions=self._extensions,
            essential=tuple(name for name in _ESSENTIAL if name in self._extensions),
        )

    def _gather_extensions(self) -> None:
        """Fields that have no place in the canon, by their paths."""
        tree = self._tree
        choice = (tree.get("toolConfig") or {}).get("functionCallingConfig") or {}
        places: tuple[tuple[str, Any, frozenset[str]], ...] = (
            ("", tree, _READ_AT_TOP),
            ("generationConfig.", tree.get("generationConfig"), _READ_OF_GENERATION),
            ("toolConfig.", tree.get("toolConfig"), frozenset({"functionCallingConfig"})),
            ("toolConfig.functionCallingConfig.", choice, frozenset({"mode", "allowedFunctionNames"})),
        )
        for path, inner, known in places:
            for name, value in (inner or {}).items():
                if name not in known and value not in (None, [], {}):
                    self._extensions[path + name] = value
        # Two words whose neighbours alone can be said elsewhere.
        if str(choice.get("mode")).upper() == "VALIDATED":
            self._extensions["toolConfig.functionCallingConfig.mode"] = choice["mode"]
        asked = self._body.generationConfig
        if asked is not None and (asked.responseMimeType or "").lower() == "text/x.enum":
            self._extensions["generationConfig.responseMimeType"] = asked.responseMimeType

    # The talk.

    def _system(self) -> tuple[Text, ...]:
        parts = self._body.systemInstruction.parts if self._body.systemInstruction else None
        return tuple(Text(text=part.text) for part in parts or () if part.text)

    def _messages(self) -> tuple[Message, ...]:
        made: list[tuple[Any, list[Part]]] = []
        for at, content in enumerate(self._body.contents):
            role = _ROLES.get(content.role)
            if role is None:
                raise wrong(f"contents[{at}].role", "it must be 'user' or 'model'")
            if not made or made[-1][0] != role:
                made.append((role, []))
                if role == "assistant":
                    self._turn, self._calls = self._turn + 1, []
            for number, part in enumerate(content.parts or ()):
                self._part(made[-1][1], part, at, number)
        return tuple(Message(role=role, parts=tuple(parts)) for role, parts in made if parts)

    def _part(self, into: list[Part], part: wire.Part, at: int, number: int) -> None:
        path = f"contents[{at}].parts[{number}]"
        if part.functionCall is not None:
            into += self._call(part, part.functionCall)
        elif part.functionResponse is not None:
            into.append(self._result(part.functionResponse, path))
        elif part.inlineData is not None or part.fileData is not None:
            into.append(self._media(part, path))
        elif part.text is not None or (part.thoughtSignature is not None and self._is_bare(at, number)):
            _add_text(into, part)
        elif raw := self._tree["contents"][at]["parts"][number]:
            into.append(Opaque(dialect=NAME, raw=raw))

    def _is_bare(self, at: int, number: int) -> bool:
        """Whether a part has nothing beside a signature."""
        return set(self._tree["contents"][at]["parts"][number]) <= {"thoughtSignature", "thought", "text"}

    def _call(self, part: wire.Part, call: wire.Call) -> list[Part]:
        """A call. Other vendors sign thoughts alone: what lies on it of theirs proves those that led to it, where the
        client did not ask to see any.
        """
        if call.id:
            self._given.add(call.id)
        signature = read_signature(part.thoughtSignature)
        foreign = signature is not None and signature.vendor != VENDOR
        made = ToolCall(
            id=call.id or call_id(None, self._turn, len(self._calls), call.name),
            name=call.name,
            arguments=msgspec.json.encode(call.args or {}).decode(),
            signature=None if foreign else signature,
        )
        self._calls.append(made)
        return [_thought("", signature), made] if foreign else [made]

    def _result(self, result: wire.Result, path: str) -> ToolResult:
        call = self._answered(result)
        parts, is_error = _result_parts(result.response)
        files = tuple(
            self._media(part, f"{path}.functionResponse.parts[{i}]")
            for i, part in enumerate(result.parts or ())
            if part.inlineData or part.fileData
        )
        return ToolResult(
            call_id=call.id if call else result.id or call_id(None, self._turn, result.name),
            parts=(*parts, *files),
            name=result.name or (call.name if call else None),
            is_error=is_error,
        )

    def _answered(self, result: wire.Result) -> ToolCall | None:
        """The call that this is the result of: by its id, else the first of that name that has none yet."""
        found = next((call for call in self._calls if result.id and call.id == result.id), None)
        if found is None:
            named = [call for call in self._calls if call.name == result.name]
            # google-genai's own function calling leaves the id out, even where the call had one.
            if result.id:
                named = [call for call in named if call.id not in self._given]
            found = named[0] if named else None
        if found is not None:
            # Its turn may go on, and the number of calls in it makes their ids: so it stays, without its name.
            self._calls[self._calls.index(found)] = replace(found, name="", id="")
        return found

    def _media(self, part: wire.Part, path: str) -> Media:
        detail = _detail(part.mediaResolution)
        if (blob := part.inlineData) is not None:
            try:
                data = standard_base64(blob.data)
            except ValueError as error:
                raise wrong(f"{path}.inlineData.data", str(error)) from error
            mime = mime_of(blob.mimeType, data)
            return Media(kind=kind_of(mime), mime=mime, data=data, detail=detail, filename=blob.displayName)
        file = part.fileData
        assert file is not None
        mime = mime_of(file.mimeType, "")
        if is_googles_file(file.fileUri):
            kind = kind_of(mime) if mime else "video" if "youtu" in file.fileUri else "document"
            return Media(
                kind=kind, mime=mime, file_id=file.fileUri, vendor=VENDOR, detail=detail, filename=file.displayName
            )
        return Media(kind=kind_of(mime), mime=mime, url=file.fileUri, detail=detail, filename=file.displayName)

    # Tools.

    def _tools(self) -> tuple[Tool, ...]:
        found: list[Tool] = []
        for at, tool in enumerate(self._body.tools or ()):
            found += [_function(each) for each in tool.functionDeclarations or ()]
            for name, value in self._tree["tools"][at].items():
                if name != "functionDeclarations" and value is not None:
                    found.append(Tool(name=name, kind="hosted", raw={name: value}))
        return tuple(found)

    def _tool_choice(self) -> ToolChoice | None:
        asked = self._body.toolConfig.functionCallingConfig if self._body.toolConfig else None
        if asked is None or not asked.mode or asked.mode.upper() == "MODE_UNSPECIFIED":
            return None
        mode = _MODES.get(asked.mode.upper())
        if mode is None:
            words = ", ".join(_MODES)
            raise wrong("toolConfig.functionCallingConfig.mode", f"it must be one of {words}")
        return ToolChoice(mode=mode, names=tuple(asked.allowedFunctionNames or ()))


def _add_text(into: list[Part], part: wire.Part) -> None:
    """A text or a thought, joined to the one before it as far as signatures let it be."""
    text, signature = part.text or "", read_signature(part.thoughtSignature)
    before = into[-1] if into else None
    if part.thought:
        if text or signature is not None:
            _add_thought(into, before, text, signature)
    elif signature is not None and signature.vendor != VENDOR:
        # Other vendors sign thoughts alone; these lie on a text where the client did not ask to see any.
        into.append(_thought("", signature))
        if text:
            into.append(Text(text=text))
    elif signature is not None:
        into.append(Text(text=text, signature=signature))
    elif text and isinstance(before, Text) and before.signature is None:
        into[-1] = replace(before, text=before.text + text)
    elif text:
        into.append(Text(text=text))


def _add_thought(into: list[Part], before: Part | None, text: str, signature: Signature | None) -> None:
    goes_on = isinstance(before, Reasoning) and before.signature is None
    if goes_on and isinstance(before, Reasoning) and (signature is None or not text):
        if signature is None or signature.kind != "redacted":
            into[-1] = replace(before, text=before.text + text, signature=signature)
            return
    into.append(_thought(text, signature))


def _thought(text: str, signature: Signature | None) -> Reasoning:
    hidden = signature is not None and signature.kind == "redacted"
    return Reasoning(text=text, form="summary", signature=signature, redacted=hidden)


def _result_parts(response: Any) -> tuple[tuple[Text, ...], bool]:
    """The text of a tool's answer, and whether it says that it failed."""
    if isinstance(response, dict) and len(response) == 1:
        for field, failed in (("output", False), ("error", True)):
            if field in response:
                return (Text(text=_told(response[field])),), failed
    return (Text(text=_told(response)),), False


def _told(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else msgspec.json.encode(value).decode()


def _detail(resolution: Any) -> str | None:
    level = resolution.get("level") if isinstance(resolution, dict) else resolution
    return _SIGHTS.get(level.removeprefix("MEDIA_RESOLUTION_")) if isinstance(level, str) else None


def _function(each: wire.Declaration) -> Tool:
    schema = each.parametersJsonSchema
    if schema is None and each.parameters is not None:
        schema = from_openapi(each.parameters)
    return Tool(name=each.name, description=each.description, parameters=schema)


def _sampling(asked: wire.Generation) -> Sampling:
    return Sampling(
        max_tokens=asked.maxOutputTokens,
        temperature=asked.temperature,
        top_p=asked.topP,
        top_k=None if asked.topK is None else int(asked.topK),
        presence_penalty=asked.presencePenalty,
        frequency_penalty=asked.frequencyPenalty,
        seed=asked.seed,
        n=asked.candidateCount or 1,
        stop=tuple(asked.stopSequences or ()),
        logprobs=asked.responseLogprobs,
        top_logprobs=asked.logprobs,
    )


def _reasoning(asked: wire.Thinking) -> ReasoningAsk:
    """What the client asks for. It sees thoughts only if it says so."""
    show: Any = "summary" if asked.includeThoughts else "none"
    level = (asked.thinkingLevel or "").lower()
    if level and level != "thinking_level_unspecified":
        return ReasoningAsk(mode="effort", effort=level, show=show)
    budget = asked.thinkingBudget
    if budget is None:
        # Gemini thinks unasked; who wants to see thoughts wants a model that does.
        return ReasoningAsk(mode="auto" if asked.includeThoughts else "default", show=show)
    if budget == 0:
        return ReasoningAsk(mode="off", show=show)
    if budget < 0:
        return ReasoningAsk(mode="auto", show=show)
    return ReasoningAsk(mode="budget", budget_tokens=budget, show=show)


def _output(asked: wire.Generation) -> OutputFormat:
    schema = asked.responseJsonSchema
    if schema is None and asked.responseSchema is not None:
        schema = from_openapi(asked.responseSchema)
    mime = (asked.responseMimeType or "").lower()
    shape: Any = "json_schema" if schema is not None else _FORMATS.get(mime, "text")
    modalities = tuple(each.lower() for each in asked.responseModalities or ())
    return OutputFormat(format=shape, schema=schema, modalities=modalities)


_FORMATS = {"application/json": "json"}
