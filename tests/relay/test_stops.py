"""Stop sequences in text that comes in pieces."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thalweg.relay.stops import StopMatcher

LETTERS = st.text("abé", max_size=14)
STOPS = st.lists(st.text("abé", min_size=1, max_size=4), min_size=1, max_size=3).map(tuple)


def whole(text: str, stops: tuple[str, ...]) -> tuple[str, str | None]:
    """What is said, and what ended it, as it is defined: the sequence that is whole first; of two, the longer."""
    ends = [(at + len(stop), at, stop) for stop in stops if (at := text.find(stop)) >= 0]
    if not ends:
        return text, None
    _, at, stop = min(ends)
    return text[:at], stop


@given(LETTERS, STOPS, st.lists(st.integers(0, 14), max_size=6))
def test_a_stop_is_found_however_the_text_is_cut(text: str, stops: tuple[str, ...], cuts: list[int]) -> None:
    matcher, said = StopMatcher(stops), ""
    edges = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    for begin, end in itertools.pairwise(edges):
        said += matcher.feed(text[begin:end])
        assert whole(text, stops)[0].startswith(said), "nothing is said that is not to be said"
        assert len(text[:end]) - len(said) < max(map(len, stops)) or matcher.found, "and little is kept back"
    if matcher.found is None:
        said += matcher.end()
    assert (said, matcher.found) == whole(text, stops)


def test_nothing_is_said_after_it() -> None:
    matcher = StopMatcher(("END",))
    assert [matcher.feed(piece) for piece in ("a E", "N", "D b", "c")] == ["a ", "", "", ""]
    assert (matcher.found, matcher.end()) == ("END", "")


@pytest.mark.parametrize("stops", [(), ("",)])
def test_without_any_everything_is_said_at_once(stops: tuple[str, ...]) -> None:
    matcher = StopMatcher(stops)
    assert (matcher.feed("abc"), matcher.found, matcher.end()) == ("abc", None, "")
