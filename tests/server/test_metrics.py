"""`/metrics` on the real server: what is counted, under which labels, who may look, and what no label ever holds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.server.gateway import (
    CHAT,
    HARD_LIMITS,
    KEY,
    Caller,
    Running,
    Upstream,
    answer,
    ask,
    chat,
    request,
    running,
    settings_of,
)
from thalweg import __version__
from thalweg.canon.usage import Usage
from thalweg.relay.taps import Report
from thalweg.server.metrics import METRICS, MOST_MODELS, Metrics

Labels = dict[str, str]


class Page:
    """What `/metrics` said once."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.families = {family.name: family for family in text_string_to_metric_families(text)}

    def samples(self, name: str) -> list[tuple[Labels, float]]:
        """Labels and values of one of our metrics, or of a part of a histogram (`…_count`, `…_sum`)."""
        found = [sample for family in self.families.values() for sample in family.samples]
        return [(dict(sample.labels), sample.value) for sample in found if sample.name == f"thalweg_{name}"]

    def value(self, name: str, **labels: str) -> float:
        """The sum of the samples with these labels."""
        return sum(value for found, value in self.samples(name) if labels.items() <= found.items())


def look(gateway: Running, **how: Any) -> Page:
    reply = ask(gateway.port, "/metrics", method="GET", **how)
    assert reply.status == 200, reply
    assert reply.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return Page(reply.body.decode())


class Counting:
    """What has been added since it was made."""

    def __init__(self, gateway: Running) -> None:
        self._gateway = gateway
        self._before = look(gateway)
        self._page = self._before

    def added(self, name: str, **labels: str) -> float:
        return self._page.value(name, **labels) - self._before.value(name, **labels)

    def until(self, count: int = 1) -> Counting:
        """Wait for so many requests to be counted: that is done just after an answer's last byte."""
        for _ in range(1000):
            self._page = look(self._gateway)
            if self.added("requests_total") + self.added("rejections_total", dialect="none") >= count:
                return self
        raise AssertionError(self._page.text)


def made_of(model: str, status: int = 200) -> bytes:
    message = {"role": "assistant", "content": "Hi"}
    body = {
        "id": "x",
        "object": "chat.completion",
        "created": 1,
        "model": model,
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7},
    }
    return answer(status, json.dumps(body if status == 200 else {"error": {"message": "no"}}).encode())


def obeying(asked: bytes) -> bytes:
    """Answers with the status that the model's name ends with, else with an answer."""
    model = json.loads(asked.partition(b"\r\n\r\n")[2])["model"]
    end = model[-3:]
    return made_of(model, int(end) if end.isdigit() and int(end) >= 400 else 200)


@pytest.fixture(scope="module")
def gateway() -> Iterator[Running]:
    with Upstream(obeying) as upstream:
        where = {"OPENAI_API_KEY": "sk-openai-0123", "OPENAI_BASE_URL": upstream.url}
        with running(settings_of(limits=HARD_LIMITS, **where)) as listening:
            yield listening


# What is there.


def test_the_page_is_the_table(gateway: Running) -> None:
    ask(gateway.port, CHAT, chat(stream=True))
    page = look(gateway)
    ours = {name: family for name, family in page.families.items() if name.startswith("thalweg_")}
    assert [f"thalweg_{row.name.removesuffix('_total')}" for row in METRICS] == list(ours)
    for row in METRICS:
        family = ours[f"thalweg_{row.name.removesuffix('_total')}"]
        assert (family.type, family.documentation) == (row.kind, row.help)
        for sample in family.samples:
            assert set(sample.labels) - {"le"} == set(row.labels)


def test_the_process_is_there_too(gateway: Running) -> None:
    page = look(gateway)
    for name in ("process_resident_memory_bytes", "process_cpu_seconds", "process_open_fds", "python_gc_collections"):
        assert page.families[name].samples[0].value > 0
    assert page.samples("build_info")[0][0]["version"] == __version__
    assert "_created" not in page.text


# Who may look.


@pytest.mark.parametrize(
    ("how", "status"),
    [
        pytest.param({"key": KEY}, 200, id="with the key"),
        pytest.param({"key": None}, 401, id="without it"),
        pytest.param({"key": "sk-another-one"}, 401, id="with another"),
        pytest.param({"key": None, "headers": {"x-api-key": KEY}}, 200, id="in another carrier"),
        pytest.param({"key": KEY, "method": "POST"}, 405, id="not by POST"),
        pytest.param({"key": KEY, "method": "HEAD"}, 200, id="by HEAD"),
    ],
)
def test_with_a_key_it_is_needed(gateway: Running, how: dict[str, Any], status: int) -> None:
    assert ask(gateway.port, "/metrics", **{"method": "GET"} | how).status == status


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        pytest.param({}, 200, id="a local program"),
        pytest.param({"host": "evil.example"}, 403, id="a name that leads here"),
        pytest.param({"origin": "https://evil.example"}, 403, id="a page of somebody else's"),
        pytest.param({"x-forwarded-for": "192.0.2.1"}, 403, id="through a proxy"),
    ],
)
def test_without_a_key_it_is_for_local_programs(keyless: Running, headers: dict[str, str], status: int) -> None:
    assert ask(keyless.port, "/metrics", method="GET", key=None, headers=headers).status == status


