"""The dialects by name. A new one is a folder and a line here."""

from __future__ import annotations

from thalweg.dialects.base import Dialect
from thalweg.dialects.dashscope_native import DashScopeNative
from thalweg.dialects.openai_chat import OpenAIChat

DIALECTS: dict[str, Dialect] = {
    dialect.name: dialect
    for dialect in (
        OpenAIChat(),
        DashScopeNative(),
    )
}
