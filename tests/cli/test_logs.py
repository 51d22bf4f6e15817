"""`thalweg logs`: the last requests in rows, one request on a card, and those to come, from a ledger that is in use."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.cli.entries import ANSWERED, ASKED, NOW_MS, fill
from tests.cli.terminal import PATIENCE_S, Terminal, own_environment, thalweg
from tests.live.gateway import KEY, Gateway
from thalweg.canon.usage import Usage
from thalweg.cli.figures import picture, rate, scale_of, time_line, tokens
from thalweg.cli.layout import Column, Layout, bar, milliseconds
from thalweg.ledger import Entry

PROMPT = "the secret of the flowing river"
FAST = "pace=0&ttft=0"


def ask(gateway: Gateway, model: str, *, stream: bool = True) -> None:
    """One chat request, read to its end whatever it is."""
    body = {"model": model, "stream": stream, "messages": [{"role": "user", "content": PROMPT}]}
    gateway.request("POST", "/v1/chat/completions", body)


def leave(gateway: Gateway, model: str) -> None:
    """One request whose client goes after the first bytes."""
    body = {"model": model, "stream": True, "messages": [{"role": "user", "content": PROMPT}]}
    connection = HTTPConnection("127.0.0.1", gateway.port, timeout=PATIENCE_S)
    fields = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
    connection.request("POST", "/v1/chat/completions", json.dumps(body), fields)
    connection.getresponse().read(10)
    connection.close()


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway that runs, after five requests that ended in different ways, and an upstream that is not there."""
    environment = {"ARK_API_KEY": "sk-ark-for-tests", "ARK_BASE_URL": "http://127.0.0.1:1/api/v3"}
    with Gateway(tmp_path_factory.mktemp("home"), environment=environment) as started:
        ask(started, f"sim/text?{FAST}")
        ask(started, f"sim/text?{FAST}", stream=False)
        ask(started, "sim/error-midstream")
        leave(started, "sim/slow")
        ask(started, "ark/some-model")
        started.settled(5)
        yield started


def lines(gateway: Gateway, *arguments: str, **env: str) -> list[dict[str, Any]]:
    done = thalweg(gateway.home, "logs", "--json", *arguments, **env)
    assert done.returncode == 0
    assert done.stderr == ("" if done.stdout else "No request fits.\n")
    return [json.loads(line) for line in done.stdout.splitlines()]


# Rows


def test_each_line_of_json_is_an_entry_of_the_ledger_the_oldest_first(gateway: Gateway) -> None:
    assert lines(gateway) == [msgspec.to_builtins(entry) for entry in gateway.entries()[::-1]]


def test_a_table_shows_how_each_request_ended(gateway: Gateway) -> None:
    done = thalweg(gateway.home, "logs")
    heading, *rows = done.stdout.splitlines()
    assert (done.returncode, done.stderr) == (0, "")
    assert "\x1b" not in done.stdout
    assert heading.split()[:4] == ["time", "model", "provider", "outcome"]
    entries = gateway.entries()[::-1]
    assert len(rows) == len(entries)
    for row, entry in zip(rows, entries, strict=True):
        assert re.match(r"(\d\d-\d\d )?\d\d:\d\d:\d\d  ", row)
        assert entry.model in row
        assert entry.outcome is not None
        assert entry.outcome in row
        assert row.endswith(entry.request_id)
    assert {entry.outcome for entry in entries} == {"complete", "upstream_error", "cancelled"}


def test_no_prompt_and_no_answer_is_to_be_had(gateway: Gateway) -> None:
    shown = "".join(
        thalweg(gateway.home, "logs", *arguments).stdout
        for arguments in ([], ["--json"], [gateway.entries()[0].request_id], [gateway.entries()[-1].request_id])
    )
    kept = b"".join(file.read_bytes() for file in gateway.home.glob("ledger.db*"))
    assert PROMPT.rsplit(maxsplit=1)[-1] not in shown
    assert PROMPT.rsplit(maxsplit=1)[-1].encode() not in kept


