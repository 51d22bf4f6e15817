"""Whose dialect each is. The others' answers are signed by nobody."""

from __future__ import annotations

import random
import uuid

from thalweg.simulator.vendors.anthropic import ANTHROPIC
from thalweg.simulator.vendors.base import PLAIN, Vendor
from thalweg.simulator.vendors.google import GOOGLE
from thalweg.simulator.vendors.openai import OPENAI


def _uuid(rng: random.Random) -> str:
    return str(uuid.UUID(int=rng.getrandbits(128), version=4))


VENDORS: dict[str, Vendor] = {
    "anthropic": ANTHROPIC,
    "gemini": GOOGLE,
    "openai-responses": OPENAI,
    "dashscope-native": Vendor(response_id=_uuid),
}
"""By the name of the dialect."""


def vendor_of(dialect: str) -> Vendor:
    """The vendor whose dialect it is."""
    return VENDORS.get(dialect, PLAIN)
