"""What a long answer does to the page while it streams: what it costs, and what moves that should stay.

The page writes once a frame and measures each time (`performance.measure`, name `render`); the browser tells of frames,
long tasks and layout shifts. A trace of the last tenth, where the page is longest, tells of all script there, not only of
what writes. Nothing of the page is changed for it.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, CDPSession, Locator, Page, expect

from bench.machine import commit, describe_machine, today
from tests.pages.chat_page import ChatPage

PAGE = Path(__file__).resolve().parents[2] / "docs" / "performance.md"
MOST_MS = 4.0
"""So much script in a frame, and so much writing, at p99: what the page is held to by its full tests."""
FRAME_MS = 1000 / 60

_WATCH = """() => {
  const seen = (window.seen = { frames: [], tasks: [], moved: [], faults: [], below: [] });
  const look = (type, take) => new PerformanceObserver((list) => list.getEntries().forEach(take)).observe({ type });
  look("longtask", (entry) => seen.tasks.push(entry.duration));

  const blocks = () => document.querySelectorAll(".assistant:last-child .body > .chunk > *");
  const blockOf = (node) => (node instanceof Element ? node : node.parentElement)?.closest(".chunk > *");
  // A shift is told of a little later: a block counts as finished when some more have begun since. Where frames are
  // late, those may all have come with the shift: it has to have been finished in the frame before, too.
  const finishedAt = new WeakMap();
  const isFinished = (node, before) => {
    const block = blockOf(node);
    if (!block) return Boolean(node.closest?.(".user, .chunk[data-settled]"));
    return [...blocks()].slice(0, -4).includes(block) && (finishedAt.get(block) ?? 0) < before;
  };
  look("layout-shift", (entry) => {
    if (entry.hadRecentInput) return;
    const before = seen.frames[seen.frames.findLastIndex((at) => at <= entry.startTime) - 1];
    const moved = entry.sources.filter(({ node }) => node && isFinished(node, before));
    if (moved.length) seen.moved.push([entry.value, ...moved.map(({ node }) => node.textContent.slice(0, 40))]);
  });

  let reached = null;
  const isBefore = (one, other) => Boolean(one.compareDocumentPosition(other) & Node.DOCUMENT_POSITION_FOLLOWING);
  const judge = (record) => {
    const { type, target, oldValue, removedNodes, addedNodes } = record;
    const said = target.textContent.slice(0, 40);
    if (!target.parentElement?.closest(".body") && !target.matches?.(".body")) return;
    if (removedNodes.length) seen.faults.push(`taken away from ${said}`);
    if (type === "characterData" && !target.data.startsWith(oldValue)) seen.faults.push(`${oldValue} became ${target.data}`);
    const block = blockOf(target) ?? blockOf(addedNodes[0] ?? target);
    if (block && reached && isBefore(block, reached)) seen.faults.push(`finished and then changed: ${said}`);
    if (!block) return;
    if (reached && reached !== block) finishedAt.set(reached, performance.now());
    reached = block;
  };
  const thread = document.querySelector("[data-part=thread]");
  new MutationObserver((records) => records.forEach(judge)).observe(thread, {
    subtree: true,
    childList: true,
    characterData: true,
    characterDataOldValue: true,
  });

  const box = document.querySelector("[data-part=scroller]");
  // Made after the page's own observer, so asked after it: what is seen here is what is painted.
  new ResizeObserver(() => seen.below.push(box.scrollHeight - box.clientHeight - box.scrollTop)).observe(thread);

  const step = (now) => {
    seen.frames.push(now);
    requestAnimationFrame(step);
  };
  requestAnimationFrame(step);
}"""

_KEPT = """() => new Promise((resolve, reject) => {
  const opening = indexedDB.open("thalweg");
  opening.onerror = () => reject(opening.error);
  opening.onsuccess = () => {
    const asking = opening.result.transaction("messages").objectStore("messages").getAll();
    asking.onerror = () => reject(asking.error);
    asking.onsuccess = () => {
      opening.result.close();
      const answers = asking.result.filter(({ role }) => role === "assistant");
      resolve(answers.sort((one, other) => one.at - other.at).at(-1).text);
    };
  };
})"""


# How much room a chunk of blocks has taken is noted on it once it has been seen; the rest is the text's.
_BARE = """(root) => {
  const bare = root.cloneNode(true);
  bare.querySelectorAll(".chunk").forEach((chunk) => {
    chunk.removeAttribute("data-settled");
    chunk.removeAttribute("style");
  });
  return bare.innerHTML;
}"""
_RENDER = f"""async (text) => {{
  const {{ MarkdownBody }} = await import(document.querySelector('[href$="/lib/markdown.js"]').href);
  const root = document.createElement("div");
  const body = new MarkdownBody(root);
  body.sync(text);
  body.end();
  return {{ html: ({_BARE})(root), chars: root.textContent.length }};
}}"""
_RENDERED = f"() => ({_BARE})(document.querySelector('.assistant:last-child .body'))"


async def watch(page: Page) -> None:
    """Watch from now on."""
    await page.evaluate(_WATCH)


async def seen(page: Page) -> dict[str, Any]:
    """What was seen so far: `frames` (ms), `tasks` (ms, longer than 50), `moved`, `faults`, `below` (px)."""
    found: dict[str, Any] = await page.evaluate("window.seen")
    return found


async def kept_text(page: Page) -> str:
    """The last answer's text as the page keeps it."""
    text: str = await page.evaluate(_KEPT)
    return text


