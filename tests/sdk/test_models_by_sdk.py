"""The list of models as the official packages read it: all names, and what is known of one, in each package's fields."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator

import pytest

from tests.live.gateway import Gateway, clean_environment
from tests.sdk.examples import sdk_program

pytestmark = pytest.mark.sdk

NAME = "openai/gpt-5.4-mini"


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway that knows a provider."""
    with Gateway(tmp_path_factory.mktemp("home"), environment={"OPENAI_API_KEY": "sk-openai-for-tests"}) as started:
        yield started


def test_every_package_lists_the_models_and_reads_what_is_known_of_one(keyed: Gateway) -> None:
    done = subprocess.run(
        [*sdk_program("list_models.py"), NAME],
        env=clean_environment({"BASE_URL": keyed.url, "API_KEY": keyed.key}),
        capture_output=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    openai, anthropic, google = json.loads(done.stdout)
    assert openai["names"] == anthropic["names"] == google["names"]
    assert {NAME, "sim/text"} <= set(openai["names"])
    assert openai["one"] == anthropic["one"] == google["one"] == NAME
    assert openai["context"] == anthropic["context"] == google["context"] == 400_000
    assert anthropic["longest"] == google["longest"] == 128_000
    assert (openai["price"]["currency"], openai["price"]["input"]) == ("USD", "0.75")
