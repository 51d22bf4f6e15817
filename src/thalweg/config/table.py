"""What the file may hold: the one table by which it is read, and of which its page and its schema are made."""

from __future__ import annotations

from typing import Any, get_args

from thalweg.canon.policy import Attempts, Timeouts
from thalweg.config.errors import Phrase
from thalweg.config.groups import Named, Row, Several, Short, Table, leave_table, make_leave
from thalweg.config.keys import GATEWAY_KEY, PROVIDER_KEY, PROXY
from thalweg.config.kinds import (
    ANY_TEXT,
    CURRENCY,
    FLAG,
    HEADER,
    MIB,
    PRICE,
    SECONDS,
    SECONDS_OR_0,
    TEXT,
    TEXTS,
    WORDS,
    Choices,
    FilePath,
    Kind,
    Url,
    choice,
    number,
    whole,
)
from thalweg.config.settings import Buffers, Limits, LogForm, Recording
from thalweg.config.variables import VARIABLES
from thalweg.profiles.base import Mark, Switch, UnaskedUsage
from thalweg.profiles.providers import ANTHROPIC_REPAIRS, CHAT_REPAIRS, GEMINI_REPAIRS, RESPONSES_REPAIRS

_MIB = 1024 * 1024
_LIMITS, _BUFFERS, _ATTEMPTS, _TIMEOUTS = Limits(), Buffers(), Attempts(), Timeouts()
DIALECTS = ("openai-chat", "openai-responses", "anthropic", "gemini")
"""What a provider of one's own may speak."""


def _server(name: str, kind: Kind, default: Any = None, *, variable: str = "", says: str = "") -> Row:
    variable = variable or f"THALWEG_{name.upper()}"
    return Row(name=name, kind=kind, says=says or VARIABLES[variable], default=default, variable=variable)


SERVER = Table(
    (
        _server("host", TEXT, "127.0.0.1"),
        _server("port", whole(0, 65535), 8080),
        _server("api_key", GATEWAY_KEY),
        _server("api_key_file", FilePath()),
        _server("home", FilePath()),
        _server("log", choice(*get_args(LogForm)), "auto"),
        _server("simulate", FLAG, default=False),
        _server("find_engines", FLAG, default=True),
        _server("fetch_media", FLAG, default=True),
        _server("fetch_models", FLAG, default=True),
        _server("proxy", PROXY),
        _server("ca_file", FilePath()),
        _server("drain_s", SECONDS_OR_0, _LIMITS.drain_s),
    )
)

LIMITS = Table(
    (
        Row(
            name="body_mb",
            kind=MIB,
            says="MiB that a request's body may have.",
            default=_LIMITS.body_bytes // _MIB,
        ),
        Row(
            name="body_timeout_s",
            kind=SECONDS,
            says="Seconds in which a request's body must have come.",
            default=_LIMITS.body_timeout_s,
        ),
        Row(
            name="header_kb",
            kind=whole(1, 1024),
            says="KiB that a request's header may have.",
            default=_LIMITS.header_bytes // 1024,
        ),
        Row(
            name="header_fields",
            kind=whole(1, 10_000),
            says="Fields that a request's header may have.",
            default=_LIMITS.header_fields,
        ),
        Row(
            name="header_timeout_s",
            kind=SECONDS,
            says="Seconds in which a request's header must have come.",
            default=_LIMITS.header_timeout_s,
        ),
    )
)

