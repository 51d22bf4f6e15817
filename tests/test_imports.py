"""Holds the tree to its own rules: who imports whom, what the pure rooms may not touch, and what no file may contain.

The tables below are the rules of docs/architecture.md. Every rule is a function from one module's source to the
places that break it; a second set of tests feeds each rule a source that does.
"""

from __future__ import annotations

import ast
import io
import json
import re
import subprocess
import tokenize
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "thalweg"

# A room may import itself and, of the others, whole rooms or single modules.
MAY_IMPORT: dict[str, set[str]] = {
    # The package's own names, for the eyes of type checkers; loaded they are one by one.
    "": {"canon", "client"},
    "canon": set(),
    "framing": {"canon"},
    "profiles": {"canon"},
    "catalogue": {"canon", "profiles"},
    "dialects": {"canon", "framing", "profiles"},
    "upstream": {"canon", "framing", "profiles", "dialects"},
    # Of framing only the shapes of a frame and of a transfer chunk.
    "relay": {"canon", "dialects.base", "upstream.base", "framing.sse", "framing.chunked"},
    "access": {"canon"},
    "journal": {"canon"},
    "ledger": {"canon"},
    "simulator": {"canon", "framing", "profiles", "dialects.base"},
    "recorder": {"canon", "framing"},
    # The names of the providers' variables are facts about upstreams.
    "config": {"canon", "profiles"},
    "server": {
        "canon", "framing", "profiles", "dialects", "upstream", "relay", "access", "journal", "ledger", "simulator",
        "recorder", "config", "catalogue",
    },
    "client": {
        "canon", "framing", "profiles", "dialects", "upstream", "relay", "config", "server.models", "server.simulated",
    },
    "cli": {
        "canon", "ledger", "config", "server", "client", "recorder", "framing", "profiles", "dialects.base",
        "dialects.registry", "catalogue",
    },
    "web": set(),
    # `python -m thalweg`
    "__main__": {"cli"},
}  # fmt: skip

# Bytes and events in, bytes and events out: no coroutine, clock, socket, file, log or process.
PURE = (
    "canon", "framing", "profiles", "dialects", "access", "simulator", "relay.exchange", "relay.attempts",
    "client.codecs", "catalogue.price", "catalogue.cost", "catalogue.facts", "catalogue.lists", "catalogue.shown",
)  # fmt: skip
IMPURE_MODULES = (
    "asyncio", "concurrent", "ctypes", "http", "httptools", "importlib", "logging", "multiprocessing", "os", "pathlib",
    "select", "selectors", "shutil", "signal", "socket", "sqlite3", "ssl", "structlog", "subprocess", "tempfile",
    "threading", "time", "urllib.request", "uvicorn", "uvloop",
)  # fmt: skip
IMPURE_CALLS = {"open", "print", "input", "breakpoint"}
CLOCKS = {("datetime", "now"), ("datetime", "utcnow"), ("datetime", "today"), ("date", "today")}

# Code from strangers is never run.
NEVER = ("jinja2", "marshal", "pickle", "shelve")
NEVER_BEHIND_A_REQUEST = ("multiprocessing", "subprocess")


@dataclass(frozen=True)
class Import:
    """One imported module, and where that stands."""

    target: str
    line: int
    in_function: bool


