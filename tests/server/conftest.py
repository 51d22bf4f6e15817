"""What the tests of the server share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.server.gateway import HARD_LIMITS, Running, running, settings_of


@pytest.fixture(scope="module")
def keyed() -> Iterator[Running]:
    """A gateway with a key and small limits."""
    with running(settings_of(limits=HARD_LIMITS)) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def keyless() -> Iterator[Running]:
    """A gateway for local programs."""
    with running(settings_of(key=None, limits=HARD_LIMITS)) as gateway:
        yield gateway
