"""What an answer's events leave on a terminal's screen and on a pipe."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable

import pyte
import pytest

from thalweg.canon.events import Event, PartDelta, PartEnded, PartStarted
from thalweg.canon.parts import PartKind
from thalweg.cli import words
from thalweg.cli.markdown import Renderer
from thalweg.cli.region import Size
from thalweg.cli.show import PlainShow, SilentShow, TerminalShow, Waiting
from thalweg.cli.visible import visible

COLUMNS, ROWS = 40, 12


@pytest.fixture(autouse=True)
def a_terminal_with_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.delenv("COLORTERM", raising=False)
    monkeypatch.setattr(words, "language", lambda: "en")


class Seen:
    """Shows on a screen, without a clock between two pictures."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, markdown: bool = True) -> None:
        monkeypatch.setattr("thalweg.cli.show._FRAME_S", 0)
        self.out = io.StringIO(newline="")
        self.show = TerminalShow(
            Waiting(io.StringIO(), on=False), self.out, lambda: Size(COLUMNS, ROWS), markdown=markdown
        )

    @property
    def screen(self) -> pyte.HistoryScreen:
        screen = pyte.HistoryScreen(COLUMNS, ROWS, history=10_000)
        pyte.Stream(screen).feed(self.out.getvalue())
        return screen

    @property
    def rows(self) -> list[str]:
        screen = self.screen
        above = ["".join(line[x].data for x in range(COLUMNS)) for line in screen.history.top]
        rows = [row.rstrip() for row in [*above, *screen.display]]
        while rows and not rows[-1]:
            rows.pop()
        return rows

    def style(self, text: str) -> tuple[str, bool, bool]:
        """Colour, bold and underlined, of the first place where this text stands on the screen."""
        screen = self.screen
        y = next(y for y, row in enumerate(screen.display) if text in row)
        cell = screen.buffer[y][screen.display[y].index(text)]
        return cell.fg, cell.bold, cell.underscore


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Seen:
    return Seen(monkeypatch)


def part(index: int, kind: PartKind, pieces: Iterable[str], name: str | None = None) -> list[Event]:
    started = PartStarted(index=index, kind=kind, name=name, call_id="call_1" if name else None)
    return [started, *(PartDelta(index=index, text=piece) for piece in pieces), PartEnded(index=index)]


def test_markdown_is_rendered_and_its_marks_are_gone(seen: Seen) -> None:
    seen.show.took(part(0, "text", "# Title\n\nSome **bold** and `code`.\n\n- one\n- two\n"))
    assert seen.rows == ["# Title", "", "Some bold and code.", "", " • one", " • two"]
    assert seen.style("Title") == ("default", True, True)
    assert seen.style("bold") == ("default", True, False)
    assert seen.style("code") == ("cyan", False, False)


def test_code_is_highlighted_and_can_be_copied(seen: Seen) -> None:
    seen.show.took(part(0, "text", "```python\ndef f():\n    return 1\n```\n"))
    assert seen.rows == ["```python", "def f():", "    return 1", "```"]
    assert seen.style("def")[0] != "default"
    assert seen.style("f()")[0] not in {"default", seen.style("def")[0]}


def test_the_same_text_looks_the_same_however_it_came(monkeypatch: pytest.MonkeyPatch) -> None:
    text = (
        "# 标题\n\nOne *two* three 深泓是网关，不丢任何东西。 " * 3
        + "\n\n```\na\n\nb\n```\n\n| a | b |\n|--|--|\n| 1 | 2 |\n"
    )
    pictures = []
    for size in (1, 3, 1000):
        seen = Seen(monkeypatch)
        seen.show.took(part(0, "text", (text[at : at + size] for at in range(0, len(text), size))))
        pictures.append(seen.rows)
    assert pictures[0] == pictures[1] == pictures[2]
    assert "```" in pictures[0]


def test_a_block_higher_than_the_screen_stands_there_once(seen: Seen) -> None:
    code = [f"line {i}" for i in range(50)]
    seen.show.took(part(0, "text", "\n".join(["Before.", "", "```", *code, "```", "", "After.", ""])))
    assert seen.rows == ["Before.", "", "```", *code, "```", "", "After."]


