"""DashScope's streams and whole answers, read into events. A whole answer is read as the only frame of a stream."""

from __future__ import annotations

from typing import Any

from thalweg.canon.errors import UpstreamBroke
from thalweg.canon.events import (
    ChoiceFinished,
    Event,
    Pinged,
    ResponseEnded,
    ResponseStarted,
    UsageReported,
)
from thalweg.canon.fold import fold
from thalweg.canon.ids import call_id
from thalweg.canon.response import Response
from thalweg.dialects.dashscope_native.errors import error_in_answer
from thalweg.dialects.dashscope_native.growth import Grown, Growth
from thalweg.dialects.dashscope_native.line import Counter, Line, Part
from thalweg.dialects.dashscope_native.tables import RESEARCHED, canonical_finish, is_usage, together, usage_to_canon
from thalweg.dialects.dashscope_native.wire import (
    Answer,
    CallPiece,
    Choice,
    CommonMessage,
    CommonPiece,
    Function,
    Message,
    Output,
    arguments_of,
    choices_of,
    error_of,
    finish_of,
    others_in,
    payloads,
    read,
    read_any,
    read_common,
    read_counts,
    sources_of,
    status_of,
    text_of,
)
from thalweg.dialects.kit.common import Both, CommonFrames, usage_in
from thalweg.dialects.kit.decoder import FrameDecoder
from thalweg.dialects.kit.frames import BadFrame, is_line
from thalweg.framing.sse import Frame


class _Call:
    """One call and how the wire knows it."""

    __slots__ = ("number", "part", "wire_id", "wire_index")

    def __init__(self, number: int, wire_index: int | None, wire_id: str, part: Part) -> None:
        self.number = number
        self.wire_index = wire_index
        self.wire_id = wire_id
        self.part = part


class _State:
    """One choice so far."""

    __slots__ = ("calls", "finish", "line", "urls")

    def __init__(self, line: Line) -> None:
        self.line = line
        self.calls: list[_Call] = []
        self.finish: str | None = None
        self.urls: set[str] = set()


_COMMON_HEAD = b"event:result\n:HTTP_STATUS/200"
"""What stands between a common frame's number and its data."""


class _CommonAnswers(CommonFrames[Part]):
    """The common frames of one stream, from their data on."""

    __slots__ = ("call",)

    def __init__(self) -> None:
        super().__init__()
        self.call: _Call | None = None
        """What is known of the part, if it is a call."""

    def read(self, data: bytes) -> Both | None:
        """By the parser, which looks only into fields that it knows."""
        if not is_line(data) or self.part is None:
            return None
        if not data.isascii():
            data.decode()
        answer = read_common(data)
        return self._text(self.part, answer.output.choices[0].message), usage_in(answer.usage)

    def _text(self, part: Part, message: CommonMessage) -> str:
        """What a message adds to the part; empty where it adds nothing, or to anything else."""
        content, thought, calls = message.content, message.reasoning_content, message.tool_calls
        text = "".join(piece.text for piece in content) if isinstance(content, list) else content
        if part.kind == "tool_call":
            return "" if text or thought else self._arguments(calls)
        said, other = (text, thought) if part.kind == "text" else (thought, text)
        return "" if other or calls else said or ""

    def _arguments(self, calls: list[CommonPiece] | None) -> str:
        call, piece = self.call, calls[0] if calls and len(calls) == 1 else None
        if piece is None or call is None or piece.index != call.wire_index or piece.id not in (None, "", call.wire_id):
            return ""
        return piece.function.arguments

    def counts(self, usage: bytes) -> bool | None:
        """Every report counts that says a number; the first frame of a search has an empty one."""
        counts = read_counts(usage)
        if self.unread is not None and not counts.output_tokens:
            return None  # what the one before it covers must be noted first
        return counts.input_tokens is not None or counts.output_tokens is not None


