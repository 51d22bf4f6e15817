"""A signature of one vendor, put so that it can lie in another vendor's slot and come back.

`gw1.` and base64url without padding of a JSON array: version-proof, and of letters that every slot takes.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode

import msgspec

from thalweg.canon.parts import Signature

PREFIX = "gw1."
MOST_CHARS = 4 * 1024 * 1024
"""The longest envelope that is opened."""

Place = str
"""What it belongs to, in the words of the dialect that wrote it: nothing for the part it lies on, or such as `next`,
`previous`, `text` or `raw:12` where its slot is another part's. Only the same dialect's reader has to understand it.
"""

_decode = msgspec.json.Decoder(tuple[str, str, str, str, str, str | None]).decode


def wrap(signature: Signature, place: Place = "") -> str:
    """The envelope of a signature."""
    fields = (place, signature.vendor, signature.model, signature.kind, signature.data, signature.item_id)
    return PREFIX + urlsafe_b64encode(msgspec.json.encode(fields)).rstrip(b"=").decode()


def is_wrapped(value: str) -> bool:
    """Whether this is an envelope, and no vendor's own value."""
    return value.startswith(PREFIX)


def unwrap(value: str) -> tuple[Signature, Place] | None:
    """What is in an envelope; `None` where it is none, or was changed on its way."""
    if not is_wrapped(value) or len(value) > MOST_CHARS:
        return None
    text = value[len(PREFIX) :]
    try:
        place, vendor, model, kind, data, item_id = _decode(urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (ValueError, msgspec.MsgspecError):
        return None
    return Signature(vendor=vendor, model=model, kind=kind, data=data, item_id=item_id), place