@pytest.mark.parametrize(
    ("arguments", "models"),
    [
        pytest.param(["-n", "2"], ["sim/slow", "ark/some-model"], id="the last two"),
        pytest.param(["-n", "0"], [], id="none"),
        pytest.param(["--model", "SLOW"], ["sim/slow"], id="part of a model's name"),
        pytest.param(["--outcome", "cancelled"], ["sim/slow"], id="an outcome"),
        pytest.param(["--outcome", "open"], [], id="open ones"),
        pytest.param(["--since", "1h", "--model", "some"], ["ark/some-model"], id="the last hour"),
        pytest.param(["--since", "2999-01-01"], [], id="since a day to come"),
    ],
)
def test_of_all_requests_those_that_are_asked_for(gateway: Gateway, arguments: list[str], models: list[str]) -> None:
    assert [line["model"] for line in lines(gateway, *arguments)] == models


def test_since_takes_all_and_not_twenty(tmp_path: Path) -> None:
    fill(tmp_path, [({"request_id": f"r{number:02}"}, {}) for number in range(30)])
    assert len(thalweg(tmp_path, "logs", "--json").stdout.splitlines()) == 20
    assert len(thalweg(tmp_path, "logs", "--json", "--since", "1h").stdout.splitlines()) == 30
    assert len(thalweg(tmp_path, "logs", "--json", "--since", "1h", "-n", "7").stdout.splitlines()) == 7


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        pytest.param(["--since", "yesterday"], 2, "yesterday", id="no moment"),
        pytest.param(["--since", "5 weeks"], 2, "5 weeks", id="a unit that is none"),
        pytest.param(["-n", "-3"], 2, "-3", id="less than nothing"),
        pytest.param(["--outcome", "nice"], 2, "nice", id="an outcome that is none"),
        pytest.param(["ffffffff"], 1, "ffffffff", id="a request that is not there"),
        pytest.param(["0"], 1, "Several", id="the beginning of several ids"),
    ],
)
def test_what_cannot_be_is_said_in_a_line(gateway: Gateway, arguments: list[str], code: int, said: str) -> None:
    done = thalweg(gateway.home, "logs", *arguments)
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.startswith("thalweg: ")
    assert done.stderr.count("\n") == 1
    assert said in done.stderr


def test_without_a_ledger_it_says_so_kindly(tmp_path: Path) -> None:
    for arguments in ([], ["-f"], ["abc"], ["--json"]):
        done = thalweg(tmp_path, "logs", *arguments)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith("thalweg: There is no ledger")


@pytest.mark.parametrize("columns", [60, 80, 120, 160])
def test_on_a_terminal_no_row_is_broken(gateway: Gateway, columns: int) -> None:
    with Terminal(gateway.home, "logs", columns=columns) as terminal:
        assert terminal.exit_code() == 0
    heading, *rows = [row for row in terminal.rows if row]
    entries = gateway.entries()[::-1]
    assert [row[-8:] for row in rows] == [entry.request_id[-8:] for entry in entries]
    assert heading.endswith("id")
    assert ("TTFT" in heading, "waiting ░ streaming █" in heading) == (columns > 60, columns > 140)


def test_in_chinese(gateway: Gateway) -> None:
    table = thalweg(gateway.home, "logs", THALWEG_LANG="zh").stdout
    assert table.splitlines()[0].split()[:4] == ["时间", "模型", "服务商", "结果"]
    assert "cancelled" in table, "codes are the same in every language"
    card = thalweg(gateway.home, "logs", gateway.entries()[0].request_id, THALWEG_LANG="zh").stdout
    assert "服务商连不上" in card
    assert "request" not in card


# One request


@pytest.mark.parametrize("cut", [slice(None), slice(None, 30), slice(-8, None)], ids=["all", "beginning", "end"])
def test_a_request_is_found_by_its_id(gateway: Gateway, cut: slice) -> None:
    entry = gateway.entries()[-1]
    done = thalweg(gateway.home, "logs", entry.request_id[cut])
    assert (done.returncode, done.stderr) == (0, "")
    assert f"✓ complete  {entry.model}" in done.stdout
    assert entry.request_id in done.stdout
    assert re.search(r"├╌+┼━*┤", done.stdout)
    assert "reported by the provider" in done.stdout


