"""Keys and other secrets as the file gives them: themselves, `env:NAME`, or `file:PATH`."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from thalweg.config.addresses import is_proxy
from thalweg.config.errors import Phrase
from thalweg.config.kinds import Spot, located
from thalweg.config.values import LEAST_KEY, is_key


class Secret(msgspec.Struct, frozen=True):
    """A secret as the file gives it."""

    value: str
    """Empty where the variable that it names is not set."""
    name: str
    """The variable that holds it, or its place in the file."""

    def __repr__(self) -> str:
        return f"Secret(name={self.name!r}, value=<hidden>)"

    def __rich_repr__(self) -> list[tuple[str, str]]:
        return [("name", self.name)]


class SecretKind(msgspec.Struct, frozen=True):
    """A secret: itself, `env:NAME` or `file:PATH`."""

    least: int = 1
    wanted: str = "want_secret"
    fits: Callable[[str], bool] = lambda _: True
    must_be_set: bool = False

    def read(self, value: Any, spot: Spot) -> Any:
        """See `Kind`."""
        wanted = Phrase(self.wanted, {"least": self.least} if self.wanted == "want_secret" else {})
        if not isinstance(value, str) or not value.strip():
            return spot.expected(wanted, value, private=True)
        scheme, _, rest = value.strip().partition(":")
        how = {"env": _from_environment, "file": _from_file}.get(scheme)
        secret = how(rest.strip(), spot) if how else Secret(value.strip(), f"{spot.key} in {spot.reading.name}")
        if isinstance(secret, UnsetType):
            return UNSET
        if not secret.value:
            if self.must_be_set:
                return spot.wrong("secret_unset", name=secret.name)
            spot.warn("key_unset", name=secret.name)
            return secret
        if not is_key(secret.value):
            return spot.wrong("secret_signs")
        if len(secret.value) < self.least or not self.fits(secret.value):
            return spot.expected(wanted, secret.value, private=True)
        is_plain = how is None and (self.wanted == "want_secret" or "@" in secret.value)
        if is_plain and (who := _who_reads(spot.reading.path)):
            spot.warn("key_in_file", who=Phrase(who))
        return secret

    def schema(self) -> dict[str, Any]:
        """See `Kind`."""
        return {"type": "string", "minLength": 1}


GATEWAY_KEY = SecretKind(LEAST_KEY, fits=lambda key: " " not in key, must_be_set=True)
PROVIDER_KEY = SecretKind()
PROXY = SecretKind(
    wanted="want_proxy",
    fits=lambda wish: wish == "environment" or (wish.startswith("http://") and is_proxy(wish)),
    must_be_set=True,
)


def _from_environment(name: str, spot: Spot) -> Secret | UnsetType:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        return spot.expected(Phrase("want_secret", {"least": 1}), name, private=True)
    return Secret(spot.reading.environment.get(name, "").strip(), name)


def _from_file(path: str, spot: Spot) -> Secret | UnsetType:
    try:
        text = located(path, spot).read_text(encoding="utf-8").strip()
    except OSError as error:
        return spot.wrong("secret_file", file=path, why=error.strerror or type(error).__name__)
    except ValueError:
        return spot.wrong("secret_signs")
    if not text:
        return spot.wrong("secret_empty", file=path)
    return Secret(text, f"{spot.key} in {spot.reading.name}")


def _who_reads(path: Path) -> str | None:
    """Who else may come to see what stands in a file; `None` for nobody."""
    if any((folder / ".git").exists() for folder in path.parents):
        return "who_repository"
    try:
        return "who_others" if path.stat().st_mode & 0o044 else None
    except OSError:
        return None
