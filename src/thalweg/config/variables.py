"""The variables that are ours, and what is made of others that look like them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches

from thalweg.config.errors import ConfigError

VARIABLES: dict[str, str] = {
    "THALWEG_HOST": "Address to listen on.",
    "THALWEG_PORT": "Port to listen on; 0 takes a free one.",
    "THALWEG_API_KEY": "The gateway's own key; needed on any address but loopback.",
    "THALWEG_API_KEY_FILE": "A file that holds it.",
    "THALWEG_CONFIG": "The file of settings, instead of thalweg.toml here or in the user's own folder.",
    "THALWEG_HOME": "Folder of the ledger, and of conversations in a terminal.",
    "THALWEG_LOG": "Form of the log: auto, json, pretty, or off for none of requests.",
    "THALWEG_FRAME_MB": "MiB that one frame of an upstream may have.",
    "THALWEG_ANSWER_MB": "MiB that one answer may have that is kept whole.",
    "THALWEG_BUFFER_MB": "MiB that all requests and answers together may hold.",
    "THALWEG_RECORD": "Folder that every provider's answer is recorded to, prompts and answers included.",
    "THALWEG_RECORD_MB": "MiB that this folder may take; nothing more is recorded then.",
    "THALWEG_REPLAY": "Folder whose recordings answer as `replay/NAME`, and whose scenarios as `sim/scenario/NAME`.",
    "THALWEG_URL": "The gateway that commands call, instead of one on this machine.",
    "THALWEG_MODEL": "The model that `thalweg chat` talks to where it is given none.",
    "THALWEG_LANG": "Language of the command line: en or zh.",
    "THALWEG_SIMULATE": "Whether the simulator answers every model's name.",
    "THALWEG_FIND_ENGINES": "Whether engines on this machine are looked for at their usual ports.",
    "THALWEG_FETCH_MEDIA": "Whether files at public addresses are fetched for providers that take bytes alone.",
    "THALWEG_FETCH_MODELS": "Whether providers with a key are asked for their lists of models, now and then.",
    "THALWEG_PROXY": "An http:// proxy for upstreams, or `environment` to take it from the usual variables.",
    "THALWEG_CA_FILE": "Certificates to trust for upstreams beside the system's.",
    "THALWEG_DRAIN_S": "Seconds that answers may go on after the first signal to stop.",
    "THALWEG_ATTEMPTS": "How often a request is tried before its client is told of a failure; 1 for once.",
    "THALWEG_TIMEOUT_CONNECT_S": "Seconds until an upstream must be connected.",
    "THALWEG_TIMEOUT_FIRST_BYTE_S": "Seconds until an upstream must begin to answer.",
    "THALWEG_TIMEOUT_FIRST_CONTENT_S": "Seconds until an upstream must have said something.",
    "THALWEG_TIMEOUT_GAP_S": "Seconds that an upstream may be silent in its answer.",
    "THALWEG_TIMEOUT_WHOLE_S": "Seconds that an answer may take in all.",
}
"""Every variable of ours that has one name; beside them there are the providers'."""
OF_PROVIDER = re.compile(r"THALWEG_PROVIDER_(?P<name>.+)_(?:BASE_URL|API_KEY|API_KEY_FILE)")
_OF_TESTS = "THALWEG_TEST_"
_LIKENESS = 0.75
"""How alike two names must be for one to be taken for the other misspelt: PROT and PORT are."""


def ignored(env: Mapping[str, str]) -> tuple[str, ...]:
    """Variables that begin like ours and mean nothing. Raises `ConfigError` for one that is a misspelt setting.

    A setting that silently does not hold may be a key or a bound. But what resembles no setting need not be meant for
    us: for a service named thalweg, Kubernetes puts THALWEG_SERVICE_HOST and its like into every container.
    """
    nothing = []
    for name in sorted(env):
        if not name.startswith("THALWEG_") or name in VARIABLES or name.startswith(_OF_TESTS):
            continue
        if name.startswith("THALWEG_PROVIDER_"):
            if not OF_PROVIDER.fullmatch(name):
                raise ConfigError(f"{name} is no setting: a provider has _BASE_URL, _API_KEY and _API_KEY_FILE.")
        elif near := nearest(name.removeprefix("THALWEG_"), [known.removeprefix("THALWEG_") for known in VARIABLES]):
            message = f"{name} is no setting. Is it THALWEG_{near}?"
            raise ConfigError(message, code="misspelt", name=name, near=f"THALWEG_{near}")
        else:
            nothing.append(name)
    return tuple(nothing)


def of_kubernetes(name: str, value: str) -> bool:
    """Whether that is what Kubernetes sets for a service of our name, in place of a port: `tcp://10.0.0.1:8080`."""
    return name == "THALWEG_PORT" and value.strip().startswith("tcp://")


def nearest(word: str, words: list[str]) -> str | None:
    """Of the words the one that was likely meant by a misspelt one."""
    return next(iter(get_close_matches(word, words, 1, _LIKENESS)), None)
