"""`thalweg doctor`: what it finds on a sound machine and on broken ones, and that it calls nobody unasked."""

from __future__ import annotations

import json
import re
import resource
import shutil
import socket
import ssl
import time
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.cli.answering import Answering
from tests.cli.entries import NOW_MS, fill
from tests.cli.terminal import Terminal, thalweg
from tests.live.gateway import Gateway
from thalweg.cli import checks, reached, storage
from thalweg.cli.checks import CHECKS
from thalweg.cli.machine import Machine
from thalweg.cli.words import sentences
from thalweg.config import proxy_variables
from thalweg.ledger.store import sqlite_version_warning
from thalweg.profiles.providers import PROVIDERS

ALONE = {"THALWEG_FIND_ENGINES": "0"}
"""Engines that really run on this machine are no part of a test."""
KEYS = {"OPENAI_API_KEY": "sk-openai-for-tests", "ARK_API_KEY": "sk-ark-for-tests"}


MODULES = (checks, reached, storage)
"""Where findings are made."""


def examined(home: Path, *arguments: str, code: int = 0, **env: str) -> dict[str, list[dict[str, Any]]]:
    """What was found, by check. The port is one that nobody has, unless it is given."""
    done = thalweg(home, "doctor", "--json", *arguments, **ALONE | {"THALWEG_PORT": free_port()} | env)
    assert done.returncode == code, done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert told["ok"] is (code == 0)
    assert not any(key in done.stdout + done.stderr for key in KEYS.values())
    found: dict[str, list[dict[str, Any]]] = {}
    for finding in told["checks"]:
        found.setdefault(finding["check"], []).append(finding)
    return found


def free_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return str(taken.getsockname()[1])


def codes(found: dict[str, list[dict[str, Any]]], check: str) -> list[str]:
    return [finding["code"] for finding in found[check]]


# A sound machine


def test_a_fresh_installation_is_well(tmp_path: Path) -> None:
    found = examined(tmp_path / "home")
    assert list(found) == [check.name for check in CHECKS if check.name != "ping"]
    worse = {name for name, findings in found.items() for each in findings if each["status"] == "fail"}
    assert not worse
    assert codes(found, "home") == ["home_new"]
    assert codes(found, "ledger") == ["ledger_none"]
    assert codes(found, "server") == ["server_none"]
    assert codes(found, "sqlite") == ["sqlite_old" if sqlite_version_warning() else "sqlite"]
    assert not (tmp_path / "home").exists(), "looking makes no home"


def test_every_provider_is_told_with_its_variable(tmp_path: Path) -> None:
    env = KEYS | {"ARK_BASE_URL": "http://127.0.0.1:9/api/v3"}
    found = examined(tmp_path, **env)
    assert codes(found, "providers") == ["provider", "provider", "provider_placed", "providers_more"]
    said = [finding["message"] for finding in found["providers"]]
    assert "OPENAI_API_KEY is set" in said[0]
    assert "http://127.0.0.1:9/api/v3" in said[2]
    assert "ARK_BASE_URL" in said[2]
    wanted = [row.key_variable for row in PROVIDERS if row.needs_key and not row.sibling_of]
    assert found["providers"][3]["values"]["variables"].split(", ") == [name for name in wanted if name not in KEYS]


def test_a_second_dialect_is_told_of_where_it_was_placed_itself(tmp_path: Path) -> None:
    env = {"DASHSCOPE_API_KEY": "sk-dashscope-for-tests"}
    assert codes(examined(tmp_path, **env), "providers") == ["provider", "providers_more"]
    found = examined(tmp_path, **env, DASHSCOPE_HTTP_BASE_URL="http://127.0.0.1:9/api/v1")
    assert codes(found, "providers") == ["provider", "provider_placed", "providers_more"]
    assert "DASHSCOPE_HTTP_BASE_URL" in found["providers"][1]["message"]


def test_a_running_server_is_found_ready_and_on_its_port(tmp_path: Path) -> None:
    with Gateway(tmp_path) as gateway:
        found = examined(tmp_path, THALWEG_PORT=str(gateway.port))
        assert codes(found, "server") == ["server"]
        assert found["server"][0]["values"] == {"pid": gateway.pid, "url": gateway.url, "status": 200}
        assert codes(found, "port") == ["port_ours"]
        assert codes(found, "ledger") == ["ledger"]
        gateway.kill()
    assert codes(examined(tmp_path), "server") == ["server_none"]


def test_an_engine_of_this_machine_is_found(tmp_path: Path) -> None:
    with Answering(200, {"data": [{"id": "qwen3:8b", "owned_by": "library"}]}) as engine:
        found = examined(tmp_path, OLLAMA_BASE_URL=f"{engine.url}/v1")
    assert codes(found, "engines") == ["engine"]
    assert "qwen3:8b" in found["engines"][0]["message"]


