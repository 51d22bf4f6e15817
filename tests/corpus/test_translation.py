"""Every recorded stream, read by a client of each other dialect: the same text, thoughts, calls, reason and usage.

Here the client's side is read by our own decoders, cut anywhere and broken off at every frame; `tests/sdk` has the same
streams read by the providers' own SDKs.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest

from tests.corpus.cases import Case, streams
from thalweg.canon.events import Event, PartDelta, ResponseFailed
from thalweg.canon.finish import FinishReason
from thalweg.canon.fold import Fold, fold
from thalweg.canon.parts import Part, Reasoning, Refusal, Text, ToolCall
from thalweg.canon.request import Message, ReasoningAsk, Request
from thalweg.canon.response import Choice, Response
from thalweg.canon.usage import Usage
from thalweg.dialects.base import UpstreamBody
from thalweg.dialects.registry import DIALECTS
from thalweg.framing.sse import SseDecoder
from thalweg.profiles.base import Profile
from thalweg.profiles.providers import SIMULATOR
from thalweg.relay.adapter import Adapter
from thalweg.relay.translator import Reader, Translator

pytestmark = pytest.mark.usefixtures("corpus_root")

CLIENTS = ("openai-chat", "openai-responses", "anthropic", "gemini")
PAIRS = [
    pytest.param(case, client, id=f"{case.dialect}/{case.folder.name} for {client}")
    for case in streams()
    for client in CLIENTS
    if client != case.dialect
]
PLACES = 12
"""At how many places each stream is broken off; all of them where it has no more."""
PROFILE: Profile = SIMULATOR.profile
ASKED = Request(
    model="m",
    messages=(Message(role="user", parts=(Text(text="?"),)),),
    stream=True,
    include_usage=True,
    reasoning=ReasoningAsk(show="auto"),
)


class Translated:
    """A stream on its way to a client, and what the client makes of it."""

    def __init__(self, upstream: str, client: str) -> None:
        self.frames = SseDecoder()
        encoder = DIALECTS[client].stream_encoder(ASKED, response_id="own-1", model="m", created=1)
        decoder = DIALECTS[upstream].stream_decoder(profile=PROFILE, provider="acme")
        self.said: list[Event] = []
        self.relayer = Translator(Reader(decoder, Adapter(UpstreamBody(body=b"")), self), encoder)
        self.sent: list[bytes] = []

    def hear(self, events: list[Event]) -> None:
        self.said += events

    def grow(self, event: PartDelta) -> None:
        self.said.append(event)

    def play(self, pieces: Iterator[bytes]) -> Translated:
        for piece in pieces:
            self.sent += self.relayer.feed(self.frames.feed(piece))
        self.sent += self.relayer.feed(self.frames.end())
        self.sent += self.relayer.end()
        if self.relayer.watch.error is not None:
            self.sent.append(self.relayer.fail(self.relayer.watch.error))
        return self


def read(client: str, body: bytes) -> Response:
    frames, decoder, gathered = SseDecoder(), DIALECTS[client].stream_decoder(profile=PROFILE, provider="us"), Fold()
    gathered.feed(decoder.feed(frames.feed(body)) + decoder.feed(frames.end()) + decoder.end())
    return gathered.response()


def joined(parts: tuple[Part, ...], kind: type[Text | Reasoning | Refusal]) -> str:
    return "".join(part.text for part in parts if isinstance(part, kind))


def parsed(arguments: str) -> Any:
    try:
        return json.loads(arguments or "{}")
    except ValueError:
        return arguments


def calls(parts: tuple[Part, ...], client: str, reason: FinishReason | None) -> list[tuple[str, str, Any]]:
    """Names, ids and arguments. What is no object has a form of its own where only objects are taken, and a call that
    was cut off is none for Gemini's clients.
    """
    found = []
    for part in parts:
        if isinstance(part, ToolCall) and part.kind != "server":
            value = parsed(part.arguments)
            if part.kind == "custom" and client in ("anthropic", "gemini"):
                value = {"input": part.arguments}
            if not isinstance(value, dict) and client == "gemini":
                if reason in (None, FinishReason.LENGTH, FinishReason.CONTEXT_OVERFLOW):
                    continue
                value = {"_raw": part.arguments}
            found.append((part.id, part.name, value))
    return found


def usage_of(usage: Usage | None) -> tuple[int, int, int] | None:
    """Numbers that every dialect has: read, made, and read from a cache."""
    if usage is None:
        return None
    return usage.input_tokens or 0, usage.output_tokens or 0, usage.cached_input_tokens or 0


@pytest.mark.parametrize(("case", "client"), PAIRS)
def test_a_client_of_another_dialect_reads_the_same(case: Case, client: str, seeded_random: random.Random) -> None:
    whole = Translated(case.dialect, client).play(iter([case.body]))
    said, got = fold(whole.said), read(client, b"".join(whole.sent))
    for pieces in case.cuttings(seeded_random):
        # Not the very bytes: a first event may already say usage that came in the same read.
        again = read(client, b"".join(Translated(case.dialect, client).play(iter(pieces)).sent))
        assert shown(again) == shown(got)
    assert (said.error is None) == (got.error is None)
    if said.error is not None:
        assert got.error is not None
        assert got.error.message == said.error.message
    elif not said.complete:
        assert not got.complete
    wanted, found = first(said), first(got)
    assert joined(found.parts, Text) == joined(wanted.parts, Text) + refusals(wanted, client)
    assert joined(found.parts, Reasoning) == joined(wanted.parts, Reasoning)
    assert calls(found.parts, "", None) == calls(wanted.parts, client, wanted.finish_reason)
    if said.complete:
        # Where nothing was reported, these two must say numbers all the same.
        nothing = (0, 0, 0) if client in ("openai-responses", "anthropic") else None
        assert usage_of(got.usage) == (usage_of(said.usage) or nothing)


def shown(response: Response) -> Any:
    # What was used counts where an answer is whole.
    return response.choices, response.complete and response.usage, str(response.error), response.complete


def refusals(choice: Choice, client: str) -> str:
    """A refusal is text where a dialect has no other word for it."""
    return joined(choice.parts, Refusal) if client in ("anthropic", "gemini") else ""


def first(response: Response) -> Choice:
    return next(iter(response.choices), Choice(index=0, parts=(), finish_reason=None))


@cache
def split(case: Case) -> tuple[bytes, ...]:
    sse = SseDecoder()
    return tuple(one.raw for one in [*sse.feed(case.body), *sse.end()])


@pytest.mark.parametrize(("case", "client"), PAIRS)
def test_a_stream_that_ends_early_ends_with_an_error(case: Case, client: str, seeded_random: random.Random) -> None:
    frames = split(case)
    places = range(len(frames))
    for at in places if len(frames) <= PLACES else sorted(seeded_random.sample(places, PLACES)):
        cut = Translated(case.dialect, client).play(iter(frames[:at]))
        ended = [event for event in cut.said if isinstance(event, ResponseFailed)]
        got = read(client, b"".join(cut.sent))
        assert (got.error is not None) == bool(ended), at
        assert got.complete == (not ended), at
        sent = "".join(event.text for event in cut.said if isinstance(event, PartDelta))
        assert len(joined(first(got).parts, Text)) <= len(sent), "nothing that did not come"
