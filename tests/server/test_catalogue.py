"""Lists of models that are asked for in pages, kept on disk, and shown with what is known beside them."""

from __future__ import annotations

import asyncio
import json
import stat
import threading
from collections.abc import Callable
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest
from msgspec.structs import replace

from tests.server.gateway import ask, running, settings_of
from thalweg.canon.policy import PriceOverride
from thalweg.catalogue.price import OVERRIDDEN
from thalweg.config import Settings
from thalweg.server import catalogue as room
from thalweg.server.app import make_connector
from thalweg.server.catalogue import FILE, Catalogue, ask_lists, keep_lists

SECRET = "sk-secret-of-a-provider"


class Provider:
    """A provider's `/models` on loopback: what `answer` makes of the query of each request, and of how many came before."""

    def __init__(self, answer: Callable[[dict[str, str], int], tuple[int, Any]]) -> None:
        self.answer = answer
        self.asked: list[tuple[str, dict[str, str]]] = []
        provider, asked = self, self.asked

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                query = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
                status, body = provider.answer(query, len(asked))
                asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
                data = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def names(*listed: str) -> dict[str, Any]:
    return {"object": "list", "data": [{"id": name, "object": "model"} for name in listed]}


def asked(settings: Settings, *providers: str) -> tuple[Catalogue, set[str]]:
    """What is known once these were asked, and who had no list to give."""

    async def run() -> tuple[Catalogue, set[str]]:
        catalogue, connector = Catalogue(settings), make_connector(settings)
        try:
            return catalogue, await ask_lists(catalogue, connector, list(providers))
        finally:
            await connector.close()

    return asyncio.run(run())


def openai_at(home: Path, url: str, **env: str) -> Settings:
    return settings_of(home, OPENAI_API_KEY=SECRET, OPENAI_BASE_URL=url + "/v1", **env)


# Pages


def anthropic_pages(query: dict[str, str], _: int) -> tuple[int, Any]:
    after = {None: ("claude-a", "claude-b"), "claude-b": ("claude-c", "claude-d"), "claude-d": ("claude-e",)}
    page = after[query.get("after_id")]
    data = [{"type": "model", "id": name, "max_input_tokens": 1000, "max_tokens": 10} for name in page]
    return 200, {"data": data, "has_more": page[-1] != "claude-e", "last_id": page[-1], "first_id": page[0]}


def google_pages(query: dict[str, str], _: int) -> tuple[int, Any]:
    after = {None: ("gemini-a", "two/="), "two/=": ("gemini-b", None)}
    name, following = after[query.get("pageToken")]
    model = {"name": f"models/{name}", "inputTokenLimit": 5, "supportedGenerationMethods": ["generateContent"]}
    return 200, {"models": [model]} | ({"nextPageToken": following} if following else {})


def openai_pages(query: dict[str, str], _: int) -> tuple[int, Any]:
    first = "after" not in query
    return 200, names("m-1" if first else "m-2") | {"has_more": first, "last_id": "m-1" if first else "m-2"}


PAGED = [
    ("anthropic", ("ANTHROPIC", "x-api-key"), anthropic_pages, ("claude-a", "claude-b", "claude-c", "claude-d", "claude-e"),
     ["/v1/models?limit=1000", "/v1/models?limit=1000&after_id=claude-b", "/v1/models?limit=1000&after_id=claude-d"]),
    ("google", ("GEMINI", "x-goog-api-key"), google_pages, ("gemini-a", "gemini-b"),
     ["/models?pageSize=1000", "/models?pageSize=1000&pageToken=two%2F%3D"]),
    ("deepseek", ("DEEPSEEK", "authorization"), openai_pages, ("m-1", "m-2"), ["/models", "/models?after=m-1"]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "key", "answer", "models", "paths"), PAGED, ids=[row[0] for row in PAGED])
