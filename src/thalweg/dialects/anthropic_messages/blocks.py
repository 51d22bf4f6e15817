"""Blocks of an answer and the canon's parts: what both streams and whole answers need."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from thalweg.canon.envelope import PREFIX, is_wrapped, unwrap, wrap
from thalweg.canon.parts import Citation, Signature
from thalweg.dialects.anthropic_messages.tables import VENDOR
from thalweg.dialects.anthropic_messages.wire import text_in
from thalweg.dialects.kit.frames import is_json

Block = dict[str, Any]

UNSIGNED = Signature(vendor="", model="", kind="none", data="")
"""What lies in the slot of a thought that nobody signed: clients throw away a block without a signature, and some
upstreams want the thought back all the same.
"""
NEXT = "next"
"""The part after the carrier is signed, not the carrier."""
PREVIOUS = "previous"
"""The part before the carrier is: its signature came when the part had been sent."""
ALONE = "text"
"""The carrier stands for a signed text without a word in it, which no client sends back."""


def slot_of(signature: Signature | None) -> str:
    """What stands in `signature`: our vendor's own value, or an envelope."""
    if signature is not None and signature.vendor == VENDOR:
        return signature.data
    return wrap(signature or UNSIGNED)


def carrier_of(signature: Signature, place: str) -> Block:
    """An empty thought whose slot holds the signature of a part that has none."""
    return {"type": "thinking", "thinking": "", "signature": wrap(signature, place)}


def opened(slot: str, kind: str, model: str = "") -> tuple[Signature | None, str] | None:
    """What lies in a slot, and where it belongs; `None` for an envelope that was changed on its way."""
    if not is_wrapped(slot):
        return (Signature(vendor=VENDOR, model=model, kind=kind, data=slot) if slot else None), ""
    found = unwrap(slot)
    if found is None:
        return None
    signature, place = found
    return (signature if signature.data else None), place


def form_of(signature: Signature | None) -> str:
    """What a thought's text is: Anthropic sends summaries; what others sent unsigned is the thought itself."""
    return "raw" if signature is None else "summary"


def citations_of(raw: Any) -> tuple[Citation, ...]:
    """Citations that name an address; those of places in a document stay behind."""
    found = raw if isinstance(raw, list) else ()
    return tuple(_citation(one) for one in found if isinstance(one, dict) and text_in(one.get("url")))


def _citation(raw: dict[str, Any]) -> Citation:
    quote, title = text_in(raw.get("cited_text")), text_in(raw.get("title"))
    return Citation(url=raw["url"], title=title or None, quote=quote or None)


def write_citations(citations: Iterable[Citation]) -> list[Block]:
    """Citations as a web search of Anthropic's has them. The mark in `encrypted_index` says that they are ours."""
    return [
        {
            "type": "web_search_result_location",
            "url": one.url,
            "title": one.title,
            "cited_text": one.quote or "",
            "encrypted_index": PREFIX,
        }
        for one in citations
    ]


def read_arguments(text: str) -> dict[str, Any] | None:
    """A call's arguments as an object; also one that was written as a string of JSON. `None` where they are none."""
    value: Any = text
    for _ in range(2):
        if not value.strip():
            return {}
        try:
            value = msgspec.json.decode(value)
        except (msgspec.MsgspecError, RecursionError, UnicodeError):
            return None
        if isinstance(value, dict):
            return value
        if not isinstance(value, str):
            return None
    return None


def object_of(text: str) -> msgspec.Raw:
    """A call's arguments as one JSON object, whatever they were."""
    if text.lstrip()[:1] == "{" and is_json(text):
        return msgspec.Raw(text.encode())
    found = read_arguments(text)
    return msgspec.Raw(msgspec.json.encode({"_raw": text} if found is None else found))
