"""A program: `thalweg serve` with one connection to each origin, so that a second call must wait for the first."""

from __future__ import annotations

import sys

from thalweg.cli.serve import serve
from thalweg.server import serve as serving
from thalweg.upstream.connector import HttpConnector

if __name__ == "__main__":
    serving.make_connector = lambda settings: HttpConnector(max_connections_per_origin=1)
    sys.exit(serve())
