"""The shape of a profile and of a provider's row."""

from __future__ import annotations

from typing import Literal

import msgspec

Switch = Literal["reasoning_effort", "thinking", "enable_thinking", "reasoning", "chat_template_kwargs"]
"""Request fields that turn thinking on and off. Each has a function that writes it in the dialect that has it."""
UnaskedUsage = Literal["null", "absent"]
Mark = Literal["last", "partial", "prefix", "continue_final_message"]
"""Words that say that a request's last message is the beginning of its answer."""


class Thinking(msgspec.Struct, frozen=True, kw_only=True):
    """How a provider's models are told whether and how much to think. As it stands: in the dialect's own field."""

    switch: Switch = "reasoning_effort"
    efforts: dict[str, str] | None = None
    """Efforts that it takes, by what is asked for; `None`: all, as they come."""
    on_with_effort: bool = False
    """Whether the switch must be on for an effort to count."""
    least_budget: int | None = None
    """The smallest budget that it takes, in tokens; `None` where it takes none."""
    default: Literal["unknown", "off", "on", "always"] = "unknown"
    """What it does unasked. `always`: it cannot be told not to think."""


class Prefill(msgspec.Struct, frozen=True, kw_only=True):
    """How a provider is told how its answer begins, so that it goes on from there."""

    mark: Mark = "last"
    """What says so; `last`: that the last message is the assistant's, and nothing else."""
    base_path: str = ""
    """Where such a request goes, where that is elsewhere than all others."""
    trims: bool = False
    """Whether it refuses a beginning that ends in white space."""


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """What is true of a provider's models on the wire."""

    repairs: frozenset[str] = frozenset()
    """Names of the repair rows that apply to its streams."""
    asks_usage: bool = True
    """Whether `stream_options.include_usage` may be sent; some refuse the field."""
    chunk_usage: str | None = None
    """The member of `stream_options` that makes every chunk report usage; `None` where there is none."""
    unasked_usage: UnaskedUsage = "null"
    """How its chunks say that they report no usage: by `"usage":null`, or by nothing."""
    refused_fields: frozenset[str] = frozenset()
    """Top-level request fields that it refuses and that are dropped on the way."""
    optional_fields: frozenset[str] = frozenset({"top_k"})
    """Fields beyond what every provider takes, that may be written for a client of another dialect."""
    call_signatures: bool = False
    """Whether signatures of calls go back to it, in `extra_content`, as Google's own Chat endpoint wants it."""
    stream_only: bool = False
    """Whether it refuses requests that do not stream, so that a whole answer must be folded."""
    max_tokens_field: str = "max_completion_tokens"
    """What it calls the cap, when a request is written from another dialect."""
    thinking: Thinking = Thinking()
    reasoning_field: str = "reasoning_content"
    """What it calls the text of its thoughts, in answers and in the history that it is sent; empty where it takes none
    back."""
    media_urls: frozenset[str] = frozenset({"image"})
    """Kinds of files that it fetches itself from an address; those of others must come as bytes."""
    media_url_prefixes: tuple[str, ...] = ()
    """Beginnings of addresses that it reads whatever is there, in small letters."""
    prefill: Prefill | None = None
    """How it is told how its answer begins; `None` where it takes no beginning."""


class ModelRow(msgspec.Struct, frozen=True, kw_only=True):
    """What is true of some of a provider's models only."""

    prefixes: tuple[str, ...]
    """Beginnings of their names there, in small letters."""
    profile: Profile


class Local(msgspec.Struct, frozen=True, kw_only=True):
    """How an engine on this machine is told from another program on its usual port."""

    owned_by: frozenset[str]
    """What it says in `owned_by` of its models."""
    version_path: str | None = None
    """A path of its origin that it alone answers with a `version`, for when no model says whose it is."""


class Provider(msgspec.Struct, frozen=True, kw_only=True):
    """Who runs an upstream: the name before the slash, the dialect, the address, and where its settings stand."""

    name: str
    title: str
    dialect: str
    """What it speaks. Empty: whatever its client speaks, as the simulator does."""
    sibling_of: str = ""
    """The provider whose other dialect this row is: the same origin and key. A client of this dialect that names the
    provider is served here."""
    base_url: str
    base_url_variable: str
    key_variables: tuple[str, ...]
    """Variables that may hold its key; the first that is set does."""
    base_url_of_key: dict[str, str] = {}
    """Addresses that belong to one of the variables, where its keys are valid nowhere else."""
    key_header: str = "authorization"
    """The header that carries its key; `authorization` says `Bearer` before it."""
    needs_key: bool = True
    """Whether nothing can be asked of it without a key."""
    local: Local | None = None
    """For an engine that runs on this machine, at its usual port."""
    profile: Profile
    model_rows: tuple[ModelRow, ...] = ()
    """Models that differ from the profile; the first row that fits holds."""
    models_path: str = "/models"
    """Where its list of models is, below its address; with a query where the list comes in pages."""
    list_currency: str = ""
    """The currency of the prices in that list; empty where it has none."""
    models: tuple[str, ...] = ()
    """Some names of models, as they were known when this was written; what it really has, it alone knows."""
    model_prefixes: tuple[str, ...] = ()
    """Beginnings of model names that are this provider's when the client names no provider, in small letters."""

    @property
    def key_variable(self) -> str:
        """The variable to set; empty where there is none."""
        return self.key_variables[0] if self.key_variables else ""

    def profile_of(self, model: str) -> Profile:
        """What is true of one model, by its name at the provider."""
        if not self.model_rows:
            return self.profile
        name = model.lower()
        return next((row.profile for row in self.model_rows if name.startswith(row.prefixes)), self.profile)