class DashScopeStreamDecoder(FrameDecoder):
    """Reads one stream. Lives as long as the stream."""

    __slots__ = (
        "_choices",
        "_common",
        "_counter",
        "_growth",
        "_made",
        "_reports",
        "_response_id",
        "_spoke",
        "_tool_info",
    )

    def __init__(self, *, provider: str = "") -> None:
        super().__init__(provider)
        self._counter = Counter()
        self._choices: dict[int, _State] = {}
        self._growth = Growth()
        self._reports: dict[int, dict[str, Any]] = {}
        self._tool_info: Any = None
        self._made = -1
        """Output tokens of the last report, to tell a frame that repeats from one that goes on."""
        self._response_id: str | None = None
        self._spoke = False
        self._common = _CommonAnswers()

    def grows(self, data: bytes) -> str:
        """The text of the common frame, by which the one open part grows."""
        part = self._common.part
        if part is None:
            return ""
        head, _, rest = data.partition(b"\ndata:")
        name, _, more = head.partition(b"\n")
        if more != _COMMON_HEAD or name[:3] != b"id:" or 0x0D in name:
            return ""
        text = self._common.text_in(rest)
        if text and part.kind == "tool_call":
            part.pieces.append((text, None))
        return text

    def _catch_up(self) -> None:
        if (unread := self._common.take()) is not None:
            self._report(0, read_any(unread))

    def _follow(self) -> None:
        """Which part the common frames go on with from now on: one that is alone, once it is known that frames hold
        increments.
        """
        state = self._choices.get(0) if len(self._choices) == 1 and not self._over else None
        part = state.line.alone if state is not None and self._growth.cumulative is False else None
        call = state.calls[-1] if state is not None and state.calls else None
        if part is not None and part.kind == "tool_call" and (call is None or call.part is not part):
            part = None
        self._common.follow(part)
        if part is not None:
            self.growing = part.index
        self._common.call = call

    def _is_whole(self) -> bool:
        return bool(self._choices) and all(state.finish for state in self._choices.values())

    def whole(self, answer: Answer) -> list[Event]:
        """The events of an answer that came in one piece, which is complete also where it gives no reason."""
        self._growth.cumulative = False
        self._answer(answer)
        self._complete()
        return self._taken()

    def _frame(self, frame: Frame) -> None:
        found = payloads(frame)
        if not found:
            self._events.append(Pinged())
        for at, payload in enumerate(found):
            if self._over:
                return
            # Of frames that run into each other, the event and the status are those of the last.
            event = frame.event if at == len(found) - 1 else b""
            self._payload(payload, event, status_of(frame) if event or len(found) == 1 else None)

    def _payload(self, payload: bytes, event: bytes, status: int | None) -> None:
        answer = read(payload)
        error = error_of(answer, event)
        if error is None or answer.output is not None:
            self._answer(answer)
        if error is not None:
            self._fail(error_in_answer(error, None if self._spoke else status, provider=self._provider))

    def _complete(self) -> None:
        self._over = True
        self._begin(Answer())
        self._flush()
        for at, state in self._choices.items():
            reason = canonical_finish(state.finish, has_calls=bool(state.calls))
            raw = None if state.finish == RESEARCHED else state.finish
            self._events.append(ChoiceFinished(reason=reason, choice=at, raw_reason=raw))
        self._events.append(ResponseEnded())

    def _flush(self) -> None:
        self._say(self._growth.settle())
        if self._tool_info and self._choices:
            next(iter(self._choices.values())).line.add_opaque({"tool_info": self._tool_info}, self._events)
        for state in self._choices.values():
            state.line.flush(self._events)

    def _answer(self, answer: Answer) -> None:
        self._begin(answer)
        output = answer.output
        choices = choices_of(output) if output is not None else []
        moved = self._moved(answer.usage)
        for choice in choices:
            self._choice(choice, output or Output(), moved=moved)
        if output is not None and isinstance(output.tool_info, list) and output.tool_info:
            # Every frame repeats it, so it is said once, at the end.
            self._tool_info = output.tool_info
        if is_usage(answer.usage):
            self._report(_index(choices[0]) if choices else 0, answer.usage)

    def _report(self, at: int, usage: dict[str, Any]) -> None:
        self._reports[at] = usage
        raw = together(self._reports)
        self._events.append(UsageReported(usage=usage_to_canon(raw), raw=raw))

    def _moved(self, usage: Any) -> bool:
        made = usage.get("output_tokens") if isinstance(usage, dict) else None
        if not isinstance(made, int):
            return True
        before, self._made = self._made, made
        return made != before

    def _begin(self, answer: Answer) -> None:
        """Announce the answer. No frame says a model, but for some applications'."""
        if self._response_id is not None:
            return
        self._response_id = answer.request_id if isinstance(answer.request_id, str) else ""
        model = answer.output.model_name if answer.output else None
        self._events.append(
            ResponseStarted(response_id=self._response_id, model=model if isinstance(model, str) else "")
        )

    def _choice(self, choice: Choice, output: Output, *, moved: bool) -> None:
        at = _index(choice)
        state = self._choices.get(at)
        if state is None:
            state = self._choices[at] = _State(Line(at, self._counter))
        for source in sources_of(output):
            if source.url not in state.urls:
                state.urls.add(source.url)
                state.line.sources.append(source)
        if choice.message is not None:
            self._message(at, state, choice.message, choice.logprobs, moved=moved)
        if reason := finish_of(choice):
            state.finish = self.finishes[at] = reason
            self._spoke = True

    def _message(self, at: int, state: _State, message: Message, logprobs: Any, *, moved: bool) -> None:
        grow, text, calls = self._growth.take, text_of(message.content), message.tool_calls
        if isinstance(message.reasoning_content, str) and message.reasoning_content:
            self._say(grow((at, "reasoning"), message.reasoning_content, moved=moved and not text and not calls))
        if text:
            self._say(grow((at, "text"), text, moved=moved and not calls), logprobs)
        for other in others_in(message.content):
            state.line.add_opaque({"content": other}, self._events)
            self._spoke = True
        for piece in calls or ():
            self._call_piece(at, state, piece, moved=moved)

    def _say(self, grown: Grown, logprobs: Any = None) -> None:
        """Each field is a choice and what of it: a kind, or a call."""
        for (at, what), text in grown:
            self._spoke = True
            line = self._choices[at].line
            if isinstance(what, _Call):
                line.grow_call(what.part, text, self._events)
            else:
                line.grow(what, text, self._events, logprobs if isinstance(logprobs, dict) else None)

    def _call_piece(self, at: int, state: _State, piece: CallPiece, *, moved: bool) -> None:
        call = _known_call(state.calls, piece)
        if call is None:
            self._say(self._growth.settle())
            call = self._begin_call(at, state, piece)
        if text := arguments_of((piece.function or Function()).arguments):
            self._say(self._growth.take((at, call), text, moved=moved))

    def _begin_call(self, at: int, state: _State, piece: CallPiece) -> _Call:
        number = len(state.calls)
        wire_id = piece.id if isinstance(piece.id, str) else ""
        part = state.line.begin_call(
            wire_id or call_id(None, self._response_id, at, number), _name_of(piece), self._events
        )
        self._spoke = True
        call = _Call(number, piece.index if type(piece.index) is int else None, wire_id, part)
        state.calls.append(call)
        return call


