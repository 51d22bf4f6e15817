"""The pages in `docs/errors`: one for each kind of fault, with the words that a client gets, and a way to see it."""

from __future__ import annotations

import inspect
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live.gateway import Gateway, clean_environment
from thalweg.canon import errors
from thalweg.canon.errors import GatewayError, UpstreamTimeout
from thalweg.dialects.registry import DIALECTS

PAGES = Path(__file__).resolve().parents[1] / "docs" / "errors"
CHAT = DIALECTS["openai-chat"]


def _sample(kind: type[GatewayError]) -> GatewayError | None:
    """An error of a class, or `None` where another class stands for its kind."""
    if kind is UpstreamTimeout:
        return UpstreamTimeout("", phase="gap")
    return None if kind is errors.UpstreamRefused else kind("")


def _kinds() -> dict[str, list[GatewayError]]:
    found: dict[str, list[GatewayError]] = {}
    for _, kind in inspect.getmembers(errors, inspect.isclass):
        if issubclass(kind, GatewayError) and (sample := _sample(kind)) is not None:
            found.setdefault(sample.kind, []).append(sample)
    return found


KINDS = _kinds()
"""Every kind of fault with an error of each class that has it."""


def facts(kind: str) -> str:
    """The table at the top of a kind's page."""
    statuses = sorted({error.status for error in KINDS[kind]})
    said = json.loads(CHAT.encode_error(KINDS[kind][0]).body)["error"]
    code = f"`{said['code']}`" if said["code"] else "by field"
    retry = "may help" if KINDS[kind][0].retryable or kind == "rate_limit" else "will not help"
    return (
        "| HTTP status | `error.type` | `error.code` | the same again |\n| --- | --- | --- | --- |\n"
        f"| {', '.join(map(str, statuses))} | `{said['type']}` | {code} | {retry} |"
    )


def page_of(kind: str) -> Path:
    return PAGES / f"{kind.replace('_', '-')}.md"


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_kind_of_fault_has_a_page_with_its_words(kind: str) -> None:
    text = page_of(kind).read_text()
    assert facts(kind) in text
    assert "## What to do\n" in text


def test_every_page_is_listed_and_of_a_kind() -> None:
    pages = {page.name for page in PAGES.glob("*.md")} - {"README.md"}
    assert pages == {page_of(kind).name for kind in KINDS}
    assert pages == set(re.findall(r"\(([\w-]+\.md)\)", (PAGES / "README.md").read_text()))


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway as a newcomer starts it: open to this machine, without a key."""
    with Gateway(tmp_path_factory.mktemp("home"), key=None) as started:
        yield started


def _to_see() -> list[tuple[str, str]]:
    blocks = ((page, re.findall(r"^```sh\n(.*?)^```", page.read_text(), re.M | re.S)) for page in PAGES.glob("*.md"))
    return sorted((page.stem.replace("-", "_"), block) for page, found in blocks for block in found)


@pytest.mark.parametrize(("kind", "command"), _to_see(), ids=[kind for kind, _ in _to_see()])
def test_what_a_page_says_to_run_shows_its_fault(kind: str, command: str, gateway: Gateway) -> None:
    if shutil.which("curl") is None:
        pytest.skip("'curl' is not installed on this machine")
    command = command.replace("http://127.0.0.1:8080", gateway.url)
    done = subprocess.run(
        ["sh", "-c", command], capture_output=True, timeout=60, check=True, env=clean_environment({"LC_ALL": "C.UTF-8"})
    )
    last = done.stdout.decode().strip().removesuffix("data: [DONE]").strip().rpartition("\n")[2]
    said = json.loads(last.removeprefix("data: "))["error"]
    words = json.loads(CHAT.encode_error(KINDS[kind][0]).body)["error"]
    assert said["type"] == words["type"]
    assert said["message"]
