"""A region that is written anew in place leaves on the screen what it should, and in the scroll-back nothing twice."""

from __future__ import annotations

import re

import pyte
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thalweg.cli.region import Line, Region, Size

COLUMNS, ROWS = 20, 6


class Screen:
    """A screen with a region on it."""

    def __init__(self) -> None:
        self.size = Size(COLUMNS, ROWS)
        self.screen = pyte.HistoryScreen(COLUMNS, ROWS, history=10_000)
        self.stream = pyte.Stream(self.screen)
        self.region = Region(lambda: self.size)

    def write(self, text: str) -> None:
        self.stream.feed(text)

    @property
    def rows(self) -> list[str]:
        above = ["".join(line[x].data for x in range(COLUMNS)) for line in self.screen.history.top]
        shown = [row.rstrip() for row in [*above, *self.screen.display]]
        while shown and not shown[-1]:
            shown.pop()
        return shown


def lines(*texts: str) -> list[Line]:
    return [Line(text, len(text)) for text in texts]


def test_a_region_is_written_over_what_it_was() -> None:
    screen = Screen()
    for shown in (["one"], ["one", "tw"], ["one", "two"], ["other"], ["other", "", "end"]):
        screen.write(screen.region.update(lines(*shown)))
        assert screen.rows == shown


def test_what_is_final_stays_and_the_next_region_is_below() -> None:
    screen = Screen()
    screen.write(screen.region.update(lines("raw", "text")))
    screen.write(screen.region.commit(lines("Text")))
    screen.write(screen.region.update(lines("next")))
    assert screen.rows == ["Text", "next"]


def test_a_region_that_becomes_shorter_leaves_no_empty_line() -> None:
    for then in ("update", "commit"):
        screen = Screen()
        screen.write(screen.region.update(lines("one", "two", "three")))
        screen.write(getattr(screen.region, then)(lines("one")))
        screen.write(screen.region.commit(lines("one", "more") if then == "update" else lines("more")))
        assert screen.rows == ["one", "more"]


def test_nothing_is_written_where_nothing_has_changed() -> None:
    screen = Screen()
    screen.write(screen.region.update(lines("one", "two")))
    assert screen.region.update(lines("one", "two")) == ""


def test_only_what_has_changed_is_written() -> None:
    region = Region(lambda: Size(COLUMNS, ROWS))
    region.update(lines("one", "two", "three"))
    assert "one" not in region.update(lines("one", "2", "three"))
    assert "three" not in region.update(lines("one", "2", "three", "four"))


def test_a_region_that_is_too_high_shows_its_end_and_is_final_as_a_whole() -> None:
    screen = Screen()
    many = [f"line {i}" for i in range(30)]
    for count in range(1, 31):
        screen.write(screen.region.update(lines(*many[:count])))
        assert screen.rows == many[:count][-(ROWS - 1) :]
    screen.write(screen.region.commit(lines(*many)))
    assert screen.rows == many


def test_a_window_that_has_become_narrower_is_cleared_as_far_as_it_is_broken() -> None:
    screen = Screen()
    screen.write(screen.region.update(lines("a" * 18, "b" * 18)))
    # The terminal has broken each line into two.
    screen.write("\x1b[2J\x1b[H" + "a" * 10 + "\r\n" + "a" * 8 + "\r\n" + "b" * 10 + "\r\n" + "b" * 8)
    screen.size = Size(10, ROWS)
    screen.write(screen.region.update(lines("a" * 10, "a" * 8)))
    assert screen.rows == ["a" * 10, "a" * 8]


def test_a_picture_is_one_update_for_terminals_that_know_that() -> None:
    region = Region(lambda: Size(COLUMNS, ROWS))
    assert re.fullmatch(r"\x1b\[\?2026h.*\x1b\[\?2026l", region.update(lines("one")), re.DOTALL)


WORDS = st.lists(st.text(alphabet="abc", max_size=6), max_size=9)


@given(st.lists(st.tuples(st.booleans(), WORDS), max_size=12))
@pytest.mark.parametrize("before", [0, 3, 20])
def test_any_pictures_leave_what_was_final_and_the_end_of_the_last(
    before: int, pictures: list[tuple[bool, list[str]]]
) -> None:
    screen = Screen()
    final = [f"before {i}" for i in range(before)]
    screen.write("".join(f"{line}\r\n" for line in final))
    shown: list[str] = []
    for is_final, texts in pictures:
        draw = screen.region.commit if is_final else screen.region.update
        screen.write(draw(lines(*texts)))
        final, shown = (final + texts, []) if is_final else (final, texts[-(ROWS - 1) :])
    expected = final + shown
    while expected and not expected[-1]:
        expected.pop()
    assert screen.rows == expected
