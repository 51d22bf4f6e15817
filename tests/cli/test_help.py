"""Pages of help, in both languages: on one screen, examples first, and without loading what they do not show."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import takewhile
from pathlib import Path

import pytest

from tests.cli.terminal import thalweg
from thalweg import __version__
from thalweg.cli.main import COMMANDS
from thalweg.cli.paragraph import Flow, width, wrap
from thalweg.cli.words import sentences

SCREEN_LINES = 40
SCREEN_COLUMNS = 80
LANGUAGES = ("en", "zh")
TRY = {"en": "Try:", "zh": "试试："}

IMPORT_MS = 150
"""What the import of the command line may take, in CPU time, on the machine that the budget is for."""
SLOWER = 4
"""How much slower a machine under test may be."""


def run(home: Path, *arguments: str, lang: str = "en", **env: str) -> subprocess.CompletedProcess[str]:
    return thalweg(home, *arguments, THALWEG_LANG=lang, **env)


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("command", [(), *((name,) for name in COMMANDS)], ids=lambda command: " ".join(command) or "-")
def test_help_fits_on_a_screen_and_shows_examples(tmp_path: Path, command: tuple[str, ...], lang: str) -> None:
    done = run(tmp_path, *command, "--help", lang=lang)
    lines = done.stdout.splitlines()
    assert (done.returncode, done.stderr) == (0, "")
    assert len(lines) <= SCREEN_LINES
    assert max(map(width, lines)) <= SCREEN_COLUMNS
    examples = list(takewhile(bool, lines[lines.index(TRY[lang]) + 1 :]))
    assert examples
    assert all(line.startswith("    ") and "thalweg" in line for line in examples)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_page_in_chinese_has_no_english_explanation(tmp_path: Path, command: str) -> None:
    page = run(tmp_path, command, "--help", lang="zh").stdout
    _, _, options = page.partition(sentences("zh")["main.options"])
    for line in options.splitlines()[1:]:
        # Where an explanation begins it is in Chinese; what follows may be names and codes.
        assert not line.startswith("  -") or not line.isascii() or not line.partition("  ")[2].strip(" -"), line


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_list_of_commands_names_each_with_its_first_sentence(tmp_path: Path, lang: str) -> None:
    done = run(tmp_path, lang=lang)
    said = "".join(done.stdout.split())
    for name in COMMANDS:
        assert name + "".join(sentences(lang)[f"{name}.help"].partition("\n")[0].split()) in said


def test_the_version(tmp_path: Path) -> None:
    done = run(tmp_path, "--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{__version__}\n", "")


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        pytest.param(["serv"], "'serv'", id="an unknown command"),
        pytest.param(["serve", "--prot", "1"], "--port", id="an unknown option, with a guess"),
        pytest.param(["serve", "--port", "abc"], "'abc'", id="a value that is no number"),
        pytest.param(["serve", "--port"], "--port", id="a value that is missing"),
        pytest.param(["usage", "--by", "modle"], "model", id="a value that is no choice"),
        pytest.param(["serve", "x", "y"], "x y", id="words too many"),
        pytest.param(["chat", "--temperature", "warm"], "'warm'", id="a number that is none"),
        pytest.param(["chat", "hi", "--temperature", "nan"], "'nan'", id="a number that is no number"),
        pytest.param(["chat", "hi", "--max-tokens", "0"], "'0'", id="a number that is too small"),
        pytest.param(["usage", "--days", "99999999999999999"], "36500", id="a number that is too large"),
        pytest.param(["logs", "-n", "-1"], "-n", id="a number below nothing"),
        pytest.param(["simulate", "--port", "99999"], "65535", id="a port that is none"),
        pytest.param(["logs", "--outcome", "don"], "upstream_error", id="a value that is none of two kinds"),
        pytest.param(["serve", "--open=maybe"], "--open", id="a value where none is taken"),
        pytest.param(["decode", "x"], "--dialect", id="an option that is needed"),
        pytest.param(["simulate", "--as", "arc"], "dashscope", id="a provider that is none"),
    ],
)
def test_a_wrong_call_is_2_and_one_line_on_standard_error(
    tmp_path: Path, arguments: list[str], named: str, lang: str
) -> None:
    done = run(tmp_path, *arguments, lang=lang)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("thalweg: ")
    assert done.stderr.count("\n") == 1
    assert named in done.stderr
    assert "thalweg" in done.stderr.rpartition("--help")[0][-20:]
    assert done.stderr.isascii() == (lang == "en")


@pytest.mark.parametrize("arguments", [["bogus"], ["chat", "--bogus", "hi"], ["serve", "--bogus"]])
def test_what_resembles_nothing_gets_no_guess(tmp_path: Path, arguments: list[str]) -> None:
    assert "Is it" not in run(tmp_path, *arguments).stderr


def imported(code: str) -> set[str]:
    listed = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print('\\n'.join(sys.modules), file=sys.stderr)"],
        capture_output=True, text=True, check=True, env=os.environ | {"THALWEG_LANG": "en"},
    )  # fmt: skip
    return set(listed.stderr.split())


HEAVY = ("uvicorn", "uvloop", "httptools", "httpx2", "asyncio", "sqlite3", "rich.markdown", "structlog", "starlette")


@pytest.mark.parametrize(
    "code",
    [
        pytest.param("import thalweg.cli.commands", id="the import"),
        pytest.param("from thalweg.cli.commands import app; app(['--help'])", id="the list of commands"),
    ],
)
def test_nothing_heavy_is_loaded_for(code: str) -> None:
    assert not imported(code) & set(HEAVY)


def test_the_import_of_the_command_line_is_quick() -> None:
    took = "import time; t = time.process_time(); import thalweg.cli.commands; print(round((time.process_time() - t) * 1000))"
    runs = [subprocess.run([sys.executable, "-c", took], capture_output=True, text=True, check=True) for _ in range(3)]
    assert min(int(run.stdout) for run in runs) <= IMPORT_MS * SLOWER


@pytest.mark.parametrize(
    ("text", "most", "lines"),
    [
        pytest.param("one two three", 7, ["one two", "three"], id="at spaces"),
        pytest.param("unbreakable", 4, ["unbreakable"], id="a word is not cut"),
        pytest.param("深泓是一个网关", 6, ["深泓是", "一个网", "关"], id="between wide characters"),
        pytest.param("深泓是，网关", 6, ["深泓", "是，网", "关"], id="no line begins with a comma"),
        pytest.param("用 THALWEG_HOME 设置", 14, ["用", "THALWEG_HOME", "设置"], id="a name among wide ones"),
        pytest.param("a\N{NO-BREAK SPACE}b c", 3, ["a b", "c"], id="what shall stay together"),
        pytest.param("", 10, [], id="nothing"),
    ],
)
def test_a_paragraph_is_broken(text: str, most: int, lines: list[str]) -> None:
    assert list(wrap(text, most)) == lines


@pytest.mark.parametrize("pieces", [1, 2, 3, 100])
def test_text_that_comes_in_pieces_is_broken_as_if_it_were_whole(pieces: int) -> None:
    text = "one two three four\n\n深泓是一个网关，five six\nunbreakable-as-it-is end"
    flow = Flow(9)
    written = "".join(flow.feed(text[at : at + pieces]) for at in range(0, len(text), pieces)) + flow.end()
    lines = [line for paragraph in text.split("\n") for line in (list(wrap(paragraph, 9)) or [""])]
    assert [line.rstrip() for line in written.split("\n")] == lines
