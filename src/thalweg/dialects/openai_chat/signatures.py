"""Where Chat has room for signatures: `reasoning_details`, as OpenRouter has them, and `extra_content` of a call, as
Google's own Chat endpoint has it. Both survive in clients that keep fields which they do not know.

The text of a thought stands in `reasoning_content` alone, so that nobody reads it twice. Of an answer's thoughts that
is one string; each envelope says how long its own share of it is, because a vendor wants back what it has signed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Literal, NamedTuple, cast

from thalweg.canon.envelope import is_wrapped, unwrap, wrap
from thalweg.canon.parts import Part, Reasoning, Signature, Text

OPENROUTER = "openrouter"
"""The vendor of details that are no envelopes of ours."""
GOOGLE = "google"

_OF_TEXT = "text"
_OF_NOTHING = "empty"
"""Places of envelopes that lie on the answer's text, or on a text of their own that is empty."""
_THOUGHT = re.compile(r"(raw|summary|hidden):([0-9]{1,9})")
"""Place of an envelope that lies on so many characters of the thoughts."""


def thought_detail(
    signature: Signature, length: int, number: int, *, redacted: bool = False, form: str = "raw"
) -> dict[str, Any]:
    """The detail of one part of the reasoning, whose text has that many characters."""
    data = signature.data if signature.vendor == OPENROUTER else wrap(signature, f"{form}:{length}")
    if redacted or not length:
        return {"type": "reasoning.encrypted", "data": data, "format": signature.kind, "index": number}
    return {"type": "reasoning.text", "signature": data, "format": signature.kind, "index": number}


def text_detail(signature: Signature, number: int, *, empty: bool) -> dict[str, Any]:
    """The detail of a signature that lies on text."""
    data = wrap(signature, _OF_NOTHING if empty else _OF_TEXT)
    return {"type": "reasoning.encrypted", "data": data, "format": signature.kind, "index": number}


def call_extra(signature: Signature) -> dict[str, Any]:
    """`extra_content` of a call."""
    return {GOOGLE: {"thought_signature": signature.data if signature.vendor == GOOGLE else wrap(signature)}}


def call_signature(extra: Any, model: str = "") -> Signature | None:
    """The signature in a call's `extra_content`."""
    google = extra.get(GOOGLE) if isinstance(extra, dict) else None
    data = google.get("thought_signature") if isinstance(google, dict) else None
    if not isinstance(data, str) or not data:
        return None
    if is_wrapped(data):
        found = unwrap(data)
        return found[0] if found else None
    return Signature(vendor=GOOGLE, model=model, kind="thought", data=data)


class _Thought(NamedTuple):
    """A signature of a thought, and what is known of its text."""

    signature: Signature
    form: Literal["raw", "summary", "hidden"]
    length: int | None


def signed_parts(details: Any, reasoning: str, content: list[Part]) -> list[Part]:
    """An assistant's reasoning and text in the history, with their signatures where the details have them."""
    thoughts: list[_Thought] = []
    content = list(content)
    for detail in details if isinstance(details, list) else ():
        data = (detail.get("signature") or detail.get("data")) if isinstance(detail, dict) else None
        if not isinstance(data, str) or not data:
            continue
        if not is_wrapped(data):
            kind = str(detail.get("format") or detail.get("type") or "signature")
            thoughts.append(_Thought(Signature(vendor=OPENROUTER, model="", kind=kind, data=data), "raw", None))
        elif found := unwrap(data):
            signature, place = found
            if of := _THOUGHT.fullmatch(place):
                form = cast(Literal["raw", "summary", "hidden"], of[1])
                thoughts.append(_Thought(signature, form, int(of[2])))
            else:
                _sign_text(content, signature, empty=place == _OF_NOTHING)
    return [*_thoughts(thoughts, reasoning), *content]


def _thoughts(found: list[_Thought], reasoning: str) -> list[Reasoning]:
    """The reasoning, shared out among its signatures; without those that no longer fit."""
    lengths = [thought.length for thought in found if thought.length is not None]
    if found and len(lengths) == len(found) and sum(lengths) == len(reasoning):
        parts, at = [], 0
        for signature, form, length in found:
            text = reasoning[at : at + (length or 0)]
            at += length or 0
            redacted = signature.kind == "redacted"
            parts.append(Reasoning(text=text, form=form, signature=signature, redacted=redacted))
        return parts
    if len(found) == 1 and found[0].length is None:
        return [Reasoning(text=reasoning, signature=found[0].signature)]
    return [Reasoning(text=reasoning)] if reasoning else []


def _sign_text(content: list[Part], signature: Signature, *, empty: bool) -> None:
    if empty:
        content.append(Text(text="", signature=signature))
        return
    for at in range(len(content) - 1, -1, -1):
        part = content[at]
        if isinstance(part, Text):
            content[at] = Text(text=part.text, signature=signature)
            return


def message_details(parts: Iterable[Part]) -> list[dict[str, Any]]:
    """The details of a whole answer."""
    found: list[dict[str, Any]] = []
    for part in parts:
        if isinstance(part, Reasoning) and part.signature:
            found.append(
                thought_detail(part.signature, len(part.text), len(found), redacted=part.redacted, form=part.form)
            )
        elif isinstance(part, Text) and part.signature:
            found.append(text_detail(part.signature, len(found), empty=not part.text))
    return found
