from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest

from tests.simulator.stage import ask, bodies, choice, deltas, events, frames, response, said, status_of, tool
from thalweg.canon.errors import UpstreamBroke, UpstreamFailed
from thalweg.canon.events import PartDelta, Pinged, ResponseEnded, ResponseFailed, UsageReported
from thalweg.canon.parts import ToolCall
from thalweg.canon.script import BreakOff, EndBody, RefuseConnection, SendBody, SendHead, Stall
from thalweg.simulator import FAULTS
from thalweg.simulator.catalogue import FAILING

PROMPT = "回声 🦜 é ñ 🌈ok"
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS = [tool("get_weather", CITY), tool("get_time", CITY)]


def faulty(fault: str, *, at: int = 4, model: str = "text", **fields: Any) -> list[Any]:
    """An answer with one fault. Its name must not show in the bytes that are compared, so the model's name does not."""
    return ask(f"{model}?fault={fault}&at={at}", PROMPT, **fields)


def good(model: str = "text", **fields: Any) -> list[Any]:
    return ask(f"{model}?at=4", PROMPT, **fields)


def calls(steps: list[Any]) -> list[ToolCall]:
    return [part for part in choice(steps).parts if isinstance(part, ToolCall)]


def tool_frames(steps: list[Any]) -> list[dict[str, Any]]:
    """Every entry of `tool_calls`, in the order of the wire."""
    found = []
    for frame in frames(steps):
        if frame.data and frame.data.startswith(b"{"):
            for each in msgspec.json.decode(frame.data)["choices"]:
                found += each["delta"].get("tool_calls", [])
    return found


def test_every_fault_says_what_it_does() -> None:
    assert all(says.endswith(".") for says in FAULTS.values())


PROMISED: dict[str, tuple[str, ...]] = {
    "refuse connection": ("refuse",),
    "hang before headers": ("hang",),
    "HTTP 400/401/403/404/408/409/413": tuple(f"http-{status}" for status in (400, 401, 403, 404, 408, 409, 413)),
    "HTTP 429, with and without Retry-After": ("http-429", "http-429-retry-after"),
    "HTTP 500/502/503/529": ("http-500", "http-502", "http-503", "http-529"),
    "error as the first event of a 200": ("error-first",),
    "error event in mid-stream": ("error-midstream",),
    "connection reset in mid-frame": ("reset",),
    "clean end of file without a terminal event": ("eof",),
    "stall": ("stall",),
    "trickle byte by byte": ("trickle",),
    "cut inside a UTF-8 character": ("cut-utf8",),
    "comment and blank keep-alives": ("comments", "blanks"),
    "CRLF and bare CR": ("crlf", "cr"),
    "no space after `data:`": ("no-space",),
    "frames of several `data:` lines": ("multi-line",),
    "one frame of many MiB": ("big-frame",),
    "malformed JSON": ("bad-json",),
    "duplicated or missing terminal event": ("double-done", "no-done"),
    "usage missing, early, shrinking, or only in the last chunk": (
        "usage-missing",
        "usage-early",
        "usage-shrinking",
        "usage-beside-finish",
    ),
    "tool call indexes missing, repeated, interleaved": (
        "tool-index-missing",
        "tool-index-repeated",
        "tool-index-interleaved",
    ),
    "arguments in one piece, empty, or broken JSON": ("args-whole", "args-empty", "args-broken"),
}
"""What the simulator is promised to do, in the words of the design, and the faults that do it."""
BEYOND = ("http-402", "http-503-retry-after", "http-504", "fin")


def test_every_fault_that_is_promised_is_there_and_no_other() -> None:
    names = [name for names in PROMISED.values() for name in names]
    assert sorted([*names, *BEYOND]) == sorted(FAULTS)


# Instead of an answer.


def test_refuse_is_no_connection() -> None:
    assert faulty("refuse") == [RefuseConnection()]


def test_hang_is_nothing_at_all() -> None:
    assert faulty("hang") == [Stall()]


