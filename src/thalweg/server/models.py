"""What a model's name means: which provider, and what it is called there."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from thalweg.canon.errors import NotFound
from thalweg.canon.policy import Attempts, Leave, Waits
from thalweg.config import Key, ProviderSettings, Settings, nearest
from thalweg.dialects.base import WireRequest
from thalweg.profiles.base import Provider
from thalweg.profiles.providers import SIMULATOR, SIMULATORS
from thalweg.recorder.scenarios import ScenarioShelf
from thalweg.relay.attempts import drawn
from thalweg.server.catalogue import Catalogue
from thalweg.server.engines import Engines, Found
from thalweg.server.replay import REPLAY, Replays
from thalweg.simulator.catalogue import LISTED, SCENARIOS
from thalweg.simulator.turn import last_turn

SIM_MODELS = LISTED
"""The simulator's models, as they are listed."""

MOST_KNOWN = 1024
"""Names whose meaning is kept; clients choose them, and where there are so many, all are forgotten."""

_NO_WAITS = (Waits(),)
_MOUNT_PROVIDERS = {"/api/v3": "ark", "/openai/v1": "openai", "/compatible-mode/v1": "dashscope"}


class Target(msgspec.Struct, frozen=True):
    """Where a request goes. `provider` is `None` for the simulator and for recordings: their `row` says which dialect
    they are to speak.
    """

    provider: ProviderSettings | None
    upstream_model: str
    row: Provider
    keys: tuple[Key, ...] = ()
    """The provider's keys, the first one first; none where it has none."""


class Routes(msgspec.Struct, frozen=True):
    """Where a request may go, in the order of preference; at least one."""

    targets: tuple[Target, ...]
    waits: tuple[Waits, ...]
    """What each route says of its timeouts."""
    attempts: Attempts | None = None
    """How often they are tried; `None` for the gateway's rule."""
    leave: Leave | None = None


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """One provider as people are told of it. Never its key."""

    name: str
    title: str
    ready: bool
    """Whether its models can be called now: it has its key, or is an engine that was found or set up."""
    configured: bool
    """Whether somebody has set it up."""
    found: bool
    """Whether it was found on this machine a moment ago."""
    needs_key: bool
    key_variables: tuple[str, ...]
    """Any one of these holds its key."""
    base_url_variable: str
    host: str
    """Host and port of its address."""
    models: tuple[str, ...]
    """Names of models to call, with the provider's name before them; there may be more."""


class Listed(NamedTuple):
    """One model as it is listed."""

    name: str
    owner: str
    configured: bool
    """Whether somebody has set its provider up; an engine that was found needs nobody to."""