def test_what_is_switched_off_or_on_is_told(tmp_path: Path) -> None:
    found = examined(tmp_path, THALWEG_SIMULATE="1")
    assert codes(found, "settings") == ["settings", "key_none", "settings_simulate"]
    assert codes(found, "engines") == ["engines_off"]


# Broken ones


def test_a_wrong_setting_fails_and_the_rest_is_still_looked_at(tmp_path: Path) -> None:
    found = examined(tmp_path, code=1, THALWEG_PORT="many")
    assert codes(found, "settings") == ["settings_wrong"]
    assert "THALWEG_PORT" in found["settings"][0]["message"]
    assert found["settings"][0]["do"]
    assert {"home", "sqlite", "clock"} <= set(found)


def test_a_port_of_another_program_fails(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        found = examined(tmp_path, code=1, THALWEG_PORT=str(other.getsockname()[1]))
    assert codes(found, "port") == ["port_taken"]


def test_a_home_that_cannot_be_made_fails(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    found = examined(tmp_path, "--home", str(tmp_path / "file" / "home"), code=1)
    assert codes(found, "home") == ["home_closed"]


def test_a_ledger_that_is_none_fails(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").write_bytes(b"no database" * 1000)
    assert codes(examined(tmp_path, code=1), "ledger") == ["ledger_broken"]


Change = Callable[[pytest.MonkeyPatch], None]
Usage = namedtuple("Usage", "total used free")


def disk(free: int) -> Change:
    return lambda patch: patch.setattr(shutil, "disk_usage", lambda _: Usage(10**12, 0, free))


def files(soft: int) -> Change:
    return lambda patch: patch.setattr(resource, "getrlimit", lambda _: (soft, soft))


def year(number: int) -> Change:
    return lambda patch: patch.setattr(time, "gmtime", lambda: SimpleNamespace(tm_year=number))


def no_certificates(patch: pytest.MonkeyPatch) -> None:
    nowhere = SimpleNamespace(cafile=None, capath=None)
    patch.setattr(ssl, "get_default_verify_paths", lambda: nowhere)


def proxy(**env: str) -> Change:
    def change(patch: pytest.MonkeyPatch) -> None:
        for name in proxy_variables():
            patch.delenv(name)
        for name, value in env.items():
            patch.setenv(name, value)

    return change


PROXY = {"HTTPS_PROXY": "http://user:password@proxy.example:3128"}


@pytest.mark.parametrize(
    ("check", "change", "expected"),
    [
        pytest.param("home", disk(10**12), ("ok", "home"), id="much room"),
        pytest.param("home", disk(10**9), ("warn", "home_full"), id="little room"),
        pytest.param("home", disk(10**7), ("fail", "home_full"), id="no room"),
        pytest.param("files", files(65536), ("ok", "files"), id="many files"),
        pytest.param("files", files(1024), ("warn", "files_few"), id="few files"),
        pytest.param("files", files(resource.RLIM_INFINITY), ("ok", "files_unlimited"), id="any number of files"),
        pytest.param("clock", year(1970), ("fail", "clock_wrong"), id="a clock that was never set"),
        pytest.param("clock", year(2026), ("ok", "clock"), id="a clock that may be right"),
        pytest.param("certificates", no_certificates, ("warn", "certificates_none"), id="no certificates"),
        pytest.param("proxies", proxy(), ("ok", "proxies_none"), id="no proxy"),
        pytest.param("proxies", proxy(**PROXY), ("note", "proxies_unused"), id="a proxy that is not used"),
        pytest.param(
            "proxies", proxy(**PROXY, THALWEG_PROXY="environment"), ("ok", "proxies_used"), id="one that is used"
        ),
    ],
)
def test_a_check_sees(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, check: str, change: Change, expected: tuple[str, str]
) -> None:
    change(monkeypatch)
    run = next(row.run for row in CHECKS if row.name == check)
    (finding,) = run(Machine(home=tmp_path, ping=False))
    assert (finding.status, finding.code) == expected
    assert "password" not in str(finding.values)


def test_a_clock_that_went_back_is_seen_by_the_ledger(tmp_path: Path) -> None:
    fill(tmp_path, [({"at_ms": NOW_MS + 3_600_000}, {})])
    (finding,) = checks.clock(Machine(home=tmp_path, ping=False))
    assert (finding.status, finding.code) == ("warn", "clock_back")


# Asking providers


def test_nobody_is_asked_unless_it_is_wished(tmp_path: Path) -> None:
    with Answering(200, {"data": []}) as provider:
        found = examined(tmp_path, **KEYS, ARK_BASE_URL=provider.url, OPENAI_BASE_URL=provider.url)
        assert "ping" not in found
        assert provider.asked == []


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        pytest.param(200, {"data": [{"id": "one"}]}, ("ok", "ping"), id="takes the key"),
        pytest.param(200, b"<html>", ("warn", "ping_odd"), id="a page"),
        pytest.param(401, {}, ("fail", "ping_refused"), id="refuses the key"),
        pytest.param(402, {}, ("warn", "ping_unpaid"), id="wants money"),
        pytest.param(404, {}, ("warn", "ping_no_list"), id="a wrong path"),
        pytest.param(429, {}, ("ok", "ping_busy"), id="busy"),
        pytest.param(500, {}, ("warn", "ping_status"), id="an error"),
    ],
)
def test_a_provider_that_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int, body: Any, expected: tuple[str, str]
) -> None:
    with Answering(status, body) as provider:
        for name, value in {"ARK_API_KEY": KEYS["ARK_API_KEY"], "ARK_BASE_URL": provider.url}.items():
            monkeypatch.setenv(name, value)
        (finding,) = reached.pings(Machine(home=tmp_path, ping=True))
        assert len(provider.asked) == 1
    assert (finding.status, finding.code) == expected
    assert finding.values["title"] == "Volcengine Ark"
    assert KEYS["ARK_API_KEY"] not in str(finding.values)


