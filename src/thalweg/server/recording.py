"""A connector that has every answer written down which comes through it. Without it nothing is different."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

import msgspec

from thalweg.canon.errors import GatewayError, UpstreamTimeout, UpstreamUnreachable
from thalweg.canon.events import UsageReported
from thalweg.config import Settings
from thalweg.dialects.base import Dialect
from thalweg.dialects.registry import DIALECTS
from thalweg.framing.sse import SseDecoder
from thalweg.profiles.providers import COMPATIBLE
from thalweg.recorder.form import EndKind
from thalweg.recorder.writer import Asked, Reading, Recorder, Taking
from thalweg.server.replay import REPLAY
from thalweg.upstream.base import Call, Connector, Listener, ResponseHead, UpstreamRequest

_ENDINGS: dict[str, str] = {
    "/chat/completions": "openai-chat",
    "/responses": "openai-responses",
    "/messages": "anthropic",
    ":generateContent": "gemini",
    ":streamGenerateContent": "gemini",
    "/generation": "dashscope-native",
}
"""The dialect of a request that generates, by how its path ends. Others are not recorded: pings, lists, counts."""
_MOST_WHOLE_BYTES = 4 * 1024 * 1024
"""The longest whole answer that is looked through for its usage."""


class CannotRecord(OSError):
    """The folder for recordings cannot be used; `filename` says which."""


def open_recorder(settings: Settings) -> Recorder | None:
    """The recorder of a gateway; `None` where nothing is to be recorded. Raises `CannotRecord`."""
    wish = settings.recording
    return None if wish.folder is None else make_recorder(settings)


def make_recorder(settings: Settings) -> Recorder:
    """A recorder into the folder of the settings. Raises `CannotRecord`."""
    folder = settings.recording.folder or settings.replay_folder
    secrets = [settings.api_key or ""]
    for provider in settings.providers.values():
        credentials = [provider.credential, *(key.credential for key in provider.more_keys)]
        secrets += [_bare(each.value) for each in credentials if each is not None]
    try:
        return Recorder(folder, most_bytes=settings.recording.most_bytes, secrets=secrets, reading=reading_of)
    except OSError as error:
        raise CannotRecord(error.errno, error.strerror, error.filename or str(folder)) from error


def _bare(value: bytes) -> str:
    return value.rpartition(b" ")[2].decode("latin-1")


class RecordingConnector:
    """A `base.Connector` around another one."""

    def __init__(self, inner: Connector, recorder: Recorder, *, simulated: bool = False) -> None:
        self._inner = inner
        self._recorder = recorder
        self._simulated = simulated

    def start(self, request: UpstreamRequest, listener: Listener) -> Call:
        """Begin the call, and a recording if it generates."""
        asked = asked_of(request, simulated=self._simulated)
        if asked is None:
            return self._inner.start(request, listener)
        taking = self._recorder.take(asked)
        return _RecordedCall(self._inner.start(request, _Tee(listener, taking)), taking)

    async def close(self) -> None:
        """Close the other one."""
        await self._inner.close()


def asked_of(request: UpstreamRequest, *, simulated: bool) -> Asked | None:
    """What a recording says of a request; `None` for one that generates nothing, or is itself played."""
    path = request.target.partition(b"?")[0].decode("ascii", "replace")
    dialect = next((name for ending, name in _ENDINGS.items() if path.endswith(ending)), None)
    if dialect is None or request.method != b"POST" or request.provider == REPLAY:
        return None
    return Asked(
        provider=request.provider,
        dialect=dialect,
        model=_model(path, request.body, dialect),
        path=path,
        body=request.body,
        secrets=() if request.credential is None else (_bare(request.credential.value),),
        simulated=simulated,
    )


class _Named(msgspec.Struct):
    model: str = ""


def _model(path: str, body: bytes, dialect: str) -> str:
    if dialect == "gemini":
        return unquote(path.rpartition("/")[2].rpartition(":")[0])
    try:
        return msgspec.json.decode(body, type=_Named).model
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ""


class _Tee:
    """Tells the recording first, then the listener: what the listener does may end the call."""

    __slots__ = ("_heard", "_listener", "_taking")

    fast_path = None
    """All that comes is written down."""

    def __init__(self, listener: Listener, taking: Taking) -> None:
        self._listener = listener
        self._taking = taking
        self._heard = listener.body_received

    def connected(self) -> None:
        self._taking.sent()
        self._listener.connected()

    def head_received(self, head: ResponseHead) -> None:
        self._taking.head(head.status, head.headers)
        self._listener.head_received(head)

    def body_received(self, data: bytes) -> None:
        self._taking.read(data)
        self._heard(data)

    def body_ended(self) -> None:
        self._taking.ended("whole")
        self._listener.body_ended()

    def call_failed(self, error: GatewayError) -> None:
        self._taking.ended(_end_of(error), error.message)
        self._listener.call_failed(error)


def _end_of(error: GatewayError) -> EndKind:
    if isinstance(error, UpstreamUnreachable | UpstreamTimeout):
        return "unreachable"
    # The simulator in this process has no connection that the system could tell of.
    reset = isinstance(error.__cause__, ConnectionResetError) or error.message.endswith("reset the connection")
    return "reset" if reset else "cut"


class _RecordedCall:
    """A `base.Call` around another one. How the listener's side ends it is how the recording ends."""

    __slots__ = ("_call", "_taking", "fast_path_opened", "pause_reading", "resume_reading", "when_lost")

    def __init__(self, call: Call, taking: Taking) -> None:
        self._call = call
        self._taking = taking
        self.pause_reading = call.pause_reading
        self.resume_reading = call.resume_reading
        self.fast_path_opened = call.fast_path_opened
        self.when_lost: Callable[[Callable[[], None]], None] = call.when_lost

    @property
    def closed_at(self) -> float | None:
        return self._call.closed_at

    @property
    def lost_at(self) -> float | None:
        return self._call.lost_at

    def abort(self) -> None:
        self._taking.ended("left")
        self._call.abort()

    def release(self) -> None:
        """The answer was read as far as its dialect has it."""
        self._taking.ended("whole")
        self._call.release()


