"""The slot `thoughtSignature`: Google's own signatures lie in it as they are, any other vendor's in an envelope.

The slot takes base64 alone, so an envelope lies there as the base64 of its letters. google-genai sends back URL-safe
base64 of whatever it was given, so values are compared and kept in the standard alphabet.
"""

from __future__ import annotations

from base64 import b64decode, b64encode

from thalweg.canon.envelope import PREFIX, is_wrapped, unwrap, wrap
from thalweg.canon.media import standard_base64
from thalweg.canon.parts import Signature
from thalweg.dialects.gemini.tables import SIGNATURE_KIND, VENDOR

WRAPPED = "Z3cxL"
"""How the base64 of every envelope begins: of `gw1.` all but two bits."""
SKIP = b64encode(b"skip_thought_signature_validator").decode()
"""Takes the place of a signature that is lost (ai.google.dev, thought signatures, read 2026-11)."""


def read_signature(value: str | None, model: str = "") -> Signature | None:
    """The signature in a slot; `None` for none, for what is no base64, and for a broken envelope."""
    if not value:
        return None
    try:
        data = standard_base64(value)
    except ValueError:
        return None
    if data.startswith(WRAPPED):
        letters = b64decode(data)
        if letters.startswith(PREFIX.encode()):
            opened = unwrap(letters.decode("latin-1"))
            return opened[0] if opened else None
    return Signature(vendor=VENDOR, model=model, kind=SIGNATURE_KIND, data=data)


def write_signature(signature: Signature) -> str | None:
    """What lies in the slot; `None` for a value that no client would take."""
    if signature.vendor != VENDOR or is_wrapped(signature.data):
        return b64encode(wrap(signature).encode()).decode()
    return own_signature(signature)


def own_signature(signature: Signature | None) -> str | None:
    """A signature for Google itself; `None` for another vendor's."""
    if signature is None or signature.vendor != VENDOR:
        return None
    try:
        return standard_base64(signature.data)
    except ValueError:
        return None


def is_foreign(value: str) -> bool:
    """Whether a slot's value is an envelope, which means nothing to Google, broken or whole."""
    try:
        data = standard_base64(value)
    except ValueError:
        return False
    return data.startswith(WRAPPED) and b64decode(data).startswith(PREFIX.encode())
