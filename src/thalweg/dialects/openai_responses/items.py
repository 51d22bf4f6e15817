"""Output items: what they mean, and how they are written. Streams and whole answers share them."""

from __future__ import annotations

from base64 import b32encode
from collections.abc import Callable, Iterable
from hashlib import sha256
from typing import Any

from thalweg.canon.envelope import is_wrapped, unwrap, wrap
from thalweg.canon.ids import call_id
from thalweg.canon.parts import Citation, Opaque, Part, Reasoning, Refusal, Signature, Text, ToolCall
from thalweg.dialects.openai_responses.tables import NAME, OUR_MARK, PREVIOUS, SUMMARY_SEPARATOR, VENDOR
from thalweg.dialects.openai_responses.wire import objects, string

Item = dict[str, Any]


# Reading.


def parts_of_item(item: Item, *, model: str, about: tuple[object, ...]) -> list[Part]:
    """What an item means. `about` is what an id is made of, where a call has none."""
    return _READERS.get(string(item.get("type")), _opaque)(item, model, about)


def _message(item: Item, _: str, __: tuple[object, ...]) -> list[Part]:
    parts: list[Part] = []
    for content in objects(item.get("content")):
        if text := string(content.get("text")):
            parts.append(Text(text=text, citations=citations_of(content.get("annotations"))))
        if refusal := string(content.get("refusal")):
            parts.append(Refusal(text=refusal))
    return parts


def _reasoning(item: Item, model: str, _: tuple[object, ...]) -> list[Part]:
    form, text = reasoning_text(item)
    signature = signature_of(item, model)
    if not text and signature is None:
        return []
    part_form: Any = form
    redacted = signature is not None and signature.kind == "redacted"
    return [Reasoning(text=text, form=part_form, signature=signature, redacted=redacted)]


def _function_call(item: Item, _: str, about: tuple[object, ...]) -> list[Part]:
    return [
        ToolCall(id=id_of_call(item, about), name=string(item.get("name")), arguments=string(item.get("arguments")))
    ]


def _custom_call(item: Item, _: str, about: tuple[object, ...]) -> list[Part]:
    text = string(item.get("input"))
    return [ToolCall(id=id_of_call(item, about), name=string(item.get("name")), arguments=text, kind="custom")]


def _opaque(item: Item, _: str, __: tuple[object, ...]) -> list[Part]:
    return [Opaque(dialect=NAME, raw=item)]


_READERS: dict[str, Callable[[Item, str, tuple[object, ...]], list[Part]]] = {
    "message": _message,
    "reasoning": _reasoning,
    "function_call": _function_call,
    "custom_tool_call": _custom_call,
}


def id_of_call(item: Item, about: tuple[object, ...]) -> str:
    """The name by which a call is answered; `id` is the item's own and counts for nothing."""
    return string(item.get("call_id")) or call_id(None, *about)


def reasoning_text(item: Item) -> tuple[str, str]:
    """Form and text of a reasoning item. Where both are there, the thoughts themselves and not their summary."""
    for form, field in (("raw", "content"), ("summary", "summary")):
        texts = [string(part.get("text")) for part in objects(item.get(field))]
        if text := SUMMARY_SEPARATOR.join(filter(None, texts)):
            return form, text
    return "hidden", ""


def signature_of(item: Item, model: str) -> Signature | None:
    """The ciphertext of a reasoning item; of an envelope, what is in it, unless that belongs to another part."""
    data = string(item.get("encrypted_content"))
    if not data:
        return None
    if is_wrapped(data):
        found = unwrap(data)
        return found[0] if found and not found[1] else None
    return Signature(vendor=VENDOR, model=model, kind="encrypted", data=data, item_id=string(item.get("id")) or None)


def citations_of(annotations: Any) -> tuple[Citation, ...]:
    """The citations that every dialect can say: those of an address. Files are the provider's own."""
    return tuple(filter(None, map(_citation, objects(annotations))))


def _citation(raw: dict[str, Any]) -> Citation | None:
    url = string(raw.get("url"))
    if not url:
        return None
    start, end = raw.get("start_index"), raw.get("end_index")
    return Citation(
        url=url,
        title=string(raw.get("title")) or None,
        start=start if type(start) is int else None,
        end=end if type(end) is int else None,
    )


