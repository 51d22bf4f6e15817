"""The yardstick: nginx as an unbuffered reverse proxy with one worker."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.process import BenchError, child, children, free_port, wait_listening
from bench.server import Server, Site

_CONF = """\
{user}worker_processes 1;
pid {directory}/nginx.pid;
error_log {directory}/error.log warn;
events {{ worker_connections 8192; }}
http {{
  access_log off;
  gzip off;
  client_body_temp_path {directory}/body;
  proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi;
  scgi_temp_path {directory}/scgi;
  keepalive_requests 10000000;
  upstream bench {{
    server 127.0.0.1:{upstream_port};
    keepalive 256;
    keepalive_requests 10000000;
  }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{
      proxy_pass http://bench;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering off;
      proxy_read_timeout 600s;
    }}
  }}
}}
"""


def find_nginx() -> str | None:
    """Return the path of nginx, which a user's PATH often leaves out; None where it is not installed."""
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/sbin")


def nginx_conf(directory: Path, port: int, upstream_port: int) -> str:
    """Return the configuration; everything nginx writes stays in the directory."""
    # Started by root, the worker would drop to a user that cannot enter the directory.
    user = "user root;\n" if os.geteuid() == 0 else ""
    return _CONF.format(user=user, directory=directory, port=port, upstream_port=upstream_port)


def nginx_version(binary: str) -> str:
    """Return e.g. `1.22.1`."""
    shown = subprocess.run([binary, "-v"], capture_output=True, text=True, check=True, timeout=10).stderr
    return shown.strip().rpartition("/")[2]


@contextmanager
def serve_nginx(site: Site) -> Iterator[Server]:
    """Run nginx before the upstream; only its worker is measured."""
    binary = find_nginx()
    if binary is None:
        raise BenchError("nginx is not installed")
    directory = Path(tempfile.mkdtemp(prefix="nginx-", dir=site.directory))
    port = free_port()
    conf = directory / "nginx.conf"
    conf.write_text(nginx_conf(directory, port, site.upstream_port))
    log = directory / "nginx.log"
    start_s = time.monotonic()
    command = [binary, "-p", str(directory), "-c", str(conf), "-g", "daemon off;"]
    with child(command, core=site.cores.measured, log=log) as process:
        wait_listening(process, port, log)
        listening_ms = (time.monotonic() - start_s) * 1000
        yield Server(port, _workers(process.pid), listening_ms)


def _workers(master: int) -> tuple[int, ...]:
    # The master listens before it forks.
    deadline_s = time.monotonic() + 5
    while time.monotonic() < deadline_s:
        if workers := children(master):
            return tuple(workers)
        time.sleep(0.01)
    raise BenchError(f"nginx (pid {master}) has started no worker")
