"""Settings as one typed value. The only reader of the environment, and of the files that stand beside it."""

from thalweg.canon.policy import Timeouts
from thalweg.config.addresses import parse_base_url
from thalweg.config.errors import ConfigError, FileError, Phrase, Problem
from thalweg.config.load import home, language, load, load_client, proxy_variables, set_variables
from thalweg.config.settings import (
    LOOPBACK_HOSTS,
    Buffers,
    ClientSettings,
    Key,
    Language,
    Limits,
    LogForm,
    ProviderSettings,
    Recording,
    Settings,
)
from thalweg.config.variables import VARIABLES, nearest

__all__ = [
    "LOOPBACK_HOSTS",
    "VARIABLES",
    "Buffers",
    "ClientSettings",
    "ConfigError",
    "FileError",
    "Key",
    "Language",
    "Limits",
    "LogForm",
    "Phrase",
    "Problem",
    "ProviderSettings",
    "Recording",
    "Settings",
    "Timeouts",
    "home",
    "language",
    "load",
    "load_client",
    "nearest",
    "parse_base_url",
    "proxy_variables",
    "set_variables",
]
