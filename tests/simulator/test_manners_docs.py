"""The page on manners lists what there is. `python -m tests.simulator.test_manners_docs` writes its table anew."""

from __future__ import annotations

import re
from pathlib import Path

from thalweg.simulator.manners.table import MANNERS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "manners.md"
_TABLE = re.compile(r"(<!-- manners, generated -->\n).*?(<!-- end -->)", re.DOTALL)


def rendered(page: str) -> str:
    """The page with the table of the code in it."""
    lines = ["| name | provider | path | models |", "| --- | --- | --- | --- |"]
    for manner in MANNERS.values():
        names = ", ".join(f"`{listed.name}`" for listed in manner.models if not listed.hidden)
        lines.append(f"| `{manner.name}` | {manner.title} | `{manner.base_paths[0]}` | {names} |")
    table = "\n".join(lines) + "\n"
    return _TABLE.sub(lambda found: found[1] + table + found[2], page)


def test_the_page_lists_every_manner() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert _TABLE.search(page)
    assert rendered(page) == page


if __name__ == "__main__":
    PAGE.write_text(rendered(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
