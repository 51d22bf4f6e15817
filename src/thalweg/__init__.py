"""Thalweg: a streaming gateway for large language models.

For programs there are the codecs, which need no event loop, and a client for any provider, which needs no server:

    thalweg.decode(body, "anthropic")
    thalweg.transcode(body, "openai-chat", "gemini")
    answer = await thalweg.complete("sim/text", "Hello")
    async for event in thalweg.stream("sim/text", "Hello"): ...

A name is loaded when it is first used: the import of the package itself costs next to nothing.
"""

from importlib import import_module

# What `typing` has under this name, without the time that its import takes.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from thalweg.canon.errors import GatewayError, RequestError, UpstreamError
    from thalweg.canon.events import (
        ChoiceFinished,
        Event,
        PartDelta,
        PartEnded,
        PartStarted,
        ResponseEnded,
        ResponseFailed,
        ResponseStarted,
        UsageReported,
    )
    from thalweg.canon.finish import FinishReason
    from thalweg.canon.fold import Fold, fold, unfold
    from thalweg.canon.parts import Citation, Media, Opaque, Reasoning, Refusal, Signature, Text, ToolCall, ToolResult
    from thalweg.canon.request import Message, Request
    from thalweg.canon.response import Choice, Response
    from thalweg.canon.usage import Usage
    from thalweg.client.client import Client, Stream, complete, stream
    from thalweg.client.codecs import BodyReader, Transcoded, Transcoder, decode, dialect, events, transcode

__version__ = "0.1.0"

_MODULES = {
    "canon.errors": ("GatewayError", "RequestError", "UpstreamError"),
    "canon.events": (
        "ChoiceFinished",
        "Event",
        "PartDelta",
        "PartEnded",
        "PartStarted",
        "ResponseEnded",
        "ResponseFailed",
        "ResponseStarted",
        "UsageReported",
    ),
    "canon.finish": ("FinishReason",),
    "canon.fold": ("Fold", "fold", "unfold"),
    "canon.parts": (
        "Citation",
        "Media",
        "Opaque",
        "Reasoning",
        "Refusal",
        "Signature",
        "Text",
        "ToolCall",
        "ToolResult",
    ),
    "canon.request": ("Message", "Request"),
    "canon.response": ("Choice", "Response"),
    "canon.usage": ("Usage",),
    "client.client": ("Client", "Stream", "complete", "stream"),
    "client.codecs": ("BodyReader", "Transcoded", "Transcoder", "decode", "dialect", "events", "transcode"),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "BodyReader",
    "Choice",
    "ChoiceFinished",
    "Citation",
    "Client",
    "Event",
    "FinishReason",
    "Fold",
    "GatewayError",
    "Media",
    "Message",
    "Opaque",
    "PartDelta",
    "PartEnded",
    "PartStarted",
    "Reasoning",
    "Refusal",
    "Request",
    "RequestError",
    "Response",
    "ResponseEnded",
    "ResponseFailed",
    "ResponseStarted",
    "Signature",
    "Stream",
    "Text",
    "ToolCall",
    "ToolResult",
    "Transcoded",
    "Transcoder",
    "UpstreamError",
    "Usage",
    "UsageReported",
    "__version__",
    "complete",
    "decode",
    "dialect",
    "events",
    "fold",
    "stream",
    "transcode",
    "unfold",
]


def __getattr__(name: str) -> object:
    module = _MODULE_OF.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(f"{__name__}.{module}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
