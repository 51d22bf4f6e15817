"""Runs the programs in `examples/` as their readers do: in a process of their own, with the official SDKs."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.live.gateway import ROOT, Gateway, clean_environment
from thalweg.ledger.entry import Entry

EXAMPLES = ROOT / "examples"
SDK_PYTHON = ROOT / ".venv-sdk" / "bin" / "python"
NODE_MODULES = ROOT / "tests" / "node" / "node_modules"
RUN_S = 60.0
"""How long a program may take. Each takes a second or two."""


class Ran(NamedTuple):
    """What a program printed, and what it left in the ledger, the oldest first."""

    said: str
    entries: list[Entry]

    @property
    def entry(self) -> Entry:
        (entry,) = self.entries
        return entry


def python_command() -> str:
    """The Python that has the SDKs. Skips where it is not installed, or not wholly."""
    if not (SDK_PYTHON.parents[1] / ".requirements").is_file():
        pytest.skip(f"the Python SDKs are not in {SDK_PYTHON.parents[1]}: `make sdk` installs them")
    return str(SDK_PYTHON)


def clients_program(name: str, home: str = "clients") -> str:
    """A program of the environment with the frameworks and tools. Skips where it is not installed, or not wholly."""
    folder = ROOT / f".venv-{home}"
    if not (folder / ".requirements").is_file():
        pytest.skip(f"the Python clients are not in {folder}: `make {home}` installs them")
    return str(folder / "bin" / name)


def node_command() -> str:
    """Node, where its SDK is installed."""
    if not (NODE_MODULES / ".package-lock.json").is_file():
        pytest.skip(f"the Node SDK is not in {NODE_MODULES}: `make node` installs it")
    return program("node")


def go_command(name: str) -> list[str]:
    """An example in Go, where they are built."""
    built = EXAMPLES / "go" / "bin"
    if not (built / ".built").is_file():
        pytest.skip(f"the Go examples are not in {built}: `make go` builds them")
    return [str(built / name)]


def java_command(name: str) -> list[str]:
    """An example in Java, where they are built; one of a project inside theirs has its name before it."""
    project, _, name = name.rpartition("/")
    return [program("java"), "-cp", java_class_path(project), f"example.{name}"]


def java_class_path(project: str = "") -> str:
    """What the examples in Java are built into, and the SDK that they call with."""
    built = EXAMPLES / "java" / project / "target"
    if not (built / ".built").is_file():
        pytest.skip(f"the Java examples are not in {built}: `make java` builds them")
    return f"{(built / 'classpath').read_text()}:{built / 'classes'}"


def program(name: str) -> str:
    """A program on the path."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name!r} is not installed on this machine")
    return found


class Examples:
    """Runs examples against one gateway. `folder` is where the Node ones find their SDK beside them."""

    def __init__(self, gateway: Gateway, folder: Path) -> None:
        self.gateway = gateway
        self._folder = folder

    def run(self, name: str, *arguments: str, mount: str = "/v1", entries: int = 1, **settings: str) -> Ran:
        """One example to its end, which must be a good one. `settings` are variables of its environment."""
        before = len(self.gateway.entries())
        done = subprocess.run(
            self.command(name, *arguments),
            cwd=self._folder,
            env=self.environment(mount, **settings),
            capture_output=True,
            timeout=RUN_S,
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode(errors="replace")
        # strict: half a character in the answer would be an error here.
        return Ran(done.stdout.decode(), self.gateway.settled_since(before, entries))

    def environment(self, mount: str = "/v1", **settings: str) -> dict[str, str]:
        """The settings that every example knows, and more."""
        own = {"BASE_URL": self.gateway.url + mount, "PYTHONUTF8": "1", "NODE_NO_WARNINGS": "1"}
        return clean_environment(own | ({"API_KEY": self.gateway.key} if self.gateway.key else {}) | settings)

    def command(self, name: str, *arguments: str) -> list[str]:
        """How an example is started."""
        if name.endswith(".py"):
            return [python_command(), str(EXAMPLES / "python" / name), *arguments]
        if name.endswith(".sh"):
            program("curl")
            return [program("sh"), str(EXAMPLES / "curl" / name), *arguments]
        if name.endswith(".go"):
            return [*go_command(name.removesuffix(".go")), *arguments]
        if name.endswith(".java"):
            return [*java_command(name.removesuffix(".java")), *arguments]
        node = node_command()
        put_packages_beside(self._folder)
        for file in (EXAMPLES / "node").iterdir():
            shutil.copy(file, self._folder / file.name)
        if name.endswith(".ts"):
            name = compiled(self._folder, name)
        return [node, str(self._folder / name), *arguments]


def put_packages_beside(folder: Path) -> None:
    """Let a program in that folder find its SDK: Node looks in the folders above a program, and nowhere else."""
    beside = folder / "node_modules"
    if not beside.is_symlink():
        beside.symlink_to(NODE_MODULES, target_is_directory=True)


def compiled(folder: Path, name: str) -> str:
    """A program in TypeScript, checked against the SDK's types and made into a module; its name."""
    (folder / "package.json").write_text('{"type": "module"}')
    flags = ["--strict", "--target", "es2022", "--module", "nodenext", "--skipLibCheck"]
    compiler = NODE_MODULES / "typescript" / "bin" / "tsc"
    done = subprocess.run(
        [node_command(), str(compiler), *flags, name], cwd=folder, capture_output=True, timeout=RUN_S, check=False
    )
    assert done.returncode == 0, done.stdout.decode(errors="replace")
    return name.removesuffix(".ts") + ".js"


def sdk_program(name: str) -> list[str]:
    """The command of a program of the tests that needs the SDKs."""
    return [python_command(), str(Path(__file__).with_name(name))]