STATUSES = (400, 401, 402, 403, 404, 408, 409, 413, 429, 500, 502, 503, 504, 529)


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("stream", [True, False])
def test_a_status_with_an_error_in_the_dialect(status: int, stream: bool) -> None:
    steps = faulty(f"http-{status}", stream=stream)
    assert status_of(steps) == status
    assert str(status) in msgspec.json.decode(b"".join(bodies(steps)))["error"]["message"]
    assert b"retry-after" not in dict(steps[0].headers)


@pytest.mark.parametrize("status", [429, 503])
def test_a_status_that_says_when_to_come_back(status: int) -> None:
    steps = faulty(f"http-{status}-retry-after")
    assert status_of(steps) == status
    assert dict(steps[0].headers)[b"retry-after"] == b"1"


@pytest.mark.parametrize("fault", ["http-429", "http-429-retry-after", "http-503", "http-529", "http-400"])
def test_a_knob_says_after_how_long(fault: str) -> None:
    assert dict(ask(f"text?fault={fault}&retry_after=37")[0].headers)[b"retry-after"] == b"37"


# The models that have them.


def test_there_is_a_model_for_each_way_of_failing() -> None:
    assert {name: model.knobs.fault for name, model in FAILING.items()} == {
        "error-refuse": ("refuse",),
        "error-hang": ("hang",),
        **{f"error-{status}": (f"http-{status}",) for status in STATUSES},
        "error-429-retry-after": ("http-429-retry-after",),
        "error-503-retry-after": ("http-503-retry-after",),
        "error-first": ("error-first",),
        "error-midstream": ("error-midstream",),
        "error-reset": ("reset",),
        "error-fin": ("fin",),
        "error-eof": ("eof",),
        "error-stall": ("stall",),
    }


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("name", FAILING)
def test_a_failing_model_does_what_its_fault_does(name: str, stream: bool) -> None:
    (fault,) = FAILING[name].knobs.fault
    by_name, by_fault = ask(f"{name}?at=3", PROMPT, stream=stream), faulty(fault, at=3, stream=stream)
    assert [type(step) for step in by_name] == [type(step) for step in by_fault]
    if isinstance(by_fault[0], SendHead):
        assert status_of(by_name) == status_of(by_fault)
    if stream:
        assert deltas(by_name) == deltas(by_fault)
        assert not any(isinstance(event, ResponseEnded) for event in events(by_name))


# In events.


def test_error_first_is_all_there_is_after_a_good_status() -> None:
    steps = faulty("error-first")
    assert status_of(steps) == 200
    assert [type(event) for event in events(steps)] == [ResponseFailed]


@pytest.mark.parametrize("at", [1, 4, 7])
def test_error_midstream_comes_in_the_place_of_its_delta(at: int) -> None:
    steps = faulty("error-midstream", at=at)
    assert len(deltas(steps)) == at - 1
    assert isinstance(events(steps)[-1].error, UpstreamFailed)


def test_usage_missing() -> None:
    assert response(faulty("usage-missing")).usage is None
    assert said(faulty("usage-missing")) == said(good())


def test_usage_early_is_reported_once_before_the_text_is_over() -> None:
    found = events(faulty("usage-early"))
    (at,) = [i for i, event in enumerate(found) if isinstance(event, UsageReported)]
    assert sum(isinstance(event, PartDelta) for event in found[:at]) == 3
    assert found[at].usage.output_tokens == 3


def test_usage_shrinking_ends_with_the_smaller_and_right_counts() -> None:
    first, last = [event.usage for event in events(faulty("usage-shrinking")) if isinstance(event, UsageReported)]
    assert first.output_tokens > last.output_tokens == response(good()).usage.output_tokens
    assert first.input_tokens > last.input_tokens


def test_usage_beside_finish_is_in_the_last_chunk_with_a_choice() -> None:
    steps = faulty("usage-beside-finish")
    assert response(steps).usage == response(good()).usage
    trees = [msgspec.json.decode(frame.data) for frame in frames(steps)[:-1]]
    assert [tree["usage"] is not None for tree in trees] == [False] * (len(trees) - 1) + [True]
    assert trees[-1]["choices"][0]["finish_reason"] == "stop"


