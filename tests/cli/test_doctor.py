"""`thalweg doctor`: what it finds on a sound machine and on broken ones, and that it calls nobody unasked."""

from __future__ import annotations

import datetime
import json
import os
import re
import resource
import shutil
import socket
import sqlite3
import ssl
import time
from collections import namedtuple
from collections.abc import Callable
from contextlib import closing
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trustme

from tests.cli.answering import Answering
from tests.cli.entries import NOW_MS, fill
from tests.cli.terminal import Terminal, thalweg
from tests.live.gateway import Gateway
from thalweg.cli import checks, hardware, passage, reached, storage
from thalweg.cli.checks import CHECKS
from thalweg.cli.machine import Finding, Machine
from thalweg.cli.words import sentences
from thalweg.config import proxy_variables
from thalweg.ledger.health import look
from thalweg.ledger.store import sqlite_version_warning
from thalweg.profiles.providers import PROVIDERS

ALONE = {"THALWEG_FIND_ENGINES": "0"}
"""Engines that really run on this machine are no part of a test."""
KEYS = {"OPENAI_API_KEY": "sk-openai-for-tests", "ARK_API_KEY": "sk-ark-for-tests"}


ASKING = ("network", "ping")
"""Checks that ask providers, and say nothing where none is set up."""
MODULES = (checks, hardware, passage, reached, storage)
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
    assert list(found) == [check.name for check in CHECKS if check.name not in (*ASKING, "disk")]
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
    assert codes(found, "settings") == ["settings", "settings_set", "key_none", "settings_simulate"]
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


def damaged(path: Path) -> None:
    """Overwrite the middle of every page but the first, where rows are."""
    data = bytearray(path.read_bytes())
    for page in range(4096, len(data), 4096):
        data[page : page + 64] = b"\xff" * 64
    path.write_bytes(data)


