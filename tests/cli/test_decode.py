"""`thalweg decode`: recorded bodies in, one JSON object a line out."""

from __future__ import annotations

import io
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.cli.terminal import thalweg
from tests.client.answers import READ, frames, streamed, whole
from thalweg.cli.decode import decode

STREAM = b"".join(
    b"data: %s\n\n" % payload
    for payload in (
        b'{"id":"c1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,'
        b'"delta":{"role":"assistant","content":"","reasoning_content":"hm"}}]}',
        '{"id":"c1","choices":[{"index":0,"delta":{"content":"深泓"}}]}'.encode(),
        b'{"id":"c1","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"call_1","type":"function",'
        b'"function":{"name":"add","arguments":"{\\"a\\":2}"}}]},"finish_reason":"tool_calls"}]}',
        b'{"id":"c1","choices":[],"usage":{"prompt_tokens":5,"completion_tokens":3,'
        b'"prompt_tokens_details":{"cached_tokens":2}}}',
        b"[DONE]",
    )
)
WHOLE = b'{"id":"c1","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}]}'


def run(capsys: pytest.CaptureFixture[str], *files: Path) -> tuple[int, list[dict[str, object]]]:
    code = decode(*files, dialect="openai-chat")
    return code, [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_stream_is_folded_into_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "answer.sse"
    file.write_bytes(STREAM)
    code, (line,) = run(capsys, file)
    assert code == 0
    assert line == {
        "file": str(file),
        "text": "深泓",
        "reasoning": "hm",
        "refusal": None,
        "tool_calls": [{"id": "call_1", "name": "add", "arguments": {"a": 2}}],
        "finish_reason": "tool_calls",
        "usage": {
            "input_tokens": 5,
            "output_tokens": 3,
            "cached_input_tokens": 2,
            "cache_write_tokens": None,
            "reasoning_tokens": None,
        },
        "raw_finish_reason": "tool_calls",
        "raw_usage": {"prompt_tokens": 5, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 2}},
        "error": None,
        "complete": True,
    }


def test_whole_answers_and_cut_streams_stand_side_by_side(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole, cut = tmp_path / "whole.json", tmp_path / "cut.sse"
    whole.write_bytes(WHOLE)
    cut.write_bytes(STREAM[:300])
    code, (first, second) = run(capsys, whole, cut)
    assert code == 0
    assert (first["text"], first["complete"], first["finish_reason"]) == ("hi", True, "stop")
    assert second["complete"] is False
    assert second["error"]


def test_stdin_is_a_file_too(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(STREAM)))
    _, (line,) = run(capsys, Path("-"))
    assert line["file"] == "-"
    assert line["text"] == "深泓"


def test_a_missing_file_fails_and_the_others_are_still_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = tmp_path / "whole.json"
    whole.write_bytes(WHOLE)
    assert decode(tmp_path / "none", whole, dialect="openai-chat") == 1
    out, err = capsys.readouterr()
    assert "hi" in out
    assert "No such file" in err


def test_no_file_at_all_is_wrong_usage() -> None:
    assert decode(dialect="openai-chat") == 2


def test_mistakes_are_told_in_the_readers_language(tmp_path: Path) -> None:
    none = thalweg(tmp_path, "decode", "--dialect", "openai-chat", THALWEG_LANG="zh")
    assert (none.returncode, none.stdout) == (2, "")
    assert none.stderr == "thalweg: 至少给一个文件；- 是标准输入。\n"
    missing = thalweg(tmp_path, "decode", "--dialect", "openai-chat", str(tmp_path / "nowhere"), THALWEG_LANG="zh")
    assert (missing.returncode, missing.stdout) == (1, "")
    assert "读不了" in missing.stderr


@pytest.mark.parametrize("name", READ)
@pytest.mark.parametrize("body", [streamed, whole], ids=["a stream", "a whole answer"])
def test_every_dialect_is_read(name: Any, body: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "answer"
    file.write_bytes(body(name))
    assert decode(file, dialect=name) == 0
    line = json.loads(capsys.readouterr().out)
    assert (line["text"], line["reasoning"]) == ("深泓 flows.", "I think so.")
    assert line["tool_calls"] == [
        {"id": "call_1", "name": "add", "arguments": {"a": 1}},
        {"id": "call_2", "name": "add", "arguments": {"a": 2}},
    ]
    assert (line["usage"]["input_tokens"], line["usage"]["output_tokens"]) == (11, 7)
    assert (line["complete"], line["error"], line["finish_reason"]) == (True, None, "tool_calls")


@pytest.mark.parametrize("name", READ)
def test_a_broken_body_of_every_dialect_has_its_error(
    name: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "answer"
    file.write_bytes(b"".join(frames(name)[:-3]))
    assert decode(file, dialect=name) == 0
    line = json.loads(capsys.readouterr().out)
    assert line["text"] == "深泓 flows."
    assert line["complete"] is False
    assert "broke off" in line["error"]["message"]


def test_a_pipe_is_read_and_json_is_the_only_output(tmp_path: Path) -> None:
    done = thalweg(tmp_path, "decode", "--dialect", "openai-chat", "-", stdin=STREAM)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["text"] == "深泓"
