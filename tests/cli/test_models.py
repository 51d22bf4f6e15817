"""`thalweg models`: what can be called now, from the running server, from one that is named, or from the settings."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.answering import Answering
from tests.cli.terminal import PATIENCE_S, Terminal, thalweg
from tests.live.gateway import KEY, Gateway
from thalweg.server.models import SIM_MODELS

ALONE = {"THALWEG_FIND_ENGINES": "0"}
"""Engines that really run on this machine are no part of a test."""
OPENAI = {"OPENAI_API_KEY": "sk-openai-for-tests"}


@pytest.fixture
def engine() -> Iterator[Answering]:
    started = Answering(200, {"object": "list", "data": [{"id": "qwen3:8b", "object": "model", "owned_by": "library"}]})
    yield started
    started.close()


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway that has a provider."""
    with Gateway(tmp_path_factory.mktemp("home"), environment=OPENAI) as started:
        yield started


def listed(home: Path, *arguments: str, **env: str) -> dict[str, Any]:
    done = thalweg(home, "models", "--json", *arguments, **ALONE | env)
    assert (done.returncode, done.stderr) == (0, "")
    told = json.loads(done.stdout)
    assert isinstance(told, dict)
    return told


def states(told: dict[str, Any]) -> dict[str, str]:
    return {model["provider"]: model["state"] for model in told["models"]}


def test_without_a_server_the_settings_are_read(tmp_path: Path) -> None:
    told = listed(tmp_path, **OPENAI)
    assert told["source"] == "settings"
    assert states(told) == {"openai": "configured", "sim": "simulated"}
    names = [model["name"] for model in told["models"]]
    assert names[0].startswith("openai/"), "what can be called for real comes first"
    assert [name for name in names if name.startswith("sim/")] == [f"sim/{name}" for name in SIM_MODELS]
    assert not list(tmp_path.iterdir()), "looking makes no home"


def test_without_a_key_the_simulator_is_there(tmp_path: Path) -> None:
    assert states(listed(tmp_path)) == {"sim": "simulated"}


def test_all_of_them_name_the_variable_to_set(tmp_path: Path) -> None:
    told = listed(tmp_path, "--all", **OPENAI)
    by_provider = {model["provider"]: model for model in told["models"]}
    assert by_provider["openai"]["set"] == []
    assert (by_provider["ark"]["state"], by_provider["ark"]["set"]) == ("missing", ["ARK_API_KEY"])
    assert by_provider["vllm"]["set"] == ["VLLM_BASE_URL"]
    table = thalweg(tmp_path, "models", "--all", "ark", **OPENAI).stdout
    assert "set ARK_API_KEY" in table


def test_an_engine_of_this_machine_is_found(tmp_path: Path, engine: Answering) -> None:
    told = listed(tmp_path, OLLAMA_BASE_URL=f"{engine.url}/v1")
    (model,) = (model for model in told["models"] if model["provider"] == "ollama")
    assert (model["name"], model["state"], model["host"]) == ("ollama/qwen3:8b", "local", engine.url[7:])
    assert "found on this machine" in thalweg(tmp_path, "models", OLLAMA_BASE_URL=f"{engine.url}/v1").stdout


def test_the_server_of_the_home_is_asked_and_knows_better(gateway: Gateway) -> None:
    told = listed(gateway.home, THALWEG_API_KEY=KEY, ARK_API_KEY="not the server's")
    assert told["source"] == gateway.url
    assert states(told) == {"openai": "configured", "sim": "simulated"}


@pytest.mark.parametrize("how", ["option", "variable", "with a path"])
def test_a_gateway_that_is_named_is_asked(tmp_path: Path, gateway: Gateway, how: str) -> None:
    url = f"{gateway.url}/v1" if how == "with a path" else gateway.url
    arguments, env = ([], {"THALWEG_URL": url}) if how == "variable" else (["--url", url], {})
    assert listed(tmp_path, *arguments, THALWEG_API_KEY=KEY, **env)["source"] == gateway.url