def reading_of(dialect: str) -> Reading:
    """What looks for the usage in an answer of a dialect."""
    return _UsageReading(DIALECTS[dialect])


class _UsageReading:
    """Reads one answer for its usage, on the recorder's thread. What it cannot read it leaves alone."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._decoder = dialect.stream_decoder(profile=COMPATIBLE, provider="")
        self._framing = SseDecoder()
        self._whole: list[bytes] | None = None
        self._begun = False
        self._size = 0
        self._last: Any = None

    def feed(self, data: bytes) -> None:
        """More of the body."""
        self._size += len(data)
        if not self._begun and data.strip():
            self._begun = True
            self._whole = [] if data.lstrip()[:1] in (b"{", b"[") else None
        if self._whole is not None:
            if self._size <= _MOST_WHOLE_BYTES:
                self._whole.append(data)
        else:
            for event in self._decoder.feed(self._framing.feed(data)):
                self._last = event.usage if isinstance(event, UsageReported) else self._last

    def usage(self) -> dict[str, Any] | None:
        """What was reported last."""
        if self._whole is not None and self._size <= _MOST_WHOLE_BYTES:
            self._last = self._of_whole(b"".join(self._whole))
        elif self._whole is None:
            for event in self._decoder.end():
                self._last = event.usage if isinstance(event, UsageReported) else self._last
        return None if self._last is None else msgspec.to_builtins(self._last)

    def _of_whole(self, body: bytes) -> Any:
        try:
            return self._dialect.decode_answer(body, profile=COMPATIBLE, provider="").usage
        except GatewayError:
            return None
