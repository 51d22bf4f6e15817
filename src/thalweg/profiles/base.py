"""The shape of a profile and of a provider's row."""

from __future__ import annotations

import msgspec


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """What is true of a provider's models on the wire."""

    repairs: frozenset[str] = frozenset()
    """Names of the repair rows that apply to its streams."""
    asks_usage: bool = True
    """Whether `stream_options.include_usage` may be sent; some refuse the field."""
    refused_fields: frozenset[str] = frozenset()
    """Top-level request fields that it refuses and that are dropped on the way."""
    stream_only: bool = False
    """Whether it refuses requests that do not stream, so that a whole answer must be folded."""
    max_tokens_field: str = "max_completion_tokens"
    """What it calls the cap, when a request is written from another dialect."""


class Provider(msgspec.Struct, frozen=True, kw_only=True):
    """Who runs an upstream: the name before the slash, the dialect, the address, and where its settings stand."""

    name: str
    title: str
    dialect: str
    base_url: str
    base_url_variable: str
    key_variable: str
    profile: Profile
    models_path: str = "/models"
    model_prefixes: tuple[str, ...] = ()
    """Beginnings of model names that are this provider's when the client names no provider."""