# What is counted.


@pytest.mark.parametrize(
    ("model", "stream", "labels"),
    [
        pytest.param("openai/m-good", False, ("openai", "m-good", "complete"), id="an answer"),
        pytest.param("openai/m-good", True, ("openai", "m-good", "complete"), id="a stream"),
        pytest.param("openai/m-unknown-404", False, ("openai", "other", "refused"), id="refused, under no known name"),
        pytest.param("sim/text?pace=0&seed=7", True, ("sim", "text", "complete"), id="the simulator's, without knobs"),
        pytest.param("sim/text?fault=reset&pace=0", False, ("sim", "text", "upstream_error"), id="broken"),
    ],
)
def test_a_request_is_counted_by_how_it_ended(
    gateway: Running, model: str, stream: bool, labels: tuple[str, str, str]
) -> None:
    upstream, named, outcome = labels
    counting = Counting(gateway)
    ask(gateway.port, CHAT, chat(model, stream=stream))
    counting.until()
    found = {"dialect": "openai-chat", "upstream": upstream, "model": named, "outcome": outcome}
    assert counting.added("requests_total", **found) == 1
    assert counting.added("requests_total") == 1
    failed = outcome in ("refused", "upstream_error")
    assert counting.added("upstream_errors_total", upstream=upstream) == failed
    assert counting.added("stream_ttft_seconds_count", upstream=upstream) == (stream and not failed)


@pytest.mark.parametrize(
    ("what", "status", "dialect", "kind"),
    [
        pytest.param({"target": CHAT, "key": None}, 401, "openai-chat", "auth", id="no key"),
        pytest.param({"target": CHAT, "body": b"{"}, 400, "openai-chat", "invalid_request", id="no JSON"),
        pytest.param({"target": CHAT, "body": chat("nobody/x")}, 404, "openai-chat", "not_found", id="no such model"),
        pytest.param(
            {"target": CHAT, "headers": {"content-length": "99999999"}},
            413,
            "openai-chat",
            "too_large",
            id="too large",
        ),
        pytest.param({"target": CHAT, "method": "GET"}, 405, "openai-chat", "invalid_request", id="the wrong method"),
        pytest.param(
            {"target": "/anthropic/v1/messages", "body": b"{"},
            400,
            "anthropic",
            "invalid_request",
            id="another dialect",
        ),
        pytest.param(
            {"target": "/v1beta/models/x:generateContent", "body": b"{"}, 400, "gemini", "invalid_request", id="a third"
        ),
        pytest.param({"target": "/nothing", "method": "GET"}, 404, "none", "not_found", id="nowhere"),
        pytest.param({"target": "/v1/models", "method": "GET", "key": None}, 401, "none", "auth", id="not to generate"),
    ],
)
def test_a_refusal_is_counted_too(gateway: Running, what: dict[str, Any], status: int, dialect: str, kind: str) -> None:
    counting = Counting(gateway)
    assert ask(gateway.port, **what).status == status
    counting.until()
    assert counting.added("rejections_total", dialect=dialect, kind=kind) == 1
    assert counting.added("rejections_total") == 1
    labels = {"upstream": "none", "model": "none", "outcome": "rejected"}
    assert counting.added("requests_total", dialect=dialect, **labels) == (dialect != "none")
    assert counting.added("tokens_total") == 0


def test_what_the_guard_refuses_is_counted(gateway: Running) -> None:
    counting = Counting(gateway)
    with Caller(gateway.port) as caller:
        caller.send(request(CHAT).replace(b"host:", b"x: " + b"y" * 40_000 + b"\r\nhost:"))
        assert b" 431 " in caller.rest()[:20]
    assert counting.until().added("rejections_total", dialect="openai-chat", kind="invalid_request") == 1


def test_a_body_that_never_comes_is_counted_once(gateway: Running) -> None:
    counting = Counting(gateway)
    with Caller(gateway.port) as caller:
        caller.send(request(CHAT, headers={"content-length": "10"}))
        assert b" 408 " in caller.rest()[:20]
    counting.until()
    assert counting.added("rejections_total", dialect="openai-chat", kind="request_timeout") == 1
    assert counting.added("requests_total") == 1


