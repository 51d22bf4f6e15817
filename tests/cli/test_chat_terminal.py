"""`thalweg chat` as a person has it: on a real terminal, with the real gateway behind it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli.terminal import Terminal
from tests.live.gateway import KEY, Gateway

STEADY = "sim/text?seed=1&pace=0"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with Gateway(tmp_path_factory.mktemp("gateway")) as started:
        yield started


Chat = Callable[..., Terminal]


def at_prompt(text: str) -> bool:
    return text.endswith("\n>")


def enter(terminal: Terminal, line: str) -> None:
    """Type a line where one is read, and wait until it stands there."""
    terminal.until(at_prompt)

    def times(text: str) -> int:
        # A line that is longer than the terminal is wide goes on in the next one.
        return text.replace("\n", "").count(f"> {line}")

    before = times(terminal.text)
    terminal.line(line)
    terminal.until(lambda text: times(text) > before)


def leave(terminal: Terminal) -> int:
    """Ctrl-D at the prompt; the exit code."""
    terminal.until(at_prompt)
    terminal.type("\x04")
    return terminal.exit_code()


@pytest.fixture
def chat(gateway: Gateway, tmp_path: Path) -> Iterator[Chat]:
    """Runs `thalweg chat` on a terminal, with the gateway's address and key."""
    running: list[Terminal] = []

    def run(*arguments: str, rows: int = 24, columns: int = 80, **env: str) -> Terminal:
        own = {"THALWEG_URL": gateway.url, "THALWEG_API_KEY": KEY} | env
        running.append(Terminal(tmp_path, "chat", *arguments, rows=rows, columns=columns, env=own))
        return running[-1]

    yield run
    for terminal in running:
        terminal.close()


MARKDOWN = """# 标题 Title

Some **bold** words and `code`, 深泓是一个流式网关，它把很多供应商的接口统一成一个，并且不丢任何东西，也不会缓冲任何一个。

- one
- two

```python
def f(x):
    return x + 1
```
"""


def test_markdown_is_rendered_as_it_comes_and_stands_there_once(chat: Chat) -> None:
    terminal = chat("sim/text?seed=1&pace=150", f"\n\n{MARKDOWN}", columns=60)
    terminal.until("Some bold words and code")
    assert terminal.exit_code() == 0
    text = terminal.text
    for mark in ("**", "`code`"):
        assert mark not in text
    for once in ("Title", "bold words", " • one", "def f(x):", "```python"):
        assert text.count(once) == 1
    row = next(y for y, line in enumerate(terminal.rows) if line.startswith("def f"))
    assert terminal.cell(row, 0).fg != "default"
    assert all(len(line) <= 60 for line in terminal.everything)


def test_a_long_answer_scrolls_off_once_and_whole(chat: Chat) -> None:
    lines = [f"{number}. line {number:03}" for number in range(1, 81)]
    code = [f"code {number:03}" for number in range(60)]
    prompt = "\n".join(["", "", *lines, "", "```", *code, "```", "", "The end."])
    terminal = chat("sim/text?seed=1&pace=1500", prompt, rows=12)
    assert terminal.exit_code() == 0
    found = re.findall(r"(?:line|code) \d{3}", terminal.text)
    assert found == [f"line {number:03}" for number in range(1, 81)] + code
    assert terminal.text.count("The end.") == 1


def test_a_window_that_changes_meanwhile_loses_nothing(chat: Chat) -> None:
    words = [f"w{number:03}" for number in range(150)]
    terminal = chat("sim/text?seed=1&pace=150", "\n\n" + " ".join(words), rows=30, columns=80)
    terminal.until("w030")
    terminal.resize(30, 50)
    terminal.until("w080")
    terminal.resize(24, 100)
    assert terminal.exit_code() == 0
    found = re.findall(r"w\d{3}", terminal.text)
    assert found[-len(words) :] == words


def test_reasoning_comes_first_dimmed_and_timed(chat: Chat) -> None:
    terminal = chat("sim/reasoning?seed=1&pace=200", "hi")
    assert terminal.exit_code() == 0
    thoughts, told, answer = re.split(r"thought for (\d+\.\d s)\n\n", terminal.text)
    assert thoughts.strip()
    assert told
    assert "hi" in answer
    assert b"\x1b[2m" in terminal.raw


