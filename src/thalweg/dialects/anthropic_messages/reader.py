"""Reads a checked Anthropic request into the canon."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from thalweg.canon.media import encode_base64, mime_of, standard_base64
from thalweg.canon.parts import Media, Opaque, Part, Reasoning, Signature, Text, ToolCall, ToolResult
from thalweg.canon.request import Message, OutputFormat, ReasoningAsk, Request, Sampling, Tool, ToolChoice
from thalweg.dialects.anthropic_messages.blocks import ALONE, NEXT, PREVIOUS, citations_of, form_of, opened
from thalweg.dialects.anthropic_messages.body import Block, Body, CacheControl, WireMessage, WireTool
from thalweg.dialects.anthropic_messages.complaints import SHAPELESS, missing, wrong
from thalweg.dialects.anthropic_messages.tables import MINUTES, NAME, VENDOR
from thalweg.dialects.kit.body import NULL

_ESSENTIAL = ("mcp_servers",)
"""Fields without which the model would lack what the client counts on."""
_SHOW: dict[str | None, Literal["default", "none", "summary", "auto"]] = {
    "summarized": "summary",
    "omitted": "none",
}
_TIERS = {"auto": "auto", "standard_only": "default"}
_CHOICES: dict[str, Literal["auto", "none", "required"]] = {
    "auto": "auto",
    "none": "none",
    "any": "required",
    "tool": "required",
}


class Source(msgspec.Struct, frozen=True):
    """`source` of a picture or document."""

    type: str
    media_type: str | None = None
    data: str | None = None
    url: str | None = None
    file_id: str | None = None
    content: str | list[Block] | None = None


class Reader:
    """Reads one request. Fields that no other dialect has are put by, by name."""

    def __init__(self, body: Body, top: dict[str, Raw]) -> None:
        self.body = body
        self._top = top
        self._trees: list[Any] | None = None
        self.extensions: dict[str, Any] = {}

    def request(self) -> Request:
        """The request in no dialect."""
        body = self.body
        system = self._system()
        messages = tuple(self._message(message, f"messages.{at}", at) for at, message in enumerate(body.messages))
        tools = tuple(self._tool(tool, f"tools.{at}", at) for at, tool in enumerate(body.tools or ()))
        choice, parallel = self._choice()
        sampling, reasoning, output = self._sampling(), self._reasoning(), self._output()
        essential = self._rest()
        return Request(
            model=body.model,
            messages=messages,
            system=system,
            stream=bool(body.stream),
            tools=tools,
            tool_choice=choice,
            parallel_tool_calls=parallel,
            sampling=sampling,
            reasoning=reasoning,
            output=output,
            user=body.metadata.user_id if body.metadata else None,
            service_tier=_TIERS.get(body.service_tier or ""),
            dialect=NAME,
            extensions=self.extensions,
            essential=essential,
        )

    def _rest(self) -> tuple[str, ...]:
        """Put by what only this dialect knows; gives the names of what may not be lost."""
        for name, raw in self._top.items():
            if name not in Body.__struct_fields__ and raw != NULL:
                self.extensions[name] = msgspec.json.decode(raw)
        if self.body.max_tokens == 0:
            # The prompt's cache is warmed and nothing made: no other dialect can say that.
            self.extensions["max_tokens"] = 0
        essential = [name for name in _ESSENTIAL if self.extensions.get(name)]
        return (*essential, "max_tokens") if self.body.max_tokens == 0 else tuple(essential)

    # Messages.

    def _system(self) -> tuple[Text, ...]:
        given = self.body.system
        if isinstance(given, str):
            return (Text(text=given),) if given else ()
        return tuple(self._plain_text(block, f"system.{at}") for at, block in enumerate(given or ()))

    def _plain_text(self, block: Block, path: str) -> Text:
        if block.type != "text":
            raise wrong(f"{path}.type", "Input should be 'text'")
        if block.text is None:
            raise missing(f"{path}.text")
        return Text(text=block.text, cache=_ttl(block.cache_control))

    def _message(self, message: WireMessage, path: str, at: int) -> Message:
        role: Any = message.role
        if isinstance(message.content, str):
            return Message(role=role, parts=(Text(text=message.content),))
        parts: list[Part] = []
        carried: Signature | None = None
        for i, block in enumerate(message.content):
            if block.type in _THOUGHTS:
                carried = self._thought(block, f"{path}.content.{i}", parts) or carried
                continue
            read = self._part(block, f"{path}.content.{i}", at, i)
            if carried is not None and read and isinstance(read[0], Text | ToolCall):
                read[0], carried = replace(read[0], signature=carried), None
            parts += read
        return Message(role=role, parts=tuple(parts))

    def _thought(self, block: Block, path: str, parts: list[Part]) -> Signature | None:
        """Put a thought in its place, or what a carrier holds. Gives a signature of the part that comes next."""
        hidden = block.type == "redacted_thinking"
        slot = block.data if hidden else block.signature
        if hidden and not isinstance(slot, str):
            raise missing(f"{path}.data")
        if not hidden and block.thinking is None:
            raise missing(f"{path}.thinking")
        found = opened(slot or "", "redacted" if hidden else "signature")
        if found is None:
            return None  # an envelope that was changed on its way
        signature, place = found
        if place == NEXT:
            return signature
        if place == PREVIOUS:
            if parts and isinstance(parts[-1], Text | ToolCall):
                parts[-1] = replace(parts[-1], signature=signature)
        elif place == ALONE:
            parts.append(Text(text="", signature=signature))
        else:
            parts.append(_reasoning(block.thinking or "", signature, hidden=hidden))
        return None

    def _part(self, block: Block, path: str, at: int, i: int) -> list[Part]:
        read = _PARTS.get(block.type)
        if read is None:
            return [Opaque(dialect=NAME, raw=self._tree(at, i))]
        return read(self, block, path)

    def _tree(self, at: int, i: int) -> Any:
        """A block as it came."""
        if self._trees is None:
            self._trees = msgspec.json.decode(self._top["messages"])
        return self._trees[at]["content"][i]

    def _text(self, block: Block, _: str) -> list[Part]:
        if block.text is None:
            raise missing(f"{_}.text")
        citations = citations_of(msgspec.json.decode(block.citations)) if _is_there(block.citations) else ()
        return [Text(text=block.text, citations=citations, cache=_ttl(block.cache_control))]

    def _image(self, block: Block, path: str) -> list[Part]:
        source = _source(block, path)
        read = _FILES.get(source.type)
        if read is None:
            raise wrong(f"{path}.source.type", "Input should be 'base64', 'url' or 'file'")
        return [replace(read(source, f"{path}.source", "image"), cache=_ttl(block.cache_control))]

    def _document(self, block: Block, path: str) -> list[Part]:
        source = _source(block, path)
        title = block.title if isinstance(block.title, str) else None
        if block.context:
            self.extensions[f"{path}.context"] = block.context
        if (_maybe(block.citations, dict[str, Any]) or {}).get("enabled"):
            self.extensions[f"{path}.citations"] = True
        if source.type == "content":
            return self._inline_document(source, path, title, _ttl(block.cache_control))
        read = _DOCUMENTS.get(source.type)
        if read is None:
            raise wrong(f"{path}.source.type", "Input should be 'base64', 'content', 'file', 'text' or 'url'")
        media = read(source, f"{path}.source", "document")
        return [replace(media, filename=title, cache=_ttl(block.cache_control))]

    def _inline_document(self, source: Source, path: str, title: str | None, cache: str | None) -> list[Part]:
        """A document made of blocks: they stand in its place, under its title."""
        parts: list[Part] = [Text(text=title)] if title else []
        if isinstance(source.content, str):
            parts.append(Text(text=source.content))
        for i, block in enumerate(source.content if isinstance(source.content, list) else ()):
            parts += self._inner(block, f"{path}.source.content.{i}")
        if parts and isinstance(parts[-1], Text | Media):
            parts[-1] = replace(parts[-1], cache=cache)
        return parts

    def _inner(self, block: Block, path: str) -> list[Part]:
        """A block within a block: text and files; any other is put by."""
        read = _INNER_PARTS.get(block.type)
        if read is None:
            self.extensions[path] = block.type
            return []
        return read(self, block, path)

    def _search_result(self, block: Block, path: str) -> list[Part]:
        """What a client's own search found, as text under its title and address."""
        head = [block.title if isinstance(block.title, str) else "", _maybe(block.source, str) or ""]
        inner = _maybe(block.content, list[Block]) or []
        texts = [*filter(None, head), *(found.text for found in inner if found.text)]
        return [Text(text="\n".join(texts), cache=_ttl(block.cache_control))]

    def _tool_use(self, block: Block, path: str) -> list[Part]:
        for name, value in (("id", block.id), ("name", block.name)):
            if value is None:
                raise missing(f"{path}.{name}")
        given = bytes(block.input).decode().strip() if _is_there(block.input) else "{}"
        if given[:1] != "{":
            raise wrong(f"{path}.input", "Input should be a valid dictionary", code="invalid_type")
        return [ToolCall(id=block.id or "", name=block.name or "", arguments=given, cache=_ttl(block.cache_control))]

    def _tool_result(self, block: Block, path: str) -> list[Part]:
        if block.tool_use_id is None:
            raise missing(f"{path}.tool_use_id")
        content: str | list[Block] | None = None
        if _is_there(block.content):
            content = _typed(block.content, str | list[Block], f"{path}.content")
        parts: list[Part] = []
        if isinstance(content, str):
            parts.append(Text(text=content))
        else:
            for i, inner in enumerate(content or ()):
                parts += self._inner(inner, f"{path}.content.{i}")
        return [
            ToolResult(
                call_id=block.tool_use_id,
                parts=tuple(part for part in parts if isinstance(part, Text | Media)),
                is_error=bool(block.is_error),
                cache=_ttl(block.cache_control),
            )
        ]

    # The other fields.

    def _tool(self, tool: WireTool, path: str, at: int) -> Tool:
        cache = _ttl(tool.cache_control)
        if tool.type not in (None, "custom"):
            raw = msgspec.json.decode(self._top["tools"])[at]
            return Tool(name=tool.name or tool.type or "", kind="hosted", raw=raw, cache=cache)
        if tool.name is None:
            raise missing(f"{path}.custom.name")
        if tool.input_schema is None:
            raise missing(f"{path}.custom.input_schema")
        return Tool(
            name=tool.name,
            description=tool.description,
            parameters=tool.input_schema,
            strict=tool.strict,
            cache=cache,
        )

    def _choice(self) -> tuple[ToolChoice | None, bool | None]:
        """Which tool must be called, and whether several may be."""
        given = self.body.tool_choice
        if given is None:
            return None, None
        mode = _CHOICES.get(given.type)
        if mode is None:
            raise wrong("tool_choice.type", "Input should be 'auto', 'any', 'tool' or 'none'")
        if given.type == "tool" and not given.name:
            raise missing("tool_choice.tool.name")
        names = (given.name,) if given.type == "tool" and given.name else ()
        single = given.disable_parallel_tool_use
        return ToolChoice(mode=mode, names=names), None if single is None else not single

    def _sampling(self) -> Sampling:
        body = self.body
        return Sampling(
            max_tokens=body.max_tokens or None,
            temperature=body.temperature,
            top_p=body.top_p,
            top_k=body.top_k,
            stop=tuple(body.stop_sequences or ()),
        )

    def _reasoning(self) -> ReasoningAsk:
        """`thinking` and `output_config.effort`, which stand apart and mean one thing together."""
        thinking, config = self.body.thinking, self.body.output_config
        effort = config.effort if config else None
        if thinking is None:
            return ReasoningAsk(mode="effort", effort=effort) if effort else ReasoningAsk()
        if thinking.type in ("disabled", "between_tools"):
            if thinking.type == "between_tools":
                self.extensions["thinking"] = thinking.type
            return ReasoningAsk(mode="off")
        show = _SHOW.get(thinking.display, "auto")
        if thinking.type == "adaptive":
            return ReasoningAsk(mode="effort" if effort else "auto", effort=effort, show=show)
        if thinking.type != "enabled":
            raise wrong("thinking.type", "Input should be 'adaptive', 'between_tools', 'disabled' or 'enabled'")
        if thinking.budget_tokens is None:
            raise missing("thinking.enabled.budget_tokens")
        return ReasoningAsk(mode="budget", budget_tokens=thinking.budget_tokens, effort=effort, show=show)

    def _output(self) -> OutputFormat:
        config = self.body.output_config
        if config is not None and config.task_budget is not None:
            self.extensions["output_config.task_budget"] = config.task_budget
        asked = (config.format if config else None) or self.body.output_format
        if asked is None:
            return OutputFormat()
        path = "output_config.format" if config and config.format else "output_format"
        if asked.get("type") != "json_schema":
            raise wrong(f"{path}.type", "Input should be 'json_schema'")
        if "schema" not in asked:
            raise missing(f"{path}.schema")
        return OutputFormat(format="json_schema", schema=asked["schema"], strict=True)


