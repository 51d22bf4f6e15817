"""The bench measures what it says: its pieces one by one, without nginx and without a gateway."""

import argparse
import asyncio
import json
import math
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from bench import way
from bench.chart import BarMark, Panel, draw
from bench.gateway import API_KEY, gateway_env
from bench.load import Outcome, Plan, Tally, Watch, run
from bench.metrics import METRICS, Samples
from bench.nginx import nginx_conf
from bench.phases import Settings, used
from bench.process import children, cpu_ns, free_port, rss_bytes
from bench.report import BEGIN, END, Report, as_json, chart, markdown, rewrite
from bench.stats import Spread, percentile, ratios
from bench.targets import PHASES, direct, gateway, metered
from bench.upstream import Frames, Script, serve
from thalweg.dialects.openai_chat import OpenAIChat
from thalweg.dialects.openai_chat.request import ChatRequest
from thalweg.framing.sse import SseDecoder
from thalweg.profiles.providers import PROVIDERS

CHAT = OpenAIChat()

MARK = b"@%06d.%019d@"


def ask(script: Script, *, streams: int, requests: int = 0) -> Outcome:
    """Ask an upstream of this process directly."""

    async def asked() -> Outcome:
        server = await serve(0)
        port = server.sockets[0].getsockname()[1]
        try:
            return await run(direct().plan(script, port, streams=streams, requests=requests))
        finally:
            server.close()

    return asyncio.run(asked())


def plan(chunks: int) -> Plan:
    return Plan(port=1, request="", end_mark="[DONE]", chunks=chunks, streams=1)


def report(samples: Samples, settings: Settings | None = None) -> Report:
    machine = {"cpu": "a CPU", "cores": "2", "kernel": "6.1", "python": "3.11.7"}
    used = settings or Settings("thalweg serve")
    return Report(samples, used, [], date="2026-01-02", commit="abc", machine=machine, versions={"nginx": "1.22.1"})


def measured() -> Samples:
    samples = Samples()
    for nginx, ours in ((10.0, 13.0), (12.0, 15.0), (8.0, 16.0)):
        samples.add("direct", "ttft_p50_ms", 0.25)
        samples.add("nginx", "chunk_cpu_us", nginx)
        samples.add("thalweg", "chunk_cpu_us", ours)
        samples.add("thalweg", "lost_streams", 0)
    return samples


def test_a_span_is_told_from_what_was_used_before_and_behind_it() -> None:
    samples = [(0.0, 0), (0.5, 10_000_000), (1.0, 90_000_000), (2.0, 290_000_000), (3.0, 490_000_000), (4.0, 10**10)]
    assert used(samples, 1.0, 3.5) == pytest.approx(0.2)
    assert math.isnan(used(samples, 2.5, 3.5)), "one sample"


@pytest.mark.parametrize(
    ("values", "percent", "expected"),
    [([3.0, 1.0, 2.0], 50, 2.0), ([3.0, 1.0, 2.0], 100, 3.0), (list(range(1, 101)), 99, 99), ([7.0], 1, 7.0)],
)
def test_percentile_is_the_nearest_rank(values: list[float], percent: float, expected: float) -> None:
    assert percentile(values, percent) == expected


def test_no_values_have_no_percentile_and_no_spread() -> None:
    assert math.isnan(percentile([], 50))
    assert Spread.over([]) is None
    assert Spread.over([math.nan]) is None


def test_ratios_are_taken_run_by_run_and_skip_a_yardstick_of_zero() -> None:
    assert Spread.over(ratios([15.0, 30.0, 5.0], [10.0, 15.0, 0.0])) == Spread(1.75, 1.5, 2.0)


def test_a_ratio_is_to_what_the_yardstick_had_last_before() -> None:
    samples = Samples()
    samples.add("thalweg", "chunk_cpu_us", 7.0)
    for nginx, ours in ((10.0, (15.0, 20.0)), (40.0, (60.0,))):
        samples.add("nginx", "chunk_cpu_us", nginx)
        for figure in ours:
            samples.add("thalweg", "chunk_cpu_us", figure)
    assert samples.ratio("thalweg", "chunk_cpu_us", "nginx") == Spread(1.5, 1.5, 2.0)
    assert samples.ratio("thalweg", "idle_mb", "nginx") is None


def test_a_script_survives_its_model_name() -> None:
    assert Script.parse(Script(50, 500, 20).model) == Script(50, 500, 20)
    assert Script.parse("bench-1-60") == Script(1, 60)


@pytest.mark.parametrize("model", ["gpt-5", "bench-", "bench-50", "bench-50-0", "bench-1-2-3-4"])
def test_another_model_is_no_script(model: str) -> None:
    with pytest.raises(ValueError, match="bench-RATE-CHUNKS"):
        Script.parse(model)