def logprobs_of(raw: Any) -> dict[str, Any] | None:
    """Log probabilities as the canon has them; `None` where there are none."""
    return {"content": raw} if isinstance(raw, list) and raw else None


# Writing.


class ItemIds:
    """Ids of one answer's items. The same answer has the same, and one can see that they are ours."""

    __slots__ = ("_made", "_stem")

    def __init__(self, response_id: str) -> None:
        digest = sha256(response_id.encode("utf-8", "surrogatepass")).digest()
        self._stem = OUR_MARK + b32encode(digest[:15]).decode().lower()
        self._made = 0

    def next(self, prefix: str) -> str:
        """The id of the next item."""
        self._made += 1
        return f"{prefix}{self._stem}{self._made:x}"


def is_ours(item_id: str) -> bool:
    """Whether an item's id was made here, so that no provider knows it."""
    return item_id.partition("_")[2].startswith(OUR_MARK)


PREFIXES = {"message": "msg_", "reasoning": "rs_", "function_call": "fc_", "custom_tool_call": "ctc_"}


def write_text(text: str, citations: Iterable[Citation] = (), logprobs: Iterable[Any] = ()) -> dict[str, Any]:
    """An `output_text` part with every field that the SDKs' types want."""
    return {
        "type": "output_text",
        "annotations": [write_citation(citation, len(text)) for citation in citations],
        "logprobs": [write_token(token) for token in logprobs],
        "text": text,
    }


def write_refusal(text: str) -> dict[str, Any]:
    """A `refusal` part."""
    return {"type": "refusal", "refusal": text}


def write_citation(citation: Citation, length: int) -> dict[str, Any]:
    """A `url_citation`. All fields must be there: what it is about is the whole text, where nobody said."""
    return {
        "type": "url_citation",
        "start_index": 0 if citation.start is None else citation.start,
        "end_index": length if citation.end is None else citation.end,
        "url": citation.url,
        "title": citation.title or "",
    }


def write_token(token: Any) -> Any:
    """One token's log probability, with the fields that Responses' types want."""
    if not isinstance(token, dict):
        return token
    bytes_of = token.get("bytes")
    if not isinstance(bytes_of, list):
        bytes_of = list(string(token.get("token")).encode("utf-8", "replace"))
    top = [write_top_token(each) for each in objects(token.get("top_logprobs"))]
    return token | {"bytes": bytes_of, "top_logprobs": top}


def write_top_token(token: dict[str, Any]) -> dict[str, Any]:
    """One of the most likely tokens."""
    if isinstance(token.get("bytes"), list):
        return token
    return token | {"bytes": list(string(token.get("token")).encode("utf-8", "replace"))}


def write_message(item_id: str, content: list[dict[str, Any]], status: str) -> Item:
    """A `message` item."""
    return {"id": item_id, "type": "message", "status": status, "content": content, "role": "assistant"}


def write_call(item_id: str, call: ToolCall, status: str) -> Item:
    """A `function_call` item, or a `custom_tool_call` one."""
    head = {"id": item_id, "type": type_of_call(call.kind), "status": status}
    if call.kind == "custom":
        return head | {"call_id": call.id, "input": call.arguments, "name": call.name}
    return head | {"arguments": call.arguments or "{}", "call_id": call.id, "name": call.name}


def type_of_call(kind: str) -> str:
    """The type of a call's item."""
    return "custom_tool_call" if kind == "custom" else "function_call"


def write_reasoning(item_id: str, form: str, text: str, encrypted: str | None = None) -> Item:
    """A `reasoning` item. Thoughts stand in its content, what is told of them in its summary."""
    item: Item = {"id": item_id, "type": "reasoning", "summary": []}
    if text and form == "summary":
        item["summary"] = [{"type": "summary_text", "text": text}]
    elif text:
        item["content"] = [{"type": "reasoning_text", "text": text}]
    if encrypted is not None:
        item["encrypted_content"] = encrypted
    return item


def write_signature(signature: Signature, item_id: str) -> str:
    """The value for `encrypted_content`: our own vendor's as it was, unless it must go back under another id."""
    if signature.vendor == VENDOR and signature.item_id in (None, item_id):
        return signature.data
    return wrap(signature)


def write_carrier(item_id: str, signature: Signature) -> Item:
    """A reasoning item that carries the signature of the part before it, which has no place for one."""
    return write_reasoning(item_id, "hidden", "", wrap(signature, PREVIOUS))
