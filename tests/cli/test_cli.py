"""The command line as people and scripts meet it: what it prints, where, and its exit codes."""

from __future__ import annotations

import json
import socket
import subprocess
from pathlib import Path

import pytest

from tests.server.gateway import CHAT, KEY, ask, chat
from tests.server.process import environment, served, thalweg
from thalweg import __version__
from thalweg.ledger.store import sqlite_version_warning

SCREEN_LINES = 40
SCREEN_COLUMNS = 80


def run(home: Path, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    return thalweg(*arguments, env=environment(home, **env))


def one_line(stderr: str) -> bool:
    return stderr.startswith("thalweg: ") and stderr.count("\n") == 1


# Help


@pytest.mark.parametrize("command", [[], ["serve"], ["simulate"], ["usage"], ["decode"]])
def test_help_fits_on_a_screen_and_shows_examples(tmp_path: Path, command: list[str]) -> None:
    done = run(tmp_path, *command, "--help")
    lines = done.stdout.splitlines()
    assert (done.returncode, done.stderr) == (0, "")
    assert len(lines) <= SCREEN_LINES
    assert max(map(len, lines)) <= SCREEN_COLUMNS
    examples = lines[lines.index("Try:") + 1 :]
    assert examples[: examples.index("")]
    assert all(line.startswith("    ") and "thalweg" in line for line in examples[: examples.index("")])


def test_the_list_of_commands_says_what_each_does(tmp_path: Path) -> None:
    lines = run(tmp_path).stdout.splitlines()
    for name, sentence in {
        "serve": "Run the gateway",
        "simulate": "Run the simulator",
        "usage": "Show requests",
    }.items():
        assert any(line.strip("│ ").startswith(name) and sentence in line for line in lines)


def test_the_version(tmp_path: Path) -> None:
    done = run(tmp_path, "--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{__version__}\n", "")


@pytest.mark.parametrize(
    "arguments",
    [["nothing"], ["serve", "--bogus"], ["serve", "--port", "abc"], ["usage", "--by", "taste"], ["usage", "x", "y"]],
)
def test_wrong_usage_is_2_and_goes_to_standard_error(tmp_path: Path, arguments: list[str]) -> None:
    done = run(tmp_path, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr
    assert "Traceback" not in done.stderr


# Serve


@pytest.mark.parametrize(
    ("arguments", "env", "said"),
    [
        (["--port", "70000"], {}, "THALWEG_PORT"),
        ([], {"THALWEG_PORT": "abc"}, "THALWEG_PORT"),
        ([], {"THALWEG_DRAIN_S": "never"}, "THALWEG_DRAIN_S"),
        ([], {"THALWEG_API_KEY": "short"}, "THALWEG_API_KEY"),
        ([], {"ARK_BASE_URL": "http://127.0.0.1:8080/v1"}, "ARK_BASE_URL"),
        ([], {"THALWEG_CA_FILE": "/nonexistent"}, "THALWEG_CA_FILE"),
    ],
)
def test_a_wrong_setting_is_3_and_named(tmp_path: Path, arguments: list[str], env: dict[str, str], said: str) -> None:
    done = run(tmp_path, "serve", *arguments, **env)
    assert (done.returncode, done.stdout) == (3, "")
    assert one_line(done.stderr)
    assert said in done.stderr


def test_an_open_address_without_a_key_is_refused_with_a_command_that_works(tmp_path: Path) -> None:
    done = run(tmp_path, "serve", "--host", "0.0.0.0", "--port", "0")
    assert done.returncode == 3
    (command,) = (line.strip() for line in done.stderr.splitlines() if "export" in line)
    made = subprocess.run(["sh", "-c", f"{command}; echo $THALWEG_API_KEY"], capture_output=True, text=True, check=True)
    assert made.stdout.startswith("sk-")
    with served(tmp_path, "--host", "0.0.0.0", THALWEG_API_KEY=made.stdout.strip()) as server:
        assert ask(server.port, CHAT, chat(), key=made.stdout.strip(), headers={"host": "any.example"}).status == 200


def test_a_port_that_is_taken_is_1_and_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = run(tmp_path, "serve", "--port", port)
    assert done.returncode == 1
    assert one_line(done.stderr)
    assert f"127.0.0.1:{port}" in done.stderr


def test_a_second_server_of_one_home_is_1_and_names_the_first(tmp_path: Path) -> None:
    with served(tmp_path) as server:
        done = run(tmp_path, "serve", "--port", "0")
        assert done.returncode == 1
        assert one_line(done.stderr)
        assert f"process {server.process.pid};" in done.stderr
        assert ask(server.port, CHAT, chat()).status == 200


def test_a_home_that_cannot_be_is_1_and_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    home = tmp_path / "file" / "home"
    done = run(tmp_path, "serve", "--port", "0", "--home", str(home))
    assert done.returncode == 1
    assert one_line(done.stderr)
    assert str(home) in done.stderr
    assert "listen" not in done.stderr


def test_a_server_says_where_it_listens_and_warns_of_its_sqlite_once(tmp_path: Path) -> None:
    with served(tmp_path, ARK_API_KEY="ark-key") as server:
        assert ask(server.port, CHAT, chat()).status == 200
        server.stop()
        assert server.exit_code() == 0
        printed = "".join(server.printed)
    assert f"http://127.0.0.1:{server.port}\n" in printed
    assert "ark/…" in printed
    assert "OPENAI_API_KEY" in printed
    assert "ark-key" not in printed
    assert KEY not in printed
    warning = sqlite_version_warning()
    warnings = [json.loads(line)["event"] for line in server.printed if '"level":"warning"' in line]
    assert warnings == ([] if warning is None else [warning])
    assert (tmp_path / "ledger.db").stat().st_mode & 0o077 == 0


def test_simulate_answers_every_name(tmp_path: Path) -> None:
    with served(tmp_path, "--simulate") as server:
        assert ask(server.port, CHAT, chat("gpt-5.4-mini")).status == 200
