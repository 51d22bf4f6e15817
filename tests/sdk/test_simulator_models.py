"""The simulator's models, its switches for thinking and its knobs, as the official `openai` package meets them behind the
gateway, under their own names and, with `--simulate`, under anybody's.
"""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from tests.live.gateway import Gateway, clean_environment
from tests.sdk.examples import sdk_program

pytestmark = pytest.mark.sdk

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAIAAABLbSncAAAAEUlEQVR42mP4z8CAFTEMLQkAKP8/wc53yE8AAAAASUVORK5CYII="
PICTURE = [
    {
        "role": "user",
        "content": [
            {"type": "text", "text": "What is it?"},
            {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
        ],
    }
]


def quick(
    model: str, *, knobs: dict[str, Any] | None = None, body: dict[str, Any] | None = None, **fields: Any
) -> dict[str, Any]:
    """A request whose answer takes no time. `body` has fields that the package does not know."""
    turned = {"pace": 0, "ttft": 0, "seed": 7} | (knobs or {})
    return {"model": model, "extra_body": {"simulator": turned} | (body or {})} | fields


REQUESTS: dict[str, dict[str, Any]] = {
    **{
        f"{model} {way}": quick(f"sim/{model}", **({"stream": True} if way == "streamed" else {}))
        for model in ("text", "json", "filter", "stream-only", "reasoning")
        for way in ("streamed", "whole")
    },
    "a picture": quick("sim/vision", messages=PICTURE),
    "a long answer": quick("sim/long", stream=True, knobs={"tokens": 600, "chunk": 10}),
    "a structured answer": quick("sim/json", parse=True),
    "thinking switched off": quick("sim/reasoning", body={"thinking": {"type": "disabled"}}),
    "a budget": quick("sim/reasoning", body={"enable_thinking": True, "thinking_budget": 17}),
    "a low effort": quick("sim/reasoning", reasoning_effort="low"),
    "a high effort": quick("sim/reasoning", reasoning_effort="high"),
    "hidden thoughts": quick("sim/reasoning", body={"reasoning": {"max_tokens": 17, "exclude": True}}),
    "a template's argument": quick("sim/reasoning", body={"chat_template_kwargs": {"enable_thinking": False}}),
    "too many requests": quick("sim/error-429?retry_after=7"),
    "a fault in the field": quick("sim/text", stream=True, knobs={"fault": ["error-midstream"], "at": 3}),
    "an unknown knob": quick("sim/text", knobs={"tempo": 3}),
    "a wrong knob": quick("sim/text", stream=True, knobs={"pace": "fast"}),
}
STANDING_IN: dict[str, dict[str, Any]] = {
    "text": quick("gpt-5.4-mini", knobs={"tokens": 9}),
    "json": quick("gpt-5.4-mini", response_format={"type": "json_object"}),
    "a structured answer": quick("gpt-5.4-mini", parse=True),
    "a picture": quick("doubao-seed-1-8-251215", messages=PICTURE, stream=True),
    "thinking": quick("qwen-plus", body={"enable_thinking": True}, stream=True),
}

Got = dict[str, dict[str, Any]]


def ask_all(gateway: Gateway, requests: dict[str, dict[str, Any]]) -> Got:
    done = subprocess.run(
        sdk_program("ask_models.py"),
        input=json.dumps(list(requests.values())).encode(),
        env=clean_environment({"BASE_URL": f"{gateway.url}/v1", "API_KEY": gateway.key}),
        capture_output=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return dict(zip(requests, json.loads(done.stdout), strict=True))


@pytest.fixture(scope="module")
def got(gateway: Gateway) -> Got:
    return ask_all(gateway, REQUESTS)


@pytest.mark.parametrize("model", ["text", "json", "filter", "stream-only", "reasoning"])
def test_streamed_and_whole_are_the_same(got: Got, model: str) -> None:
    streamed, whole = got[f"{model} streamed"], got[f"{model} whole"]
    assert streamed["deltas"] == streamed["usage"]["completion_tokens"]
    assert {name: streamed[name] for name in whole} == whole
    assert whole["finish_reason"] == ("content_filter" if model == "filter" else "stop")
    assert bool(whole["reasoning"]) == (model == "reasoning")
    assert "回声 🦜" in whole["text"]


def test_json_is_json_and_a_structured_answer_is_what_was_asked_for(got: Got) -> None:
    assert "回声 🦜" in json.loads(got["json whole"]["text"])["answer"]
    assert got["a structured answer"] == {"whole": True, "streamed": True}


def test_a_picture_is_looked_at(got: Got) -> None:
    text = got["a picture"]["text"]
    assert "The image is a PNG of 8 × 8 pixels, in 74 bytes. It is all #ff0000, red." in text
    assert "What is it?" in text


def test_a_long_answer_is_as_long_as_the_field_says(got: Got) -> None:
    assert got["a long answer"]["usage"]["completion_tokens"] == 600
    assert got["a long answer"]["deltas"] == 60
    assert "## 1. " in got["a long answer"]["text"]


@pytest.mark.parametrize(
    ("request_", "shown", "tokens"),
    [
        ("thinking switched off", False, 0),
        ("a template's argument", False, 0),
        ("a budget", True, 17),
        ("hidden thoughts", False, 17),
    ],
)
def test_thinking_is_switched_and_counted(got: Got, request_: str, shown: bool, tokens: int) -> None:
    answer = got[request_]
    assert bool(answer["reasoning"]) is shown
    assert answer["usage"]["completion_tokens_details"]["reasoning_tokens"] == tokens
    assert "回声 🦜" in answer["text"]


def test_more_effort_is_more_thinking(got: Got) -> None:
    low, high = (got[f"a {effort} effort"]["reasoning"] for effort in ("low", "high"))
    assert high.startswith(low)
    assert len(high) > len(low) > 0


def test_a_refusal_says_after_how_long(got: Got) -> None:
    error = got["too many requests"]["error"]
    assert (error["status"], error["retry_after"]) == (429, "7")


def test_a_fault_in_the_field_strikes(got: Got) -> None:
    assert got["a fault in the field"]["error"]["status"] is None


@pytest.mark.parametrize(
    ("request_", "param"), [("an unknown knob", "simulator.tempo"), ("a wrong knob", "simulator.pace")]
)
def test_a_wrong_knob_is_refused_and_named(got: Got, request_: str, param: str) -> None:
    error = got[request_]["error"]
    assert (error["status"], error["param"], error["code"]) == (400, param, "invalid_value")
    assert param in error["message"]


def test_under_any_name_it_shows_what_the_request_is_out_for(tmp_path_factory: pytest.TempPathFactory) -> None:
    with Gateway(tmp_path_factory.mktemp("home"), arguments=["--simulate"]) as gateway:
        found = ask_all(gateway, STANDING_IN)
        entries = gateway.settled(len(STANDING_IN) + 1)
    assert found["text"]["usage"]["completion_tokens"] == 9
    assert "回声 🦜" in json.loads(found["json"]["text"])["answer"]
    assert found["a structured answer"] == {"whole": True, "streamed": True}
    assert "a PNG of 8 × 8 pixels" in found["a picture"]["text"]
    assert found["thinking"]["reasoning"]
    assert all(entry.simulated and entry.outcome == "complete" for entry in entries)
