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

from thalweg.cli.connection import Gateway, Unreachable, why_not
from thalweg.cli.layout import Column, Layout, Paper
from thalweg.cli.main import FAILED
from thalweg.cli.words import explain, say
from thalweg.config import ClientSettings, load, load_client
from thalweg.ledger.lock import running_server
from thalweg.profiles.providers import MODELS_DATE
from thalweg.server.engines import find_engines
from thalweg.server.models import SIM_MODELS, Offer, offers

UNREACHABLE = 4
_ANSWER_S = 10.0
_OWNER_OF_SIMULATED = "thalweg"

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
    shown = [model for model in answer.models if _is_wanted(model, search, every=every)]
    if json:
        print(msgspec.json.encode(msgspec.structs.replace(answer, models=shown)).decode())
    elif shown:
        _print(answer, shown)
    else:
        return _failed(say("models.none", search=search), FAILED)
    return 0


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
    known = offers(settings, await find_engines(settings))
    return Answer(source="settings", models_date=MODELS_DATE, models=_models(known, [f"sim/{n}" for n in SIM_MODELS]))


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
        simulated = [model["id"] for model in listed["data"] if model["owned_by"] == _OWNER_OF_SIMULATED]
        return Answer(source=gateway.url, models_date=told["models_date"], models=_models(known, simulated))
    except (KeyError, TypeError, msgspec.ValidationError) as error:
        raise _Refused(say("models.no_gateway", url=gateway.url)) from error


async def _get(client: httpx2.AsyncClient, gateway: Gateway, path: str) -> Any:
    answer = await client.get(f"{gateway.url}{path}", timeout=_ANSWER_S)
    if answer.status_code in (401, 403):
        raise _Refused(say("models.refused", url=gateway.url))
    try:
        return answer.json()
    except ValueError as error:
        raise _Refused(say("models.no_gateway", url=gateway.url)) from error


def _models(known: list[Offer], simulated: list[str]) -> list[Model]:
    there = [_model(name, offer) for offer in known for name in offer.models or (f"{offer.name}/…",)]
    sims = [Model(name=name, provider="sim", title="Simulator", state="simulated", host="") for name in simulated]
    callable_now = [model for model in there if model.state != "missing"]
    return [*callable_now, *sims, *(model for model in there if model.state == "missing")]


def _model(name: str, offer: Offer) -> Model:
    state: State = "local" if offer.found else "configured" if offer.ready else "missing"
    return Model(
        name=name,
        provider=offer.name,
        title=offer.title,
        state=state,
        host=offer.host,
        set=() if offer.ready else offer.key_variables if offer.needs_key else (offer.base_url_variable,),
    )


def _is_wanted(model: Model, search: str | None, *, every: bool) -> bool:
    if model.state == "missing" and not every:
        return False
    return search is None or search.lower() in f"{model.name} {model.title}".lower()


def _print(answer: Answer, shown: list[Model]) -> None:
    paper, aside = Paper(), Paper(stderr=True)
    columns = [
        Column(heading=say("models.col_model"), narrowest=20),
        Column(heading=say("models.col_provider"), rank=1),
        Column(heading=say("models.col_state")),
    ]
    layout = Layout(columns, [_cells(model) for model in shown], paper.room)
    paper.print(layout.heading())
    for model in shown:
        paper.print(layout.line(_cells(model), style="dim" if model.state == "missing" else ""))
    source = (
        say("models.from_settings") if answer.source == "settings" else say("models.from_server", url=answer.source)
    )
    aside.print(source, style="dim")
    if any(model.state in {"configured", "missing"} for model in shown):
        aside.print(say("models.more_names", date=answer.models_date), style="dim")


def _cells(model: Model) -> list[str]:
    return [model.name, model.title, _WHERE[model.state](model)]


_WHERE: dict[State, Callable[[Model], str]] = {
    "configured": lambda model: model.host.removesuffix(":443"),
    "local": lambda model: say("models.found", host=model.host),
    "simulated": lambda model: say("models.inside"),
    "missing": lambda model: say("models.set", variables=say("models.or").join(model.set)),
}
