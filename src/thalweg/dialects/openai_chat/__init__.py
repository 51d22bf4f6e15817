"""OpenAI Chat Completions, in both positions."""

from __future__ import annotations

from collections.abc import Iterable

from thalweg.canon.errors import GatewayError
from thalweg.canon.losses import Losses
from thalweg.canon.request import Request
from thalweg.canon.response import Response
from thalweg.dialects.base import Headers, UpstreamBody, WireAnswer, WireRequest
from thalweg.dialects.kit import openai_errors, refusals
from thalweg.dialects.kit.beginning import with_beginning
from thalweg.dialects.openai_chat import response, writer
from thalweg.dialects.openai_chat.relayer import ChatRelayer
from thalweg.dialects.openai_chat.request import ChatRequest
from thalweg.dialects.openai_chat.stream import ChatStreamDecoder, ChatStreamEncoder
from thalweg.dialects.openai_chat.tables import NAME, PREFILL_MARKS
from thalweg.profiles.base import Prefill, Profile

__all__ = ["OpenAIChat"]


class OpenAIChat:
    """The dialect. Stateless; its decoders and encoders hold what one answer needs."""

    name = NAME
    id_prefix = "chatcmpl-"
    passed_headers = frozenset[bytes]()

    def read_request(self, body: bytes, target: bytes = b"") -> ChatRequest:
        """Check a client's body. Everything stands in it."""
        return ChatRequest(body)

    def stream_encoder(self, asked: Request, *, response_id: str, model: str, created: int) -> ChatStreamEncoder:
        """An encoder for one client's stream."""
        return ChatStreamEncoder(asked, response_id=response_id, model=model, created=created)

    def encode_answer(self, answer: Response, asked: Request) -> bytes:
        """A whole answer for a client."""
        return response.encode_answer(answer)

    def encode_error(self, error: GatewayError) -> WireAnswer:
        """An error before the answer has begun."""
        return openai_errors.encode_error(error)

    def request_target(self, base_path: bytes, model: str, *, stream: bool) -> bytes:
        """The one path there is."""
        return base_path.rstrip(b"/") + b"/chat/completions"

    def request_headers(self, *, stream: bool) -> Headers:
        """What every upstream gets is enough."""
        return ()

    def encode_request(
        self, asked: Request, *, model: str, profile: Profile, stream: bool, losses: Losses
    ) -> UpstreamBody:
        """A request for an upstream, from another dialect's client."""
        return writer.encode_request(asked, model=model, profile=profile, stream=stream, losses=losses)

    def continued(self, body: bytes, beginning: str, *, tokens: int, prefill: Prefill) -> bytes:
        """The request for the rest of an answer that began so."""
        mark, more = PREFILL_MARKS[prefill.mark]
        caps = ("max_tokens", "max_completion_tokens")
        return with_beginning(body, beginning, tokens=tokens, caps=caps, mark=mark, more=more)

    def stream_decoder(self, *, profile: Profile, provider: str) -> ChatStreamDecoder:
        """A decoder for one upstream stream."""
        return ChatStreamDecoder(provider=provider)

    def decode_answer(self, body: bytes, *, profile: Profile, provider: str) -> Response:
        """A whole answer."""
        return response.decode_answer(body, provider=provider)

    def decode_error(
        self, status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes, *, provider: str, key_name: str
    ) -> GatewayError:
        """What an upstream's answer with an error status means."""
        return refusals.decode_error(status, headers, body, provider=provider, key_name=key_name)

    def relayer(
        self, asked: WireRequest, *, profile: Profile, raw: bool, provider: str, response_id: str, created: int
    ) -> ChatRelayer:
        """A relayer for a stream between two Chat sides."""
        chat = asked if isinstance(asked, ChatRequest) else None
        return ChatRelayer(
            profile=profile,
            include_usage=chat is not None and chat.include_usage,
            chunk_usage=chat is not None and chat.chunk_usage,
            raw=raw,
            provider=provider,
            response_id=response_id,
            model=asked.model,
            created=created,
        )
