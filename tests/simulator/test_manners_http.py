"""A provider's manner over HTTP: its paths and its keys, and the command that starts it."""

from __future__ import annotations

from collections.abc import Iterator
from http.client import HTTPConnection
from typing import NamedTuple
from urllib.parse import urlsplit

import pytest

from tests.live.gateway import Simulator
from tests.simulator.stage import body_of

KEY = {"authorization": "Bearer sk-anything", "content-type": "application/json"}


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes


def request(url: str, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
    where = urlsplit(url)
    connection = HTTPConnection(where.hostname or "", where.port, timeout=30)
    try:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
    finally:
        connection.close()


@pytest.fixture(scope="module")
def dashscope() -> Iterator[Simulator]:
    with Simulator("dashscope") as started:
        yield started


def test_it_says_where_its_api_lies(dashscope: Simulator) -> None:
    assert f"listens on {dashscope.url}/compatible-mode/v1" in dashscope.log
    assert dashscope.base_url == f"{dashscope.url}/compatible-mode/v1"


def test_an_unchanged_name_is_answered_at_the_providers_path(dashscope: Simulator) -> None:
    path = urlsplit(f"{dashscope.base_url}/chat/completions").path
    answer = request(dashscope.url, "POST", path, body_of("qwen-plus?pace=0"), **KEY)
    assert (answer.status, answer.headers["content-type"]) == (200, "text/event-stream;charset=UTF-8")
    assert b'"delta":{"content":"","role":"assistant"}' in answer.body
    assert answer.body.endswith(b"data: [DONE]\n\n")


def test_its_models_are_listed(dashscope: Simulator) -> None:
    answer = request(dashscope.url, "GET", "/compatible-mode/v1/models", **KEY)
    assert answer.status == 200
    assert b'"qwen3-max"' in answer.body


@pytest.mark.parametrize(
    ("path", "headers", "status", "said"),
    [
        ("/compatible-mode/v1/chat/completions", {}, 401, b"You didn't provide an API key"),
        ("/compatible-mode/v1/chat/completions", {"authorization": "Bearer sk-bad-1"}, 401, b"Incorrect API key"),
        ("/compatible-mode/v1/models", {}, 401, b"You didn't provide an API key"),
        ("/v1/chat/completions", KEY, 404, b"Not Found"),
    ],
    ids=["no key", "a wrong key", "no key for the list of models", "another provider's path"],
)
def test_who_comes_the_wrong_way_is_refused(
    dashscope: Simulator, path: str, headers: dict[str, str], status: int, said: bytes
) -> None:
    answer = request(dashscope.url, "GET" if "models" in path else "POST", path, body_of("qwen-plus"), **headers)
    assert answer.status == status
    assert said in answer.body
