"""The shape of a request's body, once its fields are in one spelling."""

from __future__ import annotations

from typing import Any

import msgspec

from thalweg.dialects.gemini.fields import normalised

# ruff: noqa: N815  # fields are named as on the wire


class Blob(msgspec.Struct, frozen=True):
    """`inlineData`."""

    data: str
    mimeType: str | None = None
    displayName: str | None = None


class File(msgspec.Struct, frozen=True):
    """`fileData`."""

    fileUri: str
    mimeType: str | None = None
    displayName: str | None = None


class Call(msgspec.Struct, frozen=True):
    """`functionCall`."""

    name: str
    args: dict[str, Any] | None = None
    id: str | None = None


class Result(msgspec.Struct, frozen=True):
    """`functionResponse`."""

    name: str | None = None
    response: Any = None
    id: str | None = None
    parts: list[Part] | None = None


class Part(msgspec.Struct, frozen=True):
    """One part. One with none of these has a kind that only Gemini knows."""

    text: str | None = None
    thought: bool | None = None
    thoughtSignature: str | None = None
    inlineData: Blob | None = None
    fileData: File | None = None
    functionCall: Call | None = None
    functionResponse: Result | None = None
    mediaResolution: Any = None


class Content(msgspec.Struct, frozen=True):
    """One turn, or a piece of one."""

    role: str | None = None
    parts: list[Part] | None = None


class Declaration(msgspec.Struct, frozen=True):
    """One of `functionDeclarations`."""

    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    parametersJsonSchema: dict[str, Any] | None = None


class Tool(msgspec.Struct, frozen=True):
    """Functions; tools that Google runs are read from the tree."""

    functionDeclarations: list[Declaration] | None = None


class FunctionCalling(msgspec.Struct, frozen=True):
    """`functionCallingConfig`."""

    mode: str | None = None
    allowedFunctionNames: list[str] | None = None


class ToolConfig(msgspec.Struct, frozen=True):
    """`toolConfig`."""

    functionCallingConfig: FunctionCalling | None = None


class Thinking(msgspec.Struct, frozen=True):
    """`thinkingConfig`."""

    includeThoughts: bool | None = None
    thinkingBudget: int | None = None
    thinkingLevel: str | None = None


class Generation(msgspec.Struct, frozen=True):
    """`generationConfig`, as far as another dialect has words for it."""

    temperature: float | None = None
    topP: float | None = None
    topK: float | None = None
    candidateCount: int | None = None
    maxOutputTokens: int | None = None
    stopSequences: list[str] | None = None
    presencePenalty: float | None = None
    frequencyPenalty: float | None = None
    seed: int | None = None
    responseLogprobs: bool | None = None
    logprobs: int | None = None
    responseMimeType: str | None = None
    responseSchema: dict[str, Any] | None = None
    responseJsonSchema: Any = None
    responseModalities: list[str] | None = None
    thinkingConfig: Thinking | None = None


class Body(msgspec.Struct, frozen=True):
    """A request's body. Null means absent."""

    contents: list[Content]
    model: str | None = None
    systemInstruction: Content | None = None
    tools: list[Tool] | None = None
    toolConfig: ToolConfig | None = None
    generationConfig: Generation | None = None
    serviceTier: str | None = None
    labels: dict[str, str] | None = None


class Read(msgspec.Struct, frozen=True):
    """A checked body, and all of it as a tree in one spelling."""

    body: Body
    tree: dict[str, Any]


_decode_tree = msgspec.json.Decoder(dict[str, Any]).decode


def decode_body(body: bytes) -> Read:
    """A body in either spelling. Raises `msgspec.ValidationError`, which names the field in lowerCamelCase."""
    tree = normalised(_decode_tree(body))
    if isinstance(tree.get("contents"), list | dict):
        tree["contents"] = [_content(each) for each in _as_list(tree["contents"])]
    if tree.get("systemInstruction") is not None:
        tree["systemInstruction"] = _instruction(tree["systemInstruction"])
    if isinstance(tree.get("tools"), dict):
        tree["tools"] = [tree["tools"]]
    # Google's JSON may write any number as a string, and a whole one with a fraction of zero.
    return Read(msgspec.convert(tree, Body, strict=False), tree)


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _content(value: Any) -> Any:
    """A content as an object: some clients send its text, or one of its parts."""
    if isinstance(value, str):
        return {"parts": [{"text": value}]}
    if not isinstance(value, dict):
        return value
    if "parts" not in value and value.keys() - {"role"}:
        return {"role": value.get("role"), "parts": [{key: value[key] for key in value if key != "role"}]}
    if isinstance(value.get("parts"), dict | str):
        return value | {"parts": [_part(value["parts"])]}
    if isinstance(value.get("parts"), list):
        return value | {"parts": [_part(part) for part in value["parts"]]}
    return value


def _part(value: Any) -> Any:
    return {"text": value} if isinstance(value, str) else value


def _instruction(value: Any) -> Any:
    return {"parts": [_part(part) for part in value]} if isinstance(value, list) else _content(value)
