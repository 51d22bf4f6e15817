"""`thalweg doctor --url`: a gateway straight, behind a real nginx in several moods, and what is no gateway at all."""

from __future__ import annotations

import datetime
import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme

from bench.nginx import find_nginx
from tests.cli.answering import Answering
from tests.cli.terminal import thalweg
from tests.live.gateway import KEY, Gateway
from thalweg.cli.passage import Heard, judge

NGINX = find_nginx()
with_nginx = pytest.mark.skipif(NGINX is None, reason="nginx is not installed")
CONF = """\
{user}worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ worker_connections 64; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port}{tls};
    {server}
    location / {{
      proxy_pass http://127.0.0.1:{upstream};
      {location}
    }}
  }}
}}
"""
HTTP_11 = 'proxy_http_version 1.1; proxy_set_header Connection "";'
OPEN = "client_max_body_size 20m; large_client_header_buffers 4 32k;"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with Gateway(tmp_path_factory.mktemp("home")) as gateway:
        yield gateway


@contextmanager
def nginx(folder: Path, upstream: int, *, server: str = OPEN, location: str = HTTP_11, tls: str = "") -> Iterator[int]:
    """nginx on a free port, in front of the gateway, with these directives more."""
    assert NGINX is not None
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    # Started by root, the worker would drop to a user that cannot enter the folder.
    user = "user root;\n" if os.geteuid() == 0 else ""
    values = {"user": user, "folder": folder, "port": port, "upstream": upstream}
    conf = folder / "nginx.conf"
    conf.write_text(CONF.format(server=server, location=location, tls=tls, **values))
    process = subprocess.Popen([NGINX, "-p", str(folder), "-c", str(conf), "-g", "daemon off;"])
    try:
        _wait_listening(process, port)
        yield port
    finally:
        process.terminate()
        process.wait(10)


def _wait_listening(process: subprocess.Popen[bytes], port: int) -> None:
    end = time.monotonic() + 10
    while process.poll() is None and time.monotonic() < end:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.01)
    raise AssertionError("nginx does not listen")


def examined(home: Path, url: str, *arguments: str, code: int = 0, **env: str) -> dict[str, dict[str, Any]]:
    """What was found, by its code."""
    env = {"THALWEG_API_KEY": KEY} | env
    done = thalweg(home, "doctor", "--url", url, "--json", *arguments, **env)
    told = json.loads(done.stdout)
    assert done.returncode == code, done.stdout + done.stderr
    assert KEY not in done.stdout + done.stderr
    return {finding["code"]: finding for finding in told["checks"]}


def test_straight_everything_passes(gateway: Gateway, tmp_path: Path) -> None:
    found = examined(tmp_path, gateway.url)
    assert list(found) == ["url", "stream", "sizes_bodies", "sizes_headers"]
    assert found["stream"]["values"]["pieces"] >= 15
    # Asking costs one simulated answer; the body that is none is no entry.
    assert {entry.model.partition("?")[0] for entry in gateway.settled(1)} == {"sim/text"}


def test_without_a_key_it_says_so(gateway: Gateway, tmp_path: Path) -> None:
    found = examined(tmp_path, gateway.url, code=1, THALWEG_API_KEY="")
    assert found["stream_key"]["values"]["status"] == 401


@with_nginx
def test_an_nginx_with_nothing_set_speaks_an_old_http(gateway: Gateway, tmp_path: Path) -> None:
    with nginx(tmp_path, gateway.port, server="", location="proxy_http_version 1.0;") as port:
        found = examined(tmp_path, f"http://127.0.0.1:{port}/v1", code=1)
    assert list(found) == ["url_proxy", "stream_old_http"]
    assert "proxy_http_version 1.1;" in found["stream_old_http"]["do"]


