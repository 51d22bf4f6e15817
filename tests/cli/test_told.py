"""The common errors of other rooms, in the reader's language: the same sentence, with the same values."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.cli.terminal import thalweg
from tests.live.gateway import Gateway
from thalweg.cli.words import sentences
from thalweg.config import ConfigError, load
from thalweg.config.errors import SENTENCES

CODES: dict[str, dict[str, str]] = {
    "port": {"THALWEG_PORT": "eight"},
    "api_key": {"THALWEG_API_KEY": "short"},
    "misspelt": {"THALWEG_APIKEY": "sk-of-ours"},
    "own_address": {"ARK_BASE_URL": "http://127.0.0.1:8080/v1"},
    "open_door": {"THALWEG_HOST": "0.0.0.0"},
}
OF_THE_LEDGER = {"home_locked", "home_taken"}
IN_ENGLISH = [
    "thalweg: 2 settings are wrong:",
    "t.toml:2: server.prot is no setting. Is it `port`?",
    't.toml:3: server.log: expected one of auto, json, pretty, off, found "xml".',
]
IN_CHINESE = [
    "thalweg: 有 2 处设置不对：",
    "t.toml:2: 没有 server.prot 这个设置。是不是 `port`？",
    't.toml:3: server.log：应是 auto, json, pretty, off 之一，而不是 "xml"。',
]


def test_every_sentence_is_some_errors() -> None:
    told = {key.removeprefix("told.") for key in sentences("en") if key.startswith("told.")}
    assert told == CODES.keys() | OF_THE_LEDGER | {"several"}


def test_what_is_said_of_files_is_the_rooms_own() -> None:
    said = {key.removeprefix("file."): words for key, words in sentences("en").items() if key.startswith("file.")}
    assert said == SENTENCES


@pytest.mark.parametrize(("lang", "said"), [("en", IN_ENGLISH), ("zh", IN_CHINESE)])
def test_everything_that_is_wrong_in_a_file_is_told(tmp_path: Path, lang: str, said: list[str]) -> None:
    file = tmp_path / "t.toml"
    file.write_text('[server]\nprot = 1\nlog = "xml"\n')
    done = thalweg(tmp_path, "serve", "--config", str(file), THALWEG_LANG=lang)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.replace(str(file), "t.toml").splitlines() == said


@pytest.mark.parametrize(("code", "env"), CODES.items(), ids=CODES)
def test_the_words_are_the_error_s_own(code: str, env: dict[str, str]) -> None:
    with pytest.raises(ConfigError) as caught:
        load({"THALWEG_HOME": "/x"} | env)
    assert caught.value.code == code
    assert sentences("en")[f"told.{code}"].format(**caught.value.values) == str(caught.value)


@pytest.mark.parametrize("env", CODES.values(), ids=CODES)
@pytest.mark.parametrize("command", [["serve"], ["doctor"]], ids=["serve", "doctor"])
def test_a_wrong_setting_is_told_in_chinese(tmp_path: Path, command: list[str], env: dict[str, str]) -> None:
    done = thalweg(tmp_path, *command, **{"THALWEG_LANG": "zh", "THALWEG_PORT": "8080"} | env)
    assert done.returncode == {"serve": 3, "doctor": 1}[command[0]]
    ((name, value),) = env.items()
    said = next(line for line in (done.stderr + done.stdout).splitlines() if name in line or value in line)
    assert re.search(r"[\u4e00-\u9fff]", said.removeprefix("  ✗ settings      设置有误"))
    assert not re.search(r"\b(must|is|without|points)\b", said)


@pytest.mark.parametrize(("lang", "said"), [("en", "one server per home"), ("zh", "一个目录只能有一个服务")])
def test_a_home_that_is_in_use_says_what_to_do(tmp_path: Path, lang: str, said: str) -> None:
    with Gateway(tmp_path):
        done = thalweg(tmp_path, "serve", "--port", "0", THALWEG_LANG=lang)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1
    for words in (said, "--home", "THALWEG_HOME", str(tmp_path)):
        assert words in done.stderr