def test_a_card_tells_what_is_known_of_one_that_failed(gateway: Gateway) -> None:
    card = thalweg(gateway.home, "logs", gateway.entries()[0].request_id).stdout
    assert "✗ upstream_error  ark/some-model" in card
    assert "unreachable" in card
    assert re.search(r"├╌+┤", card), "nothing streamed"
    assert "sk-ark" not in card


def test_a_card_of_a_refusal_says_nothing_of_tokens(tmp_path: Path) -> None:
    refused = {"outcome": "refused", "usage": Usage(), "usage_source": "unknown", "upstream_status": 401}
    fill(tmp_path, [({"request_id": "refused"}, refused | {"ttft_ms": None, "duration_ms": 4.0})])
    card = thalweg(tmp_path, "logs", "refused").stdout
    assert "HTTP 401" in card
    assert not [word for word in ("tokens", "known how", "at least") if word in card]


def test_a_card_tells_of_each_attempt(tmp_path: Path) -> None:
    refused = {"outcome": "refused", "usage": Usage(), "usage_source": "unknown", "upstream_status": 503}
    fill(
        tmp_path,
        [
            ({"request_id": "twice", "provider": "ark"}, refused | {"ttft_ms": None, "duration_ms": 12.0}),
            ({"request_id": "twice", "provider": "ling", "attempt": 2}, {}),
        ],
    )
    rows = thalweg(tmp_path, "logs", "twice").stdout.splitlines()
    heading = next(at for at, row in enumerate(rows) if row.startswith("attempt"))
    assert rows[heading + 1].split() == ["1", "ark", "✗", "refused", "503", "12", "ms"]
    assert rows[heading + 2].split()[:5] == ["2", "ling", "✓", "complete", "200"]
    (line,) = thalweg(tmp_path, "logs", "twice", "--json").stdout.splitlines()
    told = json.loads(line)
    assert (told["attempts"], [each["provider"] for each in told["each_attempt"]]) == (2, ["ark", "ling"])


@pytest.mark.parametrize(
    ("language", "row"), [("en", "continued 1 × where it had broken off"), ("zh", "续写 1 次，从中断处接着写")]
)
def test_a_card_tells_that_a_text_was_gone_on_with(tmp_path: Path, language: str, row: str) -> None:
    broke = {"outcome": "upstream_error", "usage_source": "estimated"}
    asked = {"request_id": "resumed"}
    fill(tmp_path, [(asked, broke), (asked | {"attempt": 2, "continued": True}, {}), ({"request_id": "plain"}, {})])
    card = thalweg(tmp_path, "logs", "resumed", THALWEG_LANG=language).stdout
    assert row in [" ".join(line.split()) for line in card.splitlines()]
    assert row.split(maxsplit=1)[0] not in thalweg(tmp_path, "logs", "plain", THALWEG_LANG=language).stdout
    (line,) = thalweg(tmp_path, "logs", "resumed", "--json").stdout.splitlines()
    told = json.loads(line)
    assert (told["continued"], [each["continued"] for each in told["each_attempt"]]) == (1, [0, 1])


def test_a_card_of_one_under_way_has_no_line_yet(tmp_path: Path) -> None:
    fill(tmp_path, [({"request_id": "open"}, None)])
    card = thalweg(tmp_path, "logs", "open").stdout
    assert "▶ open" in card
    assert "├" not in card


def test_a_terminal_without_unicode_gets_plain_signs(gateway: Gateway) -> None:
    for arguments in ([], [gateway.entries()[-1].request_id]):
        done = thalweg(gateway.home, "logs", *arguments, PYTHONIOENCODING="ascii")
        assert (done.returncode, done.stderr) == (0, "")
        assert "+ complete" in done.stdout
        assert "?" not in done.stdout.replace("sim/text?", ""), "each sign has its plain one"
    assert re.search(r"\|\.+\|-*\|", done.stdout)