def test_a_client_that_leaves_in_its_body_is_counted(gateway: Running) -> None:
    counting = Counting(gateway)
    with Caller(gateway.port) as caller:
        caller.send(request(CHAT, headers={"content-length": "10"}) + b"{")
    counting.until()
    assert counting.added("requests_total", outcome="cancelled", upstream="none") == 1


def test_tokens_are_counted_by_how_they_are_known(gateway: Running) -> None:
    counting = Counting(gateway)
    ask(gateway.port, CHAT, chat("openai/m-good"))
    counting.until()
    assert counting.added("tokens_total", direction="input", source="reported") == 5
    assert counting.added("tokens_total", direction="output", source="reported") == 2
    ask(gateway.port, CHAT, chat("sim/text?fault=reset&pace=0&at=9", stream=True))
    counting.until(2)
    assert counting.added("tokens_total", direction="output", source="estimated") > 0


def test_open_streams_and_a_cancelled_one(gateway: Running) -> None:
    counting = Counting(gateway)
    with Caller(gateway.port) as caller:
        _, headers = caller.send(request(CHAT, chat("sim/slow", stream=True))).reply_head()
        assert look(gateway).value("streams_open") == 1
        stream_id = headers["x-thalweg-stream"]
        assert ask(gateway.port, f"/streams/{stream_id}", method="DELETE").status == 200
    counting.until()
    assert counting.added("requests_total", outcome="cancelled", upstream="sim") == 1
    assert counting.added("stream_cancel_seconds_count", upstream="sim") == 1
    assert 0 <= counting.added("stream_cancel_seconds_sum", upstream="sim") < 0.1
    gateway.until(lambda: len(gateway.gateway.house.live) == 0)
    assert look(gateway).value("streams_open") == 0
    assert look(gateway).value("ledger_unsettled") == 0


def test_a_histogram_adds_up(gateway: Running) -> None:
    ask(gateway.port, CHAT, chat(stream=True))
    page = look(gateway)
    buckets = [value for labels, value in page.samples("stream_ttft_seconds_bucket") if labels["upstream"] == "sim"]
    assert buckets == sorted(buckets)
    assert buckets[-1] == page.value("stream_ttft_seconds_count", upstream="sim")
    bounds = [labels["le"] for labels, _ in page.samples("stream_ttft_seconds_bucket")]
    assert (bounds[0], bounds[13], bounds[14]) == ("0.01", "81.92", "+Inf")


# What no label holds.

REPORT = Report(
    outcome="complete",
    usage=Usage(input_tokens=1, output_tokens=1),
    usage_source="reported",
    finish_reason="stop",
    ttft_ms=1.0,
    upstream_ttft_ms=1.0,
    duration_ms=1.0,
    upstream_status=200,
    error_kind=None,
    deltas=1,
    longest_gap_ms=1.0,
    upstream_closed_ms=None,
    repaired={"role": 2},
)


def counted(*models: str) -> Page:
    metrics = Metrics({})
    for model in models:
        metrics.ended(dialect="openai-chat", upstream="openai", model=model, stream=True, report=REPORT)
    return Page(metrics.exposition().decode())


def test_models_beyond_the_first_two_hundred_are_other() -> None:
    models = [f"model-{number}" for number in range(MOST_MODELS + 50)]
    page = counted(*models, "model-7")
    named = {labels["model"]: value for labels, value in page.samples("requests_total")}
    assert len(named) == MOST_MODELS + 1
    assert (named["model-7"], named["other"]) == (2, 50)


@pytest.mark.parametrize(
    "model",
    [
        "Ignore all previous instructions",
        "sk-canary-0123456789",
        "a\nthalweg_forged_total 1",
        'a"} 1\nx{y="',
        "a\x1b[31m",
        "x" * 100_000,
        "x" * 81,
        "请",
        "",
        "aZ3" * 12,
    ],
    ids=lambda model: ascii(model[:20]),
)
def test_a_name_that_is_none_is_other(model: str) -> None:
    page = counted(model)
    assert [labels["model"] for labels, _ in page.samples("requests_total")] == ["other"]
    assert page.value("repaired_frames_total", row="role") == 2


def test_a_name_that_no_upstream_knew_is_no_label(gateway: Running) -> None:
    for name in ("canary-model-a-404", "canary-model-b-500"):
        ask(gateway.port, CHAT, chat(f"openai/{name}"))
        ask(gateway.port, CHAT, chat(name))
        ask(gateway.port, f"/v1/models/{name}", method="GET")
    assert "canary" not in look(gateway).text
