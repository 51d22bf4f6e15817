"""Faults in the frames of a stream. They see encoded frames, and of the JSON in them only what they change."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec

from thalweg.canon.events import ResponseEnded, ResponseStarted, UsageReported
from thalweg.canon.script import EndBody, SendBody
from thalweg.canon.usage import Usage
from thalweg.dialects.base import Dialect
from thalweg.framing.sse import SseDecoder, encode_frame
from thalweg.simulator.delivery import Sent
from thalweg.simulator.performance import Order
from thalweg.simulator.turn import input_tokens

FrameFault = Callable[[Iterator[Sent], Dialect, Order], Iterator[Sent]]
Tree = dict[str, Any]

_BIG_BYTES = 8 * 1024 * 1024
"""What `big-frame` adds unless the `size` knob says otherwise."""
_ARRAY = (b"[", b",", b"]")
"""How a frame of Gemini's JSON array begins, and no event of SSE."""
_FIELD_SPACE = re.compile(rb"(?m)^(\w+): ")


def each_frame(change: Callable[[bytes], Iterable[bytes]]) -> FrameFault:
    """A fault that puts some frames in the place of every frame."""

    def fault(sent: Iterator[Sent], _: Dialect, __: Order) -> Iterator[Sent]:
        for number, step in sent:
            if isinstance(step, SendBody):
                yield from (Sent(number, SendBody(data)) for data in change(step.data))
            else:
                yield Sent(number, step)

    fault.__doc__ = change.__doc__
    return fault


def _comments(frame: bytes) -> Iterable[bytes]:
    """A comment comes before every frame."""
    return b": keep-alive\n\n", frame


def _blanks(frame: bytes) -> Iterable[bytes]:
    """Blank lines come before every frame."""
    return b"\n\n", frame


def _crlf(frame: bytes) -> Iterable[bytes]:
    """Lines end with CRLF."""
    return (frame.replace(b"\n", b"\r\n"),)


def _cr(frame: bytes) -> Iterable[bytes]:
    """Lines end with a bare CR."""
    return (frame.replace(b"\n", b"\r"),)


def _no_space(frame: bytes) -> Iterable[bytes]:
    """No space follows the colon of a field."""
    return (_FIELD_SPACE.sub(rb"\1:", frame),)


def _multi_line(frame: bytes) -> Iterable[bytes]:
    """The JSON of every frame stands on several data lines."""
    return (_with_payload(frame, lambda data: msgspec.json.format(data, indent=1)),)


def one_frame(change: Callable[[bytes, Order], bytes]) -> FrameFault:
    """A fault that changes the first frame of delta `at`."""

    def fault(sent: Iterator[Sent], _: Dialect, order: Order) -> Iterator[Sent]:
        for each in sent:
            if isinstance(each.step, SendBody) and each.number >= order.knobs.at:
                yield Sent(each.number, SendBody(change(each.step.data, order)))
                break
            yield each
        yield from sent

    fault.__doc__ = change.__doc__
    return fault


