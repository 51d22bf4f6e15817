"""A recording as steps: every end, the time between them, and files that were left or damaged."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.recorder.test_form import HEADER
from thalweg.canon.script import BreakOff, EndBody, RefuseConnection, SendBody, SendHead, Step, Wait
from thalweg.recorder.form import EndKind, Line, RecordingError, encode
from thalweg.recorder.playback import FASTEST, steps
from thalweg.recorder.shelf import Shelf, header_of

HEAD = SendHead(200, ((b"content-type", b"text/event-stream"),))
LINES = (Line(ms=10.5, text="a"), Line(ms=10.5, text="b"), Line(ms=1010.5, text="c"))


def recording(folder: Path, *lines: Line, name: str = "x.jsonl", header: object = HEADER, tail: bytes = b"") -> Path:
    file = folder / name
    file.write_bytes(b"".join(map(encode, (header, *lines))) + tail)  # type: ignore[arg-type]
    return file


def test_steps_come_at_their_times(tmp_path: Path) -> None:
    file = recording(tmp_path, *LINES, Line(ms=2010.5, end="whole"))
    assert list(steps(file)) == [
        Wait(0.0015), HEAD, Wait(0.009), SendBody(b"a"), SendBody(b"b"), Wait(1.0), SendBody(b"c"), Wait(1.0), EndBody(),
    ]  # fmt: skip


@pytest.mark.parametrize("speed", [0.5, 4.0, FASTEST])
def test_a_speed_changes_waits_and_nothing_else(tmp_path: Path, speed: float) -> None:
    file = recording(tmp_path, *LINES, Line(ms=2010.5, end="whole"))
    usual, other = list(steps(file)), list(steps(file, speed))
    waits = [step.seconds for step in usual if isinstance(step, Wait)]
    assert [step.seconds for step in other if isinstance(step, Wait)] == [
        pytest.approx(wait / speed) for wait in waits if speed != FASTEST
    ]
    assert [s for s in usual if not isinstance(s, Wait)] == [s for s in other if not isinstance(s, Wait)]


@pytest.mark.parametrize(
    ("end", "step"),
    [
        ("whole", EndBody()),
        ("cut", BreakOff(reset=False)),
        ("reset", BreakOff(reset=True)),
        ("left", BreakOff(reset=False)),
    ],
)
def test_it_ends_as_it_did(tmp_path: Path, end: EndKind, step: Step) -> None:
    assert list(steps(recording(tmp_path, *LINES, Line(ms=1010.5, end=end)), FASTEST))[-1] == step


def test_a_connection_that_never_was_is_refused(tmp_path: Path) -> None:
    header = type(HEADER)(**{name: getattr(HEADER, name) for name in HEADER.__struct_fields__} | {"status": None})
    assert list(steps(recording(tmp_path, Line(end="unreachable"), header=header))) == [RefuseConnection()]


@pytest.mark.parametrize("tail", [b"", b'{"ms":1020,"text":"to', b'{"ms":1020,"text":"torn"}'])
def test_what_was_left_is_played_as_cut(tmp_path: Path, tail: bytes) -> None:
    file = recording(tmp_path, *LINES, name="x.jsonl.part", tail=tail)
    played = list(steps(file, FASTEST))
    assert played == [HEAD, SendBody(b"a"), SendBody(b"b"), SendBody(b"c"), BreakOff(reset=False)]


def test_damage_is_an_error_where_it_is(tmp_path: Path) -> None:
    played = steps(recording(tmp_path, Line(ms=1, text="a"), tail=b"?\n"), FASTEST)
    assert [next(played), next(played)] == [HEAD, SendBody(b"a")]
    with pytest.raises(RecordingError):
        next(played)


def test_a_shelf_finds_what_is_whole_before_what_is_not_and_nothing_outside(tmp_path: Path) -> None:
    folder = tmp_path / "shelf"
    folder.mkdir()
    recording(tmp_path, name="outside.jsonl")
    whole = recording(folder, *LINES, name="b.jsonl")
    recording(folder, name="b.jsonl.part")
    part = recording(folder, name="a.jsonl.part")
    (folder / "other.txt").write_bytes(b"")
    shelf = Shelf(folder)
    assert shelf.names() == ["b", "a"]
    assert shelf.names(1) == ["b"]
    assert (shelf.find("b"), shelf.find("a")) == (whole, part)
    assert [shelf.find(name) for name in ("c", "../outside", "..", "", "a/b")] == [None] * 5
    assert shelf.header("a") == header_of(part) == HEADER
    with pytest.raises(FileNotFoundError):
        shelf.header("c")
    assert Shelf(tmp_path / "nowhere").names() == []
