"""A scenario made of a recorded body, read by read. Bytes and times in, a scenario out.

What stays is what is said, and when: parts, pieces, finish, usage, errors. Ids, signatures, citations, log
probabilities, pictures, sounds, and what only the vendor's own grammar knows, are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Literal, get_args

from thalweg.canon.errors import GatewayError, UpstreamBroke
from thalweg.canon.events import (
    ChoiceFinished,
    Event,
    PartDelta,
    PartEnded,
    PartStarted,
    ResponseEnded,
    ResponseFailed,
    UsageReported,
)
from thalweg.canon.scenario import (
    FORM,
    Begin,
    Counts,
    Ending,
    Failure,
    Finish,
    Kind,
    PartName,
    Say,
    Scenario,
    ScenarioError,
    Step,
    check,
)
from thalweg.client.codecs import BodyReader, dialect
from thalweg.dialects.base import Dialect

Close = Literal["whole", "cut", "reset"]
"""How the connection ended: as its framing says, closed in the middle, or reset."""
_KINDS = frozenset(get_args(Kind))
_TELLABLE = frozenset(get_args(PartName))
_OF_KEYS: dict[int, Kind] = {401: "auth", 402: "billing", 403: "permission"}
"""What a decoder keeps from clients, since the key is none of theirs."""
_OF_VENDORS = frozenset({"server"})
"""Calls that the provider answers by itself."""


class Teller:
    """Makes the scenario of one answer. Lives as long as its body; times are milliseconds since the request.

    Raises `ScenarioError` for a dialect that nobody here reads.
    """

    def __init__(self, source: str, *, provider: str = "", model: str = "", recorded_at: str = "") -> None:
        self.left_out = 0
        """Parts that a scenario cannot have."""
        self._dialect = _dialect(source)
        self._about = {"provider": provider, "model": model, "recorded_at": recorded_at}
        self._body = BodyReader(self._dialect, provider=provider)
        self._steps: list[Step] = []
        self._told_ms = 0.0
        """When the last step was."""
        self._now_ms = 0.0
        self._parts: dict[int, PartStarted] = {}
        """Those that are told, by index."""
        self._begun: dict[int, int] = {}
        """Where in the steps each part begins."""
        self._usage: Counts | None = None
        self._over = False
        """Whether the body has ended, as its framing says."""
        self._end: Ending | None = None
        self._error: Failure | None = None
        self._rows: dict[type, Callable[[Any], None]] = {
            PartStarted: self._part_started,
            PartDelta: self._delta,
            PartEnded: self._part_ended,
            UsageReported: self._usage_reported,
            ChoiceFinished: self._finished,
            ResponseEnded: self._ended,
            ResponseFailed: self._failed,
        }

    def feed(self, ms: float, data: bytes) -> None:
        """A read, and when it came."""
        self._take(ms, self._body.feed(data))

    def end(self, ms: float, close: Close) -> Scenario:
        """The scenario, once nothing more comes. Raises `ScenarioError` where the answer cannot be told."""
        if self._end is None and close != "whole":
            # What the end of the body would mean for a reader is not known of one that was cut.
            self._now_ms, self._end = max(ms, self._now_ms), close
        elif self._end is None:
            self._over = True
            self._take(ms, self._body.end())
        return self._made()

    def refused(self, ms: float, status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes) -> Scenario:
        """The scenario of an answer with a status that says no. Raises `ScenarioError`."""
        error = self._dialect.decode_error(
            status, headers, body, provider=self._about["provider"] or "the provider", key_name="its key"
        )
        self._now_ms, self._end = ms, "refused"
        self._error = _failure(error, status)
        return self._made()

    def unreachable(self, ms: float) -> Scenario:
        """The scenario of an answer that there was no connection for."""
        self._now_ms, self._end = ms, "unreachable"
        return self._made()

    def _made(self) -> Scenario:
        scenario = Scenario(
            form=FORM,
            usage=self._usage,
            end=self._end or "eof",
            end_ms=_rounded(self._now_ms - self._told_ms),
            error=self._error,
            steps=tuple(self._steps),
            **self._about,
        )
        check(scenario)
        return scenario

    def _take(self, ms: float, events: Iterable[Event]) -> None:
        self._now_ms = max(ms, self._now_ms)
        for event in events:
            if self._end is None and (row := self._rows.get(type(event))) is not None:
                row(event)

    def _wait_ms(self) -> float:
        """The time since the last step, up to the one that is told now."""
        wait, self._told_ms = self._now_ms - self._told_ms, self._now_ms
        return _rounded(wait)

    def _part_started(self, event: PartStarted) -> None:
        part: Any = event.kind
        if event.kind not in _TELLABLE or event.call_kind in _OF_VENDORS:
            self.left_out += 1
            return
        self._parts[event.index] = event
        self._begun[event.index] = len(self._steps)
        name = (event.name or "unnamed") if event.kind == "tool_call" else None
        custom = event.call_kind == "custom"
        self._steps.append(Begin(part=part, ms=self._wait_ms(), choice=event.choice, name=name, custom=custom))

    def _delta(self, event: PartDelta) -> None:
        if event.index in self._parts and event.text:
            self._steps.append(Say(text=event.text, ms=self._wait_ms(), choice=event.choice))

    def _part_ended(self, event: PartEnded) -> None:
        # That a thought is redacted is only told at its end.
        if event.redacted and event.index in self._parts:
            at = self._begun[event.index]
            begun = self._steps[at]
            self._steps[at] = Begin(part="reasoning", ms=begun.ms, choice=begun.choice, redacted=True)

    def _usage_reported(self, event: UsageReported) -> None:
        self._usage = Counts.of(event.usage)

    def _finished(self, event: ChoiceFinished) -> None:
        step = Finish(reason=event.reason, ms=self._wait_ms(), choice=event.choice, stop_sequence=event.stop_sequence)
        self._steps.append(step)

    def _ended(self, _: ResponseEnded) -> None:
        self._end = "whole"

    def _failed(self, event: ResponseFailed) -> None:
        # Nothing is wrong with what was said, but the dialect's own end is missing.
        early = self._over and isinstance(event.error, UpstreamBroke) and not self._body.whole
        self._end = "eof" if early else "failed"
        self._error = None if early else _failure(event.error)


def _dialect(name: str) -> Dialect:
    try:
        return dialect(name)
    except ValueError as error:
        raise ScenarioError(str(error)) from error


def _failure(error: GatewayError, status: int | None = None) -> Failure:
    kind: Any = _OF_KEYS.get(status or 0, error.kind if error.kind in _KINDS else "upstream_error")
    return Failure(kind=kind, message=error.message, status=status, retry_after_s=error.retry_after_s)


def _rounded(ms: float) -> float:
    """To the microsecond, as times are in recordings."""
    return round(max(ms, 0.0), 3)
