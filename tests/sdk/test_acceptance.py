"""The acceptance suite: unmodified clients and their usual behaviours, against a gateway as it is started."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.live.gateway import Gateway, clean_environment

pytestmark = [pytest.mark.sdk, pytest.mark.node, pytest.mark.slow]

BEHAVIOURS = 180
"""How many the suite has. Fewer means that a client did not start."""
ONE_OF_EACH = "openai_sync,openai_responses,anthropic_sync,genai_sync"
"""A client of each dialect, and how many behaviours they have."""
BEHAVIOURS_OF_EACH = 63
UNASKED = "Chat's request asks for no thoughts, and this provider gives them only to who asks"
DEVIATIONS = {
    ("sim-responses", "openai_sync", "reasoning"): UNASKED,
    ("sim-anthropic", "openai_sync", "reasoning"): UNASKED,
}
"""What is otherwise at another dialect's upstream, and why."""
UPSTREAMS = ("sim-chat", "sim-responses", "sim-anthropic", "sim-gemini", "sim-dashscope")


@pytest.fixture
def suite() -> Path:
    """A copy of the suite in which its own `setup.sh` has run."""
    named = os.environ.get("THALWEG_TEST_ACCEPTANCE")
    if not named:
        pytest.skip("THALWEG_TEST_ACCEPTANCE does not name a copy of the acceptance suite that is set up (see .ci/run)")
    suite = Path(named)
    assert (suite / "run_all.py").is_file(), f"THALWEG_TEST_ACCEPTANCE names {named!r}, where there is no suite"
    return suite


def behave(
    suite: Path, gateway: Gateway, folder: Path, *arguments: str, upstream: str = "", **models: str
) -> list[dict[str, str]]:
    """Run behaviours; all results. What fails is what is known to, and no more."""
    found = folder / "results.json"
    done = subprocess.run(
        [sys.executable, str(suite / "run_all.py"), "--strict", "--quiet", "--json", str(found), *arguments],
        env=clean_environment({"BASE_URL": gateway.url, "API_KEY": gateway.key} | models),
        capture_output=True,
        text=True,
        timeout=580,
        check=False,
    )
    assert found.is_file(), done.stdout + done.stderr
    results: list[dict[str, str]] = json.loads(found.read_text())["results"]
    failed = {(row["client"], row["case"]) for row in results if row["result"] != "PASS"}
    assert failed == {(client, case) for at, client, case in DEVIATIONS if at == upstream}, done.stdout
    # Whatever the clients did, each of their requests has its entry, and none is our fault.
    assert {entry.outcome for entry in gateway.settled(1)} <= {"complete", "cancelled", "refused", "upstream_error"}
    return results


@pytest.mark.timeout(600)
def test_no_behaviour_fails_and_none_is_skipped(suite: Path, gateway: Gateway, tmp_path: Path) -> None:
    assert len(behave(suite, gateway, tmp_path)) >= BEHAVIOURS


@pytest.mark.timeout(600)
@pytest.mark.parametrize("upstream", UPSTREAMS)
def test_none_fails_where_the_upstream_has_another_dialect(
    suite: Path, gateway: Gateway, tmp_path: Path, upstream: str
) -> None:
    models = {
        "SIM_TEXT": f"{upstream}/text",
        "SIM_REASONING": f"{upstream}/reasoning",
        "SIM_TOOLS": f"{upstream}/tools",
        "SIM_ERROR_MIDSTREAM": f"{upstream}/error-midstream",
        "SIM_SLOW": f"{upstream}/slow",
        "UNKNOWN_MODEL": f"{upstream}/no-such-model",
    }
    results = behave(suite, gateway, tmp_path, "--only", ONE_OF_EACH, upstream=upstream, **models)
    assert len(results) >= BEHAVIOURS_OF_EACH