def _index(choice: Choice) -> int:
    return choice.index if type(choice.index) is int and choice.index >= 0 else 0


def _name_of(piece: CallPiece) -> str:
    name = piece.function.name if piece.function else None
    return name if isinstance(name, str) else ""


def _known_call(calls: list[_Call], piece: CallPiece) -> _Call | None:
    """The call that a piece goes on with; `None` where it begins one."""
    wire_id = piece.id if isinstance(piece.id, str) else ""
    if type(piece.index) is int:
        found = next((call for call in reversed(calls) if call.wire_index == piece.index), None)
        another = found and wire_id and found.wire_id not in ("", wire_id) and _name_of(piece)
        return None if another else found
    if wire_id:
        return next((call for call in calls if call.wire_id == wire_id), None)
    return calls[-1] if calls and not _name_of(piece) else None


def decode_answer(body: bytes, *, provider: str = "") -> Response:
    """A whole answer. Raises `UpstreamFailed` for an error in a good status, `UpstreamBroke` for what is no answer."""
    who = provider or "the upstream"
    try:
        answer = read(body.strip())
    except BadFrame as error:
        raise UpstreamBroke(f"{who} sent a body that is no answer", provider=provider) from error
    if (said := error_of(answer)) is not None:
        raise error_in_answer(said, None, provider=provider)
    if answer.output is None or not choices_of(answer.output):
        raise UpstreamBroke(f"{who} sent JSON that is no answer", provider=provider)
    return fold(DashScopeStreamDecoder(provider=provider).whole(answer))
