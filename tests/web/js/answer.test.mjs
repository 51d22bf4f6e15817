import assert from "node:assert/strict";
import test from "node:test";
import { isWhole, newAnswer, take } from "../../../src/thalweg/web/api/answer.js";
import { readAnswer } from "../../../src/thalweg/web/api/gateway.js";
import { cuts } from "./cuts.mjs";

const delta = (inside, finish = null) => ({ choices: [{ index: 0, delta: inside, finish_reason: finish }] });
const USAGE = {
  choices: [],
  usage: {
    prompt_tokens: 12,
    completion_tokens: 5,
    prompt_tokens_details: { cached_tokens: 4 },
    completion_tokens_details: { reasoning_tokens: 2 },
  },
};

/** Name, chunks, what is folded, whether it is whole. */
const CASES = [
  [
    "text",
    [
      delta({ role: "assistant", content: "" }),
      delta({ content: "Hel" }),
      delta({ content: "lo" }),
      delta({}, "stop"),
      "[DONE]",
    ],
    { text: "Hello", finish: "stop" },
    true,
  ],
  [
    "usage",
    [delta({ content: "a" }, "stop"), USAGE, "[DONE]"],
    { text: "a", usage: { input: 12, output: 5, cached: 4, reasoning: 2 } },
    true,
  ],
  [
    "usage without details",
    [delta({}, "stop"), { choices: [], usage: { prompt_tokens: 1, completion_tokens: 0 } }],
    { usage: { input: 1, output: 0, cached: null, reasoning: null } },
    true,
  ],
  [
    "reasoning, then text",
    [
      delta({ reasoning_content: "hm" }),
      delta({ reasoning_content: "m", content: "" }),
      delta({ content: "ok" }),
      "[DONE]",
    ],
    { reasoning: "hmm", text: "ok" },
    true,
  ],
  ["reasoning in its other name", [delta({ reasoning: "hm" }), "[DONE]"], { reasoning: "hm" }, true],
  [
    "reasoning in its details alone",
    [delta({ reasoning_details: [{ type: "reasoning.text", text: "hm" }] }), "[DONE]"],
    { reasoning: "hm" },
    true,
  ],
  [
    "reasoning in its details too",
    [delta({ reasoning: "hm", reasoning_details: [{ text: "hm" }] }), "[DONE]"],
    { reasoning: "hm" },
    true,
  ],
  ["content null", [delta({ content: null }), delta({ content: "a" }), "[DONE]"], { text: "a" }, true],
  ["a refusal", [delta({ refusal: "No." }), "[DONE]"], { text: "No." }, true],
  [
    "calls, one after the other",
    [
      delta({
        content: null,
        tool_calls: [{ index: 0, id: "c1", type: "function", function: { name: "f", arguments: "" } }],
      }),
      delta({ tool_calls: [{ index: 0, function: { arguments: '{"a"' } }] }),
      delta({ tool_calls: [{ index: 0, function: { arguments: ":1}" } }] }),
      delta({ tool_calls: [{ index: 1, id: "c2", function: { name: "g", arguments: "{}" } }] }),
      delta({}, "tool_calls"),
      "[DONE]",
    ],
    {
      calls: [
        { id: "c1", name: "f", arguments: '{"a":1}' },
        { id: "c2", name: "g", arguments: "{}" },
      ],
      finish: "tool_calls",
    },
    true,
  ],
  [
    "a repeated name",
    [
      delta({ tool_calls: [{ index: 0, id: "c", function: { name: "f" } }] }),
      delta({ tool_calls: [{ index: 0, function: { name: "f", arguments: "{}" } }] }),
    ],
    { calls: [{ id: "c", name: "f", arguments: "{}" }] },
    false,
  ],
  ["another choice", [{ choices: [{ index: 1, delta: { content: "x" } }] }, "[DONE]"], { text: "" }, true],
  ["no choices at all", [{ id: "x" }, { choices: null }, "[DONE]"], { text: "" }, true],
  ["an end without any sign", [delta({ content: "a" })], { text: "a" }, false],
  ["an end after the finish reason", [delta({ content: "a" }), delta({}, "stop")], { text: "a" }, true],
  [
    "an error in the middle",
    [
      delta({ content: "a" }),
      { error: { message: "broke", type: "server_error", code: "overloaded" } },
      delta({ content: "b" }),
      "[DONE]",
    ],
    { text: "a", fault: { message: "broke", code: "overloaded", type: "server_error" } },
    false,
  ],
  [
    "an error after the finish reason",
    [delta({ content: "a" }, "stop"), { error: { message: "late" } }],
    { text: "a" },
    false,
  ],
  ["an error that is a sentence", [{ error: "no" }], { fault: { message: "no", code: null, type: null } }, false],
  [
    "an error with a number for a code",
    [{ error: { message: "no", code: 429 } }],
    { fault: { message: "no", code: "429", type: null } },
    false,
  ],
  ["what is no JSON", ["{", "null", "7", delta({ content: "a" }), "[DONE]"], { text: "a" }, true],
];

const written = (chunk) => (typeof chunk === "string" ? chunk : JSON.stringify(chunk));

for (const [name, chunks, expected, whole] of CASES) {
  test(name, () => {
    const answer = newAnswer();
    for (const chunk of chunks) take(answer, written(chunk));
    for (const [field, value] of Object.entries(expected)) assert.deepEqual(answer[field], value, field);
    assert.equal(isWhole(answer), whole);
  });
}

test("it says which chunks bring content", () => {
  const answer = newAnswer();
  const brought = [delta({ role: "assistant", content: "" }), delta({ content: "a" }), delta({}, "stop"), USAGE].map(
    (chunk) => take(answer, written(chunk)),
  );
  assert.deepEqual(brought, [false, true, false, false]);
});

/** A response whose body comes in these pieces and then ends, or breaks off. */
function response(pieces, { breaks = false } = {}) {
  const body = new ReadableStream({
    async pull(controller) {
      const piece = pieces.shift();
      if (piece) controller.enqueue(piece);
      else if (breaks) controller.error(new TypeError("network error"));
      else controller.close();
    },
  });
  return { body };
}

const STREAM = [delta({ content: "深" }), delta({ content: "泓 🌊" }), delta({}, "stop"), "[DONE]"]
  .map((chunk) => `data: ${written(chunk)}\n\n`)
  .join("");

for (const [how, pieces] of cuts(new TextEncoder().encode(STREAM), 4)) {
  test(`a streamed answer, ${how}`, async () => {
    const answer = newAnswer();
    let times = 0;
    await readAnswer(response(pieces.filter((piece) => piece.length)), answer, (content) => (times += content ? 1 : 0));
    assert.equal(answer.text, "深泓 🌊");
    assert.ok(times >= 1);
    assert.ok(isWhole(answer));
  });
}

test("a connection that breaks off leaves what came, and it is not whole", async () => {
  const answer = newAnswer();
  const begin = new TextEncoder().encode(`data: ${written(delta({ content: "half" }))}\n\ndata: {"cho`);
  await readAnswer(response([begin], { breaks: true }), answer, () => {});
  assert.equal(answer.text, "half");
  assert.equal(isWhole(answer), false);
});
