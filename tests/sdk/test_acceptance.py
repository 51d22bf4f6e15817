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

GROUPS = "wire,openai,ark"
"""What this version speaks."""
BEHAVIOURS = 80
"""How many these groups have. Fewer means that a client did not start."""


@pytest.fixture
def suite() -> Path:
    """A copy of the suite in which its own `setup.sh` has run."""
    named = os.environ.get("THALWEG_TEST_ACCEPTANCE")
    if not named:
        pytest.skip("THALWEG_TEST_ACCEPTANCE does not name a copy of the acceptance suite that is set up (see .ci/run)")
    suite = Path(named)
    assert (suite / "run_all.py").is_file(), f"THALWEG_TEST_ACCEPTANCE names {named!r}, where there is no suite"
    return suite


@pytest.mark.timeout(300)
def test_no_behaviour_fails_and_none_is_skipped(suite: Path, gateway: Gateway, tmp_path: Path) -> None:
    found = tmp_path / "results.json"
    done = subprocess.run(
        [sys.executable, str(suite / "run_all.py"), "--only", GROUPS, "--strict", "--quiet", "--json", str(found)],
        env=clean_environment({"BASE_URL": gateway.url, "API_KEY": gateway.key}),
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert found.is_file(), done.stdout + done.stderr
    results = json.loads(found.read_text())["results"]
    assert [row for row in results if row["result"] != "PASS"] == [], done.stdout
    assert len(results) >= BEHAVIOURS
    assert done.returncode == 0, done.stdout + done.stderr
    # Whatever the clients did, each of their requests has its entry, and none is our fault.
    assert {entry.outcome for entry in gateway.settled(1)} <= {"complete", "cancelled", "refused", "upstream_error"}
