"""Asking providers for their lists of models: what each answer comes to, and where the key goes."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from tests.cli.answering import Answering
from thalweg.config import Settings, load
from thalweg.dialects.registry import DIALECTS
from thalweg.server.app import make_connector
from thalweg.server.ping import Pong, asks_for_a_token, ping

LIST = {"object": "list", "data": [{"id": "one"}, {"id": "two"}]}
KEY = "sk-ark-for-tests"


def settings_of(home: Path, url: str, **more: str) -> Settings:
    return load({"THALWEG_HOME": str(home), "ARK_API_KEY": KEY, "ARK_BASE_URL": url} | more)


def pongs(settings: Settings, *, every: bool = False) -> list[Pong]:
    async def ask() -> list[Pong]:
        connector = make_connector(settings)
        try:
            return await ping(
                connector,
                (
                    each
                    for each in settings.providers.values()
                    if every or (each in settings.main_providers and each.configured)
                ),
            )
        finally:
            await connector.close()

    return asyncio.run(ask())


@pytest.mark.parametrize(
    ("status", "body", "models"),
    [
        pytest.param(200, LIST, 2, id="a list"),
        pytest.param(200, {"data": []}, 0, id="an empty list"),
        pytest.param(200, {"models": [{"name": "models/one"}]}, 1, id="a list in Google's words"),
        pytest.param(200, {"data": None}, None, id="no list"),
        pytest.param(200, b"<html>", None, id="no JSON"),
        pytest.param(200, b"[" * 100_000, None, id="far too deep"),
        pytest.param(200, b" " * (9 * 1024 * 1024), None, id="far too long"),
        pytest.param(401, {"error": {"message": "no"}}, None, id="the key is refused"),
        pytest.param(302, b"", None, id="elsewhere, where the key does not go"),
        pytest.param(500, b"", None, id="an error"),
    ],
)
def test_what_an_answer_comes_to(tmp_path: Path, status: int, body: Any, models: int | None) -> None:
    with Answering(status, body) as provider:
        (pong,) = pongs(settings_of(tmp_path, f"{provider.url}/api/v3"))
        assert provider.asked == [("/api/v3/models", f"Bearer {KEY}")]
    assert (pong.provider, pong.status, pong.error, pong.models) == ("ark", status, None, models)
    assert pong.took_ms > 0


def test_where_nobody_is_the_reason_is_told_without_the_key(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    (pong,) = pongs(settings_of(tmp_path, f"http://127.0.0.1:{port}"))
    assert (pong.status, pong.models) == (None, None)
    assert pong.error
    assert "refused" in pong.error
    assert KEY not in pong.error


def test_who_does_not_answer_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("thalweg.server.ping.PING_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        (pong,) = pongs(settings_of(tmp_path, f"http://127.0.0.1:{silent.getsockname()[1]}"))
    assert pong.error == "no whole answer came within 0 s"


def test_providers_are_asked_at_once_and_each_with_its_own_key(tmp_path: Path) -> None:
    with Answering(200, LIST) as one, Answering(401, {}) as other:
        settings = settings_of(tmp_path, one.url, OPENAI_API_KEY="sk-openai-for-tests", OPENAI_BASE_URL=other.url)
        found = {pong.provider: pong.status for pong in pongs(settings)}
        assert found == {"ark": 200, "openai": 401}
        assert one.asked == [("/models", f"Bearer {KEY}")]
        assert other.asked == [("/models", "Bearer sk-openai-for-tests")]


OWN_WORDS = {
    "anthropic": ("/v1/models?limit=1000", {"x-api-key": "a-key-1"}, {"data": [{"id": "one"}], "has_more": False}),
    "google": ("/v1beta/models?pageSize=1000", {"x-goog-api-key": "a-key-1"}, {"models": [{"name": "models/one"}]}),
}


@pytest.mark.parametrize("name", OWN_WORDS)
def test_who_has_a_dialect_of_its_own_is_asked_in_it(tmp_path: Path, name: str) -> None:
    path, key, body = OWN_WORDS[name]
    with Answering(200, body) as provider:
        settings = placed(tmp_path, name, provider.url + path.partition("/models")[0])
        (pong,) = pongs(settings)
        (asked,), (fields,) = provider.asked, provider.fields
    row = settings.providers[name].row
    assert (pong.models, asked) == (1, (path, ""))
    assert key.items() <= fields.items()
    if row.dialect in DIALECTS:
        own = {header.decode(): value.decode() for header, value in DIALECTS[row.dialect].request_headers(stream=False)}
        assert own.items() <= fields.items()


def placed(home: Path, name: str, url: str) -> Settings:
    row = load({}).providers[name].row
    return load({"THALWEG_HOME": str(home), row.key_variable: "a-key-1", row.base_url_variable: url})


def test_a_base_may_end_with_the_version_that_its_path_begins_with(tmp_path: Path) -> None:
    with Answering(200, LIST) as provider:
        pongs(placed(tmp_path, "anthropic", provider.url))
        pongs(placed(tmp_path, "anthropic", f"{provider.url}/proxy/v1"))
        assert [path for path, _ in provider.asked] == ["/v1/models?limit=1000", "/proxy/v1/models?limit=1000"]


@pytest.mark.parametrize("name", ["openai", "anthropic", "google", "openai-responses"])
def test_who_has_no_list_is_asked_for_one_token_in_its_own_words(tmp_path: Path, name: str) -> None:
    with Answering(200, {"id": "an-answer"}) as provider:
        settings = placed(tmp_path, name, f"{provider.url}/v1")
        settled = settings.providers[name]
        settled = replace(settled, row=replace(settled.row, models_path="", models=settled.row.models or ("gpt-x",)))
        assert asks_for_a_token(settled)
        assert not asks_for_a_token(settings.providers[name])
        (pong,) = pongs(replace(settings, providers={name: settled}), every=True)
        ((path, _),), (body,) = provider.asked, provider.bodies
    assert pong.status == 200
    dialect = DIALECTS[settled.row.dialect]
    assert path.encode() == dialect.request_target(settled.base_path, settled.row.models[0], stream=False)
    asked = dialect.read_request(body, path.encode()).canon()
    assert (asked.sampling.max_tokens, len(asked.messages)) == (1, 1)


def test_google_refuses_a_key_with_the_status_of_any_fault(tmp_path: Path) -> None:
    said = {"error": {"code": 400, "status": "INVALID_ARGUMENT", "details": [{"reason": "API_KEY_INVALID"}]}}
    for body, refuses in ((said, True), ({"error": {"code": 400}}, False)):
        with Answering(400, body) as provider:
            (pong,) = pongs(placed(tmp_path, "google", provider.url))
        assert (pong.status, pong.refuses_key) == (400, refuses)
