"""Fixtures with a running gateway. A conftest elsewhere may import them from here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.live.gateway import Gateway, Simulator, WatchedSimulator

StartGateway = Callable[..., Gateway]
"""Starts a gateway with the arguments of `Gateway`; `home` may be left out."""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway with a key and no providers but the simulator, for all tests of a file."""
    with Gateway(tmp_path_factory.mktemp("home")) as started:
        yield started


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    """The simulator over HTTP, for all tests of a file."""
    with Simulator() as started:
        yield started


@pytest.fixture
def watched_simulator() -> Iterator[WatchedSimulator]:
    """The simulator over HTTP in this process, for one test that looks at its counters."""
    with WatchedSimulator() as started:
        yield started


@pytest.fixture
def start_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartGateway]:
    """Starts gateways that live until the test is over, unless it stops or kills them itself."""
    with ExitStack() as running:

        def start(**settings: Any) -> Gateway:
            home = settings.pop("home", None) or tmp_path_factory.mktemp("home")
            return running.enter_context(Gateway(home, **settings))

        yield start
