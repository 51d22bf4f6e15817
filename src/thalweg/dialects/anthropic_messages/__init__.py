"""Anthropic Messages, in both positions."""

from __future__ import annotations

from collections.abc import Iterable

from thalweg.canon.errors import GatewayError
from thalweg.canon.losses import Losses
from thalweg.canon.request import Request
from thalweg.canon.response import Response
from thalweg.dialects.anthropic_messages import errors, response, writer
from thalweg.dialects.anthropic_messages.encoder import AnthropicStreamEncoder, wants_thoughts
from thalweg.dialects.anthropic_messages.relayer import AnthropicRelayer
from thalweg.dialects.anthropic_messages.request import AnthropicRequest
from thalweg.dialects.anthropic_messages.stream import AnthropicStreamDecoder
from thalweg.dialects.anthropic_messages.tables import NAME, VERSION
from thalweg.dialects.base import Headers, UpstreamBody, WireAnswer, WireRequest
from thalweg.dialects.kit import refusals
from thalweg.dialects.kit.beginning import with_beginning
from thalweg.profiles.base import Prefill, Profile

__all__ = ["AnthropicMessages"]


class AnthropicMessages:
    """The dialect. Stateless; its decoders and encoders hold what one answer needs."""

    name = NAME
    id_prefix = "msg_"
    passed_headers = frozenset({b"anthropic-version", b"anthropic-beta"})

    def read_request(self, body: bytes, target: bytes = b"") -> AnthropicRequest:
        """Check a client's body. Everything stands in it; a count of tokens needs no `max_tokens`."""
        return AnthropicRequest(body, counts_only=target.partition(b"?")[0].endswith(b"/count_tokens"))

    def stream_encoder(self, asked: Request, *, response_id: str, model: str, created: int) -> AnthropicStreamEncoder:
        """An encoder for one client's stream."""
        return AnthropicStreamEncoder(
            response_id=response_id,
            model=model,
            hides=asked.reasoning.show == "none",
            carries_of_texts=wants_thoughts(asked),
        )

    def encode_answer(self, answer: Response, asked: Request) -> bytes:
        """A whole answer for a client."""
        return response.encode_answer(
            answer, hides=asked.reasoning.show == "none", carries_of_texts=wants_thoughts(asked)
        )

    def encode_error(self, error: GatewayError) -> WireAnswer:
        """An error before the answer has begun."""
        return errors.encode_error(error)

    def request_target(self, base_path: bytes, model: str, *, stream: bool) -> bytes:
        """The one path there is. Bases are written without `/v1`, as the SDKs want them, and often with it."""
        return base_path.rstrip(b"/").removesuffix(b"/v1") + b"/v1/messages"

    def request_headers(self, *, stream: bool) -> Headers:
        """The version that we write; a client's own, where there is one, goes in its place."""
        return ((b"anthropic-version", VERSION),)

    def encode_request(
        self, asked: Request, *, model: str, profile: Profile, stream: bool, losses: Losses
    ) -> UpstreamBody:
        """A request for an upstream, from another dialect's client."""
        return writer.encode_request(asked, model=model, profile=profile, stream=stream, losses=losses)

    def continued(self, body: bytes, beginning: str, *, tokens: int, prefill: Prefill) -> bytes:
        """The request for the rest of an answer that began so: that the last turn is the assistant's says it all."""
        return with_beginning(body, beginning, tokens=tokens, caps=("max_tokens",), mark={}, more={})

    def stream_decoder(self, *, profile: Profile, provider: str) -> AnthropicStreamDecoder:
        """A decoder for one upstream stream."""
        return AnthropicStreamDecoder(provider=provider)

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
    ) -> AnthropicRelayer:
        """A relayer for a stream between two Anthropic sides."""
        return AnthropicRelayer(
            repairs=profile.repairs, raw=raw, provider=provider, response_id=response_id, model=asked.model
        )
