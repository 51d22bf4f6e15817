"""Law 6 and invariants I1, I2, I4, I5, I8, I13: what upstreams mean, every kind between every two dialects.

26 kinds × 4 upstream dialects × 4 client dialects. The upstream is hand-written and speaks sound HTTP; what it says is
a refusal, an error, or an answer that is odd in one way.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from tests.torture.cells import (
    CHUNKED,
    COMPLETE,
    DIALECTS,
    HEAD,
    Cell,
    Fate,
    Ran,
    broken,
    canary,
    check_all,
    in_words,
    marks_of,
    nothing_left,
    places_at,
    run_cell,
    run_cells,
    sample_of,
    send_frames,
)
from tests.torture.processes import gateway
from tests.torture.sizes import both_sizes, percentile
from tests.torture.upstreams import RawConnection, Script, raw_upstream
from tests.torture.wires import ARGUMENTS, SAID, USAGE, WIRES, Frame, Wire, error_frame, refusal_of

MORE = " and this is too much"
TIMEOUTS = {
    "THALWEG_TIMEOUT_CONNECT_S": "2",
    "THALWEG_TIMEOUT_FIRST_BYTE_S": "5",
    "THALWEG_TIMEOUT_GAP_S": "5",
    "THALWEG_TIMEOUT_WHOLE_S": "30",
}
Edit = Callable[[Wire], list[Frame]]


class Kind(NamedTuple):
    """One thing that an upstream may mean, and what must become of it."""

    expected: Fate
    frames: Edit | None = None
    """The stream, where there is one."""
    status: int = 0
    """Of a refusal."""
    elsewhere: Mapping[str, Fate] = MappingProxyType({})
    """What must become of it where the upstream speaks this dialect."""
    tools: bool = False


def _sound(wire: Wire) -> list[Frame]:
    return wire.stream(SAID)


def _without_end(wire: Wire) -> list[Frame]:
    return [frame for frame in _sound(wire) if frame.stage != "end"]


def _end_twice(wire: Wire) -> list[Frame]:
    frames = _sound(wire)
    return [*frames, frames[-1]]


def _text_after_end(wire: Wire) -> list[Frame]:
    return [*_sound(wire), *(frame for frame in wire.stream([MORE]) if frame.stage == "text")]


def _told(usage: tuple[object, object] | None) -> Edit:
    def edit(wire: Wire) -> list[Frame]:
        frames = _sound(wire)
        for frame in frames:
            if isinstance(frame.tree, dict):
                wire.tell(frame.tree, usage)
        if usage is None:
            return [frame for frame in frames if frame.stage != "usage"]
        return frames

    return edit


def _growing_usage(wire: Wire) -> list[Frame]:
    frames: list[Frame] = []
    for frame in _sound(wire):
        frames.append(frame)
        if frame.stage == "text":
            frames.append(wire.report(USAGE[0], sum(each.stage == "text" for each in frames)))
    return frames


def _usage_twice(wire: Wire) -> list[Frame]:
    frames = _sound(wire)
    first = next(at for at, frame in enumerate(frames) if frame.stage in ("finish", "end"))
    return [*frames[:first], wire.report(7, 2), *frames[first:]]


def _renamed(wire: Wire) -> list[Frame]:
    frames = _sound(wire)
    for frame in frames[len(frames) // 2 :]:
        if isinstance(frame.tree, dict):
            wire.rename(frame.tree, "another_1")
    return frames


def _stranger(wire: Wire) -> list[Frame]:
    frames = _sound(wire)
    first = next(at for at, frame in enumerate(frames) if frame.stage == "text")
    return [*frames[: first + 1], wire.stranger, *frames[first + 1 :]]


def _arguments_cut(wire: Wire) -> list[Frame]:
    """Gemini's are an object, which is there or is not."""
    return wire.call(None if wire.provider == "google" else ARGUMENTS[:-10])


def _failing(wire: Wire) -> list[Frame]:
    dialect = next(name for name, each in WIRES.items() if each is wire)
    frames = _sound(wire)
    second = [at for at, frame in enumerate(frames) if frame.stage == "text"][1]
    return [*frames[: second + 1], error_frame(dialect, "The model ran out of memory.")]


def _refused(status: int, kind: str, *, kept: int | None = None, retry_after: bytes | None = None) -> Kind:
    return Kind(Fate("status", kind, "refused", kept, retry_after=retry_after), status=status)


