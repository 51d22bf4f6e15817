"""The ledger's words: which settlements are believed, and those that the ledger makes itself."""

from __future__ import annotations

import msgspec
import pytest

from thalweg.canon.usage import MOST_TOKENS, Usage
from thalweg.ledger.entry import Reservation, Settlement, believable, crashed, withdrawn

ASKED = Reservation(
    request_id="r1",
    attempt=2,
    at_ms=5,
    key_id="key-a",
    dialect="gemini",
    endpoint="/v1beta/models/small:generateContent",
    provider="ark",
    model="small",
    upstream_model="small-2026",
    stream=False,
    simulated=True,
)


def settlement(**counts: int | None) -> Settlement:
    usage = Usage(**counts)
    return Settlement(request_id="r1", attempt=2, at_ms=9, outcome="complete", usage=usage, usage_source="reported")


@pytest.mark.parametrize("count", [None, 0, 1, MOST_TOKENS])
def test_counts_that_can_be_are_believed(count: int | None) -> None:
    said = settlement(input_tokens=count, audio_output_tokens=count)
    assert believable(said) is said


@pytest.mark.parametrize("name", Usage.__struct_fields__)
@pytest.mark.parametrize("count", [-1, MOST_TOKENS + 1])
def test_a_count_that_cannot_be_becomes_unknown_and_so_does_the_source(name: str, count: int) -> None:
    others = dict.fromkeys(Usage.__struct_fields__, 3)
    kept = believable(settlement(**(others | {name: count})))

    assert kept.usage == Usage(**(others | {name: None}))
    assert kept.usage_source == "unknown"


def test_a_withdrawn_attempt_used_nothing_and_that_is_known() -> None:
    ending = withdrawn(ASKED)
    assert (ending.request_id, ending.attempt, ending.outcome) == ("r1", 2, "cancelled")
    assert (ending.usage.total_tokens, ending.usage_source) == (0, "counted")


def test_what_a_crashed_attempt_used_nobody_knows() -> None:
    ending = crashed(ASKED, 77)
    assert (ending.request_id, ending.attempt, ending.at_ms, ending.outcome) == ("r1", 2, 77, "crashed")
    assert (ending.usage, ending.usage_source, ending.duration_ms) == (Usage(), "unknown", None)


@pytest.mark.parametrize("value", [ASKED, settlement(input_tokens=1)], ids=["reservation", "settlement"])
def test_postings_do_not_change(value: msgspec.Struct) -> None:
    with pytest.raises(AttributeError):
        value.request_id = "other"  # type: ignore[attr-defined]  # that is the point