async def render_at_once(page: Page, text: str) -> dict[str, Any]:
    """The `html` of the text when the page gets it in one piece, and the number of its `chars` that are seen."""
    made: dict[str, Any] = await page.evaluate(_RENDER, text)
    return made


async def rendered(page: Page) -> str:
    """The HTML of the last answer's text."""
    html: str = await page.evaluate(_RENDERED)
    return html


@dataclass(frozen=True, slots=True)
class Spread:
    """Many times in ms."""

    median: float
    p99: float
    most: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread:
        ranked = sorted(values)
        if not ranked:
            raise ValueError("nothing was measured")
        return cls(*(ranked[min(int(len(ranked) * share), len(ranked) - 1)] for share in (0.5, 0.99, 1.0)))

    def __str__(self) -> str:
        return f"{self.median:.1f} / {self.p99:.1f} / {self.most:.1f}"


@dataclass(frozen=True, slots=True)
class Figures:
    """What one answer cost."""

    writing: Spread
    """The page's own writing, per frame in which it wrote."""
    script: Spread | None
    """All script of the page's thread per frame, in the last tenth of the answer; `None` where that was not traced."""
    layout_ms: float
    """Style and layout, per frame."""
    frames_per_second: float
    late_frames: float
    """The share of frames that came half a frame too late, or later."""
    long_tasks: int
    """Those of more than 50 ms."""
    heap_mb: float
    """JavaScript's heap after it, collected."""
    nodes: int


class Meter:
    """Measures one answer of a page that is watched already: `start`, ask, `finish` when it is over."""

    def __init__(self, chat: ChatPage, session: CDPSession) -> None:
        self._page = chat.page
        self._session = session
        self._before: dict[str, float] = {}
        self._trace: bytes | None = None

    @classmethod
    async def start(cls, chat: ChatPage) -> Meter:
        session = await chat.visit.context.new_cdp_session(chat.page)
        await session.send("Performance.enable")
        meter = cls(chat, session)
        meter._before = await meter._counters()
        await chat.page.evaluate("() => { window.seen.frames.length = 0; window.seen.tasks.length = 0; }")
        return meter

    async def trace_last(self, browser: Browser, chars: float, over: Locator, timeout_ms: float) -> None:
        """Trace from the moment at which the answer is longer than that until it is `over`."""
        await self._page.wait_for_function(_IS_LONGER, arg=chars, polling=500, timeout=timeout_ms)
        await browser.start_tracing(page=self._page, categories=["devtools.timeline"])
        await expect(over).to_have_count(1, timeout=timeout_ms)
        self._trace = await browser.stop_tracing()

    async def finish(self) -> Figures:
        """The figures."""
        found, after = await seen(self._page), await self._counters()
        frames = found["frames"]
        gaps = [later - earlier for earlier, later in pairwise(frames)]
        layout_s = sum(after[name] - self._before[name] for name in ("LayoutDuration", "RecalcStyleDuration"))
        await self._session.send("HeapProfiler.collectGarbage")
        rest = await self._counters()
        return Figures(
            writing=Spread.of(await self._page.evaluate(_WRITTEN)),
            script=None if self._trace is None else Spread.of(script_per_frame(json.loads(self._trace)["traceEvents"])),
            layout_ms=1000 * layout_s / len(gaps),
            frames_per_second=1000 * len(gaps) / sum(gaps),
            late_frames=sum(gap > 1.5 * FRAME_MS for gap in gaps) / len(gaps),
            long_tasks=len(found["tasks"]),
            heap_mb=rest["JSHeapUsedSize"] / 1e6,
            nodes=int(rest["Nodes"]),
        )

    async def _counters(self) -> dict[str, float]:
        answer = await self._session.send("Performance.getMetrics")
        return {each["name"]: each["value"] for each in answer["metrics"]}


