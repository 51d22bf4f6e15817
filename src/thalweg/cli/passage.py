"""What `thalweg doctor --url` finds on the way to a gateway: whether what stands in front of it lets streams through.

The gateway is asked through its public address, as its clients ask it, for streams of its own simulator, which cost
nothing. When each piece arrives says what no header does.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from functools import cached_property
from urllib.parse import urlsplit

import httpx2
import msgspec

from thalweg.cli.connection import Gateway, why_not
from thalweg.cli.machine import Check, Finding, Status
from thalweg.cli.reached import date_s

_PACE, _TOKENS = 10, 20
"""Deltas a second, and how many: two seconds of an answer."""
_SPAN_S = (_TOKENS - 1) / _PACE
_TOGETHER = 0.5
"""A stream that arrives within this part of its time did not come as it was sent."""
_LONGEST_GAP_S = 5 / _PACE
_WAIT_S = 20.0
_DAY_S = 86_400
_SOON_DAYS = 14
_MOST_OFF_S = 60
_BODY_BYTES = 2 * 1024 * 1024
"""A picture of a telephone; nginx takes 1 MiB where nothing else is set."""
_HEADER_BYTES = 16 * 1024
"""Half of what the gateway takes; nginx takes 8 KiB in one field where nothing else is set."""
_OLD_HTTP = b"needs HTTP/1.1"
"""What the gateway says to a body that came by HTTP/1.0, as older nginx sends it where nothing else is set."""
_HEADERS = {"accept": "text/event-stream", "accept-encoding": "gzip, br, zstd"}
"""What browsers and SDKs send: a proxy that compresses does so for them."""

DIRECTIVES: dict[str, dict[str, str]] = {
    "nginx": {
        "version": 'proxy_http_version 1.1; proxy_set_header Connection "";',
        "stream": "proxy_buffering off; and no proxy_ignore_headers X-Accel-Buffering;",
        "compression": "gzip off; or text/event-stream out of gzip_types",
        "silence": "proxy_read_timeout 3600s; proxy_send_timeout 3600s;",
        "bodies": "client_max_body_size 20m;",
        "headers": "large_client_header_buffers 4 32k;",
    },
    "caddy": {
        "version": "transport http { versions 1.1 2 }",
        "stream": "flush_interval -1",
        "compression": "encode only where header Content-Type is not text/event-stream",
        "silence": "transport http { read_timeout 0 }",
        "bodies": "request_body { max_size 20MB }",
        "headers": "servers { max_header_size 32KB }",
    },
    "apache": {
        "version": "SetEnv force-proxy-request-1.0 is to be removed",
        "stream": "ProxyPass … flushpackets=on",
        "compression": "SetEnv no-gzip 1",
        "silence": "ProxyTimeout 3600",
        "bodies": "LimitRequestBody 20971520",
        "headers": "LimitRequestFieldSize 32768",
    },
}
"""What helps, by the proxy's own name for itself and by what is wrong."""


class Greeting(msgspec.Struct, frozen=True, kw_only=True):
    """What the address answers to a first, small request."""

    status: int
    headers: dict[str, str]
    came_at_s: float
    tls: str = ""
    """The version of TLS; empty without."""
    http2: bool = False
    """Whether HTTP/2 is offered."""
    certificate_ends_s: float = 0.0


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """A stream as it arrived."""

    status: int
    headers: dict[str, str]
    arrivals_s: tuple[float, ...]
    """When each piece came, from the request on."""
    body: bytes
    broke: str = ""
    """Why it ended, where that was no good end."""

    @property
    def encoding(self) -> str:
        """How somebody on the way has compressed it; empty where nobody has."""
        return self.headers.get("content-encoding", "")

    @property
    def whole(self) -> bool:
        """Whether it came to its end. What was compressed is not looked into."""
        return not self.broke and bool(self.encoding or b"data: [DONE]" in self.body)

    @property
    def span_s(self) -> float:
        """From the first piece to the last."""
        return self.arrivals_s[-1] - self.arrivals_s[0] if self.arrivals_s else 0.0

    @property
    def longest_gap_s(self) -> float:
        """Between two pieces."""
        return max((b - a for a, b in zip(self.arrivals_s, self.arrivals_s[1:], strict=False)), default=0.0)


