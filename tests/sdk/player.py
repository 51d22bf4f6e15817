"""A provider on loopback that plays recorded bodies back: the model that is asked for is the name of a recording."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self


class Recording:
    """One recorded stream, and how it is handed over: in the network reads of its source, where these are known."""

    def __init__(self, folder: Path) -> None:
        self.name = folder.name
        self.meta: dict[str, Any] = json.loads((folder / "meta.json").read_bytes())
        self._file = folder / "response.sse"

    @property
    def body(self) -> bytes:
        return self._file.read_bytes()

    def pieces(self) -> Iterator[bytes]:
        """The body as it came. What has no known reads comes in pieces that fall on no frame's border but by chance."""
        body = self.body
        lengths: Sequence[int] = self.meta.get("chunk_lengths") or [1021] * (len(body) // 1021 + 1)
        borders = list(itertools.accumulate(lengths, initial=0))
        yield from (body[a:b] for a, b in itertools.pairwise(borders) if body[a:b])


class Player:
    """Plays the recordings of one folder while it is open."""

    def __init__(self, folder: Path) -> None:
        player = self
        self.requests: list[dict[str, Any]] = []
        """The bodies that came in."""

        class Answer(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
                player.requests.append(asked)
                recording = Recording(folder / asked["model"])
                self.send_response(recording.meta["status"])
                self.send_header("content-type", recording.meta["content_type"])
                self.send_header("transfer-encoding", "chunked")
                self.end_headers()
                for piece in recording.pieces():
                    self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
                self.wfile.write(b"0\r\n\r\n")

            def handle_one_request(self) -> None:
                try:
                    super().handle_one_request()
                except OSError:
                    # The gateway reads no further than an error or an end mark.
                    self.close_connection = True

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="player")
        self.base_url = f"http://127.0.0.1:{self._server.server_port}/v1"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