@with_nginx
def test_an_nginx_lets_streams_pass_and_its_bounds_on_sizes_are_told(gateway: Gateway, tmp_path: Path) -> None:
    """The gateway's answers switch buffering off by a header; what else nginx has for a default stays."""
    with nginx(tmp_path, gateway.port, server="") as port:
        found = examined(tmp_path, f"http://127.0.0.1:{port}/v1")
    assert list(found) == ["url_proxy", "stream", "sizes_bodies_small", "sizes_headers_small"]
    assert found["url_proxy"]["values"]["proxy"].startswith("nginx")
    assert "client_max_body_size" in found["sizes_bodies_small"]["do"]
    assert "large_client_header_buffers" in found["sizes_headers_small"]["do"]


GZIP = "gzip on; gzip_types text/event-stream;"
HELD = f"proxy_buffering on; proxy_ignore_headers X-Accel-Buffering; {GZIP}"


@with_nginx
@pytest.mark.parametrize(
    ("location", "expected"),
    [
        pytest.param("proxy_buffering off;", ["stream"], id="off"),
        pytest.param("proxy_buffering on;", ["stream"], id="on, which the gateway's header overrules"),
        pytest.param(HELD, ["stream_held", "stream_compressed"], id="on, whatever the gateway says, and gzip"),
        pytest.param(GZIP, ["stream", "stream_compressed"], id="gzip alone"),
    ],
)
def test_an_nginx_that_buffers_or_compresses_is_found_out(
    gateway: Gateway, tmp_path: Path, location: str, expected: list[str]
) -> None:
    with nginx(tmp_path, gateway.port, location=HTTP_11 + location) as port:
        found = examined(tmp_path, f"http://127.0.0.1:{port}", code=int("stream_held" in expected))
    assert [code for code in found if code.startswith("stream")] == expected
    assert {"sizes_bodies", "sizes_headers"} <= found.keys()
    if "stream_held" in expected:
        assert "proxy_buffering off" in found["stream_held"]["do"]
        assert "caddy" not in found["stream_held"]["do"]


def heard(*arrivals_s: float, **changed: Any) -> Heard:
    usual: dict[str, Any] = {
        "status": 200,
        "headers": {"x-thalweg-simulated": "1"},
        "body": b"data: {}\n\ndata: [DONE]\n\n",
    }
    return Heard(arrivals_s=arrivals_s, **usual | changed)


EVEN = [0.1 * number for number in range(1, 21)]


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        pytest.param(heard(*EVEN), "stream", id="as it is sent"),
        pytest.param(heard(*EVEN[1:], EVEN[-1] + 0.3), "stream", id="a little late"),
        pytest.param(heard(2.1), "stream_held", id="in one piece"),
        pytest.param(heard(2.1, 2.11, 2.12), "stream_held", id="in pieces, all at the end"),
        pytest.param(heard(0.1, 0.8, 1.5, 2.1), "stream_lumps", id="in lumps"),
        pytest.param(heard(*EVEN, body=b"data: {}\n\n"), "stream_cut", id="without its end"),
        pytest.param(heard(*EVEN, broke="closed"), "stream_cut", id="broken"),
        pytest.param(heard(*EVEN, headers={}), "stream_foreign", id="somebody else's"),
        pytest.param(heard(0.1, status=401), "stream_key", id="no key"),
        pytest.param(heard(0.1, status=400, body=b"A body needs HTTP/1.1."), "stream_old_http", id="old HTTP"),
        pytest.param(heard(0.1, status=502, body=b"<html>"), "stream_odd", id="a proxy's error"),
        pytest.param(heard(body=b""), "stream_cut", id="nothing"),
    ],
)
def test_what_the_arrival_of_a_stream_says(stream: Heard, expected: str) -> None:
    assert judge(stream)[1] == expected


@with_nginx
def test_a_silent_stream_shows_who_gives_up(gateway: Gateway, tmp_path: Path) -> None:
    with nginx(tmp_path, gateway.port, location=f"{HTTP_11} proxy_read_timeout 2s;") as port:
        found = examined(tmp_path, f"http://127.0.0.1:{port}", "--long", "4", code=1)
    assert found["silence_cut"]["values"]["why"] == "504"
    assert "proxy_read_timeout" in found["silence_cut"]["do"]
    with nginx(tmp_path, gateway.port) as port:
        assert "silence" in examined(tmp_path, f"http://127.0.0.1:{port}", "--long", "2")


