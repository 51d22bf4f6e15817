"""The file: what each key becomes, what is said of every wrong one, and who comes before whom."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from thalweg.canon.policy import Alias, Attempts, Leave, PriceOverride, Route, Timeouts, Waits
from thalweg.config import Buffers, ConfigError, FileError, Limits, Settings, errors, home, load, load_client
from thalweg.config.settings import Recording
from thalweg.profiles.providers import ANTHROPIC_REPAIRS, CHAT_REPAIRS

SECRET = "sk-s3cret-of-somebody"


def loaded(folder: Path, text: str, env: dict[str, str] | None = None, **flags: Any) -> Settings:
    (folder / "thalweg.toml").write_text(text, encoding="utf-8")
    return load({"THALWEG_HOME": "/x"} | (env or {}), folder=folder, **flags)


def wrong(folder: Path, text: str, env: dict[str, str] | None = None) -> list[str]:
    """What is said, each without the folder before the file's name."""
    with pytest.raises(FileError) as caught:
        loaded(folder, text, env)
    assert SECRET not in str(caught.value)
    return [str(problem).replace(f"{folder}/", "") for problem in caught.value.problems]


def route(model: str, **more: Any) -> Route:
    return Route(model=model, **more)


GOOD: dict[str, tuple[str, str, Any]] = {
    "nothing": ("", "attempts", Attempts()),
    "host": ('[server]\nhost = "::1"', "host", "::1"),
    "port": ("[server]\nport = 0", "port", 0),
    "key": (f'[server]\napi_key = "{SECRET}"', "api_key", SECRET),
    "log": ('[server]\nlog = "json"', "log", "json"),
    "simulate": ("[server]\nsimulate = true", "simulate", True),
    "engines": ("[server]\nfind_engines = false", "find_engines", False),
    "media": ("[server]\nfetch_media = false", "fetch_media", False),
    "proxy": ('[server]\nproxy = "http://p:3128"', "proxy_environment", {"all_proxy": "http://p:3128"}),
    "drain": ("[server]\ndrain_s = 0", "limits", Limits(drain_s=0)),
    "limits": (
        "[limits]\nbody_mb = 1.5\nheader_kb = 8\nheader_fields = 9\nbody_timeout_s = 1\nheader_timeout_s = 2",
        "limits",
        Limits(body_bytes=1536 * 1024, header_bytes=8192, header_fields=9, body_timeout_s=1, header_timeout_s=2),
    ),
    "buffers": (
        "[buffers]\nframe_mb = 1\nanswer_mb = 2\ntotal_mb = 0.5",
        "buffers",
        Buffers(frame_bytes=2**20, answer_bytes=2**21, total_bytes=2**19),
    ),
    "recording": (
        '[recording]\nfolder = "/r"\nmost_mb = 1\nreplay = "/p"',
        "recording",
        Recording(folder=Path("/r"), most_bytes=2**20, replay=Path("/p")),
    ),
    "timeouts": (
        "[timeouts]\nconnect_s = 1\nfirst_content_s = 0\nwhole_s = 9.5\nfloor_tokens_per_s = 2\nfloor_window_s = 3",
        "timeouts",
        Timeouts(connect_s=1, whole_s=9.5, floor_tokens_per_s=2, floor_window_s=3),
    ),
    "attempts": (
        "[attempts]\nmost = 1\neach = 1\nbackoff_s = 0\ncool_down_after = 0\nhedge_after_s = 2.5",
        "attempts",
        Attempts(most=1, each=1, backoff_s=0, cool_down_after=0, hedge_after_s=2.5),
    ),
    "leave, short": ('leave = "cancel"', "leave", Leave()),
    "leave, linger": ('leave = "linger 5s"', "leave", Leave(kind="linger", seconds=5)),
    "leave, drain": ('leave = "drain"', "leave", Leave(kind="drain")),
    "leave, seconds": ('leave = "drain 2.5 s"', "leave", Leave(kind="drain", seconds=2.5)),
    "leave, tokens": ('leave = "drain 2000 tokens"', "leave", Leave(kind="drain", tokens=2000)),
    "leave, both": ('leave = "drain 30s 2000 tokens"', "leave", Leave(kind="drain", seconds=30, tokens=2000)),
    "leave, a table": ('[leave]\nkind = "linger"\nseconds = 1', "leave", Leave(kind="linger", seconds=1)),
    "an alias, short": ('[aliases]\na = "ark/x"', "aliases", {"a": Alias(name="a", routes=(route("ark/x"),))}),
    "an alias, a list": (
        '[aliases]\na = ["ark/x", "sim/text", {model = "ling/y", weight = 3, timeouts = {gap_s = 1}}]',
        "aliases",
        {
            "a": Alias(
                name="a",
                routes=(route("ark/x"), route("sim/text"), route("ling/y", weight=3, timeouts=Waits(gap_s=1))),
            )
        },
    ),
    "an alias, a table": (
        '[aliases.a]\nroutes = ["openrouter/a/b"]\norder = "weighted"\nattempts = {most = 2}\nleave = "linger 1s"',
        "aliases",
        {
            "a": Alias(
                name="a",
                routes=(route("openrouter/a/b"),),
                order="weighted",
                attempts=Attempts(most=2),
                leave=Leave(kind="linger", seconds=1),
            )
        },
    ),
    "an alias of aliases": (
        '[aliases]\na = ["ark/x", {model = "b", weight = 2, timeouts = {gap_s = 1}}]\n'
        'b = [{model = "ark/y", weight = 3, timeouts = {gap_s = 5, connect_s = 4}}]',
        "aliases",
        {
            "a": Alias(
                name="a", routes=(route("ark/x"), route("ark/y", weight=6, timeouts=Waits(gap_s=1, connect_s=4)))
            ),
            "b": Alias(name="b", routes=(route("ark/y", weight=3, timeouts=Waits(gap_s=5, connect_s=4)),)),
        },
    ),
    "a price for many": (
        '[prices."ark/*"]\ncurrency = "CNY"\ninput = 1\noutput = 2',
        "prices",
        {"ark/*": PriceOverride(currency="CNY", input=Decimal(1), output=Decimal(2))},
    ),
    "a price": (
        '[prices."ark/x"]\ncurrency = "CNY"\ninput = 0.8\noutput = 2\ncached_input = 0.00375',
        "prices",
        {
            "ark/x": PriceOverride(
                currency="CNY", input=Decimal("0.8"), output=Decimal(2), cached_input=Decimal("0.00375")
            )
        },
    ),
}


