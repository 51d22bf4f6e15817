"""`thalweg transcode`: a body in, the same answer in another dialect out."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from tests.cli.terminal import thalweg
from tests.client.answers import READ, WRITTEN, frames, streamed, whole
from thalweg.cli.decode import DialectName
from thalweg.cli.transcode import TargetName, transcode
from thalweg.client.codecs import decode
from thalweg.client.codecs import transcode as in_memory


def test_the_names_of_the_dialects_are_the_registrys() -> None:
    assert set(READ) <= set(get_args(DialectName))
    assert set(WRITTEN) <= set(get_args(TargetName))


@pytest.mark.parametrize("source", READ)
@pytest.mark.parametrize("target", WRITTEN)
def test_a_file_is_rewritten(
    source: str, target: str, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    file = tmp_path / "answer"
    file.write_bytes(streamed(source))
    assert transcode(file, source=source, target=target) == 0  # type: ignore[arg-type]
    assert capfdbinary.readouterr().out == in_memory(streamed(source), source, target).body
    file.write_bytes(whole(source))
    assert transcode(file, source=source, target=target) == 0  # type: ignore[arg-type]
    assert capfdbinary.readouterr().out == in_memory(whole(source), source, target).body + b"\n"


def test_a_stream_may_be_gathered_and_a_whole_answer_streamed(tmp_path: Path) -> None:
    gathered = thalweg(
        tmp_path, "transcode", "--from", "openai-chat", "--to", "openai-chat", "--whole", "-", stdin=streamed("openai-chat")
    )  # fmt: skip
    assert gathered.returncode == 0
    assert gathered.stdout.startswith('{"id"')
    flowing = thalweg(
        tmp_path, "transcode", "--from", "openai-chat", "--to", "openai-chat", "--stream", "-", stdin=whole("openai-chat")
    )  # fmt: skip
    assert flowing.returncode == 0
    assert flowing.stdout.endswith("data: [DONE]\n\n")


def test_of_a_broken_stream_comes_what_was_read_the_error_and_a_code(tmp_path: Path) -> None:
    file = tmp_path / "answer.sse"
    file.write_bytes(b"".join(frames("openai-chat")[:-3]))
    done = thalweg(tmp_path, "transcode", "--from", "openai-chat", "--to", "openai-chat", str(file))
    assert done.returncode == 1
    assert "flows" in done.stdout
    assert decode(done.stdout.encode(), "openai-chat").error is not None
    assert done.stderr == f"thalweg: {file} is no whole answer: the upstream broke off before the answer was finished\n"


def test_a_missing_file_is_told_in_the_readers_language(tmp_path: Path) -> None:
    done = thalweg(tmp_path, "transcode", "--from", "openai-chat", "--to", "openai-chat", "nowhere", THALWEG_LANG="zh")
    assert (done.returncode, done.stdout) == (1, "")
    assert "nowhere 读不了" in done.stderr


def test_a_dialect_that_cannot_be_written_is_refused_with_those_that_can(tmp_path: Path) -> None:
    done = thalweg(tmp_path, "transcode", "--from", "openai-chat", "--to", "dashscope-native", "-")
    assert (done.returncode, done.stdout) == (2, "")
    assert "openai-responses" in done.stderr


def test_a_pipe_is_rewritten_as_it_comes() -> None:
    """What has come is written, and the rest of the body may take its time."""
    first, *rest = frames("openai-chat")
    command = [sys.executable, "-m", "thalweg", "transcode", "--from", "openai-chat", "--to", "openai-chat", "-"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(first)
        process.stdin.flush()
        assert process.stdout.readline().startswith(b"data: {")
        process.stdin.write(b"".join(rest))
        process.stdin.close()
        assert process.stdout.read().endswith(b"data: [DONE]\n\n")
    assert process.returncode == 0