def _reasoning(text: str, signature: Signature | None, *, hidden: bool) -> Reasoning:
    redacted = hidden or (signature is not None and signature.vendor == VENDOR and signature.kind == "redacted")
    form: Any = "hidden" if redacted else form_of(signature)
    return Reasoning(text=text, form=form, signature=signature, redacted=redacted)


def _ttl(control: CacheControl | None) -> str | None:
    return None if control is None else control.ttl or MINUTES


def _is_there(raw: Raw) -> bool:
    return len(bytes(raw)) > 0 and raw != NULL


def _typed(raw: Raw, kind: Any, path: str) -> Any:
    try:
        return msgspec.json.decode(raw, type=kind)
    except msgspec.ValidationError as error:
        raise wrong(path, SHAPELESS, code="invalid_type") from error


def _maybe(raw: Raw, kind: Any) -> Any:
    try:
        return msgspec.json.decode(raw, type=kind) if _is_there(raw) else None
    except msgspec.ValidationError:
        return None


def _source(block: Block, path: str) -> Source:
    if not _is_there(block.source):
        raise missing(f"{path}.source")
    source: Source = _typed(block.source, Source, f"{path}.source")
    return source


Kind = Literal["image", "document"]


def _bytes(source: Source, path: str, kind: Kind) -> Media:
    if source.data is None:
        raise missing(f"{path}.data")
    try:
        data = standard_base64(source.data)
        return Media(kind=kind, mime=mime_of(source.media_type, data), data=data)
    except ValueError as error:
        raise wrong(f"{path}.data", "The data is not base64") from error


def _url(source: Source, path: str, kind: Kind) -> Media:
    if not source.url:
        raise missing(f"{path}.url")
    return Media(kind=kind, mime="application/pdf" if kind == "document" else None, url=source.url)


def _file(source: Source, path: str, kind: Kind) -> Media:
    if not source.file_id:
        raise missing(f"{path}.file_id")
    return Media(kind=kind, file_id=source.file_id, vendor=VENDOR)


def _plain(source: Source, path: str, kind: Kind) -> Media:
    if source.data is None:
        raise missing(f"{path}.data")
    return Media(kind=kind, mime="text/plain", data=encode_base64(source.data.encode()))


_FILES: dict[str, Callable[[Source, str, Kind], Media]] = {"base64": _bytes, "url": _url, "file": _file}
_DOCUMENTS = _FILES | {"text": _plain}
_THOUGHTS = ("thinking", "redacted_thinking")
_INNER_PARTS: dict[str, Callable[[Reader, Block, str], list[Part]]] = {
    "text": Reader._text,
    "image": Reader._image,
    "document": Reader._document,
    "search_result": Reader._search_result,
}
_PARTS = _INNER_PARTS | {"tool_use": Reader._tool_use, "tool_result": Reader._tool_result}
