"""Settings that change under a running server: what holds from then on, what is told, and that no stream is touched."""

from __future__ import annotations

import asyncio
import os
import pty
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.server.gateway import CHAT, KEY, PATIENCE_S, Caller, Upstream, answer, ask, chat, events, request, running
from tests.server.process import Served, environment, served
from thalweg.catalogue.lists import ListedModel
from thalweg.config import Settings, load
from thalweg.server.reload import Reloader

OTHER_KEY = "sk-gateway-of-tomorrow"
LONG = "sim/text?pace=25&tokens=75&ttft=0"
"""Speaks for 3 s."""
ANSWER = b'{"id":"x","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}]}'


def until_printed(server: Served, words: str) -> str:
    """The line that holds the words, once it is there."""
    end = time.monotonic() + PATIENCE_S
    while not (found := [line for line in server.printed if words in line]):
        assert time.monotonic() < end, server.printed
        time.sleep(0.01)
    return found[-1]


def written(file: Path, text: str) -> None:
    """As editors write: beside, then in its place."""
    beside = file.with_suffix(".new")
    beside.write_text(text, encoding="utf-8")
    beside.replace(file)


def status(server: Served, model: str, key: str = KEY) -> int:
    return ask(server.port, CHAT, chat(model), key=key).status


def test_a_changed_file_holds_for_the_next_request_and_touches_no_open_stream(tmp_path: Path) -> None:
    file = tmp_path / "thalweg.toml"
    file.write_text(f'[server]\napi_key = "{KEY}"\n', encoding="utf-8")
    with (
        Upstream(lambda _: answer(200, ANSWER)) as upstream,
        served(tmp_path, "--config", str(file), THALWEG_API_KEY="", THALWEG_LOG="json") as server,
        Caller(server.port) as streaming,
    ):
        streaming.send(request(CHAT, chat(LONG, stream=True, stream_options={"include_usage": True})))
        assert streaming.reply_head()[0] == 200
        chunks = streaming.chunks()
        read = next(chunks)
        assert status(server, "relay/m") == 404

        # The watch sees it by itself.
        relay = f'[providers.relay]\nbase_url = "{upstream.url}"\napi_key = "sk-of-the-relay"\n'
        written(file, f'[server]\napi_key = "{OTHER_KEY}"\nfetch_media = false\n{relay}')
        assert "providers.relay" in until_printed(server, "settings read again")
        assert "server.fetch_media" in until_printed(server, "holds from the next start on")
        assert status(server, "relay/m", OTHER_KEY) == 200
        assert b"sk-of-the-relay" in upstream.requests[-1]
        assert status(server, "relay/m", KEY) == 401

        # What is wrong is told, and what held goes on to hold.
        written(file, f'[server]\napi_key = "{KEY}"\nprot = 5\n[timeouts]\ngap_s = 0\n{relay}')
        server.stop(signal.SIGHUP)
        assert f"the settings stay as they were: {file}:3:" in until_printed(server, "server.prot is no setting")
        assert f"the settings stay as they were: {file}:5:" in until_printed(server, "timeouts.gap_s: expected")
        assert status(server, "relay/m", OTHER_KEY) == 200

        written(file, f'[server]\napi_key = "{OTHER_KEY}"\n')
        server.stop(signal.SIGHUP)
        end = time.monotonic() + PATIENCE_S
        while status(server, "relay/m", OTHER_KEY) != 404:
            assert time.monotonic() < end

        *_, last, done = events(read + b"".join(chunks))
        assert (last["usage"]["completion_tokens"], done) == (75, "[DONE]")
        server.stop()
        assert server.exit_code() == 0
    printed = "".join(server.printed)
    assert not [secret for secret in (KEY, OTHER_KEY, "sk-of-the-relay") if secret in printed]


def test_a_key_cannot_be_taken_away_from_an_open_address(tmp_path: Path) -> None:
    """The file may say that it listens on loopback: what counts is where it does."""
    file = tmp_path / "thalweg.toml"
    file.write_text(f'[server]\nhost = "0.0.0.0"\napi_key = "{KEY}"\n', encoding="utf-8")
    with served(tmp_path, "--config", str(file), THALWEG_API_KEY="", THALWEG_LOG="json") as server:
        written(file, '[server]\nhost = "127.0.0.1"\n')
        server.stop(signal.SIGHUP)
        assert "0.0.0.0" in until_printed(server, "the settings stay as they were")
        assert ask(server.port, CHAT, chat(), key=None).status == 401
        assert status(server, "sim/text?pace=0&ttft=0") == 200


def test_a_terminal_that_goes_ends_the_server(tmp_path: Path) -> None:
    """It sends the same signal as those do who want the settings read again."""
    process, terminal = pty.fork()
    if not process:
        os.execve(sys.executable, [sys.executable, "-m", "thalweg", "serve", "--port", "0"], environment(tmp_path))
    try:
        read = b""
        while b"until Ctrl-C" not in read:
            read += os.read(terminal, 4096)
    finally:
        os.close(terminal)
    end = time.monotonic() + PATIENCE_S
    while (ended := os.waitpid(process, os.WNOHANG))[0] == 0:
        assert time.monotonic() < end
        time.sleep(0.01)
    assert os.WIFEXITED(ended[1])  # with a code that says that its output had nowhere to go


