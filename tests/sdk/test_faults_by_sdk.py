"""Every fault that the simulator can make, as the official `openai` package meets it behind the gateway.

An answer that breaks keeps the text that came and raises; one that is whole reads as if nothing had been odd.
"""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from tests.live.gateway import Gateway, clean_environment
from tests.sdk.examples import sdk_program
from thalweg.ledger.entry import Entry
from thalweg.simulator import FAULTS

pytestmark = pytest.mark.sdk

BEFORE_THE_ANSWER = {
    "refuse": "InternalServerError",
    "http-400": "BadRequestError",
    "http-404": "NotFoundError",
    "http-408": "APIStatusError",
    "http-409": "ConflictError",
    "http-413": "APIStatusError",
    "http-429": "RateLimitError",
    "http-500": "InternalServerError",
    "http-502": "InternalServerError",
    "http-503": "InternalServerError",
    "http-504": "InternalServerError",
    "http-529": "InternalServerError",
    "http-429-retry-after": "RateLimitError",
    "http-503-retry-after": "InternalServerError",
    "error-first": "InternalServerError",
    # The gateway's own key at the provider is none of the client's business.
    "http-401": "InternalServerError",
    "http-402": "InternalServerError",
    "http-403": "InternalServerError",
}
"""The exception of a status. None of them may look like an answer, or like a wrong key of the client's."""
IN_THE_ANSWER = ("error-midstream", "bad-json", "reset", "eof", "fin")
HARMLESS = (
    *("usage-missing", "usage-early", "usage-shrinking", "usage-beside-finish"),
    *("args-whole", "args-broken", "args-empty"),
    *("tool-index-missing", "tool-index-repeated", "tool-index-interleaved"),
    *("comments", "blanks", "crlf", "cr", "no-space", "multi-line", "big-frame"),
    *("double-done", "no-done", "trickle", "cut-utf8"),
)
SILENT = ("hang", "stall")
"""Nothing comes any more: what is done about that depends on time, and is tested where time is an input."""

Met = dict[str, tuple[dict[str, Any], Entry]]


def model_of(fault: str) -> str:
    return f"sim/text?pace=0&seed=1&fault={fault}" if fault else "sim/text?pace=0&seed=1"


@pytest.fixture(scope="module")
def met(gateway: Gateway) -> Met:
    """By the fault's name: what the package read, and the entry. The empty name is an answer without fault."""
    faults = ["", *BEFORE_THE_ANSWER, *IN_THE_ANSWER, *HARMLESS]
    done = subprocess.run(
        [*sdk_program("read_streams.py"), "chunks"],
        input=json.dumps([model_of(fault) for fault in faults]).encode(),
        env=clean_environment({"BASE_URL": f"{gateway.url}/v1", "API_KEY": gateway.key}),
        capture_output=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    entries = {entry.model: entry for entry in gateway.settled_since(0, len(faults))}
    readings = json.loads(done.stdout)
    return {fault: (read, entries[model_of(fault)]) for fault, read in zip(faults, readings, strict=True)}


def test_every_fault_is_in_a_table() -> None:
    assert sorted([*BEFORE_THE_ANSWER, *IN_THE_ANSWER, *HARMLESS, *SILENT]) == sorted(FAULTS)


@pytest.mark.parametrize(("fault", "exception"), BEFORE_THE_ANSWER.items(), ids=BEFORE_THE_ANSWER)
def test_what_fails_before_the_answer_has_a_status(met: Met, fault: str, exception: str) -> None:
    read, entry = met[fault]
    assert read["error"]["exception"] == exception
    assert read["choices"] == {}
    assert entry.outcome == ("refused" if fault.startswith("http-") else "upstream_error")
    # Of what the upstream never heard of, nothing was used; of the rest nothing is known.
    assert entry.usage.output_tokens == (0 if fault == "refuse" else None)


@pytest.mark.parametrize("fault", IN_THE_ANSWER)
def test_what_breaks_in_the_answer_raises_and_keeps_the_text(met: Met, fault: str) -> None:
    read, entry = met[fault]
    assert read["error"]["exception"] == "APIError"
    assert read["error"]["message"]
    said, whole = read["choices"]["0"], met[""][0]["choices"]["0"]
    assert said["finish_reason"] is None
    assert said["text"]
    assert whole["text"].startswith(said["text"])
    assert said["text"] != whole["text"]
    assert (entry.outcome, entry.usage_source) == ("upstream_error", "estimated")
    assert entry.usage.output_tokens


@pytest.mark.parametrize("fault", HARMLESS)
def test_what_is_only_odd_is_read_as_if_nothing_were(met: Met, fault: str) -> None:
    read, entry = met[fault]
    assert read["error"] is None
    assert read["choices"] == met[""][0]["choices"]
    assert (entry.outcome, entry.finish_reason) == ("complete", "stop")
    assert bool(read["usage"]) is (entry.usage_source == "reported") is (fault != "usage-missing")
    if read["usage"]:
        (usage,) = read["usage"]
        assert usage["completion_tokens"] == entry.usage.output_tokens
