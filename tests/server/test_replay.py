"""What is known of a recording's upstream before it is played."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from tests.recorder.test_form import HEADER
from tests.server.gateway import settings_of
from thalweg.canon.errors import NotFound
from thalweg.profiles.base import Profile
from thalweg.profiles.providers import PROVIDERS, SIMULATORS
from thalweg.recorder.form import Header, Line, encode
from thalweg.recorder.writer import Asked
from thalweg.server.recording import asked_of
from thalweg.server.replay import MOST_LISTED, Replays
from thalweg.upstream.base import Origin, UpstreamRequest

ROWS = {row.name: row for row in PROVIDERS}


def row_of(folder: Path, header: Header) -> Profile:
    (folder / "x.jsonl").write_bytes(encode(header) + encode(Line(end="whole")))
    return Replays(settings_of(folder, THALWEG_REPLAY=str(folder))).row("x").profile


@pytest.mark.parametrize("provider", ["openai", "ark", "deepseek", "vllm", "anthropic", "google", "dashscope-native"])
def test_a_stream_is_mended_as_its_providers_are(tmp_path: Path, provider: str) -> None:
    row = ROWS[provider]
    found = row_of(tmp_path, replace(HEADER, provider=provider, dialect=row.dialect, model="m"))
    profile = row.profile_of("m")
    assert found == replace(profile, stream_only=True, media_urls=found.media_urls)
    assert found.media_urls >= {"image", "audio", "video", "document"}


@pytest.mark.parametrize("provider", ["gone", "anthropic"])
def test_of_a_provider_that_is_not_known_here_everything_is_mended(tmp_path: Path, provider: str) -> None:
    found = row_of(tmp_path, replace(HEADER, provider=provider, headers=(("content-type", "application/json"),)))
    assert found.repairs == SIMULATORS["sim-chat"].profile.repairs
    assert not found.stream_only


def test_a_dialect_of_the_future_is_not_played(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="dialect"):
        row_of(tmp_path, replace(HEADER, dialect="telepathy"))


def test_the_last_ones_are_listed(tmp_path: Path) -> None:
    for number in range(MOST_LISTED + 5):
        (tmp_path / f"{number:04}.jsonl").write_bytes(b"")
    names = Replays(settings_of(tmp_path, THALWEG_REPLAY=str(tmp_path))).names()
    assert (names[0], len(names)) == (f"replay/{MOST_LISTED + 4:04}", MOST_LISTED)


def asked(target: str, body: bytes = b'{"model":"m"}', *, method: bytes = b"POST", provider: str = "p") -> Asked | None:
    request = UpstreamRequest(
        origin=Origin("https", "h", 443),
        method=method,
        target=target.encode(),
        headers=(),
        body=body,
        provider=provider,
    )
    return asked_of(request, simulated=False)


@pytest.mark.parametrize(
    ("target", "dialect", "model"),
    [
        ("/v1/chat/completions", "openai-chat", "m"),
        ("/api/v3/responses", "openai-responses", "m"),
        ("/v1/messages?beta=true", "anthropic", "m"),
        ("/v1beta/models/org%2Fa:b:streamGenerateContent?alt=sse&key=x", "gemini", "org/a:b"),
        ("/v1beta/models/g:generateContent", "gemini", "g"),
        ("/api/v1/services/aigc/text-generation/generation", "dashscope-native", "m"),
    ],
)
def test_what_generates_is_recorded_without_its_query(target: str, dialect: str, model: str) -> None:
    found = asked(target)
    assert found is not None
    assert (found.dialect, found.model, found.path) == (dialect, model, target.partition("?")[0])


@pytest.mark.parametrize(
    "target",
    ["/v1/models", "/v1/messages/count_tokens", "/v1beta/models/g:countTokens", "/v1/responses/input_tokens", "/"],
)
def test_what_generates_nothing_is_not_recorded(target: str) -> None:
    assert asked(target) is None
    assert asked("/v1/chat/completions", method=b"GET") is None
    assert asked("/x/chat/completions", provider="replay") is None


@pytest.mark.parametrize("body", [b"", b"[]", b"\xff", b'{"model":1}', b"[" * 100_000])
def test_a_body_without_a_model_is_recorded_all_the_same(body: bytes) -> None:
    found = asked("/v1/chat/completions", body)
    assert found is not None
    assert found.model == ""
