"""`thalweg models`: what can be called now, asked of the running server or, without one, read from the settings."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import httpx2
import msgspec
from cyclopts import Parameter

from thalweg.catalogue.facts import Facts
from thalweg.catalogue.shown import About, ShownPrice, about
from thalweg.catalogue.table import facts_of, price_of
from thalweg.cli.connection import Gateway, Unreachable, why_not
from thalweg.cli.layout import Column, Layout, Paper
from thalweg.cli.main import FAILED
from thalweg.cli.words import explain, say
from thalweg.config import ClientSettings, load, load_client
from thalweg.ledger.lock import running_server
from thalweg.profiles.providers import MODELS_DATE
from thalweg.server.catalogue import Catalogue
from thalweg.server.engines import find_engines
from thalweg.server.models import SIM_MODELS, Offer, offers

UNREACHABLE = 4
_ANSWER_S = 10.0
_OWNER_OF_SIMULATED = "thalweg"

Look = Callable[[str, str], About]
"""Says what is known of a model, by its provider and its name there."""

State = Literal["configured", "local", "simulated", "missing"]
"""Why a model can be called: its provider is set up, or found on this machine, or is the simulator; or it cannot."""


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the list."""

    name: str
    provider: str
    title: str
    state: State
    host: str
    """Where it is asked; empty for the simulator."""
    set: tuple[str, ...] = ()
    """Variables of which any one makes it callable; empty where it is."""
    context_window: int | None = None
    max_output_tokens: int | None = None
    input_modalities: tuple[str, ...] | None = None
    output_modalities: tuple[str, ...] | None = None
    price: ShownPrice | None = None


class _Row(About, frozen=True, kw_only=True):
    """One model as a gateway lists it; one of an earlier version knows no more than its name."""

    id: str
    owned_by: str = ""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """All models, callable ones first."""

    source: str
    """The URL of the server that was asked, or `settings`."""
    models_date: str
    """When the names were written down, of providers whose own lists are not asked."""
    models: list[Model]


def models(
    search: Annotated[str | None, explain("models.search")] = None,
    /,
    *,
    provider: Annotated[str | None, Parameter(metavar="NAME"), explain("models.provider")] = None,
    every: Annotated[bool, Parameter(name="--all", negative=()), explain("models.all")] = False,
    url: Annotated[str | None, Parameter(metavar="URL"), explain("models.url")] = None,
    json: Annotated[bool, Parameter(negative=()), explain("models.json")] = False,
    home: Annotated[Path | None, Parameter(metavar="FOLDER"), explain("models.home")] = None,
) -> int:
    """List the models that can be called now: `models.help` among the words says how."""
    client = load_client(url=url, home=home)
    try:
        answer = asyncio.run(_ask_or_read(client))
    except Unreachable as error:
        return _failed(say("models.unreachable", url=error.url, why=error.why), UNREACHABLE)
    except _Refused as refused:
        return _failed(str(refused), FAILED)
    shown = [model for model in answer.models if _is_wanted(model, search, every=every) and _is_of(model, provider)]
    if json:
        print(msgspec.json.encode(msgspec.structs.replace(answer, models=shown)).decode())
    elif shown:
        _print(answer, shown)
    else:
        return _failed(_none(search, provider), FAILED)
    return 0


def _none(search: str | None, provider: str | None) -> str:
    if provider is None:
        return say("models.none", search=search)
    return say("models.none_of" if search is None else "models.none_of_fit", provider=provider, search=search)


def _failed(why: str, code: int) -> int:
    print(f"thalweg: {why}", file=sys.stderr)
    return code


class _Refused(Exception):
    """The gateway is there and does not say. The message is for people."""


async def _ask_or_read(client: ClientSettings) -> Answer:
    """Ask the gateway that is named; else the server of the home, if one answers; else read the settings."""
    if client.url is not None:
        return await _ask(Gateway(url=client.url, api_key=client.api_key, ca_file=client.ca_file))
    server = running_server(client.home)
    if server is not None and server.address is not None:
        try:
            return await _ask(Gateway(url=server.address, api_key=client.api_key))
        except Unreachable:
            pass  # It is about to end; what it would have said the settings say too.
    settings = load(home=client.home)
    catalogue = Catalogue(settings)
    catalogue.read()
    known = offers(settings, await find_engines(settings), catalogue.names)
    models = _models(known, [f"sim/{name}" for name in SIM_MODELS], catalogue.about)
    return Answer(source="settings", models_date=MODELS_DATE, models=models)


