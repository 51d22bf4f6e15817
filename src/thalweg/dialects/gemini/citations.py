"""Where a text comes from: `groundingMetadata` and `citationMetadata` both ways.

Gemini counts bytes of UTF-8 where the canon counts characters, and says the places when the text is long gone. So
places are carried only for a text that is ASCII as a whole; sources always are.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from thalweg.canon.parts import Citation


class Found(NamedTuple):
    """A citation, with its place in bytes."""

    url: str
    title: str | None
    start: int | None = None
    end: int | None = None


def found_in(grounding: Any, citation: Any) -> list[Found]:
    """The citations of one candidate's metadata."""
    return [*_grounded(grounding), *_cited(citation)]


def canonical(found: Iterable[Found], *, placed: bool) -> tuple[Citation, ...]:
    """As the canon has them; with their places where these can be said."""
    return tuple(
        Citation(url=each.url, title=each.title, start=each.start, end=each.end)
        if placed
        else Citation(url=each.url, title=each.title)
        for each in found
    )


def _grounded(grounding: Any) -> Iterable[Found]:
    if not isinstance(grounding, dict):
        return
    sources = [_source(chunk) for chunk in _list(grounding.get("groundingChunks"))]
    supported: set[int] = set()
    for support in _list(grounding.get("groundingSupports")):
        segment = support.get("segment") if isinstance(support, dict) else None
        if not isinstance(segment, dict):
            continue
        for at in _list(support.get("groundingChunkIndices")):
            if type(at) is int and 0 <= at < len(sources) and (source := sources[at]):
                supported.add(at)
                yield Found(*source, *_place(segment))
    for at, source in enumerate(sources):
        if source and at not in supported:
            yield Found(*source)


def _source(chunk: Any) -> tuple[str, str | None] | None:
    for kind in ("web", "retrievedContext", "maps"):
        inner = chunk.get(kind) if isinstance(chunk, dict) else None
        if isinstance(inner, dict) and isinstance(inner.get("uri"), str) and inner["uri"]:
            return inner["uri"], inner["title"] if isinstance(inner.get("title"), str) else None
    return None


def _cited(citation: Any) -> Iterable[Found]:
    if not isinstance(citation, dict):
        return
    for each in _list(citation.get("citations") or citation.get("citationSources")):
        if isinstance(each, dict) and isinstance(each.get("uri"), str) and each["uri"]:
            title = each.get("title")
            yield Found(each["uri"], title if isinstance(title, str) else None, *_place(each))


def _place(segment: dict[str, Any]) -> tuple[int | None, int | None]:
    """A place; a start that is missing is zero, as everywhere in Google's JSON."""
    start, end = segment.get("startIndex", 0), segment.get("endIndex")
    if type(start) is not int or type(end) is not int:
        return None, None
    return start, end


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def grounding_of(citations: Iterable[Citation], *, placed: bool) -> dict[str, Any]:
    """`groundingMetadata` that says these; with places where the text was ASCII."""
    chunks: list[dict[str, Any]] = []
    places: dict[tuple[str, str | None], int] = {}
    supports: list[dict[str, Any]] = []
    for each in citations:
        key = (each.url, each.title)
        if key not in places:
            places[key] = len(chunks)
            chunks.append({"web": {"uri": each.url} | ({"title": each.title} if each.title else {})})
        if placed and each.start is not None and each.end is not None:
            segment = {"startIndex": each.start, "endIndex": each.end}
            supports.append({"segment": segment, "groundingChunkIndices": [places[key]]})
    return {"groundingChunks": chunks} | ({"groundingSupports": supports} if supports else {})
