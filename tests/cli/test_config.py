"""`thalweg config` as its users have it: what is wrong, what holds and from where, and the schema for editors."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.cli.terminal import thalweg
from thalweg.config.schema import schema

SECRET = "sk-s3cret-of-somebody"
WRONG = '[server]\nprot = 1\n[timeouts]\ngap_s = "5"\n'
GOOD = f"""leave = "linger 2s"
[server]
api_key = "{SECRET}"
port = 81
[providers.ark]
api_keys = ["{SECRET}-1", "env:ARK_2"]
timeouts = {{gap_s = 5}}
[aliases]
fast = ["ark/x", "sim/text"]
[prices."ark/x"]
currency = "CNY"
input = 0.8
output = 2
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "thalweg.toml"


def test_check_tells_everything_that_is_wrong(tmp_path: Path, file: Path) -> None:
    file.write_text(WRONG)
    done = thalweg(tmp_path, "config", "check", str(file))
    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        f"{file}:2: server.prot is no setting. Is it `port`?",
        f'{file}:4: timeouts.gap_s: expected a number of seconds, more than 0 and up to a day, found "5".',
    ]
    told = json.loads(thalweg(tmp_path, "config", "check", str(file), "--json").stdout)
    assert (told["ok"], [(each["line"], each["code"]) for each in told["problems"]]) == (
        False,
        [(2, "unknown_near"), (4, "wrong")],
    )


def test_check_finds_the_file_by_itself_and_speaks_chinese(tmp_path: Path, file: Path) -> None:
    file.write_text(WRONG)
    done = thalweg(tmp_path, "config", "check", THALWEG_CONFIG=str(file), THALWEG_LANG="zh")
    assert done.returncode == 1
    assert f"{file}:2: 没有 server.prot 这个设置。是不是 `port`？" in done.stdout


def test_check_says_that_all_is_right_and_warns(tmp_path: Path, file: Path) -> None:
    file.write_text(GOOD)
    file.chmod(0o600)
    done = thalweg(tmp_path, "config", "check", str(file))
    assert done.returncode == 0
    assert done.stdout.splitlines() == [
        f"warning: {file}:6: providers.ark.api_keys[1]: the variable ARK_2 is not set, so that there is no such key.",
        f"{file} is right.",
    ]
    assert thalweg(tmp_path, "config", "check").stdout == "There is no thalweg.toml; the environment is right.\n"


def test_check_of_a_wrong_environment(tmp_path: Path) -> None:
    done = thalweg(tmp_path, "config", "check", THALWEG_PORT="x")
    assert (done.returncode, done.stdout.count("\n")) == (1, 1)
    assert "THALWEG_PORT" in done.stdout


ORIGINS: dict[str, tuple[Any, str]] = {
    "server.host": ("::1", "flag --host"),
    "server.port": (81, "thalweg.toml:4"),
    "server.api_key": ("set", "thalweg.toml:3"),
    "server.log": ("json", "environment THALWEG_LOG"),
    "server.drain_s": (30, "default"),
    "timeouts.gap_s": (300, "default"),
    "leave": ("linger 2s", "thalweg.toml:1"),
    "providers.ark.api_key": ("set", "thalweg.toml:6"),
    "providers.ark.api_keys": ("2 set", "thalweg.toml:6"),
    "providers.ark.timeouts.gap_s": (5, "thalweg.toml:7"),
    "providers.deepseek.api_key": ("set", "environment DEEPSEEK_API_KEY"),
    "aliases.fast": (["ark/x", "sim/text"], "thalweg.toml:9"),
    'prices."ark/x"': ({"currency": "CNY", "input": 0.8, "output": 2}, "thalweg.toml:10"),
}


def test_show_tells_what_holds_and_from_where(tmp_path: Path, file: Path) -> None:
    file.write_text(GOOD)
    env = {"ARK_2": f"{SECRET}-2", "DEEPSEEK_API_KEY": SECRET, "THALWEG_LOG": "json"}
    done = thalweg(tmp_path, "config", "show", "--json", "--host", "::1", str(file), **env)
    told = {
        each["key"]: (each["value"], each["origin"].replace(f"{tmp_path}/", ""))
        for each in json.loads(done.stdout)["settings"]
    }
    assert {key: told[key] for key in ORIGINS} == ORIGINS
    table = thalweg(tmp_path, "config", "show", "--origin", str(file), **env)
    assert table.returncode == 0
    assert re.search(r"providers\.ark\.api_key +set +\S*thalweg\.toml:6\n", table.stdout)
    for printed in (done.stdout, done.stderr, table.stdout, table.stderr):
        assert SECRET not in printed


def test_show_of_wrong_settings_is_a_wrong_setting(tmp_path: Path, file: Path) -> None:
    file.write_text(WRONG)
    done = thalweg(tmp_path, "config", "show", str(file))
    assert (done.returncode, done.stdout) == (3, "")
    assert "server.prot" in done.stderr


def test_the_schema_is_the_tables(tmp_path: Path) -> None:
    done = thalweg(tmp_path, "config", "schema")
    assert json.loads(done.stdout) == json.loads(json.dumps(schema()))
    assert thalweg(tmp_path, "config", "schema", "x.toml").returncode == 2


def test_what_lies_in_the_working_directory_is_named_without_it(
    tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text("[server]\nport = 81\nhost = '::1'\n")
    (tmp_path / ".env").write_text(f"# ours\nexport THALWEG_PORT='82'\nARK_API_KEY={SECRET}\nnonsense\n")
    monkeypatch.chdir(tmp_path)
    done = thalweg(tmp_path, "config", "show", "--json")
    told = {each["key"]: each["origin"] for each in json.loads(done.stdout)["settings"]}
    assert (told["server.port"], told["server.host"]) == (".env:2", "thalweg.toml:3")
    assert told["providers.ark.api_key"] == ".env:3"
    assert SECRET not in done.stdout
    checked = thalweg(tmp_path, "config", "check")
    assert checked.stdout.splitlines() == ["warning: .env:4: expected NAME=VALUE.", "thalweg.toml is right."]