async def _ask(gateway: Gateway) -> Answer:
    async with gateway.client() as client:
        try:
            told, listed = await asyncio.gather(
                _get(client, gateway, "/providers"), _get(client, gateway, "/v1/models")
            )
        except httpx2.HTTPError as error:
            raise Unreachable(gateway.url, why_not(error)) from error
    try:
        known = msgspec.convert(told["providers"], list[Offer])
        rows = msgspec.convert(listed["data"], list[_Row])
    except (KeyError, TypeError, msgspec.ValidationError) as error:
        raise _Refused(say("models.no_gateway", url=gateway.url)) from error
    by_name = {row.id: row for row in rows}
    simulated = [row.id for row in rows if row.owned_by == _OWNER_OF_SIMULATED]
    models = _models(
        known, simulated, lambda provider, name: by_name.get(f"{provider}/{name}") or _shipped(provider, name)
    )
    return Answer(source=gateway.url, models_date=told["models_date"], models=models)


def _shipped(provider: str, name: str) -> About:
    """What the table knows of a model that the gateway cannot call."""
    return about(facts_of(provider, name) or Facts(), price_of(provider, name))


async def _get(client: httpx2.AsyncClient, gateway: Gateway, path: str) -> Any:
    answer = await client.get(f"{gateway.url}{path}", timeout=_ANSWER_S)
    if answer.status_code in (401, 403):
        raise _Refused(say("models.refused", url=gateway.url))
    try:
        return answer.json()
    except ValueError as error:
        raise _Refused(say("models.no_gateway", url=gateway.url)) from error


def _models(known: list[Offer], simulated: list[str], look: Look) -> list[Model]:
    there = [_model(name, offer, look) for offer in known for name in offer.models or (f"{offer.name}/…",)]
    sims = [Model(name=name, provider="sim", title="Simulator", state="simulated", host="") for name in simulated]
    callable_now = [model for model in there if model.state != "missing"]
    return [*callable_now, *sims, *(model for model in there if model.state == "missing")]


def _model(name: str, offer: Offer, look: Look) -> Model:
    state: State = "local" if offer.found else "configured" if offer.ready else "missing"
    known = look(offer.name, name.removeprefix(f"{offer.name}/"))
    return Model(
        name=name,
        provider=offer.name,
        title=offer.title,
        state=state,
        host=offer.host,
        set=() if offer.ready else offer.key_variables if offer.needs_key else (offer.base_url_variable,),
        **{field: getattr(known, field) for field in About.__struct_fields__},
    )


def _is_wanted(model: Model, search: str | None, *, every: bool) -> bool:
    if model.state == "missing" and not every:
        return False
    return search is None or search.lower() in f"{model.name} {model.title}".lower()


def _is_of(model: Model, provider: str | None) -> bool:
    return provider is None or model.provider == provider.lower()


def _print(answer: Answer, shown: list[Model]) -> None:
    paper, aside = Paper(), Paper(stderr=True)
    columns = [
        Column(heading=say("models.col_model"), narrowest=20),
        Column(heading=say("models.col_provider"), rank=3),
        Column(heading=say("models.col_context"), right=True, rank=2),
        Column(heading=say("models.col_takes"), rank=4),
        Column(heading=say("models.col_gives"), rank=5),
        Column(heading=say("models.col_price"), right=True, rank=1),
        Column(heading=say("models.col_state")),
    ]
    # A column in which nothing is known says nothing.
    cells = [_cells(model) for model in shown]
    known = [at for at, column in enumerate(columns) if not column.rank or any(row[at] for row in cells)]
    layout = Layout([columns[at] for at in known], [[row[at] for at in known] for row in cells], paper.room)
    paper.print(layout.heading())
    for model, row in zip(shown, cells, strict=True):
        paper.print(layout.line([row[at] for at in known], style="dim" if model.state == "missing" else ""))
    source = (
        say("models.from_settings") if answer.source == "settings" else say("models.from_server", url=answer.source)
    )
    aside.print(source, style="dim")
    if any(model.price for model in shown):
        aside.print(say("models.prices"), style="dim")
    if any(model.state in {"configured", "missing"} for model in shown):
        aside.print(say("models.more_names", date=answer.models_date), style="dim")


def _cells(model: Model) -> list[str]:
    return [
        model.name,
        model.title,
        _tokens(model.context_window),
        " ".join(say(f"models.{kind}") for kind in model.input_modalities or ()),
        " ".join(say(f"models.{kind}") for kind in model.output_modalities or ()),
        _price(model.price),
        _WHERE[model.state](model),
    ]


def _tokens(count: int | None) -> str:
    """A length in thousands or millions, to three digits: 128K, 1.05M."""
    if count is None:
        return ""
    millions = count >= 1_000_000
    return f"{count / (1_000_000 if millions else 1000):.3g}{'M' if millions else 'K'}" if count >= 1000 else str(count)


def _price(price: ShownPrice | None) -> str:
    """In and out; a sign says that long prompts cost more."""
    if price is None:
        return ""
    return f"{price.input} / {price.output}{'+' if price.tiers else ''} {price.currency}"


_WHERE: dict[State, Callable[[Model], str]] = {
    "configured": lambda model: model.host.removesuffix(":443"),
    "local": lambda model: say("models.found", host=model.host),
    "simulated": lambda model: say("models.inside"),
    "missing": lambda model: say("models.set", variables=say("models.or").join(model.set)),
}
