"""What was decided about a request before its upstream is called."""

from __future__ import annotations

import msgspec

from thalweg.canon.policy import Leave, Timeouts
from thalweg.canon.request import Request
from thalweg.dialects.base import Dialect, UpstreamBody, UpstreamSide, WireRequest, count_chars
from thalweg.relay.attempts import Tries
from thalweg.relay.seam import Beginning
from thalweg.relay.translator import Listener

Headers = tuple[tuple[bytes, bytes], ...]


class Timing(Timeouts, frozen=True, kw_only=True):
    """How long each wait may take, in seconds: the upstream's, and the client's."""

    commit_after_s: float = 10.0
    keepalive_s: float = 10.0


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """How much may be held for one answer, in bytes."""

    frame_bytes: int = 16 * 1024 * 1024
    answer_bytes: int = 32 * 1024 * 1024
    high_water_bytes: int = 64 * 1024
    low_water_bytes: int = 32 * 1024


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that was decided about a request before the upstream is called."""

    stream_id: str
    asked: WireRequest
    dialect: Dialect
    """The client's."""
    upstream: UpstreamSide
    upstream_streams: bool
    """Whether the upstream is asked to stream; it may be while the client is not."""
    sent: UpstreamBody | None = None
    """What was written for an upstream of another dialect; `None` where both sides speak the same one."""
    request: Request | None = None
    """The client's request in no dialect, where it is known already."""
    listener: Listener | None = None
    """Hears the events of a translated answer."""
    raw: bool = False
    """Whether repairs are off."""
    created: int = 0
    """Unix seconds, for what the gateway itself has to say."""
    headers: Headers = ()
    """Headers of ours that every answer carries."""
    timing: Timing = Timing()
    bounds: Bounds = Bounds()
    leave: Leave = Leave()
    """What becomes of the upstream's answer when the client goes."""
    tries: Tries | None = None
    """Says whether another attempt follows a failure before the first content; `None` for this one alone."""
    continues: bool = False
    """Whether the upstream could be told the beginning of an answer that broke off."""
    beginning: Beginning | None = None
    """What this attempt goes on with; `None` for one that begins the answer."""
    told: str = ""
    """The beginning as the upstream was told it."""

    @property
    def answer_id(self) -> str:
        """The name of the answer where it is ours to give one."""
        return self.dialect.id_prefix + self.stream_id

    @property
    def goes_on(self) -> bool:
        """Whether another attempt may go on with the answer if it breaks off now."""
        return self.continues and self.tries is not None and self.tries.may_continue

    def prompt_chars(self) -> tuple[int, int]:
        """Characters of what the upstream reads, ASCII and others: the client's messages, and what it was told."""
        (narrow, wide), (told_narrow, told_wide) = self.asked.prompt_chars(), count_chars(self.told)
        return narrow + told_narrow, wide + told_wide

    def canon(self) -> Request:
        """The client's request in no dialect."""
        return self.asked.canon() if self.request is None else self.request
