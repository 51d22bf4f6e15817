"""`thalweg transcode`: a recorded stream or whole answer in another dialect."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, BinaryIO, Literal

from cyclopts import Parameter

from thalweg.cli.decode import DialectName
from thalweg.cli.main import FAILED
from thalweg.cli.visible import readable, visible
from thalweg.cli.words import explain, say
from thalweg.client.codecs import Transcoder

_PIECE_BYTES = 64 * 1024

TargetName = Literal["openai-chat", "openai-responses", "anthropic", "gemini"]
"""What can be written."""


def transcode(
    file: Annotated[Path, Parameter(allow_leading_hyphen=True, metavar="FILE"), explain("transcode.file")],
    /,
    *,
    source: Annotated[DialectName, Parameter(name="--from", metavar="DIALECT"), explain("transcode.from")],
    target: Annotated[TargetName, Parameter(name="--to", metavar="DIALECT"), explain("transcode.to")],
    stream: Annotated[bool | None, Parameter(name="--stream", negative="--whole"), explain("transcode.stream")] = None,
) -> int:
    """Write the body in the other dialect. Of one that is broken what could be read is written, and then the error."""
    transcoder = Transcoder(source, target, stream=stream)
    try:
        with nullcontext(sys.stdin.buffer) if str(file) == "-" else file.open("rb") as body:
            for piece in _pieces(body):
                _write(transcoder.feed(piece))
    except OSError as error:
        if error.filename is None:
            raise
        print(f"thalweg: {say('decode.cannot_read', file=file, why=error.strerror)}", file=sys.stderr)
        return FAILED
    _write(transcoder.end())
    if not transcoder.streams:
        _write(b"\n")
    if transcoder.error is None:
        return 0
    why = visible(transcoder.error.message)
    print(f"thalweg: {say('transcode.not_whole', file=readable(str(file)), why=why)}", file=sys.stderr)
    return FAILED


def _pieces(body: BinaryIO) -> Iterator[bytes]:
    """What there is to read, as soon as it is there."""
    read = getattr(body, "read1", body.read)
    while piece := read(_PIECE_BYTES):
        yield piece


def _write(data: bytes) -> None:
    if data:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