@pytest.mark.parametrize(("text", "field", "value"), GOOD.values(), ids=GOOD)
def test_what_stands_there_holds(tmp_path: Path, text: str, field: str, value: Any) -> None:
    assert getattr(loaded(tmp_path, text), field) == value


def test_the_attempts_of_an_alias_are_the_gateways_with_what_it_says(tmp_path: Path) -> None:
    settings = loaded(tmp_path, '[attempts]\neach = 5\n[aliases.a]\nroutes = ["ark/x"]\nattempts = {most = 9}')
    assert settings.aliases["a"].attempts == Attempts(most=9, each=5)


WRONG: dict[str, tuple[str, list[str]]] = {
    "no TOML": ("[server]\nport = \n", ["thalweg.toml:2: is no TOML: invalid value."]),
    "a key twice": ("[server]\nport = 1\nport = 2\n", ["thalweg.toml:3: is no TOML: cannot overwrite a value."]),
    "a section that is misspelt": ("[sever]\nport = 1", ["thalweg.toml:1: sever is no setting. Is it `server`?"]),
    "a section like no other": (
        "\n[xyz]",
        [
            "thalweg.toml:2: xyz is no setting. Here may stand: server, limits, buffers, recording, timeouts, attempts, "
            "leave, providers, aliases, prices."
        ],
    ),
    "a key above the sections": ("port = 1", ["thalweg.toml:1: port is no setting. Is it `server.port`?"]),
    "a key that is misspelt": (
        "[timeouts]\n\nfirst_bite_s = 1",
        ["thalweg.toml:3: timeouts.first_bite_s is no setting. Is it `first_byte_s`?"],
    ),
    "a key deep inside": (
        "[providers.ark]\nprofile = {thinking = {\nswich = 'thinking'}}".replace("{\n", "{ "),
        ["thalweg.toml:2: providers.ark.profile.thinking.swich is no setting. Is it `switch`?"],
    ),
    "a text for a number": (
        '[server]\nport = "80"',
        ['thalweg.toml:2: server.port: expected a whole number from 0 to 65535, found "80".'],
    ),
    "a flag for a number": (
        "[server]\nport = true",
        ["thalweg.toml:2: server.port: expected a whole number from 0 to 65535, found true."],
    ),
    "a number for a flag": ("[server]\nsimulate = 1", ["thalweg.toml:2: server.simulate: expected true or false, found 1."]),
    "a port too large": (
        "[server]\nport = 65536",
        ["thalweg.toml:2: server.port: expected a whole number from 0 to 65535, found 65536."],
    ),
    "a value for a table": ("server = 5", ["thalweg.toml:1: server: expected a table, found 5."]),
    "no time at all": (
        "[timeouts]\nwhole_s = 0\ngap_s = nan\nconnect_s = inf",
        [
            f"thalweg.toml:{line}: timeouts.{name}: expected a number of seconds, more than 0 and up to a day, found {said}."
            for line, name, said in ((2, "whole_s", "0"), (3, "gap_s", "NaN"), (4, "connect_s", "Infinity"))
        ],
    ),
    "a wrong word": (
        '[server]\nlog = "xml"',
        ['thalweg.toml:2: server.log: expected one of auto, json, pretty, off, found "xml".'],
    ),
    "keep": (
        '[providers.ark]\nleave = "keep"',
        [
            "thalweg.toml:2: providers.ark.leave: `keep` is for streams that can be taken up again, which this version "
            'does not have yet. Use "cancel", "linger 5s" or "drain 30s".'
        ],
    ),
    "a leave that is none": (
        'leave = "stay 5s"',
        [
            'thalweg.toml:1: leave: expected "cancel", "linger 5s", "drain 30s", "drain 2000 tokens", or a table with '
            '`kind`, found "stay 5s".'
        ],
    ),
    "a linger without its time": (
        'leave = "linger"',
        [
            'thalweg.toml:1: leave: expected "cancel", "linger 5s", "drain 30s", "drain 2000 tokens", or a table with '
            '`kind`, found "linger".'
        ],
    ),
    "a new provider without an address": (
        '[providers.relay]\napi_key = "env:X"',
        ["thalweg.toml:1: providers.relay is a new provider and has no address: give it `base_url`."],
    ),
    "a provider that is misspelt": (
        "[providers.opennai]\ntimeouts = {gap_s = 1}",
        [
            "thalweg.toml:1: providers.opennai is a new provider and has no address: give it `base_url`. Or is it "
            "`providers.openai`?"
        ],
    ),
    "a provider's name": (
        '[providers.My_Relay]\nbase_url = "http://r:1"',
        ["thalweg.toml:1: providers.My_Relay: a provider's name is of a-z, 0-9 and single hyphens in it."],
    ),
    "the simulator": (
        '[providers.sim-chat]\nbase_url = "http://r:1"',
        ["thalweg.toml:1: providers.sim-chat: 'sim-chat' is built in; choose another name."],
    ),
    "a known provider's dialect": (
        '[providers.ark]\ndialect = "gemini"',
        ["thalweg.toml:2: providers.ark.dialect is for new providers; Volcengine Ark has its own."],
    ),
    "a second dialect's key": (
        '[providers.ark-responses]\napi_key = "env:X"',
        ["thalweg.toml:2: providers.ark-responses.api_key: it has that of `providers.ark`; set it there."],
    ),
    "an address": (
        f'[providers.ark]\nbase_url = "https://u:{SECRET}@h"',
        [
            "thalweg.toml:2: providers.ark.base_url may hold no user, query or fragment; the key goes into its own "
            "variable."
        ],
    ),
    "a key file that is not there": (
        '[providers.ark]\napi_key = "file:nothing"',
        ["thalweg.toml:2: providers.ark.api_key: the file 'nothing' cannot be read: No such file or directory."],
    ),
    "two ways to a key": (
        '[providers.ark]\napi_key = "env:X"\napi_keys = ["env:Y"]',
        ["thalweg.toml:3: providers.ark.api_keys: give either `api_key` or `api_keys`."],
    ),
    "a key with strange signs": (
        f'[providers.ark]\napi_keys = ["env:X",\n"{SECRET}\\u0007"]',
        ["thalweg.toml:3: providers.ark.api_keys[1] holds a character that no key has."],
    ),
    "the gateway's key, short": (
        '[server]\napi_key = "s3cret"',
        [
            "thalweg.toml:2: server.api_key: expected a key of at least 8 printable ASCII characters without spaces, "
            '"env:NAME" or "file:PATH", found a text.'
        ],
    ),
    "the gateway's key, not set": (
        '[server]\napi_key = "env:NOBODY"',
        ["thalweg.toml:2: server.api_key: the variable NOBODY is not set."],
    ),
    "a proxy with a password": (
        f'[server]\nproxy = "socks5://u:{SECRET}@p"',
        ['thalweg.toml:2: server.proxy: expected "environment" or an http:// address of a proxy, found a text.'],
    ),
    "a repair that there is not": (
        '[providers.ark.profile]\nstream_only = true\nmedia_urls = ["image", "paper"]',
        ['thalweg.toml:3: providers.ark.profile.media_urls[1]: expected one of image, audio, video, document, found "paper".'],
    ),
    "an alias of an unknown provider": (
        '[aliases]\nfast = ["ark/x",\n  "arkk/y", "what/z"]',
        [
            "thalweg.toml:3: aliases.fast[1]: there is no provider 'arkk'. Is it `ark/y`?",
            "thalweg.toml:3: aliases.fast[2]: there is no provider 'what'.",
        ],
    ),
    "an alias of no model": (
        '[aliases]\na = "ark/"\nb = "qwen"\nc = []',
        [
            "thalweg.toml:2: aliases.a[0]: 'ark/' names a provider and no model.",
            "thalweg.toml:3: aliases.b[0]: 'qwen' is neither provider/model nor the name of an alias.",
            "thalweg.toml:4: aliases.c names no model.",
        ],
    ),
    "an alias of itself": (
        '[aliases]\na = ["ark/x", "a"]',
        ["thalweg.toml:2: aliases.a leads back to itself: a → a."],
    ),
    "a circle": (
        '[aliases]\na = "b"\nb = "c"\nc = ["ark/x", "a"]\nd = "a"',
        [
            "thalweg.toml:2: aliases.a leads back to itself: a → b → c → a.",
            "thalweg.toml:3: aliases.b leads back to itself: b → c → a → b.",
            "thalweg.toml:4: aliases.c leads back to itself: c → a → b → c.",
        ],
    ),
    "an alias like a model": (
        '[aliases]\n"ark/fast" = "ark/x"',
        ['thalweg.toml:2: aliases."ark/fast": an alias cannot be named like provider/model; leave out the slash.'],
    ),
    "aliases that double": (
        '[aliases]\na0 = "ark/x"\n' + "".join(f'a{n} = ["a{n - 1}", "a{n - 1}"]\n' for n in range(1, 40)),
        [f"thalweg.toml:{n + 2}: aliases.a{n} leads to more than 64 models." for n in range(7, 40)],
    ),
    "a route without a model": (
        '[[aliases.a.routes]]\nmodel = "ark/x"\n[[aliases.a.routes]]\nweight = 2',
        ["thalweg.toml:3: aliases.a.routes[1] needs `model`."],
    ),
    "a price of nothing": (
        '[prices.x]\ncurrency = "USD"\ninput = 1\noutput = 1\n[prices."ark/x"]\ncurrency = "$"\ninput = -1',
        [
            "thalweg.toml:1: prices.x: expected provider/model, with a provider that is known.",
            'thalweg.toml:5: prices."ark/x" needs `output`.',
            'thalweg.toml:6: prices."ark/x".currency: expected three capital letters, such as USD or CNY, found "$".',
            'thalweg.toml:7: prices."ark/x".input: expected an amount for a million tokens, 0 or more, '
            "of nine decimal places at most, found -1.",
        ],
    ),
    "a price that is too fine": (
        '[prices."ark/x"]\ncurrency = "USD"\ninput = 0.0000000001\noutput = 1',
        [
            'thalweg.toml:3: prices."ark/x".input: expected an amount for a million tokens, 0 or more, '
            "of nine decimal places at most, found 1E-10.",
        ],
    ),
    "much at once": (
        '[server]\nprot = 1\nlog = 5\n[aliases]\na = "a"\n[providers.x]',
        [
            "thalweg.toml:2: server.prot is no setting. Is it `port`?",
            "thalweg.toml:3: server.log: expected one of auto, json, pretty, off, found 5.",
            "thalweg.toml:5: aliases.a leads back to itself: a → a.",
            "thalweg.toml:6: providers.x is a new provider and has no address: give it `base_url`.",
        ],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("text", "said"), WRONG.values(), ids=WRONG)
def test_a_wrong_file_says_where_and_what(tmp_path: Path, text: str, said: list[str]) -> None:
    assert wrong(tmp_path, text) == said


PLACES = [
    ('[server]\n\nca_file = "no.pem"', "thalweg.toml:3: server.ca_file names no file"),
    ('[providers.ark]\nbase_url = "http://localhost:8080/v1"', "thalweg.toml:2: providers.ark.base_url points at"),
]


@pytest.mark.parametrize(("text", "said"), PLACES)
def test_what_shows_only_later_names_its_place_too(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, text)
    assert str(caught.value).removeprefix(f"{tmp_path}/").startswith(said)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"\xff\xfe", "is no text"),
        (b"[" * 5000, "is no TOML"),
        (b"a = 1" + b"0" * 5000, "is no TOML"),
        (b"a = " + b"[" * 900 + b"]" * 900, "a"),
    ],
)
def test_what_is_no_text_or_no_toml_is_told(tmp_path: Path, data: bytes, said: str) -> None:
    (tmp_path / "thalweg.toml").write_bytes(data)
    with pytest.raises(FileError, match=said):
        load({}, folder=tmp_path)


