"""Runs a sample of a guide as its reader would: in a file of its own, with the runtime and the SDK that it wants."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.live.gateway import Gateway, clean_environment
from tests.sdk.examples import (
    EXAMPLES,
    RUN_S,
    compiled,
    go_command,
    java_class_path,
    node_command,
    program,
    put_packages_beside,
    python_command,
)
from tests.sdk.guides import Sample

_ANY_PORT = """\
import net from "node:net";
const listen = net.Server.prototype.listen;
net.Server.prototype.listen = function () {
  return listen.call(this, 0, "127.0.0.1", () => console.log(`http://127.0.0.1:${this.address().port}`));
};
process.on("SIGTERM", () => process.exit(0));
"""
"""Loaded before a back end, whose own port may be taken: it gets a free one, and says which."""


def run(sample: Sample, text: str, folder: Path, gateway: Gateway) -> str:
    """Run it to its end, which must be a good one; what it printed."""
    done = subprocess.run(
        _command(sample, text, folder),
        cwd=folder,
        env=_environment(sample, gateway),
        capture_output=True,
        timeout=RUN_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    # strict: half a character in the answer would be an error here.
    return done.stdout.decode()


@contextmanager
def served(sample: Sample, text: str, folder: Path, gateway: Gateway) -> Iterator[str]:
    """A back end, running; its address."""
    put_packages_beside(folder)
    (folder / "any_port.mjs").write_text(_ANY_PORT)
    (folder / "sample.mjs").write_text(text, encoding="utf-8")
    server = subprocess.Popen(
        [node_command(), "--import", "./any_port.mjs", "sample.mjs"],
        cwd=folder,
        env=_environment(sample, gateway),
        stdout=subprocess.PIPE,
    )
    assert server.stdout is not None
    try:
        # It ends where it cannot listen, and then this is empty.
        address = server.stdout.readline().decode().strip()
        assert address
        yield address
        server.send_signal(signal.SIGTERM)
        assert server.wait(20) == 0
    finally:
        if server.poll() is None:
            server.kill()
            server.wait()
        server.stdout.close()


def streamed(said: str) -> str:
    """What a stream of Chat says that was printed as it came, and that it ended well."""
    *frames, done, rest = said.split("\n\n")
    assert (done, rest) == ("data: [DONE]", ""), said
    chunks = [json.loads(frame.removeprefix("data: ")) for frame in frames]
    return "".join(choice["delta"]["content"] for chunk in chunks for choice in chunk["choices"])


def _environment(sample: Sample, gateway: Gateway) -> dict[str, str]:
    own = {sample.variable: gateway.key} if sample.variable else {}
    return clean_environment(own | {"PYTHONUTF8": "1", "NODE_NO_WARNINGS": "1"})


def _command(sample: Sample, text: str, folder: Path) -> list[str]:
    """Put it into a file, built where it must be, and say how it is started."""
    return _COMMANDS[sample.kind](sample, text, folder)


def _curl(sample: Sample, text: str, folder: Path) -> list[str]:
    program("curl")
    return [program("bash"), _written(folder, "sample.sh", text)]


def _python(sample: Sample, text: str, folder: Path) -> list[str]:
    started = [python_command(), _written(folder, "sample.py", text)]
    if not sample.stands_in:
        return started
    names = ", ".join(f"{name!r}: {value}" for name, value in sample.stands_in.items())
    before = f"import itertools, runpy\nrunpy.run_path('sample.py', {{{names}}}, '__main__')\n"
    return [started[0], _written(folder, "stage.py", before)]


def _javascript(sample: Sample, text: str, folder: Path) -> list[str]:
    put_packages_beside(folder)
    return [node_command(), _written(folder, "sample.mjs", text)]


def _typescript(sample: Sample, text: str, folder: Path) -> list[str]:
    node = node_command()
    put_packages_beside(folder)
    return [node, compiled(folder, _written(folder, "sample.ts", text))]


def _go(sample: Sample, text: str, folder: Path) -> list[str]:
    """Built with the modules that the examples were built with, and no network."""
    go_command("plain")
    for name in ("go.mod", "go.sum"):
        shutil.copy(EXAMPLES / "go" / name, folder)
    _written(folder, "main.go", text)
    environment = clean_environment({"GOPROXY": "off", "GOTOOLCHAIN": "local"})
    built = [program("go"), "build", "-o", "sample", "."]
    done = subprocess.run(built, cwd=folder, env=environment, capture_output=True, timeout=2 * RUN_S, check=False)
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return ["./sample"]


def _java(sample: Sample, text: str, folder: Path) -> list[str]:
    """Java runs a program of one file from its source."""
    found = re.search(r"public class (\w+)", text)
    assert found, text
    in_utf8 = ["-Dfile.encoding=UTF-8", "-Dstdout.encoding=UTF-8"]
    source = _written(folder, f"{found[1]}.java", text)
    return [program("java"), *in_utf8, "-cp", java_class_path("ark"), source]


def _written(folder: Path, name: str, text: str) -> str:
    (folder / name).write_text(text, encoding="utf-8")
    return name


_COMMANDS = {
    "curl": _curl,
    "python": _python,
    "javascript": _javascript,
    "typescript": _typescript,
    "go": _go,
    "java": _java,
}