_WRITTEN = "performance.getEntriesByName('render').map(({ duration }) => duration)"
_IS_LONGER = "(chars) => document.querySelector('.assistant:last-child .body')?.textContent.length > chars"


_SCRIPT = frozenset(
    {"FunctionCall", "EvaluateScript", "RunMicrotasks", "TimerFire", "FireAnimationFrame", "EventDispatch"}
)


def script_per_frame(events: Sequence[Mapping[str, Any]]) -> list[float]:
    """Milliseconds of script between one frame and the next, on the page's own thread, out of a trace's events.

    What is nested counts once. Styles and layout that script forces are in it.
    """
    thread = _busiest_thread(events)
    ours = [event for event in events if (event.get("pid"), event.get("tid")) == thread]
    starts = sorted(event["ts"] for event in ours if event["name"] == "FireAnimationFrame" and event["ph"] == "X")
    spans = sorted(
        (event["ts"], event.get("dur", 0)) for event in ours if event["name"] in _SCRIPT and event["ph"] == "X"
    )
    frames: list[float] = []
    at, covered = 0, 0
    for begin, end in pairwise(starts):
        if end - begin < FRAME_MS * 1000 / 2:  # Two callbacks of one frame.
            continue
        spent = 0
        while at < len(spans) and spans[at][0] < end:
            start, length = spans[at]
            spent += max(start + length - max(start, covered), 0)
            covered = max(covered, start + length)
            at += 1
        frames.append(spent / 1000)
    return frames


def _busiest_thread(events: Sequence[Mapping[str, Any]]) -> tuple[int, int]:
    fired = Counter((event["pid"], event["tid"]) for event in events if event["name"] == "FireAnimationFrame")
    return fired.most_common(1)[0][0]


ROWS: tuple[tuple[str, str], ...] = (
    ("writing to the page, per frame (ms, p50 / p99 / most)", "{0.writing}"),
    ("all script, per frame, in the last tenth (ms, p50 / p99 / most)", "{0.script}"),
    ("style and layout, per frame (ms, mean)", "{0.layout_ms:.2f}"),
    ("frames per second", "{0.frames_per_second:.1f}"),
    ("frames that came late", "{0.late_frames:.1%}"),
    ("tasks longer than 50 ms", "{0.long_tasks}"),
    ("JavaScript heap after it (MB)", "{0.heap_mb:.1f}"),
    ("nodes in the document after it", "{0.nodes:,}"),
)


def table(figures: Mapping[str, Figures]) -> str:
    """The figures as a table in Markdown, a column for each answer."""
    lines = [f"|  | {' | '.join(figures)} |", f"| --- |{' ---: |' * len(figures)}"]
    lines += [f"| {name} | {' | '.join(form.format(each) for each in figures.values())} |" for name, form in ROWS]
    return "\n".join(lines).replace("None", "–")


_PLACE = re.compile(r"(?<=<!-- chat page:begin -->\n).*?(?=<!-- chat page:end -->)", re.DOTALL)


def publish(figures: Mapping[str, Figures], browser: str) -> None:
    """Write the table into docs/performance.md."""
    machine = describe_machine()
    said = (
        f"{today()}, commit `{commit()}`, {machine['cpu']}, {machine['cores']} cores, Chromium {browser} without a screen"
        " and without a graphics card."
    )
    page = PAGE.read_text(encoding="utf-8")
    if not _PLACE.search(page):
        raise ValueError(f"{PAGE} has no place for the table")
    PAGE.write_text(_PLACE.sub(lambda _: f"{said}\n\n{table(figures)}\n", page), encoding="utf-8")
