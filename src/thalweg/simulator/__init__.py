"""A provider that needs no key and no network: it makes the wire bytes of any dialect, deterministic under a seed.

Bytes in, steps out (`canon.script`). What plays the steps, in-process or over HTTP, lives in upstream and server.
"""

from __future__ import annotations

from thalweg.simulator.catalogue import LISTED, MODELS
from thalweg.simulator.faults.table import FAULTS
from thalweg.simulator.knobs import Knobs
from thalweg.simulator.performance import FINGERPRINT
from thalweg.simulator.provider import Simulator

__all__ = ["FAULTS", "FINGERPRINT", "LISTED", "MODELS", "Knobs", "Simulator"]
