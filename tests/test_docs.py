"""Pages that are made from tables say what the tables say. `python -m tests.test_docs` writes them anew."""

from __future__ import annotations

from pathlib import Path

from thalweg.dialects.openai_chat.repairs import ROWS
from thalweg.profiles.providers import PROVIDERS

PAGE = Path(__file__).resolve().parents[1] / "docs" / "repairs.md"

HEAD = """# Repairs

With the same dialect on both sides the provider's bytes pass as they came, but for frames that are known to break the
dialect's SDKs or the code that tutorials teach. Each mend is a row of this table; a provider's profile names the rows
that apply to its streams. Only a frame that needs it is edited, only where it needs it: every other value keeps its
very bytes and its place. A request switches all of them off with the header `x-thalweg-raw: 1`.

Usage that the client did not ask for is withheld also without repairs, and an error in a stream is always said in the
one form that every client understands.

## OpenAI Chat

"""


def render() -> str:
    """The page."""
    lines = ["| row | why, and what is sent instead | left out for |", "| --- | --- | --- |"]
    for row in ROWS:
        without = [p.title for p in PROVIDERS if p.dialect == "openai-chat" and row.name not in p.profile.repairs]
        lines.append(f"| `{row.name}` | {row.why} | {', '.join(without)} |")
    return HEAD + "\n".join(lines) + "\n"


def test_the_page_of_repairs_is_the_table_of_repairs() -> None:
    assert PAGE.read_text(encoding="utf-8") == render()


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
