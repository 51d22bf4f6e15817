"""The dialects by name. A new one is a folder and a line here."""

from __future__ import annotations

from thalweg.dialects.anthropic_messages import AnthropicMessages
from thalweg.dialects.base import Dialect
from thalweg.dialects.dashscope_native import DashScopeNative
from thalweg.dialects.gemini import Gemini
from thalweg.dialects.openai_chat import OpenAIChat
from thalweg.dialects.openai_responses import OpenAIResponses

_ALL: tuple[Dialect, ...] = (OpenAIChat(), OpenAIResponses(), AnthropicMessages(), Gemini(), DashScopeNative())

DIALECTS: dict[str, Dialect] = {dialect.name: dialect for dialect in _ALL}
"""Every dialect, in the order in which people are shown them."""
