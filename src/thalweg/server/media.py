"""Puts the bytes of files in the place of their addresses, for upstreams that open no addresses."""

from __future__ import annotations

import asyncio

from thalweg.canon.errors import InvalidRequest
from thalweg.canon.request import Request
from thalweg.dialects.base import Files
from thalweg.profiles.base import Profile
from thalweg.relay.budget import Share, no_room
from thalweg.relay.media import TYPES, Asked, Found, Wanted, filled, wanted
from thalweg.upstream.fetch import MediaFetcher


class MediaFiller:
    """Fetches what requests want. One for a gateway."""

    def __init__(self, fetcher: MediaFetcher, *, allowed: bool = True) -> None:
        self._fetcher = fetcher
        self.allowed = allowed
        """Whether anything is fetched at all."""
        self._limits = fetcher.limits

    async def fill(self, request: Request, profile: Profile, *, share: Share) -> Request:
        """The request as this upstream takes it: itself where it names no file that must be fetched.

        What is fetched is held in `share` beside what is held there already. Raises `InvalidRequest`, which names the
        part at fault, and `Unavailable` where there is no room. Cancelling it closes every connection.
        """
        files = wanted(request, taken=profile.media_urls, prefixes=profile.media_url_prefixes)
        return filled(request, await self._found(files, share)) if files else request

    async def files(self, request: Request, profile: Profile, *, share: Share) -> Files:
        """What `fill` would put into the request, by addresses. Raises the same."""
        files = wanted(request, taken=profile.media_urls, prefixes=profile.media_url_prefixes)
        found = await self._found(files, share) if files else {}
        return {url: (file.mime, file.data) for (url, _), file in found.items()}

    async def _found(self, files: tuple[Wanted, ...], share: Share) -> dict[tuple[str, Asked], Found]:
        if not self.allowed:
            param = files[0].param
            raise InvalidRequest(
                f"Invalid value for '{param}': the model's API takes files as bytes, and this gateway fetches none.",
                param=param,
                code="invalid_value",
            )
        most = self._limits.files
        if len(files) > most:
            param = files[most].param
            raise InvalidRequest(
                f"Invalid value for '{param}': no more than {most} files are fetched for one request.",
                param=param,
                code="invalid_value",
            )
        return await self._all(files, _Held(share, self._limits.request_bytes))

    async def close(self) -> None:
        """Close every connection. Fetches under way fail."""
        await self._fetcher.close()

    async def _all(self, files: tuple[Wanted, ...], held: _Held) -> dict[tuple[str, Asked], Found]:
        places = asyncio.Semaphore(self._limits.at_once)
        try:
            async with asyncio.TaskGroup() as group:
                tasks = {
                    (file.url, file.asked): group.create_task(self._one(file, places, held), name="thalweg-fetch")
                    for file in files
                }
        except BaseExceptionGroup as failed:
            raise failed.exceptions[0] from failed
        return {key: task.result() for key, task in tasks.items()}

    async def _one(self, file: Wanted, places: asyncio.Semaphore, held: _Held) -> Found:
        async with places:
            fetched = await self._fetcher.fetch(
                file.url,
                accepts=TYPES[file.asked],
                param=file.param,
                more_came=lambda size: held.more(size, file.param),
            )
        # Base64 is a third longer; the bytes themselves go with this call.
        held.more(len(fetched.data) // 3, file.param)
        return Found.of(fetched.mime, fetched.data)


class _Held:
    """What the files of one request hold together."""

    def __init__(self, share: Share, most_bytes: int) -> None:
        self._share = share
        self._most_bytes = most_bytes
        self._before = share.request_bytes
        self._bytes = 0

    def more(self, size: int, param: str) -> None:
        """Hold so many bytes more, for a file that stands there."""
        self._bytes += size
        if self._bytes > self._most_bytes + self._most_bytes // 3:
            raise InvalidRequest(
                f"Invalid value for '{param}': all files together are larger than {self._most_bytes} bytes.",
                param=param,
                code="invalid_value",
            )
        if not self._share.hold_request(self._before + self._bytes):
            raise no_room()
