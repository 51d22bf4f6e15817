"""Pages and what belongs to them: the static files of `web/`, read, named and compressed once at start.

They hold no data, so anyone may get them. What a page shows it asks for itself, with its caller's key. A page names its
files by their version, so that a browser keeps them for good and never mixes two versions.
"""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Callable, Mapping
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

import msgspec

from thalweg.canon.errors import NotFound
from thalweg.server.house import House
from thalweg.server.wire import App, Headers, Receive, Scope, Send, header

PAGES: Mapping[str, str] = {"/": "chat.html"}
"""Paths of pages, and the files behind them."""

MOUNT = "/web/"
"""Where the other files lie, with or without their version: `/web/VERSION/lib/sse.js`, `/web/lib/sse.js`."""

_TYPES = {
    ".html": b"text/html; charset=utf-8",
    ".css": b"text/css; charset=utf-8",
    ".js": b"text/javascript; charset=utf-8",
    ".json": b"application/json",
    ".svg": b"image/svg+xml",
}
"""What is served; any other file in the folder is not."""

_KEPT_BACK = frozenset({"package.json"})
"""For tools, not for browsers."""

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data: blob:",
        "connect-src 'self'",
        "font-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types thalweg",
    )
)
"""The content security policy: nothing inline, nothing from elsewhere, and no text becomes markup or a script's address
but through the one policy of `lib/trusted.js`."""

_GUARDS: Headers = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), microphone=(), geolocation=()"),
)
_FRESH: Headers = ((b"cache-control", b"no-cache"),)
_FOR_GOOD: Headers = ((b"cache-control", b"public, max-age=31536000, immutable"),)


class Form(msgspec.Struct, frozen=True):
    """One way to send a file: as it is, or compressed."""

    body: bytes
    etag: bytes
    headers: Headers
    """Everything but the cache's rule."""

    async def send(self, scope: Scope, send: Send, keeping: Headers) -> None:
        """Answer with the file, or with 304 where the client has it."""
        known = _knows(header(scope, b"if-none-match"), self.etag)
        headers = [*self.headers, *keeping]
        if not known:
            headers.append((b"content-length", b"%d" % len(self.body)))
        await send({"type": "http.response.start", "status": 304 if known else 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if known else self.body})


class Asset(msgspec.Struct, frozen=True):
    """One file in both forms."""

    plain: Form
    packed: Form

    def form(self, scope: Scope) -> Form:
        """The form for this client."""
        return self.packed if _takes_gzip(header(scope, b"accept-encoding")) else self.plain


class Site(msgspec.Struct, frozen=True):
    """Every file by its path below `web/`, and the version that all of them make up together."""

    version: str
    assets: Mapping[str, Asset]


@cache
def load_site() -> Site:
    """Read the files that the package brings."""
    return make_site(dict(_read(files("thalweg") / "web", "")))


def make_site(found: Mapping[str, bytes]) -> Site:
    """A site of files by path. In its pages `/web/` becomes the versioned path."""
    version = hashlib.sha256(repr(sorted(found.items())).encode()).hexdigest()[:12]
    return Site(version, {path: _asset(path, body, version) for path, body in found.items()})


class Page:
    """`GET /` and the other pages."""

    def __init__(self, asset: Asset) -> None:
        self._asset = asset

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with the page; a browser asks each time whether there is a newer one."""
        await self._asset.form(scope).send(scope, send, _FRESH)


class Assets:
    """`GET /web/…`: scripts, styles, words, pictures."""

    def __init__(self, house: House) -> None:
        self._site = load_site()
        self._house = house

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with a file. Raises `NotFound` where there is none, and before that asks who wants to know."""
        path = scope["path_params"]["file"]
        version, _, rest = path.partition("/")
        named = version == self._site.version
        asset = self._site.assets.get(rest if named else path)
        if asset is None:
            self._house.doorkeeper.identify(scope)
            raise NotFound(f"There is no {scope['method']} {scope['path']} here.", code="not_found")
        await asset.form(scope).send(scope, send, _FOR_GOOD if named else _FRESH)


def page(path: str) -> Callable[[House], App]:
    """What makes the endpoint at a page's path."""
    return lambda _: Page(load_site().assets[PAGES[path]])


def _read(folder: Traversable, below: str) -> list[tuple[str, bytes]]:
    found: list[tuple[str, bytes]] = []
    for entry in folder.iterdir():
        path = f"{below}{entry.name}"
        if entry.is_dir():
            found += _read(entry, f"{path}/")
        elif _suffix(path) in _TYPES and path not in _KEPT_BACK:
            found.append((path, entry.read_bytes()))
    return found


def _suffix(path: str) -> str:
    dot = path.rfind(".")
    return path[dot:] if dot >= 0 else ""


def _asset(path: str, body: bytes, version: str) -> Asset:
    if path.endswith(".html"):
        body = body.replace(b'"' + MOUNT.encode(), b'"' + f"{MOUNT}{version}/".encode())
    etag = hashlib.sha256(body).hexdigest()[:32].encode()
    base = ((b"content-type", _TYPES[_suffix(path)]), (b"vary", b"accept-encoding"), *_GUARDS)
    plain = Form(body, b'"%b"' % etag, (*base, (b"etag", b'"%b"' % etag)))
    packed = gzip.compress(body, 6, mtime=0)
    if len(packed) >= len(body):
        return Asset(plain, plain)
    name = b'"%b-gzip"' % etag
    return Asset(plain, Form(packed, name, (*base, (b"etag", name), (b"content-encoding", b"gzip"))))


def _takes_gzip(accepted: bytes | None) -> bool:
    """RFC 9110, section 12.5.3, as far as browsers go: gzip is named, and not refused."""
    for part in (accepted or b"").split(b","):
        coding, _, weight = part.partition(b";")
        if coding.strip().lower() == b"gzip":
            return weight.strip().replace(b" ", b"") not in (b"q=0", b"q=0.0", b"q=0.00", b"q=0.000")
    return False


def _knows(conditions: bytes | None, etag: bytes) -> bool:
    """RFC 9110, section 13.1.2: a weak comparison with each of the list, or with anything."""
    if conditions is None:
        return False
    named = [each.strip().removeprefix(b"W/") for each in conditions.split(b",")]
    return etag in named or b"*" in named
