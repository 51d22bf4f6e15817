"""The page about Python: every program on it runs, and it names what there is."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import thalweg

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "python-api.md"


def test_the_programs_of_the_page_run_in_their_order(tmp_path: Path) -> None:
    programs = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(programs) == 7
    file = tmp_path / "page.py"
    file.write_text("\n".join(programs), encoding="utf-8")
    environment = {"THALWEG_HOME": str(tmp_path), "PYTHONPATH": str(ROOT / "src"), "PYTHONWARNINGS": "error"}
    done = subprocess.run(
        [sys.executable, str(file)], capture_output=True, text=True, env=environment, check=False, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "Baltic" in done.stdout
    assert "\nFalse\n" in done.stdout
    assert "rate_limit 429 True" in done.stdout
    assert "\nHi True None\n" in done.stdout
    assert "event: message_stop" in done.stdout


def test_every_event_and_function_is_named() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert [
        name for name in thalweg.__all__ if name.startswith(("Part", "Response", "Choice")) and name not in page
    ] == []
    assert [name for name in thalweg.__all__ if name.islower() and name not in page and name != "__version__"] == []
