"""A recording, asked for by a program without a server."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.recorder.test_form import HEADER
from thalweg.canon.errors import NotFound, UpstreamBroke
from thalweg.client.client import Client
from thalweg.config import load
from thalweg.recorder.form import Header, Line, encode

CHUNK = (
    'data: {"id":"x","object":"chat.completion.chunk","created":1,"model":"m",'
    '"choices":[{"index":0,"delta":{"content":"深泓"},"finish_reason":%s}]}\n\n'
)


def kept(folder: Path, name: str, *lines: Header | Line) -> None:
    (folder / f"{name}.jsonl").write_bytes(b"".join(map(encode, lines)))


async def test_a_recording_is_a_model_for_a_program(tmp_path: Path) -> None:
    read = Line(ms=2, text=CHUNK % '"stop"')
    kept(tmp_path, "whole", HEADER, read, Line(ms=3, text="data: [DONE]\n\n"), Line(ms=3, end="whole"))
    kept(tmp_path, "cut", HEADER, Line(ms=2, text=CHUNK % "null"), Line(ms=3, end="cut"))
    settings = load({"HOME": str(tmp_path), "THALWEG_REPLAY": str(tmp_path)})
    async with Client(settings) as client:
        answer = await client.complete("replay/whole?speed=max", "hello")
        assert [part.text for part in answer.choices[0].parts] == ["深泓"]
        with pytest.raises(UpstreamBroke):
            await client.complete("replay/cut?speed=max", "hello")
        with pytest.raises(NotFound):
            await client.complete("replay/none", "hello")