def with_pages_that_hold_nothing(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE much (bytes BLOB)")
        connection.executemany("INSERT INTO much VALUES (zeroblob(?))", [(1024 * 1024,)] * 20)
        connection.commit()
        connection.execute("DROP TABLE much")
        connection.commit()


def behind(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 0")


def out_of_wal(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA journal_mode = DELETE").fetchone() == ("delete",)


def of_the_future(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 1000")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param(lambda path: None, [("ok", "ledger")], id="whole"),
        pytest.param(damaged, [("fail", "ledger_damaged")], id="damaged"),
        pytest.param(
            with_pages_that_hold_nothing, [("ok", "ledger"), ("note", "ledger_free")], id="much of it is free"
        ),
        pytest.param(behind, [("ok", "ledger"), ("note", "ledger_behind")], id="of an older version"),
        pytest.param(of_the_future, [("fail", "ledger_broken")], id="of a newer version"),
        pytest.param(out_of_wal, [("ok", "ledger"), ("warn", "ledger_journal")], id="not in WAL mode"),
    ],
)
def test_a_ledgers_file(tmp_path: Path, change: Callable[[Path], None], expected: list[tuple[str, str]]) -> None:
    fill(tmp_path, [({"request_id": f"req-{number}"}, {}) for number in range(200)])
    change(tmp_path / "ledger.db")
    found = list(storage.ledger(Machine(home=tmp_path)))
    assert [(each.status, each.code) for each in found] == expected


def test_a_ledger_that_is_too_large_is_read_as_long_as_there_is_time(tmp_path: Path) -> None:
    fill(tmp_path, [({"request_id": f"req-{number}"}, {}) for number in range(500)])
    assert look(tmp_path / "ledger.db").read_whole
    hurried = look(tmp_path / "ledger.db", within_s=-1)
    assert (hurried.read_whole, hurried.faults) == (False, ())


def test_the_disk_is_tried_and_nothing_stays(tmp_path: Path) -> None:
    (finding,) = storage.disk(Machine(home=tmp_path))
    assert finding.code in ("disk", "disk_slow")
    assert float(str(finding.values["worst"]).replace(",", "")) >= float(str(finding.values["middle"])) > 0
    assert finding.values["kind"] != "?"
    assert list(tmp_path.iterdir()) == []


Change = Callable[[pytest.MonkeyPatch], None]
Usage = namedtuple("Usage", "total used free")


def disk(free: int) -> Change:
    return lambda patch: patch.setattr(shutil, "disk_usage", lambda _: Usage(10**12, 0, free))


def files(soft: int) -> Change:
    return lambda patch: patch.setattr(resource, "getrlimit", lambda _: (soft, soft))


def sqlite_of(*number: int) -> Change:
    return lambda patch: patch.setattr(sqlite3, "sqlite_version_info", number)


def mounted(kind: str) -> Change:
    return lambda patch: patch.setattr(storage, "_file_system", lambda _: kind)


def fsync(took_s: float, error: OSError | None = None) -> Change:
    def sync(_: int) -> None:
        now[0] += took_s
        if error is not None:
            raise error

    now = [0.0]

    def change(patch: pytest.MonkeyPatch) -> None:
        patch.setattr(os, "fsync", sync)
        patch.setattr(storage.time, "perf_counter", lambda: now[0])

    return change


def free_memory(mib: int) -> Change:
    return lambda patch: patch.setattr(hardware, "_free_bytes", lambda: mib * 1024 * 1024)


def without(package: str) -> Change:
    def version(name: str) -> str:
        if name == package:
            raise PackageNotFoundError(name)
        return "1.0"

    return lambda patch: patch.setattr(hardware, "version", version)


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
        pytest.param("sqlite", sqlite_of(3, 51, 3), ("ok", "sqlite"), id="the mended SQLite"),
        pytest.param("sqlite", sqlite_of(3, 53, 0), ("ok", "sqlite"), id="a later one"),
        pytest.param("sqlite", sqlite_of(3, 51, 2), ("warn", "sqlite_old"), id="the last that was not mended"),
        pytest.param("sqlite", sqlite_of(3, 44, 6), ("ok", "sqlite"), id="mended in an older line"),
        pytest.param("sqlite", sqlite_of(3, 44, 5), ("warn", "sqlite_old"), id="an older line before that"),
        pytest.param("sqlite", sqlite_of(3, 45, 9), ("warn", "sqlite_old"), id="a line that was never mended"),
        pytest.param("sqlite", sqlite_of(3, 50, 7), ("ok", "sqlite"), id="mended in the line before"),
        pytest.param("sqlite", sqlite_of(3, 52, 0), ("warn", "sqlite_withdrawn"), id="the withdrawn one"),
        pytest.param("disk", fsync(0.001), ("ok", "disk"), id="a quick disk"),
        pytest.param("disk", fsync(0.05), ("warn", "disk_slow"), id="a slow disk"),
        pytest.param("disk", fsync(0, OSError(28, "No space left")), ("fail", "disk_broken"), id="a full disk"),
        pytest.param("disk", mounted("nfs4"), ("fail", "disk_networked"), id="a network's disk"),
        pytest.param("memory", free_memory(4096), ("ok", "memory"), id="much memory"),
        pytest.param("memory", free_memory(256), ("warn", "memory_little"), id="little memory"),
        pytest.param("loop", without("nothing"), ("ok", "loop"), id="uvloop is there"),
        pytest.param("loop", without("uvloop"), ("fail", "loop_missing"), id="no uvloop"),
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
    (finding,) = run(Machine(home=tmp_path))
    assert (finding.status, finding.code) == expected
    assert "password" not in str(finding.values)


def test_a_clock_that_went_back_is_seen_by_the_ledger(tmp_path: Path) -> None:
    fill(tmp_path, [({"at_ms": NOW_MS + 3_600_000}, {})])
    (finding,) = reached.clock(Machine(home=tmp_path))
    assert (finding.status, finding.code) == ("warn", "clock_back")


# Asking providers


def test_nobody_is_asked_where_nobody_is_there_to_agree(tmp_path: Path) -> None:
    with Answering(200, {"data": []}) as provider:
        env = KEYS | {"ARK_BASE_URL": provider.url, "OPENAI_BASE_URL": provider.url}
        found = examined(tmp_path, **env)
        assert codes(found, "network") == ["network_unasked"]
        found = examined(tmp_path, "--offline", "--yes", **env)
        assert codes(found, "network") == ["network_offline"]
        assert "ping" not in found
        assert provider.asked == []


@pytest.mark.parametrize(
    ("word", "asked"), [pytest.param("", True, id="enter"), ("y", True), ("是", True), ("n", False), ("what", False)]
)
def test_on_a_terminal_it_says_what_it_will_send_and_waits_for_a_word(tmp_path: Path, word: str, asked: bool) -> None:
    with Answering(200, {"data": [{"id": "one"}]}) as provider:
        env = {"ARK_API_KEY": KEYS["ARK_API_KEY"], "ARK_BASE_URL": provider.url, "THALWEG_PORT": free_port()}
        with Terminal(tmp_path, "doctor", rows=60, env=ALONE | env) as terminal:
            terminal.until("Ask them? [Y/n]")
            said = " ".join(terminal.rows)
            assert "One request for the list of models, with the key, which costs nothing: Volcengine Ark" in said
            assert provider.asked == []
            terminal.line(word)
            assert terminal.exit_code() == 0
        assert bool(provider.asked) is asked
        assert ("takes ARK_API_KEY: 1 models" in terminal.text) is asked
        assert ("Nobody was asked, as you wished." in terminal.text) is not asked
        assert KEYS["ARK_API_KEY"] not in terminal.text


PAGE = b"<!DOCTYPE html><html><body>Welcome</body></html>"


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        pytest.param(200, {"data": [{"id": "one"}]}, ("ok", "ping"), id="takes the key"),
        pytest.param(200, b"none", ("warn", "ping_odd"), id="no list"),
        pytest.param(200, PAGE, ("fail", "ping_page"), id="a page"),
        pytest.param(302, {}, ("fail", "ping_moved"), id="elsewhere"),
        pytest.param(401, {}, ("fail", "ping_refused"), id="refuses the key"),
        pytest.param(403, {}, ("fail", "ping_refused"), id="forbids"),
        pytest.param(403, PAGE, ("fail", "ping_page"), id="a firewall's page"),
        pytest.param(402, {}, ("warn", "ping_unpaid"), id="wants money"),
        pytest.param(404, {}, ("fail", "ping_wrong_place"), id="a wrong path"),
        pytest.param(404, PAGE, ("fail", "ping_page"), id="a page's wrong path"),
        pytest.param(418, {}, ("warn", "ping_status"), id="an odd status"),
        pytest.param(429, {}, ("warn", "ping_busy"), id="at its limit"),
        pytest.param(500, {}, ("warn", "ping_trouble"), id="an error"),
        pytest.param(503, PAGE, ("warn", "ping_trouble"), id="a page of its gateway's"),
    ],
)
def test_a_provider_that_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int, body: Any, expected: tuple[str, str]
) -> None:
    with Answering(status, body) as provider:
        for name, value in {"ARK_API_KEY": KEYS["ARK_API_KEY"], "ARK_BASE_URL": provider.url}.items():
            monkeypatch.setenv(name, value)
        (finding,) = reached.pings(Machine(home=tmp_path, asking="yes"))
        assert len(provider.asked) == 1
    assert (finding.status, finding.code) == expected
    assert finding.values["title"] == "Volcengine Ark"
    assert KEYS["ARK_API_KEY"] not in str(finding.values)