def test_a_list_is_asked_for_page_by_page_with_its_providers_key(
    tmp_path: Path, *, name: str, key: tuple[str, str], answer: Any, models: tuple[str, ...], paths: list[str]
) -> None:
    stem, header = key
    with Provider(answer) as provider:
        env = {f"{stem}_API_KEY": SECRET, f"{stem}_BASE_URL": provider.url}
        known, failed = asked(settings_of(tmp_path, **env), name)
    assert (known.names, failed) == ({name: models}, set())
    assert [path for path, _ in provider.asked] == paths
    assert all(fields[header].endswith(SECRET) for _, fields in provider.asked)
    assert all(fields["x-thalweg-hop"] == "1" for _, fields in provider.asked)


def endless(query: dict[str, str], count: int) -> tuple[int, Any]:
    return 200, names(f"m-{count}") | {"has_more": True, "last_id": f"m-{count}"}


def in_a_circle(query: dict[str, str], count: int) -> tuple[int, Any]:
    return 200, names(f"m-{count}") | {"has_more": True, "last_id": "the-same"}


def broken_off(query: dict[str, str], count: int) -> tuple[int, Any]:
    return (500, b"") if count else (200, names("m-1") | {"has_more": True, "last_id": "m-1"})


BAD: list[tuple[str, Callable[[dict[str, str], int], tuple[int, Any]]]] = [
    ("refuses", lambda _q, _c: (401, {"error": {"message": f"{SECRET} is wrong"}})),
    ("has nothing", lambda _q, _c: (200, names())),
    ("has only embeddings", lambda _q, _c: (200, names("text-embedding-x"))),
    ("has no list", lambda _q, _c: (200, b"<html>")),
    ("sends others elsewhere", lambda _q, _c: (302, b"")),
    ("never ends", endless),
    ("goes in a circle", in_a_circle),
    ("breaks off after a page", broken_off),
    ("has too many", lambda _q, _c: (200, names(*(f"m-{number}" for number in range(room.MOST_MODELS + 1))))),
    ("says too much", lambda _q, _c: (200, b" " * (9 * 1024 * 1024))),
]


@pytest.mark.parametrize(("_", "answer"), BAD, ids=[row[0] for row in BAD])
def test_a_provider_that_fails_keeps_what_it_had(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, _: str, answer: Any
) -> None:
    async def twice() -> set[str]:
        connector = make_connector(settings)
        try:
            assert await ask_lists(known, connector, ["openai"]) == set()
            provider.answer = answer
            provider.asked.clear()
            return await ask_lists(known, connector, ["openai"])
        finally:
            await connector.close()

    with Provider(lambda _q, _c: (200, names("gpt-good"))) as provider:
        settings = openai_at(tmp_path, provider.url)
        known = Catalogue(settings)
        assert asyncio.run(twice()) == {"openai"}
        assert 0 < len(provider.asked) <= room.MOST_PAGES
    assert known.names == {"openai": ("gpt-good",)}
    assert "no list of models came from openai" in caplog.text
    assert SECRET not in caplog.text


def test_one_that_is_slow_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "PAGE_S", 0.2)
    over = threading.Event()

    def hang(_: dict[str, str], __: int) -> tuple[int, Any]:
        over.wait(20)
        return 200, names("late")

    with Provider(hang) as provider:
        known, failed = asked(openai_at(tmp_path, provider.url), "openai")
        over.set()
    assert (known.names, failed) == ({}, {"openai"})


def test_only_providers_with_a_key_are_asked(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, OPENAI_API_KEY=SECRET, OLLAMA_BASE_URL="http://127.0.0.1:9/v1")
    assert [each.row.name for each in Catalogue(settings).asked] == ["openai"]
    assert Catalogue(settings_of(tmp_path, OPENAI_API_KEY=SECRET, THALWEG_SIMULATE="1")).asked == []


# On disk


def test_a_restart_has_the_lists_at_once(tmp_path: Path) -> None:
    with Provider(lambda _q, _c: (200, names("gpt-5", "gpt-new"))) as provider:
        settings = openai_at(tmp_path, provider.url)
        asked(settings, "openai")
    file = tmp_path / FILE
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert SECRET not in file.read_text()
    assert "127.0.0.1" not in file.read_text()
    again = Catalogue(settings)
    again.read()
    assert again.names == {"openai": ("gpt-5", "gpt-new")}
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


