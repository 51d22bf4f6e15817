"""The pages in `docs/providers`: made of their rows, and what they say to set makes their first call work."""

from __future__ import annotations

import re
import subprocess
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.live.conftest import StartGateway
from tests.live.gateway import WatchedSimulator, provider_environment
from tests.sdk.examples import RUN_S, Examples, python_command
from tests.sdk.provider_pages import NOTES, PAGES, path_of, render
from tests.sdk.readings import assert_complete
from thalweg.profiles.base import Provider
from thalweg.profiles.providers import PROVIDERS

_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.M | re.S)
COMPATIBLE = PAGES / "compatible.md"


MAIN = [row for row in PROVIDERS if not row.sibling_of]


@pytest.mark.parametrize("row", MAIN, ids=[row.name for row in MAIN])
def test_a_page_is_made_of_its_row(row: Provider) -> None:
    """`python -m tests.sdk.provider_pages` writes them anew."""
    made, _, notes = path_of(row).read_text().partition(NOTES)
    assert made == render(row)
    assert notes.strip()


def test_every_page_is_listed() -> None:
    pages = {path_of(row).name for row in PROVIDERS} | {COMPATIBLE.name}
    assert pages == {page.name for page in PAGES.glob("*.md")} - {"README.md"}
    assert pages == set(re.findall(r"\(([\w-]+\.md)\)", (PAGES / "README.md").read_text()))


def first_call(page: Path, gateway: Examples, *, number: int = 0, **instead: str) -> str:
    """What a program on a page prints, the first one unless another number says so, with other names of models."""
    code = _BLOCK.findall(page.read_text())[number]
    for old, new in {"http://127.0.0.1:8080": gateway.gateway.url, **instead}.items():
        code = code.replace(old, new)
    done = subprocess.run(
        [python_command(), "-c", code], capture_output=True, timeout=RUN_S, check=False, env=gateway.environment()
    )
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return done.stdout.decode()


CHAT = [row for row in PROVIDERS if row.dialect == "openai-chat"]


@pytest.mark.sdk
@pytest.mark.slow
def test_what_the_pages_say_to_set_makes_their_first_calls_work(start_gateway: StartGateway, tmp_path: Path) -> None:
    """All of them at one gateway, each provider played by the simulator in its manner."""
    with ExitStack() as running:
        environment: dict[str, str] = {}
        for name, manner in [*((row.name, row.name) for row in CHAT), ("relay", "aggregator")]:
            simulator = running.enter_context(WatchedSimulator(manner))
            environment |= provider_environment(simulator.base_url, name)
        gateway = Examples(start_gateway(key=None, environment=environment), tmp_path)
        for row in CHAT:
            assert "你好" in first_call(path_of(row), gateway, NAME="text"), row.name
        assert "短诗" in first_call(COMPATIBLE, gateway)
        entries = gateway.gateway.settled_since(0, len(CHAT) + 1)
        assert [entry.provider for entry in entries] == [*(row.name for row in CHAT), "relay"]
        for entry in entries:
            assert_complete(entry)


BASES = {"openai-responses": "/v1", "anthropic": "", "gemini": "/v1beta"}
"""Where the simulator has the dialects in which a page's program may call, below its address."""
FINISHED = {"openai-responses": "completed", "anthropic": "end_turn", "gemini": "STOP"}
OTHERS = [row for row in PROVIDERS if row.dialect in BASES]


@pytest.mark.sdk
@pytest.mark.slow
def test_so_do_the_calls_in_other_dialects(start_gateway: StartGateway, tmp_path: Path) -> None:
    with WatchedSimulator() as simulator:
        origin = simulator.base_url.removesuffix("/v1")
        environment: dict[str, str] = {}
        for row in OTHERS:
            environment |= provider_environment(f"{origin}{BASES[row.dialect]}", row.name)
        gateway = Examples(start_gateway(key=None, environment=environment), tmp_path)
        for row in OTHERS:
            main = next((each for each in PROVIDERS if each.name == row.sibling_of), row)
            said = first_call(path_of(row), gateway, number=row is not main, **{main.models[0]: "text"})
            assert "你好" in said, row.name
        entries = gateway.gateway.settled_since(0, len(OTHERS))
        assert [entry.provider for entry in entries] == [row.name for row in OTHERS]
        for row, entry in zip(OTHERS, entries, strict=True):
            assert_complete(entry, FINISHED[row.dialect])