def test_a_paragraph_that_does_not_end_for_long_is_shown_by_its_end(seen: Seen) -> None:
    text = " ".join(f"w{i}" for i in range(4000))
    events = part(0, "text", [text[at : at + 100] for at in range(0, len(text), 100)])
    seen.show.took(events[:-1])
    assert seen.rows[-1].endswith("w3999")
    assert len(seen.rows) <= ROWS
    seen.show.took(events[-1:])
    assert " ".join(seen.rows).split() == text.split()


def test_what_is_shown_of_an_unfinished_answer_stays(seen: Seen) -> None:
    seen.show.took(part(0, "text", ["One **two", "** thr"])[:-1])
    assert seen.rows == ["One two thr"]
    seen.show.ended()
    assert seen.rows == ["One two thr"]
    assert seen.out.getvalue().endswith("\r\n")


def test_reasoning_is_dimmed_and_timed_and_the_answer_stands_apart(seen: Seen) -> None:
    seen.show.took(
        [*part(0, "reasoning", ["First I ", "look at what was asked, and then on"]), *part(1, "text", "Yes.")]
    )
    assert seen.rows == ["First I look at what was asked, and then", "on", "thought for 0.0 s", "", "Yes."]
    assert "\x1b[2mFirst" in seen.out.getvalue()
    assert "\x1b[2mYes" not in seen.out.getvalue()


def test_a_tool_call_is_a_card_that_grows(seen: Seen) -> None:
    events = part(0, "tool_call", ['{"city":', '"北京","days":[1,2]}'], name="get_weather")
    seen.show.took(events[:2])
    seen.show.tick()
    assert seen.rows == ["╭ tool call: get_weather", '│ {"city":', "╰"]
    seen.show.took(events[2:])
    # pyte leaves out the second cell of a wide character, where a terminal has none either.
    assert seen.rows[0] == "╭ tool call: get_weather"
    assert seen.rows[-1] == "╰"
    assert re.sub(r"[│\s]", "", "".join(seen.rows[1:-1])) == '{"city":"北京","days":[1,2]}'


def test_arguments_that_are_no_json_are_shown_as_they_are(seen: Seen) -> None:
    seen.show.took(part(0, "tool_call", ['{"a": tru'], name="f"))
    assert seen.rows == ["╭ tool call: f", '│ {"a": tru', "╰"]


def test_two_calls_and_text_stand_apart(seen: Seen) -> None:
    seen.show.took([*part(0, "text", "Look:"), *part(1, "tool_call", "{}", "f"), *part(2, "tool_call", "{}", "g")])
    assert seen.rows == ["Look:", "", "╭ tool call: f", "│ {}", "╰", "", "╭ tool call: g", "│ {}", "╰"]


EVIL = "a\x1b]0;title\x07b \x1b[31mred\x9b5m c\u202ed"


@pytest.mark.parametrize("markdown", [True, False], ids=["Markdown", "plain"])
@pytest.mark.parametrize("kind", ["text", "reasoning", "tool_call"])
def test_no_control_character_of_the_models_reaches_the_terminal(
    monkeypatch: pytest.MonkeyPatch, kind: PartKind, markdown: bool
) -> None:
    seen = Seen(monkeypatch, markdown=markdown)
    seen.show.took(part(0, kind, EVIL, name=EVIL if kind == "tool_call" else None))
    written = seen.out.getvalue()
    assert not re.search(r"\x1b\]|\x07|\x9b|\x1b\[31m|\u202e", written)
    assert "␛" in written


