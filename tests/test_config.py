"""Every setting: its default, a good value, and bad ones, each refused by its name and without repeating a secret."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import trustme

from thalweg.canon.origin import Credential, Origin
from thalweg.canon.policy import Attempts
from thalweg.config import VARIABLES, Buffers, ConfigError, Limits, Recording, Settings, Timeouts, load, parse_base_url
from thalweg.profiles.providers import COMPATIBLE, PROVIDERS

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
    assert (settings.find_engines, settings.ignored) == (True, ())
    assert settings.is_loopback
    assert list(settings.providers) == [row.name for row in PROVIDERS]
    assert all(provider.credential is None for provider in settings.providers.values())


def test_what_is_set_to_nothing_is_not_set() -> None:
    names = ["HOST", "PORT", "API_KEY", "API_KEY_FILE", "HOME", "SIMULATE", "PROXY", "CA_FILE", "DRAIN_S"]
    names += [f"TIMEOUT_{field.upper()}" for field in WAITS]
    env = {f"THALWEG_{name}": "" for name in names}
    env |= {variable: "" for row in PROVIDERS for variable in (*row.key_variables, row.base_url_variable)}
    env |= {f"{variable}_FILE": "" for row in PROVIDERS for variable in row.key_variables}
    env |= {"THALWEG_PROVIDER_RELAY_BASE_URL": "", "THALWEG_PROVIDER_RELAY_API_KEY": " "}
    assert load(env) == load({})


WAITS = tuple(name for name in Timeouts.__struct_fields__ if not name.startswith("floor"))

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
    ({"THALWEG_FIND_ENGINES": "0"}, "find_engines", False),
    ({"THALWEG_FETCH_MODELS": "0"}, "fetch_models", False),
    ({"THALWEG_FIND_ENGINES": "yes"}, "find_engines", True),
    ({"THALWEG_FETCH_MEDIA": "0"}, "fetch_media", False),
    ({"THALWEG_DRAIN_S": "0"}, "limits", Limits(drain_s=0)),
    ({"THALWEG_DRAIN_S": "2.5"}, "limits", Limits(drain_s=2.5)),
    ({"THALWEG_DRAIN_S": "86400"}, "limits", Limits(drain_s=86400)),
    ({"THALWEG_ATTEMPTS": "1"}, "attempts", Attempts(most=1)),
    ({"THALWEG_TIMEOUT_CONNECT_S": "1"}, "timeouts", Timeouts(connect_s=1)),
    ({"THALWEG_TIMEOUT_FIRST_BYTE_S": "1800"}, "timeouts", Timeouts(first_byte_s=1800)),
    ({"THALWEG_TIMEOUT_GAP_S": "0.5"}, "timeouts", Timeouts(gap_s=0.5)),
    ({"THALWEG_TIMEOUT_WHOLE_S": "7200"}, "timeouts", Timeouts(whole_s=7200)),
    ({"THALWEG_LOG": "JSON"}, "log", "json"),
    ({"THALWEG_FRAME_MB": "1"}, "buffers", Buffers(frame_bytes=1024 * 1024)),
    ({"THALWEG_ANSWER_MB": "2"}, "buffers", Buffers(answer_bytes=2 * 1024 * 1024)),
    ({"THALWEG_BUFFER_MB": "64"}, "buffers", Buffers(total_bytes=64 * 1024 * 1024)),
    ({"THALWEG_RECORD": "~/r"}, "recording", Recording(folder=Path.home() / "r")),
    ({"THALWEG_RECORD": "r", "THALWEG_RECORD_MB": "2"}, "recording", Recording(folder=Path("r"), most_bytes=2 << 20)),
    ({"THALWEG_REPLAY": "/p"}, "recording", Recording(replay=Path("/p"))),
    ({"THALWEG_HOME": "/d"}, "replay_folder", Path("/d/recordings")),
    ({"THALWEG_HOME": "/d", "THALWEG_RECORD": "/r"}, "replay_folder", Path("/r")),
    ({"THALWEG_RECORD": "/r", "THALWEG_REPLAY": "/p"}, "replay_folder", Path("/p")),
    # What Kubernetes sets for a service of that name.
    ({"THALWEG_PORT": "tcp://10.0.0.1:8080"}, "port", 8080),
    (
        {"THALWEG_SERVICE_HOST": "10.0.0.1", "THALWEG_PORT_80_TCP_ADDR": "x"},
        "ignored",
        ("THALWEG_PORT_80_TCP_ADDR", "THALWEG_SERVICE_HOST"),
    ),
    ({"THALWEG_TEST_SEED": "1", "OTHER": "x", "THALWEG_LANG": "zh"}, "ignored", ()),
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
    ("THALWEG_HOME", ["~nobody-of-that-name/x", __file__]),
    ("THALWEG_SIMULATE", ["maybe", "2", "on"]),
    ("THALWEG_FIND_ENGINES", ["maybe", "2", "on"]),
    ("THALWEG_DRAIN_S", ["-1", "abc", "nan", "inf", "86401", "30s", "1e400"]),
    *((f"THALWEG_TIMEOUT_{name.upper()}", ["0", "-1", "abc", "nan", "inf", "86401"]) for name in WAITS),
    ("THALWEG_ATTEMPTS", ["0", "-1", "101", "abc", "1.5"]),
    ("THALWEG_CA_FILE", ["/nonexistent/ca.pem", "/", __file__]),
    ("THALWEG_PROXY", ["proxy:3128", "https://proxy", "socks5://proxy", "env", "http://", "http://p:0", "http://p:x"]),
    ("THALWEG_LOG", ["xml"]),
    *((f"THALWEG_{name}_MB", ["0", "-1", "abc"]) for name in ("FRAME", "ANSWER", "BUFFER", "RECORD")),
    *((name, ["~nobody-of-that-name/x", __file__]) for name in ("THALWEG_RECORD", "THALWEG_REPLAY")),
    *((name, ["a\r\nb", "a\0b", "ключ", "a\tb", "a\x1bb"]) for row in PROVIDERS for name in row.key_variables),
    *((f"{name}_FILE", ["/nonexistent/key", "/"]) for row in PROVIDERS for name in row.key_variables),
]


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in BAD for value in values])
def test_a_bad_value_is_refused_by_name(name: str, value: str) -> None:
    assert name.removesuffix("_FILE") in refused({name: value})


def test_certificates_of_ones_own_are_taken(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(str(file))
    assert load({"THALWEG_CA_FILE": str(file)}).ca_file == str(file)
    file.write_bytes(b"")
    assert "no certificates" in refused({"THALWEG_CA_FILE": str(file)})


@pytest.mark.parametrize("name", ["http_proxy", "HTTPS_PROXY", "all_proxy"])
@pytest.mark.parametrize("url", ["socks5://u:s3cret@p:1", "http://u:s3cret@p:port", "nonsense:://u:s3cret@"])
def test_a_proxy_of_the_environment_that_cannot_be_is_refused_by_name_where_it_is_wanted(name: str, url: str) -> None:
    said = refused({"THALWEG_PROXY": "environment", name: url})
    assert said.startswith(f"{name} must be http://HOST:PORT")
    assert "s3cret" not in said
    assert load({name: url}).proxy_environment == {}


def test_every_variable_is_in_the_tables() -> None:
    source = "".join(path.read_text("utf-8") for path in sorted(Path(load.__code__.co_filename).parent.glob("*.py")))
    named = set(re.findall(r"\bTHALWEG_[A-Z_]*[A-Z]\b", source)) - {"THALWEG_SERVICE_HOST"}
    assert {name for name in named if not name.startswith("THALWEG_PROVIDER_")} == set(VARIABLES)
    tested = {name for name, _ in BAD} | {name for env, _, _ in GOOD for name in env}
    # These are the commands' own, or the file's, and are tested with them.
    assert set(VARIABLES) - tested == {"THALWEG_URL", "THALWEG_MODEL", "THALWEG_CONFIG"}
    assert all(what.endswith(".") for what in VARIABLES.values())


MISSPELT = {
    "THALWEG_API_KEYS": "THALWEG_API_KEY",
    "THALWEG_APIKEY": "THALWEG_API_KEY",
    "THALWEG_PROT": "THALWEG_PORT",
    "THALWEG_DRAIN": "THALWEG_DRAIN_S",
    "THALWEG_TIMEOUT_CONNECT": "THALWEG_TIMEOUT_CONNECT_S",
    "THALWEG_SIMULATED": "THALWEG_SIMULATE",
    "THALWEG_PROVIDER_RELAY_BASEURL": "_BASE_URL",
    "THALWEG_PROVIDER_RELAY": "_BASE_URL",
    "THALWEG_PROVIDER__BASE_URL": "_BASE_URL",
}


@pytest.mark.parametrize(("name", "meant"), MISSPELT.items())
def test_a_misspelt_variable_is_refused_with_what_was_meant(name: str, meant: str) -> None:
    said = refused({name: SECRET})
    assert name in said
    assert meant in said.removeprefix(name)
    assert SECRET not in said


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


def key_value(row: Any) -> bytes:
    """`KEY` as a provider wants it: only the common header says what it holds."""
    return (b"Bearer " if row.key_header == "authorization" else b"") + KEY.encode()


@pytest.mark.parametrize("row", PROVIDERS, ids=lambda row: row.name)
def test_a_providers_key_is_bound_to_its_origin(row: Any) -> None:
    # On a port of its own: the usual one is an engine's, too.
    provider = load({row.key_variable: f" {KEY} "}, port=1).providers[row.name]
    origin, path = parse_base_url(row.base_url, "x")
    assert (provider.origin, provider.base_path) == (origin, path)
    assert provider.credential == Credential(origin=origin, header=row.key_header.encode(), value=key_value(row))
    assert (provider.ready, provider.configured, provider.key_name) == (True, True, row.key_variable)
    elsewhere = load({row.key_variable: KEY, row.base_url_variable: "http://relay:1/x"}).providers[row.name]
    assert elsewhere.credential is not None
    assert elsewhere.credential.origin == elsewhere.origin == Origin("http", "relay", 1)


KEY_VARIABLES = [(row, name) for row in PROVIDERS for name in row.key_variables]


@pytest.mark.parametrize(("row", "name"), KEY_VARIABLES, ids=[name for _, name in KEY_VARIABLES])
def test_each_of_a_providers_keys_may_be_in_a_file(row: Any, name: str, tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(f"{KEY}\n")
    provider = load({f"{name}_FILE": str(file)}, port=1).providers[row.name]
    assert provider.credential is not None
    assert provider.credential.value == key_value(row)
    assert provider.key_name == f"{name}_FILE"
    file.write_text(" \n")
    assert f"{name}_FILE" in refused({f"{name}_FILE": str(file)})


def test_a_key_leads_to_the_address_it_belongs_to() -> None:
    assert str(load({"ZHIPUAI_API_KEY": KEY}).providers["zhipu"].origin) == "https://open.bigmodel.cn:443"
    assert str(load({"ZAI_API_KEY": KEY}).providers["zhipu"].origin) == "https://api.z.ai:443"
    first = load({"ZAI_API_KEY": KEY, "ZHIPUAI_API_KEY": "first-of-two"}).providers["zhipu"]
    assert (str(first.origin), first.key_name) == ("https://open.bigmodel.cn:443", "ZHIPUAI_API_KEY")
    moved = load({"ZAI_API_KEY": KEY, "ZHIPUAI_BASE_URL": "http://relay:1"}).providers["zhipu"]
    assert str(moved.origin) == "http://relay:1"


DASHSCOPE_PLACES = {
    "nowhere": ({}, "https://dashscope.aliyuncs.com:443", "/api/v1"),
    "another region": (
        {"DASHSCOPE_BASE_URL": "https://dashscope-intl.aliyuncs.com/compatible-mode/v1"},
        "https://dashscope-intl.aliyuncs.com:443",
        "/api/v1",
    ),
    "behind a path": ({"DASHSCOPE_BASE_URL": "http://relay:1/q/compatible-mode/v1/"}, "http://relay:1", "/q/api/v1"),
    "at a relay": ({"DASHSCOPE_BASE_URL": "http://relay:1/v1"}, "http://relay:1", "/api/v1"),
    "both": (
        {"DASHSCOPE_BASE_URL": "http://relay:1/v1", "DASHSCOPE_HTTP_BASE_URL": "http://other:2/x"},
        "http://other:2",
        "/x",
    ),
    "only itself": ({"DASHSCOPE_HTTP_BASE_URL": "http://other:2/x"}, "http://other:2", "/x"),
}


@pytest.mark.parametrize("places", DASHSCOPE_PLACES)
def test_a_second_dialect_goes_with_the_first_unless_it_is_placed_itself(places: str) -> None:
    """A key that is a relay's or a region's may not reach anybody else by the other dialect."""
    env, origin, path = DASHSCOPE_PLACES[places]
    native = load({"DASHSCOPE_API_KEY": KEY} | env).providers["dashscope-native"]
    assert (str(native.origin), native.base_path.decode()) == (origin, path)
    assert native.credential is not None
    assert native.credential.origin == native.origin
    assert native.placed is ("DASHSCOPE_HTTP_BASE_URL" in env)


def test_people_are_told_of_each_provider_once() -> None:
    settings = load({"OPENAI_API_KEY": KEY})
    names = [each.row.name for each in settings.main_providers]
    assert names == [row.name for row in PROVIDERS if not row.sibling_of]
    assert settings.providers["openai-responses"].configured


RELAY = {"THALWEG_PROVIDER_MY_RELAY_BASE_URL": "https://relay.example/v1/"}


def test_any_compatible_address_becomes_a_provider() -> None:
    provider = load(RELAY).providers["my-relay"]
    assert (provider.origin, provider.base_path) == (Origin("https", "relay.example", 443), b"/v1")
    assert (provider.row.profile, provider.credential, provider.ready) == (COMPATIBLE, None, True)
    assert provider.configured
    with_key = load(RELAY | {"THALWEG_PROVIDER_MY_RELAY_API_KEY": KEY}).providers["my-relay"]
    assert with_key.credential is not None
    assert with_key.credential.origin == provider.origin
    assert list(load(RELAY).providers) == [*(row.name for row in PROVIDERS), "my-relay"]


def test_an_added_provider_s_key_may_be_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(KEY)
    env = RELAY | {"THALWEG_PROVIDER_MY_RELAY_API_KEY_FILE": str(tmp_path / "key")}
    assert load(env).providers["my-relay"].credential is not None


@pytest.mark.parametrize("row", PROVIDERS, ids=lambda row: row.name)
def test_a_known_provider_s_name_cannot_be_given_again(row: Any) -> None:
    stem = row.name.upper().replace("-", "_")
    said = refused({f"THALWEG_PROVIDER_{stem}_BASE_URL": "http://relay:1"})
    assert row.base_url_variable in said
    assert row.key_variable in said


@pytest.mark.parametrize(
    ("env", "said"),
    [
        ({"THALWEG_PROVIDER_SIM_BASE_URL": "http://relay:1"}, "choose another"),
        ({"THALWEG_PROVIDER_REPLAY_BASE_URL": "http://relay:1"}, "choose another"),
        ({"THALWEG_PROVIDER_SIM_GEMINI_BASE_URL": "http://relay:1"}, "choose another"),
        ({"THALWEG_PROVIDER_RELAY_API_KEY": KEY}, "THALWEG_PROVIDER_RELAY_BASE_URL"),
        ({"THALWEG_PROVIDER_RELAY_API_KEY_FILE": "/x"}, "THALWEG_PROVIDER_RELAY_BASE_URL"),
        ({"THALWEG_PROVIDER_relay_BASE_URL": "http://relay:1"}, "A-Z"),
        ({"THALWEG_PROVIDER_A__B_BASE_URL": "http://relay:1"}, "A-Z"),
        ({"THALWEG_PROVIDER_RELAY_BASE_URL": "relay:1"}, "THALWEG_PROVIDER_RELAY_BASE_URL"),
        ({"THALWEG_PROVIDER_RELAY_BASE_URL": "http://127.0.0.1:8080/v1"}, "own address"),
        (RELAY | {"THALWEG_PROVIDER_MY_RELAY_API_KEY": "a\tb"}, "THALWEG_PROVIDER_MY_RELAY_API_KEY"),
    ],
)
def test_an_added_provider_that_cannot_be_is_refused(env: dict[str, str], said: str) -> None:
    assert said in refused(env)
    assert KEY not in refused(env)


LOCAL = [row for row in PROVIDERS if row.local]


@pytest.mark.parametrize("row", LOCAL, ids=lambda row: row.name)
def test_an_engine_on_this_machine_needs_no_key_and_counts_as_set_up_when_it_has_an_address(row: Any) -> None:
    usual = load({}, port=1).providers[row.name]
    assert (usual.ready, usual.configured, usual.placed) == (True, False, False)
    placed = load({row.base_url_variable: "http://127.0.0.1:5/v1"}).providers[row.name]
    assert (placed.ready, placed.configured, placed.placed) == (True, True, True)
    assert load({row.key_variable: KEY}, port=1).providers[row.name].configured


@pytest.mark.parametrize("row", LOCAL, ids=lambda row: row.name)
def test_an_engine_s_usual_address_may_be_our_own_but_not_one_that_was_given(row: Any) -> None:
    """llama.cpp's usual port is ours, too."""
    port = parse_base_url(row.base_url, "x")[0].port
    at_ours = load({}, port=port).providers[row.name]
    assert (at_ours.is_self, at_ours.ready) == (True, False)
    assert "own address" in refused({row.base_url_variable: row.base_url}, port=port)
    elsewhere = load({row.base_url_variable: "http://127.0.0.1:5/v1"}, port=port).providers[row.name]
    assert (elsewhere.is_self, elsewhere.ready) == (False, True)


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
        f"https://user:{SECRET}@\u2100.example",
        f"https://api.example:{SECRET}",
        f"https://[{SECRET}]/v1",
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
