"""Thalweg as users start it, with the bench's upstream as its OpenAI, its Ark, its Anthropic and its Google."""

import http.client
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.process import BenchError, child, children, free_port, python, wait_listening
from bench.server import Server, Site

API_KEY = "sk-bench-0123456789abcdef0123456789abcdef"
"""The key the gateway is started with, and the load generator shows; it opens nothing else."""

_FOREIGN = ("THALWEG_", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
_FOREIGN_ENDS = ("_API_KEY", "_BASE_URL")


def default_command() -> str:
    """Return `thalweg serve` of this environment, or the module where the script is not installed."""
    script = Path(sys.executable).parent / "thalweg"
    return shlex.join([str(script), "serve"] if script.exists() else python("thalweg", "serve"))


def gateway_env(port: int, upstream_port: int, home: Path) -> dict[str, str]:
    """Return the environment: the providers, all of them the bench's upstream, and nothing of the caller's settings."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.upper().startswith(_FOREIGN) and not name.endswith(_FOREIGN_ENDS)
    }
    return inherited | {
        "THALWEG_HOST": "127.0.0.1",
        "THALWEG_PORT": str(port),
        "THALWEG_API_KEY": API_KEY,
        "THALWEG_HOME": str(home),
        "OPENAI_API_KEY": "sk-upstream",
        "OPENAI_BASE_URL": f"http://127.0.0.1:{upstream_port}/v1",
        "ANTHROPIC_API_KEY": "sk-upstream",
        "ANTHROPIC_BASE_URL": f"http://127.0.0.1:{upstream_port}",
        "DEEPSEEK_API_KEY": "sk-upstream",
        "DEEPSEEK_BASE_URL": f"http://127.0.0.1:{upstream_port}/v1",
        "GEMINI_API_KEY": "sk-upstream",
        "GEMINI_BASE_URL": f"http://127.0.0.1:{upstream_port}/v1beta",
        "ARK_API_KEY": "sk-upstream",
        "ARK_BASE_URL": f"http://127.0.0.1:{upstream_port}/v1",
    }


@contextmanager
def serve_gateway(site: Site, command: str) -> Iterator[Server]:
    """Run a gateway with an empty home; all its processes are measured."""
    home = Path(tempfile.mkdtemp(prefix="thalweg-", dir=site.directory))
    port = free_port()
    log = home.with_suffix(".log")
    env = gateway_env(port, site.upstream_port, home)
    start_s = time.monotonic()
    with child(shlex.split(command), core=site.cores.measured, log=log, env=env) as process:
        wait_listening(process, port, log)
        listening_ms = (time.monotonic() - start_s) * 1000
        _wait_ready(process, port, log)
        ready_ms = (time.monotonic() - start_s) * 1000
        yield Server(port, (process.pid, *children(process.pid)), listening_ms, ready_ms)


def _wait_ready(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline_s = time.monotonic() + 20
    status = 0
    while time.monotonic() < deadline_s and process.poll() is None:
        status = _status(port)
        if status == 200:
            return
        time.sleep(0.01)
    tail = log.read_text(errors="replace")[-2000:]
    raise BenchError(f"/readyz on port {port} answers {status} (0: nothing), not 200:\n{tail}")


def _status(port: int) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()
