"""Responses requests: checked as they come in, edited in place for the same dialect, read into the canon."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec
from msgspec import Raw

from thalweg.canon.envelope import PREFIX, is_wrapped, unwrap
from thalweg.canon.media import data_url, kind_of, mime_of, standard_base64
from thalweg.canon.parts import Media, Opaque, Part, Reasoning, Refusal, Signature, Text, ToolCall, ToolResult
from thalweg.canon.request import Message, OutputFormat, ReasoningAsk, Request, Sampling
from thalweg.dialects.base import count_chars
from thalweg.dialects.kit.body import NULL, check_bounds, check_model, missing, open_top, read_body, too_deep, wrong
from thalweg.dialects.openai_responses.items import Item, is_ours, reasoning_text
from thalweg.dialects.openai_responses.response import AskedInResponses
from thalweg.dialects.openai_responses.tables import NAME, OUR_MARK, PREVIOUS, VENDOR
from thalweg.dialects.openai_responses.tools import read_choice, read_tool
from thalweg.dialects.openai_responses.wire import objects, read_any, string
from thalweg.profiles.base import Profile


class AskedReasoning(msgspec.Struct, frozen=True):
    """`reasoning`."""

    effort: str | None = None
    summary: str | None = None
    generate_summary: str | None = None


class AskedText(msgspec.Struct, frozen=True):
    """`text`."""

    format: dict[str, Any] | None = None
    verbosity: str | None = None


class Thinking(msgspec.Struct, frozen=True):
    """`thinking`, as Ark has it."""

    type: str


class Body(msgspec.Struct, frozen=True):
    """A request's body. Null means absent; fields that are not here pass to an upstream of the same dialect."""

    model: str
    input: str | list[Raw] | None = None
    instructions: str | None = None
    stream: bool | None = None
    max_output_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_logprobs: int | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    reasoning: AskedReasoning | None = None
    thinking: Thinking | None = None
    text: AskedText | None = None
    include: list[str] | None = None
    store: bool | None = None
    background: bool | None = None
    truncation: str | None = None
    service_tier: str | None = None
    metadata: dict[str, str] | None = None
    user: str | None = None
    safety_identifier: str | None = None


_decode_body = msgspec.json.Decoder(Body).decode
_decode_items = msgspec.json.Decoder(list[Raw]).decode
_decode_object = msgspec.json.Decoder(dict[str, Raw]).decode
_BOUNDS: dict[str, tuple[float, float | None]] = {"max_output_tokens": (1, None), "top_logprobs": (0, None)}
_ONCE = ("model", "stream", "max_output_tokens", "input")

ESSENTIAL = ("previous_response_id", "conversation", "prompt", "background")
"""What only a provider that keeps answers can honour, and without which the answer would mean something else."""
_ARK = b"/api/v3/"
"""How a target begins that Ark's SDKs ask."""
_LOGPROBS = "message.output_text.logprobs"
_ENCRYPTED = "reasoning.encrypted_content"
_REPEATED = (
    "instructions", "max_tool_calls", "prompt_cache_key", "prompt_cache_retention", "safety_identifier", "tool_choice",
    "tools", "truncation",
)  # fmt: skip
"""Fields that the answer repeats as they came."""
_MARKS = (f'"{PREFIX}'.encode(), f'"rs_{OUR_MARK}'.encode())
"""What stands in a body that holds something of ours."""


