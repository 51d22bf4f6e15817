"""Providers that can report usage in every chunk, as the simulator does in their manner: cut answers are counted
exactly, and the client's bytes are those of a provider that was not asked.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import msgspec
import pytest

from tests.playbook import BEGIN, SSE, passes, queue
from thalweg.canon.script import SendBody
from thalweg.canon.usage import Usage
from thalweg.dialects.base import UpstreamSide
from thalweg.dialects.openai_chat import OpenAIChat
from thalweg.dialects.openai_chat.tables import usage_to_canon
from thalweg.dialects.registry import DIALECTS
from thalweg.framing.sse import SseDecoder
from thalweg.profiles.base import Profile
from thalweg.profiles.providers import PROVIDERS
from thalweg.relay.exchange import LINGER_S, Exchange
from thalweg.relay.plan import Plan
from thalweg.relay.taps import Report
from thalweg.simulator.manners.table import MANNERS
from thalweg.simulator.provider import Simulator
from thalweg.upstream.base import ResponseHead

CHAT = OpenAIChat()
METERED = {row.name: row.profile for row in PROVIDERS if row.profile.chunk_usage}
TOOL = {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object", "properties": {"a": {}}}}}
ASKED: dict[str, dict[str, Any]] = {
    "text": {"model": "text?tokens=30"},
    "thoughts, then text": {"model": "reasoning"},
    "a call": {"model": "tools", "tools": [TOOL]},
}
OPTIONS: dict[str, dict[str, bool]] = {"nothing asked": {}, "usage asked": {"include_usage": True}}


def body(case: str, options: dict[str, bool]) -> bytes:
    asked = ASKED[case] | {"messages": [{"role": "user", "content": 'Say "usage":{} in 中文.'}], "stream": True}
    return json.dumps(asked | ({"stream_options": options} if options else {})).encode()


def said(provider: str, asked: bytes) -> list[bytes]:
    """What the provider answers to a body: piece by piece, the same for the same body."""
    steps = Simulator(DIALECTS, MANNERS[provider]).answer("openai-chat", asked, seed=7, created=1765713048)
    return [step.data for step in steps if isinstance(step, SendBody)]


class Relayed:
    """A client's request, and its answer through an exchange."""

    def __init__(self, provider: str, client: bytes, profile: Profile, *, raw: bool = False) -> None:
        asked = CHAT.read_request(client)
        self.upstream = said(provider, asked.edited(model=asked.model, profile=profile, stream=True))
        self._plan = Plan(
            stream_id="str_1",
            asked=asked,
            dialect=CHAT,
            upstream=UpstreamSide(CHAT, profile, provider=provider, key_name="K"),
            upstream_streams=True,
            raw=raw,
        )

    def bytes_of(self, reads: list[bytes]) -> bytes:
        return b"".join(piece for piece, _ in self._run(reads))

    def report_after(self, reads: list[bytes]) -> Report:
        """The client leaves after these; what is waited for then does not come."""
        *_, (_, exchange) = self._run(reads)
        exchange.client_left(BEGIN + 1)
        exchange.ticked(BEGIN + 1 + LINGER_S, reading=True)
        return exchange.report()

    def _run(self, reads: list[bytes]) -> Iterator[tuple[bytes, Exchange]]:
        exchange = Exchange(self._plan, now=BEGIN)
        exchange.connected(BEGIN)
        exchange.head_received(ResponseHead(200, SSE), BEGIN)
        for data in reads:
            passed = passes(exchange, data, BEGIN)
            if passed is None:
                exchange.body_received(data, BEGIN)
            else:
                queue(exchange, passed)
            yield exchange.take(), exchange


def cut(whole: bytes, rng: random.Random, count: int) -> list[bytes]:
    edges = [0, *sorted(rng.sample(range(1, len(whole)), count)), len(whole)]
    return [whole[a:b] for a, b in pairwise(edges)]


def reports_in(data: bytes) -> list[Any]:
    values = [json.loads(one.data) for one in SseDecoder().feed(data) if one.data and one.data != b"[DONE]"]
    return [value["usage"] for value in values if value.get("usage")]


@pytest.mark.parametrize("raw", [False, True], ids=["mended", "raw"])
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("case", ASKED)
@pytest.mark.parametrize("provider", METERED)
def test_the_client_gets_what_it_would_have_got_without_usage_in_every_chunk(
    provider: str, case: str, options: dict[str, bool], raw: bool, seeded_random: random.Random
) -> None:
    profile, client = METERED[provider], body(case, options)
    asked = Relayed(provider, client, profile, raw=raw)
    unasked = Relayed(provider, client, msgspec.structs.replace(profile, chunk_usage=None), raw=raw)
    counted = reports_in(b"".join(asked.upstream))
    assert len(counted) > 10 and len(reports_in(b"".join(unasked.upstream))) == 1
    expected = unasked.bytes_of(unasked.upstream)
    assert asked.bytes_of(asked.upstream) == expected
    whole = b"".join(asked.upstream)
    assert asked.bytes_of([whole[i : i + 1] for i in range(len(whole))]) == expected
    for _ in range(5):
        assert asked.bytes_of(cut(whole, seeded_random, 12)) == expected
    assert len(reports_in(expected)) == len(options)


@pytest.mark.parametrize("raw", [False, True], ids=["mended", "raw"])
@pytest.mark.parametrize("case", ASKED)
@pytest.mark.parametrize("provider", METERED)
def test_a_client_that_asked_for_it_itself_gets_it(provider: str, case: str, raw: bool) -> None:
    option = METERED[provider].chunk_usage
    assert option is not None
    relayed = Relayed(provider, body(case, {"include_usage": True, option: True}), METERED[provider], raw=raw)
    whole = b"".join(relayed.upstream)
    left = relayed.bytes_of(relayed.upstream)
    assert reports_in(left) == reports_in(whole)
    if raw:
        assert left == whole


@pytest.mark.parametrize("case", ASKED)
@pytest.mark.parametrize("provider", METERED)
def test_wherever_the_client_leaves_the_account_is_what_the_provider_had_said(provider: str, case: str) -> None:
    relayed = Relayed(provider, body(case, {}), METERED[provider])
    for length in range(1, len(relayed.upstream)):
        reads = relayed.upstream[:length]
        report = relayed.report_after(reads)
        counted = reports_in(b"".join(reads))
        if report.outcome == "complete" or not counted:
            continue
        assert report.usage_source == "reported"
        assert report.usage == usage_to_canon(counted[-1])


@pytest.mark.parametrize("provider", METERED)
def test_the_tokens_of_a_cut_answer_grow_with_it_to_those_of_the_whole(provider: str) -> None:
    relayed = Relayed(provider, body("text", {}), METERED[provider])
    made = [relayed.report_after(relayed.upstream[:length]).usage for length in range(2, len(relayed.upstream) + 1)]
    tokens = [usage.output_tokens or 0 for usage in made if usage != Usage()]
    assert tokens == sorted(tokens)
    assert set(range(2, 28)) <= set(tokens)
    assert tokens[-1] == reports_in(b"".join(relayed.upstream))[-1]["completion_tokens"]