def test_usage_faults_may_be_combined() -> None:
    steps = ask("text?fault=usage-shrinking,usage-beside-finish", PROMPT)
    trees = [msgspec.json.decode(frame.data) for frame in frames(steps)[:-1]]
    made = [tree["usage"]["completion_tokens"] for tree in trees if tree["usage"]]
    assert made == [1_000_000, response(good()).usage.output_tokens]
    assert trees[-1]["usage"] and trees[-1]["choices"]


def test_args_whole_come_in_one_delta() -> None:
    steps = faulty("args-whole", model="tools", tools=TOOLS)
    assert [d["function"]["arguments"] for d in tool_frames(steps) if not d.get("id")] == [
        call.arguments for call in calls(good("tools", tools=TOOLS))
    ]


def test_args_empty_are_the_empty_string() -> None:
    assert [call.arguments for call in calls(faulty("args-empty", model="tools", tools=TOOLS))] == ["", ""]


def test_args_broken_lack_their_end() -> None:
    broken = [call.arguments for call in calls(faulty("args-broken", model="tools", tools=TOOLS))]
    assert broken == [call.arguments[:-1] for call in calls(good("tools", tools=TOOLS))]


# In frames.


@pytest.mark.parametrize(
    "fault", ["comments", "blanks", "crlf", "cr", "no-space", "multi-line", "big-frame", "double-done", "no-done"]
)
def test_what_every_decoder_bears_changes_nothing_that_is_read(fault: str) -> None:
    expected = [event for event in events(good()) if not isinstance(event, Pinged)]
    found = [event for event in events(faulty(fault)) if not isinstance(event, Pinged)]
    assert [type(event) for event in found] == [type(event) for event in expected]
    assert found[1:] == expected[1:]


@pytest.mark.parametrize(
    ("fault", "holds", "lacks"),
    [
        pytest.param("comments", rb"(?m)^: keep-alive$", None, id="comments"),
        pytest.param("blanks", rb"\n\n\n\n", None, id="blanks"),
        pytest.param("crlf", rb"\r\n\r\n", rb"[^\r]\n", id="crlf"),
        pytest.param("cr", rb"\r\r", rb"\n", id="cr"),
        pytest.param("no-space", rb"(?m)^data:\{", rb"(?m)^data: ", id="no-space"),
        pytest.param("multi-line", rb"(?m)^data: \{\ndata: ", rb"(?m)^data: \{.", id="multi-line"),
        pytest.param("double-done", rb"data: \[DONE\]\n\ndata: \[DONE\]\n\n$", None, id="double-done"),
        pytest.param("no-done", rb"data", rb"\[DONE\]", id="no-done"),
        pytest.param("big-frame", rb'"padding":"x{60000}', None, id="big-frame"),
    ],
)
def test_the_bytes_are_what_the_fault_says(fault: str, holds: bytes, lacks: bytes | None) -> None:
    sent = b"".join(bodies(faulty(fault)))
    assert re.search(holds, sent)
    assert lacks is None or not re.search(lacks, sent)


@pytest.mark.parametrize(("size", "least"), [("", 8 * 1024 * 1024), ("&size=100", 100)])
def test_big_frame_has_the_size_that_was_asked_for(size: str, least: int) -> None:
    biggest = max(len(data) for data in bodies(faulty(f"big-frame{size}")))
    assert least < biggest < least + 1000


def test_bad_json_breaks_the_frame_of_its_delta() -> None:
    steps = faulty("bad-json")
    assert len(deltas(steps)) == 3
    assert isinstance(events(steps)[-1].error, UpstreamBroke)


def test_tool_indexes_missing() -> None:
    steps = faulty("tool-index-missing", model="tools", tools=TOOLS)
    assert not any("index" in each for each in tool_frames(steps))
    assert calls(steps) == calls_with_ids_of(steps)


