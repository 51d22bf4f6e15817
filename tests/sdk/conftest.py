"""A running gateway, and the programs that call it."""

from __future__ import annotations

import pytest

from tests.live.conftest import gateway, simulator, start_gateway, watched_simulator
from tests.live.gateway import Gateway
from tests.sdk.examples import Examples

__all__ = ["examples", "gateway", "simulator", "start_gateway", "watched_simulator"]


@pytest.fixture(scope="module")
def examples(
    gateway: Gateway, tmp_path_factory: pytest.TempPathFactory
) -> Examples:  # a fixture is asked for by its name
    """Runs the examples against this file's gateway."""
    return Examples(gateway, tmp_path_factory.mktemp("examples"))
