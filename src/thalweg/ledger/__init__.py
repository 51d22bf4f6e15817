"""The ledger: one entry per request, exact, also after a crash. It knows the canon and the disk, and no one else."""

from thalweg.ledger.entry import Entry, LedgerError, Outcome, Reservation, Settlement, Store
from thalweg.ledger.lock import HomeLock, HomeLocked
from thalweg.ledger.memory import MemoryLedger
from thalweg.ledger.report import Group, Report, last_entries, usage_report
from thalweg.ledger.store import NewerLedger, SqliteLedger, sqlite_version_warning

__all__ = [
    "Entry",
    "Group",
    "HomeLock",
    "HomeLocked",
    "LedgerError",
    "MemoryLedger",
    "NewerLedger",
    "Outcome",
    "Report",
    "Reservation",
    "Settlement",
    "SqliteLedger",
    "Store",
    "last_entries",
    "sqlite_version_warning",
    "usage_report",
]
