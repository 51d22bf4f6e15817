"""Pictures and documents for an Anthropic upstream."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable
from typing import Any

from thalweg.canon.losses import Losses
from thalweg.canon.media import mime_of
from thalweg.canon.parts import Media
from thalweg.dialects.anthropic_messages.blocks import Block
from thalweg.dialects.anthropic_messages.tables import IMAGE_TYPES, VENDOR

_FIELD = "messages"
"""What a file is called where it cannot be carried; where it stood in the client's request is not known here."""


def write_media(media: Media, losses: Losses) -> Block | None:
    """A block, or `None` where it is left out for a lenient client."""
    if media.detail not in (None, "auto"):
        losses.drop("detail")
    write = _KINDS.get(media.kind)
    if write is None:
        losses.refuse(_FIELD, f"the model takes no {media.kind}")
        return None
    return write(media, losses)


def _file(media: Media, losses: Losses) -> Block | None:
    """A file that was uploaded somewhere: it is known there alone."""
    if media.vendor == VENDOR:
        return {"type": "file", "file_id": media.file_id}
    losses.refuse(_FIELD, "a file that was uploaded to another provider is not known here")
    return None


def _image(media: Media, losses: Losses) -> Block | None:
    if media.file_id is not None:
        source = _file(media, losses)
    elif media.url is not None:
        source = {"type": "url", "url": media.url}
    else:
        mime = mime_of(media.mime, media.data or "")
        source = {"type": "base64", "media_type": mime, "data": media.data}
        if mime not in IMAGE_TYPES:
            losses.refuse(_FIELD, "pictures must be JPEG, PNG, GIF or WebP")
            return None
    return None if source is None else {"type": "image", "source": source}


def _document(media: Media, losses: Losses) -> Block | None:
    source = _document_source(media, losses)
    if source is None:
        return None
    block: Block = {"type": "document", "source": source}
    return block | {"title": media.filename} if media.filename else block


def _document_source(media: Media, losses: Losses) -> dict[str, Any] | None:
    if media.file_id is not None:
        return _file(media, losses)
    if media.url is not None:
        return {"type": "url", "url": media.url}
    mime = mime_of(media.mime, media.data or "")
    if mime == "application/pdf":
        return {"type": "base64", "media_type": mime, "data": media.data}
    if mime is not None and (mime.startswith("text/") or mime == "application/json"):
        text = b64decode(media.data or "").decode("utf-8", "replace")
        return {"type": "text", "media_type": "text/plain", "data": text}
    losses.refuse(_FIELD, "documents must be PDF or plain text")
    return None


_KINDS: dict[str, Callable[[Media, Losses], Block | None]] = {"image": _image, "document": _document}
