"""`thalweg fault` as its users have it: its own gateway, one that others run, and a program that bears nothing."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.cli.terminal import own_environment, thalweg
from thalweg.cli.fault_cases import DIALECTS, PLACES, Case, cases_of
from thalweg.cli.fault_drive import Heard, judge
from thalweg.simulator.faults.table import FAULTS

KEY = "sk-fault-0123456789"


@contextmanager
def running(home: Path, *arguments: str, **env: str) -> Iterator[str]:
    """A server of ours that listens, and where."""
    process = subprocess.Popen(
        [sys.executable, "-m", "thalweg", *arguments, "--port", "0"],
        env=own_environment(home, env),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    try:
        found = next(found for line in process.stdout if (found := re.search(r"listens on (http://\S+:\d+)", line)))
        yield found[1]
    finally:
        process.terminate()
        process.communicate(timeout=30)


def ran(home: Path, *arguments: str, code: int, **env: str) -> dict[str, Any]:
    done = thalweg(home, "fault", "run", *arguments, "--json", **env)
    assert done.returncode == code, (done.stdout, done.stderr)
    return dict(json.loads(done.stdout))


def test_every_fault_is_listed_with_what_it_does(tmp_path: Path) -> None:
    done = thalweg(tmp_path, "fault", "list", "--json")
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert {each["fault"]: each["does"] for each in told} == FAULTS
    assert "sim/text?fault=reset" in thalweg(tmp_path, "fault", "list").stdout


def test_our_own_gateway_bears_every_fault_in_every_dialect(tmp_path: Path) -> None:
    told = ran(tmp_path, "--all", code=0)
    assert told["held"] and told["dialects"] == list(DIALECTS) and not told["broken"]
    assert {each["fault"] for each in told["faults"]} == FAULTS.keys()
    assert told["cases"] == len(cases_of(DIALECTS, tuple(FAULTS), prefix="sim/"))
    assert not list(tmp_path.glob("**/ledger.db")), "it has written into somebody's ledger"


def test_a_gateway_before_the_simulator_is_driven_with_its_key(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(f"{KEY}\n")
    upstream = running(tmp_path / "simulator", "simulate")
    with upstream as simulator:
        settings = {"OPENAI_BASE_URL": f"{simulator}/v1", "OPENAI_API_KEY": "sk-any-0123456789", "THALWEG_API_KEY": KEY}
        with running(tmp_path / "gateway", "serve", **settings, THALWEG_TIMEOUT_GAP_S="1") as url:
            asked = [
                "--against",
                url,
                "--models",
                "openai/",
                "--fault",
                "eof",
                "--fault",
                "stall",
                "--fault",
                "http-429",
            ]
            for spoken in DIALECTS:
                told = ran(tmp_path, *asked, "--dialect", spoken, "--key-file", str(tmp_path / "key"), code=0)
                assert told["held"], told
            refused = thalweg(tmp_path, "fault", "run", *asked)
            assert refused.returncode == 1 and "status 401" in refused.stderr


def test_who_passes_everything_on_is_found_out(tmp_path: Path) -> None:
    with running(tmp_path, "simulate") as url:
        asked = ("--against", url, "--fault", "eof", "--fault", "hang", "--fault", "crlf", "--patience", "1")
        told = ran(tmp_path, *asked, code=1)
        done = thalweg(tmp_path, "fault", "run", *asked)
    held = {each["fault"]: each for each in told["faults"]}
    assert held["hang"]["no_hang"] is False and held["eof"]["right_error"] is False
    assert held["crlf"]["no_false_end"] and held["eof"]["prefix"]
    assert {each["place"] for each in told["broken"] if each["fault"] == "eof"} == {"before", "middle", "finish"}
    assert done.returncode == 1 and "did not hold" in done.stdout and "it just ended" in done.stderr


def test_nobody_there(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        done = thalweg(tmp_path, "fault", "run", "--against", url)
    assert done.returncode == 4 and url in done.stderr and not done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--fault", "eo"], "eof"),
        (["--dialect", "chat"], "openai-chat"),
        (["--fault", "usage-beside-finish", "--dialect", "gemini"], "None of these"),
    ],
)
def test_wrong_usage_is_told(tmp_path: Path, arguments: list[str], said: str) -> None:
    done = thalweg(tmp_path, "fault", "run", *arguments)
    assert done.returncode == 2 and said in done.stderr


def test_it_speaks_chinese(tmp_path: Path) -> None:
    done = thalweg(tmp_path, "fault", "run", "--fault", "http-503", THALWEG_LANG="zh")
    assert done.returncode == 0 and "全部成立" in done.stdout and "错误正确" in done.stdout


def _case(fault: str, place: str = "middle", *, stream: bool = True) -> Case:
    assert place in PLACES
    return Case(fault=fault, dialect="openai-chat", place=place, stream=stream)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("case", "heard", "broken"),
    [
        pytest.param(_case("reset"), Heard("complete"), {"no_false_end"}, id="a reset that looks like an end"),
        pytest.param(_case("reset"), Heard("error"), {"right_error"}, id="an answer that just ends"),
        pytest.param(_case("reset"), Heard("error", error_said=True), set(), id="an error that is said"),
        pytest.param(_case("reset"), Heard("cut"), {"right_error"}, id="a connection that is cut without a word"),
        pytest.param(_case("stall"), Heard("hang"), {"no_hang", "right_error"}, id="nothing for ever"),
        pytest.param(_case("http-429"), Heard("status", None, 500, {}, True), {"right_error"}, id="another status"),
        pytest.param(_case("http-429"), Heard("status", None, 429, {}, True), set(), id="its own status"),
        pytest.param(
            _case("http-429-retry-after"), Heard("status", None, 429, {}, True), {"right_error"}, id="no Retry-After"
        ),
        pytest.param(_case("http-401"), Heard("status", None, 502, {}, True), set(), id="not the client's key"),
        pytest.param(_case("crlf"), Heard("status", None, 502, {}, True), {"right_error"}, id="an error for nothing"),
    ],
)
def test_a_verdict(case: Case, heard: Heard, broken: set[str]) -> None:
    """Of a sound answer nothing is heard here, so that each text is a prefix, and none is whole."""
    verdict = judge(case, heard, Heard("complete"))
    assert {check for check, held in verdict.held.items() if held is False} == broken
    assert bool(verdict.why) == bool(broken)
