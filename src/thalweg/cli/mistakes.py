"""What was wrong with a call, in the reader's language. Each kind of mistake has its row."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Sequence
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

import cyclopts
from cyclopts.exceptions import RepeatArgumentError

from thalweg.cli.bounds import OutOfBounds
from thalweg.cli.words import say

_LIKENESS = 0.7
"""How alike two words must be for one to be taken for the other misspelt."""


def describe_mistake(mistake: cyclopts.CycloptsError, commands: Iterable[str]) -> str:
    """The mistake and where to read on. What has no row is told in the parser's own words."""
    said = next((row(mistake) for kind, row in _ROWS if isinstance(mistake, kind)), None)
    if isinstance(mistake, cyclopts.UnknownCommandError):
        said = _unknown_command(mistake, commands)
    if said is None:
        mistake.verbose = False
        said = str(mistake)
    command = next((name for name in mistake.command_chain or () if name in commands), None)
    where = f"thalweg {command} --help" if command else "thalweg --help"
    return say("main.see", mistake=said, command=where)


def _unknown_command(mistake: cyclopts.UnknownCommandError, commands: Iterable[str]) -> str:
    wrong = (mistake.unused_tokens or [""])[0]
    return with_guess(say("main.unknown_command", name=wrong), wrong, commands)


def _unknown_option(mistake: cyclopts.UnknownOptionError) -> str:
    wrong = mistake.token.keyword or mistake.token.value
    options = (name for argument in mistake.argument_collection for name in argument.names)
    return with_guess(say("main.unknown_option", name=wrong), wrong, options)


def _wrong_value(mistake: cyclopts.CoercionError) -> str | None:
    token, argument = mistake.token, mistake.argument
    if token is None:
        return None
    name = token.keyword or (argument.name.lstrip("-").upper() if argument is not None else "")
    choices = _choices(mistake.target_type)
    if not choices:
        kind = _KINDS.get(mistake.target_type)
        return say(kind, name=name, value=token.value) if kind else None
    return describe_choice(name, token.value, choices)


def describe_choice(name: str, value: str, choices: Sequence[str]) -> str:
    """That a value is none of the choices."""
    said = say("main.no_choice", name=name, value=value, choices=", ".join(choices))
    return with_guess(said, value, choices)


_KINDS: dict[Any, str] = {int: "main.no_integer", float: "main.no_number", bool: "main.no_flag"}


def _choices(kind: Any) -> list[str]:
    """The values of a literal, or of a union of literals."""
    if get_origin(kind) in (Union, UnionType):
        return [choice for each in get_args(kind) for choice in _choices(each)]
    return [str(choice) for choice in get_args(kind)] if get_origin(kind) is Literal else []


def _out_of_bounds(mistake: cyclopts.ValidationError) -> str | None:
    found, argument = mistake.__cause__, mistake.argument
    if not isinstance(found, OutOfBounds) or argument is None or not argument.tokens:
        return None
    token = argument.tokens[0]
    name = token.keyword or argument.name
    return say("main.out_of_bounds", name=name, value=token.value, least=found.least, most=found.most)


def _missing(mistake: cyclopts.MissingArgumentError) -> str | None:
    if mistake.argument is None:
        return None
    if mistake.keyword is None:
        return say("main.missing", name=mistake.argument.name)
    return say("main.no_value", name=mistake.keyword)


def _too_many(mistake: cyclopts.UnusedCliTokensError) -> str:
    return say("main.too_many", words=" ".join(mistake.unused_tokens or ()))


def _repeated(mistake: RepeatArgumentError) -> str:
    return say("main.repeated", name=mistake.token.keyword)


def with_guess(said: str, wrong: str, right: Iterable[str]) -> str:
    """The sentence, and the word that was likely meant by a misspelt one."""
    # Hyphens are alike in all options: with them, any two would be.
    names = {name.lstrip("-"): name for name in right}
    near = difflib.get_close_matches(wrong.lstrip("-"), list(names), n=1, cutoff=_LIKENESS)
    return say("main.did_you_mean", mistake=said, name=names[near[0]]) if near else said


_ROWS: tuple[tuple[type[cyclopts.CycloptsError], Callable[[Any], str | None]], ...] = (
    (cyclopts.UnknownOptionError, _unknown_option),
    (cyclopts.CoercionError, _wrong_value),
    (cyclopts.ValidationError, _out_of_bounds),
    (cyclopts.MissingArgumentError, _missing),
    (cyclopts.UnusedCliTokensError, _too_many),
    (RepeatArgumentError, _repeated),
)