BUFFERS = Table(
    (
        _server("frame_mb", MIB, _BUFFERS.frame_bytes // _MIB),
        _server("answer_mb", MIB, _BUFFERS.answer_bytes // _MIB),
        _server("total_mb", MIB, _BUFFERS.total_bytes // _MIB, variable="THALWEG_BUFFER_MB"),
    )
)

RECORDING = Table(
    (
        _server("folder", FilePath(), variable="THALWEG_RECORD"),
        _server("most_mb", MIB, Recording().most_bytes // _MIB, variable="THALWEG_RECORD_MB"),
        _server("replay", FilePath(), variable="THALWEG_REPLAY"),
    )
)

_WAITS: dict[str, tuple[Kind, str]] = {
    "connect_s": (SECONDS, "Seconds until an upstream must be connected."),
    "first_byte_s": (SECONDS, "Seconds until an upstream must begin to answer."),
    "first_content_s": (SECONDS_OR_0, "Seconds until an upstream must have said something; 0 for no such bound."),
    "gap_s": (SECONDS, "Seconds that an upstream may be silent in its answer."),
    "whole_s": (SECONDS, "Seconds that an answer may take in all."),
    "floor_tokens_per_s": (
        number(0, 10_000),
        "Output tokens a second that an answer must keep up once it has begun; 0 asks for none.",
    ),
    "floor_window_s": (SECONDS, "Seconds over which that is looked at."),
}


def _waits(*, of_all: bool) -> Table:
    rows = []
    for name, (kind, says) in _WAITS.items():
        variable = f"THALWEG_TIMEOUT_{name.upper()}"
        default = getattr(_TIMEOUTS, name) if of_all else None
        variable = variable if of_all and variable in VARIABLES else ""
        rows.append(Row(name=name, kind=kind, says=says, default=default, variable=variable))
    return Table(tuple(rows))


TIMEOUTS = _waits(of_all=True)
SOME_TIMEOUTS = _waits(of_all=False)

_TRIES: dict[str, tuple[Kind, str]] = {
    "most": (whole(1, 100), "Attempts in all, over every route and key."),
    "each": (whole(1, 100), "Attempts at one route with one key."),
    "backoff_s": (SECONDS_OR_0, "Seconds before the second attempt at a route; they double each time."),
    "backoff_most_s": (SECONDS_OR_0, "The longest wait; an upstream that asks for more is passed over."),
    "cool_down_after": (
        whole(0, 1000),
        "Failures in a row after which an upstream is left alone for a while; 0: never.",
    ),
    "cool_down_s": (SECONDS, "Seconds of that while; they double with each probe that fails."),
    "commit_after_s": (
        SECONDS,
        "Seconds without content after which the answer begins all the same; a failure after that is told.",
    ),
    "hedge_after_s": (SECONDS_OR_0, "Seconds without content after which the next route is asked, too; 0: never."),
    "continuations": (
        whole(0, 10),
        "How often a text that broke off is continued by its model, where the provider can do that; 0: never.",
    ),
}


def _tries(*, of_all: bool) -> Table:
    defaults = {name: getattr(_ATTEMPTS, name) if of_all else None for name in _TRIES}
    rows = (Row(name=name, kind=kind, says=says, default=defaults[name]) for name, (kind, says) in _TRIES.items())
    return Table(tuple(rows))


ATTEMPTS = _tries(of_all=True)
SOME_ATTEMPTS = _tries(of_all=False)

LEAVE = Short(
    Table(
        (
            Row(name="kind", kind=choice("cancel", "linger", "drain", "keep"), says="What is done.", needed=True),
            Row(name="seconds", kind=SECONDS_OR_0, says="Seconds for which a linger or a drain reads on."),
            Row(name="tokens", kind=whole(0, 10**9), says="Output tokens after which a drain ends."),
        )
    ),
    wanted=Phrase("want_leave"),
    shorter=({"type": "string", "pattern": r"^(cancel|linger|drain)( +\d+(\.\d+)? *(s|tokens?))*$"},),
    full=leave_table,
    make=make_leave,
)

THINKING = Table(
    (
        Row(name="switch", kind=choice(*get_args(Switch)), says="The field that turns thinking on and off."),
        Row(name="efforts", kind=WORDS, says="Efforts that it takes, by what is asked for."),
        Row(name="on_with_effort", kind=FLAG, says="Whether the switch must be on for an effort to count."),
        Row(name="least_budget", kind=whole(0, 10**6), says="The smallest budget that it takes, in tokens."),
        Row(name="default", kind=choice("unknown", "off", "on", "always"), says="What it does unasked."),
    )
)

PREFILL = Table(
    (
        Row(name="mark", kind=choice(*get_args(Mark)), says="What says so beside the last message; `last`: nothing."),
        Row(name="base_path", kind=ANY_TEXT, says="Where such a request goes, if elsewhere than others."),
        Row(name="trims", kind=FLAG, says="Whether it refuses a beginning that ends in white space."),
    )
)

PROFILE = Table(
    (
        Row(
            name="repairs",
            kind=Choices(tuple(sorted(CHAT_REPAIRS | RESPONSES_REPAIRS | ANTHROPIC_REPAIRS | GEMINI_REPAIRS))),
            says="Names of the repairs that apply to its streams.",
        ),
        Row(name="stream_only", kind=FLAG, says="Whether it refuses requests that do not stream."),
        Row(name="max_tokens_field", kind=TEXT, says="What it calls the cap on an answer's tokens."),
        Row(name="reasoning_field", kind=ANY_TEXT, says="What it calls the text of its thoughts; empty for nothing."),
        Row(
            name="media_urls",
            kind=Choices(("image", "audio", "video", "document")),
            says="Kinds of files that it fetches itself; of others it is sent the bytes.",
        ),
        Row(name="media_url_prefixes", kind=TEXTS, says="Beginnings of addresses that it reads whatever is there."),
        Row(name="refused_fields", kind=TEXTS, says="Fields of a request that it refuses, and is not sent."),
        Row(name="optional_fields", kind=TEXTS, says="Fields that may be written for a client of another dialect."),
        Row(name="asks_usage", kind=FLAG, says="Whether `stream_options.include_usage` may be sent."),
        Row(name="chunk_usage", kind=TEXT, says="The member of `stream_options` that makes each chunk report usage."),
        Row(name="unasked_usage", kind=choice(*get_args(UnaskedUsage)), says="How a chunk says that it reports none."),
        Row(name="call_signatures", kind=FLAG, says="Whether signatures of calls go back in `extra_content`."),
        Row(name="thinking", kind=THINKING, says="How it is told whether and how much to think."),
        Row(name="prefill", kind=PREFILL, says="How it is told the beginning of an answer that broke off."),
    )
)

PROVIDER = Table(
    (
        Row(name="base_url", kind=Url(), says="Its address. A new provider needs one."),
        Row(name="api_key", kind=PROVIDER_KEY, says='Its key: "env:NAME", "file:PATH" or the key itself.'),
        Row(name="api_keys", kind=Several(PROVIDER_KEY), says="Several keys, taken in turn where one is at its limit."),
        Row(name="dialect", kind=choice(*DIALECTS), says="What a new provider speaks.", default="openai-chat"),
        Row(name="title", kind=TEXT, says="What people call a new provider."),
        Row(name="key_header", kind=HEADER, says="The header that carries a new provider's key."),
        Row(name="needs_key", kind=FLAG, says="Whether a new provider answers nothing without a key."),
        Row(name="timeouts", kind=SOME_TIMEOUTS, says="What differs from the gateway's timeouts."),
        Row(name="leave", kind=LEAVE, says="What becomes of its answers when their clients go."),
        Row(name="profile", kind=PROFILE, says="What differs from what is known of it."),
    )
)

ROUTE = Short(
    Table(
        (
            Row(name="model", kind=TEXT, says="`provider/model`, or another alias.", needed=True),
            Row(name="weight", kind=whole(1, 1000), says="Its share, where routes are chosen by weight.", default=1),
            Row(name="timeouts", kind=SOME_TIMEOUTS, says="What differs from the provider's timeouts."),
        )
    ),
    wanted=Phrase("want_route"),
    shorter=({"type": "string"},),
    full=lambda value: {"model": value} if isinstance(value, str) else None,
)


def _routes(value: Any) -> dict[str, Any] | None:
    return {"routes": [value] if isinstance(value, str) else value} if isinstance(value, str | list) else None


ALIAS = Short(
    Table(
        (
            Row(name="routes", kind=Several(ROUTE), says="Where it is answered, in order of preference.", needed=True),
            Row(name="order", kind=choice("ordered", "weighted"), says="How a route is chosen.", default="ordered"),
            Row(name="attempts", kind=SOME_ATTEMPTS, says="What differs from the gateway's attempts."),
            Row(name="leave", kind=LEAVE, says="What becomes of its answers when their clients go."),
        )
    ),
    wanted=Phrase("want_routes"),
    shorter=({"type": "string"}, {"type": "array", "items": ROUTE.schema()}),
    full=_routes,
)

PRICES = Table(
    (
        Row(name="currency", kind=CURRENCY, says="The currency of the amounts.", needed=True),
        Row(name="input", kind=PRICE, says="A million tokens of a request.", needed=True),
        Row(name="output", kind=PRICE, says="A million tokens of an answer.", needed=True),
        Row(name="cached_input", kind=PRICE, says="A million tokens that the provider had in its cache."),
        Row(name="cache_write", kind=PRICE, says="A million tokens that it put there."),
        Row(name="reasoning", kind=PRICE, says="A million tokens of thoughts."),
    )
)

FILE = Table(
    (
        Row(name="server", kind=SERVER, says="The gateway itself."),
        Row(name="limits", kind=LIMITS, says="What a client may send."),
        Row(name="buffers", kind=BUFFERS, says="How many bytes may be held."),
        Row(name="recording", kind=RECORDING, says="What is recorded of providers' answers, and played."),
        Row(name="timeouts", kind=TIMEOUTS, says="How long an upstream may take."),
        Row(name="attempts", kind=ATTEMPTS, says="How often a request is tried before its client hears of a failure."),
        Row(name="leave", kind=LEAVE, says="What becomes of an answer when its client goes.", default="cancel"),
        Row(name="providers", kind=Named(PROVIDER), says="Providers, known ones and new ones, by their names."),
        Row(name="aliases", kind=Named(ALIAS), says="Names of your own for models, wherever they can be had."),
        Row(name="prices", kind=Named(PRICES), says="What you pay, by `provider/model`."),
    )
)
"""The whole file."""
