import assert from "node:assert/strict";
import test from "node:test";
import { Failure } from "../../../src/thalweg/web/api/gateway.js";
import { rateOf, Run, tokensOf } from "../../../src/thalweg/web/chat/run.js";

const chunk = (delta, finish = null) =>
  `data: ${JSON.stringify({ choices: [{ index: 0, delta, finish_reason: finish }] })}\n\n`;
const DONE = "data: [DONE]\n\n";
const HEADERS = { "x-thalweg-stream": "s-1", "x-request-id": "r-1", "x-thalweg-simulated": "1" };

/** A gateway that plays a script: pieces of a body, and what happens at its end. Time passes where the script says so. */
class Scripted {
  constructor({ pieces = [], end = "close", refuse = null, there = true } = {}) {
    Object.assign(this, { pieces, end, refuse, there });
    this.stopped = [];
    this.aborted = false;
  }

  async isThere() {
    return this.there;
  }

  async begin(_, signal) {
    if (this.refuse) throw this.refuse;
    const { pieces, end } = this;
    const body = new ReadableStream({
      start: (controller) => {
        this.close = () => controller.close();
        signal.addEventListener("abort", () => {
          this.aborted = true;
          controller.error(new DOMException("aborted", "AbortError"));
        });
      },
      pull: (controller) => {
        const piece = pieces.shift();
        if (piece) controller.enqueue(new TextEncoder().encode(piece));
        else if (end === "close") controller.close();
        else if (end === "break") controller.error(new TypeError("network error"));
      },
    });
    return { body, headers: new Headers(HEADERS) };
  }

  async stop(id) {
    this.stopped.push(id);
    return { upstream_closed_ms: 12.3, tokens: 48, source: "estimated" };
  }
}

/** Runs to the end; the message and the states it went through. */
async function run(gateway, during = () => {}) {
  const message = { id: "m", role: "assistant", text: "", reasoning: "", calls: [] };
  const states = [];
  const made = new Run({
    gateway,
    message,
    body: {},
    changed: () => states.at(-1) !== message.state && states.push(message.state),
    content: () => during(made, message),
  });
  await made.toEnd();
  return { message, states };
}

test("a good answer", async () => {
  const pieces = [chunk({ role: "assistant", content: "" }), chunk({ content: "Hi" }), chunk({}, "stop"), DONE];
  const { message, states } = await run(new Scripted({ pieces }));
  assert.deepEqual(states, ["connecting", "waiting", "streaming", "done"]);
  assert.equal(message.text, "Hi");
  assert.deepEqual(
    [message.streamId, message.requestId, message.simulated, message.finish],
    ["s-1", "r-1", true, "stop"],
  );
  assert.ok(message.ttftMs >= 0 && message.totalMs >= message.ttftMs);
});

/** Name, script, state, kind of fault, text. */
const ENDINGS = [
  [
    "a connection that breaks off in the middle",
    { pieces: [chunk({ content: "half" })], end: "break" },
    "cut",
    "broke",
    "half",
  ],
  ["an end without a sign of it", { pieces: [chunk({ content: "half" })] }, "cut", "broke", "half"],
  ["an end before anything", { pieces: [] }, "failed", "broke", ""],
  [
    "an error in the middle",
    { pieces: [chunk({ content: "half" }), 'data: {"error":{"message":"no","code":"overloaded"}}\n\n'] },
    "cut",
    "said",
    "half",
  ],
  ["an error instead of an answer", { pieces: ['data: {"error":{"message":"no"}}\n\n'] }, "failed", "said", ""],
  [
    "a status",
    { refuse: new Failure("refused", { status: 404, code: "model_not_found", message: "no such model" }) },
    "failed",
    "refused",
    "",
  ],
  ["a missing key", { refuse: new Failure("unauthorised", { status: 401 }) }, "failed", "unauthorised", ""],
  ["nobody there", { refuse: new Failure("unreachable") }, "failed", "unreachable", ""],
  ["a bug of the page's", { refuse: new RangeError("oops") }, "failed", "page", ""],
];

for (const [name, script, state, kind, text] of ENDINGS) {
  test(name, async (context) => {
    context.mock.method(console, "error", () => {});
    const { message } = await run(new Scripted(script));
    assert.deepEqual([message.state, message.fault.kind, message.text], [state, kind, text]);
  });
}

test("stopping closes the upstream, and what came stays", async () => {
  const gateway = new Scripted({ pieces: [chunk({ content: "so far" })], end: "wait" });
  const { message, states } = await run(gateway, (made) => made.stop());
  assert.deepEqual(states, ["connecting", "waiting", "streaming", "stopping", "stopped"]);
  assert.deepEqual(gateway.stopped, ["s-1"]);
  assert.ok(gateway.aborted);
  assert.deepEqual(message.stop, { upstream_closed_ms: 12.3, tokens: 48, source: "estimated" });
  assert.deepEqual(tokensOf(message), { output: 48, source: "estimated" });
});

test("a stream that ends while it is stopped was stopped, and its figures are waited for", async () => {
  const gateway = new Scripted({ pieces: [chunk({ content: "so far" })], end: "wait" });
  gateway.stop = async () => {
    gateway.close();
    await new Promise((resolve) => setTimeout(resolve, 5));
    return { upstream_closed_ms: 1, tokens: 2, source: "counted" };
  };
  const { message } = await run(gateway, (made) => made.stop());
  assert.deepEqual([message.state, message.stop.tokens], ["stopped", 2]);
});

test("where the stream has no name yet, stopping hangs up", async () => {
  let made;
  const gateway = new Scripted();
  gateway.begin = (_, signal) =>
    new Promise((_, reject) => {
      signal.addEventListener("abort", () => reject(new DOMException("aborted", "AbortError")));
      queueMicrotask(() => made.stop());
    });
  const message = { text: "", reasoning: "", calls: [] };
  made = new Run({ gateway, message, body: {}, changed: () => {}, content: () => {} });
  await made.toEnd();
  assert.equal(message.state, "stopped");
  assert.deepEqual(gateway.stopped, []);
});

test("thinking is timed from its first word to the first of the answer", async () => {
  const pieces = [
    chunk({ reasoning_content: "hm" }),
    chunk({ reasoning_content: "m" }),
    chunk({ content: "ok" }),
    DONE,
  ];
  const { message } = await run(new Scripted({ pieces }));
  assert.equal(message.reasoning, "hmm");
  assert.ok(message.thoughtMs >= 0);
  assert.equal(message.thinkingSince, undefined);
});

/** Facts, and tokens a second. */
const RATES = [
  ["what was reported", { usage: { output: 101 }, streamMs: 2000 }, 50],
  ["without thoughts that nobody saw", { usage: { output: 151, reasoning: 50 }, reasoning: "", streamMs: 2000 }, 50],
  ["with thoughts that were seen", { usage: { output: 151, reasoning: 50 }, reasoning: "hm", streamMs: 2000 }, 75],
  ["too few tokens to tell", { usage: { output: 3 }, streamMs: 2000 }, null],
  ["too short a time to tell", { usage: { output: 100 }, streamMs: 10 }, null],
  ["nothing known", { usage: null, streamMs: 2000 }, null],
];

for (const [name, message, rate] of RATES) test(`rate: ${name}`, () => assert.equal(rateOf(message), rate));
