"""The edge of the process: no traceback whenever Ctrl-C comes, wherever the output goes, whatever is closed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.cli.terminal import PATIENCE_S, own_environment

FULL = Path("/dev/full")


def run(home: Path, command: Sequence[str], **streams: int) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        env=own_environment(home, {"THALWEG_FIND_ENGINES": "0"}),
        text=True,
        check=False,
        timeout=2 * PATIENCE_S,
        **{"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | streams,
    )


# Ctrl-C

INTERRUPTED_AT = """
import os, signal, sys

wanted = sys.argv.pop(1)

class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == wanted:
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupting())
from thalweg.cli.main import run
run()
"""


@pytest.mark.parametrize("module", ["thalweg.cli.commands", "thalweg.cli.words", "thalweg.cli.models", "httpx2"])
def test_an_interruption_while_it_is_loaded_is_130_without_a_word(tmp_path: Path, module: str) -> None:
    """Loading is most of a short command's time, so that is where Ctrl-C comes."""
    done = run(tmp_path, [sys.executable, "-c", INTERRUPTED_AT, module, "models"])
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


# Output


@pytest.mark.skipif(not FULL.exists(), reason=f"there is no {FULL}")
@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["models"], ["doctor"], ["chat", "-m", "sim/text?pace=0", "hi"], ["completion", "bash"]],
    ids=lambda arguments: str(arguments[0]),
)
def test_output_that_has_no_room_is_told_in_a_line(tmp_path: Path, arguments: list[str]) -> None:
    full = os.open(FULL, os.O_WRONLY)
    try:
        done = run(tmp_path, [sys.executable, "-m", "thalweg", *arguments], stdout=full)
    finally:
        os.close(full)
    assert (done.returncode, done.stderr) == (1, "thalweg: No space left on device\n")


@pytest.mark.parametrize("closed", ["0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-"])
@pytest.mark.parametrize("arguments", ["models", "-m sim/text?pace=0 hi"])
def test_a_stream_that_is_closed_is_done_without(tmp_path: Path, arguments: str, closed: str) -> None:
    command = "models" if arguments == "models" else f"chat {arguments}"
    done = run(tmp_path, ["sh", "-c", f'exec "{sys.executable}" -m thalweg {command} {closed}'])
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert ("sim/text" in done.stdout or "hi" in done.stdout) == ("1>" not in closed)


# Input


@pytest.mark.parametrize(
    "arguments",
    [
        ["decode", "--dialect", "openai-chat", "\udcff"],
        ["doctor", "--json", "--home", "\udcfe"],
        ["logs", "\udcff"],
        ["logs", "--model", "\udcff"],
        ["models", "\udcff"],
        ["usage", "--home", "\udcfe"],
        ["chat", "hi", "-i", "\udcff"],
        ["\udcff"],
    ],
    ids=lambda arguments: str(arguments[0]).encode(errors="replace").decode(),
)
def test_words_that_are_no_text_are_no_crash(tmp_path: Path, arguments: list[str]) -> None:
    (tmp_path / "\udcff").write_bytes(b"{}")
    done = subprocess.run(
        [sys.executable, "-m", "thalweg", *arguments],
        env=own_environment(tmp_path, {"THALWEG_FIND_ENGINES": "0"}),
        cwd=tmp_path,
        capture_output=True,
        check=False,
        timeout=2 * PATIENCE_S,
    )
    assert b"Traceback" not in done.stderr, done.stderr.decode(errors="replace")
    done.stdout.decode()
