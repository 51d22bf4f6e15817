"""Aliases as the file gives them: checked, and each led to the models behind it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec.structs import replace

from thalweg.canon.policy import Alias, Attempts, Route, Waits
from thalweg.config.kinds import Spot
from thalweg.config.variables import nearest

_MOST_ROUTES = 64


class _Way(msgspec.Struct, frozen=True):
    """One route as it was written, before it is known where it leads."""

    model: str
    weight: int
    waits: Mapping[str, float]
    spot: Spot


def read_aliases(
    tree: Mapping[str, dict[str, Any]], spot: Spot, known: set[str], attempts: Attempts
) -> dict[str, Alias]:
    """The aliases of a file by their names. What is wrong is noted; then there may be some missing."""
    written = {name: _ways(said, spot.below(name)) for name, said in tree.items()}
    # Those that are wrong in themselves are no longer in the tree, and yet are names.
    names = {str(way[1]) for way in spot.reading.lines if len(way) == 2 and way[:1] == spot.way}
    before = len(spot.reading.problems)
    for name, ways in written.items():
        _check_name(name, ways, spot.below(name))
        for way in ways:
            _check(way, names, known)
    for name in written:
        _check_circle(name, written, spot.below(name))
    if len(spot.reading.problems) == before:
        _check_many(written, spot)
    if len(spot.reading.problems) > before:
        return {}
    made = {}
    for name, said in tree.items():
        made[name] = Alias(
            name=name,
            routes=tuple(route for way in written[name] for route in _routes(way, written)),
            order=said.get("order", "ordered"),
            attempts=replace(attempts, **said["attempts"]) if "attempts" in said else None,
            leave=said.get("leave"),
        )
    return made


def _ways(said: Mapping[str, Any], spot: Spot) -> list[_Way]:
    lists = spot.below("routes") if (*spot.way, "routes") in spot.reading.lines else spot
    return [
        _Way(each["model"], each.get("weight", 1), each.get("timeouts", {}), lists.below(position))
        for position, each in enumerate(said.get("routes", []))
    ]


def _check_name(name: str, ways: list[_Way], spot: Spot) -> None:
    if "/" in name:
        spot.wrong("alias_slash")
    elif not ways:
        spot.wrong("alias_empty")


def _check(way: _Way, aliases: set[str], known: set[str]) -> None:
    provider, slash, model = way.model.partition("/")
    if not slash:
        if way.model not in aliases:
            way.spot.wrong("alias_no_alias", name=way.model)
    elif provider not in known:
        near = nearest(provider, sorted(known))
        if near:
            way.spot.wrong("alias_unknown_near", name=provider, near=f"{near}/{model}")
        else:
            way.spot.wrong("alias_unknown", name=provider)
    elif not model:
        way.spot.wrong("alias_no_model", name=way.model)


def _check_circle(name: str, written: Mapping[str, list[_Way]], spot: Spot) -> None:
    """Follow every route from an alias, and say so where one leads back to it."""
    paths: list[tuple[str, ...]] = [(name,)]
    seen = {name}
    while paths:
        path = paths.pop()
        for way in written[path[-1]]:
            if way.model == name:
                spot.wrong("alias_circle", way=" → ".join((*path, name)))
                return
            if way.model in written and way.model not in seen:
                seen.add(way.model)
                paths.append((*path, way.model))


def _check_many(written: Mapping[str, list[_Way]], spot: Spot) -> None:
    """Aliases of aliases double with each step: count before they are written out."""
    counted: dict[str, int] = {}

    def count(name: str) -> int:
        if name not in counted:
            counted[name] = sum(count(way.model) if way.model in written else 1 for way in written[name])
        return counted[name]

    for name in written:
        if count(name) > _MOST_ROUTES:
            spot.below(name).wrong("alias_many", most=_MOST_ROUTES)


def _routes(way: _Way, written: Mapping[str, list[_Way]]) -> list[Route]:
    """The models behind a route: one, or those of the alias that it names, with its share and its waits."""
    if way.model not in written:
        return [Route(model=way.model, weight=way.weight, timeouts=Waits(**way.waits))]
    return [
        Route(
            model=inner.model,
            weight=inner.weight * way.weight,
            timeouts=Waits(**{**inner.timeouts.said(), **way.waits}),
        )
        for each in written[way.model]
        for inner in _routes(each, written)
    ]