def test_outcomes_are_coloured_on_a_terminal_and_not_where_that_is_not_wanted(gateway: Gateway) -> None:
    for env, coloured in (({}, True), ({"NO_COLOR": "1"}, False)):
        with Terminal(gateway.home, "logs", env=env) as terminal:
            assert terminal.exit_code() == 0
        assert (b"\x1b[32m" in terminal.raw, b"\x1b[31m" in terminal.raw) == (coloured, coloured)


# Those to come


def test_a_terminal_follows_until_ctrl_c(gateway: Gateway) -> None:
    with Terminal(gateway.home, "logs", "-f", "-n", "2", columns=120) as terminal:
        terminal.until("ark/some-model")
        before = len(gateway.entries())
        ask(gateway, f"sim/tools?{FAST}")
        (entry,) = gateway.settled_since(before)
        terminal.until(entry.request_id[-8:])
        terminal.interrupt()
        assert terminal.exit_code() == 130
    assert "Traceback" not in terminal.text
    heading, *rows = [row for row in terminal.rows if row]
    assert len(rows) in {3, 4}, "two of before, the new one, and what the terminal makes of Ctrl-C"
    assert rows[2].index("complete") == heading.index("outcome") + 2


def test_a_pipe_follows_line_by_line(gateway: Gateway) -> None:
    command = [sys.executable, "-m", "thalweg", "logs", "-f", "--json", "-n", "0", "--model", "reasoning"]
    process = subprocess.Popen(
        command, env=own_environment(gateway.home), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    first: list[str] = []
    reader = threading.Thread(target=lambda: first.append(process.stdout.readline()), daemon=True)  # type: ignore[union-attr]
    reader.start()
    end = time.monotonic() + PATIENCE_S
    # It may not look yet: what was settled before its first look is not new.
    while reader.is_alive() and time.monotonic() < end:
        ask(gateway, f"sim/text?{FAST}")
        ask(gateway, f"sim/reasoning?{FAST}")
        reader.join(0.5)
    process.send_signal(signal.SIGINT)
    rest, err = process.communicate(timeout=PATIENCE_S)
    assert json.loads(first[0])["model"] == f"sim/reasoning?{FAST}"
    assert all("reasoning" in line for line in rest.splitlines())
    assert (process.returncode, err) == (130, "")


# Figures


def entry(**fields: Any) -> Entry:
    known: dict[str, Any] = msgspec.structs.asdict(ASKED) | msgspec.structs.asdict(ANSWERED)
    known |= {"attempts": 1, "opened_ms": NOW_MS, "settled_ms": NOW_MS + 5000} | fields
    return Entry(**{name: known[name] for name in Entry.__struct_fields__ if name in known})


@pytest.mark.parametrize(
    ("count", "source", "outcome", "shown"),
    [
        pytest.param(1234, "reported", "complete", "1,234", id="reported"),
        pytest.param(1234, "counted", "cancelled", "1,234", id="counted"),
        pytest.param(1234, "estimated", "cancelled", "~1,234", id="estimated"),
        pytest.param(1234, "unknown", "crashed", "1,234?", id="at least so many"),
        pytest.param(None, "unknown", "crashed", "?", id="nobody knows"),
        pytest.param(None, "unknown", "refused", "", id="refused: there is nothing to know"),
        pytest.param(None, "reported", "complete", "", id="not among what was reported"),
        pytest.param(0, "reported", "complete", "0", id="none"),
    ],
)
def test_a_count_shows_how_well_it_is_known(count: int | None, source: str, outcome: str, shown: str) -> None:
    assert tokens(entry(usage_source=source, outcome=outcome), count) == shown


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        pytest.param({"ttft_ms": 1000.0, "duration_ms": 5000.0}, 500.0, id="of the time it streamed"),
        pytest.param({"ttft_ms": 1000.0, "duration_ms": 2000.0, "stream": False}, 1000.0, id="of all the time"),
        pytest.param({"ttft_ms": None}, None, id="nothing came"),
        pytest.param({"duration_ms": None}, None, id="not over yet"),
        pytest.param({"ttft_ms": 1000.0, "duration_ms": 1001.0}, None, id="over at once"),
    ],
)
def test_a_rate(fields: dict[str, Any], expected: float | None) -> None:
    assert rate(entry(**fields)) == expected


