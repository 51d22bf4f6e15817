"""`import thalweg`: cheap, and with every name that it says it has."""

from __future__ import annotations

import subprocess
import sys

import pytest

import thalweg


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_the_import_loads_nothing_of_ours_and_nothing_large() -> None:
    loaded = run("import sys; before = set(sys.modules); import thalweg; print(*sorted(set(sys.modules) - before))")
    assert [name for name in loaded.split() if name.startswith("thalweg.")] == []
    assert {"msgspec", "asyncio", "typing", "httptools"}.isdisjoint(loaded.split())


def test_the_codecs_load_no_network() -> None:
    loaded = run("import sys, thalweg; thalweg.decode(b'{}', 'anthropic'); print(*sys.modules)").split()
    assert {"asyncio", "socket", "httptools", "starlette", "thalweg.server", "thalweg.config"}.isdisjoint(loaded)


@pytest.mark.parametrize("name", thalweg.__all__)
def test_every_name_is_there(name: str) -> None:
    assert getattr(thalweg, name) is not None
    assert name in dir(thalweg)


def test_no_other_name_is() -> None:
    with pytest.raises(AttributeError, match="'nothing'"):
        _ = thalweg.nothing


async def test_one_call_needs_no_client() -> None:
    answer = await thalweg.complete("sim/text?pace=0", "Hello")
    assert "Hello" in answer.text
    texts = [text async for text in thalweg.stream("sim/text?pace=0", "Hello").texts()]
    assert "Hello" in "".join(texts)


def test_a_body_is_decoded_and_rewritten() -> None:
    body = b'{"id":"c","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}]}'
    assert thalweg.decode(body, "openai-chat").text == "hi"
    assert thalweg.decode(thalweg.transcode(body, "openai-chat", "gemini").body, "gemini").text == "hi"
