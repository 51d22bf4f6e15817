"""The page's modules in Node: their own tests, and every recorded stream read by them and by us."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.dialects.openai_chat.streams import CHAT, relay
from thalweg.canon.parts import Reasoning, Refusal, Text, ToolCall
from thalweg.canon.response import Choice
from thalweg.client.codecs import decode
from thalweg.dialects.openai_chat.errors import encode_stream_error

JS = Path(__file__).resolve().parent / "js"
OLDEST_NODE = 18
NODE = shutil.which("node")


def node(*arguments: str) -> str:
    """What Node prints. Skips the test where there is none."""
    if NODE is None:
        pytest.skip("no node on the path")
    version = subprocess.run([NODE, "--version"], capture_output=True, text=True, check=True).stdout
    if int(version.strip().lstrip("v").split(".")[0]) < OLDEST_NODE:
        pytest.skip(f"node {version.strip()} is older than {OLDEST_NODE}")
    done = subprocess.run([NODE, *arguments], capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    return done.stdout


@pytest.mark.parametrize("file", sorted(JS.glob("*.test.mjs")), ids=lambda file: file.name.removesuffix(".test.mjs"))
def test_the_module_passes_its_tests(file: Path) -> None:
    said = node("--test", "--test-reporter=tap", str(file))
    passed = re.search(r"^# pass (\d+)$", said, re.MULTILINE)
    assert passed and int(passed[1]) > 0


# Recorded streams. What the gateway sends a client of each is read by the page, and by the gateway's own decoder.


def sent(recorded: bytes) -> bytes:
    """What a client gets of a recorded stream, the gateway's own word on its error included."""
    relayed = relay(recorded)
    error = relayed.watch.error
    return relayed.body + (encode_stream_error(error) if error else b"")


def ours(body: bytes) -> dict[str, Any]:
    """What we read, in the page's words."""
    answer = decode(body, CHAT)
    choice = next((each for each in answer.choices if each.index == 0), Choice(index=0, parts=(), finish_reason=None))

    def said(*kinds: type[Text | Reasoning | Refusal]) -> str:
        return "".join(part.text for part in choice.parts if isinstance(part, kinds))

    calls = [part for part in choice.parts if isinstance(part, ToolCall) and part.kind != "legacy"]
    return {
        "text": said(Text, Refusal),
        "reasoning": said(Reasoning),
        "calls": [{"id": call.id, "name": call.name, "arguments": call.arguments} for call in calls],
        # After an error nobody asks for the reason that stood before it.
        "finish": None if answer.error else choice.raw_finish_reason,
        "whole": answer.complete,
        "failed": answer.error is not None,
    }


def theirs(line: str) -> dict[str, Any]:
    read = json.loads(line)
    failed = read["fault"] is not None
    kept = {key: read[key] for key in ("text", "reasoning", "calls", "whole")}
    return kept | {"finish": None if failed else read["finish"], "failed": failed}


def test_the_page_reads_every_recorded_stream_as_we_do(corpus_root: Path, tmp_path: Path) -> None:
    bodies = {file.parent.name: sent(file.read_bytes()) for file in corpus_root.glob("openai-chat/*/*.sse")}
    assert len(bodies) > 100
    for name, body in bodies.items():
        (tmp_path / name).write_bytes(body)
    expected = {name: ours(body) for name, body in bodies.items()}
    for piece_bytes in (1_000_000, 7):
        lines = node(str(JS / "fold.mjs"), str(tmp_path), str(piece_bytes)).splitlines()
        read = {json.loads(line)["name"]: theirs(line) for line in lines}
        assert {name: read[name] for name in read if read[name] != expected[name]} == {}