class ResponsesRequest:
    """A checked Responses request with the bytes it came in."""

    def __init__(self, body: bytes, target: bytes = b"") -> None:
        self._bytes = body
        self._of_ark = target.startswith(_ARK)
        self._opened: dict[str, Raw] | None = None
        self.body = read_body(body, _decode_body, once=_ONCE)
        check_model(self.body.model)
        check_bounds(self.body, _BOUNDS)
        self.model = self.body.model
        self.stream = bool(self.body.stream)
        self.max_output_tokens = self.body.max_output_tokens
        self.stored = self.body.store is not False
        """Whether the provider may keep the answer, so that its id means something later."""

    def _top(self) -> dict[str, Raw]:
        """The body opened one level."""
        if self._opened is None:
            self._opened = open_top(self._bytes)
        return self._opened

    def edited(self, *, model: str, profile: Profile, stream: bool) -> bytes:
        """The original body with the gateway's own fields put in; every other value keeps its very bytes."""
        top = dict(self._top())
        top["model"] = Raw(msgspec.json.encode(model))
        if stream or self.stream:
            top["stream"] = Raw(b"true" if stream else b"false")
        if not stream:
            top.pop("stream_options", None)
        for field in profile.refused_fields:
            top.pop(field, None)
        if isinstance(self.body.input, list) and any(mark in self._bytes for mark in _MARKS):
            items = map(_given_back, _decode_items(top["input"]))
            top["input"] = Raw(msgspec.json.encode([item for item in items if item is not None]))
        return msgspec.json.encode(top)

    def left_out(self, profile: Profile) -> tuple[str, ...]:
        """Names of the client's fields that `edited` leaves out."""
        return tuple(name for name in sorted(profile.refused_fields) if self._top().get(name, NULL) != NULL)

    def prompt_chars(self) -> tuple[int, int]:
        """Characters of text in the prompt, ASCII and others."""
        counts = [count_chars(text) for text in self._texts()]
        return sum(narrow for narrow, _ in counts), sum(wide for _, wide in counts)

    def _texts(self) -> Iterable[str]:
        given = self.body.input
        yield self.body.instructions or ""
        if isinstance(given, str):
            yield given
            return
        for raw in given or ():
            try:
                item = read_any(raw)
            except (msgspec.MsgspecError, RecursionError):
                continue
            if isinstance(item, dict):
                yield from _texts_of(item)

    def canon(self) -> Request:
        """The request in no dialect."""
        try:
            return _Reader(self.body, self._top(), of_ark=self._of_ark).request()
        except RecursionError as error:
            raise too_deep() from error


def _texts_of(item: Item) -> Iterable[str]:
    for field in ("content", "output", "summary"):
        value = item.get(field)
        yield string(value)
        yield from (string(part.get("text")) for part in objects(value))
    yield string(item.get("arguments")) + string(item.get("input"))


def _given_back(raw: Raw) -> Raw | None:
    """An item as its provider knows it: without our envelopes; `None` for one that is another vendor's, or ours."""
    if not any(mark in bytes(raw) for mark in _MARKS):
        return raw
    try:
        item = _decode_object(raw)
        encrypted, item_id = (string(read_any(item.get(field, NULL))) for field in ("encrypted_content", "id"))
    except (msgspec.MsgspecError, RecursionError):
        return raw
    if is_wrapped(encrypted):
        found = unwrap(encrypted)
        if found is None or found[0].vendor != VENDOR or found[1]:
            return None
        item["encrypted_content"] = Raw(msgspec.json.encode(found[0].data))
        if found[0].item_id:
            item["id"] = Raw(msgspec.json.encode(found[0].item_id))
        return Raw(msgspec.json.encode(item))
    thought = item.get("type", NULL) == Raw(b'"reasoning"')
    return None if thought and not encrypted and is_ours(item_id) else raw


