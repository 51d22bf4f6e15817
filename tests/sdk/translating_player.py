"""A server on loopback that is to its clients what the gateway is when its upstream speaks another dialect."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from tests.playbook import Road
from tests.sdk.player import Answer, Loopback, Recording
from thalweg.dialects.base import UpstreamBody, UpstreamSide
from thalweg.dialects.registry import DIALECTS
from thalweg.profiles.providers import SIMULATOR
from thalweg.relay.exchange import Exchange
from thalweg.relay.plan import Plan
from thalweg.upstream.base import ResponseHead

PATHS = {
    re.compile(r".*/chat/completions"): "openai-chat",
    re.compile(r".*/responses"): "openai-responses",
    re.compile(r".*/messages(\?.*)?"): "anthropic",
    re.compile(r".*/models/[^/]+:streamGenerateContent\?.*"): "gemini",
}
"""The dialect of whoever asks there."""
UPSTREAM_HEAD = ResponseHead(200, ((b"content-type", b"text/event-stream"),))


class TranslatingPlayer(Loopback):
    """Plays recordings to clients of all dialects.

    The model `4` is `recordings[4]`, in the network reads of its source; `4.7` is the first seven of its frames, read one
    by one, and then the end. Only the upstream is not there: request, translation and answer are the gateway's own.
    """

    def __init__(self, recordings: Sequence[Recording]) -> None:
        super().__init__()
        self._recordings = recordings

    def answer(self, target: str, body: bytes) -> Answer:
        """A recording for a request, which is read as any client's."""
        client = next(DIALECTS[name] for path, name in PATHS.items() if path.fullmatch(target))
        asked = client.read_request(body, target.encode())
        place, _, cut = asked.model.partition(".")
        recording = self._recordings[int(place)]
        upstream = DIALECTS[recording.meta["dialect"]]
        plan = Plan(
            stream_id="1",
            asked=asked,
            dialect=client,
            upstream=UpstreamSide(upstream, SIMULATOR.profile, provider="acme", key_name="ACME_API_KEY"),
            upstream_streams=True,
            sent=UpstreamBody(body=b""),
        )
        exchange = Exchange(plan, now=0.0)
        sent = play(exchange, recording.frames[: int(cut)] if cut else recording.pieces())
        assert exchange.head is not None
        status, headers = exchange.head
        return Answer(status, dict(headers)[b"content-type"].decode(), sent)


def play(exchange: Exchange, pieces: Iterable[bytes]) -> list[bytes]:
    """What the client is sent, piece by piece."""
    road = Road(exchange)
    exchange.connected(0.0)
    exchange.head_received(UPSTREAM_HEAD, 0.0)
    sent = []
    for piece in pieces:
        if exchange.settled:
            break
        passed = road.passes(piece, 0.0)
        if passed is None:
            road.shut()
            exchange.body_received(piece, 0.0)
            passed = exchange.take()
        sent.append(passed)
    road.shut()
    if not exchange.settled:
        exchange.body_ended(0.0)
    sent.append(exchange.take())
    return [piece for piece in sent if piece]