class Front:
    """A gateway's public address. It is asked when a check wants to know, and greeted once."""

    def __init__(self, gateway: Gateway, *, silence_s: float | None = None) -> None:
        self.gateway = gateway
        self.silence_s = silence_s
        """How long a stream shall be silent, to see who gives up; `None` leaves that out."""

    @cached_property
    def greeting(self) -> Greeting | str:
        """What `/readyz` answers, or why nothing does."""
        try:
            return asyncio.run(self._greet())
        except httpx2.HTTPError as error:
            return why_not(error)

    @property
    def serves(self) -> bool:
        """Whether a gateway is there that takes requests."""
        return isinstance(self.greeting, Greeting) and self.greeting.status == 200

    @property
    def proxy(self) -> str:
        """How what stands in front calls itself; its host where it does not say."""
        headers = self.greeting.headers if isinstance(self.greeting, Greeting) else {}
        return headers.get("server") or headers.get("via") or urlsplit(self.gateway.url).netloc

    def directives(self, what: str) -> str:
        """What to set there: of the proxy that it is, or of each where it does not say."""
        names = [name for name in DIRECTIVES if name in self.proxy.lower()] or list(DIRECTIVES)
        return " · ".join(f"{name}: {DIRECTIVES[name][what]}" for name in names)

    async def _greet(self) -> Greeting:
        async with self.gateway.client() as client:
            answer = await client.get(f"{self.gateway.url}/readyz", timeout=_WAIT_S)
        greeting = Greeting(status=answer.status_code, headers=dict(answer.headers), came_at_s=time.time())
        if not self.gateway.url.startswith("https:"):
            return greeting
        return msgspec.structs.replace(greeting, **await asyncio.to_thread(self._handshake))

    def _handshake(self) -> dict[str, str | bool | float]:
        """What TLS says, HTTP/2 offered; nothing where this second handshake fails."""
        parts = urlsplit(self.gateway.url)
        context = ssl.create_default_context(cafile=self.gateway.ca_file)
        context.set_alpn_protocols(["h2", "http/1.1"])
        try:
            with (
                socket.create_connection((parts.hostname, parts.port or 443), _WAIT_S) as sock,
                context.wrap_socket(sock, server_hostname=parts.hostname) as secure,
            ):
                ends = (secure.getpeercert() or {}).get("notAfter")
                return {
                    "tls": secure.version() or "",
                    "http2": secure.selected_alpn_protocol() == "h2",
                    "certificate_ends_s": ssl.cert_time_to_seconds(ends) if isinstance(ends, str) else 0.0,
                }
        except OSError:
            return {}

    @cached_property
    def heard(self) -> Heard | str:
        """A stream of some seconds, or why none came."""
        return self.hear(f"sim/text?pace={_PACE}&tokens={_TOKENS}&ttft=0.1", _WAIT_S)

    def hear(self, model: str, within_s: float) -> Heard | str:
        """Ask for a stream and write down when its pieces come; why, where not even a head comes."""
        try:
            return asyncio.run(self._hear(model, within_s))
        except httpx2.HTTPError as error:
            return why_not(error)

    async def _hear(self, model: str, within_s: float) -> Heard:
        asked = {"model": model, "stream": True, "messages": [{"role": "user", "content": "Count."}]}
        arrivals: list[float] = []
        body, broke, begun = bytearray(), "", time.monotonic()
        async with (
            self.gateway.client() as client,
            client.stream(
                "POST", f"{self.gateway.url}/v1/chat/completions", json=asked, headers=_HEADERS, timeout=within_s
            ) as answer,
        ):
            try:
                async for piece in answer.aiter_raw():
                    arrivals.append(time.monotonic() - begun)
                    body += piece
            except httpx2.HTTPError as error:
                broke = why_not(error)
            status, headers = answer.status_code, dict(answer.headers)
        return Heard(status=status, headers=headers, arrivals_s=tuple(arrivals), body=bytes(body), broke=broke)

    def send(self, method: str, path: str, headers: dict[str, str], body: bytes = b"") -> int:
        """One request; the status of its answer. Raises `httpx2.HTTPError`."""
        return asyncio.run(self._send(method, path, headers, body))

    async def _send(self, method: str, path: str, headers: dict[str, str], body: bytes) -> int:
        async with self.gateway.client() as client:
            url = f"{self.gateway.url}{path}"
            return (await client.request(method, url, content=body, headers=headers, timeout=_WAIT_S)).status_code


def address(front: Front) -> Iterator[Finding]:
    """Whether a gateway is at the address, and what is in front of it."""
    values: dict[str, str | int] = {"url": front.gateway.url}
    greeting = front.greeting
    if isinstance(greeting, str):
        yield Finding("fail", "url_unreachable", values | {"why": greeting})
        return
    values |= {"status": greeting.status, "proxy": front.proxy, "to": greeting.headers.get("location", "")}
    if 300 <= greeting.status < 400:
        yield Finding("fail", "url_moved", values)
    elif greeting.status != 200:
        yield Finding("fail", "url_odd", values)
    else:
        in_front = front.proxy != urlsplit(front.gateway.url).netloc
        yield Finding("ok", "url_proxy" if in_front else "url", values)
    if greeting.tls:
        yield _judge_tls(greeting)
    told_s = date_s(greeting.headers.get("date"))
    off_s = 0.0 if told_s is None else greeting.came_at_s - told_s
    if abs(off_s) > _MOST_OFF_S:
        yield Finding("warn", "url_clock", {"seconds": round(abs(off_s))})


