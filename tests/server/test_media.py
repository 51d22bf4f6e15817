"""The bytes of a request's files, fetched and held: in place, within bounds, and never twice."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from thalweg.canon.errors import InvalidRequest, Unavailable
from thalweg.canon.parts import Media, Part, Text
from thalweg.canon.request import Message, Request
from thalweg.profiles.base import Profile
from thalweg.relay.budget import Budget, Share
from thalweg.server.media import MediaFiller
from thalweg.upstream.fetch import Fetched, FetchLimits

BYTES_ALONE = Profile(media_urls=frozenset())


class Shelf:
    """A fetcher in whose place every file is at hand, or its error."""

    def __init__(self, limits: FetchLimits | None = None, **files: bytes | Exception) -> None:
        self.limits = limits or FetchLimits()
        self.asked: list[tuple[str, str | None]] = []
        self.most_at_once = 0
        self.cancelled = 0
        self.hold: asyncio.Event | None = None
        self._files = files
        self._now = 0

    async def fetch(self, url: str, *, accepts: Any, param: str | None, more_came: Any) -> Fetched:
        assert "image/png" in accepts
        self.asked.append((url, param))
        self._now += 1
        self.most_at_once = max(self.most_at_once, self._now)
        try:
            await (self.hold.wait() if self.hold else asyncio.sleep(0))
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self._now -= 1
        found = self._files[url.rpartition("/")[2]]
        if isinstance(found, Exception):
            raise found
        more_came(len(found))
        return Fetched("image/png", found)

    async def close(self) -> None:
        pass


def picture(name: str) -> Media:
    return Media(kind="image", url=f"https://a.example/{name}")


def asking(*parts: Part) -> Request:
    return Request(model="m", messages=(Message(role="user", parts=parts),), dialect="anthropic")


def filler(shelf: Shelf) -> MediaFiller:
    return MediaFiller(shelf)  # type: ignore[arg-type]  # a double of the one method that is called


def share_of(limit_bytes: int = 1_000_000, held: int = 0) -> Share:
    share = Share(Budget(limit_bytes))
    assert share.hold_request(held)
    return share


async def test_a_request_without_such_files_is_itself() -> None:
    shelf, request = Shelf(), asking(Text(text="?"), picture("a"))
    assert await filler(shelf).fill(request, Profile(), share=share_of()) is request
    assert shelf.asked == []


async def test_the_bytes_stand_in_place_and_are_held() -> None:
    shelf, share = Shelf(a=b"x" * 300, b=b"y" * 30), share_of(held=1000)
    filled = await filler(shelf).fill(asking(picture("a"), picture("b"), picture("a")), BYTES_ALONE, share=share)
    assert [(part.url, len(part.data or "")) for part in filled.messages[0].parts if isinstance(part, Media)] == [
        (None, 400),
        (None, 40),
        (None, 400),
    ]
    assert shelf.asked == [
        ("https://a.example/a", "messages[0].content[0]"),
        ("https://a.example/b", "messages[0].content[1]"),
    ]
    assert share.request_bytes == 1000 + 400 + 40


async def test_an_upstream_s_own_addresses_stay() -> None:
    profile = Profile(media_urls=frozenset(), media_url_prefixes=("https://a.example/",))
    request = asking(picture("a"))
    assert await filler(Shelf()).fill(request, profile, share=share_of()) is request


async def test_too_many_files() -> None:
    shelf = Shelf(FetchLimits(files=2))
    request = asking(*map(picture, "abc"))
    with pytest.raises(InvalidRequest, match="no more than 2 files") as raised:
        await filler(shelf).fill(request, BYTES_ALONE, share=share_of())
    assert (raised.value.param, shelf.asked) == ("messages[0].content[2]", [])


async def test_the_same_file_many_times_is_one() -> None:
    shelf = Shelf(FetchLimits(files=1), a=b"x")
    await filler(shelf).fill(asking(*[picture("a")] * 9), BYTES_ALONE, share=share_of())
    assert len(shelf.asked) == 1


async def test_too_many_bytes_together() -> None:
    shelf = Shelf(FetchLimits(request_bytes=900), a=b"x" * 500, b=b"y" * 500)
    with pytest.raises(InvalidRequest, match="all files together are larger than 900 bytes") as raised:
        await filler(shelf).fill(asking(picture("a"), picture("b")), BYTES_ALONE, share=share_of())
    assert str(raised.value.param).startswith("messages[0].content[")


async def test_as_many_bytes_as_there_may_be() -> None:
    shelf = Shelf(FetchLimits(request_bytes=900), a=b"x" * 450, b=b"y" * 450)
    await filler(shelf).fill(asking(picture("a"), picture("b")), BYTES_ALONE, share=share_of())


async def test_no_room_for_them() -> None:
    """That is not the client's mistake."""
    share = share_of(1000, held=900)
    with pytest.raises(Unavailable, match="THALWEG_BUFFER_MB"):
        await filler(Shelf(a=b"x" * 200)).fill(asking(picture("a")), BYTES_ALONE, share=share)
    assert share.request_bytes == 900


async def test_so_many_at_once() -> None:
    names = [f"f{i}" for i in range(10)]
    shelf = Shelf(FetchLimits(at_once=3), **dict.fromkeys(names, b"x"))
    await filler(shelf).fill(asking(*map(picture, names)), BYTES_ALONE, share=share_of())
    assert (shelf.most_at_once, len(shelf.asked)) == (3, 10)


async def test_one_failure_ends_the_others() -> None:
    """And it comes out as it is, in no group."""
    error = InvalidRequest("gone", param="messages[0].content[0]")
    shelf = Shelf(a=error, b=b"x")
    with pytest.raises(InvalidRequest) as raised:
        await filler(shelf).fill(asking(picture("a"), picture("b")), BYTES_ALONE, share=share_of())
    assert raised.value is error


async def test_cancelling_ends_all() -> None:
    shelf = Shelf(a=b"x", b=b"y")
    shelf.hold = asyncio.Event()
    task = asyncio.create_task(filler(shelf).fill(asking(picture("a"), picture("b")), BYTES_ALONE, share=share_of()))
    while len(shelf.asked) < 2:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert shelf.cancelled == 2


async def test_a_gateway_that_fetches_nothing_says_so() -> None:
    shelf = Shelf(a=b"x")
    closed = MediaFiller(shelf, allowed=False)  # type: ignore[arg-type]  # a double of the one method that is called
    with pytest.raises(InvalidRequest, match="fetches none") as caught:
        await closed.fill(asking(picture("a")), BYTES_ALONE, share=share_of())
    assert caught.value.param == "messages[0].content[0]"
    assert shelf.asked == []
    words = asking(Text(text="?"))
    assert await closed.fill(words, BYTES_ALONE, share=share_of()) is words
