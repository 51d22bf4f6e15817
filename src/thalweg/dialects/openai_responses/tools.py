"""Tools, both ways: definitions, which of them must be called, and names that this API takes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from thalweg.canon.losses import Losses
from thalweg.canon.request import Request, Tool, ToolChoice
from thalweg.dialects.kit.body import missing, wrong
from thalweg.dialects.kit.tool_names import ToolNames
from thalweg.dialects.openai_responses.wire import objects, string

_MODES = ("auto", "none", "required")

# Reading.


def read_tool(wire: dict[str, Any], at: str) -> Tool:
    """One definition. Some clients nest a function's fields as Chat does."""
    kind = string(wire.get("type"))
    if kind == "function":
        return _read_function(wire | wire["function"] if isinstance(wire.get("function"), dict) else wire, at)
    if not kind:
        raise missing(f"{at}.type")
    if kind == "custom":
        name = _name_of(wire, at)
        # As Chat has it, so that whoever writes it needs to know but one form.
        raw = {field: value for field, value in wire.items() if field != "type" and value is not None}
        if isinstance(raw.get("format"), dict) and raw["format"].get("type") == "grammar":
            inner = {field: value for field, value in raw["format"].items() if field != "type"}
            raw["format"] = {"type": "grammar", "grammar": inner}
        return Tool(name=name, description=string(wire.get("description")) or None, kind="custom", raw=raw)
    return Tool(name=kind, kind="hosted", raw=wire)


def _read_function(wire: dict[str, Any], at: str) -> Tool:
    parameters, strict = wire.get("parameters"), wire.get("strict")
    if not isinstance(parameters, dict | None):
        raise wrong(f"{at}.parameters", "must be an object", "invalid_type")
    return Tool(
        name=_name_of(wire, at),
        description=string(wire.get("description")) or None,
        parameters=parameters,
        strict=strict if isinstance(strict, bool) else None,
    )


def _name_of(wire: dict[str, Any], at: str) -> str:
    name = wire.get("name")
    if name is None:
        raise missing(f"{at}.name")
    if not isinstance(name, str) or not name:
        raise wrong(f"{at}.name", "must be a string that is not empty", "invalid_type")
    return name


def read_choice(value: str | dict[str, Any] | None) -> ToolChoice | None:
    """`tool_choice`: a mode, one tool, or some."""
    if value is None:
        return None
    if isinstance(value, str):
        if value not in _MODES:
            raise wrong("tool_choice", f"must be one of {', '.join(_MODES)}, or an object")
        mode: Any = value
        return ToolChoice(mode=mode)
    kind = string(value.get("type"))
    if kind == "allowed_tools":
        if not isinstance(value.get("tools"), list):
            raise wrong("tool_choice.tools", "must be an array", "invalid_type")
        mode = "required" if value.get("mode") == "required" else "auto"
        return ToolChoice(mode=mode, names=tuple(filter(None, map(_chosen, objects(value["tools"])))))
    name = _chosen(value)
    if not name:
        raise wrong("tool_choice", "it names no tool")
    return ToolChoice(mode="required", names=(name,))


def _chosen(wire: dict[str, Any]) -> str:
    """The name of a tool that was chosen; of a provider's own, its type."""
    inner = wire.get("function")
    name = wire.get("name") or (inner.get("name") if isinstance(inner, dict) else None)
    kind = string(wire.get("type"))
    return string(name) or ("" if kind in ("function", "custom") else kind)


# Writing.


def write_tools(asked: Request, names: ToolNames, losses: Losses) -> dict[str, Any]:
    """`tools`, and what goes with it; nothing where there are none."""
    tools: list[dict[str, Any]] = []
    for i, tool in enumerate(asked.tools):
        if tool.kind == "hosted":
            losses.refuse(f"tools[{i}]", "this tool is run by another provider")
        else:
            tools.append(_write_custom(tool, names) if tool.kind == "custom" else _write_function(tool, names, asked))
    if not tools:
        return {}
    wire: dict[str, Any] = {"tools": tools}
    if asked.tool_choice is not None:
        free = {tool.name for tool in asked.tools if tool.kind == "custom"}
        wire["tool_choice"] = _write_choice(asked.tool_choice, free, names)
    if asked.parallel_tool_calls is not None:
        wire["parallel_tool_calls"] = asked.parallel_tool_calls
    return wire


def _write_function(tool: Tool, names: ToolNames, asked: Request) -> dict[str, Any]:
    parameters = tool.parameters or {"type": "object", "properties": {}}
    # Unsaid, this API takes it for true, and changes what the model may leave out.
    strict = bool(tool.strict) and (asked.dialect.startswith("openai") or is_strict(parameters))
    wire: dict[str, Any] = {"type": "function", "name": names.alias(tool.name)}
    if tool.description is not None:
        wire["description"] = tool.description
    return wire | {"parameters": parameters, "strict": strict}


def _write_custom(tool: Tool, names: ToolNames) -> dict[str, Any]:
    raw = tool.raw if isinstance(tool.raw, dict) else {}
    wire: dict[str, Any] = {"type": "custom", "name": names.alias(tool.name)}
    if description := tool.description or string(raw.get("description")):
        wire["description"] = description
    shape = raw.get("format")
    if isinstance(shape, dict):
        grammar = shape.get("grammar")
        wire["format"] = {"type": "grammar"} | grammar if isinstance(grammar, dict) else shape
    return wire


def _write_choice(choice: ToolChoice, free: set[str], names: ToolNames) -> Any:
    if not choice.names:
        return choice.mode
    tools = [{"type": "custom" if name in free else "function", "name": names.alias(name)} for name in choice.names]
    if len(tools) == 1 and choice.mode == "required":
        return tools[0]
    return {"type": "allowed_tools", "mode": choice.mode, "tools": tools}


def is_strict(schema: Any) -> bool:
    """Whether a schema is one of those that OpenAI can hold a model to: every object is closed, every property must be
    there.
    """
    try:
        return _is_strict(schema)
    except RecursionError:
        return False


def _is_strict(schema: Any) -> bool:
    if not isinstance(schema, dict):
        return True
    if "properties" in schema or schema.get("type") == "object":
        properties = schema.get("properties") or {}
        if schema.get("additionalProperties") is not False or set(schema.get("required") or ()) != set(properties):
            return False
    return all(map(_is_strict, _inner_schemas(schema)))


def _inner_schemas(schema: dict[str, Any]) -> Iterable[Any]:
    for field in ("properties", "$defs", "definitions"):
        inner = schema.get(field)
        yield from inner.values() if isinstance(inner, dict) else ()
    for field in ("anyOf", "oneOf", "allOf", "prefixItems"):
        yield from objects(schema.get(field))
    yield schema.get("items")