@pytest.mark.slow
@with_nginx
def test_signs_of_life_keep_a_stream_alive(gateway: Gateway, tmp_path: Path) -> None:
    """The gateway breaks every ten seconds of silence, so that a proxy may give up after eleven."""
    with nginx(tmp_path, gateway.port, location=f"{HTTP_11} proxy_read_timeout 12s;") as port:
        found = examined(tmp_path, f"http://127.0.0.1:{port}", "--long", "23")
    assert found["silence"]["values"]["count"] >= 1


@with_nginx
@pytest.mark.parametrize(
    ("http2", "days", "expected"),
    [(False, 90, "url_tls"), (True, 90, "url_tls"), pytest.param(True, 3, "url_soon", id="about to end")],
)
def test_tls_is_told(gateway: Gateway, tmp_path: Path, http2: bool, days: int, expected: str) -> None:
    authority = trustme.CA()
    ends = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days, hours=1)
    made = authority.issue_cert("localhost", not_after=ends)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    made.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "server.pem"))
    server = f"{OPEN} ssl_protocols TLSv1.3; ssl_certificate {tmp_path}/server.pem; ssl_certificate_key {tmp_path}/server.pem;"
    with nginx(tmp_path, gateway.port, server=server, tls=" ssl http2" if http2 else " ssl") as port:
        url = f"https://localhost:{port}"
        found = examined(tmp_path, url, THALWEG_CA_FILE=str(tmp_path / "ca.pem"))
        untrusted = examined(tmp_path, url, code=1)
    assert found[expected]["values"] == {
        "tls": "TLSv1.3",
        "http": "HTTP/2" if http2 else "HTTP/1.1",
        "until": f"{ends:%Y-%m-%d}",
        "days": days,
    }
    assert "stream" in found
    assert list(untrusted) == ["url_unreachable"]


@with_nginx
def test_a_proxy_whose_gateway_is_gone(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        gone = taken.getsockname()[1]
    with nginx(tmp_path, gone) as port:
        found = examined(tmp_path, f"http://127.0.0.1:{port}", code=1)
    assert list(found) == ["url_odd"]
    assert found["url_odd"]["values"]["status"] == 502


# What is no gateway


@pytest.mark.parametrize(
    ("status", "headers", "ahead_s", "expected"),
    [
        pytest.param(301, {"location": "https://llm.example.com/readyz"}, 0, ["url_moved"], id="elsewhere"),
        pytest.param(404, {}, 0, ["url_odd"], id="no such path"),
        pytest.param(200, {}, 120, ["url", "url_clock", "stream_cut"], id="another clock"),
        pytest.param(200, {}, 0, ["url", "stream_cut"], id="another program"),
    ],
)
def test_what_is_no_gateway(
    tmp_path: Path, status: int, headers: dict[str, str], ahead_s: float, expected: list[str]
) -> None:
    with Answering(status, {"ok": True}, ahead_s=ahead_s, **headers) as other:
        found = examined(tmp_path, other.url, code=1)
    assert [code.replace("url_proxy", "url") for code in found if not code.startswith("sizes")] == expected


def test_an_answer_with_its_end_is_not_believed_without_its_mark(tmp_path: Path) -> None:
    with Answering(200, b"data: {}\n\ndata: [DONE]\n\n") as other:
        assert "stream_foreign" in examined(tmp_path, other.url, code=1)


def test_where_nobody_is(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    assert list(examined(tmp_path, f"http://127.0.0.1:{port}", code=1)) == ["url_unreachable"]


def test_people_read_it_in_both_languages(gateway: Gateway, tmp_path: Path) -> None:
    for lang, said in (("en", "as it is sent: "), ("zh", "边发边到：")):
        done = thalweg(tmp_path, "doctor", "--url", gateway.url, THALWEG_API_KEY=KEY, THALWEG_LANG=lang)
        assert (done.returncode, done.stderr) == (0, "")
        assert said in done.stdout
