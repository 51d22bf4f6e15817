"""The providers we know, one row each. Sources: openai-chat and provider documentation, read 2026-11."""

from __future__ import annotations

from thalweg.profiles.base import Profile, Provider

CHAT_REPAIRS = frozenset(
    {
        "framing",
        "one-newline",
        "envelope",
        "object",
        "empty-choices",
        "delta",
        "content",
        "content-parts",
        "role",
        "tool-calls",
        "usage-chunk",
    }
)
"""Every mend of Chat streams that is known to be needed by some SDK or by code that tutorials teach."""

COMPATIBLE = Profile(repairs=CHAT_REPAIRS)
"""Any address that says it is OpenAI-compatible: nothing is taken for granted."""

PROVIDERS: tuple[Provider, ...] = (
    Provider(
        name="openai",
        title="OpenAI",
        dialect="openai-chat",
        base_url="https://api.openai.com/v1",
        base_url_variable="OPENAI_BASE_URL",
        key_variable="OPENAI_API_KEY",
        profile=Profile(repairs=CHAT_REPAIRS),
        model_prefixes=("gpt-", "o1", "o3", "o4", "chatgpt-"),
    ),
    Provider(
        name="ark",
        title="Volcengine Ark",
        dialect="openai-chat",
        base_url="https://ark.cn-beijing.volces.com/api/v3",
        base_url_variable="ARK_BASE_URL",
        key_variable="ARK_API_KEY",
        # Ark repeats the role in every delta by design, and its own SDKs take it so: no `role` row.
        profile=Profile(repairs=CHAT_REPAIRS - {"role"}, max_tokens_field="max_tokens"),
        model_prefixes=("doubao-", "ep-"),
    ),
)

SIMULATOR = Provider(
    name="sim",
    title="Simulator",
    dialect="openai-chat",
    base_url="http://simulator.invalid/v1",
    base_url_variable="",
    key_variable="",
    profile=Profile(repairs=CHAT_REPAIRS),
)
"""The built-in provider. Its address is never dialled."""
