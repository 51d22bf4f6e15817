"""What is known of models here: the table that is shipped, and the providers' own lists, asked for now and then.

A list that has come is kept on disk, so that a server that starts has it at once. Nothing that a client asks waits for
a list: what is there is shown. The file holds names, facts and prices; of a provider's address only a digest, since
some have a key in their path.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import msgspec

from thalweg.canon.scrub import blame
from thalweg.catalogue.facts import Facts
from thalweg.catalogue.lists import ListedModel, NotAList, Shape, read_page
from thalweg.catalogue.price import Price
from thalweg.catalogue.shown import About, about
from thalweg.catalogue.table import facts_of, price_of
from thalweg.config import ProviderSettings, Settings
from thalweg.server.asking import ask, for_models
from thalweg.upstream.base import Connector

FILE = "models.json"
EVERY_S = 3600.0
AGAIN_S = 300.0
"""When one that failed is asked again."""
PAGE_S = 15.0
WHOLE_S = 60.0
"""How long a page, and all pages of a list together, may take."""
MOST_PAGES = 20
MOST_MODELS = 5000
MOST_FILE_BYTES = 16 * 1024 * 1024
_AT_ONCE = 3
_SHAPES: dict[str, Shape] = {"anthropic": "anthropic", "gemini": "gemini"}
"""The shape of a list by the dialect of its provider; of any other it is OpenAI's."""

_log = logging.getLogger("thalweg.server")


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """One provider's list as it came last."""

    place: str
    """A digest of the address that it came from."""
    asked_at: int
    """When, in seconds of the Unix clock."""
    models: tuple[ListedModel, ...]


class _File(msgspec.Struct, frozen=True, kw_only=True):
    version: int
    providers: dict[str, Kept]


_VERSION = 1
_decode_file = msgspec.json.Decoder(_File).decode


