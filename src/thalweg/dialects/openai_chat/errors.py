"""Errors inside a Chat stream."""

from __future__ import annotations

import msgspec

from thalweg.canon.errors import GatewayError
from thalweg.dialects.kit.openai_errors import error_object
from thalweg.dialects.kit.separators import escape_separators


def encode_stream_error(error: GatewayError) -> bytes:
    """The frame for an error in mid-stream: `error` first and alone, no `event:` line, or ark-go loses it."""
    return b'data: {"error":' + escape_separators(msgspec.json.encode(error_object(error))) + b"}\n\n"
