"""Files as they come to be: whole under their names, unfinished as parts, and never in the way of a stream."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from thalweg.recorder import keeping
from thalweg.recorder.shelf import Shelf, look
from thalweg.recorder.writer import Asked, Recorder, Taking

ASKED = Asked(
    provider="ark",
    dialect="openai-chat",
    model="m",
    path="/v1/chat/completions",
    body=b'{"prompt":"sk-abcdef0123456789"}',
    secrets=("opaque+secret+0123",),
)
SSE = ((b"content-type", b"text/event-stream"), (b"set-cookie", b"a=b"))


def told(taking: Taking, *reads: bytes, end: Any = "whole", status: int = 200) -> None:
    taking.sent()
    taking.head(status, SSE)
    for data in reads:
        taking.read(data)
    if end is not None:
        taking.ended(end, None if end == "whole" else "it broke")


def files(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def test_an_answer_is_a_file_under_its_name_with_its_lines(tmp_path: Path) -> None:
    folder = tmp_path / "made" / "recordings"
    recorder = Recorder(folder)
    told(recorder.take(ASKED), b"data: 1\n\n", b"data: 2\n\n")
    recorder.close()
    (file,) = folder.iterdir()
    assert file.name.endswith(".jsonl")
    assert recorder.written == [file]
    assert (file.stat().st_mode & 0o777, folder.stat().st_mode & 0o777) == (0o600, 0o700)
    header, *reads, end = [json.loads(line) for line in file.read_bytes().splitlines()]
    assert (header["provider"], header["status"], header["path"]) == ("ark", 200, ASKED.path)
    assert header["headers"] == [["content-type", "text/event-stream"]]
    assert header["request"] == '{"prompt":"[hidden]"}'
    assert [read["text"] for read in reads] == ["data: 1\n\n", "data: 2\n\n"]
    times = [header["head_ms"], *(read["ms"] for read in reads), end["ms"]]
    assert times == sorted(times)
    assert end["end"] == "whole"


def test_until_its_end_it_is_a_part_that_is_there_for_others_to_read(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path)
    taking = recorder.take(ASKED)
    told(taking, b"data: 1\n\n", end=None)
    shelf = Shelf(tmp_path)
    until(lambda: shelf.names() and look_of(shelf).reads == 1)
    (name,) = files(tmp_path)
    assert name.endswith(".jsonl.part")
    kept = look_of(shelf)
    assert (kept.end, kept.body_bytes) == (None, 9)
    taking.ended("cut", "it broke")
    recorder.close()
    assert look_of(shelf).end == "cut"
    assert files(tmp_path) == [name.removesuffix(".part")]


def look_of(shelf: Shelf) -> Any:
    file = shelf.find(shelf.names()[0])
    assert file is not None
    return look(file)


def until(reached: Callable[[], Any]) -> None:
    waiting, tries = threading.Event(), 0
    while not reached():
        tries += 1
        assert tries < 5000, "it does not come"
        waiting.wait(0.002)


def test_two_reads_that_share_a_key_in_a_refusal_do_not_show_it(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path)
    told(recorder.take(ASKED), b'{"error":"wrong key opaque+sec', b'ret+0123"}', status=401)
    recorder.close()
    (file,) = tmp_path.iterdir()
    assert b"ret+0123" not in file.read_bytes()
    assert look(file).reads == 1


def test_no_answer_is_recorded_too(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path)
    recorder.take(ASKED).ended("unreachable", "nobody there: opaque+secret+0123")
    recorder.close()
    (file,) = tmp_path.iterdir()
    kept = look(file)
    assert (kept.header.status, kept.end, kept.error) == (None, "unreachable", "nobody there: [hidden]")


def test_a_folder_that_is_full_takes_no_more_and_says_so_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "strangers").write_bytes(b"x" * 100_000)
    recorder = Recorder(tmp_path, most_bytes=10_000)
    told(recorder.take(ASKED), b"a" * 2000)
    told(recorder.take(ASKED), b"b" * 20_000)
    told(recorder.take(ASKED), b"c" * 20_000)
    recorder.close()
    (kept,) = Shelf(tmp_path).names()
    assert len(files(tmp_path)) == 2
    assert [record.getMessage() for record in caplog.records] == [
        f"cannot record to {tmp_path}: the folder has the 0.00953674 MiB that it may have; "
        "answers go on and are not recorded"
    ]
    again = Recorder(tmp_path, most_bytes=1)
    told(again.take(ASKED), b"d")
    again.close()
    assert Shelf(tmp_path).names() == [kept]


def test_room_that_is_made_is_used(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, most_bytes=3000)
    told(recorder.take(ASKED), b"a" * 2000)
    until(lambda: recorder.written)
    told(recorder.take(ASKED), b"b" * 2000)
    until(recorder._queue.empty)
    recorder.written.pop().unlink()
    told(recorder.take(ASKED), b"c" * 2000)
    recorder.close()
    (name,) = Shelf(tmp_path).names()
    file = Shelf(tmp_path).find(name)
    assert file is not None
    assert b"ccc" in file.read_bytes()


def test_a_folder_that_goes_is_named_once_and_nothing_else_happens(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "recordings"
    recorder = Recorder(folder)
    folder.rmdir()
    told(recorder.take(ASKED), b"a")
    told(recorder.take(ASKED), b"b")
    until(lambda: caplog.records)
    folder.mkdir()
    told(recorder.take(ASKED), b"c")
    recorder.close()
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert f"{folder}: No such file or directory" in record.getMessage()
    assert len(files(folder)) == 1


@pytest.mark.parametrize("what", ["a file", "below a file"])
def test_a_folder_that_cannot_be_is_refused_by_name(tmp_path: Path, what: str) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"")
    folder = file if what == "a file" else file / "folder"
    with pytest.raises(OSError) as caught:
        Recorder(folder)
    assert str(folder) in str(caught.value.filename)


_FULL_DISK = """
import logging, resource, sys
from pathlib import Path
from tests.recorder.test_writer import ASKED, told
from thalweg.recorder.writer import Recorder
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
logging.basicConfig(stream=sys.stdout, format="%(message)s")
recorder = Recorder(Path(sys.argv[1]))
told(recorder.take(ASKED), *[b"x" * 1000] * 100)
told(recorder.take(ASKED), b"small")
recorder.close()
"""


def test_a_disk_that_takes_no_more_ends_the_recording_and_not_the_recorder(tmp_path: Path) -> None:
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", _FULL_DISK, str(tmp_path)],
        cwd=root, env={"PYTHONPATH": f"{root / 'src'}:{root}"}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.count("\n") == 1
    assert f"cannot record to {tmp_path}: File too large" in done.stdout
    (name,) = Shelf(tmp_path).names()
    file = Shelf(tmp_path).find(name)
    assert file is not None
    assert look(file).body_bytes == 5


def test_a_slow_disk_costs_recordings_and_never_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The disk stands still; what is told comes back at once, and what had no room is counted."""
    released, fsync = threading.Event(), keeping.os.fsync

    def stuck(descriptor: int) -> None:
        released.wait(30)
        fsync(descriptor)

    monkeypatch.setattr(keeping.os, "fsync", stuck)
    recorder = Recorder(tmp_path, queue_bytes=50_000)
    told(recorder.take(ASKED), b"first")
    until(recorder._queue.empty)
    takings = [recorder.take(ASKED) for _ in range(5)]
    for taking in takings:
        told(taking, *[b"x" * 1000] * 30)
    assert recorder.dropped == sum(taking.dropped for taking in takings) == 4
    released.set()
    recorder.close()
    assert len(files(tmp_path)) == 2
    assert "dropped because the disk is too slow: 4" in caplog.text


def test_a_recording_that_becomes_whole_while_it_is_looked_for_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    part, whole = tmp_path / "talk.jsonl.part", tmp_path / "talk.jsonl"
    part.write_bytes(b"")
    is_file = Path.is_file

    def look_and_finish(path: Path) -> bool:
        found = is_file(path)
        if part.exists():
            part.rename(whole)
        return found

    monkeypatch.setattr(Path, "is_file", look_and_finish)
    assert Shelf(tmp_path).find("talk") == whole
