"""`/v1/models` and one model: a superset answer that every SDK's types read."""

from __future__ import annotations

from typing import Any

from thalweg.canon.errors import NotFound
from thalweg.server.house import House
from thalweg.server.wire import Receive, Scope, Send, send_json

_CREATED = 1_735_689_600
"""A fixed date for models that have none of their own; SDK types want an integer."""


def describe(name: str, owner: str) -> dict[str, Any]:
    """One model in the words of all dialects at once."""
    return {
        "id": name,
        "object": "model",
        "created": _CREATED,
        "owned_by": owner,
        "type": "model",
        "display_name": name,
        "created_at": "2025-01-01T00:00:00Z",
        "name": f"models/{name}",
        "displayName": name,
        "supportedGenerationMethods": ["generateContent", "streamGenerateContent"],
    }


class ModelList:
    """`GET /v1/models`."""

    def __init__(self, house: House) -> None:
        self._house = house

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with every model that can be called."""
        data = [describe(name, owner) for name, owner in self._house.directory.listed()]
        ids = [model["id"] for model in data]
        ends = {"first_id": ids[0] if ids else None, "last_id": ids[-1] if ids else None, "has_more": False}
        await send_json(send, 200, {"object": "list", "data": data, "models": data} | ends)


class OneModel:
    """`GET /v1/models/{id}`; ids may hold slashes."""

    def __init__(self, house: House) -> None:
        self._house = house

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with one model."""
        wanted = scope["path_params"]["model"]
        for name, owner in self._house.directory.listed():
            if name == wanted:
                await send_json(send, 200, describe(name, owner))
                return
        raise NotFound(f"The model {wanted!r} is not known here.", param="model")
