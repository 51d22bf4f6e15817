"""Name, address and connection: what cannot be reached is said so in our words."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
import sys
import time
from pathlib import Path

import pytest

from tests.upstream.loopback import (
    HELLO,
    answering,
    ask,
    connecting,
    full_backlog,
    on_both_loops,
    serving,
    start,
    until,
    unused_port,
    within,
)
from thalweg.canon.errors import UpstreamTimeout, UpstreamUnreachable
from thalweg.upstream import dial
from thalweg.upstream.base import Origin


@on_both_loops
async def test_a_refused_connection() -> None:
    origin = Origin("http", "127.0.0.1", unused_port())
    async with connecting() as connector:
        call, heard = start(connector, origin)
        await heard.over()
        assert heard.events == ["failed"]
        assert isinstance(heard.error, UpstreamUnreachable)
        assert heard.error.message == f"test cannot be reached at {origin} (TEST_BASE_URL): Connection refused"
        assert heard.error.provider == "test"
        assert isinstance(heard.error.__cause__, ConnectionRefusedError)
        assert call.closed_at is not None
        assert connector.open_connections == 0


@pytest.mark.parametrize("host", ["does-not-exist.invalid", "x" * 70, "a..b"])
@on_both_loops
async def test_a_name_that_does_not_resolve(host: str) -> None:
    async with connecting() as connector:
        heard = await ask(connector, Origin("https", host, 443))
        assert isinstance(heard.error, UpstreamUnreachable)
        assert heard.error.message.startswith(
            f"test cannot be reached at https://{host}:443 (TEST_BASE_URL): its name cannot be resolved ("
        )


@on_both_loops
async def test_a_connection_that_nobody_accepts_times_out() -> None:
    with full_backlog() as origin:
        async with connecting() as connector:
            began = time.monotonic()
            heard = await ask(connector, origin, connect_timeout_s=0.1)
            assert isinstance(heard.error, UpstreamTimeout)
            assert heard.error.phase == "connect"
            assert heard.error.message == (
                f"test cannot be reached at {origin} (TEST_BASE_URL): there was no connection within 0.1 s"
            )
            assert time.monotonic() - began < 1
            assert connector.open_connections == 0


def sockets() -> int:
    found = list(Path("/proc/self/fd").iterdir())
    return sum(each.is_symlink() and str(each.readlink()).startswith("socket:") for each in found)


@pytest.mark.skipif(sys.platform != "linux", reason="it counts in /proc")
@on_both_loops
async def test_abort_while_connecting_closes_the_socket() -> None:
    with full_backlog() as origin:
        async with connecting() as connector:
            before = sockets()
            call, heard = start(connector, origin)
            await within(until(lambda: sockets() == before + 1))
            call.abort()
            await within(until(lambda: sockets() == before))
            assert heard.events == []


@pytest.mark.skipif(sys.platform != "linux", reason="it counts in /proc")
@on_both_loops
async def test_a_timeout_while_connecting_closes_the_socket() -> None:
    with full_backlog() as origin:
        async with connecting() as connector:
            before = sockets()
            await ask(connector, origin, connect_timeout_s=0.05)
            await within(until(lambda: sockets() == before))


@on_both_loops
async def test_an_address_in_digits_is_made_out_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    lookup = socket.getaddrinfo

    def getaddrinfo(host: str, *arguments: object, **options: object) -> object:
        asked.append(host)
        return lookup(host, *arguments, **options)  # type: ignore[arg-type]  # as it was called

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    dial._in_digits.cache_clear()  # another test's upstream may have had the same port
    async with serving(answering(HELLO)) as upstream:
        for _ in range(2):
            async with connecting(upstream) as connector:
                assert (await ask(connector, upstream.origin)).body == b"hello"
    assert asked == ["127.0.0.1"]


@on_both_loops
async def test_an_ipv6_origin() -> None:
    async with serving(answering(HELLO), host="::1") as upstream, connecting(upstream) as connector:
        assert (await ask(connector, upstream.origin)).body == b"hello"


@on_both_loops
async def test_a_name_with_several_addresses_is_tried_at_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first address refuses, the second is silent, the third answers: the call hears of neither."""
    async with serving(answering(HELLO)) as upstream, connecting(upstream) as connector:
        with full_backlog() as silent:
            ports = [unused_port(), silent.port, upstream.origin.port]

            async def resolve(host: str, port: int) -> list[dial.Address]:
                return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)) for port in ports]

            monkeypatch.setattr(dial, "_resolve", resolve)
            monkeypatch.setattr(dial, "STAGGER_S", 0.01)
            heard = await ask(connector, upstream.origin)
            assert heard.body == b"hello"
            assert [task for task in asyncio.all_tasks() if "_connect_to" in repr(task)] == []


@on_both_loops
async def test_all_addresses_of_a_name_may_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    async def resolve(host: str, port: int) -> list[dial.Address]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", unused_port())) for _ in range(3)]

    monkeypatch.setattr(dial, "_resolve", resolve)
    async with connecting() as connector:
        heard = await ask(connector, Origin("http", "many.test", 80))
        assert heard.error is not None
        assert heard.error.message == (
            "test cannot be reached at http://many.test:80 (TEST_BASE_URL): Connection refused"
        )


@on_both_loops
async def test_abort_in_the_race_stops_all_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with full_backlog() as silent:

        async def resolve(host: str, port: int) -> list[dial.Address]:
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", silent.port))] * 3

        monkeypatch.setattr(dial, "_resolve", resolve)
        monkeypatch.setattr(dial, "STAGGER_S", 0)
        async with connecting() as connector:
            call, heard = start(connector, silent)

            def racing() -> int:
                return sum("_connect_to" in repr(task) for task in asyncio.all_tasks())

            await within(until(lambda: racing() == 3))
            call.abort()
            await within(until(lambda: racing() == 0))
            await within(until(lambda: connector.open_connections == 0))
            assert heard.events == []


def test_families_take_turns() -> None:
    def address(family: int, name: str) -> dial.Address:
        return (family, socket.SOCK_STREAM, 6, "", name)

    six, four = socket.AF_INET6, socket.AF_INET
    found = [address(six, "a"), address(six, "b"), address(six, "c"), address(four, "d")]
    assert [name for *_, name in dial._interleaved(found)] == ["a", "d", "b", "c"]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.EHOSTUNREACH, "Connect call failed ('10.0.0.1', 443)"), "No route to host"),
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "its name cannot be resolved"),
        (UnicodeError("label too long"), "its name cannot be resolved (not a host name)"),
        (ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number"), "TLS failed"),
        (ConnectionResetError(), "the connection was closed"),
    ],
)
def test_each_reason_is_in_our_words(error: OSError | UnicodeError, words: str) -> None:
    assert words in dial.reason(error)
