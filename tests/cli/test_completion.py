"""`thalweg completion`: scripts that shells take, and a shell that completes with one."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest

from tests.cli.terminal import PATIENCE_S, own_environment, thalweg
from thalweg.cli.main import COMMANDS

BASH = shutil.which("bash")
HERE = [shell for shell in ("bash", "zsh", "fish") if shutil.which(shell)]
"""Shells of this machine. Few have all of them, and what is printed for one is made as for the others."""
needs_bash = pytest.mark.skipif(BASH is None, reason="bash is not installed here")
PROMPT = "ready> "


@pytest.fixture(scope="module")
def scripts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Each shell's script."""
    home = tmp_path_factory.mktemp("home")
    made = {}
    for shell in ("bash", "zsh", "fish"):
        done = thalweg(home, "completion", shell)
        assert (done.returncode, done.stderr) == (0, "")
        made[shell] = done.stdout
    return made


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_script_knows_every_command_and_its_options(scripts: dict[str, str], shell: str) -> None:
    for word in (*COMMANDS, "outcome", "follow", "simulate"):
        assert re.search(rf"\b{word}\b", scripts[shell]), word


@pytest.mark.parametrize("shell", HERE)
def test_a_shell_takes_its_script(scripts: dict[str, str], shell: str, tmp_path: Path) -> None:
    (tmp_path / "script").write_text(scripts[shell])
    done = subprocess.run([shell, "-n", str(tmp_path / "script")], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[pexpect.spawn[str]]:
    """A bash on a terminal that has taken the script from the program itself."""
    program = tmp_path / "thalweg"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m thalweg "$@"\n')
    program.chmod(0o755)
    environment = own_environment(tmp_path, {"PATH": f"{tmp_path}:{os.environ['PATH']}", "TERM": "dumb"})
    child = pexpect.spawn(
        str(BASH), ["--norc", "--noprofile"], env=environment, encoding="utf-8", timeout=PATIENCE_S  # type: ignore[arg-type]
    )  # fmt: skip
    child.sendline(
        f"PS1='{PROMPT}'; bind 'set show-all-if-ambiguous on'; bind 'set bell-style none'; "
        "source <(thalweg completion bash); echo wa''s taken"
    )
    child.expect("was taken")
    child.expect(PROMPT)
    yield child
    child.close(force=True)


@needs_bash
@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        pytest.param("thalweg us", "thalweg usage ", id="a command"),
        pytest.param("thalweg usage --b", "thalweg usage --by ", id="an option"),
        pytest.param("thalweg usage --by o", "thalweg usage --by outcome ", id="a value"),
        pytest.param("thalweg usage --by ", r"day +key +model +outcome +provider", id="all values"),
        pytest.param("thalweg completion z", "thalweg completion zsh ", id="a word"),
        pytest.param("thalweg serve --op", "thalweg serve --open ", id="a flag"),
    ],
)
def test_a_bash_completes(shell: pexpect.spawn[str], typed: str, shown: str) -> None:
    shell.send(f"{typed}\t")
    shell.expect(shown)


def test_installing_puts_it_where_bash_looks_and_says_so(tmp_path: Path) -> None:
    (tmp_path / ".bashrc").write_text("alias ll='ls -l'\n")
    for _ in range(2):
        done = thalweg(tmp_path, "completion", "bash", "--install")
        assert (done.returncode, done.stdout) == (0, "")
    file = tmp_path / ".local/share/bash-completion/completions/thalweg"
    assert str(file) in done.stderr
    assert "~/.bashrc" in done.stderr
    startup = (tmp_path / ".bashrc").read_text()
    assert startup.startswith("alias ll='ls -l'\n")
    assert startup.count(f'. "{file}"') == 1, "once, however often it is installed"


def test_installing_where_it_cannot_be_is_1_and_named(tmp_path: Path) -> None:
    (tmp_path / ".config").write_text("")
    done = thalweg(tmp_path, "completion", "fish", "--install")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("thalweg: cannot write ")
    assert done.stderr.count("\n") == 1


def test_without_a_name_it_is_the_shell_that_calls(tmp_path: Path) -> None:
    assert "complete -F" in thalweg(tmp_path, "completion", BASH_VERSION="5.2").stdout


def test_a_shell_that_is_none_is_2(tmp_path: Path) -> None:
    done = thalweg(tmp_path, "completion", "tcsh")
    assert (done.returncode, done.stdout) == (2, "")
    assert "bash" in done.stderr
