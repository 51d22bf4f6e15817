"""A Chat client's request: checked as it comes in, edited in place for the same dialect."""

from __future__ import annotations

import msgspec
from msgspec import Raw

from thalweg.canon.envelope import PREFIX
from thalweg.canon.errors import InvalidRequest
from thalweg.canon.request import ReasoningAsk, Request
from thalweg.dialects.base import Files, count_chars
from thalweg.dialects.kit.body import NULL, check_bounds, check_model, open_top, read_body, too_deep
from thalweg.dialects.openai_chat import addresses
from thalweg.dialects.openai_chat.body import Body, WireMessage
from thalweg.dialects.openai_chat.reader import Reader
from thalweg.dialects.openai_chat.thinking import EFFORTS, Said, say, takes_effort
from thalweg.dialects.openai_chat.usage_options import usage_options
from thalweg.profiles.base import Profile, Switch
from thalweg.profiles.base import Thinking as ThinkingFacts

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
            options = _decode_options(top["stream_options"]) or {} if "stream_options" in top else {}
            options |= dict.fromkeys(usage_options(profile, self.body.n), Raw(b"true"))
            top["stream_options"] = Raw(msgspec.json.encode(options))
        for field in profile.refused_fields & top.keys():
            del top[field]
        if _ENVELOPE in self._bytes:
            top["messages"] = _without_envelopes(top["messages"])
        if self.body.reasoning_effort is not None:
            self._say_effort(top, profile.thinking)
        return msgspec.json.encode(top)

    def names_files(self) -> bool:
        """Whether it names any file by an address."""
        return addresses.names_files(self.body)

    def filled(self, body: bytes, files: Files) -> bytes:
        """The edited body with those files in the place of their addresses."""
        top = dict(open_top(body))
        return msgspec.json.encode(top | {"messages": addresses.filled(top["messages"], files)})

    def left_out(self, profile: Profile) -> tuple[str, ...]:
        """Names of the client's fields that `edited` leaves out, or of which it can only say a part."""
        top = self._top()
        refused, effort = profile.refused_fields & top.keys(), self.body.reasoning_effort
        names = [name for name in sorted(refused) if top[name] != NULL] if refused else []
        if effort is not None and (said := self._effort_said(profile.thinking)) is not None and not said.whole:
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
        """The request in no dialect. Fields that we do not know go with it by their names."""
        try:
            request = Reader(self.body).request()
        except RecursionError as error:
            raise too_deep() from error
        unknown = {name: None for name, value in self._top().items() if name not in _FIELDS and value != NULL}
        return msgspec.structs.replace(request, extensions=request.extensions | unknown) if unknown else request


_FIELDS = frozenset(field.encode_name for field in msgspec.structs.fields(Body))
_ENVELOPE = PREFIX.encode()
_decode_messages = msgspec.json.Decoder(list[dict[str, Raw]]).decode


def _without_envelopes(messages: Raw) -> Raw:
    """The messages without details that hold other vendors' signatures, which mean nothing to a Chat upstream."""
    opened = _decode_messages(messages)
    for message in opened:
        details = message.get("reasoning_details")
        if details is not None and _ENVELOPE in bytes(details):
            del message["reasoning_details"]
    return Raw(msgspec.json.encode(opened))


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
