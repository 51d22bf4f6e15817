"""What the tests read of a program's words and of its ledger entries."""

from __future__ import annotations

import re

from tests.sdk.examples import Ran
from thalweg.ledger.entry import Entry

_WORDS = {
    "stop": {"stop", "end_turn", "completed", "STOP"},
    "tool_calls": {"tool_calls", "tool_use", "completed", "STOP"},
}
"""How upstreams of other dialects than Chat call an end."""


def assert_complete(entry: Entry, finish: str = "stop") -> None:
    assert (entry.outcome, entry.usage_source) == ("complete", "reported")
    assert entry.finish_reason in _WORDS.get(finish, {finish})
    assert entry.usage.input_tokens
    assert entry.usage.output_tokens
    assert entry.upstream_status == 200
    assert entry.error_kind is None
    assert entry.ttft_ms is not None


def assert_stopped(entry: Entry) -> None:
    """The client went: no end was reached, and what had been said was counted."""
    assert (entry.outcome, entry.finish_reason, entry.error_kind) == ("cancelled", None, None)
    assert entry.usage_source in ("counted", "estimated")
    assert entry.usage.output_tokens


def numbers(pattern: str, ran: Ran) -> tuple[int, ...]:
    """The numbers that the program printed there."""
    found = re.search(pattern, ran.said)
    assert found, ran.said
    return tuple(map(int, found.groups()))


def in_and_out(entry: Entry) -> tuple[int | None, int | None]:
    return entry.usage.input_tokens, entry.usage.output_tokens