def test_plain_leaves_the_marks(chat: Chat) -> None:
    terminal = chat(STEADY, "**x** `y`", "--plain")
    assert terminal.exit_code() == 0
    assert "**x** `y`" in terminal.text


def test_a_dumb_terminal_gets_text_and_not_one_control_character(chat: Chat) -> None:
    terminal = chat("sim/reasoning?seed=1&pace=0", "**x**", TERM="dumb")
    assert terminal.exit_code() == 0
    assert "**x**" in terminal.text
    assert not re.search(rb"[\x00-\x09\x0b\x0c\x0e-\x1f]", terminal.raw)


def test_no_color_is_respected(chat: Chat) -> None:
    terminal = chat(STEADY, f"\n\n{MARKDOWN}", NO_COLOR="1")
    assert terminal.exit_code() == 0
    assert not re.search(rb"\x1b\[(?:[0-9;]*;)?[34]\d", terminal.raw)
    assert b"\x1b[1m" in terminal.raw


def test_a_model_cannot_speak_to_the_terminal(chat: Chat) -> None:
    terminal = chat(STEADY, "x\x1b]0;owned\x07\x1b[2Jy")
    assert terminal.exit_code() == 0
    assert b"\x1b]" not in terminal.raw
    assert b"\x1b[2J" not in terminal.raw
    assert "x␛]0;owned␇␛[2Jy" in terminal.text


def test_a_wait_is_shown_until_the_first_word(chat: Chat) -> None:
    terminal = chat("sim/text?seed=1&pace=0&ttft=1.2", "hi")
    terminal.until("waiting 0.")
    assert terminal.exit_code() == 0
    assert "waiting" not in terminal.text
    assert "hi" in terminal.text


# Ctrl-C


def test_an_interruption_stops_the_answer_and_tells_what_it_came_to(gateway: Gateway, chat: Chat) -> None:
    before = len(gateway.settled())
    terminal = chat("sim/slow?seed=1", "Count the stars, slowly.", "--verbose")
    terminal.until("Count")
    terminal.interrupt()
    assert terminal.exit_code() == 130
    text = " ".join(terminal.text.split())
    (entry,) = gateway.settled_since(before)
    assert entry.outcome == "cancelled"
    told = re.search(r"stopped; the upstream was closed in ([\d.]+) ms, (\d+) tokens had been made \((\w+)\)", text)
    assert told, text
    assert (int(told[2]), told[3]) == (entry.usage.output_tokens, entry.usage_source)
    assert f"stream {entry.request_id}" in text
    assert "finished: cancelled" in text
    assert text.index("Count") < text.index("stopped;")


def test_an_interruption_before_the_answer_closes_the_upstream_too(gateway: Gateway, chat: Chat) -> None:
    before = len(gateway.settled())
    terminal = chat("sim/text?ttft=30", "hi")
    terminal.until("waiting")
    terminal.interrupt()
    assert terminal.exit_code() == 130
    assert "stopped before the answer began" in terminal.text
    (entry,) = gateway.settled_since(before)
    assert entry.outcome == "cancelled"


def test_an_interruption_stops_a_gateway_of_its_own_as_well(tmp_path: Path) -> None:
    with Terminal(tmp_path, "chat", "sim/slow?seed=1", "Count the stars.") as terminal:
        terminal.until("Count")
        terminal.interrupt()
        assert terminal.exit_code() == 130
        assert "the upstream was closed in" in terminal.text


# A conversation


def test_a_conversation(gateway: Gateway, chat: Chat, tmp_path: Path) -> None:
    terminal = chat(STEADY, LC_ALL="C.UTF-8")
    terminal.until("/help lists commands")
    enter(terminal, "first question")
    terminal.until(lambda text: re.search(r"first question\n\n.*\n\n>$", text, re.DOTALL))
    enter(terminal, "/model sim/slow?seed=1")
    terminal.until("model: sim/slow")
    before = len(gateway.settled())
    enter(terminal, "a slow one")
    terminal.until(lambda text: text.count("a slow one") == 2)
    terminal.interrupt()
    terminal.until(lambda text: re.search(r"stopped;.*\n\n>$", text, re.DOTALL))
    assert gateway.settled_since(before)[0].outcome == "cancelled"
    enter(terminal, f"/model {STEADY}")
    enter(terminal, "你好，世界")
    terminal.until(lambda text: text.count("你好，世界") == 2 and at_prompt(text))
    assert leave(terminal) == 0
    (file,) = (tmp_path / "conversations").glob("*.json")
    messages = json.loads(file.read_text())["messages"]
    assert [message["text"] for message in messages if message["role"] == "user"] == [
        "first question", "a slow one", "你好，世界",
    ]  # fmt: skip
    assert messages[3]["text"]
    history = tmp_path / "conversations" / "history"
    assert history.stat().st_mode & 0o777 == 0o600
    assert "你好，世界" in history.read_text()


