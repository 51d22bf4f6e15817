"""`thalweg usage`: sums as a table with bars for people, as JSON for programs, from a ledger that may be in use."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path

import pytest

from tests.cli.entries import fill
from tests.cli.terminal import Terminal, thalweg
from tests.live.gateway import Gateway
from thalweg.canon.usage import Usage
from thalweg.ledger import SqliteLedger

HEADINGS = ["requests", "tokens", "input", "cached", "output", "reasoning", "not reported", "interrupted", "TTFT p50"]
FIRST, SECOND, THIRD, OPEN = "r0", "r1", "r2", "r3"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Four requests: the first not reported, the second cut off, the last one not settled."""
    fill(
        tmp_path,
        [
            ({"request_id": FIRST, "key_id": "other"}, {"usage_source": "estimated"}),
            ({"request_id": SECOND}, {"outcome": "cancelled"}),
            ({"request_id": THIRD}, {}),
            ({"request_id": OPEN}, None),
        ],
    )
    return tmp_path


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.split("  ") if cell.strip()]


@pytest.mark.parametrize("by", ["day", "model", "provider", "key", "outcome"])
def test_a_table_has_every_figure_and_its_groups_add_up(home: Path, by: str) -> None:
    done = thalweg(home, "usage", "--by", by)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert "\x1b" not in done.stdout
    assert lines[0].startswith(f"Usage by {by}, last 30 days")
    assert cells(lines[2]) == [by, *HEADINGS]
    assert cells(lines[-1]) == ["total", "4", "3,000,000", "21", "6,000", "33", "1", "1 (33%)", "1.23 s"]

    report = json.loads(thalweg(home, "usage", "--by", by, "--json").stdout)
    assert report["by"] == by
    assert sum(group["requests"] for group in report["groups"]) == report["totals"]["requests"] == 4
    labels = {
        "model": ["ark/a-model-with-a-long-name-251215"],
        "provider": ["ark"],
        "key": ["main", "other"],
        "outcome": ["cancelled", "complete", "open"],
    }
    shown = [group["label"] for group in report["groups"]]
    assert shown == labels.get(by, shown)
    assert [line.split()[0] for line in lines[3:-2]] == shown


def test_the_longest_bar_is_the_most_tokens(tmp_path: Path) -> None:
    used = {"much": Usage(input_tokens=7000, output_tokens=1000), "little": Usage(input_tokens=1000), "none": Usage()}
    fill(tmp_path, [({"request_id": name, "model": name}, {"usage": usage}) for name, usage in used.items()])
    rows = {line.split()[0]: line for line in thalweg(tmp_path, "usage", "--by", "model").stdout.splitlines() if line}
    assert rows["much"].count("█") == 12
    assert (rows["little"].count("█"), "▌" in rows["little"]) == (1, True)
    assert not set(rows["none"]) & set("█▏▌")


def test_in_chinese(home: Path) -> None:
    done = thalweg(home, "usage", "--by", "key", THALWEG_LANG="zh")
    lines = done.stdout.splitlines()
    assert lines[0] == "用量，按密钥，最近 30 天，本地时间"
    assert cells(lines[2]) == ["密钥", "请求", "token", "输入", "缓存", "输出", "思考", "未上报", "中断", "TTFT p50"]
    assert lines[-1].startswith("合计")
    assert json.loads(thalweg(home, "usage", "--json", THALWEG_LANG="zh").stdout)["zone"] == "local time"


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_on_a_terminal_no_line_is_broken_and_what_has_no_room_is_named(home: Path, columns: int) -> None:
    with Terminal(home, "usage", "--by", "model", columns=columns) as terminal:
        assert terminal.exit_code() == 0
    table = terminal.rows[2:6]
    assert table[0].startswith("model")
    assert table[1].startswith("ark/a-model")
    assert set(table[2]) == {"─"}
    assert table[3].startswith("total")
    assert ("In a wider window or --json: " in terminal.text) == (columns < 120)
    assert b"\x1b[1m" in terminal.raw, "headings are bold"


def test_no_color_is_obeyed_on_a_terminal(home: Path) -> None:
    with Terminal(home, "usage", env={"NO_COLOR": "1"}) as terminal:
        assert terminal.exit_code() == 0
    assert not re.search(rb"\x1b\[[0-9;]*3[0-9]", terminal.raw)


def test_without_a_ledger_it_says_so_kindly(tmp_path: Path) -> None:
    for arguments in ([], ["--json"]):
        done = thalweg(tmp_path, "usage", *arguments)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith("thalweg: There is no ledger")
        assert done.stderr.count("\n") == 1
        assert str(tmp_path) in done.stderr


def test_what_is_no_ledger_is_1(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").write_bytes(b"no database" * 1000)
    done = thalweg(tmp_path, "usage")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("thalweg: ")
    assert done.stderr.count("\n") == 1


def test_an_empty_ledger(tmp_path: Path) -> None:
    asyncio.run(SqliteLedger(tmp_path / "ledger.db").close())
    table = thalweg(tmp_path, "usage")
    assert (table.returncode, table.stderr) == (0, "")
    assert all(heading in table.stdout for heading in HEADINGS)
    report = json.loads(thalweg(tmp_path, "usage", "--json").stdout)
    assert (report["groups"], report["totals"]["requests"], report["totals"]["input_tokens"]) == ([], 0, 0)


def test_it_looks_no_further_back_than_asked(home: Path) -> None:
    assert json.loads(thalweg(home, "usage", "--json", "--days", "0").stdout)["totals"]["requests"] == 0


def test_only_the_home_is_looked_at_not_the_other_settings(home: Path) -> None:
    wrong = {"THALWEG_HOST": "0.0.0.0", "THALWEG_PORT": "many", "ARK_BASE_URL": "nowhere", "THALWEG_HOME": "/nowhere"}
    done = thalweg(home, "usage", "--json", "--home", str(home), **wrong)
    assert done.returncode == 0, done.stderr


def test_it_reads_while_the_server_runs(tmp_path: Path) -> None:
    with Gateway(tmp_path) as gateway:
        for _ in range(3):
            body = {"model": "sim/text?pace=0&ttft=0", "messages": [{"role": "user", "content": "hi"}]}
            assert gateway.request("POST", "/v1/chat/completions", body)[0] == 200
        gateway.settled(3)
        report = json.loads(thalweg(tmp_path, "usage", "--json", "--utc").stdout)
    assert (report["totals"]["requests"], report["totals"]["reported"], report["zone"]) == (3, 3, "UTC")
