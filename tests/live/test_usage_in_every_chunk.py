"""Streams that are cut off, through the real gateway, from providers that report usage in every chunk."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException
from typing import Any

import pytest

from tests.live.gateway import KEY, Gateway, Simulator
from thalweg.canon.script import SendBody
from thalweg.canon.usage import Usage
from thalweg.dialects.openai_chat.tables import usage_to_canon
from thalweg.dialects.registry import DIALECTS
from thalweg.simulator.manners.table import MANNERS
from thalweg.simulator.provider import Simulator as InProcess

MESSAGES = [{"role": "user", "content": "What is a 深泓?"}]
OPTIONS = {"include_usage": True, "chunk_include_usage": True}


@pytest.fixture(scope="module")
def ark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway whose Volcengine Ark is the simulator in Ark's manner."""
    with (
        Simulator("ark") as simulator,
        Gateway(tmp_path_factory.mktemp("home"), environment=simulator.environment("ark")) as gateway,
    ):
        yield gateway


def counts_said(model: str) -> list[Usage]:
    """What the simulator says of usage before whatever fault the model's name asks for."""
    body = {"model": model, "messages": MESSAGES, "stream": True, "stream_options": OPTIONS}
    steps = InProcess(DIALECTS, MANNERS["ark"]).answer("openai-chat", json.dumps(body).encode(), seed=0, created=0)
    frames = b"".join(step.data for step in steps if isinstance(step, SendBody)).split(b"\n\n")[:-1]
    values = [json.loads(frame[6:]) for frame in frames if frame != b"data: [DONE]"]
    return [usage_to_canon(value["usage"]) for value in values if value.get("usage")]


class Stream:
    """One stream being read, chunk by chunk."""

    def __init__(self, gateway: Gateway, model: str) -> None:
        self._connection = HTTPConnection("127.0.0.1", gateway.port, timeout=20)
        body = {"model": f"ark/{model}", "messages": MESSAGES, "stream": True}
        fields = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
        self._connection.request("POST", "/v1/chat/completions", json.dumps(body), fields)
        self._answer = self._connection.getresponse()
        assert self._answer.status == 200, self._answer.read()

    def chunks(self) -> Iterator[dict[str, Any]]:
        """Every chunk up to the end of the stream, however it ends; then the connection is closed."""
        try:
            for line in self._answer:
                if line.startswith(b"data: {"):
                    yield json.loads(line[6:])
        except (HTTPException, OSError):
            pass
        finally:
            self.leave()

    def leave(self) -> None:
        self._answer.close()
        self._connection.close()


@pytest.mark.parametrize("fault", ["reset", "fin", "error-midstream"])
def test_an_upstream_that_dies_is_accounted_to_the_token(ark: Gateway, fault: str) -> None:
    before, model = len(ark.entries()), f"text?tokens=40&pace=0&seed=3&fault={fault}&at=11"
    chunks = list(Stream(ark, model).chunks())
    assert all(chunk["usage"] is None for chunk in chunks if "choices" in chunk)
    (entry,) = ark.settled_since(before)
    assert (entry.outcome, entry.usage_source) == ("upstream_error", "reported")
    assert entry.usage == counts_said(model)[-1]
    assert (entry.usage.output_tokens or 0) > 5


def test_a_client_that_leaves_is_accounted_by_what_the_provider_had_said(ark: Gateway) -> None:
    before, model = len(ark.entries()), "text?tokens=400&pace=100&seed=3"
    stream = Stream(ark, model)
    for read, chunk in enumerate(stream.chunks(), 1):
        assert chunk["usage"] is None
        if read == 12:
            break
    stream.leave()
    (entry,) = ark.settled_since(before)
    assert (entry.outcome, entry.usage_source) == ("cancelled", "reported")
    assert entry.usage in counts_said(model)
    assert 10 <= (entry.usage.output_tokens or 0) < 100


def test_a_whole_stream_is_accounted_as_ever_and_ends_without_usage(ark: Gateway) -> None:
    before, model = len(ark.entries()), "text?tokens=40&pace=0&seed=3"
    chunks = list(Stream(ark, model).chunks())
    assert all(chunk["choices"] and chunk["usage"] is None for chunk in chunks)
    (entry,) = ark.settled_since(before)
    assert (entry.outcome, entry.usage_source, entry.usage) == ("complete", "reported", counts_said(model)[-1])