def test_the_stream_is_an_openai_chat_stream() -> None:
    frames = Frames("bench-0-2-0")
    wire = frames.opening + frames.content(0) + frames.content(1) + frames.closing(2, with_usage=True)
    lines = [line for line in wire.split(b"\r\n\r\n", 1)[1].decode().splitlines() if line.startswith("data: ")]
    events = [json.loads(line[6:]) for line in lines[:-1]]
    assert lines[-1] == "data: [DONE]"
    assert [event["choices"][0]["finish_reason"] for event in events[:-1]] == [None, None, None, "stop"]
    assert events[-1]["choices"] == []
    assert events[-1]["usage"] == {"prompt_tokens": 24, "completion_tokens": 2, "total_tokens": 26}


def test_usage_in_every_chunk_is_what_a_gateway_asks_for_and_cuts_out() -> None:
    """From the row's request to the client's bytes: what the upstream says to it is what it says to nobody else."""
    row = metered("thalweg serve")
    asked = ChatRequest(row.request(Script(0, 3), 18001).partition("\r\n\r\n")[2].encode())
    profile = next(provider.profile for provider in PROVIDERS if provider.name == row.model_prefix.rstrip("/"))
    body = asked.edited(model="bench-0-3-0", profile=profile, stream=True)
    plain, counted = (wire_of(body.replace(b"chunk_include_usage", word)) for word in (b"x", b"chunk_include_usage"))
    assert counted.count(b'"completion_tokens":') == 1 + 3 + 1 + 1
    relayer = CHAT.relayer(asked, profile=profile, raw=False, provider="ark", response_id="x", created=1)
    left = b"".join(relayer.feed(SseDecoder().feed(counted)))
    assert b"tokens" not in left
    assert left.count(b"\n\n") == plain.count(b"\n\n") - 1
    marks = re.compile(rb"@\d{6}\.\d{19}@")
    mended = left.replace(b',"usage":null', b"").replace(b'{"content":""},"finish', b'{},"finish')
    *events, _, done = marks.sub(b"", plain).split(b"\n\n")[:-1]
    assert marks.sub(b"", mended).split(b"\n\n")[:-1] == [*events, done]


def wire_of(body: bytes) -> bytes:
    """What the upstream answers to a request's body, without the framing of HTTP."""

    async def answered() -> bytes:
        server = await serve(0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
        try:
            writer.write(b"POST /chat/completions HTTP/1.1\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
            return await asyncio.wait_for(reader.readuntil(b"0\r\n\r\n"), 10)
        finally:
            writer.close()
            server.close()

    chunks = asyncio.run(answered()).partition(b"\r\n\r\n")[2].split(b"\r\n")
    return b"".join(chunks[1::2])


def test_a_row_is_measured_by_its_own_phases_only() -> None:
    assert gateway("thalweg serve").phases == PHASES
    assert metered("thalweg serve").phases == ("chunks",)


def test_a_content_chunk_has_about_270_bytes() -> None:
    assert 250 <= len(Frames(Script(50, 500).model).content(0)) <= 290


def test_paced_streams_arrive_whole_and_at_their_pace() -> None:
    outcome = ask(Script(200, 20), streams=5)
    assert (outcome.whole, outcome.chunks, outcome.errors) == (5, 100, {})
    assert len(outcome.ttft_ms) == len(outcome.gap_ms) == 5
    assert outcome.elapsed_s > 18 / 200


def test_a_closed_loop_asks_as_often_as_told_on_kept_connections() -> None:
    outcome = ask(Script(0, 1), streams=3, requests=50)
    assert (outcome.whole, outcome.chunks, outcome.errors) == (50, 50, {})


def test_the_first_chunk_waits_as_scripted() -> None:
    assert ask(Script(1000, 1, 50), streams=1).ttft_ms[0] >= 49


def test_a_closed_port_is_an_error_and_ends() -> None:
    outcome = asyncio.run(run(direct().plan(Script(0, 1), free_port(), streams=2)))
    assert outcome.whole == 0
    assert sum(outcome.errors.values()) == 2


@pytest.mark.parametrize("cut", range(1, 60))
def test_marks_count_once_at_every_cut(cut: int) -> None:
    body = b"a" + MARK % (0, 5) + MARK % (1, 6) + b"[DONE]"
    tally = Tally(plan(2))
    watch = Watch(tally, 0)
    watch.feed(body[:cut], 10)
    watch.feed(body[cut:], 10)
    watch.close()
    assert (tally.whole, list(tally.latency_ns)) == (1, [5, 4])


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (MARK % (1, 1) + MARK % (0, 1) + b"[DONE]", "out of order"),
        (MARK % (0, 1) + b"[DONE]", "chunks missing"),
        (MARK % (0, 1) + MARK % (1, 1), "no end mark"),
    ],
)
def test_a_broken_stream_is_not_whole(body: bytes, fault: str) -> None:
    tally = Tally(plan(2))
    watch = Watch(tally, 0)
    watch.feed(body, 2)
    watch.close()
    assert (tally.whole, dict(tally.errors)) == (0, {fault: 1})


