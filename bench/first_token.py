"""`python -m bench.first_token`: how long a newcomer waits for the first token on the chat page.

A clone of this repository, `make serve` in it, the page in Chromium, the page's first suggestion pressed. The clock
starts before the clone; the browser is open already, as a person's is. Then the same folder is served once more, this
time in a network of its own in which there is nothing else: what is installed has to be enough.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from bench import machine
from bench.process import ROOT, BenchError

LISTENS = re.compile(rb"listens on (http://\S+:\d+)")
FIRST_TEXT = "() => document.querySelector('.message.assistant .body')?.textContent.trim().length > 0"
APART = ("unshare", "--map-root-user", "--net")
PATIENCE_S = 600.0
_STOP_S = 20.0
_BROWSER = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run")
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1
"""linux/sockios.h and linux/if.h."""


def clone(folder: Path) -> None:
    """The last commit, as git gives it to anybody."""
    subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", str(ROOT), str(folder)], check=True)


def copy_tree(folder: Path) -> None:
    """The working tree as it is: what git knows, and what it does not ignore."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)


def environment() -> dict[str, str]:
    """A newcomer's: no setting of ours, and nothing downloaded before."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("THALWEG_")}
    return own | {"PIP_NO_CACHE_DIR": "1", "PYTHONUNBUFFERED": "1"}


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """`make serve` in the folder; its address. Raises `BenchError` with what it said where it does not listen."""
    command = ["make", "serve", f"ARGS=--port 0 --home {folder / '.home'}"]
    with (folder / "serve.log").open("w+b") as log:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            yield _address(process, folder / "serve.log")
        finally:
            _end(process)


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    deadline_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline_s and process.poll() is None:
        if found := LISTENS.search(log.read_bytes()):
            return found[1].decode()
        time.sleep(0.01)
    raise BenchError(f"it does not listen:\n{log.read_text(errors='replace')[-2000:]}")


def _end(process: subprocess.Popen[bytes]) -> None:
    # The group is its own: make, and what it runs.
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextmanager
def browser_page(chromium: str) -> Iterator[Page]:
    """An empty page of a browser."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(_BROWSER))
        yield browser.new_page()
        browser.close()


def time_first_token(folder: Path, chromium: str, prepare: Callable[[Path], None]) -> tuple[float, float]:
    """Seconds until it listens, and until the first text of an answer stands on the page."""
    with browser_page(chromium) as page:
        start_s = time.monotonic()
        prepare(folder)
        with served(folder) as address:
            listening_s = time.monotonic() - start_s
            page.goto(address)
            page.locator(".suggestion").first.click()
            page.wait_for_function(FIRST_TEXT)
            return listening_s, time.monotonic() - start_s


def raise_loopback() -> None:
    """Raise the one interface of a fresh network, which is down."""
    with socket.socket() as any_socket:
        asked = struct.pack("16sh14x", b"lo", 0)
        (flags,) = struct.unpack_from("h", fcntl.ioctl(any_socket, _SIOCGIFFLAGS, asked), 16)
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | _IFF_UP))


def _apart(folder: Path, chromium: str) -> tuple[float, float]:
    """The same without a network, by this module in another process."""
    command = [*APART, sys.executable, "-m", "bench.first_token", "--chromium", chromium, "--apart-in", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchError(f"without a network:\n{done.stdout}{done.stderr}")
    listening_s, token_s = json.loads(done.stdout)
    return listening_s, token_s


def _row(name: str, seconds: tuple[float, float]) -> str:
    return f"| {name} | {seconds[0]:.1f} | {seconds[1]:.1f} |"


def _measure(options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory(prefix="thalweg-first-") as name:
        folder = Path(name) / "thalweg"
        folder.mkdir()
        prepare = copy_tree if options.tree else clone
        shown = machine.describe_machine()
        commit = machine.commit() if options.tree else machine.commit().removesuffix("-dirty")
        print(f"{machine.today()}, commit `{commit}`, {shown['cpu']}, {shown['cores']} cores.\n")
        print("|  | listening (s) | first token on the page (s) |\n| --- | ---: | ---: |")
        first = time_first_token(folder, options.chromium, prepare)
        print(_row("from the clone on, packages from the registry", first), flush=True)
        print(_row("the same folder once more, without any network", _apart(folder, options.chromium)))


def main() -> int:
    """Measure and print; 1 where nothing could be measured."""
    parser = argparse.ArgumentParser(prog="python -m bench.first_token", description=__doc__.partition("\n")[0])
    parser.add_argument("--tree", action="store_true", help="a copy of the working tree instead of a clone")
    parser.add_argument("--chromium", default=shutil.which("chromium") or "/usr/bin/chromium", help="the browser")
    parser.add_argument("--apart-in", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    try:
        if options.apart_in:
            raise_loopback()
            print(json.dumps(time_first_token(options.apart_in, options.chromium, lambda _: None)))
        else:
            _measure(options)
    except BenchError as error:
        print(f"first token: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
