"""Fetches a file from an address that a client gave, for an upstream that takes nothing but bytes.

The client chose the address, so nothing is taken on trust: only http and https, only public addresses, looked up once
and connected to as they were checked; no redirects, cookies, keys or names of users; bounds on bytes and seconds; and
the bytes must be what they are said to be. Whatever goes wrong is the client's mistake, and its text tells nothing of
this side's network.
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from collections.abc import Callable, Collection
from typing import NoReturn

import msgspec

from thalweg import __version__
from thalweg.canon.errors import InvalidRequest, UpstreamError, UpstreamTimeout, UpstreamUnreachable
from thalweg.canon.media import MARKED, mime_of, sniff
from thalweg.upstream.base import ResponseHead, UpstreamRequest
from thalweg.upstream.connector import HttpConnector
from thalweg.upstream.dial import reason
from thalweg.upstream.gather import TooMuch, gather
from thalweg.upstream.media_url import Place, read_url
from thalweg.upstream.proxy import ProxySettings
from thalweg.upstream.public import Allow, Names, NotPublic, PublicDialer, Resolve, is_public
from thalweg.upstream.tls import client_context

MIB = 1024 * 1024
_MIME = re.compile(r"[a-z0-9]+/[a-z0-9.+-]+")
_UNNAMED = frozenset({"", "application/octet-stream", "binary/octet-stream", "application/binary"})
"""What servers say of files that they know nothing of."""
# One container, several names: which of them it is, its first bytes do not say.
_ALSO = {
    "video/mp4": frozenset({"audio/mp4", "audio/m4a", "audio/x-m4a", "audio/aac", "video/quicktime", "video/3gpp"}),
    "audio/mp4": frozenset({"audio/m4a", "audio/x-m4a", "audio/aac"}),
    "video/webm": frozenset({"audio/webm", "video/x-matroska"}),
    "audio/ogg": frozenset({"video/ogg", "audio/opus", "application/ogg"}),
    "image/heic": frozenset({"image/heif"}),
    "image/heif": frozenset({"image/heic"}),
}
_DRAWN_TEXT = frozenset({"application/json", "application/xml"})
_AGENT = b"thalweg/%b (media fetch)" % __version__.encode()


class FetchLimits(msgspec.Struct, frozen=True, kw_only=True):
    """How much is fetched for clients, in files, bytes and seconds."""

    files: int = 16
    """Different files of one request."""
    at_once: int = 4
    """Of one request, at the same time."""
    in_all: int = 32
    """Of all requests, at the same time; others wait, and their time runs."""
    file_bytes: int = 20 * MIB
    request_bytes: int = 32 * MIB
    """All files of one request together."""
    connect_s: float = 5.0
    whole_s: float = 20.0
    """One file, from the lookup of its host's name to its last byte."""
    ports: frozenset[int] = frozenset({80, 443})


class Fetched(msgspec.Struct, frozen=True):
    """One file."""

    mime: str
    data: bytes


class MediaFetcher:
    """Fetches files. Belongs to the event loop it is first used on.

    `proxy` is none but what was configured; only https goes through one. `resolve` and `allow` stand in tests for the
    name service and for the rule which addresses may be reached.
    """

    def __init__(
        self,
        limits: FetchLimits | None = None,
        *,
        proxy: ProxySettings | None = None,
        ca_file: str | None = None,
        resolve: Resolve | None = None,
        allow: Allow = is_public,
    ) -> None:
        self.limits = limits or FetchLimits()
        self._proxy = proxy or ProxySettings()
        self._ca_file = ca_file
        self._names = Names()
        self._resolve: Resolve = resolve or self._names
        self._allow = allow
        self._places = asyncio.Semaphore(self.limits.in_all)
        self._connector: HttpConnector | None = None

    async def fetch(
        self,
        url: str,
        *,
        accepts: Collection[str],
        most_bytes: int | None = None,
        timeout_s: float | None = None,
        param: str | None = None,
        more_came: Callable[[int], None] = lambda size: None,
    ) -> Fetched:
        """The file at `url`, if it is one of the types that `accepts` names (`image/png`, `text/*`).

        `more_came` hears the size of each piece as it comes; the `GatewayError` that it raises ends the fetch and is
        raised here. Raises `InvalidRequest`, which names `param` and of the URL no more than its host. Cancelling it
        closes the connection.
        """
        limits = self.limits
        most_bytes = limits.file_bytes if most_bytes is None else most_bytes
        timeout_s = limits.whole_s if timeout_s is None else timeout_s
        try:
            place = self._read(url)
        except ValueError as error:
            raise _refusal("the file", str(error), param) from error
        where = f"the file at {place.shown}"
        check = _TypeCheck(accepts, where, param)
        try:
            async with asyncio.timeout(timeout_s), self._places:
                found = await gather(
                    self._hired(),
                    _asking(place, accepts, limits.connect_s),
                    most_bytes=most_bytes,
                    timeout_s=timeout_s,
                    head_came=check.head_came,
                    more_came=more_came,
                )
        except TimeoutError as error:
            raise _refusal(where, f"it did not come within {timeout_s:g} s", param) from error
        except TooMuch as error:
            raise _refusal(where, f"it is larger than {most_bytes} bytes", param) from error
        except UpstreamError as error:
            raise _refusal(where, _why(error), param) from error
        return Fetched(check.settle(found.body), found.body)

    async def close(self) -> None:
        """Close every connection. Fetches under way fail."""
        self._names.close()
        if self._connector is not None:
            await self._connector.close()

    def _read(self, url: str) -> Place:
        place = read_url(url, ports=self.limits.ports)
        if place.origin.scheme == "http" and self._proxy.proxy_for(place.origin) is not None:
            raise ValueError("its address does not begin with https://")
        return place

    def _hired(self) -> HttpConnector:
        """The connector. Made when the first file is fetched: it reads all of the system's certificates."""
        if self._connector is None:
            context: ssl.SSLContext = client_context(self._ca_file)
            dialer = PublicDialer(context, resolve=self._resolve, allow=self._allow)
            # No connection is kept: what one client has fetched is nothing to the next.
            self._connector = HttpConnector(max_idle_per_origin=0, proxy=self._proxy, dialer=dialer)
        return self._connector


