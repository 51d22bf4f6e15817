"""Every setting: its default, a good value, and bad ones, each refused by its name and without repeating a secret."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from thalweg.canon.origin import Credential, Origin
from thalweg.config import ConfigError, Limits, Settings, Timeouts, load, parse_base_url
from thalweg.profiles.providers import PROVIDERS

KEY = "sk-a-key-of-ours"


def refused(env: dict[str, str], **flags: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        load({"THALWEG_HOME": "/x"} | env, **flags)
    return str(caught.value)


def test_the_defaults() -> None:
    settings = load({"HOME": "/nonexistent"})
    assert (settings.host, settings.port, settings.api_key, settings.simulate) == ("127.0.0.1", 8080, None, False)
    assert (settings.limits, settings.timeouts) == (Limits(), Timeouts())
    assert settings.limits.drain_s == 30.0
    assert (settings.proxy_environment, settings.ca_file) == ({}, None)
    assert settings.is_loopback
    assert list(settings.providers) == [row.name for row in PROVIDERS]
    assert all(provider.credential is None for provider in settings.providers.values())


def test_what_is_set_to_nothing_is_not_set() -> None:
    names = ["HOST", "PORT", "API_KEY", "API_KEY_FILE", "HOME", "SIMULATE", "PROXY", "CA_FILE", "DRAIN_S"]
    names += [f"TIMEOUT_{field.upper()}" for field in Timeouts.__struct_fields__]
    env = {f"THALWEG_{name}": "" for name in names}
    env |= {variable: "" for row in PROVIDERS for variable in (row.key_variable, row.base_url_variable)}
    assert load(env) == load({})


GOOD: list[tuple[dict[str, str], str, Any]] = [
    ({"THALWEG_HOST": "::1"}, "host", "::1"),
    ({"THALWEG_HOST": "localhost"}, "host", "localhost"),
    ({"THALWEG_HOST": "0.0.0.0", "THALWEG_API_KEY": KEY}, "host", "0.0.0.0"),
    ({"THALWEG_PORT": "0"}, "port", 0),
    ({"THALWEG_PORT": " 65535 "}, "port", 65535),
    ({"THALWEG_API_KEY": KEY}, "api_key", KEY),
    ({"THALWEG_API_KEY": f"  {KEY}\n"}, "api_key", KEY),
    ({"THALWEG_API_KEY": "   "}, "api_key", None),
    ({"THALWEG_HOME": "/data"}, "home", Path("/data")),
    ({"THALWEG_HOME": "~/data"}, "home", Path.home() / "data"),
    ({"XDG_DATA_HOME": "/xdg"}, "home", Path("/xdg/thalweg")),
    ({"THALWEG_HOME": "/data", "XDG_DATA_HOME": "/xdg"}, "home", Path("/data")),
    *(({"THALWEG_SIMULATE": word}, "simulate", True) for word in ("1", "true", "YES", " True ")),
    *(({"THALWEG_SIMULATE": word}, "simulate", False) for word in ("0", "false", "No")),
    ({"THALWEG_DRAIN_S": "0"}, "limits", Limits(drain_s=0)),
    ({"THALWEG_DRAIN_S": "2.5"}, "limits", Limits(drain_s=2.5)),
    ({"THALWEG_DRAIN_S": "86400"}, "limits", Limits(drain_s=86400)),
    ({"THALWEG_TIMEOUT_CONNECT_S": "1"}, "timeouts", Timeouts(connect_s=1)),
    ({"THALWEG_TIMEOUT_FIRST_BYTE_S": "1800"}, "timeouts", Timeouts(first_byte_s=1800)),
    ({"THALWEG_TIMEOUT_GAP_S": "0.5"}, "timeouts", Timeouts(gap_s=0.5)),
    ({"THALWEG_TIMEOUT_WHOLE_S": "7200"}, "timeouts", Timeouts(whole_s=7200)),
    ({"THALWEG_CA_FILE": __file__}, "ca_file", __file__),
    ({"THALWEG_PROXY": "http://proxy:3128"}, "proxy_environment", {"all_proxy": "http://proxy:3128"}),
    ({"HTTPS_PROXY": "http://proxy:3128"}, "proxy_environment", {}),
    (
        {"THALWEG_PROXY": "environment", "HTTPS_PROXY": "http://a:1", "no_proxy": "b", "http_proxy": ""},
        "proxy_environment",
        {"https_proxy": "http://a:1", "no_proxy": "b"},
    ),
]


@pytest.mark.parametrize(("env", "field", "value"), GOOD)
def test_a_good_value_is_taken(env: dict[str, str], field: str, value: Any) -> None:
    assert getattr(load(env), field) == value


BAD: list[tuple[str, list[str]]] = [
    ("THALWEG_PORT", ["abc", "-1", "65536", "99999999999", "8080.0", "8 080", "+80", "0x50", "8_080", "８０"]),
    (
        "THALWEG_API_KEY",
        ["short", "1234567", "has a space", "ключ-ключ-ключ", "tab\tinside-it", "nul\0inside-it", "del\x7fdel-del"],
    ),
    ("THALWEG_API_KEY_FILE", ["/nonexistent/key", "/"]),
    ("THALWEG_HOME", ["~nobody-of-that-name/x"]),
    ("THALWEG_SIMULATE", ["maybe", "2", "on"]),
    ("THALWEG_DRAIN_S", ["-1", "abc", "nan", "inf", "86401", "30s", "1e400"]),
    *(
        (f"THALWEG_TIMEOUT_{name.upper()}", ["0", "-1", "abc", "nan", "inf", "86401"])
        for name in Timeouts.__struct_fields__
    ),
    ("THALWEG_CA_FILE", ["/nonexistent/ca.pem", "/"]),
    ("THALWEG_PROXY", ["proxy:3128", "https://proxy", "socks5://proxy", "env"]),
    *((row.key_variable, ["a\r\nb", "a\0b", "ключ", "a\tb", "a\x1bb"]) for row in PROVIDERS),
]


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in BAD for value in values])
def test_a_bad_value_is_refused_by_name(name: str, value: str) -> None:
    assert name.removesuffix("_FILE") in refused({name: value})


def test_every_variable_is_in_the_tables() -> None:
    source = Path(load.__code__.co_filename).read_text("utf-8")
    named = {word for word in source.replace('"', " ").split() if word.startswith("THALWEG_") and word.isupper()}
    tested = {name for name, _ in BAD} | {name for env, _, _ in GOOD for name in env}
    assert {name.strip("`,.:;()'") for name in named} - tested <= {"THALWEG_TIMEOUT_CONNECT_S"}


def test_a_flag_comes_before_the_environment() -> None:
    env = {"THALWEG_HOST": "::1", "THALWEG_PORT": "1", "THALWEG_HOME": "/a", "THALWEG_SIMULATE": "1"}
    settings = load(env, host="localhost", port=0, home=Path("/b"), simulate=False)
    assert (settings.host, settings.port, settings.home, settings.simulate) == ("localhost", 0, Path("/b"), False)
    assert load(env, host=None, port=None, home=None, simulate=None) == load(env)


@pytest.mark.parametrize("port", [-1, 65536])
def test_a_bad_flag_is_refused_too(port: int) -> None:
    assert "--port" in refused({}, port=port)


# The gateway's key


@pytest.mark.parametrize("text", [KEY, f"{KEY}\n", f"\n  {KEY}  \r\n"])
def test_the_key_can_be_in_a_file(tmp_path: Path, text: str) -> None:
    file = tmp_path / "key"
    file.write_text(text)
    assert load({"THALWEG_API_KEY_FILE": str(file)}).api_key == KEY


@pytest.mark.parametrize("data", [b"", b" \n", b"short", b"two words in it", b"\xff\xfe\xfd" * 9, "ключ-ключ".encode()])
def test_a_file_without_a_key_opens_no_door(tmp_path: Path, data: bytes) -> None:
    file = tmp_path / "key"
    file.write_bytes(data)
    assert "THALWEG_API_KEY" in refused({"THALWEG_API_KEY_FILE": str(file)})


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.1", "gateway.example", "127.0.0.2", "LOCALHOST"])
def test_an_open_address_without_a_key_is_refused_with_the_command_that_makes_one(host: str) -> None:
    for said in (refused({"THALWEG_HOST": host}), refused({}, host=host)):
        assert host in said
        assert "export THALWEG_API_KEY=$(python3 -c 'import secrets;" in said
    assert load({"THALWEG_API_KEY": KEY}, host=host).host == host


# Providers


@pytest.mark.parametrize("row", PROVIDERS, ids=lambda row: row.name)
def test_a_providers_key_is_bound_to_its_origin(row: Any) -> None:
    provider = load({row.key_variable: f" {KEY} "}).providers[row.name]
    origin, path = parse_base_url(row.base_url, "x")
    header = b"Bearer " + KEY.encode()
    assert (provider.origin, provider.base_path) == (origin, path)
    assert provider.credential == Credential(origin=origin, header=b"authorization", value=header)
    elsewhere = load({row.key_variable: KEY, row.base_url_variable: "http://relay:1/x"}).providers[row.name]
    assert elsewhere.credential is not None
    assert elsewhere.credential.origin == elsewhere.origin == Origin("http", "relay", 1)


@pytest.mark.parametrize(
    ("url", "origin", "path"),
    [
        ("https://api.example/v1", Origin("https", "api.example", 443), b"/v1"),
        ("https://api.example/v1/", Origin("https", "api.example", 443), b"/v1"),
        ("https://api.example/v1///", Origin("https", "api.example", 443), b"/v1"),
        ("http://api.example", Origin("http", "api.example", 80), b""),
        ("http://api.example/", Origin("http", "api.example", 80), b""),
        ("HTTPS://API.Example:8443/V1", Origin("https", "api.example", 8443), b"/V1"),
        ("http://[::1]:9000/v1", Origin("http", "::1", 9000), b"/v1"),
        ("http://127.0.0.1:9000", Origin("http", "127.0.0.1", 9000), b""),
        ("http://under_score:1/a%20b", Origin("http", "under_score", 1), b"/a%20b"),
        ("https://bücher.example/v1", Origin("https", "xn--bcher-kva.example", 443), b"/v1"),
    ],
)
def test_a_base_url_is_an_origin_and_a_path(url: str, origin: Origin, path: bytes) -> None:
    assert parse_base_url(url, "X_BASE_URL") == (origin, path)


SECRET = "s3cret-in-a-url"


@pytest.mark.parametrize(
    "url",
    [
        "api.example/v1",
        "//api.example",
        "/v1",
        "ftp://api.example",
        "file:///etc/passwd",
        "unix:/run/x",
        "http://",
        "http:///v1",
        "http://:80/v1",
        "https://api.example:abc",
        "https://api.example:99999",
        "https://api.example:0",
        "https://api.example:-1",
        "http://[::1",
        "http://::1/v1",
        f"https://user:{SECRET}@api.example/v1",
        f"https://{SECRET}@api.example/v1",
        "https://@api.example/v1",
        f"https://api.example/v1?key={SECRET}",
        "https://api.example/v1?",
        f"https://api.example/v1#{SECRET}",
        f"user:{SECRET}@api.example",
        f"htp://api.example?key={SECRET}",
        SECRET,
        "https://api.example/v 1",
        "https://api.example/vé",
        "https://api.example/v1\x7f",
        "https://a b.example/v1",
        "https://a,b/v1",
        "https://\u2100.example",
        "https://" + "ü" * 64 + ".example",
        "https://xn--\u00fc..example",
    ],
)
def test_what_is_no_base_url_is_refused_by_name(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_base_url(url, "X_BASE_URL")
    assert "X_BASE_URL" in str(caught.value)
    assert SECRET not in str(caught.value)
    assert "ARK_BASE_URL" in refused({"ARK_BASE_URL": url})


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8080/v1",
        "http://localhost:8080",
        "https://LOCALHOST:8080/v1",
        "http://[::1]:8080/v1",
        "http://0.0.0.0:8080/v1",
        "http://[::]:8080/v1",
    ],
)
def test_a_base_url_that_is_our_own_listener_is_refused(url: str) -> None:
    said = refused({"ARK_BASE_URL": url})
    assert "ARK_BASE_URL" in said
    assert "own address" in said
    assert load({"ARK_BASE_URL": url}, port=8081).port == 8081


def test_a_base_url_that_is_our_own_name_is_refused() -> None:
    env = {"OPENAI_BASE_URL": "http://gateway.example/v1", "THALWEG_API_KEY": KEY}
    assert "OPENAI_BASE_URL" in refused(env, host="gateway.example", port=80)


def test_a_bad_value_is_not_repeated_where_it_may_be_secret() -> None:
    for name in ("THALWEG_API_KEY", "ARK_API_KEY", "OPENAI_API_KEY"):
        assert SECRET not in refused({name: f"{SECRET}\r\n{SECRET}"})
    assert SECRET not in refused({"THALWEG_PROXY": f"socks5://user:{SECRET}@proxy"})


def test_settings_are_values() -> None:
    assert load({"THALWEG_API_KEY": KEY}) == load({"THALWEG_API_KEY": KEY}) != load({})
    with pytest.raises(AttributeError):
        Settings(home=Path()).port = 1  # type: ignore[misc]  # that it cannot be set is the point
