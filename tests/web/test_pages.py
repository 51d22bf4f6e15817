"""How the pages' files are served: what is there, its headers, its names, and nothing besides."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.live.conftest import gateway
from tests.live.gateway import Gateway
from thalweg.server.endpoints.pages import POLICY, load_site, make_site
from thalweg.server.wire import Scope

__all__ = ["gateway"]

WEB = Path(__file__).resolve().parents[2] / "src" / "thalweg" / "web"
BUDGET_BYTES = 150_000
"""What the whole page may weigh on the wire, everything loaded that it may ever load."""

SITE = load_site()
FILES = sorted(path for path in SITE.assets if not path.endswith(".html"))


def get(gateway: Gateway, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
    """One request without the key."""
    return gateway.request(method, path, **({"authorization": ""} | headers))


# What is served


@pytest.mark.parametrize("path", ["/", f"/web/{SITE.version}/chat/main.js", "/web/chat/main.js", "/web/mark.svg"])
def test_a_stranger_gets_the_file(gateway: Gateway, path: str) -> None:
    status, _, body = get(gateway, path)
    assert (status, bool(body)) == (200, True)


def test_every_file_is_served_as_it_is(gateway: Gateway) -> None:
    for path in FILES:
        status, headers, body = get(gateway, f"/web/{path}")
        assert (status, body) == (200, (WEB / path).read_bytes()), path
        assert headers["content-length"] == str(len(body))


def test_every_file_of_the_folder_that_a_page_needs_is_served() -> None:
    kept_back = {"package.json"}
    wanted = {str(path.relative_to(WEB)) for path in WEB.rglob("*") if path.suffix in {".js", ".css", ".svg", ".json"}}
    assert set(FILES) == wanted - kept_back


NOT_THERE = [
    "/web/",
    "/web/package.json",
    "/web/vendor/README.md",
    "/web/vendor/highlight/LICENSE",
    "/web/chat.html/x",
    "/web/../server/app.py",
    "/web/%2e%2e/server/app.py",
    "/web/..%2fserver%2fapp.py",
    "/web/chat",
    "/web/000000000000/chat/main.js",
    "/index.html",
]


@pytest.mark.parametrize("path", NOT_THERE)
def test_what_is_not_there_is_told_to_those_with_a_key_only(gateway: Gateway, path: str) -> None:
    assert get(gateway, path)[0] == 401
    assert gateway.request("GET", path)[0] == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("path", ["/", "/web/mark.svg"])
def test_files_are_read_only(gateway: Gateway, path: str, method: str) -> None:
    status, headers, _ = get(gateway, path, method)
    assert (status, headers["allow"]) == (405, "GET, HEAD")


def test_a_head_has_no_body(gateway: Gateway) -> None:
    status, headers, body = get(gateway, "/", "HEAD")
    assert (status, body) == (200, b"")
    assert int(headers["content-length"]) > 1000


# Headers


@pytest.mark.parametrize(
    "path", ["/", "/web/lib/sse.js", "/web/words/zh.json", "/web/mark.svg", "/web/styles/base.css"]
)
def test_every_answer_is_guarded(gateway: Gateway, path: str) -> None:
    _, headers, _ = get(gateway, path)
    assert headers["content-security-policy"] == POLICY
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert headers["cross-origin-resource-policy"] == "same-origin"


def test_the_policy_lets_nothing_in() -> None:
    directives = dict(each.split(" ", 1) for each in POLICY.split("; "))
    assert directives.pop("default-src") == "'none'"
    for closed in ("base-uri", "form-action", "frame-ancestors"):
        assert directives.pop(closed) == "'none'"
    assert directives.pop("img-src") == "'self' data: blob:"
    assert directives.pop("require-trusted-types-for") == "'script'"
    assert directives.pop("trusted-types") == "thalweg"
    assert set(directives.values()) == {"'self'"}


TYPES = {
    "/": "text/html; charset=utf-8",
    "/web/lib/sse.js": "text/javascript; charset=utf-8",
    "/web/styles/base.css": "text/css; charset=utf-8",
    "/web/words/en.json": "application/json",
    "/web/mark.svg": "image/svg+xml",
}


@pytest.mark.parametrize(("path", "kind"), TYPES.items())
def test_a_file_has_its_type(gateway: Gateway, path: str, kind: str) -> None:
    assert get(gateway, path)[1]["content-type"] == kind


# Caching


def test_a_page_is_asked_for_each_time_and_sent_once(gateway: Gateway) -> None:
    _, headers, _ = get(gateway, "/")
    assert headers["cache-control"] == "no-cache"
    status, again, body = get(gateway, "/", if_none_match=headers["etag"])
    assert (status, body, again["etag"]) == (304, b"", headers["etag"])
    assert "content-length" not in again


def test_a_file_by_its_version_is_kept_for_good(gateway: Gateway) -> None:
    named = get(gateway, f"/web/{SITE.version}/lib/sse.js")[1]
    assert named["cache-control"] == "public, max-age=31536000, immutable"
    assert get(gateway, "/web/lib/sse.js")[1]["cache-control"] == "no-cache"


CONDITIONS = {
    "the very name": ("{etag}", 304),
    "a weak one": ("W/{etag}", 304),
    "one of a list": ('"a", {etag}, "b"', 304),
    "anything": ("*", 304),
    "another": ('"a"', 200),
    "no name at all": ("x", 200),
    "the name without its quotes": ("{bare}", 200),
}


@pytest.mark.parametrize(("condition", "expected"), CONDITIONS.values(), ids=CONDITIONS.keys())
def test_a_condition_is_weighed(gateway: Gateway, condition: str, expected: int) -> None:
    etag = get(gateway, "/web/mark.svg")[1]["etag"]
    given = condition.format(etag=etag, bare=etag.strip('"'))
    assert get(gateway, "/web/mark.svg", if_none_match=given)[0] == expected


ENCODINGS = {
    "gzip": True,
    "br, gzip;q=0.8": True,
    "GZIP": True,
    "gzip;q=0": False,
    "gzip; q=0": False,
    "br": False,
    "identity": False,
}


@pytest.mark.parametrize(("accepted", "packed"), ENCODINGS.items())
def test_a_file_is_packed_for_those_who_take_it(gateway: Gateway, accepted: str, packed: bool) -> None:
    path = "chat/main.js"
    status, headers, body = get(gateway, f"/web/{path}", accept_encoding=accepted)
    assert status == 200
    assert headers["vary"] == "accept-encoding"
    assert (headers.get("content-encoding") == "gzip") is packed
    assert (gzip.decompress(body) if packed else body) == (WEB / path).read_bytes()


def test_both_forms_have_names_of_their_own(gateway: Gateway) -> None:
    plain = get(gateway, "/")[1]["etag"]
    packed = get(gateway, "/", accept_encoding="gzip")[1]["etag"]
    assert plain != packed
    assert get(gateway, "/", accept_encoding="gzip", if_none_match=plain)[0] == 200


def test_a_file_that_would_not_get_smaller_stays_as_it_is() -> None:
    asset = make_site({"a.svg": b"x"}).assets["a.svg"]
    scope: Scope = {"headers": [(b"accept-encoding", b"gzip")]}
    assert asset.form(scope).body == b"x"


# Versions


def test_a_page_names_its_files_by_their_version(gateway: Gateway) -> None:
    page = get(gateway, "/")[2].decode()
    named = re.findall(r'(?:src|href)="(/[^"]*)"', page)
    assert len(named) > 20
    assert {path.split("/")[2] for path in named} == {SITE.version}
    for path in named:
        assert get(gateway, path)[0] == 200, path


def test_another_content_is_another_version() -> None:
    one, other = make_site({"a.js": b"1", "b.js": b"2"}), make_site({"a.js": b"1", "b.js": b"3"})
    assert one.version != other.version
    assert make_site({"b.js": b"2", "a.js": b"1"}).version == one.version


# What the page is made of


def imported(path: str) -> Iterator[str]:
    """The modules that a module imports, as paths below `web/`."""
    source = (WEB / path).read_text(encoding="utf-8")
    for found in re.findall(r'(?:\bfrom|^import) "(\.\.?/[^"]+)"', source, re.MULTILINE):
        yield str((WEB / path).parent.joinpath(found).resolve().relative_to(WEB))


def closure(path: str) -> set[str]:
    seen: set[str] = set()
    waiting = [path]
    while waiting:
        here = waiting.pop()
        if here not in seen:
            seen.add(here)
            waiting += imported(here)
    return seen


def test_the_page_asks_for_all_its_modules_at_once() -> None:
    page = (WEB / "chat.html").read_text(encoding="utf-8")
    preloaded = set(re.findall(r'rel="modulepreload" href="/web/([^"]+)"', page))
    assert preloaded == closure("chat/main.js") - {"chat/main.js"}


def test_no_module_lies_about_unused() -> None:
    used = closure("chat/main.js") | closure("lib/highlight-worker.js") | {"boot.js"}
    languages = {path for path in FILES if path.startswith("vendor/highlight/languages/")}
    assert {path for path in FILES if path.endswith(".js")} == used | languages


def test_the_whole_page_keeps_its_budget() -> None:
    sizes = {path: len(asset.packed.body) for path, asset in SITE.assets.items()}
    assert sum(sizes.values()) <= BUDGET_BYTES, dict(sorted(sizes.items(), key=lambda each: -each[1])[:10])


FORBIDDEN: dict[str, str] = {
    r"\.(?:inner|outer)HTML\b": "markup out of text",
    r"\binsertAdjacentHTML\b|\bcreateContextualFragment\b|\bDOMParser\b|\bdocument\.write\b": "markup out of text",
    r"\beval\(|\bnew Function\b|\bsetTimeout\(\s*[\"'`]": "code out of text",
    r"\bsetAttribute\(\s*[\"']style": "a style that the policy forbids",
    r"https?://(?!www\.w3\.org/2000/svg)": "another host",
    r"\blocalStorage\b": "storage that outlives the tab",
}
ALLOWED = {("lib/settings.js", r"\blocalStorage\b"), ("boot.js", r"\blocalStorage\b")}


def without_comments(source: str) -> str:
    return re.sub(r"(?m)^\s*//.*$|/\*.*?\*/", "", source, flags=re.DOTALL)


@pytest.mark.parametrize(("pattern", "what"), FORBIDDEN.items(), ids=FORBIDDEN.keys())
def test_no_module_of_ours_has(pattern: str, what: str) -> None:
    for path in FILES:
        if path.startswith("vendor/") or not path.endswith(".js") or (path, pattern) in ALLOWED:
            continue
        found = re.search(pattern, without_comments((WEB / path).read_text(encoding="utf-8")))
        assert not found, f"{path}: {what}: {found}"


def test_the_page_has_nothing_inline() -> None:
    page = (WEB / "chat.html").read_text(encoding="utf-8")
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style\b|\sstyle=|\son\w+=|javascript:", page)


def tags(page: str, name: str) -> list[Any]:
    return re.findall(rf"<{name}\b[^>]*>", page)


def test_every_drawing_that_is_used_is_there() -> None:
    page = (WEB / "chat.html").read_text(encoding="utf-8")
    there = set(re.findall(r'<symbol id="icon-([\w-]+)"', page))
    scripts = "\n".join((WEB / path).read_text(encoding="utf-8") for path in FILES if re.match(r"(chat|lib)/", path))
    named = set(re.findall(r'\bicon(?:\(|: )"([\w-]+)"', scripts)) | set(re.findall(r'href="#icon-([\w-]+)"', page))
    # Some are chosen by a condition, or by a first argument.
    named |= {name for name in there if f'"{name}"' in scripts}
    assert named - there == set()
    assert there - named == set()


def test_the_dark_colours_are_the_same_by_wish_and_by_choice() -> None:
    styles = (WEB / "styles" / "tokens.css").read_text(encoding="utf-8")
    blocks = re.findall(r"color-scheme: dark;(.*?)\}", styles, re.DOTALL)
    by_wish, by_choice = ([line.strip() for line in block.split("\n") if line.strip()] for block in blocks)
    assert by_wish == by_choice
    light = re.search(r":root \{(.*?)\}", styles, re.DOTALL)
    assert light
    assert {line.split(":")[0] for line in by_wish} <= set(re.findall(r"--[\w-]+(?=:)", light[1]))
