"""What other rooms' errors say, in the reader's language. No room's errors are known here by name."""

from __future__ import annotations

from typing import Any

from thalweg.cli.words import say


def told(error: Exception) -> str:
    """The error's sentence. The common ones have a `code` and `values`, and so words of ours; the others are told in
    their own, which are English. One that consists of problems is told as these, each on its line.
    """
    problems = [told_problem(problem) for problem in getattr(error, "problems", ())]
    if len(problems) > 1:
        return say("told.several", count=len(problems), said="\n".join(problems))
    if problems:
        return problems[0]
    code = getattr(error, "code", None)
    return str(error) if code is None else say(f"told.{code}", **getattr(error, "values", {}))


def told_problem(problem: Any) -> str:
    """What is wrong in a file, or to be warned of, after its place there."""
    return f"{problem.place}: {_said(problem.code, problem.values)}"


def _said(code: str, values: dict[str, Any]) -> str:
    """A sentence or a part of one; among its values may be parts that have their own words."""
    parts = {name: _said(each.code, each.values) if hasattr(each, "code") else each for name, each in values.items()}
    return say(f"file.{code}", **parts)
