"""How each provider behaves on the wire, as values: the simulator can take on the manner of any of them.

A manner is a row of `table.MANNERS`. What it says is drawn from the providers' documentation and SDKs and from
recorded streams; what is assumed says so where it stands.
"""

from __future__ import annotations

from thalweg.simulator.manners.base import Manner
from thalweg.simulator.manners.table import MANNERS

__all__ = ["MANNERS", "Manner"]