@pytest.mark.parametrize(
    ("ttft_ms", "duration_ms", "line"),
    [
        pytest.param(200.0, 1000.0, "├╌┼━━━━━━┤", id="a fifth waiting"),
        pytest.param(0.0, 1000.0, "├┼━━━━━━━┤", id="no waiting"),
        pytest.param(1000.0, 1000.0, "├╌╌╌╌╌╌╌┼┤", id="whole at once"),
        pytest.param(None, 1000.0, "├╌╌╌╌╌╌╌╌┤", id="nothing came"),
    ],
)
def test_a_time_line(ttft_ms: float | None, duration_ms: float, line: str) -> None:
    assert time_line(entry(ttft_ms=ttft_ms, duration_ms=duration_ms), 10)[0] == line


def test_pictures_share_a_scale_that_one_long_request_does_not_spoil() -> None:
    few = [entry(ttft_ms=50.0, duration_ms=100.0) for _ in range(3)]
    assert (scale_of([]), scale_of(few)) == (0.0, 100.0)
    assert picture(few[0], 100.0, 8) == "░░░░████"
    long = entry(ttft_ms=None, duration_ms=60_000.0)
    scale_ms = scale_of([*few, long])
    assert scale_ms == 800.0
    assert (picture(few[0], scale_ms, 8), picture(long, scale_ms, 8)) == ("█", "░░░░░░░▶")
    assert picture(entry(duration_ms=None), scale_ms, 8) == ""


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, ""), (0.01, "< 0.1 ms"), (1.94, "1.9 ms"), (231.4, "231 ms"), (1234.0, "1.23 s"), (45_678.0, "45.7 s"),
     (125_000.0, "2 min 05 s"), (3_720_000.0, "1 h 02 min")],
)  # fmt: skip
def test_a_duration(value: float | None, shown: str) -> None:
    assert milliseconds(value) == shown


@pytest.mark.parametrize(
    ("share", "shown"), [(0.0, ""), (0.001, "▏"), (0.5, "██"), (0.5625, "██▎"), (1.0, "████"), (7.0, "████")]
)
def test_a_bar(share: float, shown: str) -> None:
    assert bar(share, 4) == shown


COLUMNS = (
    Column(heading="name", narrowest=6),
    Column(heading="a", right=True, rank=2),
    Column(heading="b", right=True, rank=1),
    Column(heading="c"),
)
ROW = ("a-long-name", "1,000", "22", "中文")


@pytest.mark.parametrize(
    ("room", "heading", "row"),
    [
        pytest.param(None, "name             a   b  c", "a-long-name  1,000  22  中文", id="no window"),
        pytest.param(30, "name             a   b  c", "a-long-name  1,000  22  中文", id="enough"),
        pytest.param(24, "name         a   b  c", "a-long…  1,000  22  中文", id="cut first"),
        pytest.param(20, "name         b  c", "a-long-na…  22  中文", id="then left out, the highest rank first"),
        pytest.param(9, "name    c", "a-lon…  中文", id="what has no rank stays"),
    ],
)
def test_a_table_fits_its_window(room: int | None, heading: str, row: str) -> None:
    layout = Layout(COLUMNS, [ROW], room)
    assert (layout.heading().plain, layout.line(ROW).plain) == (heading, row)
    assert layout.line(ROW).cell_len <= max(room or 999, 13)


def test_a_later_row_that_is_wider_takes_its_room_from_what_may_be_cut() -> None:
    layout = Layout(COLUMNS, [ROW], 28)
    later = ("a-long-name", "1,000,000", "22", "中文")
    assert layout.line(later).plain == "a-long…  1,000,000  22  中文"
    assert layout.line(later).cell_len == layout.line(ROW).cell_len == 28


def test_entries_of_other_days_show_the_day(tmp_path: Path) -> None:
    fill(tmp_path, [({"at_ms": NOW_MS - 3 * 86_400_000}, {})])
    assert re.match(r"\d\d-\d\d \d\d:\d\d:\d\d  ", thalweg(tmp_path, "logs").stdout.splitlines()[1])