def _bad_json(frame: bytes, _: Order) -> bytes:
    """The JSON of delta `at` breaks off in the middle of its frame."""
    return _with_payload(frame, lambda data: data[: len(data) // 2])


def _big_frame(frame: bytes, order: Order) -> bytes:
    """The frame of delta `at` has a padding of 8 MiB, or of `size` bytes."""
    size = order.knobs.size or _BIG_BYTES
    return _with_payload(frame, lambda data: data[:-1] + b',"padding":"' + b"x" * size + b'"}')


def _double_done(sent: Iterator[Sent], _: Dialect, __: Order) -> Iterator[Sent]:
    """The terminal frame comes twice."""
    return _ended(sent, times=2)


def _no_done(sent: Iterator[Sent], _: Dialect, __: Order) -> Iterator[Sent]:
    """The terminal frame is missing."""
    return _ended(sent, times=0)


def _ended(sent: Iterator[Sent], *, times: int) -> Iterator[Sent]:
    """The last frame before the body's end, some times over."""
    held: Sent | None = None
    for each in sent:
        if held is not None:
            yield from [held] * (times if isinstance(each.step, EndBody) else 1)
            held = None
        if isinstance(each.step, SendBody):
            held = each
        else:
            yield each


def _usage_early(sent: Iterator[Sent], dialect: Dialect, order: Order) -> Iterator[Sent]:
    """Usage is reported before delta `at`, with the counts so far, and never again."""
    usage = Usage(input_tokens=input_tokens(order.asked), output_tokens=max(1, order.knobs.at - 1))
    early = _usage_frames(dialect, order, usage)
    return _inserted(_without_usage(sent), early, order.knobs.at)


def _usage_shrinking(sent: Iterator[Sent], dialect: Dialect, order: Order) -> Iterator[Sent]:
    """Usage is reported before delta `at`, with counts that are larger than those at the end."""
    usage = Usage(input_tokens=input_tokens(order.asked) * 2, output_tokens=1_000_000)
    return _inserted(sent, _usage_frames(dialect, order, usage), order.knobs.at)


def _usage_beside_finish(sent: Iterator[Sent], _: Dialect, __: Order) -> Iterator[Sent]:
    """Usage stands in the frame of the finish instead of one of its own."""
    held: list[Sent] = []  # the last frame, and the waits after it
    for each in sent:
        usage = _usage_of(each)
        if usage:
            yield from [_with_usage(held[0], usage), *held[1:]] if held else [each]
            held = []
        elif isinstance(each.step, SendBody):
            yield from held
            held = [each]
        else:
            held.append(each)
    yield from held


def _usage_frames(dialect: Dialect, order: Order, usage: Usage) -> list[bytes]:
    """The frames that a report of usage adds to an answer of this dialect."""
    plain, reported = (
        dialect.stream_encoder(
            order.asked, response_id=order.response_id, model=order.asked.model, created=order.created
        ).encode([ResponseStarted(response_id=order.response_id, model=order.asked.model), *events, ResponseEnded()])
        for events in ([], [UsageReported(usage=usage)])
    )
    return [frame for frame in reported if frame not in plain]


def _inserted(sent: Iterator[Sent], frames: list[bytes], at: int) -> Iterator[Sent]:
    for each in sent:
        if frames and each.number >= at and isinstance(each.step, SendBody):
            yield from (Sent(each.number, SendBody(frame)) for frame in frames)
            frames = []
        yield each


def _without_usage(sent: Iterator[Sent]) -> Iterator[Sent]:
    return (each for each in sent if not _usage_of(each))


def _usage_of(sent: Sent) -> Any:
    """The usage in a frame that has nothing else; `None` for any other step."""
    if not isinstance(sent.step, SendBody) or b'"usage":{' not in sent.step.data:
        return None
    tree = _tree(sent.step.data)
    return None if tree.get("choices") else tree.get("usage")


def _with_usage(sent: Sent, usage: Any) -> Sent:
    if not isinstance(sent.step, SendBody):
        return sent
    return Sent(sent.number, SendBody(_edited(sent.step.data, lambda tree: tree.update(usage=usage))))


def each_call(change: Callable[[Tree], None]) -> FrameFault:
    """A fault that edits every entry of every `tool_calls` list, in place."""

    def edit(tree: Tree) -> None:
        for call in _calls(tree):
            change(call)

    fault = each_frame(lambda frame: (_edited(frame, edit) if b'"tool_calls"' in frame else frame,))
    fault.__doc__ = change.__doc__
    return fault


def _index_missing(call: Tree) -> None:
    """No delta of a tool call has an index."""
    call.pop("index", None)


def _index_repeated(call: Tree) -> None:
    """Every tool call has index 0; only the ids differ."""
    call["index"] = 0


def _args_empty(call: Tree) -> None:
    """Every tool call's arguments are an empty string."""
    if "arguments" in call.get("function", {}):
        call["function"]["arguments"] = ""


def _index_interleaved(sent: Iterator[Sent], _: Dialect, __: Order) -> Iterator[Sent]:
    """The deltas of several tool calls come in turns. All of them are held until the last is there."""
    held: list[Sent] = []
    for each in sent:
        call = isinstance(each.step, SendBody) and b'"tool_calls":[' in each.step.data
        if call or (held and not isinstance(each.step, SendBody)):
            held.append(each)
            continue
        yield from _in_turns(held)
        held = []
        yield each
    yield from _in_turns(held)


def _in_turns(sent: list[Sent]) -> Iterator[Sent]:
    """The same steps with their frames in a new order: the first of each call, the second of each, and so on."""
    seen: dict[Any, int] = {}
    ranked: list[tuple[int, int, Sent]] = []
    for each in sent:
        if isinstance(each.step, SendBody):
            call = next(iter(_calls(_tree(each.step.data))), {}).get("index")
            seen[call] = seen.get(call, -1) + 1
            ranked.append((seen[call], len(ranked), each))
    frames = iter([each for _, __, each in sorted(ranked)])
    return (next(frames) if isinstance(each.step, SendBody) else each for each in sent)


def _calls(tree: Any) -> Iterator[Tree]:
    """Every entry of a `tool_calls` list, at any depth."""
    if isinstance(tree, list):
        for each in tree:
            yield from _calls(each)
    elif isinstance(tree, dict):
        for name, value in tree.items():
            if name == "tool_calls" and isinstance(value, list):
                yield from value
            else:
                yield from _calls(value)


def _edited(frame: bytes, edit: Callable[[Tree], None]) -> bytes:
    def change(data: bytes) -> bytes:
        tree = msgspec.json.decode(data)
        edit(tree)
        return msgspec.json.encode(tree)

    return _with_payload(frame, change)


def _tree(frame: bytes) -> Tree:
    data = _payload(frame)
    return msgspec.json.decode(data, type=dict[str, Any]) if data is not None else {}


def _payload(frame: bytes) -> bytes | None:
    """The JSON object in a frame; `None` where there is none, as in an end mark."""
    if frame[:1] in _ARRAY:
        return frame[frame.index(b"{") : frame.rindex(b"}") + 1] if b"{" in frame else None
    read = SseDecoder().feed(frame)
    data = read[0].data if read else None
    return data if data is not None and data.startswith(b"{") else None


def _with_payload(frame: bytes, change: Callable[[bytes], bytes]) -> bytes:
    """The frame with its JSON object changed; one that holds none, such as an end mark, stays."""
    data = _payload(frame)
    if data is None:
        return frame
    changed = change(data)
    head, found, tail = frame.partition(data)
    if not found:
        # It stands on several lines, which are one now.
        return encode_frame(changed, event=SseDecoder().feed(frame)[0].event)
    field = b"data: " if head.endswith(b" ") else b"data:"
    return head + changed.replace(b"\n", b"\n" + field) + tail


edited = _edited
"""A frame with the object in it edited, for faults that differ between dialects."""


FRAME_FAULTS: dict[str, FrameFault] = {
    "comments": each_frame(_comments),
    "blanks": each_frame(_blanks),
    "crlf": each_frame(_crlf),
    "cr": each_frame(_cr),
    "no-space": each_frame(_no_space),
    "multi-line": each_frame(_multi_line),
    "big-frame": one_frame(_big_frame),
    "bad-json": one_frame(_bad_json),
    "double-done": _double_done,
    "no-done": _no_done,
    "usage-early": _usage_early,
    "usage-shrinking": _usage_shrinking,
    "usage-beside-finish": _usage_beside_finish,
    "tool-index-missing": each_call(_index_missing),
    "tool-index-repeated": each_call(_index_repeated),
    "tool-index-interleaved": _index_interleaved,
    "args-empty": each_call(_args_empty),
}
"""By name."""