class Directory:
    """Resolves names. Made once from the settings; `engines` knows what runs here, `catalogue` what providers list."""

    def __init__(self, settings: Settings, engines: Engines | None = None, catalogue: Catalogue | None = None) -> None:
        self._settings = settings
        self._engines = engines or Engines(settings)
        self._chance = random.Random()  # noqa: S311  # it spreads load
        self._catalogue = catalogue or Catalogue(settings)
        self._replays = Replays(settings)
        self._scenarios = ScenarioShelf(settings.replay_folder)
        self._known: dict[tuple[str, str], Routes] = {}
        """By name and dialect, where it is the settings alone that say what the name means."""

    def routes(self, asked: WireRequest, path: str, dialect: str) -> Routes:
        """Where a request that came in a dialect may go. Of an alias those routes that can be asked now.

        Raises `NotFound` with what to do.
        """
        name = asked.model
        known = self._known.get((name, dialect))
        if known is not None:
            return known
        alias = self._settings.aliases.get(name)
        if alias is None:
            target = self._resolve(asked, name, path, dialect)
            routes = Routes((target,), _NO_WAITS)
            vendor, slash, _ = name.partition("/")
            if slash and target.provider is not None and vendor in self._settings.providers:
                self._keep((name, dialect), routes)
            return routes
        order = alias.routes if alias.order == "ordered" else drawn(alias.routes, self._chance)
        found: list[tuple[Target, Waits]] = []
        missing: NotFound | None = None
        for route in order:
            try:
                found.append((self._resolve(asked, route.model, path, dialect), route.timeouts))
            except NotFound as error:
                missing = missing or error
        if not found:
            assert missing is not None
            raise missing
        targets, waits = zip(*found, strict=True)
        return Routes(targets, waits, alias.attempts, alias.leave)

    def _keep(self, name: tuple[str, str], routes: Routes) -> None:
        if len(self._known) >= MOST_KNOWN:
            self._known.clear()
        self._known[name] = routes

    def resolve(self, asked: WireRequest, path: str, dialect: str) -> Target:
        """The target of a request that came in a dialect, by its name; of an alias the first one that can be asked.

        Raises `NotFound` with what to do.
        """
        return self.routes(asked, path, dialect).targets[0]

    def _resolve(self, asked: WireRequest, name: str, path: str, dialect: str) -> Target:
        vendor, slash, rest = name.partition("/")
        if slash and vendor in SIMULATORS:
            if not rest:
                raise _no_model(name)
            return Target(None, rest, SIMULATORS[vendor])
        if slash and vendor == REPLAY:
            return Target(None, rest, self._replays.row(rest))
        if self._settings.simulate:
            return Target(None, _stand_in(asked), SIMULATOR)
        if slash and vendor in self._settings.providers:
            return self._at(self._settings.providers[vendor], rest, name, dialect)
        found = self._by_mount(path) or (None if slash else self._by_name(name))
        if found is None:
            raise NotFound(self._unknown(name), param="model")
        return self._at(found, name, name, dialect)

    def offers(self) -> list[Offer]:
        """Every provider, as of the last look for engines."""
        return offers(self._settings, self._engines.found, self._catalogue.names)

    def listed(self) -> list[Listed]:
        """Names to show: the simulator's models and scenarios, then those of providers that are ready, then the last
        recordings.
        """
        ready = [offer for offer in self.offers() if offer.ready]
        names = [Listed(alias, "thalweg", configured=True) for alias in self._settings.aliases]
        told = (SCENARIOS + name for name in self._scenarios)
        names += [Listed(f"sim/{model}", "thalweg", configured=True) for model in (*SIM_MODELS, *told)]
        names += [Listed(model, each.name, each.configured) for each in ready for model in each.models]
        return names + [Listed(model, REPLAY, configured=False) for model in self._replays.names()]

    def _at(self, provider: ProviderSettings, model: str, name: str, dialect: str) -> Target:
        provider = self._sibling(provider, dialect)
        row = provider.row
        if provider.is_self:
            message = f"{name!r}: {row.title}'s usual address is this gateway's own. Set {row.base_url_variable}."
            raise NotFound(message, param="model")
        if not provider.ready:
            variables = " or ".join(row.key_variables)
            message = f"The model {name!r} needs {variables}: set it where the gateway is started."
            raise NotFound(message, param="model")
        if not model:
            raise _no_model(name)
        return Target(provider, model, row, _keys_of(provider))

    def _sibling(self, provider: ProviderSettings, dialect: str) -> ProviderSettings:
        """The provider where it speaks the client's dialect, if it does beside its first one."""
        if provider.row.dialect == dialect:
            return provider
        siblings = (each for each in self._settings.providers.values() if each.row.sibling_of == provider.row.name)
        return next((each for each in siblings if each.row.dialect == dialect), provider)

    def _by_mount(self, path: str) -> ProviderSettings | None:
        for mount, provider in _MOUNT_PROVIDERS.items():
            if path.startswith(mount):
                return self._settings.providers.get(provider)
        return None

    def _by_name(self, name: str) -> ProviderSettings | None:
        """Whose model a bare name is: a family's if it has its key, an engine's that has it, or the only one there is.

        A family without its key comes last, so that the answer names the variable.
        """
        family = self._family(name)
        if family is not None and family.ready:
            return family
        return self._engine_with(name) or family or self._only_one()

    def _family(self, name: str) -> ProviderSettings | None:
        small = name.lower()
        for provider in self._settings.providers.values():
            if provider.row.model_prefixes and small.startswith(provider.row.model_prefixes):
                return provider
        return None

    def _engine_with(self, name: str) -> ProviderSettings | None:
        # Ollama lists `qwen3:latest` and takes `qwen3`.
        names = {name, f"{name}:latest"}
        having = [engine for engine, models in self._engines.found.items() if names.intersection(models)]
        return self._settings.providers[having[0]] if len(having) == 1 else None

    def _only_one(self) -> ProviderSettings | None:
        providers = self._settings.providers
        configured = [each for each in self._settings.main_providers if each.configured]
        there = configured or [providers[engine] for engine in self._engines.found]
        return there[0] if len(there) == 1 else None

    def _meant(self, vendor: str, model: str) -> str | None:
        """The provider that was meant by a name that none has: a misspelt one, or the one whose family the model is."""
        simulators = list(SIMULATORS) if vendor.startswith("sim") else [SIMULATOR.name]
        family = self._family(model)
        return nearest(vendor, [*self._settings.providers, *simulators]) or (family.row.name if family else None)

    def _unknown(self, name: str) -> str:
        vendor, slash, rest = name.partition("/")
        if slash and (near := self._meant(vendor.lower(), rest)):
            return f"The model {name!r} is not known here. Is it {near}/{rest}? Names are provider/model."
        ready = [offer.name for offer in self.offers() if offer.ready]
        named = ", ".join([*ready, "sim"])
        return f"The model {name!r} is not known here. Name it as provider/model, with a provider of: {named}."


