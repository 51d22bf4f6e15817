"""What other rooms' errors say, in the reader's language. No room's errors are known here by name."""

from __future__ import annotations

from thalweg.cli.words import say


def told(error: Exception) -> str:
    """The error's sentence. The common ones have a `code` and `values`, and so words of ours; the others are told in
    their own, which are English.
    """
    code = getattr(error, "code", None)
    return str(error) if code is None else say(f"told.{code}", **getattr(error, "values", {}))