class _TypeCheck:
    """Whether an answer is the file, and of which type it is. One for a fetch."""

    def __init__(self, accepts: Collection[str], where: str, param: str | None) -> None:
        self._accepts = accepts
        self._where = where
        self._param = param
        self._said = ""

    def head_came(self, head: ResponseHead) -> None:
        """Refuse what will not be the file. Raises `InvalidRequest`."""
        if 300 <= head.status < 400:
            self._refuse("its server redirects, and redirects are not followed")
        if head.status != 200:
            self._refuse(f"its server answered with status {head.status}")
        said = (head.get(b"content-type") or b"").decode("latin-1")
        self._said = mime_of(said, "") or ""
        if self._said not in _UNNAMED and not (_MIME.fullmatch(self._said) and self._takes(self._said)):
            self._refuse(f"it is not of a type that is taken here ({_shown(self._said)})")

    def settle(self, data: bytes) -> str:
        """The type of the whole file. Raises `InvalidRequest` where its bytes are not what they are said to be."""
        if not data:
            self._refuse("it is empty")
        shown, said = sniff(data[:16]), self._said
        if shown is None:
            return self._of_unmarked(data)
        if said in _ALSO.get(shown, frozenset()):
            return said
        if not self._takes(shown):
            self._refuse(f"it is not of a type that is taken here ({shown})")
        return shown

    def _of_unmarked(self, data: bytes) -> str:
        said = self._said
        if said in _UNNAMED:
            self._refuse("neither its server nor its first bytes say of which type it is")
        if said in MARKED and said not in _UNMARKED_TOO:
            self._refuse(f"it is not {said}, as its server says")
        if (said.startswith("text/") or said in _DRAWN_TEXT) and b"\0" in data:
            self._refuse(f"it is not {said}, as its server says")
        return said

    def _takes(self, mime: str) -> bool:
        return mime in self._accepts or f"{mime.partition('/')[0]}/*" in self._accepts or self._takes_as_other(mime)

    def _takes_as_other(self, mime: str) -> bool:
        """Whether it is another name of a container that is taken."""
        return any(mime in others and name in self._accepts for name, others in _ALSO.items())

    def _refuse(self, why: str) -> NoReturn:
        raise _refusal(self._where, why, self._param)


_UNMARKED_TOO = frozenset({"audio/mpeg", "audio/aac"})
"""Sounds that may begin in the middle of anything."""


def _asking(place: Place, accepts: Collection[str], connect_s: float) -> UpstreamRequest:
    accept = ", ".join(sorted(accepts)).encode()
    return UpstreamRequest(
        origin=place.origin,
        method=b"GET",
        target=place.target,
        headers=((b"accept", accept), (b"user-agent", _AGENT)),
        body=b"",
        connect_timeout_s=connect_s,
    )


def _why(error: UpstreamError) -> str:
    """What went wrong on the way. A name that does not resolve and one that is not public sound alike: what the names
    of this side's network are is nobody's to ask. Nor is where its proxy stands.
    """
    cause = error.__cause__
    if isinstance(error, UpstreamTimeout):
        return "there was no connection in time" if error.phase == "connect" else "it did not come in time"
    if not isinstance(error, UpstreamUnreachable):
        return "its server did not answer wholly, or not in HTTP"
    if isinstance(cause, NotPublic | socket.gaierror | UnicodeError):
        return str(NotPublic())
    if isinstance(cause, OSError) and (cause.errno or isinstance(cause, ssl.SSLError)):
        return f"its server cannot be reached ({reason(cause)})"
    return "its server cannot be reached"


def _shown(mime: str) -> str:
    return mime if _MIME.fullmatch(mime) and len(mime) <= 80 else "an unknown one"


def _refusal(what: str, why: str, param: str | None) -> InvalidRequest:
    field = f"Invalid value for '{param}': " if param else ""
    message = f"{field}{what} cannot be fetched: {why}."
    return InvalidRequest(message[0].upper() + message[1:], param=param, code="invalid_value")