def test_plain_text_on_a_terminal_keeps_its_marks(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = Seen(monkeypatch, markdown=False)
    seen.show.took(part(0, "text", "\n# T **b**\n\n`c`"))
    assert seen.rows == ["# T **b**", "", "`c`"]
    assert "\x1b[" not in seen.out.getvalue()


def test_html_and_addresses_are_shown_and_not_taken_for_marks(seen: Seen) -> None:
    seen.show.took(part(0, "text", "<b>x</b> [here](https://a.example/b)\n\n![pic](https://c.example/d.png)\n"))
    assert seen.rows == ["<b>x</b> here (https://a.example/b)", "", "pic (https://c.example/d.png)"]
    assert "\x1b]8" not in seen.out.getvalue()


def test_the_ends_of_lines_are_kept(seen: Seen) -> None:
    seen.show.took(part(0, "text", "one\ntwo\n"))
    assert seen.rows == ["one", "two"]


def test_wide_characters_fill_a_line_and_none_is_cut(seen: Seen) -> None:
    seen.show.took(part(0, "text", "深" * 50))
    assert [row.replace(" ", "") for row in seen.rows] == ["深" * 20, "深" * 20, "深" * 10]


COLOUR = re.compile(r"\x1b\[(?:[0-9;]*;)?(?:3[0-8]|4[0-8]|9[0-7]|10[0-7])(?:;[0-9;]*)?m")


@pytest.mark.parametrize("no_color", [False, True])
def test_no_color_takes_the_colours_and_leaves_the_rest(monkeypatch: pytest.MonkeyPatch, no_color: bool) -> None:
    if no_color:
        monkeypatch.setenv("NO_COLOR", "1")
    seen = Seen(monkeypatch)
    text = "**bold** `code`\n\n```python\ndef f(): return 'x'\n```\n\n[a](http://b)\n"
    seen.show.took([*part(0, "text", text), *part(1, "tool_call", '{"a":1}', "f"), *part(2, "reasoning", "hm")])
    assert bool(COLOUR.search(seen.out.getvalue())) is not no_color
    assert "\x1b[1m" in seen.out.getvalue()


def test_a_pipe_gets_the_text_as_it_came_and_nothing_else() -> None:
    out = io.StringIO(newline="")
    show = PlainShow(Waiting(io.StringIO(), on=False), out, closes_line=False)
    show.began()
    show.took([*part(0, "reasoning", "hm"), *part(1, "text", ["# **T**", "\r\n\x1b[1m", "深"])])
    show.ended()
    assert out.getvalue() == "# **T**\r\n\x1b[1m深"


def test_a_dumb_terminal_gets_a_last_lines_end() -> None:
    for text, written in (("a", "a\n"), ("a\n", "a\n"), ("", "")):
        out = io.StringIO()
        show = PlainShow(Waiting(io.StringIO(), on=False), out, closes_line=True)
        show.took(part(0, "text", [text]))
        show.ended()
        assert out.getvalue() == written


def test_a_tool_call_is_named_beside_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    out = io.StringIO()
    show = PlainShow(Waiting(io.StringIO(), on=False), out, closes_line=False)
    show.took(part(0, "tool_call", ['{"a":', "1}"], name="f"))
    assert out.getvalue() == ""
    assert capsys.readouterr().err == 'tool call: f({"a":1})\n'


def test_a_wait_is_shown_when_it_is_long_and_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("thalweg.cli.show.time.monotonic", lambda: now[0])
    out = io.StringIO()
    show = SilentShow(Waiting(out, on=True))
    show.began()
    show.tick()
    assert out.getvalue() == ""
    now[0] += 1.25
    show.tick()
    assert "waiting 1.2 s" in out.getvalue()
    show.ended()
    screen = pyte.Screen(COLUMNS, ROWS)
    pyte.Stream(screen).feed(out.getvalue())
    assert not "".join(screen.display).strip()


def test_a_wait_is_not_shown_beside_what_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("thalweg.cli.show._PATIENCE_S", 0)
    out = io.StringIO()
    show = SilentShow(Waiting(out, on=False))
    show.began()
    show.tick()
    show.ended()
    assert out.getvalue() == ""


def test_control_characters_become_visible_and_lines_stay_lines() -> None:
    assert visible("a\r\nb\tc\x00\x1b\x7f\x85") == "a\nb\tc␀␛␡�"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param(r"so $a_1 \, b_1$ is", r"so $a_1 \, b_1$ is", id="backslashes stay"),
        pytest.param("is $c*d*e$ so", "is $c*d*e$ so", id="stars are no emphasis"),
        pytest.param("$$\nx \\\\ y\n$$", "$$\nx \\\\ y\n$$", id="several lines"),
        pytest.param("`$a` *x* `$b`", "$a x $b", id="code comes first"),
        pytest.param("$5 and $6 *x*", "$5 and $6 x", id="amounts are no formula"),
        pytest.param("$$ open *x*", "$$ open x", id="nor is half of one"),
    ],
)
def test_a_formula_is_shown_as_it_is_written(text: str, shown: str) -> None:
    lines = Renderer().block(text, 80)
    assert "\n".join(re.sub(r"\x1b\[[0-9;]*m", "", line.text) for line in lines) == shown


def test_a_wide_window_is_not_filled() -> None:
    lines = Renderer().block("word " * 200, 300)
    assert max(line.columns for line in lines) <= 100