_OF_ERROR = broken("upstream_error", "status")
_ODD = COMPLETE._replace(usage="any")
KINDS: dict[str, Kind] = {
    # The gateway's key is refused, not the client's.
    "401": _refused(401, "upstream_bad"),
    "403": _refused(403, "upstream_bad"),
    "404": _refused(404, "not_found"),
    "408": _refused(408, "timeout", kept=408),
    "413": _refused(413, "too_large"),
    "429": _refused(429, "rate_limit"),
    "429 with Retry-After": _refused(429, "rate_limit", retry_after=b"7"),
    "500": _refused(500, "upstream_bad", kept=500),
    "502": _refused(502, "upstream_bad"),
    "503": _refused(503, "overloaded"),
    "529": _refused(529, "overloaded"),
    "HTML page": Kind(broken("upstream_broke", "status")),
    "200 with an error": Kind(_OF_ERROR),
    "error in mid-stream": Kind(broken("upstream_error", "error"), _failing),
    # Chat and Anthropic have said before that the answer has finished.
    "end mark missing": Kind(
        COMPLETE,
        _without_end,
        elsewhere=dict.fromkeys(("openai-responses", "gemini"), broken("upstream_broke", "error")),
    ),
    "end mark twice": Kind(COMPLETE, _end_twice),
    # Gemini's end is that of the body.
    "text after the end": Kind(COMPLETE, _text_after_end, elsewhere={"gemini": COMPLETE._replace(more=MORE)}),
    "usage missing": Kind(COMPLETE._replace(usage="estimated"), _told(None)),
    "usage that grows": Kind(COMPLETE, _growing_usage),
    "usage twice and different": Kind(COMPLETE, _usage_twice),
    "negative usage": Kind(_ODD, _told((-9, -5))),
    "huge usage": Kind(_ODD, _told((10**18, 10**18))),
    "usage in strings": Kind(_ODD, _told(("9", "5"))),
    "arguments cut": Kind(COMPLETE, _arguments_cut, tools=True),
    "another id": Kind(COMPLETE, _renamed),
    "unknown event": Kind(COMPLETE, _stranger),
}


def test_there_are_26_kinds() -> None:
    assert len(KINDS) == 26


def _script(name: str, dialect: str, away: str) -> Script:
    kind = KINDS[name]

    async def refuse(connection: RawConnection) -> None:
        body = refusal_of(dialect, f"No, see {away}.", kind.status)
        head = b"HTTP/1.1 %d No\r\ncontent-type: application/json\r\nlocation: %b\r\n" % (kind.status, away.encode())
        if kind.expected.retry_after is not None:
            head += b"retry-after: %b\r\n" % kind.expected.retry_after
        await connection.send(head + b"content-length: %d\r\n\r\n" % len(body) + body)

    async def instead(connection: RawConnection) -> None:
        mime, body = (b"application/json", refusal_of(dialect, f"No, see {away}.", 500))
        if name == "HTML page":
            mime, body = b"text/html", f'<html><meta http-equiv="refresh" content="0;url={away}"></html>'.encode()
        head = b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\ncontent-length: %d\r\n\r\n" % (mime, len(body))
        await connection.send(head + body)

    async def stream(connection: RawConnection) -> None:
        assert kind.frames is not None
        await connection.send(HEAD + CHUNKED)
        await send_frames(connection, kind.frames(WIRES[dialect]))
        await connection.send(b"0\r\n\r\n")

    return refuse if kind.status else stream if kind.frames else instead


def every_cell(away: str) -> list[Cell]:
    """All 416."""
    return [
        Cell(
            name,
            upstream,
            upstream,
            client,
            kind.elsewhere.get(upstream, kind.expected),
            _script(name, upstream, away),
            tools=kind.tools,
        )
        for name, kind in KINDS.items()
        for upstream in DIALECTS
        for client in DIALECTS
    ]


class Counts(NamedTuple):
    cells: int | None


@both_sizes({"sample": Counts(60), "full": Counts(None)})
async def test_every_kind_between_every_two_dialects(
    tmp_path: Path,
    seeded_random: random.Random,
    figures: Callable[..., None],
    table: Callable[..., None],
    counts: Counts,
) -> None:
    async with canary() as (away, sung):
        cells = sample_of(every_cell(away), counts.cells, seeded_random)
        scripts = {cell.name: cell.script for cell in cells}
        async with raw_upstream(scripts) as upstream:
            host = upstream.url.removesuffix("/v1")
            places = places_at(host)
            async with gateway(tmp_path / "home", **places, **TIMEOUTS) as server:
                files = server.open_files()

                async def run(cell: Cell) -> Ran:
                    return await run_cell(server, cell, WIRES[cell.upstream].provider)

                done = await run_cells(cells, run)
                wrong = await check_all(server, done)
                await nothing_left(server, files, lambda: upstream.open_connections)
        assert not sung
    table("upstream meaning", list(KINDS), DIALECTS, marks_of(done, wrong))
    assert not wrong, in_words(wrong, len(done))
    took = [ran.took_s * 1000 for ran in done]
    figures(
        "time of a cell",
        f"{len(done)} cells of {len(KINDS)} kinds × 4 upstream dialects × 4 client dialects",
        p50=percentile(took, 0.5),
        p99=percentile(took, 0.99),
        worst=max(took),
        note="0 false ends, 0 hangs, one entry each; descriptors back to base; the canary was silent",
    )
