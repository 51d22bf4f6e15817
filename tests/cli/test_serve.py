"""What `thalweg serve` says: on a terminal a page with a clock at its end, elsewhere plain lines; never a key."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.answering import Answering
from tests.cli.terminal import PATIENCE_S, Terminal, thalweg
from tests.live.gateway import KEY, Gateway
from thalweg.profiles.providers import PROVIDERS

KEYS = {"THALWEG_API_KEY": KEY, "OPENAI_API_KEY": "sk-openai-for-tests", "ARK_API_KEY": "sk-ark-for-tests"}
SLOW = {"model": "sim/slow", "stream": True, "messages": [{"role": "user", "content": "hi"}]}
NEEDED = [row.key_variable for row in PROVIDERS if row.needs_key]


def address(text: str) -> str:
    found = re.search(r"(http://127\.0\.0\.1:\d+)/", text)
    assert found, text
    return found[1]


@contextlib.contextmanager
def answer_of(url: str) -> Iterator[http.client.HTTPResponse]:
    """An answer under way."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=PATIENCE_S)
    fields = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
    connection.request("POST", "/v1/chat/completions", json.dumps(SLOW), fields)
    with contextlib.closing(connection), connection.getresponse() as answer:
        assert answer.read(1)
        yield answer


def stop(terminal: Terminal) -> None:
    terminal.interrupt()
    assert terminal.exit_code() == 0
    assert "Traceback" not in terminal.text
    assert not any(key in terminal.text for key in KEYS.values())


# The beginning


@pytest.mark.parametrize(
    ("lang", "labels"),
    [
        ("en", ["chat page", "for SDKs", "models", "for more", "ledger"]),
        ("zh", ["聊天页", "SDK 用", "模型", "想要更多", "账本"]),
    ],
)
@pytest.mark.parametrize("columns", [80, 120])
def test_a_terminal_gets_a_page_with_the_chat_page_first(
    tmp_path: Path, lang: str, labels: list[str], columns: int
) -> None:
    env = KEYS | {"THALWEG_LANG": lang, "ARK_BASE_URL": "http://127.0.0.1:9/api/v3"}
    with Terminal(tmp_path, "serve", "--port", "0", columns=columns, env=env) as terminal:
        terminal.until(lambda text: text.count("http://127.0.0.1:") >= 4)
        url = address(terminal.text)
        rows = [row.strip() for row in terminal.rows]
        places = [next(at for at, row in enumerate(rows) if row.startswith(label)) for label in labels]
        assert places == sorted(places)
        assert rows[places[0]].endswith(f"{url}/")
        assert f"{url}/v1 " in rows[places[1]]
        assert "THALWEG_API_KEY" in rows[places[1]]
        assert "openai/…" in rows[places[2]]
        assert "http://127.0.0.1:9" in rows[places[2]], "a provider that is elsewhere says where"
        assert rows[places[4]].endswith("~/ledger.db")
        more = " ".join(rows[places[3] : places[4]])
        assert "thalweg doctor" in more
        assert sum(variable in more for variable in NEEDED) == 3
        assert (f"Thalweg listens on {url}" in terminal.text) == (lang == "en")
        stop(terminal)


def test_what_is_warned_of_stands_below_the_page(tmp_path: Path) -> None:
    with Terminal(
        tmp_path, "serve", "--port", "0", columns=120, env={"THALWEG_WEATHER": "fine", "THALWEG_FIND_ENGINES": "0"}
    ) as terminal:
        terminal.until("THALWEG_WEATHER")
        rows = [row.strip() for row in terminal.rows]
        (until,) = (at for at, row in enumerate(rows) if row.startswith("Thalweg listens on"))
        page = [row for row in rows[:until] if row]
        assert "fine" not in terminal.text
        assert not any("warning" in row for row in page)
        assert page[-1].startswith("ledger")
        stop(terminal)


def test_a_simulating_gateway_says_so(tmp_path: Path) -> None:
    with Terminal(tmp_path, "serve", "--port", "0", "--simulate") as terminal:
        terminal.until("Thalweg listens on")
        assert "--simulate" in terminal.text
        assert "(any key)" in terminal.text
        assert "OPENAI_API_KEY" not in terminal.text, "more is not to be had"
        stop(terminal)


