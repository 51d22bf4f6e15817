"""Marks for the prompt's cache: where they stand, and no more of them than Anthropic takes."""

from __future__ import annotations

from collections.abc import Iterable

from thalweg.canon.losses import Losses
from thalweg.dialects.anthropic_messages.blocks import Block
from thalweg.dialects.anthropic_messages.tables import HOUR

MOST = 4
"""Marks that one request may have."""
_FIELD = "cache_control"
_LONG = frozenset({HOUR, "12h", "24h"})


def mark(block: Block, cache: str | None) -> Block:
    """The block, marked where the client wants the prompt up to it cached. Anthropic has two lengths: 5m and 1h."""
    if cache is None:
        return block
    control: dict[str, str] = {"type": "ephemeral"}
    if cache in _LONG:
        control["ttl"] = HOUR
    return block | {_FIELD: control}


def limit(blocks: Iterable[Block], losses: Losses) -> None:
    """Take away the first of too many marks: the last ones cover what the first would have."""
    marked = [block for block in blocks if _FIELD in block]
    for block in marked[:-MOST]:
        losses.drop(_FIELD, f"no more than {MOST} may stand in a request")
        del block[_FIELD]