# Who comes before whom


def test_a_flag_the_environment_dotenv_the_file_the_default_in_that_order(tmp_path: Path) -> None:
    text = '[server]\nhost = "::1"\nport = 1\nlog = "off"\ndrain_s = 1\n[timeouts]\ngap_s = 1\nwhole_s = 1'
    (tmp_path / ".env").write_text("THALWEG_PORT=2\nTHALWEG_LOG=json\nTHALWEG_DRAIN_S=2\nTHALWEG_TIMEOUT_GAP_S=2\n")
    env = {"THALWEG_PORT": "3", "THALWEG_LOG": "pretty"}
    settings = loaded(tmp_path, text, env, port=4)
    assert (settings.port, settings.log, settings.limits.drain_s, settings.host) == (4, "pretty", 2, "::1")
    assert settings.timeouts == Timeouts(gap_s=2, whole_s=1)
    assert loaded(tmp_path, text, env).port == 3
    assert loaded(tmp_path, text, {"THALWEG_PORT": " "}).port == 2
    assert loaded(tmp_path, text, {"THALWEG_PORT": "tcp://10.0.0.1:8080"}).port == 2


def test_a_key_of_an_upper_layer_takes_the_place_of_any_form_of_it_below(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("sk-of-the-file\n")
    text = '[server]\napi_key_file = "key"\n[providers.google]\napi_key = "file:key"'
    assert loaded(tmp_path, text).api_key == "sk-of-the-file"
    settings = loaded(tmp_path, text, {"THALWEG_API_KEY": "sk-above-it", "GOOGLE_API_KEY": "sk-google"})
    google = settings.providers["google"]
    assert settings.api_key == "sk-above-it"
    assert google.credential is not None
    assert (google.credential.value, google.key_name) == (b"sk-google", "GOOGLE_API_KEY")


def test_the_file_is_the_named_one_else_the_folders_else_the_users(tmp_path: Path) -> None:
    own = tmp_path / "xdg" / "thalweg"
    own.mkdir(parents=True)
    (own / "thalweg.toml").write_text("[server]\nport = 1")
    (tmp_path / "here").mkdir()
    for name, port in (("flag", 3), ("named", 4)):
        (tmp_path / f"{name}.toml").write_text(f"[server]\nport = {port}")
    env = {"XDG_CONFIG_HOME": str(tmp_path / "xdg"), "THALWEG_HOME": "/x"}
    here = tmp_path / "here"
    assert load(env, folder=here).port == 1
    assert load({"THALWEG_HOME": "/x", "HOME": str(tmp_path)}, folder=here).port == 8080
    (here / "thalweg.toml").write_text("[server]\nport = 2")
    assert load(env, folder=here).port == 2
    named = env | {"THALWEG_CONFIG": str(tmp_path / "named.toml")}
    assert load(named, folder=here).port == 4
    assert load(named, folder=here, config=tmp_path / "flag.toml").port == 3
    with pytest.raises(FileError, match=r"none\.toml: there is no such file"):
        load(env, config=tmp_path / "none.toml")


def test_an_environment_of_its_own_has_no_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "thalweg.toml").write_text("[server]\nport = 1")
    (tmp_path / ".env").write_text("THALWEG_HOST=::1")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", "")
    assert (load({}).port, load({}).host) == (8080, "127.0.0.1")
    assert (load().port, load().host) == (1, "::1")
    assert load_client({}).home != Path("/y")


