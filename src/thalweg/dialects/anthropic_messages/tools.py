"""Tools and which of them must be called, as Anthropic has them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from thalweg.canon.losses import Losses
from thalweg.canon.request import Request, Tool
from thalweg.dialects.anthropic_messages.blocks import Block
from thalweg.dialects.anthropic_messages.marks import mark
from thalweg.dialects.anthropic_messages.schema import Subset, input_schema
from thalweg.dialects.anthropic_messages.tables import ModelRow
from thalweg.dialects.kit.tool_names import ToolNames

ANSWER_TOOL = "json_output"
FREE_TEXT: dict[str, Any] = {
    "type": "object",
    "properties": {"input": {"type": "string", "description": "The tool's whole input, as plain text."}},
    "required": ["input"],
}


class Toolbox:
    """The tools of one request, and what must be undone of them in the answer."""

    def __init__(self, asked: Request, row: ModelRow, losses: Losses) -> None:
        self._row, self._losses = row, losses
        self.names = ToolNames(most=128)
        self.wrapped: set[str] = set()
        """Tools, by the client's name, that take free text."""
        self.answer_tool: str | None = None
        self.note: str | None = None
        """What must be said in words because the model cannot be forced."""
        self.wire: list[Block] = []
        self.choice: Block | None = None
        self._define(asked)
        if asked.output.format == "json_schema" and not row.structured:
            self._answer_by_tool(asked)
        elif self.wire:
            self._choose(asked)

    @property
    def forced(self) -> bool:
        """Whether a tool must be called."""
        return self.choice is not None and self.choice["type"] in ("any", "tool")

    def _define(self, asked: Request) -> None:
        choice = asked.tool_choice
        subset = choice is not None and bool(choice.names) and (choice.mode == "auto" or len(choice.names) > 1)
        if subset:
            self._losses.approximate("tool_choice", "the other tools are left out instead")
        for at, tool in enumerate(asked.tools):
            if subset and choice is not None and tool.name not in choice.names:
                continue
            block = _DEFINITIONS[tool.kind](self, tool, f"tools[{at}]")
            if block is not None:
                self.wire.append(mark(block, tool.cache))

    def _function(self, tool: Tool, path: str) -> Block:
        schema, lost = input_schema(tool.parameters)
        if lost:
            self._losses.approximate(path, "its schema may be no union")
        block: Block = {"name": self.names.alias(tool.name), "input_schema": schema}
        if tool.description:
            block["description"] = tool.description
        if tool.strict and self._row.structured:
            subset = Subset()
            block["input_schema"] = subset.of(schema)
            block["strict"] = True
            if subset.lost:
                self._losses.approximate(path, "a strict schema can say less")
        elif tool.strict:
            self._losses.drop(f"{path}.strict", "the model knows no strict tools")
        return block

    def _custom(self, tool: Tool, path: str) -> Block:
        """A tool that takes free text: a function of one argument."""
        self._losses.approximate(path, "its free text becomes the one argument of a function")
        self.wrapped.add(tool.name)
        raw = tool.raw if isinstance(tool.raw, dict) else {}
        description = tool.description or raw.get("description")
        block: Block = {"name": self.names.alias(tool.name), "input_schema": FREE_TEXT}
        return block | {"description": description} if isinstance(description, str) and description else block

    def _hosted(self, _: Tool, path: str) -> None:
        self._losses.refuse(path, "its provider alone runs this tool")

    def _choose(self, asked: Request) -> None:
        choice = asked.tool_choice
        single = asked.parallel_tool_calls is False
        if choice is None and not single:
            return
        mode = choice.mode if choice else "auto"
        wire: Block = {"type": {"auto": "auto", "none": "none", "required": "any"}[mode]}
        if choice and choice.mode == "required" and len(choice.names) == 1:
            wire = {"type": "tool", "name": self.names.alias(choice.names[0])}
        if wire["type"] in ("any", "tool") and not self._row.forced_choice:
            self._losses.approximate("tool_choice", "the model cannot be forced, it is told in words")
            name = wire.get("name")
            self.note = f"You must call the tool {name}." if name else "You must call one of the tools."
            wire = {"type": "auto"}
        if single and wire["type"] != "none":
            wire["disable_parallel_tool_use"] = True
        self.choice = wire

    def _answer_by_tool(self, asked: Request) -> None:
        """A model without structured output gives its answer as the arguments of a tool."""
        schema = asked.output.schema
        if not isinstance(schema, dict) or schema.get("type", "object") != "object":
            return  # a tool takes objects only: the schema is told in words
        name = ANSWER_TOOL
        while any(tool["name"] == name for tool in self.wire):
            name += "_"
        alone = not self.wire or (asked.tool_choice is not None and asked.tool_choice.mode == "none")
        definition, _ = input_schema(schema)
        description = asked.output.description or "Gives the answer to the user. Its input is the whole answer."
        self.wire.append({"name": name, "description": description, "input_schema": definition})
        self.choice = {"type": "tool", "name": name} if alone else {"type": "any"}
        self.choice["disable_parallel_tool_use"] = True
        self.answer_tool = name


_DEFINITIONS: dict[str, Callable[[Toolbox, Tool, str], Block | None]] = {
    "function": Toolbox._function,
    "custom": Toolbox._custom,
    "hosted": Toolbox._hosted,
}