def test_a_list_is_of_its_address(tmp_path: Path) -> None:
    with Provider(lambda _q, _c: (200, names("gpt-5"))) as provider:
        asked(openai_at(tmp_path, provider.url), "openai")
        for settings in (settings_of(tmp_path), settings_of(tmp_path, OPENAI_API_KEY=SECRET),
                         openai_at(tmp_path, provider.url + "/elsewhere")):  # fmt: skip
            other = Catalogue(settings)
            other.read()
            assert other.names == {}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"\xff",
        b"[" * 100_000,
        b'{"version":2,"providers":{}}',
        b'{"version":1,"providers":{"nobody":{"place":"","asked_at":1,"models":[]}}}',
    ],
)
def test_a_file_that_cannot_be_read_is_as_none(tmp_path: Path, body: bytes) -> None:
    (tmp_path / FILE).write_bytes(body)
    known = Catalogue(settings_of(tmp_path, OPENAI_API_KEY=SECRET))
    known.read()
    assert known.names == {}


def test_a_file_beyond_all_bounds_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Provider(lambda _q, _c: (200, names("gpt-5"))) as provider:
        settings = openai_at(tmp_path, provider.url)
        asked(settings, "openai")
    monkeypatch.setattr(room, "MOST_FILE_BYTES", 10)
    known = Catalogue(settings)
    known.read()
    assert known.names == {}


def test_a_home_that_cannot_be_written_costs_only_the_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with Provider(lambda _q, _c: (200, names("gpt-5"))) as provider:
        known, failed = asked(openai_at(tmp_path / "not there", provider.url), "openai")
    assert (known.names, failed) == ({"openai": ("gpt-5",)}, set())
    assert "cannot be kept" in caplog.text


def test_lists_are_asked_for_at_start_and_again_when_they_are_old(tmp_path: Path) -> None:
    """One that failed is asked sooner."""
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            raise asyncio.CancelledError

    async def keep(settings: Settings) -> None:
        connector = make_connector(settings)
        try:
            with pytest.raises(asyncio.CancelledError):
                await keep_lists(Catalogue(settings), connector, clock=lambda: sum(pauses), pause=pause)
        finally:
            await connector.close()

    with Provider(lambda _q, count: (500, b"") if count == 0 else (200, names("gpt-5"))) as provider:
        asyncio.run(keep(openai_at(tmp_path, provider.url)))
        assert len(provider.asked) == 3
    assert pauses == [room.AGAIN_S, room.EVERY_S, room.EVERY_S]


# What is known


ROUTER = {
    "id": "maker/model-x", "context_length": 64_000,
    "pricing": {"prompt": "0.000001", "completion": "0.000002"},
    "architecture": {"input_modalities": ["text", "image"], "output_modalities": ["text"]},
}  # fmt: skip


def test_the_operator_comes_before_the_provider_and_that_before_the_table(tmp_path: Path) -> None:
    with Provider(lambda _q, _c: (200, {"data": [ROUTER, ROUTER | {"id": "maker/model-y"}]})) as provider:
        settings = settings_of(tmp_path, OPENROUTER_API_KEY=SECRET, OPENROUTER_BASE_URL=provider.url)
        asked(settings, "openrouter")
    own = {"openrouter/maker/model-y": PriceOverride(currency="USD", input=Decimal(7), output=Decimal(8))}
    known = Catalogue(replace(settings, prices=own))
    known.read()
    listed = known.about("openrouter", "maker/model-x")
    assert (listed.context_window, listed.input_modalities) == (64_000, ("text", "image"))
    assert listed.price is not None
    assert (listed.price.input, listed.price.output, listed.price.date) == ("1", "2", None)
    assert listed.price.source == "OpenRouter: models"
    given = known.about("openrouter", "maker/model-y").price
    assert given is not None
    assert (given.input, given.source) == ("7", OVERRIDDEN)
    assert known.price_of("openrouter", "maker/unknown") is None
    assert known.price_of("nobody", "x") is None