class Catalogue:
    """What is known, by the settings that hold; `keep_lists` brings it up to date."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._kept: dict[str, Kept] = {}
        self._by_name: dict[str, dict[str, ListedModel]] = {}
        self._shown: dict[tuple[str, str], About] = {}
        self.names: Mapping[str, tuple[str, ...]] = {}
        """The models of each provider whose list has come, the ones that its row names first."""

    def use(self, settings: Settings) -> None:
        """Go by other settings from now on: their prices, and of the lists those that came from where they lead."""
        self._settings = settings
        here = {each.row.name: _place(each) for each in self.asked}
        self._kept = {name: kept for name, kept in self._kept.items() if here.get(name) == kept.place}
        self._settle()

    @property
    def asked(self) -> list[ProviderSettings]:
        """The providers whose lists are asked for: those that have a key."""
        if self._settings.simulate:
            return []
        return [each for each in self._settings.main_providers if each.ready and each.credential is not None]

    def take(self, provider: ProviderSettings, models: tuple[ListedModel, ...], asked_at: int) -> None:
        """A provider's list has come."""
        self._kept[provider.row.name] = Kept(place=_place(provider), asked_at=asked_at, models=models)
        self._settle()

    def about(self, provider: str, model: str) -> About:
        """What is known of a model that is listed, by its name at the provider."""
        known = self._shown.get((provider, model))
        if known is None:
            listed = self._listed(provider, model)
            facts = listed.facts if listed else Facts()
            known = about(facts.filled(facts_of(provider, model)), self.price_of(provider, model))
            self._shown[provider, model] = known
        return known

    def warm(self) -> None:
        """Look everything up that will be asked for: for a list of hundreds of models it takes a while."""
        for provider, models in self.names.items():
            for model in models:
                self.about(provider, model)

    def price_of(self, provider: str, model: str) -> Price | None:
        """What it costs there: as the operator says, else the provider's list, else the table; `None` if none does."""
        settings = self._settings.providers.get(provider)
        if settings is None:
            return None
        listed, currency = self._listed(provider, model), settings.row.list_currency
        theirs = None
        if listed is not None and listed.rates is not None and currency:
            theirs = Price(currency=currency, rates=listed.rates, source=f"{settings.row.title}: models")
        return price_of(provider, model, host=settings.origin.host, listed=theirs, overrides=self._settings.prices)

    def read(self) -> None:
        """Take what is on disk, of providers that are still there. A file that cannot be read is as none."""
        try:
            if self._file.stat().st_size > MOST_FILE_BYTES:
                return
            found = _decode_file(self._file.read_bytes())
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return
        if found.version != _VERSION:
            return
        here = {each.row.name: _place(each) for each in self.asked}
        on_disk = {name: kept for name, kept in found.providers.items() if here.get(name) == kept.place}
        self._kept = on_disk | self._kept
        self._settle()

    def write(self) -> None:
        """Keep it on disk: all of it or nothing, and for this user's eyes. Raises `OSError`."""
        body = msgspec.json.encode(_File(version=_VERSION, providers=self._kept))
        new = self._file.with_name(f"{FILE}.{os.getpid()}")
        try:
            with open(new, "wb", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
                file.write(body)
            new.replace(self._file)
        finally:
            new.unlink(missing_ok=True)

    @property
    def _file(self) -> Path:
        return self._settings.home / FILE

    def _listed(self, provider: str, model: str) -> ListedModel | None:
        settings = self._settings.providers.get(provider)
        main = settings.row.sibling_of if settings else ""
        return self._by_name.get(main or provider, {}).get(model)

    def _settle(self) -> None:
        """New dictionaries in the place of the old: who reads them sees one list or the other."""
        self._shown = {}
        kept = {name: each for name, each in self._kept.items() if name in self._settings.providers}
        self._by_name = {name: {model.id: model for model in each.models} for name, each in kept.items()}
        rows = {name: self._settings.providers[name].row for name in self._by_name}
        self.names = {
            name: tuple(dict.fromkeys([*(model for model in rows[name].models if model in there), *there]))
            for name, there in self._by_name.items()
        }


def _place(provider: ProviderSettings) -> str:
    address = f"{provider.origin}{provider.base_path.decode()}"
    return hashlib.sha256(address.encode()).hexdigest()[:16]


async def keep_lists(
    catalogue: Catalogue,
    connector: Connector,
    *,
    clock: Callable[[], float] = time.monotonic,
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Ask for every list now and each hour, until cancelled; one that does not come sooner. Never raises for a list."""
    await asyncio.to_thread(catalogue.read)
    await asyncio.to_thread(catalogue.warm)
    due = {provider.row.name: clock() for provider in catalogue.asked}
    while due:
        names = [name for name, at in due.items() if at <= clock()]
        failed = await ask_lists(catalogue, connector, names)
        due |= {name: clock() + (AGAIN_S if name in failed else EVERY_S) for name in names}
        await pause(max(min(due.values()) - clock(), 1.0))


async def ask_lists(catalogue: Catalogue, connector: Connector, names: list[str]) -> set[str]:
    """Ask these providers, a few at a time, and keep what comes. The names of those that had no list to give."""
    few = asyncio.Semaphore(_AT_ONCE)

    async def one(provider: ProviderSettings) -> str | None:
        async with few:
            return await _ask_list(catalogue, connector, provider)

    asked = [each for each in catalogue.asked if each.row.name in names]
    failed = set(await asyncio.gather(*(one(provider) for provider in asked))) - {None}
    if len(failed) < len(asked):
        await asyncio.to_thread(catalogue.warm)
        try:
            await asyncio.to_thread(catalogue.write)
        except OSError as error:
            _log.warning("lists of models cannot be kept: %s", error.strerror)
    return {name for name in failed if name}


async def _ask_list(catalogue: Catalogue, connector: Connector, provider: ProviderSettings) -> str | None:
    """Take one list. Its provider's name where none came: then what was there stays."""
    try:
        async with asyncio.timeout(WHOLE_S):
            models = await _pages(connector, provider)
    except (_NoList, NotAList, TimeoutError) as why:
        said = str(why) or "it took too long"
        _log.warning("no list of models came from %s: %s", provider.row.name, said)
        return provider.row.name
    except Exception as error:  # noqa: BLE001  # the edge of a task: one odd list may not end the others
        _log.error("the list of models of %s could not be taken: %s", provider.row.name, blame(error))
        return provider.row.name
    catalogue.take(provider, models, int(time.time()))
    return None


class _NoList(Exception):
    """No list came. The message says why, and names no key."""


async def _pages(connector: Connector, provider: ProviderSettings) -> tuple[ListedModel, ...]:
    """All pages. A list that is cut off is none: names would be missing of which nobody could say so."""
    shape = _SHAPES.get(provider.row.dialect, "openai")
    models: dict[str, ListedModel] = {}
    more, seen = "", set[str]()
    while True:
        heard = await ask(connector, for_models(provider, more), within_s=PAGE_S)
        if heard.error or heard.status != 200:
            raise _NoList(heard.error or f"status {heard.status}")
        # In a thread: a megabyte of JSON takes some milliseconds, in which no stream may wait.
        page = await asyncio.to_thread(read_page, heard.body, shape)
        models |= {model.id: model for model in page.models}
        seen.add(more)
        more = page.more
        if len(models) > MOST_MODELS or len(seen) >= MOST_PAGES or (more and more in seen):
            raise _NoList("it does not end")
        if not more:
            break
    if not models:
        raise _NoList("it is empty")
    return tuple(models.values())
