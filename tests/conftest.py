"""What all tests share: the seed, the two sizes of a run, the recorded streams, and the rule that nothing is skipped.

Settings, all from the environment:

- `THALWEG_TEST_SEED`: repeats a run's random choices. The seed in use is printed at the top.
- `THALWEG_TEST_TORTURE=1`: as `-m torture`, but together with all other tests.
- `THALWEG_TEST_NO_SKIP=1`: a skipped test or file is a failure.
- `THALWEG_TEST_CORPUS`: the folder with the recorded streams, where it is not in its usual place.
- `THALWEG_TEST_SEEDS`: the folder with providers' streaming guides, likewise.
"""

from __future__ import annotations

import fcntl
import os
import random
import tempfile
from collections.abc import Generator
from pathlib import Path

import hypothesis
import pytest

ROOT = Path(__file__).resolve().parents[1]

hypothesis.settings.register_profile("sample", deadline=None, max_examples=50)
hypothesis.settings.register_profile("torture", deadline=None, max_examples=5000)


def _flag(name: str) -> bool:
    return os.environ.get(name, "") not in {"", "0"}


def _tortures(config: pytest.Config) -> bool:
    return config.option.markexpr == "torture" or _flag("THALWEG_TEST_TORTURE")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    seed = int(os.environ.get("THALWEG_TEST_SEED") or random.SystemRandom().randrange(2**32))
    config.stash[SEED] = seed
    # Worker processes choose as the one that started them did.
    os.environ["THALWEG_TEST_SEED"] = str(seed)
    # Before Hypothesis' own plugin reads it, unless somebody gave another one.
    if config.option.hypothesis_seed is None:
        config.option.hypothesis_seed = str(seed)
    if _flag("THALWEG_TEST_NO_SKIP"):
        # A file that may not be skipped fails, but the others still run.
        config.option.continue_on_collection_errors = True
    hypothesis.settings.load_profile("torture" if _tortures(config) else "sample")


SEED = pytest.StashKey[int]()


def pytest_report_header(config: pytest.Config) -> str:
    counts = "full counts" if _tortures(config) else "sample"
    return f"thalweg: {counts}, THALWEG_TEST_SEED={config.stash[SEED]}"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if _tortures(config):
        return
    torture = [item for item in items if item.get_closest_marker("torture")]
    if torture:
        config.hook.pytest_deselected(items=torture)
        items[:] = [item for item in items if item not in torture]


def _forbid_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    # An expected failure is reported as skipped too, but it has run.
    if not report.skipped or hasattr(report, "wasxfail") or not _flag("THALWEG_TEST_NO_SKIP"):
        return
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
    report.outcome = "failed"
    report.longrepr = f"skipped, which THALWEG_TEST_NO_SKIP forbids: {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    _forbid_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _forbid_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Of tests that run side by side, those in a browser have the machine for themselves: a page that is given no frames
    is no page that anybody sees.
    """
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID")
    if run is None:
        return (yield)
    with (Path(tempfile.gettempdir()) / f"thalweg-tests-{run}.lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX if item.get_closest_marker("browser") else fcntl.LOCK_SH)
        return (yield)


@pytest.fixture(scope="session")
def seed(pytestconfig: pytest.Config) -> int:
    """The seed of this run."""
    return pytestconfig.stash[SEED]


@pytest.fixture
def seeded_random(seed: int, request: pytest.FixtureRequest) -> random.Random:
    """Random choices that depend on the run's seed and the test's name only, so not on the order of tests."""
    return random.Random(f"{seed} {request.node.nodeid}")


@pytest.fixture(scope="session")
def full_counts(pytestconfig: pytest.Config) -> bool:
    """Whether this run tortures: all cases instead of a sample."""
    return _tortures(pytestconfig)


@pytest.fixture(scope="session")
def corpus_root() -> Path:
    """The folder with the recorded streams; without it the test is skipped."""
    root = Path(os.environ.get("THALWEG_TEST_CORPUS") or ROOT.parent / "shared" / "corpus")
    if not (root / "index.json").is_file():
        pytest.skip(f"no recorded streams in {root}; THALWEG_TEST_CORPUS names the folder")
    return root


@pytest.fixture(scope="session")
def seeds_root() -> Path:
    """The folder with providers' streaming guides; without it the test is skipped."""
    root = Path(os.environ.get("THALWEG_TEST_SEEDS") or ROOT.parent / "shared" / "seeds")
    if not any(root.glob("*.txt")):
        pytest.skip(f"no guides in {root}; THALWEG_TEST_SEEDS names the folder")
    return root