def test_where_a_list_agrees_with_the_table_the_table_knows_more(tmp_path: Path) -> None:
    """A list has one rate; the table has those of long prompts, too."""
    settings = settings_of(tmp_path, OPENROUTER_API_KEY=SECRET)
    (name, tiered), *_ = [
        (row["match"][0], row)
        for each in json.loads((Path(room.__file__).parents[1] / "catalogue" / "table.json").read_text())["lists"]
        for row in each["models"]
        if each["provider"] == "openrouter" and row.get("tiers") and "*" not in row["match"][0]
    ]
    same = {"prompt": str(Decimal(tiered["price"]["input"]) / 1_000_000),
            "completion": str(Decimal(tiered["price"]["output"]) / 1_000_000)}  # fmt: skip
    for pricing, tiers in ((same, True), (same | {"completion": "0.5"}, False)):
        known = Catalogue(settings)
        body = json.dumps({"data": [{"id": name, "pricing": pricing}]}).encode()
        known.take(settings.providers["openrouter"], room.read_page(body, "openai").models, 0)
        price = known.price_of("openrouter", name)
        assert price is not None
        assert bool(price.tiers) == tiers


def test_a_price_in_the_list_of_one_who_is_not_known_to_have_any_is_none(tmp_path: Path) -> None:
    with Provider(lambda _q, _c: (200, {"data": [ROUTER]})) as provider:
        settings = openai_at(tmp_path, provider.url)
        known, _ = asked(settings, "openai")
    assert known.price_of("openai", "maker/model-x") is None
    assert known.about("openai-responses", "maker/model-x").context_window == 64_000


# What is shown


def test_models_are_shown_with_what_is_known_of_them() -> None:
    with running(settings_of(OPENAI_API_KEY=SECRET, ARK_API_KEY=SECRET, DEEPSEEK_API_KEY=SECRET)) as gateway:
        known = gateway.gateway.house.catalogue
        provider = gateway.settings.providers["openai"]
        known.take(provider, room.read_page(json.dumps(names("gpt-new", "gpt-5")).encode(), "openai").models, 0)
        rows = {row["id"]: row for row in ask(gateway.port, "/v1/models", method="GET").json["data"]}
        one = ask(gateway.port, "/v1/models/openai/gpt-5", method="GET").json
        offers = ask(gateway.port, "/providers", method="GET").json["providers"]
    assert [name for name in rows if name.startswith("openai/")] == ["openai/gpt-5", "openai/gpt-new"], (
        "those that the row names come first"
    )
    assert next(offer for offer in offers if offer["name"] == "openai")["models"] == ["openai/gpt-5", "openai/gpt-new"]
    assert one == rows["openai/gpt-5"]
    assert one["context_window"] == one["inputTokenLimit"] == one["max_input_tokens"] == 400_000
    assert one["max_output_tokens"] == one["outputTokenLimit"] == one["max_tokens"] == 128_000
    assert one["input_modalities"] == ["text", "image", "document"]
    assert one["price"] | {"source": "", "date": ""} == {
        "currency": "USD", "per_tokens": 1_000_000, "input": "1.25", "output": "10", "cached_input": "0.125",
        "source": "", "date": "",
    }  # fmt: skip
    assert rows["deepseek/deepseek-v4-pro"]["price"]["note"]
    for unknown in (rows["openai/gpt-new"], rows["ark/doubao-seed-1-8-251215"], rows["sim/text"]):
        assert unknown["context_window"] is unknown["price"] is unknown["input_modalities"] is None
        assert "inputTokenLimit" not in unknown


def test_a_long_prompts_rates_are_shown() -> None:
    known = Catalogue(settings_of(GEMINI_API_KEY=SECRET)).about("google", "gemini-2.5-pro")
    assert known.price is not None
    (tier,) = known.price.tiers
    assert (tier.above_input_tokens, tier.input, known.price.input) == (200_000, "2.5", "1.25")
    assert json.loads(msgspec.json.encode(known))["price"]["tiers"][0]["above_input_tokens"] == 200_000