def test_google_says_in_its_own_words_that_a_key_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = {"error": {"code": 400, "details": [{"reason": "API_KEY_INVALID"}]}}
    with Answering(400, said) as provider:
        monkeypatch.setenv("GEMINI_API_KEY", "a-key-for-tests")
        monkeypatch.setenv("GEMINI_BASE_URL", f"{provider.url}/v1beta")
        (finding,) = reached.pings(Machine(home=tmp_path, asking="yes"))
    assert (finding.status, finding.code, finding.values["variable"]) == ("fail", "ping_refused", "GEMINI_API_KEY")


def test_asking_is_announced_and_a_refusal_fails(tmp_path: Path) -> None:
    with Answering(401, {"error": {"message": "no"}}) as provider:
        env = {"ARK_API_KEY": KEYS["ARK_API_KEY"], "ARK_BASE_URL": provider.url, "THALWEG_PORT": free_port()}
        done = thalweg(tmp_path, "doctor", "--yes", **env)
    assert done.returncode == 1
    assert done.stderr == "One request for the list of models, with the key, which costs nothing: Volcengine Ark\n"
    assert "Volcengine Ark: key refused (ARK_API_KEY), status 401" in done.stdout
    assert "→ Check the key" in done.stdout
    assert "To mend: 1" in done.stdout


# The way to them


