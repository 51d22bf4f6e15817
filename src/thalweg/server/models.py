"""What a model's name means: which provider, and what it is called there."""

from __future__ import annotations

import msgspec

from thalweg.canon.errors import NotFound
from thalweg.config import ProviderSettings, Settings
from thalweg.dialects.base import WireRequest
from thalweg.simulator.turn import last_turn

SIM_MODELS = ("text", "reasoning", "tools", "slow", "error-midstream")
"""The simulator's models, as they are listed."""

_MOUNT_PROVIDERS = {"/api/v3": "ark", "/openai/v1": "openai", "/compatible-mode/v1": "dashscope"}


class Target(msgspec.Struct, frozen=True):
    """Where a request goes. `provider` is `None` for the simulator."""

    provider: ProviderSettings | None
    upstream_model: str


class Directory:
    """Resolves names. Made once from the settings."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def resolve(self, asked: WireRequest, path: str) -> Target:
        """The target of a request. Raises `NotFound` with what to do."""
        name = asked.model
        vendor, slash, rest = name.partition("/")
        if slash and vendor == "sim":
            if not rest:
                raise _no_model(name)
            return Target(None, rest)
        if self._settings.simulate:
            return Target(None, _stand_in(asked))
        if slash and vendor in self._settings.providers:
            return self._at(self._settings.providers[vendor], rest, name)
        found = self._by_mount(path) or self._by_family(name) or self._only_one()
        if found is None or (slash and self._by_mount(path) is None):
            raise NotFound(self._unknown(name), param="model")
        return self._at(found, name, name)

    def listed(self) -> list[tuple[str, str]]:
        """Names to show, with who owns them."""
        return [(f"sim/{model}", "thalweg") for model in SIM_MODELS]

    def _at(self, provider: ProviderSettings, model: str, name: str) -> Target:
        if provider.credential is None:
            key = provider.row.key_variable
            raise NotFound(f"The model {name!r} needs {key}: set it and start the gateway again.", param="model")
        if not model:
            raise _no_model(name)
        return Target(provider, model)

    def _by_mount(self, path: str) -> ProviderSettings | None:
        for mount, provider in _MOUNT_PROVIDERS.items():
            if path.startswith(mount):
                return self._settings.providers.get(provider)
        return None

    def _by_family(self, name: str) -> ProviderSettings | None:
        for provider in self._settings.providers.values():
            if name.startswith(provider.row.model_prefixes) and provider.row.model_prefixes:
                return provider
        return None

    def _only_one(self) -> ProviderSettings | None:
        configured = [provider for provider in self._settings.providers.values() if provider.credential]
        return configured[0] if len(configured) == 1 else None

    def _unknown(self, name: str) -> str:
        providers = ", ".join([*self._settings.providers, "sim"])
        return f"The model {name!r} is not known here. Name it as provider/model, with a provider of: {providers}."


def _no_model(name: str) -> NotFound:
    return NotFound(f"{name!r} names a provider and no model.", param="model")


def _stand_in(asked: WireRequest) -> str:
    """The simulator's model that shows what the request is out for: calls where tools are offered, thinking, or text.

    Raises `RequestError` for a request that has no meaning.
    """
    request = asked.canon()
    forbidden = request.tool_choice is not None and request.tool_choice.mode == "none"
    offered = not forbidden and any(tool.kind != "hosted" for tool in request.tools)
    if offered and not last_turn(request.messages).results:
        return "tools"
    return "reasoning" if request.reasoning.mode in ("auto", "effort", "budget") else "text"