def test_the_commands_of_a_conversation(chat: Chat, tmp_path: Path) -> None:
    terminal = chat(STEADY)
    enter(terminal, "/help")
    terminal.until("/save FILE")
    enter(terminal, "/nothing")
    terminal.until("There is no /nothing")
    enter(terminal, "/system Be brief.")
    terminal.until("system: Be brief.")
    enter(terminal, '"""one')
    terminal.until(". ")
    terminal.line('two"""')
    terminal.until(lambda text: re.search(r"one\ntwo\n\n", text))
    enter(terminal, f"/save {tmp_path / 'talk.md'}")
    terminal.until("saved as")
    enter(terminal, f"/save {tmp_path / 'talk.md'}")
    terminal.until("File exists")
    enter(terminal, "/model")
    terminal.until("sim/reasoning")
    enter(terminal, "/clear")
    terminal.until("a new conversation")
    enter(terminal, "/exit")
    assert terminal.exit_code() == 0
    saved = (tmp_path / "talk.md").read_text()
    assert saved.startswith(f"# {STEADY}\n\n## system\n\nBe brief.\n\n## user\n\none\ntwo\n\n## assistant\n\n")


def test_an_interruption_of_the_prompt_drops_the_line_and_twice_leaves(chat: Chat) -> None:
    terminal = chat(STEADY)
    terminal.until(at_prompt)
    terminal.type("half a line")
    terminal.until("> half a line")
    terminal.interrupt()
    terminal.until(at_prompt)
    enter(terminal, '"""half a message')
    terminal.until(lambda text: text.endswith("\n."))
    terminal.interrupt()
    terminal.until(at_prompt)
    assert "once more" not in terminal.text
    terminal.interrupt()
    terminal.until("Ctrl-C once more")
    terminal.until(at_prompt)
    terminal.interrupt()
    assert terminal.exit_code() == 0


def test_an_error_does_not_end_a_conversation(chat: Chat) -> None:
    terminal = chat("sim/nothing")
    enter(terminal, "hi")
    terminal.until("has no model 'nothing'")
    enter(terminal, f"/model {STEADY}")
    enter(terminal, "hi again")
    terminal.until(lambda text: text.count("hi again") == 2)
    assert leave(terminal) == 0


def test_a_conversation_lets_go_of_the_home_between_two_answers(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with Terminal(home, "chat", STEADY, "--no-save") as terminal:
        enter(terminal, "alone")
        terminal.until(at_prompt)
        with Gateway(home, key=None) as gateway:
            enter(terminal, "together")
            terminal.until(at_prompt)
            assert len(gateway.settled(2)) == 2
        enter(terminal, "alone again")
        assert leave(terminal) == 0
    assert terminal.text.count("alone again") == 2
    assert not (home / "conversations").exists()


def test_a_conversation_in_chinese(chat: Chat) -> None:
    terminal = chat(STEADY, THALWEG_LANG="zh")
    terminal.until("/help 列出命令")
    enter(terminal, "/help")
    terminal.until("换一个模型")
    enter(terminal, "/没有")
    terminal.until("没有 /没有")
    enter(terminal, "深泓是什么？")
    terminal.until(lambda text: text.count("深泓是什么？") == 2)
    assert leave(terminal) == 0


def test_what_is_typed_meanwhile_does_not_stand_in_the_answer(chat: Chat) -> None:
    terminal = chat("sim/text?seed=1&pace=40&tokens=60")
    enter(terminal, "hello")
    terminal.until(lambda text: text.count("hello") == 2)
    terminal.type("TYPED")
    terminal.until(lambda text: text.endswith("> TYPED"))
    assert terminal.text.count("TYPED") == 1
