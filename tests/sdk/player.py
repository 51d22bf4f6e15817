"""Servers on loopback that play recorded bodies back: the model that is asked for is the name of a recording."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple, Self

from thalweg.framing.sse import SseDecoder


class Recording:
    """One recorded stream, and how it is handed over: in the network reads of its source, where these are known."""

    def __init__(self, folder: Path) -> None:
        self.name = folder.name
        self.meta: dict[str, Any] = json.loads((folder / "meta.json").read_bytes())
        (self._file,) = folder.glob("response.*")

    @property
    def body(self) -> bytes:
        """The stream of server-sent events. One that was sent as an array is put as if it had been asked for as such."""
        body = self._file.read_bytes()
        if self.meta.get("stream_format") != "json-array":
            return body
        objects = (json.dumps(each, separators=(",", ":")).encode() for each in json.loads(body))
        return b"".join(b"data: " + each + b"\r\n\r\n" for each in objects)

    @cached_property
    def frames(self) -> tuple[bytes, ...]:
        """The body, frame by frame."""
        sse = SseDecoder()
        return tuple(frame.raw for frame in [*sse.feed(self.body), *sse.end()])

    def pieces(self) -> Iterator[bytes]:
        """The body as it came. What has no known reads comes in pieces that fall on no frame's border but by chance."""
        body = self.body
        lengths: Sequence[int] = self.meta.get("chunk_lengths") or [1021] * (len(body) // 1021 + 1)
        borders = list(itertools.accumulate(lengths, initial=0))
        yield from (body[a:b] for a, b in itertools.pairwise(borders) if body[a:b])


class Answer(NamedTuple):
    """What is sent to whoever asked."""

    status: int
    content_type: str
    pieces: Iterable[bytes]


class Loopback:
    """A server that answers each POST with what `answer` gives, while it is open."""

    def __init__(self) -> None:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                asked = self.rfile.read(int(self.headers["content-length"]))
                answer = server.answer(self.path, asked)
                self.send_response(answer.status)
                self.send_header("content-type", answer.content_type)
                self.send_header("transfer-encoding", "chunked")
                self.end_headers()
                for piece in answer.pieces:
                    self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
                self.wfile.write(b"0\r\n\r\n")

            def handle_one_request(self) -> None:
                try:
                    super().handle_one_request()
                except OSError:
                    # The gateway, and some SDKs, read no further than an error or an end mark.
                    self.close_connection = True

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="player")
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def answer(self, target: str, body: bytes) -> Answer:
        """The answer to one request. `target` is the path with the query."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class Player(Loopback):
    """Plays the recordings of one folder: a provider."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.base_url = f"{self.url}/v1"
        self.requests: list[dict[str, Any]] = []
        """The bodies that came in."""
        self._folder = folder

    def answer(self, target: str, body: bytes) -> Answer:
        """The recording that the request names."""
        asked = json.loads(body)
        self.requests.append(asked)
        recording = Recording(self._folder / asked["model"])
        return Answer(recording.meta["status"], recording.meta["content_type"], recording.pieces())