class _Reader:
    """Reads a checked body into the canon. One per request."""

    def __init__(self, body: Body, top: dict[str, Raw], *, of_ark: bool) -> None:
        self.body = body
        self.top = top
        self.of_ark = of_ark
        self.messages: list[Message] = []
        self.extensions: dict[str, Any] = {}
        self.essential: list[str] = []

    def request(self) -> Request:
        body = self.body
        self._read_input()
        leading = 0
        while leading < len(self.messages) and self.messages[leading].role == "system":
            leading += 1
        system = [Text(text=body.instructions)] if body.instructions else []
        system += [part for each in self.messages[:leading] for part in each.parts if isinstance(part, Text)]
        self._read_extensions()
        return AskedInResponses(
            model=body.model,
            messages=tuple(self.messages[leading:]),
            system=tuple(system),
            stream=bool(body.stream),
            tools=tuple(read_tool(tool, f"tools[{i}]") for i, tool in enumerate(body.tools or ())),
            tool_choice=read_choice(body.tool_choice),
            parallel_tool_calls=body.parallel_tool_calls,
            sampling=self._sampling(),
            reasoning=self._reasoning(),
            output=self._output(),
            user=body.user or body.safety_identifier,
            metadata=body.metadata,
            service_tier=body.service_tier,
            dialect=NAME,
            extensions=self.extensions,
            essential=tuple(self.essential),
            echo={name: self.top[name] for name in _REPEATED if self.top.get(name, NULL) != NULL},
            of_ark=self.of_ark,
        )

    def _read_input(self) -> None:
        given = self.body.input
        if isinstance(given, str):
            self._add("user", (Text(text=given),))
            return
        for i, raw in enumerate(given or ()):
            item = read_any(raw)
            at = f"input[{i}]"
            if not isinstance(item, dict):
                raise wrong(at, "must be an object", "invalid_type")
            kind = item.get("type") or ("message" if "role" in item else None)
            if kind is None:
                raise missing(f"{at}.type")
            _ITEMS.get(kind if isinstance(kind, str) else "", _Reader._opaque)(self, item, at)

    def _add(self, role: Any, parts: tuple[Part, ...]) -> None:
        """One more message; what an assistant made in one step is one."""
        last = self.messages[-1] if self.messages else None
        if last is not None and last.role == role == "assistant":
            self.messages[-1] = msgspec.structs.replace(last, parts=last.parts + parts)
        else:
            self.messages.append(Message(role=role, parts=parts))

    # Items.

    def _message(self, item: Item, at: str) -> None:
        role = _ROLES.get(string(item.get("role")))
        if role is None:
            raise wrong(f"{at}.role", f"must be one of {', '.join(sorted(_ROLES))}")
        self._add(role, tuple(_content(item.get("content"), f"{at}.content")))

    def _call(self, item: Item, at: str) -> None:
        arguments = item.get("arguments")
        if isinstance(arguments, dict):
            arguments = msgspec.json.encode(arguments).decode()
        self._add("assistant", (_call_of(item, at, _text(arguments, f"{at}.arguments"), "function"),))

    def _custom_call(self, item: Item, at: str) -> None:
        self._add("assistant", (_call_of(item, at, _text(item.get("input"), f"{at}.input"), "custom"),))

    def _result(self, item: Item, at: str) -> None:
        call_id = _text(item.get("call_id"), f"{at}.call_id")
        found = _content(item.get("output"), f"{at}.output")
        parts = tuple(part for part in found if isinstance(part, Text | Media))
        self._add("user", (ToolResult(call_id=call_id, parts=parts),))

    def _reasoning_item(self, item: Item, _: str) -> None:
        encrypted = string(item.get("encrypted_content"))
        signature: Signature | None = None
        if is_wrapped(encrypted):
            found = unwrap(encrypted)
            if found is None:
                return
            signature, place = found
            if place == PREVIOUS:
                self._sign_previous(signature)
                return
        elif encrypted:
            own = string(item.get("id")) or None
            signature = Signature(vendor=VENDOR, model="", kind="encrypted", data=encrypted, item_id=own)
        form, text = reasoning_text(item)
        if text or signature is not None:
            part_form: Any = form
            redacted = signature is not None and signature.kind == "redacted"
            self._add("assistant", (Reasoning(text=text, form=part_form, signature=signature, redacted=redacted),))

    def _sign_previous(self, signature: Signature) -> None:
        """Put a signature back on the part that it was taken from, if that is still before it."""
        last = self.messages[-1] if self.messages else None
        if last is None or last.role != "assistant" or not last.parts:
            return
        part = last.parts[-1]
        if isinstance(part, Text | ToolCall) and part.signature is None:
            signed = msgspec.structs.replace(part, signature=signature)
            self.messages[-1] = msgspec.structs.replace(last, parts=(*last.parts[:-1], signed))

    def _reference(self, item: Item, at: str) -> None:
        self.extensions[at] = item
        self.essential.append(at)

    def _opaque(self, item: Item, _: str) -> None:
        """An item that a provider's own tools made, or the answer to one."""
        kind = string(item.get("type"))
        answers = kind.endswith("_output") or kind == "mcp_approval_response"
        self._add("user" if answers else "assistant", (Opaque(dialect=NAME, raw=item),))

    # Fields.

    def _read_extensions(self) -> None:
        """Whatever else is asked for. What changes nothing, or is so everywhere, counts as not said."""
        for name, raw in self.top.items():
            if raw == NULL or name in Body.__struct_fields__ or name == "stream_options":
                continue
            self.extensions[name] = read_any(raw)
        body = self.body
        kept = [each for each in body.include or () if each not in (_LOGPROBS, _ENCRYPTED)]
        said = {
            "store": body.store or None,
            "background": body.background or None,
            "truncation": None if body.truncation == "disabled" else body.truncation,
            "include": kept or None,
            "safety_identifier": body.safety_identifier if body.user else None,
        }
        self.extensions |= {name: value for name, value in said.items() if value is not None}
        for name, known in (("reasoning", AskedReasoning), ("text", AskedText)):
            inner = _decode_object(self.top[name]) if self.top.get(name, NULL) != NULL else {}
            for field, raw in inner.items():
                if field not in known.__struct_fields__ and raw != NULL:
                    self.extensions[f"{name}.{field}"] = read_any(raw)
        self.essential += [name for name in ESSENTIAL if name in self.extensions]

    def _sampling(self) -> Sampling:
        body = self.body
        asked = _LOGPROBS in (body.include or ())
        return Sampling(
            max_tokens=body.max_output_tokens,
            temperature=body.temperature,
            top_p=body.top_p,
            logprobs=True if asked else None,
            top_logprobs=body.top_logprobs if asked else None,
        )

    def _reasoning(self) -> ReasoningAsk:
        asked = self.body.reasoning or AskedReasoning()
        thinking = self.body.thinking.type if self.body.thinking else None
        show: Any = "summary" if asked.summary or asked.generate_summary else "default"
        if asked.effort == "none" or thinking == "disabled":
            return ReasoningAsk(mode="off")
        if asked.effort:
            return ReasoningAsk(mode="effort", effort=asked.effort, show=show)
        return ReasoningAsk(mode="auto" if thinking else "default", show=show)

    def _output(self) -> OutputFormat:
        text = self.body.text or AskedText()
        asked = text.format or {}
        shapes = {"json_object": "json", "json_schema": "json_schema"}
        shape: Any = shapes.get(string(asked.get("type")), "text")
        strict = asked.get("strict")
        return OutputFormat(
            format=shape,
            name=string(asked.get("name")) or None,
            schema=asked.get("schema"),
            strict=strict if isinstance(strict, bool) else None,
            description=string(asked.get("description")) or None,
            verbosity=text.verbosity,
        )


