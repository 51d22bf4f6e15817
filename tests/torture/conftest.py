"""What the long tests share: where their figures go, and enough descriptors."""

from __future__ import annotations

import resource
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import SEED
from tests.torture.grid import CellTable
from tests.torture.report import Results, Row, write, write_cells

FILES_WANTED = 16_384
_RESULTS = pytest.StashKey[Results]()
_HERE = Path(__file__).parent


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_RESULTS] = Results()


def _tested(item: pytest.Item) -> str:
    return (
        f"{item.path.stem.removeprefix('test_')}: {item.name.partition('[')[0].removeprefix('test_').replace('_', ' ')}"
    )


def _is_full(item: pytest.Item) -> bool:
    return item.path.parent == _HERE and item.get_closest_marker("torture") is not None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if _is_full(item):
        outcome = item.config.stash[_RESULTS].outcome(_tested(item))
        outcome.passed = outcome.passed and not report.failed
        outcome.seconds += report.duration
    return report


def pytest_sessionfinish(session: pytest.Session) -> None:
    """After a run with all of the full tests, write the page; after one with all cells, the section that they have."""
    results = session.config.stash.get(_RESULTS, None)
    if results is None or not results.outcomes:
        return
    if len(results.cells) == len(list(_HERE.glob("test_upstream_*.py"))):
        write_cells(results)
    wanted = {path.stem.removeprefix("test_") for path in _HERE.glob("test_*.py")}
    if wanted == {test.partition(":")[0] for test in results.outcomes} and not session.config.option.keyword:
        write(results, session.config.stash[SEED])


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    results = config.stash.get(_RESULTS, None)
    if results is not None and results.outcomes:
        terminalreporter.section("torture")
        for line in results.table():
            terminalreporter.write_line(line)


@pytest.fixture
def figures(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Note a line of figures for docs/reliability.md; of a sample, print it only."""

    def note(what: str, counts: str, **more: Any) -> None:
        row = Row(what, counts, **more)
        print(row)
        if _is_full(request.node):
            request.config.stash[_RESULTS].outcome(_tested(request.node)).rows.append(row)

    return note


@pytest.fixture
def table(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Note how the cells of a table ended, for docs/reliability.md; nothing of a sample."""

    def note(title: str, *more: Any) -> None:
        if _is_full(request.node):
            request.config.stash[_RESULTS].cells[title] = CellTable(title, *more)

    return note


@pytest.fixture(autouse=True, scope="session")
def many_files() -> None:
    """Thousands of connections in one process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES_WANTED if hard == resource.RLIM_INFINITY else min(FILES_WANTED, hard)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