def test_commands_that_need_the_home_alone_find_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "thalweg.toml").write_text('[server]\nhome = "data"\nprot = 1')
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("THALWEG_HOME", raising=False)
    assert home() == tmp_path / "data"
    assert home(Path("/flag")) == Path("/flag")
    monkeypatch.setenv("THALWEG_HOME", "/env")
    assert home() == Path("/env")


def test_without_a_working_directory_there_is_none_to_look_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert load(port=1).port == 1
    (tmp_path / "t.toml").write_text("[server]\nport = 2")
    assert load(config=tmp_path / "t.toml").port == 2


def test_every_sentence_is_said_somewhere() -> None:
    source = "".join(
        path.read_text("utf-8") for path in Path(errors.__file__).parent.glob("*.py") if path.name != "errors.py"
    )
    assert [code for code in errors.SENTENCES if f'"{code}"' not in source] == []


# Providers


def test_a_known_provider_has_what_the_file_says(tmp_path: Path) -> None:
    text = """
        [providers.ark]
        base_url = "https://relay.example/api"
        api_keys = ["env:FIRST", "env:NOT_SET", "env:SECOND"]
        timeouts = {gap_s = 7}
        leave = "drain 30s"
        [providers.ark.profile]
        max_tokens_field = "max_completion_tokens"
        repairs = ["delta"]
        refused_fields = ["seed"]
        thinking = {default = "on"}
    """
    env = {"FIRST": "sk-first", "SECOND": "sk-second"}
    settings = loaded(tmp_path, text, env)
    ark = settings.providers["ark"]
    assert str(ark.origin) == "https://relay.example:443"
    assert ark.placed
    assert ark.credential is not None
    assert (ark.credential.value, ark.key_name) == (b"Bearer sk-first", "FIRST")
    assert [(key.name, key.credential.value, key.credential.origin) for key in ark.more_keys] == [
        ("SECOND", b"Bearer sk-second", ark.origin)
    ]
    assert (ark.timeouts, ark.leave) == (Waits(gap_s=7), Leave(kind="drain", seconds=30))
    profile = ark.row.profile
    assert (profile.max_tokens_field, profile.repairs) == ("max_completion_tokens", frozenset({"delta"}))
    assert (profile.refused_fields, profile.chunk_usage) == (frozenset({"seed"}), "chunk_include_usage")
    assert (profile.thinking.switch, profile.thinking.default) == ("thinking", "on")
    second = settings.providers["ark-responses"]
    assert (second.timeouts, second.leave, len(second.more_keys)) == (ark.timeouts, ark.leave, 1)
    assert [problem.values["name"] for problem in settings.warnings] == ["NOT_SET"]