def test_google_says_in_its_own_words_that_a_key_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = {"error": {"code": 400, "details": [{"reason": "API_KEY_INVALID"}]}}
    with Answering(400, said) as provider:
        monkeypatch.setenv("GEMINI_API_KEY", "a-key-for-tests")
        monkeypatch.setenv("GEMINI_BASE_URL", f"{provider.url}/v1beta")
        (finding,) = reached.pings(Machine(home=tmp_path, ping=True))
    assert (finding.status, finding.code, finding.values["variable"]) == ("fail", "ping_refused", "GEMINI_API_KEY")


def test_asking_is_announced_and_a_refusal_fails(tmp_path: Path) -> None:
    with Answering(401, {"error": {"message": "no"}}) as provider:
        env = {"ARK_API_KEY": KEYS["ARK_API_KEY"], "ARK_BASE_URL": provider.url, "THALWEG_PORT": free_port()}
        done = thalweg(tmp_path, "doctor", "--ping", **env)
    assert done.returncode == 1
    assert done.stderr == "Asking for the list of models, one request each: Volcengine Ark\n"
    assert "Volcengine Ark refuses ARK_API_KEY (status 401)." in done.stdout
    assert "→ Check the key" in done.stdout
    assert "To mend: 1" in done.stdout


# How it looks


@pytest.mark.parametrize("columns", [80, 120])
@pytest.mark.parametrize(("lang", "said"), [("en", "All settings can be read."), ("zh", "所有设置都能读懂。")])
def test_a_terminal_shows_marks_in_a_column(tmp_path: Path, lang: str, said: str, columns: int) -> None:
    env = KEYS | {"THALWEG_LANG": lang, "THALWEG_PORT": free_port()}
    with Terminal(tmp_path, "doctor", rows=60, columns=columns, env=env) as terminal:
        assert terminal.exit_code() == 0
    rows = [row for row in terminal.rows if row]
    assert all(re.match(r"  [✓·!✗] |  +", row) for row in rows)
    assert any(row.endswith(said) for row in rows)
    named = [row.split()[1] for row in rows if re.match(r"  [✓·!✗] \w", row)]
    assert named == [check.name for check in CHECKS if check.name != "ping"]
    assert not any(row.startswith(("Looking", "正在看")) for row in rows), "what it looked at is wiped away"
    assert "sk-openai" not in terminal.text


def test_a_pipe_gets_whole_lines_without_colour(tmp_path: Path) -> None:
    done = thalweg(tmp_path, "doctor", THALWEG_PORT=free_port())
    assert (done.returncode, done.stderr) == (0, "")
    assert "\x1b" not in done.stdout
    assert any(line.endswith(", SILICONFLOW_API_KEY") for line in done.stdout.splitlines())


def test_every_finding_of_the_code_has_its_sentence_and_every_sentence_its_finding() -> None:
    source = "".join(Path(module.__file__).read_text(encoding="utf-8") for module in MODULES)
    keys = {key.removeprefix("doctor.") for key in sentences("en") if key.startswith("doctor.")}
    findings = {key for key in keys if not key.endswith("_do") and not key.startswith("verdict_")}
    named = set(re.findall(r'"([a-z]+(?:_[a-z]+)*)"', source))
    assert findings - named == {"help", "ping_flag", "json", "home_flag", "asking", "looking"}
    assert {key.removesuffix("_do") for key in keys if key.endswith("_do")} <= findings
    for code in re.findall(r'Finding\(\s*"\w+",\s*"(\w+)"', source):
        assert code in findings