def test_tool_indexes_repeated() -> None:
    steps = faulty("tool-index-repeated", model="tools", tools=TOOLS)
    assert {each["index"] for each in tool_frames(steps)} == {0}
    assert calls(steps) == calls_with_ids_of(steps)


def test_tool_calls_interleaved() -> None:
    steps = faulty("tool-index-interleaved", model="tools", tools=TOOLS)
    assert [each["index"] for each in tool_frames(steps)][:6] == [0, 1, 0, 1, 0, 1]
    assert calls(steps) == calls_with_ids_of(steps)


def calls_with_ids_of(steps: list[Any]) -> list[ToolCall]:
    """What was called, put together from the frames by their order."""
    whole = calls(good("tools", tools=TOOLS))
    return [msgspec.structs.replace(call, id=found.id) for call, found in zip(whole, calls(steps), strict=True)]


# On the connection.


@pytest.mark.parametrize(("fault", "last"), [("reset", BreakOff(reset=True)), ("fin", BreakOff(reset=False))])
@pytest.mark.parametrize("at", [0, 1, 4])
def test_a_connection_that_breaks_off_in_the_middle_of_a_frame(fault: str, last: BreakOff, at: int) -> None:
    steps = faulty(fault, at=at)
    assert steps[-1] == last
    assert len(deltas(steps)) == max(0, at - 1)
    assert not bodies(steps)[-1].endswith(b"\n\n")
    assert isinstance(events(steps)[-1].error, UpstreamBroke)


def test_eof_ends_the_body_well_and_the_answer_not() -> None:
    steps = faulty("eof")
    assert steps[-1] == EndBody()
    assert len(deltas(steps)) == 3
    assert all(data.endswith(b"\n\n") for data in bodies(steps))
    assert isinstance(events(steps)[-1].error, UpstreamBroke)


def test_stall_says_nothing_more() -> None:
    steps = faulty("stall")
    assert steps[-1] == Stall()
    assert len(deltas(steps)) == 3


def test_trickle_is_byte_by_byte() -> None:
    steps = faulty("trickle")
    assert {len(data) for data in bodies(steps)} == {1}
    assert said(steps) == said(good())


def test_cut_utf8_cuts_inside_characters() -> None:
    steps = faulty("cut-utf8")
    cut = [data for data in bodies(steps) if data[0] & 0xC0 == 0x80]
    assert len(cut) >= 5
    assert said(steps) == said(good())


def test_a_fault_behind_the_last_delta_hits_the_finish_and_what_follows_it() -> None:
    last = len(deltas(good()))
    assert choice(faulty("eof", at=last + 1)).finish_reason is None
    assert response(faulty("eof", at=last + 2)).usage is None
    assert choice(faulty("eof", at=last + 2)).finish_reason is not None
    assert isinstance(events(faulty("eof", at=last + 1000))[-1], ResponseEnded)


@pytest.mark.parametrize("fault", ["reset", "fin", "eof", "stall"])
def test_a_whole_answer_breaks_too(fault: str) -> None:
    steps = faulty(fault, stream=False)
    assert isinstance(next(step for step in steps if not hasattr(step, "seconds")), SendHead)
    assert isinstance(steps[-1], BreakOff | EndBody | Stall)
    whole = ask("text", PROMPT, stream=False)
    assert sum(map(len, bodies(steps))) < sum(map(len, bodies(whole)))


def test_several_faults_are_applied_in_order() -> None:
    steps = ask("text?fault=crlf,comments,usage-missing,reset&at=5", PROMPT)
    sent = bodies(steps)
    assert b": keep-alive\n\n" in sent
    assert all(b"\r\n" in data for data in sent[1:-1:2])
    assert steps[-1] == BreakOff(reset=True)


def test_frames_are_one_write_each() -> None:
    assert all(data.count(b"\n\n") == 1 for data in bodies(good()))
    assert sum(isinstance(step, SendBody) for step in good()) == len(frames(good()))