_ROLES = {"user": "user", "assistant": "assistant", "system": "system", "developer": "system"}

_ITEMS: dict[str, Callable[[_Reader, Item, str], None]] = {
    "message": _Reader._message,
    "function_call": _Reader._call,
    "function_call_output": _Reader._result,
    "custom_tool_call": _Reader._custom_call,
    "custom_tool_call_output": _Reader._result,
    "reasoning": _Reader._reasoning_item,
    "item_reference": _Reader._reference,
}


def _text(value: Any, at: str) -> str:
    if value is None:
        raise missing(at)
    if not isinstance(value, str):
        raise wrong(at, "must be a string", "invalid_type")
    return value


def _call_of(item: Item, at: str, arguments: str, kind: Any) -> ToolCall:
    call_id = string(item.get("call_id")) or string(item.get("id"))
    if not call_id:
        raise missing(f"{at}.call_id")
    return ToolCall(id=call_id, name=_text(item.get("name"), f"{at}.name"), arguments=arguments, kind=kind)


# Content.


def _content(value: Any, at: str) -> list[Part]:
    if isinstance(value, str):
        return [Text(text=value)]
    if value is None:
        raise missing(at)
    if not isinstance(value, list):
        raise wrong(at, "must be a string or an array", "invalid_type")
    return [_part(part, f"{at}[{i}]") for i, part in enumerate(value)]