def test_a_list_of_keys_follows_the_environments_own(tmp_path: Path) -> None:
    text = '[providers.ark]\napi_keys = ["env:ARK_API_KEY", "env:SECOND"]'
    env = {"ARK_API_KEY": "sk-first", "SECOND": "sk-second"}
    ark = loaded(tmp_path, text, env).providers["ark"]
    assert ark.credential is not None
    assert ark.credential.value == b"Bearer sk-first"
    assert [key.name for key in ark.more_keys] == ["SECOND"]


def test_models_that_differ_from_their_provider_get_what_the_file_says_too(tmp_path: Path) -> None:
    row = loaded(tmp_path, "[providers.dashscope.profile]\nasks_usage = false").providers["dashscope"].row
    assert not row.profile_of("qwq-32b").asks_usage
    assert row.profile_of("qwq-32b").stream_only


NEW = {
    "openai-chat": ("authorization", b"Bearer sk-key", CHAT_REPAIRS),
    "anthropic": ("x-api-key", b"sk-key", ANTHROPIC_REPAIRS),
}


@pytest.mark.parametrize("dialect", NEW)
def test_a_new_provider_speaks_its_dialect(tmp_path: Path, dialect: str) -> None:
    header, value, repairs = NEW[dialect]
    text = f'[providers.my-relay]\ndialect = "{dialect}"\nbase_url = "http://relay:1/v1"\napi_key = "env:K"\nneeds_key = true'
    relay = loaded(tmp_path, text, {"K": "sk-key"}).providers["my-relay"]
    assert (relay.row.dialect, relay.row.key_header, relay.row.profile.repairs) == (dialect, header, repairs)
    assert relay.credential is not None
    assert (relay.credential.value, relay.key_name, relay.ready) == (value, "K", True)
    without = loaded(tmp_path, text).providers["my-relay"]
    assert (without.credential, without.key_name, without.ready) == (None, "K", False)
    moved = loaded(tmp_path, text, {"THALWEG_PROVIDER_MY_RELAY_BASE_URL": "http://other:2"}).providers["my-relay"]
    assert (str(moved.origin), moved.row.dialect) == ("http://other:2", dialect)


def test_a_key_in_the_file_is_warned_of_where_others_may_read_it(tmp_path: Path) -> None:
    text = f'[server]\napi_key = "{SECRET}"'
    file = tmp_path / "thalweg.toml"
    (said,) = loaded(tmp_path, text).warnings
    assert "others on this machine can read" in str(said)
    assert SECRET not in str(said)
    file.chmod(0o600)
    assert loaded(tmp_path, text).warnings == ()
    (tmp_path / ".git").mkdir()
    (said,) = loaded(tmp_path, text).warnings
    assert "lies in a repository" in str(said)


def test_no_secret_is_in_what_settings_say_of_themselves(tmp_path: Path) -> None:
    text = f'[server]\napi_key = "{SECRET}"\n[providers.ark]\napi_keys = ["{SECRET}1", "{SECRET}2"]'
    assert SECRET not in repr(loaded(tmp_path, text))


def test_paths_are_from_the_files_own_folder(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    file = tmp_path / "etc" / "t.toml"
    file.write_text('[server]\nhome = "../data"')
    assert load({}, config=file).home == tmp_path / "etc" / ".." / "data"
