"""What the file may hold, as JSON Schema: for editors that complete and check TOML by one."""

from __future__ import annotations

from typing import Any

from thalweg.config.table import FILE


def schema() -> dict[str, Any]:
    """The schema of the whole file."""
    head = {"$schema": "http://json-schema.org/draft-07/schema#", "title": "thalweg.toml"}
    return head | FILE.schema()
