"""`thalweg decode`: what a recorded stream or whole answer says, as one JSON object a line."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from cyclopts import Parameter

from thalweg.canon.parts import Part, Reasoning, Refusal, Text, ToolCall
from thalweg.canon.response import Choice, Response
from thalweg.cli.main import FAILED, WRONG_USAGE
from thalweg.cli.visible import readable
from thalweg.cli.words import explain, say
from thalweg.client import codecs

DialectName = Literal["openai-chat", "openai-responses", "anthropic", "gemini", "dashscope-native"]
"""What can be read."""


def decode(
    *files: Annotated[Path, Parameter(allow_leading_hyphen=True, metavar="FILE"), explain("decode.files")],
    dialect: Annotated[DialectName, Parameter(metavar="DIALECT"), explain("decode.dialect")],
) -> int:
    """Print the folded answer of each recorded stream or whole answer. A file that cannot be read is named, and the
    others are printed all the same.
    """
    if not files:
        print(f"thalweg: {say('decode.no_file')}", file=sys.stderr)
        return WRONG_USAGE
    failed = False
    for file in files:
        try:
            body = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
        except OSError as error:
            print(f"thalweg: {say('decode.cannot_read', file=file, why=error.strerror)}", file=sys.stderr)
            failed = True
            continue
        print(msgspec.json.encode(describe(readable(str(file)), codecs.decode(body, dialect))).decode())
    return FAILED if failed else 0


def describe(file: str, answer: Response) -> dict[str, Any]:
    """One line of the output; of several choices, the first."""
    choice = answer.choices[0] if answer.choices else Choice(index=0, parts=(), finish_reason=None)
    usage = answer.usage
    return {
        "file": file,
        "text": _joined(choice.parts, Text),
        "reasoning": _joined(choice.parts, Reasoning),
        "refusal": _joined(choice.parts, Refusal),
        "tool_calls": [_call(part) for part in choice.parts if isinstance(part, ToolCall)],
        "finish_reason": choice.finish_reason,
        "usage": None if usage is None else {name: getattr(usage, name) for name in _USAGE},
        "raw_finish_reason": choice.raw_finish_reason,
        "raw_usage": answer.raw_usage,
        "error": None if answer.error is None else {"message": answer.error.message, "code": answer.error.code},
        "complete": answer.complete,
    }


_USAGE = ("input_tokens", "output_tokens", "cached_input_tokens", "cache_write_tokens", "reasoning_tokens")


def _joined(parts: tuple[Part, ...], kind: type[Text | Reasoning | Refusal]) -> str | None:
    texts = [part.text for part in parts if isinstance(part, kind)]
    return "".join(texts) if texts else None


def _call(call: ToolCall) -> dict[str, Any]:
    try:
        arguments = msgspec.json.decode(call.arguments)
    except (msgspec.DecodeError, RecursionError):
        arguments = call.arguments
    return {"id": call.id, "name": call.name, "arguments": arguments}
