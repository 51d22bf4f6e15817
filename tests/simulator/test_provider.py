from __future__ import annotations

import itertools
import tracemalloc

import msgspec
import pytest

from tests.simulator.stage import CHAT, SIMULATOR, ask, bodies, body_of, deltas, said, status_of, tool
from thalweg.canon.script import SendBody, SendHead, Wait
from thalweg.simulator.provider import Simulator

SPEAK = ("agent", "redacted", "json", "vision", "long", "slow", "filter", "stream-only")


def error_of(steps: list) -> dict:
    return msgspec.json.decode(b"".join(bodies(steps)))["error"]


@pytest.mark.parametrize(
    "model", ["text", "reasoning", "tools?jitter=1", *SPEAK, "error-midstream", "text?fault=reset"]
)
def test_the_same_seed_gives_the_same_steps(model: str) -> None:
    fields = {"n": 2, "tools": [tool("f", {"properties": {"x": {}, "n": {"type": "number"}}})]}
    assert ask(model, seed=9, **fields) == ask(model, seed=9, **fields)


def test_another_seed_gives_another_answer() -> None:
    assert len({said(ask("text", seed=seed)) for seed in range(20)}) > 1
    assert len({bodies(ask("text", seed=seed))[0] for seed in range(20)}) == 20


def test_the_requests_own_seed_stands_above_its_number() -> None:
    body = body_of("text", seed=5)
    one, two = (list(SIMULATOR.answer(CHAT, body, seed=number, created=1)) for number in (1, 2))
    assert one == two


def test_an_unknown_model_is_404_and_named() -> None:
    steps = ask("no-such-model?seed=1")
    assert status_of(steps) == 404
    assert "'no-such-model'" in error_of(steps)["message"]


def test_the_prefix_of_the_gateways_names_is_borne() -> None:
    assert status_of(ask("sim/text")) == 200


def test_a_broken_request_is_refused_in_its_dialect() -> None:
    steps = list(SIMULATOR.answer(CHAT, b'{"model":"text","messages":"not a list"}', seed=1, created=1))
    assert status_of(steps) == 400
    assert error_of(steps)["type"] == "invalid_request_error"


def test_pace_and_ttft_are_the_waits_between_deltas() -> None:
    waits = [step.seconds for step in ask("text?ttft=0.5&pace=50&tokens=4") if isinstance(step, Wait)]
    assert waits == [0.5, 0.02, 0.02, 0.02]
    assert not any(isinstance(step, Wait) for step in ask("text?ttft=0&pace=0"))


def test_jitter_moves_the_gaps_and_stays_in_its_bound() -> None:
    waits = [step.seconds for step in ask("text?ttft=0&pace=50&jitter=0.5&tokens=200") if isinstance(step, Wait)]
    assert len(set(waits)) > 100
    assert all(0.01 <= wait <= 0.03 for wait in waits)


def test_the_head_is_first_and_says_what_follows() -> None:
    head = ask("text")[0]
    assert isinstance(head, SendHead)
    assert dict(head.headers)[b"content-type"].startswith(b"text/event-stream")
    assert dict(ask("text", stream=False)[-3].headers)[b"content-type"] == b"application/json"


def test_an_endless_answer_is_made_as_it_is_taken() -> None:
    steps = SIMULATOR.answer(CHAT, body_of("endless?pace=0&size=65536"), seed=1, created=1)
    tracemalloc.start()
    taken = sum(len(step.data) for step in itertools.islice(steps, 1000) if isinstance(step, SendBody))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert taken > 60_000_000
    assert peak < 2_000_000


def test_an_endless_answer_obeys_a_cap_and_must_be_streamed() -> None:
    assert len(deltas(ask("endless", max_tokens=3000))) == 3000
    assert status_of(ask("endless", stream=False)) == 400
    assert status_of(ask("endless", stream=False, max_tokens=3)) == 200


@pytest.mark.parametrize("path", [b"/v1/chat/completions", b"/api/v3/chat/completions?x=1"])
def test_a_request_finds_its_dialect_by_its_path(path: bytes) -> None:
    assert status_of(SIMULATOR.respond(b"POST", path, body_of("text"), seed=1, created=1)) == 200


def test_the_models_are_listed_without_the_hidden_ones() -> None:
    steps = list(SIMULATOR.respond(b"GET", b"/v1/models", b"", seed=1, created=1))
    listed = [row["id"] for row in msgspec.json.decode(b"".join(bodies(steps)))["data"]]
    assert listed == ["text", "reasoning", "tools", *SPEAK, "error-midstream"]
    assert all(status_of(ask(name)) == 200 for name in listed)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [(b"GET", b"/v1/chat/completions", 405), (b"POST", b"/v1/embeddings", 404), (b"POST", b"/v1/models", 404)],
)
def test_what_is_not_there_says_so(method: bytes, path: bytes, status: int) -> None:
    assert status_of(Simulator(SIMULATOR._dialects).respond(method, path, b"", seed=1, created=1)) == status


def test_a_model_that_only_streams_refuses_what_does_not() -> None:
    steps = ask("stream-only", stream=False)
    assert status_of(steps) == 400
    message = "This model only support stream mode, please enable the stream parameter to access the model."
    assert error_of(steps) == {
        "message": message,
        "type": "invalid_request_error",
        "param": None,
        "code": "invalid_parameter_error",
    }
    assert said(ask("stream-only", "Hi", seed=1)) == said(ask("text", "Hi", seed=1))


def test_an_answer_too_long_to_be_kept_must_be_streamed() -> None:
    steps = ask("endless?pace=0&size=65536", stream=False, max_tokens=1000)
    assert status_of(steps) == 400
    assert error_of(steps)["param"] == "stream"
    assert len(steps) < 100
