"""What the tests of the upstream room share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.upstream.loopback import CA


@pytest.fixture
def ca_file(tmp_path: Path) -> str:
    """The certificate of the authority that the test servers' certificates are of."""
    path = tmp_path / "ca.pem"
    CA.cert_pem.write_to_path(str(path))
    return str(path)