def test_nginx_neither_buffers_nor_leaves_its_directory() -> None:
    conf = nginx_conf(Path("/tmp/x"), 18001, 18002)
    for line in ("worker_processes 1;", "proxy_buffering off;", "access_log off;", "listen 127.0.0.1:18001", "18002;"):
        assert line in conf
    assert conf.count("{") == conf.count("}")
    assert conf.count("/tmp/x/") == 7


def test_the_gateway_gets_the_bench_s_upstream_and_nothing_of_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    foreign = ("ANTHROPIC_API_KEY", "THALWEG_CONFIG", "https_proxy", "DASHSCOPE_BASE_URL", "ARK_BASE_URL")
    for name in foreign:
        monkeypatch.setenv(name, "x")
    env = gateway_env(18001, 18002, Path("/tmp/x"))
    assert "x" not in {env.get(name) for name in foreign}
    assert env["OPENAI_BASE_URL"] == env["ARK_BASE_URL"] == "http://127.0.0.1:18002/v1"


def test_thalweg_is_asked_for_a_stream_of_its_provider_without_stream_options() -> None:
    head, body = gateway("thalweg serve").request(Script(50, 500), 18001).split("\r\n\r\n")
    assert f"authorization: Bearer {API_KEY}" in head
    assert f"content-length: {len(body)}" in head
    asked = json.loads(body)
    assert asked["model"] == "openai/bench-50-500-0"
    assert asked["stream"] is True
    assert "stream_options" not in asked


def test_counters_of_a_process_are_read() -> None:
    pids = (int(Path("/proc/self").readlink().name),)
    before = cpu_ns(pids)
    assert sum(range(100_000)) > 0
    assert cpu_ns(pids) > before
    assert rss_bytes(pids) > 1_000_000
    assert isinstance(children(pids[0]), list)


def test_the_page_keeps_everything_outside_its_markers() -> None:
    page = rewrite(f"a\n{BEGIN}\nthe table before\n{END}\nz\n", markdown(report(measured())))
    assert page.startswith(f"a\n{BEGIN}\n2026-01-02, commit `abc`")
    assert page.endswith(f"\n{END}\nz\n")
    assert "| CPU per chunk (µs) | 10.0 (8.0–12.0) | 15.0 (13.0–16.0) | 1.30 (1.25–2.00) |" in page
    assert "| passthrough: CPU per chunk at most 1.5 × nginx | 1.3 | holds |" in page
    assert "the table before" not in page


def test_a_page_without_markers_is_refused() -> None:
    with pytest.raises(ValueError, match="bench:begin"):
        rewrite("a page", "a table")


def test_a_short_open_phase_does_not_claim_the_long_ones_bar() -> None:
    short = report(measured(), Settings("thalweg serve", open_seconds=10))
    assert [bar.metric for bar, _, _ in short.bars()] == ["chunk_cpu_us"]
    assert [bar.metric for bar, _, _ in report(measured()).bars()] == ["chunk_cpu_us", "lost_streams"]


def test_only_a_full_bench_is_worth_publishing() -> None:
    assert Settings("x").is_full
    assert Settings("x", runs=7).is_full
    assert not Settings("x", runs=1).is_full
    assert not Settings("x", phases=PHASES[:2]).is_full


def test_the_record_holds_every_run() -> None:
    record = json.loads(as_json(report(measured())))
    assert record["targets"]["nginx"]["chunk_cpu_us"]["runs"] == [10.0, 12.0, 8.0]
    assert record["targets"]["thalweg"]["chunk_cpu_us"]["to_nginx"] == {"median": 1.3, "low": 1.25, "high": 2.0}


def test_a_report_without_nginx_has_no_ratios() -> None:
    samples = Samples()
    samples.add("thalweg", "chunk_cpu_us", 13.0)
    alone = report(samples)
    assert alone.columns() == ["", "thalweg"]
    assert list(alone.rows()) == [["CPU per chunk (µs)", "13.0"]]
    assert list(alone.bars()) == []


def test_the_chart_is_well_formed_and_shows_each_target() -> None:
    root = ElementTree.fromstring(chart(report(measured())))
    texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert texts == ["CPU per chunk (µs)", "nginx", "10.0 (8.0–12.0)", "thalweg", "15.0 (13.0–16.0)"]


def test_the_chart_escapes_names_and_bears_zeros() -> None:
    bar = BarMark('<a & "b">', 0.0, 0.0, 0.0, "0")
    root = ElementTree.fromstring(draw('"<&>"', [Panel("p", [bar])]))
    assert root.attrib["aria-label"] == '"<&>"'


def test_each_metric_has_one_row() -> None:
    assert len({metric.key for metric in METRICS}) == len(METRICS)


@pytest.mark.parametrize("pair", [("openai-chat", "openai-chat"), ("anthropic", "gemini")])
async def test_the_own_way_of_a_chunk_is_measured(pair: tuple[str, str]) -> None:
    options = argparse.Namespace(streams=20, rounds=2, runs=1, other=0.1)
    warm, cold = await way.measure(*pair, options)
    assert warm > 0
    assert cold > 0
