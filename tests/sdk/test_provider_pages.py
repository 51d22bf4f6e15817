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


@pytest.mark.parametrize("row", PROVIDERS, ids=[row.name for row in PROVIDERS])
def test_a_page_is_made_of_its_row(row: Provider) -> None:
    """`python -m tests.sdk.provider_pages` writes them anew."""
    made, _, notes = path_of(row).read_text().partition(NOTES)
    assert made == render(row)
    assert notes.strip()


def test_every_page_is_listed() -> None:
    pages = {path_of(row).name for row in PROVIDERS} | {COMPATIBLE.name}
    assert pages == {page.name for page in PAGES.glob("*.md")} - {"README.md"}
    assert pages == set(re.findall(r"\(([\w-]+\.md)\)", (PAGES / "README.md").read_text()))


def first_call(page: Path, gateway: Examples, model: str = "NAME") -> str:
    """What the program on a page prints."""
    (code,) = _BLOCK.findall(page.read_text())
    code = code.replace("http://127.0.0.1:8080", gateway.gateway.url).replace("NAME", model)
    done = subprocess.run(
        [python_command(), "-c", code], capture_output=True, timeout=RUN_S, check=False, env=gateway.environment()
    )
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return done.stdout.decode()


@pytest.mark.sdk
@pytest.mark.slow
def test_what_the_pages_say_to_set_makes_their_first_calls_work(start_gateway: StartGateway, tmp_path: Path) -> None:
    """All of them at one gateway, each provider played by the simulator in its manner."""
    with ExitStack() as running:
        environment: dict[str, str] = {}
        for name, manner in [*((row.name, row.name) for row in PROVIDERS), ("relay", "aggregator")]:
            simulator = running.enter_context(WatchedSimulator(manner))
            environment |= provider_environment(simulator.base_url, name)
        gateway = Examples(start_gateway(key=None, environment=environment), tmp_path)
        for row in PROVIDERS:
            assert "你好" in first_call(path_of(row), gateway, "text"), row.name
        assert "短诗" in first_call(COMPATIBLE, gateway)
        entries = gateway.gateway.settled_since(0, len(PROVIDERS) + 1)
        assert [entry.provider for entry in entries] == [*(row.name for row in PROVIDERS), "relay"]
        for entry in entries:
            assert_complete(entry)