def offers(settings: Settings, found: Found, lists: Mapping[str, tuple[str, ...]]) -> list[Offer]:
    """Every provider, those that are ready first, else in the order of their rows; the simulator is none of them.

    One that speaks two dialects is told of once: whichever its client speaks, its name is the same. The models of one
    are those that were found, else those that it `lists`, else some that its row names.
    """
    rows = [_offer(provider, found, lists) for provider in settings.main_providers]
    return sorted(rows, key=lambda offer: not offer.ready)


def _offer(provider: ProviderSettings, found: Found, lists: Mapping[str, tuple[str, ...]]) -> Offer:
    row = provider.row
    models = found.get(row.name, lists.get(row.name, row.models))
    return Offer(
        name=row.name,
        title=row.title,
        ready=provider.configured or row.name in found,
        configured=provider.configured,
        found=row.name in found,
        needs_key=row.needs_key,
        key_variables=row.key_variables,
        base_url_variable=row.base_url_variable,
        host=str(provider.origin).partition("://")[2],
        models=tuple(f"{row.name}/{model}" for model in models),
    )


def _keys_of(provider: ProviderSettings) -> tuple[Key, ...]:
    if provider.credential is None:
        return ()
    return (Key(provider.key_name, provider.credential), *provider.more_keys)


def _no_model(name: str) -> NotFound:
    return NotFound(f"{name!r} names a provider and no model.", param="model")


def _stand_in(asked: WireRequest) -> str:
    """The simulator's model that shows what the request is out for: calls where tools are offered, JSON where that is
    wanted, what is in an image, thinking, or text. JSON and images are thought about where thinking is asked for.

    Raises `RequestError` for a request that has no meaning.
    """
    request = asked.canon()
    turn = last_turn(request.messages)
    forbidden = request.tool_choice is not None and request.tool_choice.mode == "none"
    offered = not forbidden and any(tool.kind != "hosted" for tool in request.tools)
    if offered and not turn.results:
        return "tools"
    if request.output.format != "text":
        return "json"
    if any(media.kind == "image" for media in turn.media):
        return "vision"
    return "reasoning" if request.reasoning.mode in ("auto", "effort", "budget") else "text"
