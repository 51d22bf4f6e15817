"""Every recorded stream, read frame by frame: the short way of the common frame says what the long one says."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest

from tests.corpus.cases import Case, streams
from thalweg.canon.events import Event, PartDelta, UsageReported
from thalweg.canon.fold import fold
from thalweg.dialects.registry import DIALECTS
from thalweg.framing.sse import Frame, SseDecoder
from thalweg.profiles.base import Profile
from thalweg.profiles.providers import SIMULATOR

pytestmark = pytest.mark.usefixtures("corpus_root")

PROFILE: Profile = SIMULATOR.profile
CASES = streams()
AT_LEAST = {"openai-chat": 96, "openai-responses": 98, "anthropic": 98, "gemini": 45, "dashscope-native": 85}
"""How many in a hundred of a dialect's recorded deltas take the short way. Gemini's streams are of few chunks, first and last ones."""


class Reading:
    """What a decoder says of frames that come one by one."""

    def __init__(self, case: Case, frames: list[Frame], *, short: bool) -> None:
        decoder = DIALECTS[case.dialect].stream_decoder(profile=PROFILE, provider="acme")
        self.events: list[Event] = []
        self.passed = 0
        spoke = False
        for frame in frames:
            event = decoder.grown(frame.raw) if short and spoke else None
            if event is not None:
                self.passed += 1
                self.events.append(event)
            else:
                self.events += decoder.feed([frame])
            spoke = spoke or any(isinstance(event, PartDelta) for event in self.events)

        self.settled = self.events + decoder.settle()
        """All that can be known where the stream is cut off here."""
        self.ended = self.settled + decoder.end()


def without_usage(events: list[Event]) -> list[Any]:
    return [repr(event) for event in events if not isinstance(event, UsageReported)]


def last_usage(events: list[Event]) -> Any:
    said = [event for event in events if isinstance(event, UsageReported)]
    return said[-1] if said else None


def frames_of(case: Case) -> list[Frame]:
    frames = SseDecoder()
    return frames.feed(case.body) + frames.end()


def ids(case: Case) -> str:
    return f"{case.dialect}/{case.folder.name}"


@pytest.mark.parametrize("case", CASES, ids=ids)
def test_a_recorded_stream_says_the_same_on_both_ways(case: Case, seeded_random: random.Random) -> None:
    frames = frames_of(case)
    for at in (len(frames), *seeded_random.choices(range(len(frames) + 1), k=8)):
        short, long = (Reading(case, frames[:at], short=way) for way in (True, False))
        assert long.passed == 0
        for mine, theirs in ((short.settled, long.settled), (short.ended, long.ended)):
            assert without_usage(mine) == without_usage(theirs)
            assert last_usage(mine) == last_usage(theirs)
            assert repr(fold(mine)) == repr(fold(theirs))


def test_most_of_what_was_recorded_takes_the_short_way() -> None:
    """Else there would be nothing to compare, and nothing gained."""
    passed, deltas = Counter[str](), Counter[str]()
    for case in CASES:
        reading = Reading(case, frames_of(case), short=True)
        passed[case.dialect] += reading.passed
        deltas[case.dialect] += max(sum(isinstance(event, PartDelta) for event in reading.events) - 1, 0)
    for dialect, few in AT_LEAST.items():
        assert passed[dialect] * 100 >= few * deltas[dialect], dialect