def test_a_server_that_was_killed_is_not_waited_for(tmp_path: Path) -> None:
    with Gateway(tmp_path) as crashed:
        crashed.kill()
    assert listed(tmp_path)["source"] == "settings"


@pytest.fixture
def places(gateway: Gateway, engine: Answering) -> dict[str, str]:
    """Addresses by what is there."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        closed = f"http://127.0.0.1:{taken.getsockname()[1]}"
    return {"closed": closed, "gateway": gateway.url, "engine": engine.url}


@pytest.mark.parametrize(
    ("arguments", "env", "expected"),
    [
        pytest.param(["--url", "{closed}"], {}, (4, "No gateway answers"), id="nobody is there"),
        pytest.param(["--url", "{gateway}"], {}, (1, "THALWEG_API_KEY"), id="no key"),
        pytest.param(
            ["--url", "{gateway}"], {"THALWEG_API_KEY": "sk-wrong-key"}, (1, "THALWEG_API_KEY"), id="wrong key"
        ),
        pytest.param(["--url", "{engine}"], {}, (1, "is no gateway"), id="something else is there"),
        pytest.param(["--url", "nowhere"], {}, (3, "--url"), id="no address"),
        pytest.param([], {"ARK_BASE_URL": "nowhere"}, (3, "ARK_BASE_URL"), id="a wrong setting"),
        pytest.param(["no-such-model"], {}, (1, "no-such-model"), id="nothing fits"),
    ],
)
def test_what_goes_wrong_is_said_in_a_line(
    tmp_path: Path, places: dict[str, str], arguments: list[str], env: dict[str, str], expected: tuple[int, str]
) -> None:
    code, said = expected
    done = thalweg(tmp_path, "models", *(argument.format_map(places) for argument in arguments), **env)
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.startswith("thalweg: ")
    assert done.stderr.count("\n") == 1
    assert said in done.stderr
    assert "sk-wrong-key" not in done.stderr


@pytest.mark.parametrize("search", ["GPT", "openai/"])
def test_a_search_is_for_part_of_a_name(tmp_path: Path, search: str) -> None:
    models = listed(tmp_path, search, **OPENAI)["models"]
    assert models
    assert all(search.lower() in model["name"].lower() for model in models)


@pytest.mark.parametrize(
    ("lang", "words"), [("en", ("model", "provider")), ("zh", ("模型", "服务商", "在哪里", "网关内置"))]
)
def test_a_table_for_people(tmp_path: Path, lang: str, words: tuple[str, ...]) -> None:
    with Terminal(tmp_path, "models", "--all", rows=60, env={"THALWEG_LANG": lang} | OPENAI) as terminal:
        assert terminal.exit_code() == 0
    assert all(word in terminal.text for word in words)
    rows = terminal.rows[1 : terminal.rows.index("")]
    assert rows[0].startswith("openai/gpt-")
    assert "sk-openai" not in terminal.text


def test_data_is_on_standard_output_and_the_rest_beside_it(tmp_path: Path) -> None:
    done = thalweg(tmp_path, "models")
    assert len(done.stdout.splitlines()) == 1 + len(SIM_MODELS)
    assert done.stderr.count("\n") == 1
    assert "\x1b" not in done.stdout + done.stderr


# What is known of them


def wait_for(file: Path) -> None:
    """Until a file is there, which another process writes."""
    over = time.monotonic() + PATIENCE_S
    while not file.exists():
        assert time.monotonic() < over, f"{file.name} was not written"
        threading.Event().wait(0.01)


def test_what_is_known_of_a_model_is_told_by_a_gateway_and_by_the_settings(tmp_path: Path, gateway: Gateway) -> None:
    for told in (listed(tmp_path, **OPENAI), listed(gateway.home, THALWEG_API_KEY=KEY)):
        by_name = {model["name"]: model for model in told["models"]}
        model = by_name["openai/gpt-5.4-mini"]
        assert (model["context_window"], model["max_output_tokens"]) == (400_000, 128_000)
        assert model["input_modalities"] == ["text", "image", "document"]
        assert (model["price"]["currency"], model["price"]["input"], model["price"]["output"]) == ("USD", "0.75", "4.5")
        assert by_name["sim/text"]["price"] is None


def test_the_price_is_that_of_the_address(tmp_path: Path) -> None:
    at_zai = listed(tmp_path, "glm-5.3", "--provider", "zhipu", ZAI_API_KEY="a-key-for-tests")["models"][0]
    at_home = listed(tmp_path, "glm-5.3", "--provider", "zhipu", ZHIPUAI_API_KEY="a-key-for-tests")["models"][0]
    assert (at_zai["price"]["currency"], at_zai["price"]["input"]) == ("USD", "1.4")
    assert (at_home["price"]["currency"], at_home["price"]["input"]) == ("CNY", "8")


def test_a_list_that_came_to_the_server_is_there_without_it(tmp_path: Path) -> None:
    keys = {"OPENAI_API_KEY": "sk-openai-for-tests"}
    names = {"object": "list", "data": [{"id": "gpt-new", "object": "model", "context_length": 12_000}]}
    with Answering(200, names) as provider:
        placed = keys | {"OPENAI_BASE_URL": f"{provider.url}/v1", "THALWEG_FETCH_MODELS": "1"}
        with Gateway(tmp_path, environment=placed):
            wait_for(tmp_path / "models.json")
            running = listed(tmp_path, THALWEG_API_KEY=KEY, **placed)
        assert provider.asked == [("/v1/models", "Bearer sk-openai-for-tests")]
    for told in (running, listed(tmp_path, **placed)):
        (model,) = (model for model in told["models"] if model["provider"] == "openai")
        assert (model["name"], model["context_window"], model["price"]) == ("openai/gpt-new", 12_000, None)
    assert running["source"] != "settings"


def test_only_one_providers_models_are_listed_where_it_is_named(tmp_path: Path) -> None:
    assert states(listed(tmp_path, "--provider", "OpenAI", **OPENAI)) == {"openai": "configured"}
    assert states(listed(tmp_path, "--provider", "ark", "--all")) == {"ark": "missing"}
    for arguments, said in [
        (("--provider", "ark"), "of 'ark' can be called"),
        (("nothing", "--provider", "sim"), "'sim' fits 'nothing'"),
    ]:
        done = thalweg(tmp_path, "models", *arguments, **ALONE)
        assert (done.returncode, done.stdout) == (1, "")
        assert said in done.stderr


WINDOWS = [
    (200, ["model", "provider", "context", "takes", "gives", "price", "where"]),
    (100, ["model", "provider", "context", "price", "where"]),
    (84, ["model", "context", "price", "where"]),
    (75, ["model", "price", "where"]),
    (60, ["model", "where"]),
]


@pytest.mark.parametrize(("columns", "headings"), WINDOWS, ids=[str(row[0]) for row in WINDOWS])
def test_a_narrow_window_leaves_out_what_matters_least(tmp_path: Path, columns: int, headings: list[str]) -> None:
    env = OPENAI | ALONE | {"GEMINI_API_KEY": "a-key-for-tests"}
    with Terminal(tmp_path, "models", rows=40, columns=columns, env=env) as terminal:
        assert terminal.exit_code() == 0
    rows = terminal.rows[: terminal.rows.index("")]
    assert rows[0].split() == headings
    assert all(len(row) <= columns for row in rows[: 1 + len(SIM_MODELS)])
    assert ("0.75 / 4.5 USD" in terminal.text) == ("price" in headings)
    assert ("400K" in terminal.text) == ("context" in headings)


def test_in_chinese_too(tmp_path: Path) -> None:
    env = OPENAI | ALONE | {"THALWEG_LANG": "zh"}
    with Terminal(tmp_path, "models", "--provider", "openai", rows=20, columns=160, env=env) as terminal:
        assert terminal.exit_code() == 0
    assert all(word in terminal.text for word in ("上下文", "输入", "输出", "价格", "文本 图片 文档", "每百万 token"))


def test_columns_in_which_nothing_is_known_are_not_there(tmp_path: Path) -> None:
    assert thalweg(tmp_path, "models", **ALONE).stdout.splitlines()[0].split() == ["model", "provider", "where"]
