"""A program on loopback that always answers the same: an engine of this machine, a provider with a list of models."""

from __future__ import annotations

import json
import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


class Answering:
    """Answers every GET and POST in the same way. `asked` has the path and the key of each, as they came; `fields` all fields,
    `bodies` what came behind them."""

    def __init__(
        self, status: int, body: Any, *, ahead_s: float = 0.0, tls: ssl.SSLContext | None = None, **headers: str
    ) -> None:
        """`body` is sent as it is when it is bytes, else as JSON. Its clock is `ahead_s` ahead of this machine's."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.asked: list[tuple[str, str]] = []
        self.fields: list[dict[str, str]] = []
        self.bodies: list[bytes] = []
        asked, fields, bodies = self.asked, self.fields, self.bodies

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                bodies.append(self.rfile.read(int(self.headers.get("content-length", 0))))
                asked.append((self.path, self.headers.get("authorization", "")))
                fields.append({name.lower(): value for name, value in self.headers.items()})
                self.send_response(status)
                self.send_header("content-length", str(len(data)))
                for name, value in headers.items():
                    self.send_header(name.replace("_", "-"), value)
                self.end_headers()
                self.wfile.write(data)

            do_POST = do_GET  # noqa: N815  # the name that http.server looks for

            def date_time_string(self, timestamp: float | None = None) -> str:
                return super().date_time_string((time.time() if timestamp is None else timestamp) + ahead_s)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