@dataclass(frozen=True)
class Module:
    """One module as its source says it."""

    name: str
    """Dotted, without the package: `dialects.base`; `canon` for a room's own `__init__`; empty for the package's."""
    source: str
    is_package: bool = False
    known: frozenset[str] = frozenset()
    """All module names of the tree, to tell `from room import module` from `from room import name`."""

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.source)

    @cached_property
    def path(self) -> str:
        stem = "/".join(part for part in (PACKAGE, *self.name.split(".")) if part)
        return f"src/{stem}/__init__.py" if self.is_package else f"src/{stem}.py"

    @cached_property
    def room(self) -> str:
        return self.name.split(".")[0]

    @cached_property
    def comments(self) -> dict[int, str]:
        tokens = tokenize.generate_tokens(io.StringIO(self.source).readline)
        return {token.start[0]: token.string for token in tokens if token.type == tokenize.COMMENT}

    @cached_property
    def imports(self) -> tuple[Import, ...]:
        return tuple(self._imports(self.tree, in_function=False))

    def ours(self) -> Iterator[tuple[str, int]]:
        """Imported modules of this package, without its name, and their lines."""
        for found in self.imports:
            head, _, rest = found.target.partition(".")
            if head == PACKAGE and rest:
                yield rest, found.line

    def at(self, line: int, what: str) -> str:
        return f"{self.path}:{line}: {what}"

    def _imports(self, node: ast.AST, *, in_function: bool) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                yield from (Import(alias.name, child.lineno, in_function) for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                yield from (Import(target, child.lineno, in_function) for target in self._targets(child))
            inside = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from self._imports(child, in_function=in_function or inside)

    def _targets(self, node: ast.ImportFrom) -> list[str]:
        base = self._base(node)
        ours = base == PACKAGE or base.startswith(f"{PACKAGE}.")
        if not ours:
            return [f"{base}.{alias.name}" for alias in node.names]
        inner = base.removeprefix(PACKAGE).removeprefix(".")
        named = [".".join(part for part in (inner, alias.name) if part) for alias in node.names]
        return sorted({f"{PACKAGE}.{name}" if name in self.known else base for name in named})

    def _base(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        own = [PACKAGE, *self.name.split(".")] if self.name else [PACKAGE]
        up = own[: len(own) - node.level + self.is_package]
        return ".".join([*up, *([node.module] if node.module else [])])


def within(name: str, prefixes: tuple[str, ...] | set[str]) -> bool:
    """Whether a dotted name is one of the prefixes or below one."""
    return any(name == prefix or name.startswith(f"{prefix}.") for prefix in prefixes)


def read_tree(package: Path) -> list[Module]:
    found = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package).with_suffix("").parts
        is_package = parts[-1] == "__init__"
        found[".".join(parts[:-1] if is_package else parts)] = (path.read_text(encoding="utf-8"), is_package)
    known = frozenset(found)
    return [Module(name, source, is_package, known) for name, (source, is_package) in found.items()]


MODULES = read_tree(ROOT / "src" / PACKAGE)

Rule = Callable[[Module], Iterator[str]]


def imports_by_the_table(module: Module) -> Iterator[str]:
    """A room imports only what its row allows."""
    if module.room not in MAY_IMPORT:
        yield module.at(1, f"{module.room} is in no table of rooms")
    else:
        allowed = MAY_IMPORT[module.room] | ({module.room} if module.room else set())
        for name, line in module.ours():
            if not within(name, allowed):
                yield module.at(line, f"{module.room or 'the package itself'} may not import {name}")


def dialects_apart(module: Module) -> Iterator[str]:
    """One dialect never imports another; only the registry knows them all."""
    if module.room != "dialects" or module.name == "dialects.registry":
        return
    own = ".".join(module.name.split(".")[:2])
    for name, line in module.ours():
        dialect = ".".join(name.split(".")[:2])
        if name.startswith("dialects.") and dialect not in {own, "dialects.base", "dialects.kit", "dialects.registry"}:
            yield module.at(line, f"{own} may not import {name}")


def modules_not_the_room(module: Module) -> Iterator[str]:
    """Code inside a room imports the room's modules, not what its `__init__` re-exports."""
    for name, line in module.ours():
        if name == module.room and module.name != module.room:
            yield module.at(line, f"imports its own room {name} instead of the module")


def pure(module: Module) -> Iterator[str]:
    """A pure room has no coroutine, clock, socket, file or log."""
    if not within(module.name, PURE):
        return
    for found in module.imports:
        if within(found.target, IMPURE_MODULES):
            yield module.at(found.line, f"imports {found.target}")
    for node in ast.walk(module.tree):
        match node:
            case ast.AsyncFunctionDef() | ast.Await() | ast.AsyncFor() | ast.AsyncWith():
                yield module.at(node.lineno, "is asynchronous")
            case ast.Call(func=ast.Name(id=called)) if called in IMPURE_CALLS:
                yield module.at(node.lineno, f"calls {called}()")
            case ast.Call(func=ast.Attribute(value=ast.Name(id=owner), attr=method)) if (owner, method) in CLOCKS:
                yield module.at(node.lineno, f"asks the clock by {owner}.{method}()")


def environment_in_config(module: Module) -> Iterator[str]:
    """Only config reads the environment."""
    if module.room == "config":
        return
    names = {"environ", "environb", "getenv", "getenvb", "putenv"}
    for node in ast.walk(module.tree):
        match node:
            case ast.Attribute(value=ast.Name(id="os"), attr=attr) if attr in names:
                yield module.at(node.lineno, f"reads os.{attr}")
            case ast.ImportFrom(module="os", names=aliases) if names & {alias.name for alias in aliases}:
                yield module.at(node.lineno, "imports the environment from os")


def imports_at_the_top(module: Module) -> Iterator[str]:
    """An import inside a function has a comment that says why, on its line or the one above."""
    machine = re.compile(r"#\s*(noqa|type:)[^#]*")
    for found in module.imports:
        beside = (module.comments.get(found.line, ""), module.comments.get(found.line - 1, ""))
        if found.in_function and not any(machine.sub("", comment).strip("# ") for comment in beside):
            yield module.at(found.line, f"imports {found.target} inside a function and does not say why")


def no_foreign_code(module: Module) -> Iterator[str]:
    """Nothing runs code from strangers, and no process is started behind a request."""
    banned = NEVER if module.room == "cli" else NEVER + NEVER_BEHIND_A_REQUEST
    for found in module.imports:
        if within(found.target, banned):
            yield module.at(found.line, f"imports {found.target}")


RULES: tuple[Rule, ...] = (
    imports_by_the_table,
    dialects_apart,
    modules_not_the_room,
    pure,
    environment_in_config,
    imports_at_the_top,
    no_foreign_code,
)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_tree_keeps(rule: Rule) -> None:
    broken = [place for module in MODULES for place in rule(module)]
    assert not broken, f"{rule.__doc__}\n" + "\n".join(broken)


def find_cycle(edges: dict[str, set[str]]) -> list[str]:
    """A cycle of a graph, first name repeated at the end; empty where there is none."""
    done: set[str] = set()

    def visit(name: str, way: list[str]) -> list[str]:
        if name in way:
            return [*way[way.index(name) :], name]
        if name in done:
            return []
        for following in sorted(edges.get(name, set())):
            if cycle := visit(following, [*way, name]):
                return cycle
        done.add(name)
        return []

    return next((cycle for name in sorted(edges) if (cycle := visit(name, []))), [])


def test_no_modules_import_each_other_in_a_circle() -> None:
    edges = {
        module.name: {
            found.target.removeprefix(f"{PACKAGE}.")
            for found in module.imports
            if not found.in_function and found.target.startswith(f"{PACKAGE}.")
        }
        for module in MODULES
    }
    assert len(edges) > 10, "the tree was not found"
    assert not find_cycle(edges)


KNOWN = frozenset(
    {
        "",
        "canon",
        "canon.usage",
        "dialects",
        "dialects.base",
        "dialects.gemini",
        "dialects.openai_chat.stream",
        "server",
    }
)


@pytest.mark.parametrize(
    ("rule", "name", "source", "broken_line"),
    [
        pytest.param(imports_by_the_table, "canon.fold", "import thalweg.server", 1, id="canon imports the server"),
        pytest.param(imports_by_the_table, "canon.fold", "\nfrom thalweg import server", 2, id="by from"),
        pytest.param(imports_by_the_table, "canon.fold", "from ..server import app", 1, id="by a relative import"),
        pytest.param(imports_by_the_table, "relay.pump", "from thalweg.dialects import Codec", 1, id="relay, a room"),
        pytest.param(imports_by_the_table, "relay.pump", "from thalweg.dialects import base", None, id="relay, a base"),
        pytest.param(imports_by_the_table, "canon.fold", "from .usage import Usage", None, id="own room"),
        pytest.param(imports_by_the_table, "canon.fold", "from thalweg import __version__", None, id="the version"),
        pytest.param(imports_by_the_table, "", "from thalweg.server import app", 1, id="the package, the server"),
        pytest.param(imports_by_the_table, "", "from thalweg.canon.usage import Usage", None, id="the package, a name"),
        pytest.param(imports_by_the_table, "garage.car", "", 1, id="a room nobody knows"),
        pytest.param(
            imports_by_the_table, "ledger.store", "def f():\n  import thalweg.relay", 2, id="inside a function"
        ),
        pytest.param(
            dialects_apart, "dialects.openai_chat.stream", "from thalweg.dialects.gemini import x", 1, id="dialects"
        ),
        pytest.param(
            dialects_apart, "dialects.openai_chat.stream", "from thalweg.dialects import gemini", 1, id="dialects, from"
        ),
        pytest.param(dialects_apart, "dialects.base", "from thalweg.dialects import gemini", 1, id="base, a dialect"),
        pytest.param(dialects_apart, "dialects.registry", "from thalweg.dialects import gemini", None, id="registry"),
        pytest.param(dialects_apart, "dialects.gemini", "from thalweg.dialects import base", None, id="to the base"),
        pytest.param(modules_not_the_room, "canon.fold", "from thalweg.canon import Usage", 1, id="its own room"),
        pytest.param(modules_not_the_room, "canon.fold", "from thalweg.canon import usage", None, id="its module"),
        pytest.param(pure, "canon.fold", "async def f(): ...", 1, id="async"),
        pytest.param(pure, "canon.fold", "from time import monotonic", 1, id="clock"),
        pytest.param(pure, "canon.fold", "import os.path", 1, id="below a forbidden module"),
        pytest.param(pure, "canon.fold", "from urllib import request", 1, id="the network by urllib"),
        pytest.param(pure, "canon.fold", "from urllib.parse import quote", None, id="the grammar of URLs"),
        pytest.param(pure, "canon.fold", "x = open('f')", 1, id="file"),
        pytest.param(pure, "canon.fold", "x = datetime.now()", 1, id="calendar"),
        pytest.param(pure, "relay.exchange", "import asyncio", 1, id="exchange"),
        pytest.param(pure, "relay.pump", "import asyncio", None, id="the pump awaits"),
        pytest.param(environment_in_config, "server.app", "import os\nx = os.environ['K']", 2, id="environ"),
        pytest.param(environment_in_config, "server.app", "from os import getenv", 1, id="getenv"),
        pytest.param(environment_in_config, "config", "import os\nx = os.environ['K']", None, id="config may"),
        pytest.param(imports_at_the_top, "cli.main", "def f():\n  import json", 2, id="late, no word"),
        pytest.param(imports_at_the_top, "cli.main", "def f():\n  import json  # noqa: E402", 2, id="late, only noqa"),
        pytest.param(imports_at_the_top, "cli.main", "def f():\n  import json  # --help is fast", None, id="reason"),
        pytest.param(no_foreign_code, "server.app", "import subprocess", 1, id="a process in the server"),
        pytest.param(no_foreign_code, "cli.bench", "import subprocess", None, id="a process in a command"),
        pytest.param(no_foreign_code, "cli.bench", "from pickle import loads", 1, id="pickle in a command"),
    ],
)
def test_a_rule_sees(rule: Rule, name: str, source: str, broken_line: int | None) -> None:
    lines = [int(place.split(":")[1]) for place in rule(Module(name, source, known=KNOWN))]
    assert lines == ([] if broken_line is None else [broken_line])


def test_a_circle_is_found() -> None:
    assert find_cycle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert find_cycle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


# The tree as a whole


def _made(part: str) -> bool:
    """Whether a file or folder of this name is made by tools."""
    ours = {".ci", ".npmrc", ".gitignore", ".editorconfig"}
    made = {"node_modules", "__pycache__", "build", "dist"}
    return part in made or part.endswith(".egg-info") or (part.startswith(".") and part not in ours)


def tree_files() -> list[Path]:
    """What is, or could be, in the repository: everything that is not ignored."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, check=False,
    )  # fmt: skip
    if listed.returncode == 0 and listed.stdout:
        found = [ROOT / name for name in listed.stdout.decode().split("\0") if name]
    else:  # an unpacked archive has no repository
        found = [path for path in ROOT.rglob("*") if not any(map(_made, path.relative_to(ROOT).parts))]
    # Recorded streams hold what their providers and their users wrote.
    return [path for path in found if path.is_file() and not path.is_relative_to(ROOT / "tests" / "corpus")]


# Put together here, so that this file does not contain what it looks for.
REGISTRY_HOSTS = re.compile(
    "|".join(
        re.escape(host)
        for host in (
            "py" + "pi.org", "files.python" + "hosted.org", "registry.npm" + "js.org", "npm" + "mirror.com",
            "registry.yarn" + "pkg.com", "proxy.go" + "lang.org", "goproxy" + ".cn", "crates" + ".io",
            "deb.de" + "bian.org", "repo1.ma" + "ven.org", "arti" + "factory", "simple/" + " --",
            "--index" + "-url", "--extra-index" + "-url", "--trusted" + "-host",
        )
    ),
    re.IGNORECASE,
)  # fmt: skip
MACHINE_PATHS = re.compile(r"(?<![\w.$}/-])/(?:work|root|home|Users)/[\w.]")


@pytest.mark.parametrize(
    ("pattern", "what"),
    [
        pytest.param(REGISTRY_HOSTS, "a package registry's address", id="registry"),
        pytest.param(MACHINE_PATHS, "an absolute path of some machine", id="path"),
    ],
)
def test_no_file_contains(pattern: re.Pattern[str], what: str) -> None:
    broken = [
        f"{path.relative_to(ROOT)}:{number}: {what}: {match.group()}"
        for path in tree_files()
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1)
        if (match := pattern.search(line))
    ]
    assert not broken, "\n".join(broken)


def version() -> str:
    source = (ROOT / "src" / PACKAGE / "__init__.py").read_text(encoding="utf-8")
    found = re.search(r'^__version__ = "(.+)"$', source, re.MULTILINE)
    assert found
    return found.group(1)


def test_the_changelog_begins_with_this_version() -> None:
    heading = re.search(r"^## \[?([^\]\s]+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert heading
    assert heading.group(1) == version()


@pytest.mark.parametrize("name", ["README.md", "README.zh.md"])
@pytest.mark.parametrize("command", ["make serve", "make test"])
def test_the_readme_names(name: str, command: str) -> None:
    assert command in (ROOT / name).read_text(encoding="utf-8")


def project_name(requirement: str) -> str:
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert found, requirement
    return found.group().lower().replace("_", "-")


def direct(name: str) -> set[str]:
    """Names in requirements/NAME.in."""
    lines = (ROOT / "requirements" / f"{name}.in").read_text(encoding="utf-8").splitlines()
    return {project_name(line) for line in lines if line and not line.startswith(("#", "-r"))}


def locked(name: str) -> dict[str, str]:
    """Versions in requirements/NAME.txt."""
    text = (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8")
    return {project_name(found[0]): found[1] for found in re.findall(r"^([\w.-]+)==([^\s;\\]+)", text, re.MULTILINE)}


def test_the_package_depends_on_what_the_lock_is_made_from() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert {project_name(requirement) for requirement in project["dependencies"]} == direct("runtime")


def test_the_gateway_is_tested_with_the_versions_it_runs_with() -> None:
    assert locked("runtime").items() <= locked("dev").items()


def test_the_gateway_stays_small() -> None:
    assert len(locked("runtime")) <= 25


@pytest.mark.parametrize("name", ["runtime", "dev", "sdk"])
def test_every_locked_package_has_its_hashes(name: str) -> None:
    text = (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8")
    packages = re.split(r"^(?=[\w.-]+==)", text, flags=re.MULTILINE)[1:]
    assert len(packages) == len(locked(name))
    assert not [package.split()[0] for package in packages if "--hash=sha256:" not in package]
    assert "://" not in text


def test_every_dependency_has_its_reason() -> None:
    page = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
    named = {
        name for row in re.findall(r"^\| (`[^|]+) \|", page, re.MULTILINE) for name in re.findall(r"`([^`]+)`", row)
    }
    node = json.loads((ROOT / "tests" / "node" / "package.json").read_text(encoding="utf-8"))
    python = {name for file in ("runtime", "dev", "sdk", "clients", "litellm") for name in direct(file)}
    assert named >= python | node["dependencies"].keys() | node["devDependencies"].keys()


def test_the_node_lock_names_no_place_of_download() -> None:
    lock = (ROOT / "tests" / "node" / "package-lock.json").read_text(encoding="utf-8")
    assert '"integrity": "sha512-' in lock
    assert '"resolved"' not in lock
