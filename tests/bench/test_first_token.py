"""The clock of a newcomer's first token: what it copies, what it waits for, and that it ends what it started."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.first_token import copy_tree, served
from bench.process import BenchError

SERVES = """serve:
	@echo "Thalweg listens on http://127.0.0.1:4321 $(ARGS)"
	@exec sleep 60
"""
FAILS = """serve:
	@echo "no Python here"
	@false
"""


def test_the_working_tree_is_copied_without_what_git_ignores(tmp_path: Path) -> None:
    copy_tree(tmp_path)
    assert (tmp_path / "Makefile").is_file()
    assert (tmp_path / "src" / "thalweg" / "cli" / "main.py").is_file()
    assert not (tmp_path / ".venv").exists()


def test_the_address_is_read_from_what_the_gateway_says_and_the_gateway_is_ended(tmp_path: Path) -> None:
    (tmp_path / "Makefile").write_text(SERVES)
    with served(tmp_path) as address:
        assert address == "http://127.0.0.1:4321"
    assert f"--home {tmp_path}" in (tmp_path / "serve.log").read_text()


def test_a_gateway_that_does_not_start_is_no_measurement(tmp_path: Path) -> None:
    (tmp_path / "Makefile").write_text(FAILS)
    with pytest.raises(BenchError, match="no Python here"), served(tmp_path):
        pass
