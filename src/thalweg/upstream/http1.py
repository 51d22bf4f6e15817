"""The grammar of HTTP/1.1 as a client speaks it: a request to bytes, and bytes to one answer. No I/O may live here.

The framing itself is httptools' work. This module adds what a parser cannot know: which headers are ours to write,
which answers we refuse, how much of an answer may be overhead, and where an answer ends when the connection does.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import NoReturn, Protocol

import httptools

from thalweg.canon.errors import UpstreamBroke
from thalweg.upstream.base import Credential, Origin, ResponseHead, UpstreamRequest

MAX_HEAD_BYTES = 64 * 1024
MAX_HEAD_FIELDS = 128

DEFAULT_PORTS = {"http": 80, "https": 443}

# RFC 9110 section 5.6.2 (token) and RFC 9112 section 3.2: what is outside of these could end a line or a field early.
_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_TARGET = re.compile(rb"/[\x21-\x7e]*")
_HOST = re.compile(r"[0-9A-Za-z._~%:-]+")
_UNSAFE_IN_VALUE = re.compile(rb"[\r\n\0]")

# Framing, routing and hop-by-hop fields are written here and nowhere else, so that no request can be smuggled.
_OURS = frozenset(
    b"host content-length transfer-encoding accept-encoding connection keep-alive te trailer upgrade expect "
    b"proxy-authorization proxy-connection".split()
)

# What says in an answer where its body ends, and what it is.
_FRAMING = frozenset((b"content-length", b"content-encoding", b"transfer-encoding"))

# Answers to HEAD and CONNECT are framed otherwise than all others (RFC 9112 section 6.3); nobody here sends them.
_REFUSED_METHODS = frozenset((b"HEAD", b"CONNECT"))
_METHODS_WITH_BODY = frozenset((b"POST", b"PUT", b"PATCH"))


def authority(origin: Origin) -> bytes:
    """Host and port as a CONNECT request names them; an IPv6 address stands in brackets."""
    host = f"[{origin.host}]" if ":" in origin.host else origin.host
    return f"{host}:{origin.port}".encode("ascii")


def encode_request(request: UpstreamRequest, *, proxy_headers: bytes | None = None) -> bytes:
    """The head of `request` on the wire; its body follows it unchanged.

    `proxy_headers` is given when the request goes to a proxy that forwards it: the target is then in absolute form,
    and these complete header lines, which may be empty, are for the proxy.

    Raises `ValueError` when a name, a value or the target could break the grammar, when a header is not the caller's
    to send, or when the credential is bound to another origin. No message holds a header's value.
    """
    origin, method, credential = request.origin, request.method, request.credential
    head = _head(origin, method, request.target, request.headers, proxy_headers is not None)
    length = b"content-length: %d\r\n" % len(request.body) if request.body or method in _METHODS_WITH_BODY else b""
    secret = b"" if credential is None else _credential_field(credential, origin)
    return b"".join((head, length, secret, proxy_headers or b"", b"\r\n"))


@lru_cache(maxsize=64)
def _head(
    origin: Origin, method: bytes, target: bytes, headers: tuple[tuple[bytes, bytes], ...], forwarded: bool
) -> bytes:
    """The lines that nearly all requests have in common, checked; none of them holds a secret of ours."""
    _check_origin(origin)
    _check_request_line(method, target)
    if forwarded:
        target = b"http://" + authority(origin) + target
    first = b"%b %b HTTP/1.1\r\nhost: %b\r\n" % (method, target, _host_header(origin))
    fields = b"".join([_field(name, value) for name, value in headers])
    return b"%b%baccept-encoding: identity\r\n" % (first, fields)


def _check_origin(origin: Origin) -> None:
    if origin.scheme not in DEFAULT_PORTS:
        raise ValueError(f"the scheme of an upstream is http or https, not {origin.scheme!r}")
    if not _HOST.fullmatch(origin.host):
        raise ValueError(f"{origin.host!r} is no host name")


def _check_request_line(method: bytes, target: bytes) -> None:
    if not _TOKEN.fullmatch(method) or method in _REFUSED_METHODS:
        raise ValueError(f"the method {method!r} cannot be sent")
    if not _TARGET.fullmatch(target):
        raise ValueError("a target starts with a slash and has no blanks, controls or bytes outside of ASCII")


def _host_header(origin: Origin) -> bytes:
    full = authority(origin)
    default = origin.port == DEFAULT_PORTS[origin.scheme]
    return full.rpartition(b":")[0] if default else full


def _field(name: bytes, value: bytes) -> bytes:
    if not _TOKEN.fullmatch(name):
        raise ValueError(f"{name!r} is no header name")
    if name.lower() in _OURS:
        raise ValueError(f"the header {name!r} is the connector's own")
    if _UNSAFE_IN_VALUE.search(value):
        raise ValueError(f"the value of {name!r} holds CR, LF or NUL")
    return b"%b: %b\r\n" % (name, value)


@lru_cache(maxsize=64)
def _credential_field(credential: Credential, origin: Origin) -> bytes:
    """The credential's line. What is kept of it here is no more than the settings hold as long as the server runs, and
    what they held before they were read again.
    """
    if credential.origin != origin:
        raise ValueError("credential is bound to another origin")
    return _field(credential.header, credential.value)


class AnswerSink(Protocol):
    """Hears an answer while it is read."""

    @property
    def body_received(self) -> Callable[[bytes], None]:
        """Called with each piece of the body."""

    def head_received(self, head: ResponseHead) -> None:
        """The final head is there, and it is one we accept."""


class _Stopped(Exception):
    """Leaves the parser in the middle of its input. Never seen outside of this module."""


def _ignore(data: bytes) -> None:
    """What hears the body when nobody does."""


class AnswerReader:
    """Reads one final answer, and the 1xx answers before it, off a connection.

    Feed it until `over`. Then `error` is `None` when the answer is whole, and says what was wrong otherwise.

    While it stands `between` two transfer chunks, a read that is exactly one need not be fed: the parser stands at such
    a place before and after it.
    """

    __slots__ = (
        "_ends_with_connection",
        "_head_bytes",
        "_headers",
        "_hear",
        "_more",
        "_overhead",
        "_parser",
        "_peer",
        "_piece",
        "_provider",
        "_sink",
        "_spare_bytes",
        "between",
        "error",
        "head_seen",
        "over",
        "reusable",
    )

    def __init__(self, sink: AnswerSink, *, peer: Origin | str, provider: str) -> None:
        """`peer` is who answers, as errors name it."""
        self.over = False
        self.error: UpstreamBroke | None = None
        self.head_seen = False
        self.reusable = False
        """Whether, as far as the answer says, the connection may carry another one once this one is over."""
        self._peer = peer
        self._provider = provider
        self._sink = sink
        self._hear = sink.body_received
        self._piece: bytes | None = None
        self._more: list[bytes] = []
        """What else came of the body in the same read."""
        self._headers: list[tuple[bytes, bytes]] = []
        self._head_bytes = 0
        self._overhead = 0
        """Bytes since the last byte of body: heads, chunk extensions, trailers. A hostile one never ends."""
        self._spare_bytes = 0
        self._ends_with_connection = False
        self.between = False
        """Whether what was read so far ends with a transfer chunk."""
        self._parser = httptools.HttpResponseParser(self)

    @property
    def begun(self) -> bool:
        """Whether a single byte of an answer has come."""
        return self.head_seen or self._overhead > 0

    def feed(self, data: bytes) -> None:
        """Read on. What the sink raises passes through; what the upstream did wrong is kept in `error`."""
        self._overhead += len(data)
        self.between = False
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._pass_on()
            self._stumbled(error)
        else:
            if self._piece is not None:
                self._pass_on()
        if self.between and (self.over or data[-2:] != b"\r\n"):
            self.between = False  # what comes after the chunk has begun
        if self._overhead > MAX_HEAD_BYTES and not self.over:
            self._fail(f"sent more than {MAX_HEAD_BYTES} bytes without any of the body")

    def _pass_on(self) -> None:
        """Tell the sink the body of one read in one piece: a call for each transfer chunk costs more than joining."""
        body = self._piece
        if body is None:
            return
        self._piece = None
        if self._more:
            body = b"".join((body, *self._more))
            self._more.clear()
        self._hear(body)

    def end_of_file(self) -> None:
        """The upstream closed its side, in order: the end of some answers, a cut through all others."""
        if self.head_seen and self._ends_with_connection:
            self._complete()
        else:
            self.break_off()

    def break_off(self, cause: BaseException | None = None) -> None:
        """The connection is gone before the answer was whole."""
        if not self.begun:
            self._fail("closed the connection before it answered", cause)
        elif not self.head_seen:
            self._fail("broke off in the head of its answer", cause)
        else:
            self._fail("broke off in the middle of its answer", cause)

    def discard(self, limit_bytes: int) -> None:
        """Tell the sink nothing more. Reading more body than `limit_bytes` is an `error`."""
        self._spare_bytes = limit_bytes
        self._hear = self._waste

    def close(self) -> None:
        """Tell the sink nothing more, and let go of the parser, which otherwise makes a cycle for the collector."""
        self._hear = _ignore
        self.over = True
        del self._parser

    # What the parser calls.

    def on_message_begin(self) -> None:
        """Refuses a second answer: nobody asked for it."""
        if self.over:
            raise _Stopped

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keeps a field of the head. Trailers have no reader."""
        if self.head_seen:
            return
        headers = self._headers
        headers.append((name.lower(), value.rstrip(b" \t")))
        self._head_bytes = size = self._head_bytes + len(name) + len(value) + 4
        if size > MAX_HEAD_BYTES or len(headers) > MAX_HEAD_FIELDS:
            self._refuse(f"sent a head of more than {MAX_HEAD_FIELDS} fields or {MAX_HEAD_BYTES} bytes")

    def on_headers_complete(self) -> None:
        """Accepts, skips or refuses the head."""
        status = self._parser.get_status_code()
        head = ResponseHead(status, tuple(self._headers))
        self._headers.clear()
        if status < 200:
            self._skip_interim(status)
            return
        self._check_framing(head)
        self.head_seen = True
        self.reusable = self._parser.should_keep_alive() and self._parser.get_http_version() == "1.1"
        self._sink.head_received(head)

    def on_body(self, data: bytes) -> None:
        """Keeps a piece of the body until the read, or the body, is over. This is the hot path."""
        self._overhead = 0
        if self._piece is None:
            self._piece = data
        else:
            self._more.append(data)

    def on_chunk_header(self) -> None:
        """Notes that a transfer chunk has begun."""
        self.between = False

    def on_chunk_complete(self) -> None:
        """Notes that a transfer chunk is whole; if nothing follows it in this read, the next one may pass by here."""
        self.between = True

    def on_message_complete(self) -> None:
        """Notes the end of the final answer."""
        if self.head_seen:
            self._complete()

    def _skip_interim(self, status: int) -> None:
        # 101 is final in all but its number: what follows it is no HTTP.
        if status == 101 or status < 100:
            self._refuse(f"answered with the status {status}, which nobody asked for")

    def _check_framing(self, head: ResponseHead) -> None:
        # RFC 9112 section 6.3: with neither field the close is the end. The statuses without a body are over before it.
        self._ends_with_connection = True
        for name, value in head.headers:
            if name not in _FRAMING:
                continue
            if name == b"content-length":
                self._ends_with_connection = False
            elif name == b"content-encoding":
                if value.lower() != b"identity":
                    self._refuse("sent a compressed answer, though only identity was accepted")
            else:
                self._ends_with_connection = False
                if value.lower() != b"chunked":
                    self._refuse("sent a transfer coding other than chunked")

    def _waste(self, data: bytes) -> None:
        self._spare_bytes -= len(data)
        if self._spare_bytes < 0:
            self._fail("goes on for too long to be read to its end")

    def _complete(self) -> None:
        self.over = True
        self._pass_on()
        self._hear = _ignore

    def _stumbled(self, error: httptools.HttpParserError) -> None:
        bug = error.__context__ if isinstance(error, httptools.HttpParserCallbackError) else None
        if bug is not None and not isinstance(bug, _Stopped):
            raise bug
        # After the end this is a second answer, or garbage: the answer stands, but the connection is spoilt.
        self.reusable = False
        if not self.over:
            self._fail(f"broke HTTP: {error}", error)

    def _refuse(self, what: str) -> NoReturn:
        self._fail(what)
        raise _Stopped

    def _fail(self, what: str, cause: BaseException | None = None) -> None:
        self.error = UpstreamBroke(f"{self._peer} {what}", provider=self._provider)
        self.error.__cause__ = cause
        self.reusable = False
        self._complete()
