"""A text that broke off and was gone on with, as the official SDKs read it: they raise nothing, and the mark is in
nobody's way.
"""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest
from msgspec.structs import replace

from tests.live.gateway import clean_environment
from tests.sdk.examples import sdk_program
from tests.sdk.read_translated import MODULES
from tests.server.gateway import Upstream, running, settings_of
from tests.server.test_continuation import GRAMMARS, HEAD, MODELS, WHOLE, WORDS
from thalweg.canon.policy import Attempts

pytestmark = pytest.mark.sdk

PROVIDERS = ("moonshot", "anthropic")
FINISHES = {
    "chat": "stop",
    "chat-helper": "stop",
    "responses": "completed",
    "responses-helper": "completed",
    "messages": "end_turn",
    "messages-helper": "end_turn",
    "gemini": "STOP",
    "gemini-chat": "STOP",
}


class Faint:
    """An upstream that breaks off after some words of every answer that it begins, and not of one that it goes on with."""

    def __init__(self, provider: str) -> None:
        self._grammar = GRAMMARS[provider]
        self.told: list[str] = []

    def answer(self, request: bytes) -> bytes:
        grammar = self._grammar
        told = grammar.beginning(json.loads(request.partition(b"\r\n\r\n")[2]))
        self.told.append(told)
        words, end = (WORDS[4:], grammar.end) if told else (WORDS[:4], grammar.error)
        return HEAD + grammar.begin + b"".join(map(grammar.word, words)) + end


Readings = dict[str, dict[str, dict[str, Any]]]


@pytest.fixture(scope="module")
def readings() -> Readings:
    """By provider and way: what was read."""
    command = sdk_program("read_translated.py")
    faint = {provider: Faint(provider) for provider in PROVIDERS}
    with Upstream(faint["moonshot"].answer) as chat, Upstream(faint["anthropic"].answer) as anthropic:
        settings = settings_of(
            key=None,
            MOONSHOT_BASE_URL=chat.url,
            MOONSHOT_API_KEY="a-key-of-the-gateway",
            ANTHROPIC_BASE_URL=anthropic.url.removesuffix("/v1"),
            ANTHROPIC_API_KEY="a-key-of-the-gateway",
        )
        with running(replace(settings, attempts=Attempts(continuations=1, cool_down_after=0))) as gateway:
            done = subprocess.run(
                command,
                input=json.dumps({way: [MODELS[each] for each in PROVIDERS] for way in MODULES}).encode(),
                env=clean_environment({"BASE_URL": f"http://127.0.0.1:{gateway.port}"}),
                capture_output=True,
                timeout=100,
                check=False,
            )
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    for each in faint.values():
        assert sorted(each.told) == sorted(["", "".join(WORDS[:4])] * len(MODULES))
    read = json.loads(done.stdout)
    return {each: {way: read[way][at] for way in MODULES} for at, each in enumerate(PROVIDERS)}


@pytest.mark.parametrize("way", MODULES)
@pytest.mark.parametrize("provider", PROVIDERS)
def test_an_sdk_reads_one_whole_answer(readings: Readings, provider: str, way: str) -> None:
    reading = readings[provider][way]
    assert reading["error"] is None
    assert list(reading["choices"]) == ["0"]
    choice = reading["choices"]["0"]
    assert (choice["text"], choice["finish_reason"], choice["tool_calls"]) == (WHOLE, FINISHES[way], [])
    assert len(reading["usage"]) == 1