class Files:
    """What a reloader reads, and how often."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.reads = 0

    def write(self, text: str) -> None:
        written(self.folder / "thalweg.toml", text)

    def load(self, **flags: Any) -> Settings:
        self.reads += 1
        env = {"THALWEG_HOME": str(self.folder), "THALWEG_FIND_ENGINES": "0"}
        return load(env, folder=self.folder, **({"port": 0} | flags))


CHANGES = {
    "an alias": ('[aliases]\na = "ark/x"', lambda now: list(now.aliases) == ["a"]),
    "timeouts": ("[timeouts]\ngap_s = 7", lambda now: now.timeouts.gap_s == 7),
    "attempts": ("[attempts]\nmost = 7", lambda now: now.attempts.most == 7),
    "leave": ('leave = "drain"', lambda now: now.leave.kind == "drain"),
    "a price": ('[prices."ark/x"]\ncurrency = "CNY"\ninput = 1\noutput = 2', lambda now: list(now.prices) == ["ark/x"]),
    "the drain": ("[server]\ndrain_s = 7", lambda now: now.limits.drain_s == 7),
    "the simulator": ("[server]\nsimulate = true", lambda now: now.simulate),
    "a provider's key": ('[providers.ark]\napi_key = "sk-ark"', lambda now: now.providers["ark"].ready),
}


@pytest.mark.parametrize(("text", "holds"), CHANGES.values(), ids=CHANGES)
def test_what_can_change_changes(tmp_path: Path, text: str, holds: Any) -> None:
    files = Files(tmp_path)
    files.write("")
    with running(files.load()) as gateway:
        house = gateway.gateway.house
        assert not holds(house.settings)
        files.write(text)
        _read_again(gateway, files)
        assert holds(house.settings)
        assert house.directory._settings is house.settings


KEPT = ["[buffers]\nframe_mb = 1", "[limits]\nbody_mb = 1", "[server]\nfetch_media = false", '[server]\nlog = "off"']


@pytest.mark.parametrize("text", KEPT)
def test_what_cannot_change_stays(tmp_path: Path, text: str) -> None:
    files = Files(tmp_path)
    files.write("")
    with running(files.load()) as gateway:
        before = gateway.gateway.house.settings
        files.write(text)
        _read_again(gateway, files)
        assert gateway.gateway.house.settings is not before
        assert gateway.gateway.house.settings == before


def test_a_price_and_a_list_are_those_of_the_settings_that_hold(tmp_path: Path) -> None:
    files = Files(tmp_path)
    files.write(
        '[providers.openai]\napi_key = "sk-openai"\n[prices."openai/m"]\ncurrency = "USD"\ninput = 1\noutput = 2'
    )
    with running(files.load()) as gateway:
        known = gateway.gateway.house.catalogue
        openai = gateway.gateway.house.settings.providers["openai"]
        gateway.run(_called(lambda: known.take(openai, (ListedModel(id="m"),), 0)))
        price = known.price_of("openai", "m")
        assert price is not None
        assert (price.currency, known.names["openai"]) == ("USD", ("m",))
        files.write(
            '[providers.openai]\napi_key = "sk-openai"\n[prices."openai/m"]\ncurrency = "CNY"\ninput = 1\noutput = 2'
        )
        _read_again(gateway, files)
        price = known.price_of("openai", "m")
        assert price is not None
        assert (price.currency, known.names["openai"]) == ("CNY", ("m",))
        files.write('[providers.openai]\napi_key = "sk-openai"\nbase_url = "http://relay:1/v1"')
        _read_again(gateway, files)
        assert "openai" not in known.names


async def _called(work: Any) -> Any:
    return work()


def test_a_file_that_is_the_same_is_not_read_again_nor_one_that_has_gone(tmp_path: Path) -> None:
    files = Files(tmp_path)
    files.write("[timeouts]\ngap_s = 7")
    with running(files.load()) as gateway:
        reloader = gateway.run(_made(gateway, files))
        assert not reloader._changed()
        files.write("[timeouts]\ngap_s = 8")
        assert reloader._changed()
        assert not reloader._changed()
        (tmp_path / "thalweg.toml").unlink()
        assert not reloader._changed()
        files.write("[timeouts]\ngap_s = 9")
        assert reloader._changed()


async def _made(gateway: Any, files: Files) -> Reloader:
    return Reloader(gateway.gateway.house, files.load, look_s=0.01)


def _read_again(gateway: Any, files: Files) -> None:
    """Run a reloader until it has read what is there now."""

    async def until() -> None:
        files.reads = 0
        before = gateway.gateway.house.settings
        reloader = await _made(gateway, files)
        reloader.ask()
        task = asyncio.create_task(reloader.run())
        async with asyncio.timeout(PATIENCE_S):
            while gateway.gateway.house.settings is before:
                await asyncio.sleep(0)
        task.cancel()

    gateway.run(until())
    assert files.reads == 2
