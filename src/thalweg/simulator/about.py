"""Answers that are no model's: lists of models, and counts of tokens, in each vendor's shape."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec

from thalweg.canon.errors import InvalidRequest
from thalweg.dialects.base import Dialect, WireAnswer
from thalweg.simulator.catalogue import Repertoire, own_name
from thalweg.simulator.knobs import read_knobs
from thalweg.simulator.paths import ANTHROPIC, GEMINI, RESPONSES
from thalweg.simulator.turn import input_tokens

_JSON = ((b"content-type", b"application/json"),)
_OWNER = "thalweg-simulator"
_MOST_IN, _MOST_OUT = 1_048_576, 65_536
_VERBS = ["generateContent", "streamGenerateContent", "countTokens"]

Row = dict[str, Any]


def _answer(wire: Any) -> WireAnswer:
    return WireAnswer(200, _JSON, msgspec.json.encode(wire))


# Models.


def _openai_row(name: str, _: str, created: int) -> Row:
    return {"id": name, "object": "model", "created": created, "owned_by": _OWNER}


def _anthropic_row(name: str, _: str, created: int) -> Row:
    at = datetime.fromtimestamp(created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    row = {"type": "model", "id": name, "display_name": name, "created_at": at}
    return row | {"max_input_tokens": _MOST_IN, "max_tokens": _MOST_OUT}


def _gemini_row(name: str, says: str, _: int) -> Row:
    return {
        "name": f"models/{name}",
        "version": "001",
        "displayName": name,
        "description": says,
        "inputTokenLimit": _MOST_IN,
        "outputTokenLimit": _MOST_OUT,
        "supportedGenerationMethods": _VERBS,
        "thinking": True,
    }


def _openai_list(rows: list[Row]) -> Row:
    return {"object": "list", "data": rows}


def _anthropic_list(rows: list[Row]) -> Row:
    return {"data": rows, "has_more": False, "first_id": rows[0]["id"], "last_id": rows[-1]["id"]}


def _gemini_list(rows: list[Row]) -> Row:
    return {"models": rows}


_SHAPES: dict[str, tuple[Callable[[str, str, int], Row], Callable[[list[Row]], Row]]] = {
    ANTHROPIC: (_anthropic_row, _anthropic_list),
    GEMINI: (_gemini_row, _gemini_list),
}


def list_models(models: Repertoire, dialect: str, created: int) -> WireAnswer:
    """All models that are shown."""
    row, whole = _SHAPES.get(dialect, (_openai_row, _openai_list))
    return _answer(whole([row(name, says, created) for name, says in models.listed().items()]))


def tell_model(models: Repertoire, dialect: str, name: str, created: int) -> WireAnswer:
    """One model. Raises `NotFound`."""
    row, _ = _SHAPES.get(dialect, (_openai_row, _openai_list))
    return _answer(row(own_name(name), models.find(name).says, created))


# Tokens.


def count_tokens(models: Repertoire, dialect: Dialect, target: bytes, body: bytes, faults: Any) -> WireAnswer:
    """How many tokens a prompt has. Raises `RequestError`."""
    if dialect.name == GEMINI:
        target, body = target.replace(b":countTokens", b":generateContent"), _inner(body)
    elif dialect.name == RESPONSES:
        body = _with_model(body)
    asked = dialect.read_request(body, target).canon()
    models.find(read_knobs(asked, faults)[0])
    return _answer(_COUNTS[dialect.name](input_tokens(asked)))


def _anthropic_count(tokens: int) -> Row:
    return {"input_tokens": tokens}


def _openai_count(tokens: int) -> Row:
    return {"object": "response.input_tokens", "input_tokens": tokens}


def _gemini_count(tokens: int) -> Row:
    return {"totalTokens": tokens, "promptTokensDetails": [{"modality": "TEXT", "tokenCount": tokens}]}


_COUNTS: dict[str, Callable[[int], Row]] = {
    ANTHROPIC: _anthropic_count,
    GEMINI: _gemini_count,
    RESPONSES: _openai_count,
}


def _inner(body: bytes) -> bytes:
    """The request to be counted, which may stand in another."""
    tree = read_tree(body)
    inner = tree.get("generateContentRequest") or tree.get("generate_content_request")
    if not isinstance(inner, dict):
        return body
    return msgspec.json.encode({name: value for name, value in inner.items() if name != "model"})


def _with_model(body: bytes) -> bytes:
    """A count need not name a model."""
    tree = read_tree(body)
    return body if tree.get("model") else msgspec.json.encode(tree | {"model": "text"})


def read_tree(body: bytes) -> dict[str, Any]:
    """A body as JSON. Raises `InvalidRequest`."""
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except RecursionError as error:
        raise InvalidRequest("The request's JSON is nested too deeply.") from error
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise InvalidRequest("The request's body must be a JSON object.") from error
