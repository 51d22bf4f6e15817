"""`/v1/models` and one model, a superset answer that every SDK's types read; `/providers`, for people and pages."""

from __future__ import annotations

from typing import Any

import msgspec

from thalweg.canon.errors import NotFound
from thalweg.catalogue.shown import About
from thalweg.profiles.providers import MODELS_DATE
from thalweg.server.house import House
from thalweg.server.models import Listed
from thalweg.server.wire import HOP, Receive, Scope, Send, header, send_json

_CREATED = 1_735_689_600
"""A fixed date for models that have none of their own; SDK types want an integer."""


def describe(model: Listed, about: About) -> dict[str, Any]:
    """One model in the words of all dialects at once, with what is known of it."""
    name = model.name
    limits = {field: getattr(about, ours) for field, ours in _LIMITS.items() if getattr(about, ours) is not None}
    return {
        "id": name,
        "object": "model",
        "created": _CREATED,
        "owned_by": model.owner,
        "configured": model.configured,
        "type": "model",
        "display_name": name,
        "created_at": "2025-01-01T00:00:00Z",
        "name": f"models/{name}",
        "displayName": name,
        "supportedGenerationMethods": ["generateContent", "streamGenerateContent"],
        **limits,
        **about.fields(),
    }


_LIMITS = {
    "inputTokenLimit": "context_window",
    "outputTokenLimit": "max_output_tokens",
    "max_input_tokens": "context_window",
    "max_tokens": "max_output_tokens",
}
"""What Google and Anthropic call the longest prompt and the longest answer, and what we do."""


class _Looking:
    """What these endpoints have in common: they look for engines first, and know something of models."""

    def __init__(self, house: House) -> None:
        self._house = house

    async def _look(self, scope: Scope) -> None:
        # Not for another gateway that looks for engines itself: the two would wait for each other.
        if header(scope, HOP) is None:
            await self._house.engines.look()

    def _describe(self, model: Listed) -> dict[str, Any]:
        provider, _, name = model.name.partition("/")
        return describe(model, self._house.catalogue.about(provider, name))


class ModelList(_Looking):
    """`GET /v1/models`."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with the models that can be called, as far as their names are known."""
        await self._look(scope)
        data = [self._describe(model) for model in self._house.directory.listed()]
        ids = [model["id"] for model in data]
        ends = {"first_id": ids[0] if ids else None, "last_id": ids[-1] if ids else None, "has_more": False}
        await send_json(send, 200, {"object": "list", "data": data, "models": data} | ends)


class OneModel(_Looking):
    """`GET /v1/models/{id}`; ids may hold slashes."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with one model."""
        await self._look(scope)
        wanted = scope["path_params"]["model"]
        model = next((model for model in self._house.directory.listed() if model.name == wanted), None)
        if model is None:
            raise NotFound(f"The model {wanted!r} is not known here.", param="model")
        await send_json(send, 200, self._describe(model))


class ProviderList(_Looking):
    """`GET /providers`."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with every provider, and what is to be set to call it. Never a key."""
        await self._look(scope)
        offers = [msgspec.structs.asdict(offer) for offer in self._house.directory.offers()]
        await send_json(send, 200, {"providers": offers, "models_date": MODELS_DATE})