def _judge_tls(greeting: Greeting) -> Finding:
    days = int((greeting.certificate_ends_s - time.time()) // _DAY_S)
    values: dict[str, str | int] = {
        "tls": greeting.tls,
        "http": "HTTP/2" if greeting.http2 else "HTTP/1.1",
        "until": time.strftime("%Y-%m-%d", time.gmtime(greeting.certificate_ends_s)),
        "days": days,
    }
    return Finding("warn" if days < _SOON_DAYS else "ok", "url_soon" if days < _SOON_DAYS else "url_tls", values)


def stream(front: Front) -> Iterator[Finding]:
    """Whether a stream arrives as it is sent, or held back, in lumps, compressed."""
    if not front.serves:
        return
    heard = front.heard
    if isinstance(heard, str):
        yield Finding("fail", "stream_none", {"why": heard})
        return
    values: dict[str, str | int] = {
        "status": heard.status,
        "proxy": front.proxy,
        "pieces": len(heard.arrivals_s),
        "gap": round(heard.longest_gap_s * 1000),
        "time": f"{heard.arrivals_s[-1]:.1f}" if heard.arrivals_s else "0",
        "why": heard.broke,
        "encoding": heard.encoding,
    }
    status, code, what = judge(heard)
    yield Finding(status, code, values | {"directives": front.directives(what)})
    if heard.status == 200 and heard.encoding:
        yield Finding("warn", "stream_compressed", values | {"directives": front.directives("compression")})


def judge(heard: Heard) -> tuple[Status, str, str]:
    """What a stream's arrival says: status and code, and the kind of directives that help."""
    if heard.status in (401, 403):
        return "fail", "stream_key", "stream"
    if heard.status == 400 and _OLD_HTTP in heard.body:
        return "fail", "stream_old_http", "version"
    if heard.status != 200:
        return "fail", "stream_odd", "stream"
    if not heard.whole:
        return "fail", "stream_cut", "stream"
    if heard.headers.get("x-thalweg-simulated") != "1":
        return "fail", "stream_foreign", "stream"
    if heard.span_s < _TOGETHER * _SPAN_S:
        return "fail", "stream_held", "stream"
    if heard.longest_gap_s > _LONGEST_GAP_S:
        return "warn", "stream_lumps", "stream"
    return "ok", "stream", "stream"


def sizes(front: Front) -> Iterator[Finding]:
    """Whether bodies and headers pass that the gateway itself takes."""
    # Who refuses the stream's request refuses these for the same reason.
    if not front.serves or isinstance(front.heard, str) or front.heard.status != 200:
        return
    yield _size(front, "bodies", _BODY_BYTES, lambda status: status == 400)
    yield _size(front, "headers", _HEADER_BYTES, lambda status: status == 200)


def _size(front: Front, what: str, size: int, passes: Callable[[int], bool]) -> Finding:
    try:
        if what == "bodies":
            # No request of any dialect, so that nothing comes of it; the gateway reads all of it before it says so.
            body = b" " * size + b"{}"
            status = front.send("POST", "/v1/chat/completions", {"content-type": "application/json"}, body)
        else:
            status = front.send("GET", "/readyz", {"x-thalweg-doctor": "x" * size})
        why = f"{status}"
    except httpx2.HTTPError as error:
        status, why = 0, why_not(error)
    values: dict[str, str | int] = {
        "size": f"{size // 1024:,} KiB",
        "proxy": front.proxy,
        "why": why,
        "directives": front.directives(what),
    }
    well, small = _OF_SIZE[what]
    return Finding("ok", well, values) if passes(status) else Finding("warn", small, values)


_OF_SIZE = {"bodies": ("sizes_bodies", "sizes_bodies_small"), "headers": ("sizes_headers", "sizes_headers_small")}


def silence(front: Front) -> Iterator[Finding]:
    """Whether a stream that is silent for long lives on: a model may think for minutes."""
    if not front.serves or front.silence_s is None or isinstance(front.heard, str) or front.heard.status != 200:
        return
    wished = front.silence_s
    values: dict[str, str | int] = {
        "seconds": f"{wished:g}",
        "proxy": front.proxy,
        "directives": front.directives("silence"),
    }
    begun = time.monotonic()
    heard = front.hear(f"sim/text?ttft={wished:g}&tokens=3", wished + _WAIT_S)
    if isinstance(heard, str) or heard.status != 200 or not heard.whole:
        why = heard if isinstance(heard, str) else heard.broke or str(heard.status)
        yield Finding("fail", "silence_cut", values | {"after": f"{time.monotonic() - begun:.0f}", "why": why})
        return
    kept = sum(at < wished - 0.5 for at in heard.arrivals_s)
    yield Finding("ok", "silence", values | {"count": kept})


FRONT_CHECKS: tuple[Check[Front], ...] = (
    Check("address", address, slow=True),
    Check("stream", stream, slow=True),
    Check("sizes", sizes, slow=True),
    Check("silence", silence, slow=True),
)
"""In the order in which they are shown."""