def way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, base: str, **env: str) -> Finding:
    for name, value in ({"ARK_API_KEY": KEYS["ARK_API_KEY"], "ARK_BASE_URL": base} | env).items():
        monkeypatch.setenv(name, value)
    machine = Machine(home=tmp_path, asking="yes")
    (finding,) = reached.network(machine)
    assert bool(machine.pongs) is (finding.status != "fail"), "who cannot be reached is sent nothing"
    return finding


def test_each_step_of_the_way_fails_by_its_own_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = f"http://127.0.0.1:{free_port()}"
    assert way(tmp_path, monkeypatch, "http://nowhere.invalid").code == "network_name"
    assert way(tmp_path, monkeypatch, taken).code == "network_connect"
    proxied = way(tmp_path, monkeypatch, "https://nowhere.invalid", THALWEG_PROXY=taken)
    assert (proxied.code, proxied.values["proxy"]) == ("network_way", taken)
    monkeypatch.delenv("THALWEG_PROXY")
    with Answering(200, {"data": []}) as plain:
        assert way(tmp_path, monkeypatch, plain.url).code == "network_plain"
        assert way(tmp_path, monkeypatch, plain.url.replace("http:", "https:")).code == "network_tls"


@pytest.mark.parametrize(
    ("days", "trusted", "expected"),
    [
        pytest.param(90, True, ("ok", "network"), id="good for long"),
        pytest.param(13, True, ("warn", "network_soon"), id="about to end"),
        pytest.param(-1, True, ("fail", "network_tls"), id="ended"),
        pytest.param(90, False, ("fail", "network_tls"), id="nobody's"),
    ],
)
def test_a_certificate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, days: int, trusted: bool, expected: tuple[str, str]
) -> None:
    authority, ca_file = trustme.CA(), tmp_path / "ca.pem"
    (authority if trusted else trustme.CA()).cert_pem.write_to_path(str(ca_file))
    ends = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days, hours=1)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", not_after=ends).configure_cert(context)
    with Answering(200, {"data": []}, tls=context) as provider:
        finding = way(tmp_path, monkeypatch, provider.url, THALWEG_CA_FILE=str(ca_file))
    assert (finding.status, finding.code) == expected
    if finding.status != "fail":
        assert (finding.values["until"], finding.values["days"]) == (f"{ends:%Y-%m-%d}", days)


# The clock


@pytest.mark.parametrize(
    ("ahead_s", "headers", "expected"),
    [
        pytest.param(0, {}, ("ok", "clock_compared"), id="the same"),
        pytest.param(-58, {}, ("ok", "clock_compared"), id="a little"),
        pytest.param(-120, {}, ("warn", "clock_fast"), id="ours is ahead"),
        pytest.param(7200, {}, ("warn", "clock_slow"), id="ours is behind"),
        pytest.param(-7200, {"age": "7200"}, ("ok", "clock"), id="an answer that somebody kept"),
    ],
)
def test_the_clock_is_held_against_the_providers(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    ahead_s: float,
    headers: dict[str, str],
    expected: tuple[str, str],
) -> None:
    with Answering(200, {"data": []}, ahead_s=ahead_s, **headers) as provider:
        monkeypatch.setenv("ARK_API_KEY", KEYS["ARK_API_KEY"])
        monkeypatch.setenv("ARK_BASE_URL", provider.url)
        (finding,) = reached.clock(Machine(home=tmp_path, asking="yes"))
    assert (finding.status, finding.code) == expected


# How it looks


@pytest.mark.parametrize("columns", [80, 120])
@pytest.mark.parametrize(("lang", "said"), [("en", "All settings can be read."), ("zh", "所有设置都能读懂。")])
def test_a_terminal_shows_marks_in_a_column(tmp_path: Path, lang: str, said: str, columns: int) -> None:
    env = KEYS | {"THALWEG_LANG": lang, "THALWEG_PORT": free_port()}
    with Terminal(tmp_path, "doctor", "--offline", rows=60, columns=columns, env=env) as terminal:
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
    assert findings - named == {
        "help", "yes_flag", "offline_flag", "url_flag", "long_flag", "json", "home_flag", "asking", "asking_tokens", "question", "looking",
    }  # fmt: skip
    assert {key.removesuffix("_do") for key in keys if key.endswith("_do")} <= findings
    for code in re.findall(r'Finding\(\s*"\w+",\s*"(\w+)"', source):
        assert code in findings
