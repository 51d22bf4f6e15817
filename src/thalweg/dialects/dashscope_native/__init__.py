"""DashScope's native protocol (Alibaba Model Studio): text and multimodal generation.

In the gateway it stands behind only; the simulator serves it.
"""

from __future__ import annotations

from collections.abc import Iterable

from thalweg.canon.errors import GatewayError
from thalweg.canon.losses import Losses
from thalweg.canon.request import Request
from thalweg.canon.response import Response
from thalweg.dialects.base import Headers, UpstreamBody, WireAnswer, WireRequest
from thalweg.dialects.dashscope_native import decoder, encoder, errors, request
from thalweg.dialects.dashscope_native.decoder import DashScopeStreamDecoder
from thalweg.dialects.dashscope_native.encoder import DashScopeStreamEncoder
from thalweg.dialects.dashscope_native.relayer import DashScopeRelayer
from thalweg.dialects.dashscope_native.request import DashScopeRequest
from thalweg.dialects.dashscope_native.tables import MULTIMODAL_PATH, NAME, SSE_HEADER, TEXT_PATH, is_multimodal
from thalweg.profiles.base import Profile

__all__ = ["DashScopeNative"]


class DashScopeNative:
    """The dialect. Stateless; its decoders and encoders hold what one answer needs."""

    name = NAME
    id_prefix = ""
    passed_headers = frozenset[bytes]()

    def read_request(self, body: bytes, target: bytes = b"") -> DashScopeRequest:
        """Check a client's body. The target says the path, and in its query whether a stream is asked for."""
        return DashScopeRequest(body, target)

    def stream_encoder(self, asked: Request, *, response_id: str, model: str, created: int) -> DashScopeStreamEncoder:
        """An encoder for one client's stream. No frame says a model or a time."""
        return DashScopeStreamEncoder(asked, response_id=response_id)

    def encode_answer(self, answer: Response, asked: Request) -> bytes:
        """A whole answer for a client."""
        return encoder.encode_answer(answer, asked)

    def encode_error(self, error: GatewayError) -> WireAnswer:
        """An error before the answer has begun."""
        return errors.encode_error(error)

    def request_target(self, base_path: bytes, model: str, *, stream: bool) -> bytes:
        """The path of the model's family."""
        return base_path.rstrip(b"/") + (MULTIMODAL_PATH if is_multimodal(model) else TEXT_PATH)

    def request_headers(self, *, stream: bool) -> Headers:
        """A stream is asked for in a header."""
        return ((SSE_HEADER, b"enable"),) if stream else ()

    def encode_request(
        self, asked: Request, *, model: str, profile: Profile, stream: bool, losses: Losses
    ) -> UpstreamBody:
        """A request for an upstream, from another dialect's client."""
        return request.encode_request(asked, model=model, profile=profile, stream=stream, losses=losses)

    def stream_decoder(self, *, profile: Profile, provider: str) -> DashScopeStreamDecoder:
        """A decoder for one upstream stream."""
        return DashScopeStreamDecoder(provider=provider)

    def decode_answer(self, body: bytes, *, profile: Profile, provider: str) -> Response:
        """A whole answer."""
        return decoder.decode_answer(body, provider=provider)

    def decode_error(
        self, status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes, *, provider: str, key_name: str
    ) -> GatewayError:
        """What an upstream's answer with an error status means."""
        return errors.decode_error(status, headers, body, provider=provider, key_name=key_name)

    def relayer(
        self, asked: WireRequest, *, profile: Profile, raw: bool, provider: str, response_id: str, created: int
    ) -> DashScopeRelayer:
        """A relayer for a stream between two sides of this dialect."""
        return DashScopeRelayer(provider=provider, response_id=response_id)