def test_elsewhere_there_are_plain_lines(tmp_path: Path) -> None:
    with Gateway(tmp_path, environment={"OPENAI_API_KEY": "sk-openai-for-tests"}) as gateway:
        lines = gateway.log.splitlines()
        first = lines.index(f"Thalweg listens on {gateway.url}")
        assert f"  chat page: {gateway.url}/" in lines[first:]
        assert any(line.startswith("  models: sim/text, openai/…") for line in lines[first:])
    assert "\x1b" not in gateway.log
    assert KEY not in gateway.log
    assert "sk-openai-for-tests" not in gateway.log


def test_the_page_is_opened_in_the_browser(tmp_path: Path) -> None:
    opened = tmp_path / "opened"
    browser = tmp_path / "browser"
    browser.write_text(f"#!/bin/sh\necho \"$1\" > '{opened}.part' && mv '{opened}.part' '{opened}'\n")
    browser.chmod(0o755)
    with Gateway(tmp_path / "home", environment={"BROWSER": f"{browser} %s"}, arguments=["--open"]) as gateway:
        end = time.monotonic() + PATIENCE_S
        while not opened.exists():
            assert time.monotonic() < end, gateway.log
        assert opened.read_text() == f"{gateway.url}/\n"


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_a_port_that_is_taken_is_1_and_named(tmp_path: Path, lang: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = thalweg(tmp_path, "serve", "--port", str(port), THALWEG_LANG=lang)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("thalweg: ")
    assert done.stderr.count("\n") == 1
    assert f"127.0.0.1:{port}" in done.stderr
    assert "--port" in done.stderr, "what to do"
    assert ("无法监听" in done.stderr) == (lang == "zh")


def test_engines_of_this_machine_are_named(tmp_path: Path) -> None:
    models = [{"id": f"model-{number}", "owned_by": "library"} for number in range(5)]
    with Answering(200, {"data": models}) as engine:
        env = {"OLLAMA_BASE_URL": f"{engine.url}/v1"}
        with Terminal(tmp_path, "serve", "--port", "0", env=env) as terminal:
            terminal.until("Thalweg listens on")
            rows = [row.strip() for row in terminal.rows]
            stop(terminal)
        found = next(row for row in rows if row.startswith("found here"))
        assert found.split("  ")[-1] == "ollama/model-0, ollama/model-1, ollama/model-2 and 2 more"
        assert rows.index(found) < next(at for at, row in enumerate(rows) if row.startswith("Thalweg listens on"))


# The end


@pytest.mark.parametrize(
    ("lang", "one", "ended"), [("en", "1 answer is under way", "Ended."), ("zh", "还有 1 个回答", "已结束。")]
)
def test_a_clock_runs_while_an_answer_is_waited_for(tmp_path: Path, lang: str, one: str, ended: str) -> None:
    """The first Ctrl-C lets the answer go on and shows for how long; the second one ends it."""
    with Terminal(tmp_path, "serve", "--port", "0", env=KEYS | {"THALWEG_LANG": lang}) as terminal:
        terminal.until("Ctrl-C")
        with answer_of(address(terminal.text)) as answer:
            terminal.interrupt()
            terminal.until(one)
            left = {"en": r"(\d\d) s\. Ctrl-C", "zh": r"剩 (\d\d) 秒"}[lang]
            first = re.search(left, terminal.text)
            assert first
            assert 20 <= int(first[1]) <= 30
            terminal.until(lambda text: (now := re.search(left, text)) and int(now[1]) < int(first[1]))
            assert terminal.text.count(one) == 1, "the clock stays on its line"
            assert answer.read(1), "it goes on"
            stop(terminal)
            assert b'"error"' in answer.read()
    assert terminal.text.rstrip().endswith(ended)
    assert one not in terminal.text


def test_elsewhere_it_is_said_once(tmp_path: Path) -> None:
    with Gateway(tmp_path, environment={"THALWEG_DRAIN_S": "2.5"}) as gateway:
        with answer_of(gateway.url) as answer:
            gateway.signal(signal.SIGTERM)
            assert b'"error"' in answer.read()
        assert gateway.wait() == 0
    told = [line for line in gateway.log.splitlines() if "under way" in line]
    assert len(told) == 1
    assert re.fullmatch(
        r"1 answer is under way, at most until \d\d:\d\d:\d\d\. A second signal ends them now\.", told[0]
    )
