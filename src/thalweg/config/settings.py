"""Settings as values: what can be set, with what holds where nobody has set it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import msgspec

from thalweg.canon.origin import Credential, Origin
from thalweg.canon.policy import Alias, Attempts, Leave, PriceOverride, Timeouts, Waits
from thalweg.config.errors import Problem
from thalweg.profiles.base import Provider

Language = Literal["en", "zh"]
LogForm = Literal["auto", "json", "pretty", "off"]


class Key(msgspec.Struct, frozen=True):
    """One key of a provider, and the name of the setting that holds it."""

    name: str
    credential: Credential


class ProviderSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One provider as configured: its row, where it is, and its key if there is one."""

    row: Provider
    origin: Origin
    base_path: bytes
    credential: Credential | None
    """`None` without a key: the models of a provider that needs one answer 404 and name the variable to set."""
    key_name: str
    """The variable that holds the key, or that is to be set; or the place in the file."""
    placed: bool = False
    """Whether somebody gave its address."""
    is_self: bool = False
    """Whether its usual address is this gateway's own, so that nobody else is there."""
    more_keys: tuple[Key, ...] = ()
    """Further keys, taken in turn where the first one is refused or at its limit."""
    timeouts: Waits = Waits()
    leave: Leave | None = None
    """What becomes of its answers when their clients go; `None` for the gateway's rule."""

    @property
    def ready(self) -> bool:
        """Whether it can be asked: it has its key, or needs none."""
        return not self.is_self and (self.credential is not None or not self.row.needs_key)

    @property
    def configured(self) -> bool:
        """Whether somebody has set it up: a key, or the address of a provider that needs no key."""
        return self.ready and (self.credential is not None or self.placed)

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        # Rich looks into every struct by itself and would find what a credential's own text hides.
        return [("row", self.row.name), ("origin", str(self.origin)), ("credential", str(self.credential))]


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What a client may send, in bytes, fields and seconds."""

    header_bytes: int = 32 * 1024
    header_fields: int = 100
    header_timeout_s: float = 10.0
    body_bytes: int = 20 * 1024 * 1024
    body_timeout_s: float = 30.0
    drain_s: float = 30.0
    """How long answers under way may go on after the first signal to stop."""


class Buffers(msgspec.Struct, frozen=True, kw_only=True):
    """How many bytes may be held. The variables count in MiB."""

    frame_bytes: int = 16 * 1024 * 1024
    """One frame of an upstream."""
    answer_bytes: int = 32 * 1024 * 1024
    """One answer that is kept whole or folded."""
    total_bytes: int = 512 * 1024 * 1024
    """Everything together, requests' bodies included."""


class Recording(msgspec.Struct, frozen=True, kw_only=True):
    """What is recorded of upstreams' answers, and where recordings are played from."""

    folder: Path | None = None
    """Where answers are recorded to; `None` records nothing."""
    most_bytes: int = 1024 * 1024 * 1024
    """What the folder may take; nothing more is recorded then. The variable counts in MiB."""
    simulated: bool = False
    """Whether the simulator's answers are recorded, too."""
    replay: Path | None = None
    """Where `replay/NAME` looks; `None` is where answers are recorded to, else a folder of the home."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that can be set, with its default."""

    host: str = "127.0.0.1"
    port: int = 8080
    api_key: str | None = None
    """The gateway's own key. Required on any address that is not loopback."""
    home: Path
    """Where the ledger lives."""
    providers: dict[str, ProviderSettings] = {}
    simulate: bool = False
    """Whether every name is answered by the simulator."""
    find_engines: bool = True
    """Whether engines on this machine are looked for at their usual ports."""
    fetch_media: bool = True
    """Whether files that a request names by public addresses are fetched for upstreams that take bytes alone."""
    fetch_models: bool = True
    """Whether providers with a key are asked for their lists of models, at start and every hour."""
    limits: Limits = Limits()
    timeouts: Timeouts = Timeouts()
    attempts: Attempts = Attempts()
    leave: Leave = Leave()
    aliases: dict[str, Alias] = {}
    """By their names."""
    prices: dict[str, PriceOverride] = {}
    """By `provider/model`: what the operator pays, before any price that is known."""
    buffers: Buffers = Buffers()
    recording: Recording = Recording()
    log: LogForm = "auto"
    """The form of the log; `auto` is `pretty` on a terminal and `json` elsewhere, `off` leaves out requests."""
    proxy_environment: dict[str, str] = {}
    """Proxy variables, when proxies are taken from the environment; empty otherwise."""
    ca_file: str | None = None
    """Certificates to trust for upstreams beside the system's."""
    ignored: tuple[str, ...] = ()
    """Variables that begin like ours and mean nothing."""
    warnings: tuple[Problem, ...] = ()
    """What may stand in a file and is not well there."""
    files: tuple[Path, ...] = ()
    """The files that they were read from: the configuration, and `.env`."""

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the listener."""
        return self.host in LOOPBACK_HOSTS

    @property
    def replay_folder(self) -> Path:
        """Where recordings are played from."""
        return self.recording.replay or self.recording.folder or self.home / "recordings"

    @property
    def main_providers(self) -> list[ProviderSettings]:
        """Every provider once, for people: without the rows of second dialects, whose addresses and keys they share."""
        return [each for each in self.providers.values() if not each.row.sibling_of]

    def __repr__(self) -> str:
        return f"Settings({', '.join(f'{name}={value!r}' for name, value in self.__rich_repr__())})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [(name, getattr(self, name)) for name in self.__struct_fields__ if name not in _HIDDEN]


class ClientSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What a command needs that calls a gateway."""

    url: str | None
    """Where the gateway is, without `/v1`; `None` to look for one on this machine."""
    api_key: str | None
    model: str | None
    """The model to talk to where the command names none."""
    ca_file: str | None
    home: Path
    """Whose server is looked for, and where conversations are kept."""

    def __repr__(self) -> str:
        return f"ClientSettings(url={self.url!r}, model={self.model!r}, home={self.home!r})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("url", self.url), ("model", self.model), ("home", self.home)]


_HIDDEN = frozenset({"api_key", "proxy_environment"})
"""Settings that are never shown: a proxy's address may hold its password."""
LOOPBACK_HOSTS = frozenset({"127.0.0.1", "::1", "localhost"})
