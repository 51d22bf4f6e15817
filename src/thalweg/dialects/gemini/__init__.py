"""Gemini's generateContent and streamGenerateContent, in both positions."""

from __future__ import annotations

from collections.abc import Iterable

from thalweg.canon.errors import GatewayError
from thalweg.canon.losses import Losses
from thalweg.canon.request import Request
from thalweg.canon.response import Response
from thalweg.dialects.base import Headers, UpstreamBody, WireAnswer, WireRequest
from thalweg.dialects.gemini import errors, response, writer
from thalweg.dialects.gemini.encoder import GeminiStreamEncoder
from thalweg.dialects.gemini.relayer import GeminiRelayer
from thalweg.dialects.gemini.request import GeminiRequest
from thalweg.dialects.gemini.stream import GeminiStreamDecoder
from thalweg.dialects.gemini.tables import NAME
from thalweg.dialects.gemini.target import write_target
from thalweg.profiles.base import Profile

__all__ = ["Gemini"]


class Gemini:
    """The dialect. Stateless; its decoders and encoders hold what one answer needs."""

    name = NAME
    id_prefix = ""
    passed_headers = frozenset[bytes]()

    def read_request(self, body: bytes, target: bytes = b"") -> GeminiRequest:
        """Check a client's body; its target names the model, the verb and how a stream is framed."""
        return GeminiRequest(body, target)

    def stream_encoder(self, asked: Request, *, response_id: str, model: str, created: int) -> GeminiStreamEncoder:
        """An encoder for one client's stream. Gemini's says no time."""
        return GeminiStreamEncoder(asked, response_id=response_id, model=model)

    def encode_answer(self, answer: Response, asked: Request) -> bytes:
        """A whole answer for a client."""
        return response.encode_answer(answer, asked)

    def encode_error(self, error: GatewayError) -> WireAnswer:
        """An error before the answer has begun."""
        return errors.encode_error(error)

    def request_target(self, base_path: bytes, model: str, *, stream: bool) -> bytes:
        """Path and query; the base path holds the version. A stream is always asked for as SSE."""
        return write_target(base_path, model, stream=stream)

    def request_headers(self, *, stream: bool) -> Headers:
        """What every upstream gets is enough."""
        return ()

    def encode_request(
        self, asked: Request, *, model: str, profile: Profile, stream: bool, losses: Losses
    ) -> UpstreamBody:
        """A request for an upstream, from another dialect's client. Whether it streams, the target says."""
        return writer.encode_request(asked, model=model, profile=profile, losses=losses)

    def stream_decoder(self, *, profile: Profile, provider: str) -> GeminiStreamDecoder:
        """A decoder for one upstream stream."""
        return GeminiStreamDecoder(provider=provider)

    def decode_answer(self, body: bytes, *, profile: Profile, provider: str) -> Response:
        """A whole answer."""
        return response.decode_answer(body, provider=provider)

    def decode_error(
        self, status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes, *, provider: str, key_name: str
    ) -> GatewayError:
        """What an upstream's answer with an error status means."""
        return errors.decode_error(status, headers, body, provider=provider, key_name=key_name)

    def relayer(
        self, asked: WireRequest, *, profile: Profile, raw: bool, provider: str, response_id: str, created: int
    ) -> GeminiRelayer:
        """A relayer for a stream between two Gemini sides."""
        framing = asked.framing if isinstance(asked, GeminiRequest) else "sse"
        return GeminiRelayer(profile=profile, framing=framing, raw=raw, provider=provider)
