"""The pages in `docs/clients`: what a reader copies from them works as it stands, but for the port."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest

from tests.live.gateway import ROOT, Gateway
from tests.sdk.examples import EXAMPLES, RUN_S, Examples, clients_program, node_command, program, python_command
from tests.sdk.readings import assert_complete

PAGES = ROOT / "docs" / "clients"
WRITTEN = "http://127.0.0.1:8080"
"""The address that stands on every page."""
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.M | re.S)

CLOSING = re.compile("流水|深泓|百川")
"""Each answer of `sim/text` ends with one of these."""


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Examples]:
    """A gateway that takes any key, as the reader's own on loopback does."""
    with Gateway(tmp_path_factory.mktemp("home"), key=None) as gateway:
        yield Examples(gateway, tmp_path_factory.mktemp("pages"))


def block(page: str, language: str, examples: Examples) -> str:
    """The first block of a page in a language, with the gateway's own address."""
    text = (PAGES / page).read_text()
    found = next(code for kind, code in _BLOCK.findall(text) if kind == language)
    assert WRITTEN in text
    return found.replace(WRITTEN, examples.gateway.url)


def run(examples: Examples, command: list[str], folder: Path, **environment: str) -> str:
    before = len(examples.gateway.entries())
    done = subprocess.run(
        command, cwd=folder, env=examples.environment() | environment, capture_output=True, timeout=RUN_S, check=False
    )
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    (entry,) = examples.gateway.settled_since(before, 1)
    assert_complete(entry)
    return done.stdout.decode()


@pytest.mark.sdk
@pytest.mark.parametrize(
    "page",
    [
        "openai-python.md",
        "ark-python.md",
        "anthropic-python.md",
        "genai-python.md",
        "openai-responses.md",
        "ark-responses.md",
    ],
)
def test_a_page_of_an_sdk_in_python(page: str, examples: Examples, tmp_path: Path) -> None:
    said = run(examples, [python_command(), "-c", block(page, "python", examples)], tmp_path)
    assert CLOSING.search(said)


@pytest.mark.sdk
@pytest.mark.parametrize("page", ["langchain.md", "pydantic-ai.md", "dashscope-python.md"])
def test_a_page_of_a_framework_in_python(page: str, examples: Examples, tmp_path: Path) -> None:
    said = run(examples, [clients_program("python"), "-c", block(page, "python", examples)], tmp_path)
    assert CLOSING.search(said)


@pytest.mark.sdk
def test_the_page_of_litellm(examples: Examples, tmp_path: Path) -> None:
    quiet = {"LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    said = run(
        examples,
        [clients_program("python", "litellm"), "-c", block("litellm.md", "python", examples)],
        tmp_path,
        **quiet,
    )
    assert CLOSING.search(said)


@pytest.mark.sdk
def test_the_page_of_llm(examples: Examples, tmp_path: Path) -> None:
    (tmp_path / "extra-openai-models.yaml").write_text(block("llm.md", "yaml", examples))
    command = [clients_program("llm"), "-m", "thalweg", "你好"]
    said = run(examples, command, tmp_path, LLM_USER_PATH=str(tmp_path), OPENAI_API_KEY="any")
    assert CLOSING.search(said)


@pytest.mark.node
@pytest.mark.parametrize(
    "page", ["openai-node.md", "openai-responses.md", "anthropic-node.md", "genai-node.md", "vercel-ai-sdk.md"]
)
def test_a_page_of_an_sdk_for_node(page: str, examples: Examples, tmp_path: Path) -> None:
    node = node_command()
    (tmp_path / "node_modules").symlink_to(ROOT / "tests" / "node" / "node_modules", target_is_directory=True)
    (tmp_path / "page.mjs").write_text(block(page, "js", examples))
    assert CLOSING.search(run(examples, [node, "page.mjs"], tmp_path))


def test_the_page_of_curl(examples: Examples, tmp_path: Path) -> None:
    program("curl")
    said = run(examples, [program("sh"), "-c", block("curl.md", "sh", examples)], tmp_path)
    assert said.endswith("data: [DONE]\n\n")


@pytest.mark.parametrize(
    ("page", "language", "example"),
    [
        ("ark-go.md", "go", "go/stream/main.go"),
        ("ark-java.md", "java", "java/ark/src/main/java/example/Plain.java"),
        ("openai-java.md", "java", "java/src/main/java/example/Stream.java"),
    ],
)
def test_a_page_of_a_built_sdk_says_what_its_example_does(page: str, language: str, example: str) -> None:
    """The examples are built and run by tests of their own."""
    (code,) = (code for kind, code in _BLOCK.findall((PAGES / page).read_text()) if kind == language)
    program_text = (EXAMPLES / example).read_text()
    names = re.findall(r"[A-Za-z]+(?=\()|http://[^\"]+", code)
    assert names
    for name in names:
        assert name in program_text or name in WRITTEN + "/api/v3" + WRITTEN + "/v1", name


def test_every_application_s_address_leads_to_chat_and_models(examples: Examples) -> None:
    rows = [
        line for line in (PAGES / "apps.md").read_text().splitlines() if line.endswith("` |") and line.count("|") == 4
    ]
    bases = {line.rsplit("|", 2)[1].strip(" `").removeprefix(WRITTEN) for line in rows}
    assert bases == {"", "/v1"}
    connection = HTTPConnection("127.0.0.1", examples.gateway.port, timeout=RUN_S)
    for path in {base.removesuffix("/v1") + "/v1" for base in bases}:
        connection.request("GET", f"{path}/models")
        answer = connection.getresponse()
        assert "sim/text" in {model["id"] for model in json.loads(answer.read())["data"]}
        body = {"model": "sim/text?pace=0", "messages": [{"role": "user", "content": "hi"}]}
        connection.request("POST", f"{path}/chat/completions", json.dumps(body), {"content-type": "application/json"})
        answer = connection.getresponse()
        assert answer.status == 200
        answer.read()
    connection.close()


def test_every_page_is_listed() -> None:
    listed = set(re.findall(r"\(([\w-]+\.md)\)", (PAGES / "README.md").read_text()))
    assert listed == {page.name for page in PAGES.glob("*.md")} - {"README.md"}
