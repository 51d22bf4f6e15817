"""What is said of a wrong setting."""

from __future__ import annotations

from typing import Any

import msgspec


class ConfigError(Exception):
    """A setting is wrong. The message says which, what was expected, and how to mend it.

    The most common ones have a `code`, by which a reader's own language has the same sentence with the same `values`.
    """

    def __init__(self, message: str, *, code: str | None = None, **values: object) -> None:
        super().__init__(message)
        self.code = code
        self.values = values


class Phrase(msgspec.Struct, frozen=True):
    """A part of a sentence that has its own words in every language: what was expected in a place."""

    code: str
    values: dict[str, Any] = {}

    def __str__(self) -> str:
        return SENTENCES[self.code].format(**self.values)


class Problem(msgspec.Struct, frozen=True):
    """One thing that is wrong in a file, or that is to be warned of. Its values hold no secret."""

    file: str
    line: int
    """From 1; 0 where the whole file is meant."""
    code: str
    values: dict[str, Any] = {}

    @property
    def place(self) -> str:
        """File and line, as editors and terminals understand them."""
        return f"{self.file}:{self.line}" if self.line else self.file

    def __str__(self) -> str:
        return f"{self.place}: {SENTENCES[self.code].format(**self.values)}"


class FileError(ConfigError):
    """A file of settings is wrong: every problem that was found, in the order of their lines."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = tuple(problems)


SENTENCES: dict[str, str] = {
    "file_missing": "there is no such file. Name another one with --config or THALWEG_CONFIG.",
    "file_unreadable": "cannot be read: {why}.",
    "file_no_text": "is no text in UTF-8.",
    "file_no_toml": "is no TOML: {why}.",
    "env_line": "expected NAME=VALUE.",
    "env_quote": "{name}: the quote that begins its value does not end.",
    "unknown": "{key} is no setting.",
    "unknown_near": "{key} is no setting. Is it `{near}`?",
    "unknown_known": "{key} is no setting. Here may stand: {known}.",
    "wrong": "{key}: expected {wanted}, found {found}.",
    "missing": "{key} needs `{name}`.",
    "secret_unset": "{key}: the variable {name} is not set.",
    "secret_file": "{key}: the file {file!r} cannot be read: {why}.",
    "secret_empty": "{key}: the file {file!r} is empty; it must hold the key.",
    "secret_signs": "{key} holds a character that no key has.",
    "secret_twice": "{key}: give either `{name}` or `{other}`.",
    "keep_not_yet": '{key}: `keep` is for streams that can be taken up again, which this version does not have yet. Use "cancel", "linger 5s" or "drain 30s".',  # noqa: E501
    "provider_name": "{key}: a provider's name is of a-z, 0-9 and single hyphens in it.",
    "provider_simulator": "{key}: {name!r} is built in; choose another name.",
    "provider_place": "{key} is a new provider and has no address: give it `base_url`.",
    "provider_place_near": "{key} is a new provider and has no address: give it `base_url`. Or is it `{near}`?",
    "provider_field": "{key} is for new providers; {title} has its own.",
    "provider_sibling": "{key}: it has that of `providers.{main}`; set it there.",
    "provider_address": "{key} {why}",
    "alias_slash": "{key}: an alias cannot be named like provider/model; leave out the slash.",
    "alias_empty": "{key} names no model.",
    "alias_unknown": "{key}: there is no provider {name!r}.",
    "alias_unknown_near": "{key}: there is no provider {name!r}. Is it `{near}`?",
    "alias_no_alias": "{key}: {name!r} is neither provider/model nor the name of an alias.",
    "alias_no_model": "{key}: {name!r} names a provider and no model.",
    "alias_circle": "{key} leads back to itself: {way}.",
    "alias_many": "{key} leads to more than {most} models.",
    "price_name": "{key}: expected provider/model, with a provider that is known.",
    "key_in_file": '{key}: the key itself stands in a file that {who}. Better "env:NAME" or "file:PATH".',
    "who_repository": "lies in a repository",
    "who_others": "others on this machine can read",
    "key_unset": "{key}: the variable {name} is not set, so that there is no such key.",
    "want_text": "a text",
    "want_flag": "true or false",
    "want_whole": "a whole number from {least} to {most}",
    "want_number": "a number from {least} to {most}",
    "want_seconds": "a number of seconds, more than 0 and up to a day",
    "want_seconds_or_0": "a number of seconds, 0 or more and up to a day",
    "want_mib": "a number of MiB, more than 0 and up to {most}",
    "want_price": "an amount for a million tokens, 0 or more, of nine decimal places at most",
    "want_currency": "three capital letters, such as USD or CNY",
    "want_choice": "one of {choices}",
    "want_names": "a list of these: {choices}",
    "want_texts": "a list of texts",
    "want_table": "a table",
    "want_list": "a list",
    "want_map": "a table of texts",
    "want_secret": 'a key of at least {least} printable ASCII characters without spaces, "env:NAME" or "file:PATH"',
    "want_url": "an address that begins with http:// or https://",
    "want_proxy": '"environment" or an http:// address of a proxy',
    "want_name": "the name of a header",
    "want_leave": '"cancel", "linger 5s", "drain 30s", "drain 2000 tokens", or a table with `kind`',
    "want_routes": '"provider/model", a list of them, or a table with `routes`',
    "want_route": '"provider/model", or a table with `model`',
    "found_text": "a text",
    "found_this": "{value}",
    "found_list": "a list",
    "found_table": "a table",
    "found_time": "a date or time",
    "found_other": "another value",
}
"""Everything that is said of files, by its code. The command line has the same in the reader's language."""