def _part(part: Any, at: str) -> Part:
    if not isinstance(part, dict):
        raise wrong(at, "must be an object", "invalid_type")
    kind = part.get("type")
    if not isinstance(kind, str):
        raise missing(f"{at}.type")
    read = _PARTS.get(kind)
    return Opaque(dialect=NAME, raw=part) if read is None else read(part, at)


def _text_part(part: Item, at: str) -> Part:
    return Text(text=_text(part.get("text"), f"{at}.text"), cache=_cache(part))


def _said_part(part: Item, at: str) -> Part:
    """A text of the model's that comes back. Ark's Go SDK leaves out one that is empty."""
    return Text(text="", cache=_cache(part)) if part.get("text") is None else _text_part(part, at)


def _refusal_part(part: Item, at: str) -> Part:
    return Refusal(text=_text(part.get("refusal"), f"{at}.refusal"))


def _image_part(part: Item, at: str) -> Part:
    value = part.get("image_url")
    if isinstance(value, dict):
        value = value.get("url")
    detail = string(part.get("detail")) or None
    if value is None and part.get("file_id") is not None:
        return Media(kind="image", file_id=_text(part["file_id"], f"{at}.file_id"), vendor=VENDOR, detail=detail)
    return _located("image", _text(value, f"{at}.image_url"), f"{at}.image_url", detail=detail, cache=_cache(part))


def _video_part(part: Item, at: str) -> Part:
    value = part.get("video_url")
    return _located("video", _text(value, f"{at}.video_url"), f"{at}.video_url")


def _audio_part(part: Item, at: str) -> Part:
    inner = part.get("input_audio")
    if isinstance(inner, dict):
        data = _text(inner.get("data"), f"{at}.input_audio.data")
        return Media(kind="audio", mime=f"audio/{string(inner.get('format')) or 'wav'}", data=data)
    return _located("audio", _text(part.get("audio_url"), f"{at}.audio_url"), f"{at}.audio_url")


def _file_part(part: Item, at: str) -> Part:
    filename, cache = string(part.get("filename")) or None, _cache(part)
    if part.get("file_id") is not None:
        file_id = _text(part["file_id"], f"{at}.file_id")
        return Media(kind="document", file_id=file_id, vendor=VENDOR, filename=filename, cache=cache)
    if part.get("file_url") is not None:
        return _located("document", _text(part["file_url"], f"{at}.file_url"), f"{at}.file_url", filename, cache=cache)
    at = f"{at}.file_data"
    text = _text(part.get("file_data"), at)
    if text[:5].lower() == "data:":
        return _located("document", text, at, filename, cache=cache)
    try:
        data = standard_base64(text)
    except ValueError as error:
        raise wrong(at, str(error)) from error
    mime = mime_of(None, data)
    return Media(kind=kind_of(mime), mime=mime, data=data, filename=filename, cache=cache)


def _located(
    kind: Any, url: str, at: str, filename: str | None = None, *, detail: str | None = None, cache: str | None = None
) -> Media:
    """What an address or a data URL holds."""
    try:
        inline = data_url(url)
    except ValueError as error:
        raise wrong(at, str(error)) from error
    if inline is None:
        return Media(kind=kind, url=url, filename=filename, detail=detail, cache=cache)
    mime, data = inline
    if kind == "document":
        kind = kind_of(mime)
    return Media(kind=kind, mime=mime, data=data, filename=filename, detail=detail, cache=cache)


def _cache(part: Item) -> str | None:
    """How long the prompt up to here shall be kept, in the canon's steps."""
    mark = part.get("prompt_cache_breakpoint")
    if not isinstance(mark, dict):
        return None
    return "1h" if mark.get("ttl") == "12h" else "5m"


_PARTS: dict[str, Callable[[Item, str], Part]] = {
    "input_text": _text_part,
    "output_text": _said_part,
    "text": _text_part,
    "refusal": _refusal_part,
    "input_image": _image_part,
    "input_file": _file_part,
    "input_audio": _audio_part,
    "input_video": _video_part,
}
