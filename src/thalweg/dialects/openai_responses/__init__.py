"""OpenAI Responses, in both positions."""

from __future__ import annotations

from collections.abc import Iterable

from thalweg.canon.errors import GatewayError
from thalweg.canon.losses import Losses
from thalweg.canon.request import Request
from thalweg.canon.response import Response
from thalweg.dialects.base import Headers, UpstreamBody, WireAnswer, WireRequest
from thalweg.dialects.kit import openai_errors, refusals
from thalweg.dialects.openai_responses import response, writer
from thalweg.dialects.openai_responses.decoder import ResponsesStreamDecoder
from thalweg.dialects.openai_responses.encoder import ResponsesStreamEncoder
from thalweg.dialects.openai_responses.relayer import ResponsesRelayer
from thalweg.dialects.openai_responses.request import ResponsesRequest
from thalweg.dialects.openai_responses.tables import NAME, RESPONSES_REPAIRS
from thalweg.profiles.base import Profile

__all__ = ["RESPONSES_REPAIRS", "OpenAIResponses"]


class OpenAIResponses:
    """The dialect. Stateless; its decoders and encoders hold what one answer needs."""

    name = NAME
    id_prefix = "resp_"
    passed_headers = frozenset(
        (
            b"ark-beta-doubao-app",
            b"ark-beta-image-process",
            b"ark-beta-knowledge-search",
            b"ark-beta-mcp",
            b"ark-beta-web-search",
        )
    )

    def read_request(self, body: bytes, target: bytes = b"") -> ResponsesRequest:
        """Check a client's body. All that is asked stands in it; the target says whether Ark's SDKs ask."""
        return ResponsesRequest(body, target)

    def stream_encoder(self, asked: Request, *, response_id: str, model: str, created: int) -> ResponsesStreamEncoder:
        """An encoder for one client's stream."""
        return ResponsesStreamEncoder(asked, response_id=response_id, model=model, created=created)

    def encode_answer(self, answer: Response, asked: Request) -> bytes:
        """A whole answer for a client."""
        return response.encode_answer(answer, asked)

    def encode_error(self, error: GatewayError) -> WireAnswer:
        """An error before the answer has begun."""
        return openai_errors.encode_error(error)

    def request_target(self, base_path: bytes, model: str, *, stream: bool) -> bytes:
        """The one path there is."""
        return base_path.rstrip(b"/") + b"/responses"

    def request_headers(self, *, stream: bool) -> Headers:
        """What every upstream gets is enough."""
        return ()

    def encode_request(
        self, asked: Request, *, model: str, profile: Profile, stream: bool, losses: Losses
    ) -> UpstreamBody:
        """A request for an upstream, from another dialect's client."""
        return writer.encode_request(asked, model=model, profile=profile, stream=stream, losses=losses)

    def stream_decoder(self, *, profile: Profile, provider: str) -> ResponsesStreamDecoder:
        """A decoder for one upstream stream."""
        return ResponsesStreamDecoder(provider=provider)

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
    ) -> ResponsesRelayer:
        """A relayer for a stream between two Responses sides."""
        return ResponsesRelayer(
            profile=profile,
            raw=raw,
            provider=provider,
            stored=not isinstance(asked, ResponsesRequest) or asked.stored,
            response_id=response_id,
            model=asked.model,
            created=created,
        )
