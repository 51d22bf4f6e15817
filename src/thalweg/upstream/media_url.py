"""The address of a file, as a client wrote it: read once, strictly, into what is connected to and what is asked there.

Whatever two readers could take differently is refused, so that what is checked is what is reached. Nothing is looked up
here.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Container
from urllib.parse import quote

import msgspec

from thalweg.upstream.base import Origin
from thalweg.upstream.http1 import DEFAULT_PORTS

MOST_CHARS = 8192
_URL = re.compile(r"(https?)://([^/?#]+)((?:[/?][^#]*)?)(?:#.*)?", re.IGNORECASE | re.DOTALL)
# What readers drop, turn, or end a line at.
_UNSAFE = re.compile(
    r"[\x00-\x20\x7f-\xa0\\\u1680\u180e\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\ufeff\ud800-\udfff]"
)
_PORT = re.compile(r"[1-9][0-9]{0,4}")
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
# All names that end the public ones are of letters, those of other alphabets in their DNS form.
_TOP = re.compile(r"[a-z]{2,63}|xn--[a-z0-9-]+")
_MOST_HOST_CHARS = 253
# RFC 8375 and IANA's special-use names, read 2026-11, and `internal`, which ICANN keeps for that: never public.
_PRIVATE_NAMES = frozenset({"localhost", "local", "internal", "localdomain", "test", "invalid", "onion", "alt"})
_PRIVATE_ENDS = (".home.arpa",)
_NOT_PUBLIC = "its host has no public address"


class Place(msgspec.Struct, frozen=True):
    """Where a file is."""

    origin: Origin
    target: bytes
    """Path and query, escaped."""

    @property
    def shown(self) -> str:
        """As much of the address as is told in messages: paths and queries may hold secrets."""
        return str(self.origin).removesuffix(f":{DEFAULT_PORTS[self.origin.scheme]}")


def read_url(url: str, *, ports: Container[int]) -> Place:
    """The place that an http or https URL names. Raises `ValueError`, whose text is for clients and quotes nothing."""
    if len(url) > MOST_CHARS:
        raise ValueError(f"its address is longer than {MOST_CHARS} characters")
    found = _URL.fullmatch(url)
    if found is None:
        raise ValueError("its address does not begin with http:// or https://")
    if _UNSAFE.search(url):
        raise ValueError("its address holds a blank, a backslash or a control character")
    scheme, authority, target = found[1].lower(), found[2], found[3]
    if "@" in authority:
        raise ValueError("its address holds a user's name or password")
    host, port = _split(authority)
    origin = Origin(scheme, _host(host), _port(port, DEFAULT_PORTS[scheme]))
    if origin.port not in ports:
        raise ValueError("its address names a port that nothing is fetched from")
    # A `%` that was there stays one: what is escaped once is not escaped again.
    escaped = quote(target, safe="!\"#$%&'()*+,-./:;<=>?@[]^_`{|}~", errors="strict").encode()
    return Place(origin, escaped if escaped.startswith(b"/") else b"/" + escaped)


def _split(authority: str) -> tuple[str, str]:
    """Host and port; the brackets of an IPv6 address stay."""
    if authority.startswith("["):
        host, bracket, rest = authority.partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise ValueError("its address has no host that can be read")
        return host + bracket, rest[1:]
    host, _, port = authority.partition(":")
    return host, port


def _port(text: str, default: int) -> int:
    if not text:
        return default
    port = int(text) if _PORT.fullmatch(text) else 0
    if not 0 < port < 65536:
        raise ValueError("its address has no port that can be read")
    return port


def _host(text: str) -> str:
    """The host in small ASCII letters, without brackets and without a root's dot."""
    if text.startswith("["):
        return _six(text[1:-1])
    host = _ascii(text).lower().removesuffix(".")
    labels = host.split(".")
    if len(host) > _MOST_HOST_CHARS or not all(_LABEL.fullmatch(label) for label in labels):
        raise ValueError("its address has no host that can be read")
    if _is_number(labels[-1]):
        return _four(host)
    top = labels[-1]
    if len(labels) == 1 or not _TOP.fullmatch(top) or top in _PRIVATE_NAMES or host.endswith(_PRIVATE_ENDS):
        raise ValueError(_NOT_PUBLIC)
    return host


def _ascii(text: str) -> str:
    """A name in the letters of the DNS. Circled and wide digits become plain ones here, before anything is decided."""
    if text.isascii():
        return text
    try:
        return text.encode("idna").decode("ascii")
    except UnicodeError as error:
        raise ValueError("its address has no host that can be read") from error


def _is_number(label: str) -> bool:
    # https://url.spec.whatwg.org/#ends-in-a-number-checker: a host that ends so is an address, or nothing.
    return label.isdigit() or (label.startswith("0x") and all(char in "0123456789abcdef" for char in label[2:]))


def _four(text: str) -> str:
    """An IPv4 address in the one form that all readers take for the same; octal, hex and short ones are refused."""
    try:
        return str(ipaddress.IPv4Address(text))
    except ValueError as error:
        raise ValueError(_NOT_PUBLIC) from error


def _six(text: str) -> str:
    try:
        address = ipaddress.IPv6Address(text)
    except ValueError as error:
        raise ValueError("its address has no host that can be read") from error
    if address.scope_id is not None:
        raise ValueError(_NOT_PUBLIC)
    return str(address)
